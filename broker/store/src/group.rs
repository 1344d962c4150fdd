//! One group's part of the journal: its log, its vote, its snapshot.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Arc, MutexGuard},
};

use bytes::{BufMut, Bytes, BytesMut};
use paceline_runtime::disk::File;

use crate::{
    error::{Damage, JournalError},
    format::{
        GroupId, Kind, Place, RECORD_HEADER_BYTES, RecordHeader, Salt, decode_parts, encode_parts,
        segment_name,
    },
    index::{Index, Location},
    shared::{Durable, Handle, Inner, Shared},
    writing::Writing,
};

/// Records closer together than this are read in one go.
const READ_GAP_BYTES: u32 = 4 << 10;

/// The most that is read in one go.
const READ_RUN_BYTES: u32 = 1 << 20;

/// An entry read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its log index.
    pub index: u64,
    /// As it was appended.
    pub payload: Bytes,
}

/// One group's log, vote and snapshot. Calls take effect, in memory and on disk, in the order they
/// are made.
#[derive(Clone)]
pub struct Group {
    journal: Arc<Handle>,
    id: GroupId,
}

impl Group {
    pub(crate) fn new(journal: Arc<Handle>, id: GroupId) -> Self {
        Self { journal, id }
    }

    /// The group's number.
    pub fn id(&self) -> GroupId {
        self.id
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.journal.shared
    }

    /// What this group has lost, if anything. As long as it says something the group takes no
    /// writes, and must neither vote nor serve; [`Group::reset`] ends that.
    pub fn damage(&self) -> Option<Damage> {
        self.shared().lock().index.damage(self.id).cloned()
    }

    /// The indices in the log: purged ones are below, and the end is not included.
    pub fn range(&self) -> Range<u64> {
        let inner = self.shared().lock();
        inner.index.groups.get(&self.id).map_or(0..0, |group| group.start..group.end())
    }

    /// The owner's name for the last purged entry; empty for none.
    pub fn purged(&self) -> Bytes {
        self.with(|group| group.purged.clone())
    }

    /// The last vote saved; empty for none.
    pub fn vote(&self) -> Bytes {
        self.with(|group| group.vote.clone())
    }

    /// The last commit mark; empty for none.
    pub fn committed(&self) -> Bytes {
        self.with(|group| group.committed.clone())
    }

    /// Purged entries that are kept, in order.
    pub fn retained(&self) -> Vec<u64> {
        self.with(|group| group.retained.keys().copied().collect())
    }

    /// The first of the purged entries that are kept from `from` on, `most` at most, in order.
    pub fn retained_from(&self, from: u64, most: usize) -> Vec<u64> {
        self.with(|group| {
            group.retained.range(from..).map(|(index, _)| *index).take(most).collect()
        })
    }

    fn with<T: Default>(&self, read: impl FnOnce(&crate::index::GroupIndex) -> T) -> T {
        self.shared().lock().index.groups.get(&self.id).map(read).unwrap_or_default()
    }

