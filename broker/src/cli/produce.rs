//! `paceline produce`

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Args;
use paceline_client::stomp::{Client, Error};
use paceline_runtime::{
    say, shutdown, task,
    time::{self, Instant},
};
use paceline_wire::stomp::{Command, header};
use serde_json::json;

use super::{ClientArgs, at_least_one, client, histogram::Histogram, progress::Progress};

/// Bytes that wait to be sent before more messages are made.
const OUT_BYTES: usize = 64 * 1024;

/// Send messages, and say how fast they were taken.
///
/// A receipt for a persistent message means that it is on the disks of a majority, so the latency
/// shown is the time until then.
#[derive(Debug, Args)]
pub(super) struct Produce {
    #[command(flatten)]
    client: ClientArgs,
    /// Messages in total.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    count: u64,
    /// Bytes of each body.
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    size: usize,
    /// Messages per second in total; without it, as fast as they are taken.
    #[arg(long, value_name = "N", value_parser = at_least_one::<u64>)]
    rate: Option<u64>,
    /// Send persistent messages.
    #[arg(long)]
    persistent: bool,
    /// Connections that send at the same time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one::<u64>)]
    producers: u64,
    /// Messages of each producer that may wait for their receipt; 0 asks for none after the first
    /// message's.
    #[arg(long, value_name = "N", default_value_t = 100)]
    window: usize,
}

/// What one producer does.
struct Work {
    destinations: Vec<String>,
    count: u64,
    body: Bytes,
    persistent: bool,
    window: usize,
    every: Option<Duration>,
    /// Messages of all producers that are taken, or were sent without asking for a receipt.
    progress: Arc<AtomicU64>,
}

/// What came of it.
#[derive(Default)]
struct Done {
    sent: u64,
    /// Sent, and the server has said that it has them.
    taken: u64,
    /// Sent, and the server has said that it has not stored them.
    refused: u64,
    latency: Histogram,
}

impl Done {
    /// Sent and not answered, because the connection ended: stored or not.
    fn unknown(&self) -> u64 {
        self.sent - self.taken - self.refused
    }
}

impl Produce {
    pub(super) async fn run(self) -> Result<()> {
        let producers = self.producers;
        let mut clients = Vec::new();
        for number in 0..producers {
            clients.push(self.client.connect(number).await?);
        }
        let began = Instant::now();
        let progress = Arc::new(AtomicU64::new(0));
        let mut tasks = Vec::new();
        for (number, client) in (0..).zip(clients) {
            // Producers begin at different destinations, so as not to crowd one after the other.
            let destinations = match self.client.destinations {
                None => vec![self.client.destination(0)],
                Some(count) => (0..count).map(|at| self.client.destination(number + at)).collect(),
            };
            let work = Work {
                destinations,
                count: self.count / producers + u64::from(number < self.count % producers),
                body: vec![b'x'; self.size].into(),
                persistent: self.persistent,
                window: self.window,
                progress: progress.clone(),
                every: self
                    .rate
                    .map(|rate| Duration::from_secs_f64(producers as f64 / rate as f64)),
            };
            tasks.push(task::spawn(work.run(client)));
        }
        let progress = Progress::begin("sent", progress, Some(self.count));
        let mut done = Done::default();
        let mut failure = None;
        for task in tasks {
            let (part, result) = task.await.context("a producer failed")?;
            done.sent += part.sent;
            done.taken += part.taken;
            done.refused += part.refused;
            done.latency.merge(&part.latency);
            failure = failure.or(result.err());
        }
        let took = began.elapsed();
        progress.end().await;
        self.report(&done, took);
        failure.map_or(Ok(()), Err)
    }

    fn report(&self, done: &Done, took: Duration) {
        let seconds = took.as_secs_f64().max(1e-9);
        // How fast nothing was taken is no figure.
        let rate = (done.taken > 0).then(|| done.taken as f64 / seconds);
        let bytes = rate.map(|rate| rate * self.size as f64);
        if self.client.json {
            say!(
                "{}",
                json!({
                    "messages": done.taken, "sent": done.sent, "unknown": done.unknown(),
                    "bytes_each": self.size, "seconds": seconds,
                    "messages_per_second": rate, "bytes_per_second": bytes,
                    "latency_ms": done.latency.json(),
                })
            );
            return;
        }
        let sent = format!("sent {} messages of {} bytes", done.sent, self.size);
        match rate.zip(bytes) {
            None if done.unknown() == 0 => say!("{sent}: nothing was taken"),
            None => say!("{sent}: none is known to be taken"),
            Some((rate, bytes)) => {
                let taken = match done.taken == done.sent {
                    true => String::new(),
                    false => format!(", {} were taken", done.taken),
                };
                let bytes = bytes / f64::from(1 << 20);
                say!("{sent}{taken} in {seconds:.2} s: {rate:.0} messages/s, {bytes:.1} MiB/s");
            }
        }
        if self.window > 0 && done.taken > 0 {
            say!("until the receipt: {}", done.latency.show());
        }
        if done.unknown() > 0 {
            say!("{} of them have no answer: each may be stored or not", done.unknown());
        }
    }
}

