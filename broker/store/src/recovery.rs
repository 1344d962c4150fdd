//! Opens a journal: reads all segments in order, verifies every record, cuts what a crash tore.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

use bytes::{Bytes, BytesMut};
use paceline_reached::{Point, reached};
use paceline_runtime::{
    disk::{self, DirLock, File, OpenOptions},
    random,
};
use rand::Rng;
use tokio::sync::{Notify, watch};

use crate::{
    error::{Damage, JournalError},
    format::{
        BadSegmentHeader, GroupId, GroupRecord, Kind, Place, RecordHeader, SEGMENT_HEADER_BYTES,
        Salt, SegmentHeader, decode_parts, segment_name, segment_number,
    },
    identity::{self, Identity},
    index::{GroupIndex, Index, Location, Segment, SnapshotIndex},
    scan::{End, Found, scan},
    shared::{Inner, Options, Shared},
};

/// What recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The journal's number, drawn at random when it was made.
    pub number: u64,
    /// Groups with records in the journal, in order.
    pub groups: Vec<GroupId>,
    /// Segments read.
    pub segments: usize,
    /// Bytes read and verified.
    pub bytes: u64,
    /// The torn tail that was cut off, if there was one. Nothing in it was acknowledged.
    pub cut: Option<Cut>,
    /// What was written once and cannot be read any more, and still has to be repaired.
    pub damage: Vec<Damage>,
}

/// A torn tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment it was in.
    pub segment: u64,
    /// The length the segment has now.
    pub offset: u64,
    /// Bytes that were cut off.
    pub bytes: u64,
}

/// Reads the directory and makes it ready for writing.
pub(crate) async fn open(
    dir: &Path,
    identity: &Identity,
    options: Options,
) -> Result<(Shared, DirLock, Recovered), JournalError> {
    let io = |action| move |error| JournalError::io(action, dir, error);
    disk::create_dir_all(dir).await.map_err(io("create"))?;
    let lock = DirLock::acquire(dir).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => {
            JournalError::InUse { path: dir.to_owned(), source: Arc::new(error) }
        }
        _ => JournalError::io("lock", dir, error),
    })?;
    let names = disk::read_dir(dir).await.map_err(io("read"))?;
    let numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    let number = identity::establish(dir, identity, !numbers.is_empty(), || {
        random::stream("journal").next_u64()
    })
    .await?;

    let mut recovery = Recovery::default();
    let mut recovered = Recovered { number, segments: numbers.len(), ..Recovered::default() };
    let last = numbers.last().copied();
    let mut tail = None;
    let mut lengths = BTreeMap::new();
    for segment in numbers {
        let is_last = Some(segment) == last;
        let (file, bytes) = read_segment(dir, segment).await?;
        recovered.bytes += bytes.len() as u64;
        let end = recovery.read(segment, &bytes, Salt::new(number, segment), is_last);
        check_header(dir, segment, &end)?;
        let before = segment.checked_sub(1).and_then(|before| lengths.get(&before).copied());
        if let (Ok(header), Some(before)) = (end.header, before)
            && before < header.previous_bytes
        {
            let reason = "the segment ends earlier than the next one says";
            let (segment, offset) = (segment - 1, before);
            recovery.index.damage.push(Damage { group: None, segment, offset, reason });
        }
        lengths.insert(segment, bytes.len() as u64);
        let length = (end.end as usize).max(SEGMENT_HEADER_BYTES);
        if is_last {
            let torn = bytes.len().saturating_sub(end.end as usize) as u64;
            recovered.cut =
                (torn > 0).then_some(Cut { segment, offset: length as u64, bytes: torn });
            tail = Some((file.clone(), bytes, end));
        }
        let entry = recovery.index.segments.entry(segment).or_default();
        entry.file = Some(file);
        entry.bytes = length as u64;
    }
    let index = recovery.finish();
    let groups = index.groups.keys().copied();
    recovered.groups = groups.collect();
    recovered.damage = open_damage(&index);
    if !recovered.damage.is_empty() {
        reached(Point::DamageFound);
    }

    let segment = last.unwrap_or(0);
    let mut inner = Inner {
        index,
        segment,
        base: options.segment_bytes,
        pending: BytesMut::new(),
        batch_at: 0,
        waiters: Vec::new(),
        in_flight: None,
        failed: None,
        closing: false,
    };
    if let Some((file, bytes, end)) = tail {
        let previous = segment.checked_sub(1).and_then(|before| lengths.get(&before).copied());
        let header = end.header.unwrap_or(SegmentHeader {
            segment,
            node: identity.node,
            journal: number,
            previous_bytes: previous.unwrap_or(0),
        });
        inner.base = settle(&file, bytes, &end, header).await.map_err(|error| {
            JournalError::io("repair the end of", dir.join(segment_name(segment)), error)
        })?;
    }
    disk::sync_dir(dir).await.map_err(io("sync"))?;
    let shared = Shared {
        dir: dir.to_owned(),
        options,
        node: identity.node,
        number,
        inner: Mutex::new(inner),
        work: Notify::new(),
        garbage: Notify::new(),
        ended: watch::Sender::new(false),
    };
    shared.garbage.notify_one();
    Ok((shared, lock, recovered))
}

