//! The Raft log on the journal, with its latest entries at hand.

use std::{
    collections::VecDeque,
    fmt::Debug,
    ops::{Bound, RangeBounds},
    sync::{Arc, Mutex, MutexGuard},
};

use openraft::{
    AnyError, ErrorSubject, ErrorVerb, LogId, LogState, OptionalSend, RaftLogReader, StorageError,
    StorageIOError, Vote,
    log_id::RaftLogId,
    storage::{LogFlushed, RaftLogStorage},
};
use paceline_reached::{Point, reached};
use paceline_store::{Group, JournalError};
use tokio::sync::watch;

use super::{
    StorageOptions,
    encoding::{Entry, decode, decode_entry, encode, encode_into},
    failed,
};
use crate::replication::{Machine, TypeConfig};

/// The log of one shard on this node.
pub struct LogStore {
    reader: LogReader,
    machine: Arc<Machine>,
    /// Whether the state machine is being given a leader's snapshot.
    receiving: watch::Receiver<bool>,
}

/// Reads the log; clones share the entries at hand.
#[derive(Clone)]
pub struct LogReader {
    group: Group,
    options: StorageOptions,
    recent: Arc<Mutex<Recent>>,
}

/// The log's latest entries, without gaps up to its end.
#[derive(Default)]
struct Recent {
    entries: VecDeque<(Entry, usize)>,
    bytes: usize,
}

impl Recent {
    fn push(&mut self, entry: Entry, bytes: usize, limit: usize) {
        self.truncate(entry.log_id.index);
        self.entries.push_back((entry, bytes));
        self.bytes += bytes;
        while self.bytes > limit && self.entries.len() > 1 {
            self.bytes -= self.entries.pop_front().map_or(0, |(_, bytes)| bytes);
        }
    }

    fn truncate(&mut self, from: u64) {
        while self.entries.back().is_some_and(|(entry, _)| entry.log_id.index >= from) {
            self.bytes -= self.entries.pop_back().map_or(0, |(_, bytes)| bytes);
        }
    }

    fn purge(&mut self, start: u64) {
        while self.entries.front().is_some_and(|(entry, _)| entry.log_id.index < start) {
            self.bytes -= self.entries.pop_front().map_or(0, |(_, bytes)| bytes);
        }
    }

    fn first(&self) -> Option<u64> {
        self.entries.front().map(|(entry, _)| entry.log_id.index)
    }
}

impl LogStore {
    pub(super) fn new(
        group: Group,
        machine: Arc<Machine>,
        receiving: watch::Receiver<bool>,
        options: StorageOptions,
    ) -> Self {
        Self { reader: LogReader { group, options, recent: Arc::default() }, machine, receiving }
    }
}

impl LogReader {
    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().expect("no holder panics")
    }

    /// Entries of `start..end` that are in the log, about `max_bytes` of them, but at least one.
    async fn entries(
        &self,
        start: u64,
        end: u64,
        max_bytes: u64,
    ) -> Result<Vec<Entry>, StorageError<u64>> {
        let log = self.group.range();
        let (start, end) = (start.max(log.start), end.min(log.end));
        let mut entries = Vec::new();
        if start >= end {
            return Ok(entries);
        }
        let at_hand = self.recent().first().unwrap_or(end).clamp(start, end);
        let mut bytes = 0;
        if start < at_hand {
            reached(Point::EntriesReadBack);
            let index_of_error = start;
            let failed = |error: JournalError| {
                StorageIOError::read_log_at_index(index_of_error, AnyError::new(&error))
            };
            for record in self.group.read(start..at_hand, max_bytes).await.map_err(failed)? {
                bytes += record.payload.len() as u64;
                let malformed =
                    |error| StorageIOError::read_log_at_index(record.index, AnyError::new(&error));
                entries.push(decode_entry(&record.payload).map_err(malformed)?);
            }
        }
        let recent = self.recent();
        let next = start + entries.len() as u64;
        let skip = recent.first().map_or(0, |first| next.saturating_sub(first));
        for (index, (entry, length)) in (next..end).zip(recent.entries.iter().skip(skip as usize)) {
            if entry.log_id.index != index || (bytes >= max_bytes && bytes > 0) {
                break;
            }
            entries.push(entry.clone());
            bytes += *length as u64;
        }
        Ok(entries)
    }

    async fn log_id(&self, index: u64) -> Result<Option<LogId<u64>>, StorageError<u64>> {
        Ok(self.entries(index, index + 1, 1).await?.first().map(|entry| entry.log_id))
    }
}

