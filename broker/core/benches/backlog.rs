//! What a message costs, in time and memory, when many others wait before it.
//!
//! `cargo bench -p paceline-core --bench backlog` fills a queue, evicts the bodies, and then measures what
//! it costs to publish, deliver and settle a message at the given depth, without snapshots and with one
//! every 20,000 log entries. The cost per message should be the same in every row, and the memory below
//! 100 bytes.

use std::{sync::Arc, time::Duration};

use paceline_core::{
    Body, Destination, Message, UnixMillis,
    dispatch::{ConsumerKey, Dispatcher, Limits, MessageKey},
    operation::{Settlement, Subscription},
    shard::{Batch, Command, ShardState},
};

const BATCH: usize = 64;
/// In each so many messages come, and as many go.
const ROUNDS: usize = 20_000;
/// Two entries a round: a snapshot every 20,000 of them.
const ROUNDS_A_SNAPSHOT: usize = 10_000;
const SNAPSHOTS: usize = 20;

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

/// How long this process has been on a processor: others on the machine do not count.
fn on_processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}

struct Shard {
    state: ShardState,
    dispatcher: Dispatcher,
    publishes: Batch,
}

impl Shard {
    fn apply(&mut self, batch: &Batch) {
        let applied = self.state.apply(self.state.applied() + 1, batch);
        self.dispatcher.handle_applied(&self.state, &applied);
    }

    fn publish(&mut self, messages: usize) {
        let batch = std::mem::take(&mut self.publishes);
        for _ in 0..messages / BATCH {
            self.apply(&batch);
            self.state.evict_to(1 << 20);
        }
        self.publishes = batch;
    }

    fn pass(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.publish(BATCH);
            self.consume(BATCH);
        }
    }

    fn consume(&mut self, messages: usize) {
        let consumer = ConsumerKey { node: 1, number: 1 };
        for _ in 0..messages / BATCH {
            let mut settles = Vec::with_capacity(BATCH);
            while let Some(delivery) = self.dispatcher.poll_delivery(&self.state, UnixMillis(1)) {
                assert!(matches!(delivery.key, MessageKey::Stored(_)));
                settles.push((delivery.key, Settlement::Accept));
            }
            let settles = self.dispatcher.settle_begin(consumer, &settles).expect("it holds them");
            let commands = vec![(None, Command::Settle { settles })];
            self.apply(&Batch { now: UnixMillis(1), commands });
        }
    }
}

fn main() {
    println!(
        "{:>10} {:>11} {:>14} {:>12} {:>14} {:>11}",
        "backlog", "message ns", "bytes/message", "snapshot µs", "with those ns", "restore µs"
    );
    for backlog in [1_000, 10_000, 100_000, 1_000_000] {
        let message = Arc::new(Message {
            id: "n1-1-1".into(),
            destination: Destination::queue("orders").expect("it is a name"),
            persistent: true,
            priority: 4,
            timestamp: UnixMillis(0),
            expires: None,
            correlation_id: None,
            reply_to: None,
            content_type: None,
            properties: Vec::new(),
            body: Body::Binary(vec![0; 200].into()),
        });
        let publish = (None, Command::Publish { message });
        let before = resident_bytes();
        let state = ShardState::new();
        let mut shard = Shard {
            dispatcher: Dispatcher::new(&state, 1, Limits::default()),
            state,
            publishes: Batch { now: UnixMillis(0), commands: vec![publish; BATCH] },
        };
        shard.publish(backlog);
        let bytes = resident_bytes().saturating_sub(before) / backlog;
        let consumer = ConsumerKey { node: 1, number: 1 };
        let queue = Destination::queue("orders").expect("it is a name");
        let wanted = Subscription::new(queue, BATCH as u32);
        shard.dispatcher.attach(consumer, wanted).expect("it is the first");
        let start = on_processor();
        shard.pass(ROUNDS);
        let message = (on_processor() - start).as_nanos() / (ROUNDS * BATCH) as u128;

        let start = on_processor();
        let snapshots: Vec<_> = (0..SNAPSHOTS).map(|_| shard.state.snapshot()).collect();
        let taken = (on_processor() - start).as_micros() / SNAPSHOTS as u128;
        drop(snapshots);

        let start = on_processor();
        for _ in 0..ROUNDS / ROUNDS_A_SNAPSHOT {
            let snapshot = shard.state.snapshot();
            shard.pass(ROUNDS_A_SNAPSHOT);
            drop(snapshot);
        }
        let with = (on_processor() - start).as_nanos() / (ROUNDS * BATCH) as u128;

        let snapshot = shard.state.snapshot();
        let start = on_processor();
        let restored = ShardState::restore(&snapshot).expect("it was just taken");
        let restore = (on_processor() - start).as_micros();
        assert_eq!(restored.applied(), shard.state.applied());
        println!("{backlog:>10} {message:>11} {bytes:>14} {taken:>12} {with:>14} {restore:>11}");
    }
}
