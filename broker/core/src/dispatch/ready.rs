//! The waiting messages of one priority of a lane, in order of arrival.
//!
//! Almost all arrive at the end and leave from the front, so they stand in a plain deque of 16 bytes
//! each; the few that come back stand in an ordered set beside it, and the next message is the earlier
//! of the two fronts. A message may be in both (it was adopted or about to expire while it stood in the
//! deque, or a selector took it from the middle): the set's goes first, and by the time the deque's is
//! met the message is in flight or gone, and it is passed over. So are all whose message has gone
//! meanwhile; when they may be half of the deque it is swept.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, VecDeque},
};

use crate::shard::MessageRef;

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
    /// Before all messages.
    pub(super) const START: Self = Self { index: 0, offset: 0, volatile: 0 };

    /// Where in the log it is: of a volatile message, behind the entry that it came after.
    pub(super) fn log(self) -> MessageRef {
        MessageRef { index: self.index, offset: self.offset }
    }

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

/// Where a message stands in a lane: before all of lower priority, then in order of arrival.
pub(super) type Place = (Reverse<u8>, Position);

/// A [`Position`] in 16 bytes: a volatile message's place is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Stored { index: u64, offset: u32 },
    Volatile { number: u64 },
}

const _: () = assert!(size_of::<Item>() == 16, "a backlog's memory is made of these");

impl Item {
    fn position(self, place: impl Fn(u64) -> Option<Position>) -> Option<Position> {
        match self {
            Item::Stored { index, offset } => Some(Position::stored(MessageRef { index, offset })),
            Item::Volatile { number } => place(number),
        }
    }
}

/// The waiting messages of one priority.
#[derive(Debug, Default)]
pub(super) struct Ready {
    fresh: VecDeque<Item>,
    /// How many were taken off the front of `fresh`, so that each has a number there.
    taken: u64,
    returned: BTreeSet<Position>,
    /// How many in `fresh` may be of messages that are gone.
    stale: usize,
}

impl Ready {
    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.returned.is_empty()
    }

    /// The first of `fresh` from a number on, or from its front, that is not a volatile message that
    /// has gone: its number and its position.
    pub(super) fn fresh_from(
        &self,
        number: u64,
        place: impl Fn(u64) -> Option<Position>,
    ) -> Option<(u64, Position)> {
        let first = number.max(self.taken);
        let from = self.fresh.iter().skip((first - self.taken) as usize);
        (first..).zip(from).find_map(|(number, item)| Some((number, item.position(&place)?)))
    }

    /// Those of `fresh` from a number on, or from its front.
    pub(super) fn fresh_items(&self, number: u64) -> impl Iterator<Item = Item> + '_ {
        let from = number.max(self.taken) - self.taken;
        self.fresh.iter().skip(from as usize).copied()
    }

    /// Those that came back.
    pub(super) fn returned(&self) -> &BTreeSet<Position> {
        &self.returned
    }

    /// How many are in the deque, gone or not.
    #[cfg(test)]
    pub(super) fn fresh(&self) -> usize {
        self.fresh.len()
    }

    /// Adds one that comes after all others.
    pub(super) fn push(&mut self, item: Item) {
        self.fresh.push_back(item);
    }

    /// Puts one back where it stood.
    pub(super) fn put_back(&mut self, position: Position) {
        self.returned.insert(position);
    }

    /// The first.
    pub(super) fn first(&self, place: impl Fn(u64) -> Option<Position>) -> Option<Position> {
        let fresh = self.fresh.iter().find_map(|item| item.position(&place));
        fresh.into_iter().chain(self.returned.first().copied()).min()
    }

    /// Takes the first.
    pub(super) fn pop(&mut self, place: impl Fn(u64) -> Option<Position>) -> Option<Position> {
        loop {
            let Some(front) = self.fresh.front() else { return self.returned.pop_first() };
            let fresh = front.position(&place);
            if let Some(fresh) = fresh
                && self.returned.first().is_some_and(|returned| *returned <= fresh)
            {
                return self.returned.pop_first();
            }
            self.fresh.pop_front();
            self.taken += 1;
            if fresh.is_some() {
                return fresh;
            }
        }
    }

    /// One is taken from the middle, and stays in the deque if it stands there.
    pub(super) fn take(&mut self, position: Position) {
        self.returned.remove(&position);
    }

    /// One is gone.
    pub(super) fn count_gone(&mut self, position: Position) {
        self.returned.remove(&position);
        self.stale += 1;
    }

    /// Drops what is gone off the deque if that may be its greater part, and has `cursors` point where
    /// they pointed.
    pub(super) fn sweep<'a>(
        &mut self,
        is_there: impl Fn(Item) -> bool,
        cursors: impl Iterator<Item = &'a mut u64>,
    ) {
        if self.stale * 2 <= self.fresh.len() + 32 && self.stale < self.fresh.len() {
            return;
        }
        let mut cursors: Vec<&mut u64> = cursors.collect();
        cursors.sort_unstable();
        let mut cursors = cursors.into_iter().peekable();
        let (mut number, mut kept) = (self.taken, self.taken);
        self.fresh.retain(|item| {
            while let Some(cursor) = cursors.next_if(|cursor| **cursor <= number) {
                *cursor = kept;
            }
            let keeps = is_there(*item);
            number += 1;
            kept += u64::from(keeps);
            keeps
        });
        cursors.for_each(|cursor| *cursor = kept);
        self.fresh.shrink_to(self.fresh.len() * 2);
        self.stale = 0;
    }
}