impl RaftLogReader<TypeConfig> for LogReader {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError<u64>> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        self.entries(start, end, u64::MAX).await
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError<u64>> {
        self.entries(start, end, self.options.read_bytes).await
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError<u64>> {
        self.reader.try_get_log_entries(range).await
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError<u64>> {
        self.reader.limited_get_log_entries(start, end).await
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError<u64>> {
        let read = || failed(ErrorSubject::Logs, ErrorVerb::Read);
        let last_purged_log_id = decode(&self.reader.group.purged()).map_err(read())?;
        let log = self.reader.group.range();
        let last_log_id = match log.is_empty() {
            true => last_purged_log_id,
            false => self.reader.log_id(log.end - 1).await?,
        };
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        self.reader.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<(), StorageError<u64>> {
        let write = || failed(ErrorSubject::Vote, ErrorVerb::Write);
        let durable = self.reader.group.save_vote(encode(vote)).map_err(write())?;
        durable.await.map_err(write())
    }

    /// The vote is read as one that is not committed: openraft takes up a leadership at once whose
    /// committed vote it finds, in the same term. A term would then have entries that the leader's
    /// task of this life knows nothing of. So a restarted leader has to be elected again.
    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>, StorageError<u64>> {
        let vote: Option<Vote<u64>> = decode(&self.reader.group.vote())
            .map_err(failed(ErrorSubject::Vote, ErrorVerb::Read))?;
        Ok(vote.map(|vote| Vote { committed: false, ..vote }))
    }

    async fn save_committed(
        &mut self,
        committed: Option<LogId<u64>>,
    ) -> Result<(), StorageError<u64>> {
        if let Some(committed) = committed {
            self.reader.group.hint_committed(encode(&committed));
        }
        Ok(())
    }

    /// The mark is set while a snapshot is being installed, and may reach the disk before the snapshot
    /// does. It then speaks of entries that this log does not have, and is worth nothing.
    async fn read_committed(&mut self) -> Result<Option<LogId<u64>>, StorageError<u64>> {
        let committed: Option<LogId<u64>> = decode(&self.reader.group.committed())
            .map_err(failed(ErrorSubject::Logs, ErrorVerb::Read))?;
        let Some(committed) = committed else { return Ok(None) };
        let in_log = self.reader.log_id(committed.index).await?;
        Ok(in_log.filter(|log_id| *log_id == committed))
    }

    /// Returns, and calls back, when the entries can be read. openraft would replicate nothing and
    /// take no further entries before a callback that waited for the disk; so what must not be
    /// said, done or counted before the entries are durable waits for that itself, see
    /// `docs/decisions/0015-a-leader-replicates-while-its-disk-syncs.md`.
    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError<u64>>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let LogReader { group, options, .. } = &self.reader;
        let mut recent = self.reader.recent();
        let entries = entries.into_iter().map(|entry| (entry.get_log_id().index, entry));
        let appended = group.append_with(
            entries,
            |entry, out| {
                let before = out.len();
                encode_into(&entry, out);
                recent.push(entry, out.len() - before, options.cache_bytes);
            },
            drop,
        );
        if appended.is_err() {
            // The entry that failed is at hand but not in the log.
            recent.truncate(group.range().end);
        }
        appended.map_err(failed(ErrorSubject::Logs, ErrorVerb::Write))?;
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    /// Need not wait for the disk: an entry appended later, which others are told of, makes this
    /// durable with it.
    async fn truncate(&mut self, log_id: LogId<u64>) -> Result<(), StorageError<u64>> {
        reached(Point::LogTruncated);
        let mut recent = self.reader.recent();
        recent.truncate(log_id.index);
        let truncated = self.reader.group.truncate(log_id.index);
        truncated.map(drop).map_err(failed(ErrorSubject::Logs, ErrorVerb::Delete))
    }

    /// Need not wait for the disk: nobody is told.
    ///
    /// openraft asks for this as soon as a leader's snapshot is here, while the state machine has
    /// only begun to install it. A crash in between would leave neither the entries nor the snapshot
    /// that stands for them, so this waits for it.
    async fn purge(&mut self, log_id: LogId<u64>) -> Result<(), StorageError<u64>> {
        if self.machine.last_applied() < Some(log_id) && *self.receiving.borrow() {
            let _ = self.receiving.wait_for(|receiving| !receiving).await;
            if self.machine.last_applied() < Some(log_id) {
                let error = AnyError::error("the snapshot was not installed");
                return Err(
                    StorageIOError::new(ErrorSubject::Logs, ErrorVerb::Delete, error).into()
                );
            }
        }
        reached(Point::LogPurged);
        let mut recent = self.reader.recent();
        recent.purge(log_id.index + 1);
        let purged = self.machine.with_state(|state| {
            let keep = |index| state.is_live(index);
            self.reader.group.purge(log_id.index + 1, encode(&log_id), keep)
        });
        purged.map(drop).map_err(failed(ErrorSubject::Logs, ErrorVerb::Delete))
    }
}
