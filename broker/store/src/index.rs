//! Where everything live stands: groups to places, segments to how much of them is live.
//!
//! Pure bookkeeping; recovery builds it, the journal keeps it.

use std::collections::{BTreeMap, BTreeSet, VecDeque, btree_map::Entry};

use bytes::Bytes;
use paceline_runtime::disk::File;

use crate::{
    error::Damage,
    format::{GroupId, GroupRecord, Place},
};

/// A record's place and whole length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub place: Place,
    pub bytes: u32,
}

/// One segment file.
#[derive(Default)]
pub(crate) struct Segment {
    /// Absent until the writer has made the file.
    pub file: Option<File>,
    /// Bytes of records that are live.
    pub live: u64,
    /// Bytes given to it, header included.
    pub bytes: u64,
    /// Something live in it could not be copied forward: it goes when that dies.
    pub pinned: bool,
}

/// The current snapshot; number 0 for none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SnapshotIndex {
    pub number: u64,
    pub location: Option<Location>,
}

/// One group.
#[derive(Default)]
pub(crate) struct GroupIndex {
    /// Index of the first entry in `log`; everything below is purged.
    pub start: u64,
    /// The log, without gaps.
    pub log: VecDeque<Location>,
    /// Purged entries in which something still lives, and entries that a snapshot brought.
    pub retained: BTreeMap<u64, Location>,
    pub purged: Bytes,
    pub vote: Bytes,
    pub committed: Bytes,
    pub repair: Bytes,
    pub snapshot: SnapshotIndex,
    /// Those of the snapshot, and of the next one that is being written.
    pub parts: BTreeMap<u64, Location>,
    /// The highest number given to a snapshot or a part.
    pub last_part: u64,
    pub reset_at: Place,
    /// The group's last state record.
    pub state: Option<Location>,
    /// Whether `committed` is newer than the state record.
    pub state_lags: bool,
}

impl GroupIndex {
    /// One past the last index of the log.
    pub fn end(&self) -> u64 {
        self.start + self.log.len() as u64
    }

    /// Where entry `index` stands, purged and retained or in the log.
    pub fn entry(&self, index: u64) -> Option<Location> {
        self.log_entry(index).or_else(|| self.retained.get(&index).copied())
    }

    pub fn log_entry(&self, index: u64) -> Option<Location> {
        let at = index.checked_sub(self.start)?;
        self.log.get(usize::try_from(at).ok()?).copied()
    }

    pub fn record(&self) -> GroupRecord {
        GroupRecord {
            reset_at: self.reset_at,
            start: self.start,
            end: self.end(),
            snapshot: self.snapshot.number,
            purged: self.purged.clone(),
            vote: self.vote.clone(),
            committed: self.committed.clone(),
            repair: self.repair.clone(),
        }
    }
}

/// The whole journal.
#[derive(Default)]
pub(crate) struct Index {
    pub groups: BTreeMap<GroupId, GroupIndex>,
    pub segments: BTreeMap<u64, Segment>,
    pub damage: Vec<Damage>,
}

impl Index {
    pub fn group(&mut self, group: GroupId) -> &mut GroupIndex {
        self.groups.entry(group).or_default()
    }

    pub fn born(&mut self, location: Location) {
        let segment = self.segments.entry(location.place.segment).or_default();
        segment.live += u64::from(location.bytes);
    }

    pub fn died(&mut self, location: Location) {
        let segment =
            self.segments.get_mut(&location.place.segment).expect("a live record's segment stands");
        segment.live =
            segment.live.checked_sub(u64::from(location.bytes)).expect("a record dies once");
    }

    /// Adds an entry at the log's end.
    pub fn push(&mut self, group: GroupId, index: u64, location: Location) {
        let log = self.group(group);
        if log.log.is_empty() && log.purged.is_empty() {
            log.start = index;
        }
        assert_eq!(index, log.end(), "entries of group {group} are appended in order");
        log.log.push_back(location);
        self.born(location);
    }

    /// Forgets the log from `from` on.
    pub fn truncate(&mut self, group: GroupId, from: u64) {
        let log = self.group(group);
        let keep = usize::try_from(from.saturating_sub(log.start)).unwrap_or(usize::MAX);
        let dead = log.log.split_off(keep.min(log.log.len()));
        dead.into_iter().for_each(|location| self.died(location));
    }