async fn read_segment(dir: &Path, segment: u64) -> Result<(File, Bytes), JournalError> {
    let path = dir.join(segment_name(segment));
    let io = |action| {
        let path = path.clone();
        move |error| JournalError::io(action, path, error)
    };
    let options = OpenOptions { read: true, write: true, ..OpenOptions::default() };
    let file = File::open(&path, &options).await.map_err(io("open"))?;
    let length = file.len().await.map_err(io("read"))?;
    if length > u64::from(u32::MAX) {
        let reason = format!("{length} bytes are more than a segment can have");
        return Err(JournalError::Unreadable { path, reason });
    }
    let bytes = file.read_at(0, length as usize).await.map_err(io("read"))?;
    Ok((file, bytes))
}

/// A rotten header loses nothing, since all it says is known from elsewhere. A sound one that says
/// something else means that the file is not what its name says.
fn check_header(dir: &Path, segment: u64, end: &End) -> Result<(), JournalError> {
    let reason = match end.header {
        Ok(header) if header.segment != segment => {
            format!("the file says that it is segment {:016x}", header.segment)
        }
        Err(BadSegmentHeader::Version(version)) => {
            format!("it has format {version}, which this program does not read")
        }
        _ => return Ok(()),
    };
    Err(JournalError::Unreadable { path: dir.join(segment_name(segment)), reason })
}

/// Cuts the torn tail, and writes once more what nothing proves to be on the disk: after a failed
/// sync or a killed process it may be in the operating system's memory only, and look clean there.
/// Returns the length the segment now has.
async fn settle(
    file: &File,
    bytes: Bytes,
    end: &End,
    header: SegmentHeader,
) -> std::io::Result<u32> {
    let length = end.end.max(SEGMENT_HEADER_BYTES as u32);
    if bytes.len() > end.end as usize {
        reached(Point::TornTailCut);
        file.set_len(u64::from(end.end)).await?;
    }
    file.write_all_at(Bytes::copy_from_slice(&header.encode()), 0).await?;
    if end.last_batch < end.end {
        reached(Point::TailWrittenAgain);
        let tail = bytes.slice(end.last_batch as usize..end.end as usize);
        file.write_all_at(tail, u64::from(end.last_batch)).await?;
    }
    file.sync_all().await?;
    Ok(length)
}

/// What no group has been reset from yet.
fn open_damage(index: &Index) -> Vec<Damage> {
    let open = |damage: &&Damage| match damage.group {
        Some(group) => index
            .groups
            .get(&group)
            .is_none_or(|group| crate::index::damage_place(damage) >= group.reset_at),
        None => index.holds_damage(damage.segment),
    };
    index.damage.iter().filter(open).cloned().collect()
}

/// One group while its records are being read.
#[derive(Default)]
struct Draft {
    record: GroupRecord,
    state: Option<Location>,
    log: BTreeMap<u64, Location>,
    retained: BTreeMap<u64, Location>,
    /// Where they are, and the numbers of their parts.
    snapshots: BTreeMap<u64, (Location, Vec<u64>)>,
    parts: BTreeMap<u64, Location>,
}

#[derive(Default)]
struct Recovery {
    groups: BTreeMap<GroupId, Draft>,
    index: Index,
}

impl Recovery {
    fn read(&mut self, segment: u64, bytes: &[u8], salt: Salt, last: bool) -> End {
        let end = scan(bytes, salt, last, |found| match found {
            Found::Record { offset, header, payload } => {
                if header.kind != Kind::Batch {
                    self.record(segment, offset, header, payload);
                }
            }
            Found::Damage { offset, group, reason } => {
                let offset = u64::from(offset);
                self.index.damage.push(Damage { group, segment, offset, reason });
            }
        });
        self.index.segments.insert(segment, Segment::default());
        end
    }

