//! What is written in one piece, for one group or for several.

use std::{collections::BTreeSet, sync::MutexGuard};

use bytes::{Bytes, BytesMut};

use crate::{
    error::JournalError,
    format::{GroupId, Kind},
    shared::{Inner, Shared, Waiter},
};

/// Takes what belongs together; see [`Journal::write`](crate::Journal::write). Calls take effect, in
/// memory and on disk, in the order they are made.
pub struct Writing<'a> {
    shared: &'a Shared,
    inner: MutexGuard<'a, Inner>,
}

impl<'a> Writing<'a> {
    pub(crate) fn begin(shared: &'a Shared) -> Result<Self, JournalError> {
        let inner = shared.lock();
        inner.check()?;
        Ok(Self { shared, inner })
    }

    pub(crate) fn submit(mut self, done: Waiter) {
        self.shared.submit(&mut self.inner, done);
    }

    fn check(&self, group: GroupId) -> Result<(), JournalError> {
        match self.inner.index.damage(group) {
            Some(damage) => Err(JournalError::Damaged(damage.clone())),
            None => Ok(()),
        }
    }

    pub(crate) fn change(
        &mut self,
        group: GroupId,
        change: impl FnOnce(&mut Inner),
    ) -> Result<(), JournalError> {
        self.check(group)?;
        change(&mut self.inner);
        self.shared.put_state(&mut self.inner, group)
    }

    /// Appends an entry; `encode` writes its payload behind what is in the buffer. It can be read
    /// at once.
    ///
    /// # Panics
    ///
    /// When the index does not follow the one before.
    ///
    /// # Errors
    ///
    /// When the group is damaged, or the entry too large. What was written before stands.
    pub fn append(
        &mut self,
        group: GroupId,
        index: u64,
        encode: impl FnOnce(&mut BytesMut),
    ) -> Result<(), JournalError> {
        self.check(group)?;
        let location = self.shared.put(&mut self.inner, Kind::Entry, group, index, encode)?;
        self.inner.index.push(group, index, location);
        Ok(())
    }

    /// Forgets the log from `from` on.
    ///
    /// # Errors
    ///
    /// When the group is damaged.
    pub fn truncate(&mut self, group: GroupId, from: u64) -> Result<(), JournalError> {
        self.change(group, |inner| inner.index.truncate(group, from))
    }

    /// Begins the log at `start`. Of the entries that leave the log those that `keep` names stay
    /// readable by [`Group::read_entry`](crate::Group::read_entry), until
    /// [`Group::discard`](crate::Group::discard) or [`Group::sweep`](crate::Group::sweep). `mark` is
    /// the owner's name for the last purged entry.
    ///
    /// # Errors
    ///
    /// When the group is damaged.
    pub fn purge(
        &mut self,
        group: GroupId,
        start: u64,
        mark: Bytes,
        keep: impl FnMut(u64) -> bool,
    ) -> Result<(), JournalError> {
        self.change(group, |inner| {
            inner.index.purge(group, start, keep);
            inner.index.group(group).purged = mark;
        })?;
        self.shared.garbage.notify_one();
        Ok(())
    }

    /// Drops the log, which begins anew at `start`: a snapshot stands for all of it, and for more. What
    /// is retained stays, but for the entries in `dead`. `mark` is as in [`Writing::purge`].
    ///
    /// # Errors
    ///
    /// When the group is damaged.
    pub fn replace_log(
        &mut self,
        group: GroupId,
        start: u64,
        mark: Bytes,
        dead: &[u64],
    ) -> Result<(), JournalError> {
        // By itself: what leaves the log by its beginning is retained, and nothing of this is to be.
        self.truncate(group, 0)?;
        self.change(group, |inner| {
            inner.index.replace_log(group, start, dead);
            inner.index.group(group).purged = mark;
        })?;
        self.shared.garbage.notify_one();
        Ok(())
    }

    /// Remembers the vote.
    ///
    /// # Errors
    ///
    /// When the group is damaged.
    pub fn save_vote(&mut self, group: GroupId, vote: Bytes) -> Result<(), JournalError> {
        self.change(group, |inner| inner.index.group(group).vote = vote)
    }

    /// See [`Group::save_snapshot`](crate::Group::save_snapshot); `encode` writes the parts' numbers and
    /// the root.
    pub(crate) fn set_snapshot(
        &mut self,
        group: GroupId,
        parts: &BTreeSet<u64>,
        encode: impl FnOnce(&mut BytesMut),
    ) -> Result<(), JournalError> {
        self.check(group)?;
        let known = &self.inner.index.group(group).parts;
        assert!(parts.iter().all(|part| known.contains_key(part)), "a part is not there");
        let number = self.inner.index.next_part(group);
        let location = self.shared.put(&mut self.inner, Kind::Snapshot, group, number, encode)?;
        self.change(group, |inner| inner.index.set_snapshot(group, number, location, parts))
    }

    /// The group is whole again. Whatever was written before is durable with this.
    ///
    /// # Errors
    ///
    /// When the group is damaged.
    pub fn end_repair(&mut self, group: GroupId) -> Result<(), JournalError> {
        self.change(group, |inner| inner.index.group(group).repair = Bytes::new())
    }
}
