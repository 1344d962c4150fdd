//! Snapshots of layout 1, as they were before queues were bounded: no sizes, no bytes of queues, and
//! the cluster's view, if there is one, just follows.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU64,
    sync::Arc,
};

use paceline_membership::View;
use serde::Deserialize;

use crate::{
    bounds::Size,
    shard::{
        command::{MessageRef, QueueId, TransactionId},
        session::Session,
        tables::{self, Counters, Decision, Prepared},
    },
};

/// The first byte.
pub(super) const VERSION: u8 = 1;

#[derive(Deserialize)]
struct Stored {
    expires: Option<NonZeroU64>,
    queue: QueueId,
    priority: u8,
    rejected: u8,
    released: u8,
}

impl From<Stored> for tables::Stored {
    fn from(stored: Stored) -> Self {
        let Stored { expires, queue, priority, rejected, released } = stored;
        let size = Size::default();
        Self { body: None, expires, queue, priority, rejected, released, size }
    }
}

#[derive(Deserialize)]
struct Moved {
    stored: Stored,
    body_at: MessageRef,
    dead_after: Option<u8>,
}

impl From<Moved> for tables::Moved {
    fn from(Moved { stored, body_at, dead_after }: Moved) -> Self {
        Self { stored: stored.into(), body_at, dead_after }
    }
}

#[derive(Deserialize)]
struct Queue {
    name: Arc<str>,
    depth: u64,
    counters: Counters,
}

impl From<Queue> for tables::Queue {
    fn from(Queue { name, depth, counters }: Queue) -> Self {
        Self { name, depth, bytes: 0, counters, shut: BTreeSet::new() }
    }
}

#[derive(Deserialize)]
struct Tables {
    applied: u64,
    sessions: BTreeMap<u64, Session>,
    queues: BTreeMap<QueueId, Queue>,
    next_queue: u32,
    deleted: Counters,
    messages: BTreeMap<MessageRef, Stored>,
    moved: BTreeMap<MessageRef, Moved>,
    prepared: BTreeMap<TransactionId, Prepared>,
    decisions: BTreeMap<TransactionId, Decision>,
}

impl From<Tables> for tables::Tables {
    fn from(tables: Tables) -> Self {
        fn values<K: Ord, V: Into<W>, W>(table: BTreeMap<K, V>) -> BTreeMap<K, W> {
            table.into_iter().map(|(key, value)| (key, value.into())).collect()
        }
        Self {
            applied: tables.applied,
            sessions: tables.sessions,
            queues: values(tables.queues),
            next_queue: tables.next_queue,
            deleted: tables.deleted,
            messages: values(tables.messages),
            moved: values(tables.moved),
            prepared: tables.prepared,
            decisions: tables.decisions,
        }
    }
}

/// What stands behind the first byte, and the bytes that follow it. All messages count as empty.
pub(super) fn read(bytes: &[u8]) -> Result<(tables::Tables, Option<View>, &[u8]), postcard::Error> {
    let (tables, rest) = postcard::take_from_bytes::<Tables>(bytes)?;
    if rest.is_empty() {
        return Ok((tables.into(), None, rest));
    }
    let (view, rest) = postcard::take_from_bytes::<View>(rest)?;
    Ok((tables.into(), Some(view), rest))
}

/// All messages and where their bodies were written, by the log entry of that.
pub(super) fn unmeasured(tables: &tables::Tables) -> BTreeMap<u64, Vec<(MessageRef, MessageRef)>> {
    let mut entries = BTreeMap::<_, Vec<_>>::new();
    let moved = tables.moved.iter().map(|(message, moved)| (*message, moved.body_at));
    for (message, body_at) in
        tables.messages.keys().map(|message| (*message, *message)).chain(moved)
    {
        entries.entry(body_at.index).or_default().push((message, body_at));
    }
    entries
}

#[cfg(test)]
mod tests {
    use paceline_membership::{Founder, Layout};
    use paceline_placement::StrategyKind;

    use crate::{
        Message, UnixMillis,
        bounds::{Bound, WhenFull},
        operation::Settlement,
        shard::*,
        testing::{batch, message, publish},
    };

    /// What the last release of layout 1 wrote when it had applied [`story`].
    const WRITTEN: &str = "\
        010f0103020101010406046e6f6e65030001710103000101000101720202000000000205444c512e71010100\
        000000030000000000020180800401a846000400010180800800010400000208000002040000010001070d00\
        00010400000c00000103020105e8070b00012178787878787878787878787878787878787878787878787878\
        7878787878787878000171010400000000000000217878787878787878787878787878787878787878787878\
        7878787878787878787801018080080001030207010104";

    const SESSION: SessionId = SessionId { node: 3, incarnation: 2 };