impl Work {
    async fn run(self, client: Client) -> (Done, Result<()>) {
        let mut done = Done::default();
        let result = self.send_all(client, &mut done).await;
        // The receipt of the message that certainly was not taken, if there is one.
        let refused = match result.as_ref().err().and_then(|error| error.downcast_ref()) {
            Some(Error::Server(error)) if error.is_certain() => error.receipt.as_deref(),
            _ => None,
        };
        done.refused = u64::from(refused.is_some_and(|id| id.parse::<u64>().is_ok()));
        (done, result)
    }

    async fn send_all(&self, mut client: Client, done: &mut Done) -> Result<()> {
        let mut began = Instant::now();
        // The messages without an answer, and when they were due.
        let mut waiting: BTreeMap<u64, Instant> = BTreeMap::new();
        let stop = shutdown::requested();
        tokio::pin!(stop);
        let mut is_stopped = false;
        loop {
            while let Some(frame) = client::next(&mut client)? {
                let id = frame.header(header::RECEIPT_ID).and_then(|id| id.parse::<u64>().ok());
                if let Some((id, due)) = id.and_then(|id| Some((id, waiting.remove(&id)?))) {
                    done.taken += 1;
                    self.progress.fetch_add(1, Ordering::Relaxed);
                    done.latency.add(due.elapsed());
                    if id == 0 {
                        // The pace begins with the first of those that do not go alone.
                        began = Instant::now();
                    }
                }
            }
            let mut next_at = None;
            while !is_stopped
                && done.sent < self.count
                && waiting.len() < self.room(done)
                && client.unsent() < OUT_BYTES
            {
                // Latency counts from when a message was due: waiting for earlier ones is part of it.
                let due = match self.every {
                    None => Instant::now(),
                    Some(every) => began + every.mul_f64(done.sent as f64),
                };
                if due > Instant::now() {
                    next_at = Some(due);
                    break;
                }
                self.write(done.sent, &mut client);
                if self.asks_for_receipt(done.sent) {
                    waiting.insert(done.sent, due);
                } else {
                    self.progress.fetch_add(1, Ordering::Relaxed);
                }
                done.sent += 1;
            }
            if (is_stopped || done.sent == self.count) && waiting.is_empty() {
                client.leave().await?;
                // Whatever asked for no receipt was carried out before the answer to DISCONNECT.
                done.taken = done.sent;
                return Ok(());
            }
            // With no receipts there is nothing to wait for but room to send.
            if waiting.is_empty() && client.unsent() == 0 && next_at.is_none() {
                continue;
            }
            tokio::select! {
                biased;
                () = &mut stop, if !is_stopped => is_stopped = true,
                turned = client.turn() => turned?,
                () = time::sleep_until(next_at.unwrap_or(began)), if next_at.is_some() => {}
            }
        }
    }

    /// How many messages may wait for their receipts now. The first one goes alone, so that the
    /// server has taken one before others follow: it may refuse the destination.
    fn room(&self, done: &Done) -> usize {
        match (done.taken, self.window) {
            (0, _) => 1,
            (_, 0) => usize::MAX,
            (_, window) => window,
        }
    }

    fn asks_for_receipt(&self, number: u64) -> bool {
        self.window > 0 || number == 0
    }

    fn write(&self, number: u64, client: &mut Client) {
        let destination = &self.destinations[number as usize % self.destinations.len()];
        let mut frame = client.frame(Command::Send);
        frame.header(header::DESTINATION, destination);
        if self.persistent {
            frame.header(header::PERSISTENT, "true");
        }
        if self.asks_for_receipt(number) {
            frame.number(header::RECEIPT, number);
        }
        frame.finish(&self.body);
    }
}
