//! What lies between two ends: for each direction how long bytes are under way, how many a second
//! pass, and whether any do. The proxy asks it of each piece that it carries.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use paceline_runtime::latency::Latency;
use paceline_scenario::expand::stream;
use rand_chacha::ChaCha8Rng;
use tokio::sync::watch;

/// One end: a node, by its number, or all clients together, which come behind the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

/// What cuts ways, until it is healed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartitionId(u64);

/// What one direction is like.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkConfig {
    /// How long a piece is under way.
    pub latency: Latency,
    /// Bytes a second; without it as many as come.
    pub bandwidth: Option<u64>,
    /// None, in this world: a proxy cannot lose what TCP has taken. See `refusals`.
    pub loss: f64,
}

/// All ways between all ends.
#[derive(Debug)]
pub struct Network {
    ends: usize,
    normal: LinkConfig,
    /// From the first to the second, at first × ends + second.
    ways: Vec<Way>,
    cuts: AtomicU64,
}

/// From one end to another.
#[derive(Debug)]
pub struct Way {
    state: watch::Sender<State>,
    line: Mutex<Line>,
    bytes: AtomicU64,
}

#[derive(Clone, Debug)]
struct State {
    link: LinkConfig,
    cuts: BTreeSet<PartitionId>,
}

#[derive(Debug)]
struct Line {
    /// When all that was sent has left.
    free: Instant,
    random: ChaCha8Rng,
}

impl Network {
    /// Between so many nodes, and the clients. All ways are like this one; how long each piece takes
    /// is drawn from the seed.
    pub fn new(nodes: usize, normal: LinkConfig, seed: u64) -> Self {
        let ends = nodes + 1;
        let way = |number: usize| {
            let (from, to) = (number / ends, number % ends);
            let random = stream(seed, &format!("way from {from} to {to}"));
            Way {
                state: watch::Sender::new(State { link: normal.clone(), cuts: BTreeSet::new() }),
                line: Mutex::new(Line { free: Instant::now(), random }),
                bytes: AtomicU64::new(0),
            }
        };
        Self { ends, ways: (0..ends * ends).map(way).collect(), normal, cuts: AtomicU64::new(0) }
    }

    /// All clients together.
    pub fn clients(&self) -> NodeId {
        NodeId(self.ends - 1)
    }

    /// The way from one end to another.
    pub fn way(&self, from: NodeId, to: NodeId) -> &Way {
        &self.ways[from.0 * self.ends + to.0]
    }

    /// Holds everything that any of the first send to any of the others.
    pub fn block(&self, from: &[NodeId], to: &[NodeId]) -> PartitionId {
        let cut = PartitionId(self.cuts.fetch_add(1, Ordering::Relaxed));
        for &from in from {
            for &to in to {
                self.way(from, to).state.send_modify(|state| _ = state.cuts.insert(cut));
            }
        }
        cut
    }

    /// The same in both directions.
    pub fn partition(&self, some: &[NodeId], others: &[NodeId]) -> [PartitionId; 2] {
        [self.block(some, others), self.block(others, some)]
    }

    /// Lets go what this has held.
    pub fn heal(&self, cut: PartitionId) {
        for way in &self.ways {
            way.state.send_if_modified(|state| state.cuts.remove(&cut));
        }
    }

    /// Lets go everything.
    pub fn heal_all(&self) {
        for way in &self.ways {
            way.state.send_if_modified(|state| !std::mem::take(&mut state.cuts).is_empty());
        }
    }

    /// Makes one way like this, or like all others.
    pub fn set_link(&self, from: NodeId, to: NodeId, link: Option<LinkConfig>) {
        let link = link.unwrap_or_else(|| self.normal.clone());
        self.way(from, to).state.send_modify(|state| state.link = link);
    }

    /// How many bytes have come to an end, and gone from it.
    pub fn traffic(&self, end: NodeId) -> (u64, u64) {
        let sum = |way: &dyn Fn(usize) -> (NodeId, NodeId)| {
            let ways = (0..self.ends).map(way).map(|(from, to)| self.way(from, to));
            ways.map(|way| way.bytes.load(Ordering::Relaxed)).sum()
        };
        (sum(&|other| (NodeId(other), end)), sum(&|other| (end, NodeId(other))))
    }
}

impl Way {
    /// When so many bytes that are sent now have come to the other end, if nothing holds them.
    pub fn arrival(&self, bytes: usize) -> Instant {
        let (latency, bandwidth) = {
            let state = self.state.borrow();
            (state.link.latency.clone(), state.link.bandwidth)
        };
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let takes = bandwidth.map_or(Duration::ZERO, |per_second| {
            Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / per_second.max(1))
        });
        line.free = line.free.max(Instant::now()) + takes;
        line.free + Duration::from_nanos(latency.sample(&mut line.random))
    }

    /// Waits until nothing holds what is sent.
    pub async fn open(&self) {
        let mut state = self.state.subscribe();
        // The network lives as long as its proxies.
        let _ = state.wait_for(|state| state.cuts.is_empty()).await;
    }

    /// So many bytes have come through.
    pub fn passed(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn always(latency: Duration, bandwidth: Option<u64>) -> LinkConfig {
        LinkConfig { latency: Latency::constant(latency), bandwidth, loss: 0.0 }
    }

    #[test]
    fn bytes_wait_their_turn_on_a_narrow_way_and_not_on_the_way_back() {
        let milli = Duration::from_millis;
        let network = Network::new(2, always(milli(5), Some(1_000_000)), 1);
        let (one, other) = (NodeId(0), NodeId(1));
        let began = Instant::now();
        let arrivals: Vec<_> =
            (0..3).map(|_| network.way(one, other).arrival(100_000) - began).collect();
        for (number, arrival) in (1..).zip(&arrivals) {
            assert!(*arrival >= milli(100) * number + milli(5), "{arrivals:?}");
            assert!(*arrival < milli(100) * number + milli(100), "{arrivals:?}");
        }
        assert!(network.way(other, one).arrival(1_000) - began < milli(90));
    }

    #[test]
    fn a_way_is_open_when_all_that_cut_it_are_healed() {
        let network = Network::new(2, always(Duration::ZERO, None), 1);
        let (one, other) = (NodeId(0), NodeId(1));
        let is_open = |from, to| network.way(from, to).state.borrow().cuts.is_empty();
        let first = network.block(&[one], &[other]);
        assert!(!is_open(one, other) && is_open(other, one), "one way only");
        let both = network.partition(&[one], &[other, network.clients()]);
        network.heal(first);
        assert!(!is_open(one, other) && !is_open(other, one));
        assert!(!is_open(network.clients(), one));
        both.into_iter().for_each(|cut| network.heal(cut));
        assert!(is_open(one, other) && is_open(other, one) && is_open(network.clients(), one));
        network.block(&[one], &[other]);
        network.heal_all();
        assert!(is_open(one, other));
    }
}
