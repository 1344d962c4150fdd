//! What a message costs, in time and memory, when many others wait before it.
//!
//! `cargo bench -p paceline-core --bench backlog` fills a queue, evicts the bodies, and then measures
//! publish, delivery and settlement at the given depth. The cost per message should be the same in
//! every row, and the memory below 100 bytes.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a bench has a clock")]

use std::{sync::Arc, time::Instant};

use paceline_core::{
    Body, Destination, Message, UnixMillis,
    dispatch::{ConsumerKey, Dispatcher, Limits, MessageKey},
    operation::{Settlement, Subscription},
    shard::{Batch, Command, ShardState},
};

const BATCH: usize = 64;
const MEASURED: usize = 1_000 * BATCH;

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
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
    println!("{:>10} {:>12} {:>12} {:>14}", "backlog", "publish ns", "consume ns", "bytes/message");
    for backlog in [1_000, 10_000, 100_000, 1_000_000, 10_000_000] {
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
        let start = Instant::now();
        shard.publish(MEASURED);
        let publish = start.elapsed().as_nanos() / MEASURED as u128;
        let consumer = ConsumerKey { node: 1, number: 1 };
        let queue = Destination::queue("orders").expect("it is a name");
        let wanted = Subscription::new(queue, BATCH as u32);
        shard.dispatcher.attach(consumer, wanted).expect("it is the first");
        let start = Instant::now();
        shard.consume(MEASURED);
        let consume = start.elapsed().as_nanos() / MEASURED as u128;
        println!("{backlog:>10} {publish:>12} {consume:>12} {bytes:>14}");
    }
}