    /// Begins the log at `start`, and keeps of what leaves the log only what `keep` names.
    pub fn purge(&mut self, group: GroupId, start: u64, mut keep: impl FnMut(u64) -> bool) {
        let log = self.group(group);
        let before = log.start;
        let mut dead = Vec::new();
        while log.start < start {
            let Some(location) = log.log.pop_front() else { break };
            let index = log.start;
            log.start += 1;
            match log.retained.entry(index) {
                // What a snapshot brought was committed.
                Entry::Occupied(_) => dead.push(location),
                Entry::Vacant(vacant) => drop(vacant.insert(location)),
            }
        }
        let from = before.min(start);
        log.start = log.start.max(start);
        let leaving: Vec<u64> = log.retained.range(from..start).map(|(index, _)| *index).collect();
        for index in leaving.into_iter().filter(|index| !keep(*index)) {
            dead.extend(log.retained.remove(&index));
        }
        dead.into_iter().for_each(|location| self.died(location));
    }

    /// Begins the log, which is empty, anew at `start`. Of what is retained, `dead` goes.
    pub fn replace_log(&mut self, group: GroupId, start: u64, dead: &[u64]) {
        self.group(group).start = start;
        for index in dead {
            self.discard(group, *index);
        }
    }

    /// Forgets the retained entries below the log that `keep` does not name.
    pub fn sweep(&mut self, group: GroupId, mut keep: impl FnMut(u64) -> bool) {
        let mut dead = Vec::new();
        self.group(group).retained.retain(|index, location| {
            let stays = keep(*index);
            if !stays {
                dead.push(*location);
            }
            stays
        });
        dead.into_iter().for_each(|location| self.died(location));
    }

    /// Forgets one purged entry; whether it was there.
    pub fn discard(&mut self, group: GroupId, index: u64) -> bool {
        let dead = self.group(group).retained.remove(&index);
        dead.inspect(|location| self.died(*location)).is_some()
    }

    pub fn retain(&mut self, group: GroupId, index: u64, location: Location) {
        let old = self.group(group).retained.insert(index, location);
        old.into_iter().for_each(|location| self.died(location));
        self.born(location);
    }

    pub fn set_state(&mut self, group: GroupId, location: Location) {
        let index = self.group(group);
        index.state_lags = false;
        let old = index.state.replace(location);
        old.into_iter().for_each(|location| self.died(location));
        self.born(location);
    }

    /// The number of the group's next snapshot, or part of one.
    pub fn next_part(&mut self, group: GroupId) -> u64 {
        let group = self.group(group);
        group.last_part += 1;
        group.last_part
    }

    pub fn put_part(&mut self, group: GroupId, number: u64, location: Location) {
        self.group(group).parts.insert(number, location);
        self.born(location);
    }

    /// Forgets the snapshot before, and the parts that this one does not name.
    pub fn set_snapshot(
        &mut self,
        group: GroupId,
        number: u64,
        location: Location,
        parts: &BTreeSet<u64>,
    ) {
        let snapshot = SnapshotIndex { number, location: Some(location) };
        let group = self.group(group);
        let old = std::mem::replace(&mut group.snapshot, snapshot);
        let mut dead = Vec::from_iter(old.location);
        group.parts.retain(|number, location| {
            let stays = parts.contains(number);
            if !stays {
                dead.push(*location);
            }
            stays
        });
        dead.into_iter().for_each(|location| self.died(location));
        self.born(location);
    }

    /// Forgets everything of the group.
    pub fn reset(&mut self, group: GroupId, at: Place, repair: Bytes) {
        let old = self.groups.remove(&group).unwrap_or_default();
        let all = old.log.into_iter().chain(old.retained.into_values());
        let all = all.chain(old.parts.into_values()).chain(old.snapshot.location).chain(old.state);
        all.for_each(|location| self.died(location));
        let fresh = self.group(group);
        fresh.reset_at = at;
        fresh.repair = repair;
        fresh.last_part = old.last_part;
    }

    /// The first damage that the group has suffered and not been reset from.
    pub fn damage(&self, group: GroupId) -> Option<&Damage> {
        let reset_at = self.groups.get(&group).map_or(Place::default(), |group| group.reset_at);
        self.damage.iter().find(|damage| {
            damage.group.is_none_or(|of| of == group) && damage_place(damage) >= reset_at
        })
    }

    /// Whether some group still has to be repaired for damage in this segment.
    pub fn holds_damage(&self, segment: u64) -> bool {
        self.damage.iter().filter(|damage| damage.segment == segment).any(|damage| {
            let open = |group: &GroupIndex| damage_place(damage) >= group.reset_at;
            match damage.group {
                Some(group) => self.groups.get(&group).is_none_or(open),
                None => self.groups.values().any(open),
            }
        })
    }
}

pub(crate) fn damage_place(damage: &Damage) -> Place {
    Place { segment: damage.segment, offset: damage.offset.min(u64::from(u32::MAX)) as u32 }
}
