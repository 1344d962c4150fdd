//! The latest entries of a log, at hand for sending and applying.

use std::{collections::VecDeque, sync::Arc};

use paceline_consensus::{Entry, Index, Payload};
use paceline_core::shard::Batch;

#[derive(Debug)]
struct AtHand {
    entry: Entry,
    /// What its data says, where this node has made it.
    batch: Option<Arc<Batch>>,
}

/// Entries without gaps up to the log's end, about so many bytes of them; and before them what was
/// read to be applied next.
#[derive(Debug)]
pub struct Recent {
    entries: VecDeque<AtHand>,
    read: VecDeque<Entry>,
    bytes: usize,
    limit: usize,
}

fn bytes_of(entry: &Entry) -> usize {
    match &entry.payload {
        Payload::Data(data) => 64 + data.len(),
        _ => 64,
    }
}

impl Recent {
    /// Of a log of which nothing is at hand.
    pub fn new(limit: usize) -> Self {
        Self { entries: VecDeque::new(), read: VecDeque::new(), bytes: 0, limit }
    }

    /// The log's new end.
    pub fn push(&mut self, entry: Entry, batch: Option<Arc<Batch>>) {
        debug_assert!(
            self.entries.back().is_none_or(|last| { last.entry.id.index + 1 == entry.id.index })
        );
        self.bytes += bytes_of(&entry);
        self.entries.push_back(AtHand { entry, batch });
        while self.bytes > self.limit && self.entries.len() > 1 {
            self.bytes -= self.entries.pop_front().map_or(0, |first| bytes_of(&first.entry));
        }
    }

    /// How many bytes are at hand, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lets go of the oldest until so many bytes are left, of entries up to `upto` only.
    pub fn shed(&mut self, bytes: usize, upto: Index) {
        while self.bytes > bytes
            && self.entries.front().is_some_and(|first| first.entry.id.index <= upto)
        {
            self.bytes -= self.entries.pop_front().map_or(0, |first| bytes_of(&first.entry));
        }
    }

    /// The log was cut: this entry is gone, and what stood behind it.
    pub fn truncate(&mut self, from: Index) {
        while self.entries.back().is_some_and(|last| last.entry.id.index >= from) {
            self.bytes -= self.entries.pop_back().map_or(0, |last| bytes_of(&last.entry));
        }
        while self.read.back().is_some_and(|last| last.id.index >= from) {
            self.read.pop_back();
        }
    }

    /// Committed entries that were read to be applied, in place of those that were before.
    pub fn lay_by(&mut self, read: Vec<Entry>) {
        self.read = read.into();
    }

    /// What was read is wanted no more, up to here.
    pub fn pass(&mut self, upto: Index) {
        while self.read.front().is_some_and(|first| first.id.index <= upto) {
            self.read.pop_front();
        }
    }

    fn at(&self, index: Index) -> Option<usize> {
        let first = self.entries.front()?.entry.id.index;
        usize::try_from(index.checked_sub(first)?).ok().filter(|at| *at < self.entries.len())
    }

    /// An entry, if it is at hand.
    pub fn get(&self, index: Index) -> Option<&Entry> {
        let read = || {
            let first = self.read.front()?.id.index;
            let read = self.read.get(usize::try_from(index.checked_sub(first)?).ok()?);
            read.filter(|entry| entry.id.index == index)
        };
        self.at(index).map(|at| &self.entries[at].entry).or_else(read)
    }

    /// Takes what was said to be in an entry's data.
    pub fn take_batch(&mut self, index: Index) -> Option<Arc<Batch>> {
        self.at(index).and_then(|at| self.entries[at].batch.take())
    }
}

#[cfg(test)]
mod tests {
    use paceline_consensus::EntryId;

    use super::*;

    fn entry(index: Index) -> Entry {
        Entry { id: EntryId::new(1, index), payload: Payload::Data(vec![0; 36].into()) }
    }

    fn at_hand(recent: &Recent) -> Vec<Index> {
        (0..20).filter(|index| recent.get(*index).is_some()).collect()
    }

    #[test]
    fn what_was_read_is_at_hand_until_it_is_passed() {
        let mut recent = Recent::new(300);
        (7..=10).for_each(|index| recent.push(entry(index), None));
        assert_eq!((at_hand(&recent), recent.bytes()), (vec![8, 9, 10], 300));
        recent.lay_by(vec![entry(3), entry(4), entry(5)]);
        assert_eq!(at_hand(&recent), [3, 4, 5, 8, 9, 10]);
        recent.pass(4);
        assert_eq!(at_hand(&recent), [5, 8, 9, 10]);
        recent.lay_by(vec![entry(6), entry(7)]);
        assert_eq!(at_hand(&recent), [6, 7, 8, 9, 10]);
    }

    /// A snapshot may come between the reading of entries and their application.
    #[test]
    fn what_was_read_goes_with_the_log() {
        let mut recent = Recent::new(300);
        recent.push(entry(9), None);
        recent.lay_by(vec![entry(3), entry(4)]);
        recent.truncate(4);
        assert_eq!(at_hand(&recent), [3]);
        recent.truncate(0);
        assert_eq!((at_hand(&recent), recent.bytes()), (vec![], 0));
    }
}
