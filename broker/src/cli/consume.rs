//! `paceline consume`

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use paceline_client::stomp::Client;
use paceline_runtime::{
    say, shutdown, task,
    time::{self, Instant},
};
use paceline_wire::stomp::{Command, Frame, header};
use serde_json::json;

use super::{ClientArgs, at_least_one, client, histogram::Histogram, progress::Progress};

/// How often a consumer looks whether the others have received the rest.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Receive messages, and say how fast they came.
///
/// The latency shown is from the message's timestamp to its arrival here, in whole milliseconds,
/// and means something where both clocks agree.
#[derive(Debug, Args)]
pub(super) struct Consume {
    #[command(flatten)]
    client: ClientArgs,
    /// Messages in total; without it, until SIGINT.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Connections that receive at the same time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one::<u64>)]
    consumers: u64,
    /// How messages are acknowledged.
    #[arg(long, value_enum, default_value_t = Ack::Auto)]
    ack: Ack,
    /// Messages on their way to each consumer.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least_one::<u32>)]
    prefetch: u32,
    /// Give up when nothing has come for so many seconds.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Ack {
    /// By the server, as soon as they are sent.
    Auto,
    /// By one ACK for many.
    Client,
    /// By an ACK for each.
    ClientIndividual,
}

/// What one consumer does.
struct Work {
    destinations: Vec<String>,
    count: u64,
    /// Of all consumers.
    received: Arc<AtomicU64>,
    ack: Ack,
    prefetch: u32,
    timeout: Option<Duration>,
}

#[derive(Default)]
struct Done {
    received: u64,
    redelivered: u64,
    bytes: u64,
    latency: Histogram,
    first: Option<Instant>,
    last: Option<Instant>,
    timed_out: bool,
}

impl Consume {
    pub(super) async fn run(self) -> Result<()> {
        let consumers = self.consumers;
        let count = self.count.unwrap_or(u64::MAX);
        let received = Arc::new(AtomicU64::new(0));
        let mut tasks = Vec::new();
        for number in 0..consumers {
            let client = self.client.connect(number).await?;
            // Every destination has a consumer, and every consumer a destination.
            let destinations = match self.client.destinations {
                None => vec![self.client.destination(0)],
                Some(all) if all <= consumers => vec![self.client.destination(number)],
                Some(all) => {
                    let own = (0..all).filter(|at| at % consumers == number);
                    own.map(|at| self.client.destination(at)).collect()
                }
            };
            let work = Work {
                destinations,
                count,
                received: received.clone(),
                ack: self.ack,
                prefetch: self.prefetch,
                timeout: self.timeout.map(Duration::from_secs),
            };
            tasks.push(task::spawn(work.run(client)));
        }
        let progress = Progress::begin("received", received, self.count);
        let mut done = Done::default();
        let mut failure = None;
        for task in tasks {
            let (part, result) = task.await.context("a consumer failed")?;
            failure = failure.or(result.err());
            done.received += part.received;
            done.redelivered += part.redelivered;
            done.bytes += part.bytes;
            done.latency.merge(&part.latency);
            done.first = [done.first, part.first].into_iter().flatten().min();
            done.last = [done.last, part.last].into_iter().flatten().max();
            done.timed_out |= part.timed_out;
        }
        progress.end().await;
        self.report(&done);
        if let Some(failure) = failure {
            return Err(failure);
        }
        if done.timed_out && done.received < count {
            bail!("nothing came for {} s", self.timeout.unwrap_or_default());
        }
        Ok(())
    }

    fn report(&self, done: &Done) {
        let took = match (done.first, done.last) {
            (Some(first), Some(last)) => last - first,
            _ => Duration::ZERO,
        };
        let seconds = took.as_secs_f64().max(1e-9);
        let rate = if took.is_zero() { 0.0 } else { done.received as f64 / seconds };
        if self.client.json {
            say!(
                "{}",
                json!({
                    "messages": done.received, "redelivered": done.redelivered,
                    "bytes": done.bytes, "seconds": seconds, "messages_per_second": rate,
                    "latency_ms": done.latency.json(),
                })
            );
            return;
        }
        say!(
            "received {} messages ({} redelivered) in {seconds:.2} s: {rate:.0} messages/s, {:.1} MiB/s",
            done.received,
            done.redelivered,
            done.bytes as f64 / seconds / f64::from(1 << 20)
        );
        say!("from timestamp to arrival: {}", done.latency.show());
    }
}