    fn writable<'a>(&self, shared: &'a Shared) -> Result<MutexGuard<'a, Inner>, JournalError> {
        let inner = shared.lock();
        inner.check()?;
        match inner.index.damage(self.id) {
            Some(damage) => Err(JournalError::Damaged(damage.clone())),
            None => Ok(inner),
        }
    }

    /// Appends entries that are encoded already.
    ///
    /// # Panics
    ///
    /// When an index does not follow the one before.
    ///
    /// # Errors
    ///
    /// As for every write; entries before the failing one stay appended.
    pub fn append(&self, entries: &[Entry]) -> Result<Durable, JournalError> {
        self.write(|writing| {
            entries.iter().try_for_each(|Entry { index, payload }| {
                writing.append(self.id, *index, |out| out.put_slice(payload))
            })
        })
    }

    /// Forgets the log from `from` on.
    ///
    /// # Errors
    ///
    /// As for every write.
    pub fn truncate(&self, from: u64) -> Result<Durable, JournalError> {
        self.write(|writing| writing.truncate(self.id, from))
    }

    /// See [`Writing::purge`].
    ///
    /// # Errors
    ///
    /// As for every write.
    pub fn purge(
        &self,
        start: u64,
        mark: Bytes,
        keep: impl FnMut(u64) -> bool,
    ) -> Result<Durable, JournalError> {
        self.write(|writing| writing.purge(self.id, start, mark, keep))
    }

    /// Lets go of entries below the log's start; others are passed over. Costs no write: after a
    /// crash they may be back, until the next [`Group::sweep`].
    pub fn discard(&self, indices: &[u64]) {
        let mut inner = self.shared().lock();
        let mut emptied = false;
        for index in indices {
            emptied |= inner.index.discard(self.id, *index);
        }
        drop(inner);
        if emptied {
            self.shared().garbage.notify_one();
        }
    }

    /// Lets go of all retained entries but those that `keep` names. To be called once after the
    /// journal was opened, since recovery does not know what was discarded before.
    pub fn sweep(&self, keep: impl FnMut(u64) -> bool) {
        self.shared().lock().index.sweep(self.id, keep);
        self.shared().garbage.notify_one();
    }

    /// Stores entries that came with a snapshot, below or beyond the log.
    pub fn retain(&self, entries: &[Entry]) -> Result<Durable, JournalError> {
        let shared = self.shared();
        let mut inner = self.writable(shared)?;
        for Entry { index, payload } in entries {
            let put = |out: &mut BytesMut| out.put_slice(payload);
            let location = shared.put(&mut inner, Kind::Retained, self.id, *index, put)?;
            inner.index.retain(self.id, *index, location);
        }
        let (waiter, durable) = Durable::new();
        shared.submit(&mut inner, waiter);
        Ok(durable)
    }

    /// See [`Writing::replace_log`].
    ///
    /// # Errors
    ///
    /// As for every write.
    pub fn replace_log(
        &self,
        start: u64,
        mark: Bytes,
        dead: &[u64],
    ) -> Result<Durable, JournalError> {
        self.write(|writing| writing.replace_log(self.id, start, mark, dead))
    }

    /// Remembers the vote.
    ///
    /// # Errors
    ///
    /// As for every write.
    pub fn save_vote(&self, vote: Bytes) -> Result<Durable, JournalError> {
        self.write(|writing| writing.save_vote(self.id, vote))
    }

    /// Remembers how far the log is known to be committed. Costs no write of its own: it goes with
    /// the group's next state record, at the latest when the journal is closed.
    pub fn hint_committed(&self, mark: Bytes) {
        let mut inner = self.shared().lock();
        let group = inner.index.group(self.id);
        group.committed = mark;
        group.state_lags = true;
    }

    fn write(
        &self,
        write: impl FnOnce(&mut Writing) -> Result<(), JournalError>,
    ) -> Result<Durable, JournalError> {
        let mut writing = Writing::begin(self.shared())?;
        let written = write(&mut writing);
        let (waiter, durable) = Durable::new();
        writing.submit(waiter);
        written.map(|()| durable)
    }

    /// Forgets everything of the group, damage included, so that it can be filled from its peers.
    /// It has then forgotten its vote as well: it must not vote before a leader has brought it up
    /// to date. `repair` is what the owner must not forget until then; it is written with the same
    /// record, so that no crash comes in between, and stands until [`Group::end_repair`].
    pub fn reset(&self, repair: Bytes) -> Result<Durable, JournalError> {
        let shared = self.shared();
        let mut inner = shared.lock();
        inner.check()?;
        // The next record's place is not known before it is written; the buffer's end is as good:
        // nothing of this group can stand between the two.
        let at = Place { segment: inner.segment, offset: inner.base + inner.pending.len() as u32 };
        inner.index.reset(self.id, at, repair);
        shared.put_state(&mut inner, self.id)?;
        let (waiter, durable) = Durable::new();
        shared.submit(&mut inner, waiter);
        shared.garbage.notify_one();
        Ok(durable)
    }

    /// What [`Group::reset`] was given, as long as the repair has not ended; empty otherwise.
    pub fn repair(&self) -> Bytes {
        self.with(|group| group.repair.clone())
    }

    /// The group is whole again. Whatever was written before is durable with this.
    pub fn end_repair(&self) -> Result<Durable, JournalError> {
        self.write(|writing| writing.end_repair(self.id))
    }

    /// Writes parts of a snapshot that is to come: [`Group::save_snapshot`] is to name them. Gives
    /// their numbers. They are on the disk before it.
    ///
    /// # Errors
    ///
    /// As for every write; parts that no snapshot names go with the next one.
    pub fn put_parts(&self, parts: &[Bytes]) -> Result<(Vec<u64>, Durable), JournalError> {
        let shared = self.shared();
        let mut inner = self.writable(shared)?;
        let mut numbers = Vec::with_capacity(parts.len());
        for part in parts {
            let number = inner.index.next_part(self.id);
            let put = |out: &mut BytesMut| out.put_slice(part);
            let location = shared.put(&mut inner, Kind::Part, self.id, number, put)?;
            inner.index.put_part(self.id, number, location);
            numbers.push(number);
        }
        let (waiter, durable) = Durable::new();
        shared.submit(&mut inner, waiter);
        Ok((numbers, durable))
    }

    /// Makes of these parts, and of `root`, the group's snapshot. A part of the snapshot before may be
    /// in this one again; the others go. Until it is durable, the one before stands.
    ///
    /// # Panics
    ///
    /// When there is no such part.
    ///
    /// # Errors
    ///
    /// As for every write.
    pub fn save_snapshot(&self, root: &[u8], parts: &[u64]) -> Result<Durable, JournalError> {
        let named = BTreeSet::from_iter(parts.iter().copied());
        let durable = self.write(|writing| {
            let put = |out: &mut BytesMut| {
                encode_parts(parts, out);
                out.put_slice(root);
            };
            writing.set_snapshot(self.id, &named, put)
        })?;
        self.shared().garbage.notify_one();
        Ok(durable)
    }

    /// The current snapshot's root, and the numbers of its parts.
    ///
    /// # Errors
    ///
    /// [`JournalError::Damaged`] when it cannot be read as written.
    pub async fn load_snapshot(&self) -> Result<Option<(Bytes, Vec<u64>)>, JournalError> {
        let number = self.with(|group| group.snapshot.number);
        if number == 0 {
            return Ok(None);
        }
        let find = |journal: &Index| journal.groups.get(&self.id)?.snapshot.location;
        let payload = self.read_record(number, find).await?;
        let (parts, root) = decode_parts(&payload).expect("recovery has read it");
        Ok(Some((payload.slice_ref(root), parts)))
    }

    /// A part of the current snapshot.
    ///
    /// # Errors
    ///
    /// [`JournalError::Missing`], or [`JournalError::Damaged`].
    pub async fn load_part(&self, number: u64) -> Result<Bytes, JournalError> {
        let find = |journal: &Index| journal.groups.get(&self.id)?.parts.get(&number).copied();
        self.read_record(number, find).await
    }

    /// One entry, whether it is in the log or retained below it.
    ///
    /// # Errors
    ///
    /// [`JournalError::Missing`], or [`JournalError::Damaged`].
    pub async fn read_entry(&self, index: u64) -> Result<Bytes, JournalError> {
        let find = |journal: &Index| journal.groups.get(&self.id)?.entry(index);
        self.read_record(index, find).await
    }

    /// Entries of the log, in order, starting at `range.start`; stops early after about
    /// `max_bytes`, but never before the first one.
    ///
    /// # Errors
    ///
    /// [`JournalError::Damaged`]. Indices that are not in the log are left out.
    pub async fn read(
        &self,
        range: Range<u64>,
        max_bytes: u64,
    ) -> Result<Vec<Entry>, JournalError> {
        let mut entries = Vec::new();
        let in_log = self.range();
        let mut next = range.start.max(in_log.start);
        let end = range.end.min(in_log.end);
        let mut bytes = 0;
        while next < end && bytes < max_bytes {
            let run = self.run(next, end, max_bytes - bytes);
            let found = self.read_run(next, &run).await?;
            if found.is_empty() {
                // Something moved in the meantime; one at a time finds it.
                let find = |journal: &Index| journal.groups.get(&self.id)?.log_entry(next);
                let payload = match self.read_record(next, find).await {
                    Err(JournalError::Missing { .. }) => break,
                    payload => payload?,
                };
                bytes += payload.len() as u64;
                entries.push(Entry { index: next, payload });
                next += 1;
                continue;
            }
            next += found.len() as u64;
            bytes += found.iter().map(|entry| entry.payload.len() as u64).sum::<u64>();
            entries.extend(found);
        }
        Ok(entries)
    }

    /// Entries from `next` on that stand close together in one segment.
    fn run(&self, next: u64, end: u64, max_bytes: u64) -> Vec<Location> {
        let mut run: Vec<Location> = Vec::new();
        let inner = self.shared().lock();
        let Some(group) = inner.index.groups.get(&self.id) else { return run };
        for location in (next..end).map_while(|index| group.log_entry(index)) {
            if let (Some(first), Some(last)) = (run.first(), run.last()) {
                let (first, from, to) = (first.place, last.place, location.place);
                let from_end = from.offset + last.bytes;
                let near = first.segment == to.segment
                    && to.offset >= from_end
                    && to.offset - from_end <= READ_GAP_BYTES
                    && to.offset + location.bytes - first.offset <= READ_RUN_BYTES
                    && u64::from(to.offset - first.offset) < max_bytes;
                if !near {
                    break;
                }
            }
            run.push(location);
        }
        run
    }

    /// Reads a run with one read; fewer entries than asked for, or none, when something is not
    /// where it was.
    async fn read_run(&self, first: u64, run: &[Location]) -> Result<Vec<Entry>, JournalError> {
        let (Some(head), Some(tail)) = (run.first(), run.last()) else { return Ok(Vec::new()) };
        let segment = head.place.segment;
        let file = {
            let inner = self.shared().lock();
            let in_memory: Vec<_> =
                run.iter().map_while(|location| inner.in_memory(*location)).collect();
            if !in_memory.is_empty() {
                drop(inner);
                let salt = self.shared().salt(segment);
                let records = in_memory.into_iter().zip(run).zip(first..);
                return Ok(records
                    .map_while(|((bytes, location), index)| {
                        let payload = checked(bytes, salt, *location, self.id, index)?;
                        Some(Entry { index, payload })
                    })
                    .collect());
            }
            // A run whose last part is in memory only is read as far as the file goes.
            inner.index.segments.get(&segment).and_then(|segment| segment.file.clone())
        };
        let Some(file) = file else { return Ok(Vec::new()) };
        let offset = head.place.offset;
        let length = tail.place.offset + tail.bytes - offset;
        let Ok(bytes) = file.read_at(u64::from(offset), length as usize).await else {
            return Ok(Vec::new());
        };
        let salt = self.shared().salt(segment);
        let mut entries = Vec::with_capacity(run.len());
        for (location, index) in run.iter().zip(first..) {
            let from = (location.place.offset - offset) as usize;
            let to = from + location.bytes as usize;
            if to > bytes.len() {
                break;
            }
            match checked(bytes.slice(from..to), salt, *location, self.id, index) {
                Some(payload) => entries.push(Entry { index, payload }),
                None => break,
            }
        }
        Ok(entries)
    }

    /// Reads one record and verifies it. It may be copied forward meanwhile: then it is looked for
    /// again where it is now.
    ///
    /// A disk that cannot give back what was stored ends the whole journal, as one that cannot
    /// store does: the node has to be started again, and recovery sees how much is wrong.
    async fn read_record(
        &self,
        index: u64,
        find: impl Fn(&Index) -> Option<Location>,
    ) -> Result<Bytes, JournalError> {
        let shared = self.shared();
        let mut tried = None;
        loop {
            let (location, file) = {
                let mut inner = shared.lock();
                let missing = JournalError::Missing { group: self.id, index };
                let location = find(&inner.index).ok_or(missing.clone())?;
                let segment = location.place.segment;
                if tried == Some(location) {
                    let damage = Damage {
                        group: Some(self.id),
                        segment,
                        offset: u64::from(location.place.offset),
                        reason: "a record cannot be read back as it was written",
                    };
                    if !inner.index.damage.contains(&damage) {
                        inner.index.damage.push(damage.clone());
                    }
                    drop(inner);
                    return Err(shared.poison(JournalError::Damaged(damage)));
                }
                match inner.in_memory(location) {
                    Some(bytes) => (location, Err(bytes)),
                    None => {
                        let file = inner.index.segments.get(&segment);
                        let file: File = file.and_then(|s| s.file.clone()).ok_or(missing)?;
                        (location, Ok(file))
                    }
                }
            };
            let bytes = match file {
                Err(bytes) => Some(bytes),
                Ok(file) => {
                    let Location { place, bytes } = location;
                    let read = file.read_at(u64::from(place.offset), bytes as usize).await;
                    Some(read.map_err(|error| {
                        let path = shared.dir.join(segment_name(place.segment));
                        shared.poison(JournalError::io("read", path, error))
                    })?)
                }
            };
            let salt = shared.salt(location.place.segment);
            let id = self.id;
            let payload = bytes.and_then(|bytes| checked(bytes, salt, location, id, index));
            match payload {
                Some(payload) => return Ok(payload),
                None => tried = Some(location),
            }
        }
    }
}

/// The payload, if `bytes` are this group's record `index`.
fn checked(bytes: Bytes, salt: Salt, at: Location, group: GroupId, index: u64) -> Option<Bytes> {
    let header = RecordHeader::decode(&bytes, salt, u64::from(at.place.offset))?;
    let payload = bytes.slice(RECORD_HEADER_BYTES..);
    let is_it = header.group == group && header.index == index && header.matches(&payload);
    is_it.then_some(payload)
}