    /// Entries 1, 2, … of a log: what they leave behind are two messages where they were written, of
    /// which one will expire and one is held by a prepared transaction, a dead letter, and one that
    /// came with the end of another transaction.
    fn story() -> Vec<Batch> {
        let sized = |queue, bytes| message(queue, &"x".repeat(bytes));
        let expiring = |bytes, at| Message { expires: Some(UnixMillis(at)), ..sized("q", bytes) };
        let first = |command| MessageRef::new(1, command, 0);
        let settle = |message, how| Command::Settle { settles: vec![(message, how)] };
        let transaction = |number| TransactionId { session: SESSION, number };
        let prepare = |number, publish: Message, settles| Command::Prepare {
            transaction: transaction(number),
            coordinator: 5,
            work: Work { publishes: vec![publish.into()], settles },
        };
        let mut batches = vec![batch([
            publish(sized("q", 5)),
            publish(expiring(100, 9_000)),
            publish(sized("r", 1_000)),
            publish(expiring(50, 2_000)),
        ])];
        batches
            .extend((0..=MAX_REDELIVERIES).map(|_| batch([settle(first(0), Settlement::Reject)])));
        batches.extend([
            batch([Command::Expire { as_of: UnixMillis(3_000), messages: vec![first(3)] }]),
            batch([settle(first(1), Settlement::Release)]),
            batch([prepare(1, sized("q", 33), vec![(first(2), Settlement::Accept)])]),
            batch([prepare(2, sized("r", 77), vec![])]),
            batch([Command::Finish { transaction: transaction(2), commit: true }]),
            batch([Command::Decide {
                transaction: transaction(7),
                commit: true,
                participants: vec![4],
            }]),
            batch([Command::Purge { queue: "none".into() }]),
        ]);
        batches.last_mut().unwrap().commands[0].0 = Some(Origin { session: SESSION, seq: 1 });
        batches
    }

    fn written() -> Vec<u8> {
        let digits = WRITTEN.as_bytes().chunks(2).map(|two| str::from_utf8(two).unwrap());
        digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect()
    }

    fn replayed() -> ShardState {
        let mut state = ShardState::new();
        for (index, batch) in (1..).zip(story()) {
            state.apply(index, &batch);
        }
        state
    }

    /// Which entries were asked for.
    fn measure(state: &mut ShardState) -> Vec<u64> {
        let mut asked = Vec::new();
        while let Some(index) = state.unmeasured() {
            state.measure(index, Some(&story()[index as usize - 1]));
            asked.push(index);
        }
        asked
    }

    #[test]
    fn what_is_restored_and_measured_is_what_the_log_gives() {
        let mut replayed = replayed();
        let mut restored = ShardState::restore(&written()).unwrap();
        assert_eq!(measure(&mut restored), [1, 12]);
        assert_eq!(restored.snapshot(), replayed.snapshot());
        assert_eq!(restored.digest(), replayed.digest());
        assert_eq!(restored.held("q"), (1, 104));
        assert_eq!(restored.held("r"), (2, 1_024 + 80));
        assert_eq!(restored.held("DLQ.q"), (1, 5));

        // And so they go on: what the transaction publishes takes 36 bytes.
        let within = |max_bytes| Command::PublishWithin {
            message: message("q", "12345").into(),
            again: false,
            bound: Arc::new(Bound {
                policy: "/queue/q".into(),
                max_messages: None,
                max_bytes: Some(max_bytes),
                when_full: WhenFull::Reject,
            }),
        };
        let transaction = TransactionId { session: SESSION, number: 1 };
        let finish = Command::Finish { transaction, commit: true };
        let next = batch([finish, within(144), within(145)]);
        let outcomes = restored.apply(16, &next).outcomes;
        assert!(matches!(
            outcomes[..],
            [Outcome::Done, Outcome::Refused(Refused::Full(_)), Outcome::Done]
        ));
        assert_eq!(replayed.apply(16, &next).outcomes, outcomes);
        assert_eq!(restored.digest(), replayed.digest());
        assert_eq!(restored.held("r"), (1, 80), "the transaction took the other");
    }

    #[test]
    fn messages_that_are_settled_already_need_not_be_measured() {
        let mut replayed = replayed();
        let mut restored = ShardState::restore(&written()).unwrap();
        restored.measure(12, None);
        assert_eq!(measure(&mut restored), [1]);
        assert_ne!(restored.digest(), replayed.digest());
        let settles = vec![(MessageRef::new(13, 0, 0), Settlement::Accept)];
        let next = batch([Command::Settle { settles }]);
        restored.apply(16, &next);
        replayed.apply(16, &next);
        assert_eq!(restored.digest(), replayed.digest());
    }

    #[test]
    fn the_clusters_view_follows_without_a_mark() {
        let layout = Layout { replicas: 1, slots: 4, strategy: StrategyKind::Slots };
        let founder = Founder { name: "a".into(), link: "a:1".into(), zone: None, weight: 1.0 };
        let view = View::founded(layout, [founder]).unwrap();
        let bytes = postcard::to_io(&view, written()).unwrap();
        let mut restored = ShardState::restore(&bytes).unwrap();
        measure(&mut restored);
        assert_eq!(restored.view().map(|view| &**view), Some(&view));
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(ShardState::restore(&longer), Err(RestoreError::Inconsistent(_))));
    }

    #[test]
    fn damaged_bytes_do_no_harm() {
        let good = written();
        for at in 1..good.len() {
            assert!(ShardState::restore(&good[..at]).is_err(), "cut at {at}");
            let mut damaged = good.clone();
            damaged[at] ^= 1;
            if let Ok(mut state) = ShardState::restore(&damaged) {
                while let Some(index) = state.unmeasured() {
                    state.measure(index, None);
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "knows how large its messages are")]
    fn nothing_is_applied_before_all_is_measured() {
        let mut restored = ShardState::restore(&written()).unwrap();
        restored.measure(1, Some(&story()[0]));
        restored.apply(16, &batch([]));
    }
}