impl Work {
    async fn run(self, client: Client) -> (Done, Result<()>) {
        let mut done = Done::default();
        let result = self.receive_all(client, &mut done).await;
        (done, result)
    }

    async fn receive_all(&self, mut client: Client, done: &mut Done) -> Result<()> {
        for (id, destination) in self.destinations.iter().enumerate() {
            let mut frame = client.frame(Command::Subscribe);
            frame.number(header::ID, id as u64);
            frame.header(header::DESTINATION, destination);
            frame.number(header::PREFETCH_SIZE, self.prefetch.into());
            frame.header(
                header::ACK,
                match self.ack {
                    Ack::Auto => "auto",
                    Ack::Client => "client",
                    Ack::ClientIndividual => "client-individual",
                },
            );
            frame.finish(b"");
        }
        let mut last_news = Instant::now();
        // By subscription: the last delivery, and how many wait for its acknowledgement.
        let mut unacknowledged = vec![(String::new(), 0); self.destinations.len()];
        let stop = shutdown::requested();
        tokio::pin!(stop);
        loop {
            while let Some(frame) = client::next(&mut client)? {
                if frame.command == Command::Message && self.take(&frame, done) {
                    self.acknowledge(&frame, &mut unacknowledged, &mut client);
                    last_news = Instant::now();
                }
            }
            done.timed_out = self.timeout.is_some_and(|after| last_news.elapsed() >= after);
            if done.timed_out || self.received.load(Ordering::Relaxed) >= self.count {
                break;
            }
            let is_stopped = tokio::select! {
                biased;
                () = &mut stop => true,
                turned = client.turn() => { turned?; false }
                () = time::sleep(LOOK_EVERY) => false,
            };
            if is_stopped {
                break;
            }
        }
        for (last, waiting) in &unacknowledged {
            if *waiting > 0 {
                ack(last, &mut client);
            }
        }
        Ok(client.leave().await?)
    }

    /// Counts a message; false for one that is more than was asked for.
    fn take(&self, frame: &Frame, done: &mut Done) -> bool {
        let more = |received| (received < self.count).then_some(received + 1);
        if self.received.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            return false;
        }
        let now = Instant::now();
        done.first.get_or_insert(now);
        done.last = Some(now);
        done.received += 1;
        done.bytes += frame.body.len() as u64;
        done.redelivered += u64::from(frame.header(header::REDELIVERED).is_some());
        let sent = frame.header(header::TIMESTAMP).and_then(|text| text.parse::<u64>().ok());
        if let Some(sent) = sent {
            done.latency.add(Duration::from_millis(time::wall_clock().0.saturating_sub(sent)));
        }
        true
    }

    fn acknowledge(&self, frame: &Frame, waiting: &mut [(String, u32)], client: &mut Client) {
        let Some(id) = frame.header(header::ACK) else { return };
        if self.ack == Ack::ClientIndividual {
            ack(id, client);
            return;
        }
        let at = frame.header(header::SUBSCRIPTION).and_then(|id| id.parse::<usize>().ok());
        let Some((last, count)) = at.and_then(|at| waiting.get_mut(at)) else { return };
        *last = id.to_string();
        *count += 1;
        // Half of the prefetch keeps the other half on its way.
        if *count >= self.prefetch.div_ceil(2) {
            ack(last, client);
            *count = 0;
        }
    }
}

fn ack(id: &str, client: &mut Client) {
    let mut frame = client.frame(Command::Ack);
    frame.header(header::ID, id);
    frame.finish(b"");
}
