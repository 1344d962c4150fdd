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

/// Entries without gaps up to the log's end, about so many bytes of them.
#[derive(Debug)]
pub struct Recent {
    entries: VecDeque<AtHand>,
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
        Self { entries: VecDeque::new(), bytes: 0, limit }
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
    }

    fn at(&self, index: Index) -> Option<usize> {
        let first = self.entries.front()?.entry.id.index;
        usize::try_from(index.checked_sub(first)?).ok().filter(|at| *at < self.entries.len())
    }

    /// An entry, if it is at hand.
    pub fn get(&self, index: Index) -> Option<&Entry> {
        self.at(index).map(|at| &self.entries[at].entry)
    }

    /// Takes what was said to be in an entry's data.
    pub fn take_batch(&mut self, index: Index) -> Option<Arc<Batch>> {
        self.at(index).and_then(|at| self.entries[at].batch.take())
    }
}
