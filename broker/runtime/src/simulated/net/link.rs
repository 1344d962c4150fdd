//! One direction between two nodes: how long bytes take, and what configures it.

use crate::latency::Latency;
use crate::simulated::random::derive;
use crate::simulated::timers::Nanos;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// How a link behaves, for one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkConfig {
    /// How long a segment travels, beyond the time that bandwidth demands.
    pub latency: Latency,
    /// Bytes per second; none for no limit.
    pub bandwidth: Option<u64>,
    /// The probability that a segment is lost. TCP sends it again, so loss shows as delay.
    pub loss: f64,
}

impl Default for LinkConfig {
    /// A quiet data centre: 0.1 ms at least, 0.25 ms on average, 1 ms at the 99th percentile,
    /// 10 Gbit/s, no loss.
    fn default() -> Self {
        let micros = Duration::from_micros;
        LinkConfig {
            latency: Latency::new(micros(100), micros(250), micros(1_000)),
            bandwidth: Some(1_250_000_000),
            loss: 0.0,
        }
    }
}

/// How the network and the kernels' TCP behave.
#[derive(Clone, Debug, PartialEq)]
pub struct NetConfig {
    /// Every link that has no settings of its own.
    pub link: LinkConfig,
    /// From a node to itself.
    pub loopback: LinkConfig,
    /// Bytes a socket accepts before the receiver has them.
    pub send_buffer: usize,
    /// Bytes a socket holds for a reader that does not read.
    pub receive_buffer: usize,
    /// Connections that wait to be accepted; a connect to a full queue is tried again later.
    pub backlog: usize,
    /// After which time a connect that nobody answers fails with `TimedOut`.
    pub connect_timeout: Duration,
    /// After which time bytes that nobody acknowledges break the connection with `TimedOut`.
    pub retransmit_timeout: Duration,
    /// The first wait before a lost segment is sent again; each next one is twice as long.
    pub retransmit_first: Duration,
    /// The probability that a read returns fewer bytes than are there, cut anywhere.
    pub short_read: f64,
}

impl Default for NetConfig {
    fn default() -> Self {
        NetConfig {
            link: LinkConfig::default(),
            loopback: LinkConfig {
                latency: Latency::constant(Duration::from_micros(15)),
                bandwidth: None,
                loss: 0.0,
            },
            send_buffer: 256 * 1024,
            receive_buffer: 256 * 1024,
            backlog: 1024,
            connect_timeout: Duration::from_secs(20),
            retransmit_timeout: Duration::from_secs(20),
            retransmit_first: Duration::from_millis(200),
            short_read: 0.25,
        }
    }
}

/// Payload bytes in one Ethernet frame.
const SEGMENT: usize = 1448;
/// What a frame carries besides: Ethernet, IP and TCP headers, preamble and gap.
const OVERHEAD: usize = 90;
/// The longest that a lost segment waits to be sent again, as Linux has it (`TCP_RTO_MAX`); RFC 6298,
/// 2.5, asks for a bound of at least a minute.
const RESENT_AT_MOST: Nanos = 120_000_000_000;

/// The state of one direction between two nodes.
pub(super) struct Link {
    pub(super) config: LinkConfig,
    /// When the last byte that was sent so far has left.
    free_at: Nanos,
    rng: ChaCha8Rng,
}

impl Link {
    pub(super) fn new(seed: u64, from: usize, to: usize, config: LinkConfig) -> Link {
        let (from, to) = ((from as u64).to_le_bytes(), (to as u64).to_le_bytes());
        Link { config, free_at: 0, rng: derive(seed, &[b"link", &from, &to]) }
    }

    /// Sends `len` bytes now and says when they arrive. `resent_first` is how long a lost segment
    /// waits to be sent again.
    pub(super) fn send(&mut self, now: Nanos, len: usize, resent_first: Nanos) -> Nanos {
        let segments = len.div_ceil(SEGMENT).max(1);
        let mut at = now;
        if let Some(bandwidth) = self.config.bandwidth {
            let bytes = (len + segments * OVERHEAD) as u64;
            self.free_at = self.free_at.max(now) + bytes * 1_000_000_000 / bandwidth.max(1);
            at = self.free_at;
        }
        at += self.config.latency.sample(&mut self.rng);
        if self.config.loss > 0.0 {
            at += self.retransmissions(segments, resent_first);
        }
        at
    }

    /// The delay that loss brings. Where enough segments follow the lost one the sender learns of
    /// it by duplicate acknowledgements, a round trip later; otherwise by its timer.
    fn retransmissions(&mut self, segments: usize, resent_first: Nanos) -> Nanos {
        let chance = 1.0 - (1.0 - self.config.loss.min(0.99)).powi(segments as i32);
        let mut delay = 0;
        let mut wait =
            if segments >= 4 { 2 * self.config.latency.mean_nanos() } else { resent_first };
        // Of a chunk's segments, hardly ever more than one is lost again.
        let mut probability = chance;
        while self.draw() < probability {
            delay += wait;
            wait = (wait * 2).max(resent_first).min(RESENT_AT_MOST);
            probability = self.config.loss.min(0.99);
        }
        delay
    }

    fn draw(&mut self) -> f64 {
        (self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_of_a_segment_that_is_lost_again_and_again_is_bounded() {
        for loss in [0.9, 0.999] {
            let mut link = Link::new(1, 0, 1, LinkConfig { loss, ..LinkConfig::default() });
            let mut longest = 0;
            for _ in 0..2_000 {
                let arrives = link.send(1_000, 100, 200_000_000);
                assert!(arrives > 1_000);
                longest = longest.max(arrives);
            }
            assert!(longest > RESENT_AT_MOST, "some are lost a dozen times");
        }
    }
}
