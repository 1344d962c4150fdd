//! One line of waiting messages and the consumers who take turns at it.
//!
//! A queue has one lane. A topic has one per subscriber, since each gets its own copies.
//!
//! Messages wait in order of priority, then of arrival. Almost all arrive at the end and leave from
//! the front, so they stand in a plain deque of 16 bytes each; the few that come back stand in an
//! ordered set beside it, and the next message is the earlier of the two fronts. A message may be
//! in both (it was adopted or about to expire while it stood in the deque): the set's goes first,
//! and by the time the deque's is met the message is in flight or gone, and it is passed over. So
//! are all whose message has gone meanwhile; when they may be half of the deque it is swept.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use super::types::ConsumerKey;
use crate::shard::{MessageRef, QueueId};

/// A lane of one dispatcher; numbers are not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LaneId(pub(super) u64);

/// A message of a lane and its place among the others: stored messages as they stand in the log,
/// volatile ones behind all that had been applied when they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    index: u64,
    offset: u32,
    /// The volatile message's number, or 0.
    volatile: u64,
}

impl Position {
    pub(super) fn stored(message: MessageRef) -> Self {
        Self { index: message.index, offset: message.offset, volatile: 0 }
    }

    /// The place of the volatile message `number` (from 1 on), which came when the log entry
    /// `after` had been applied.
    pub(super) fn volatile(after: u64, number: u64) -> Self {
        assert!(number > 0, "0 marks stored messages");
        Self { index: after, offset: u32::MAX, volatile: number }
    }

    pub(super) fn item(self) -> Item {
        match self.volatile {
            0 => Item::Stored { index: self.index, offset: self.offset },
            number => Item::Volatile { number },
        }
    }
}

/// A [`Position`] in 16 bytes: a volatile message's place is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Stored { index: u64, offset: u32 },
    Volatile { number: u64 },
}

const _: () = assert!(size_of::<Item>() == 16, "a backlog's memory is made of these");

/// The waiting messages of one priority.
#[derive(Debug, Default)]
struct Ready {
    fresh: VecDeque<Item>,
    returned: BTreeSet<Position>,
    /// How many in `fresh` may be of messages that are gone.
    stale: usize,
}

impl Ready {
    fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.returned.is_empty()
    }
}

/// Whose messages wait here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LaneKind {
    /// A queue's; without a number as long as the replicated state does not know it.
    Queue(Option<QueueId>),
    /// A topic subscriber's.
    Subscriber,
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) kind: LaneKind,
    /// The queue's name, or the subscriber's topic or pattern.
    pub(super) name: Arc<str>,
    ready: BTreeMap<Reverse<u8>, Ready>,
    /// Consumers that may be served, by turn. Those found without credit are not here but parked.
    rotation: BTreeMap<u64, ConsumerKey>,
    next_turn: u64,
    /// Whether the dispatcher has it on its list of lanes to be served.
    pub(super) active: bool,
    /// Consumers attached, parked ones included.
    pub(super) seats: usize,
    /// Messages that a consumer holds or held while its settlement is under way.
    pub(super) in_flight: usize,
    /// Volatile messages, in flight or not, and about how many bytes they take.
    pub(super) volatile: usize,
    pub(super) volatile_bytes: usize,
}

impl Lane {
    pub(super) fn new(kind: LaneKind, name: Arc<str>) -> Self {
        Self {
            kind,
            name,
            ready: BTreeMap::new(),
            rotation: BTreeMap::new(),
            next_turn: 0,
            active: false,
            seats: 0,
            in_flight: 0,
            volatile: 0,
            volatile_bytes: 0,
        }
    }

    pub(super) fn is_subscriber(&self) -> bool {
        self.kind == LaneKind::Subscriber
    }

    /// Adds a message that comes after all others of its priority.
    pub(super) fn push(&mut self, priority: u8, item: Item) {
        self.ready.entry(Reverse(priority)).or_default().fresh.push_back(item);
    }

    /// Puts a message back where it stood.
    pub(super) fn put_back(&mut self, priority: u8, position: Position) {
        self.ready.entry(Reverse(priority)).or_default().returned.insert(position);
    }

    /// Takes the next message. `place` says where a volatile message stands, `None` if it is gone.
    pub(super) fn pop(&mut self, place: impl Fn(u64) -> Option<Position>) -> Option<Position> {
        loop {
            let mut entry = self.ready.first_entry()?;
            match pop_first(entry.get_mut(), &place) {
                Some(position) => return Some(position),
                None => drop(entry.remove()),
            }
        }
    }

    /// Takes the oldest message of the lowest priority.
    pub(super) fn pop_least(
        &mut self,
        place: impl Fn(u64) -> Option<Position>,
    ) -> Option<Position> {
        loop {
            let mut entry = self.ready.last_entry()?;
            match pop_first(entry.get_mut(), &place) {
                Some(position) => return Some(position),
                None => drop(entry.remove()),
            }
        }
    }

    /// Whether a message waits, or one that has gone since.
    pub(super) fn has_ready(&self) -> bool {
        self.ready.values().any(|ready| !ready.is_empty())
    }

    /// A waiting message is gone. Sweeps when such ones may be the greater part.
    pub(super) fn note_gone(
        &mut self,
        priority: u8,
        position: Position,
        is_there: impl Fn(Item) -> bool,
    ) {
        let Some(ready) = self.ready.get_mut(&Reverse(priority)) else { return };
        ready.returned.remove(&position);
        ready.stale += 1;
        if ready.stale * 2 > ready.fresh.len() + 32 || ready.stale >= ready.fresh.len() {
            ready.fresh.retain(|item| is_there(*item));
            ready.fresh.shrink_to(ready.fresh.len() * 2);
            ready.stale = 0;
        }
        if ready.is_empty() {
            self.ready.remove(&Reverse(priority));
        }
    }

    /// Gives a consumer the last turn; returns its number.
    pub(super) fn seat(&mut self, consumer: ConsumerKey) -> u64 {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.rotation.insert(turn, consumer);
        turn
    }

    /// Takes a consumer's turn away.
    pub(super) fn unseat(&mut self, turn: u64) {
        assert!(self.rotation.remove(&turn).is_some(), "whoever has a turn is in the rotation");
    }

    /// Whose turn it is, and its number.
    pub(super) fn next_consumer(&self) -> Option<(u64, ConsumerKey)> {
        self.rotation.first_key_value().map(|(turn, consumer)| (*turn, *consumer))
    }

    /// Whether nothing would be lost with it.
    pub(super) fn is_idle(&self) -> bool {
        self.seats == 0 && self.in_flight == 0 && self.volatile == 0 && !self.has_ready()
    }
}

fn pop_first(ready: &mut Ready, place: impl Fn(u64) -> Option<Position>) -> Option<Position> {
    loop {
        let fresh = match ready.fresh.front() {
            None => return ready.returned.pop_first(),
            Some(Item::Stored { index, offset }) => {
                Position::stored(MessageRef { index: *index, offset: *offset })
            }
            Some(Item::Volatile { number }) => match place(*number) {
                Some(position) => position,
                None => {
                    ready.fresh.pop_front();
                    continue;
                }
            },
        };
        if ready.returned.first().is_some_and(|returned| *returned <= fresh) {
            return ready.returned.pop_first();
        }
        ready.fresh.pop_front();
        return Some(fresh);
    }
}
