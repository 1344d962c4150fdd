//! What a replica wants done.

use crate::{
    message::Outgoing,
    types::{Entry, EntryId, Index, Membership, Vote},
};

/// What is to be done, in this order: write, in one piece; meanwhile send [`Ready::now`]; when it
/// is on the disk, with everything that was to be written before, send [`Ready::after`] and say
/// so by [`crate::Replica::persisted`].
#[derive(Debug, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(Clone))]
pub struct Ready {
    /// Counts what was asked for, from 1.
    pub number: u64,
    /// To be written, if it has changed.
    pub vote: Option<Vote>,
    /// A snapshot that takes the place of the whole log and of the state.
    pub snapshot: Option<(EntryId, Membership)>,
    /// The log is to be cut: this entry goes, and all behind it.
    pub truncate: Option<Index>,
    /// To be appended to the log.
    pub entries: Vec<Entry>,
    /// May be sent at once.
    pub now: Vec<Outgoing>,
    /// Promises what is written here, or before.
    pub after: Vec<Outgoing>,
}

impl Ready {
    /// Whether there is something to write.
    pub fn writes(&self) -> bool {
        self.vote.is_some()
            || self.snapshot.is_some()
            || self.truncate.is_some()
            || !self.entries.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.writes() && self.now.is_empty() && self.after.is_empty()
    }
}
