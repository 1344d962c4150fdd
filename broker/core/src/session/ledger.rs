//! The operations of a session that have no outcome yet.

use std::{collections::BTreeMap, time::Duration};

use crate::operation::OpTag;

/// What operations without an outcome wait for and what they cost. `P` says whom an outcome is for.
#[derive(Debug)]
pub(super) struct Ledger<P> {
    entries: BTreeMap<OpTag, Entry<P>>,
    /// Those that are in no hurry.
    held: BTreeMap<OpTag, Entry<P>>,
    bytes: usize,
    next: u64,
}

#[derive(Debug)]
struct Entry<P> {
    purpose: P,
    bytes: usize,
    asked_at: Duration,
}

impl<P> Default for Ledger<P> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), held: BTreeMap::new(), bytes: 0, next: 0 }
    }
}

impl<P> Ledger<P> {
    /// The tag of a new operation, which holds so many bytes of memory until its outcome. `now` is
    /// never before that of an earlier call.
    pub(super) fn open(&mut self, now: Duration, bytes: usize, purpose: P) -> OpTag {
        let tag = OpTag(self.next);
        self.next += 1;
        self.bytes += bytes;
        self.entries.insert(tag, Entry { purpose, bytes, asked_at: now });
        tag
    }

    /// An operation has its outcome. Whom that is for.
    ///
    /// # Panics
    ///
    /// If no such operation is open.
    pub(super) fn close(&mut self, tag: OpTag) -> P {
        let entry = self.entries.remove(&tag).or_else(|| self.held.remove(&tag));
        let entry = entry.expect("one outcome for each operation");
        self.bytes -= entry.bytes;
        entry.purpose
    }

    /// An open operation takes as long as it takes, and so is never the oldest.
    pub(super) fn hold(&mut self, tag: OpTag) {
        if let Some(entry) = self.entries.remove(&tag) {
            self.held.insert(tag, entry);
        }
    }

    /// An open operation that was held is as if it were opened now.
    pub(super) fn release(&mut self, now: Duration, tag: OpTag) {
        if let Some(entry) = self.held.remove(&tag) {
            self.entries.insert(tag, Entry { asked_at: now, ..entry });
        }
    }

    /// Whom the outcome of an open operation is for.
    pub(super) fn purpose(&self, tag: OpTag) -> Option<&P> {
        let entry = self.entries.get(&tag).or_else(|| self.held.get(&tag));
        entry.map(|entry| &entry.purpose)
    }

    /// Of the operation that has been open for the longest: whom its outcome is for, and since when.
    pub(super) fn oldest(&self) -> Option<(&P, Duration)> {
        let (_, oldest) = self.entries.first_key_value()?;
        Some((&oldest.purpose, oldest.asked_at))
    }

    /// Whether another operation may be opened, where so many, of so many bytes, are the most.
    pub(super) fn has_room(&self, max_operations: usize, max_bytes: usize) -> bool {
        self.entries.len() + self.held.len() < max_operations && self.bytes < max_bytes
    }

    /// Whether every operation has its outcome.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_operation_takes_room_until_its_outcome() {
        let mut ledger = Ledger::default();
        let first = ledger.open(seconds(0), 60, "first");
        assert!(ledger.has_room(2, 61) && !ledger.has_room(1, 61) && !ledger.has_room(2, 60));
        let second = ledger.open(seconds(0), 40, "second");
        assert!(!ledger.has_room(9, 100));
        assert_eq!(ledger.close(first), "first");
        assert!(ledger.has_room(2, 41) && !ledger.has_room(2, 40));
        assert_eq!(ledger.close(second), "second");
        assert!(ledger.is_empty() && ledger.has_room(1, 1));
    }

    #[test]
    fn the_oldest_is_the_one_that_was_opened_first_and_is_still_open() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.oldest(), None);
        let tags = [1, 2, 3].map(|at| ledger.open(seconds(at), 0, at));
        ledger.close(tags[1]);
        assert_eq!(ledger.oldest(), Some((&1, seconds(1))));
        ledger.close(tags[0]);
        assert_eq!(ledger.oldest(), Some((&3, seconds(3))));
        assert_eq!((ledger.purpose(tags[2]), ledger.purpose(tags[0])), (Some(&3), None));
    }

    #[test]
    fn what_is_held_takes_room_and_no_time() {
        let mut ledger = Ledger::default();
        let first = ledger.open(seconds(1), 60, "first");
        let second = ledger.open(seconds(2), 40, "second");
        ledger.hold(first);
        ledger.hold(first);
        assert_eq!(ledger.oldest(), Some((&"second", seconds(2))));
        assert!(!ledger.has_room(2, 999) && !ledger.has_room(9, 100) && !ledger.is_empty());
        ledger.release(seconds(7), first);
        assert_eq!(ledger.oldest(), Some((&"first", seconds(7))));
        ledger.hold(second);
        assert_eq!((ledger.close(second), ledger.close(first)), ("second", "first"));
        assert!(ledger.is_empty() && ledger.has_room(1, 1));
    }

    #[test]
    #[should_panic = "one outcome for each operation"]
    fn a_second_outcome_is_a_bug() {
        let mut ledger = Ledger::default();
        let tag = ledger.open(seconds(0), 0, ());
        ledger.close(tag);
        ledger.close(tag);
    }
}