    fn record(&mut self, segment: u64, offset: u32, header: RecordHeader, payload: &[u8]) {
        let place = Place { segment, offset };
        let location = Location { place, bytes: header.record_bytes() as u32 };
        let (id, index) = (header.group, header.index);
        let draft = self.groups.entry(id).or_default();
        let mut unreadable = |reason| {
            let offset = u64::from(offset);
            self.index.damage.push(Damage { group: Some(id), segment, offset, reason });
        };
        match header.kind {
            Kind::Batch => {}
            Kind::Entry => {
                draft.log.split_off(&index);
                draft.log.insert(index, location);
            }
            Kind::Moved => {
                draft.log.insert(index, location);
            }
            Kind::Retained => {
                draft.retained.insert(index, location);
            }
            Kind::State => match GroupRecord::decode(payload) {
                Some(record) => draft.state(record, location),
                None => unreadable("a state record makes no sense"),
            },
            Kind::Snapshot => match decode_parts(payload) {
                Some((parts, _)) => drop(draft.snapshots.insert(index, (location, parts))),
                None => unreadable("a snapshot makes no sense"),
            },
            Kind::Part => {
                draft.parts.insert(index, location);
            }
        }
    }

    /// Checks that nothing is missing and counts what is live.
    fn finish(mut self) -> Index {
        for (id, draft) in self.groups {
            let (group, gap) = draft.finish();
            if let Some((location, reason)) = gap {
                let Place { segment, offset } = location;
                let offset = u64::from(offset);
                self.index.damage.push(Damage { group: Some(id), segment, offset, reason });
            }
            let all = group.log.iter().chain(group.retained.values());
            let all = all.chain(group.parts.values()).chain(&group.snapshot.location);
            let all = all.chain(&group.state);
            for location in all {
                self.index.born(*location);
            }
            self.index.groups.insert(id, group);
        }
        self.index
    }
}

impl Draft {
    fn state(&mut self, record: GroupRecord, location: Location) {
        if record.reset_at > self.record.reset_at {
            let valid = |location: &Location| location.place >= record.reset_at;
            self.log.retain(|_, location| valid(location));
            self.retained.retain(|_, location| valid(location));
            self.snapshots.retain(|_, (location, _)| valid(location));
            self.parts.retain(|_, location| valid(location));
        }
        self.log.split_off(&record.end);
        let log = self.log.split_off(&record.start);
        for (index, location) in std::mem::replace(&mut self.log, log) {
            // What a snapshot brought was committed; what stood in the log may not have been.
            self.retained.entry(index).or_insert(location);
        }
        self.record = record;
        self.state = Some(location);
    }

    /// The group, and where it is seen that something is missing, if so.
    fn finish(mut self) -> (GroupIndex, Option<(Place, &'static str)>) {
        let record = self.record;
        let witness = self.state.map_or(Place::default(), |state| state.place);
        let mut gap = None;
        let purged = !record.purged.is_empty();
        let first = self.log.keys().next().copied();
        let start = if purged || first.is_none() { record.start } else { first.unwrap_or(0) };
        let mut log = std::collections::VecDeque::with_capacity(self.log.len());
        for (at, (index, location)) in self.log.iter().enumerate() {
            if *index != start + at as u64 {
                gap = Some((location.place, "log entries before this one are missing"));
                break;
            }
            log.push_back(*location);
        }
        if start + (log.len() as u64) < record.end && gap.is_none() {
            gap = Some((witness, "the log once reached further than the entries found"));
        }
        let numbers =
            self.snapshots.keys().next_back().into_iter().chain(self.parts.keys().next_back());
        let last_part = numbers.copied().max().unwrap_or(0).max(record.snapshot);
        let (location, named) = self.snapshots.remove(&record.snapshot).unzip();
        let named = named.unwrap_or_default();
        let found = named.iter().filter_map(|number| Some((*number, self.parts.remove(number)?)));
        let parts: BTreeMap<_, _> = found.collect();
        if record.snapshot != 0 && (location.is_none() || parts.len() != named.len()) {
            gap = gap.or(Some((witness, "parts of the snapshot are missing")));
        }
        let snapshot = SnapshotIndex { number: record.snapshot, location };
        let group = GroupIndex {
            start,
            log,
            retained: self.retained,
            purged: record.purged,
            vote: record.vote,
            committed: record.committed,
            repair: record.repair,
            snapshot,
            parts,
            last_part,
            reset_at: record.reset_at,
            state: self.state,
            state_lags: false,
        };
        (group, gap)
    }
}
