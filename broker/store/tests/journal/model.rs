//! What a journal should hold, kept the simplest way there is.

use std::collections::BTreeMap;

use bytes::Bytes;
use paceline_store::{Durable, Entry, Group, GroupId, Journal};
use proptest::prelude::*;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelGroup {
    pub start: u64,
    pub log: Vec<Bytes>,
    pub retained: BTreeMap<u64, Bytes>,
    pub purged: Bytes,
    pub vote: Bytes,
    pub repair: Bytes,
    /// Its root, and its parts with their numbers.
    pub snapshot: Option<(Bytes, Vec<(u64, Bytes)>)>,
}

pub type Model = BTreeMap<u64, ModelGroup>;

/// One thing done to the journal.
#[derive(Clone, Debug)]
pub enum Op {
    Append {
        group: u64,
        lengths: Vec<usize>,
    },
    Truncate {
        group: u64,
        back: u64,
    },
    Purge {
        group: u64,
        leave: u64,
        keep_every: u64,
    },
    Vote {
        group: u64,
        vote: u8,
    },
    Retain {
        group: u64,
        ahead: u64,
        length: usize,
    },
    Reset {
        group: u64,
        mark: u8,
    },
    EndRepair {
        group: u64,
    },
    /// Of the parts of the one before, some stay.
    Snapshot {
        group: u64,
        keep_every: usize,
        lengths: Vec<usize>,
    },
    Replace {
        group: u64,
        ahead: u64,
        dead_every: u64,
    },
}

pub fn op() -> impl Strategy<Value = Op> {
    let group = 0u64..4;
    prop_oneof![
        8 => (group.clone(), prop::collection::vec(0usize..120, 1..4))
            .prop_map(|(group, lengths)| Op::Append { group, lengths }),
        2 => (group.clone(), 0u64..4).prop_map(|(group, back)| Op::Truncate { group, back }),
        2 => (group.clone(), 0u64..3, 1u64..4)
            .prop_map(|(group, leave, keep_every)| Op::Purge { group, leave, keep_every }),
        2 => (group.clone(), any::<u8>()).prop_map(|(group, vote)| Op::Vote { group, vote }),
        1 => (group.clone(), 0u64..3, 0usize..90)
            .prop_map(|(group, ahead, length)| Op::Retain { group, ahead, length }),
        1 => (group.clone(), any::<u8>()).prop_map(|(group, mark)| Op::Reset { group, mark }),
        1 => group.clone().prop_map(|group| Op::EndRepair { group }),
        2 => (group.clone(), 1usize..4, prop::collection::vec(0usize..120, 0..4)).prop_map(
            |(group, keep_every, lengths)| Op::Snapshot { group, keep_every, lengths }
        ),
        1 => (group, 0u64..4, 1u64..4)
            .prop_map(|(group, ahead, dead_every)| Op::Replace { group, ahead, dead_every }),
    ]
}

/// A payload that differs from every other one.
fn payload(serial: &mut u64, length: usize) -> Bytes {
    *serial += 1;
    let bytes = serial.to_le_bytes().into_iter().chain((0..length).map(|at| (at % 251) as u8 + 1));
    bytes.collect()
}

/// Does the same to the journal and to the model. Adds the model's state after every record.
pub fn apply(journal: &Journal, states: &mut Vec<Model>, serial: &mut u64, op: &Op) -> Durable {
    let mut model = states.last().expect("there is a first state").clone();
    let mut group = |id: &u64| model.entry(*id).or_default().clone();
    let handle = |id: &u64| journal.group(GroupId(*id));
    let (id, durable, last) = match op {
        Op::Append { group: id, lengths } => {
            let mut state = group(id);
            let mut entries = Vec::new();
            let before = states.len();
            for length in lengths {
                let payload = payload(serial, *length);
                let index = state.start + state.log.len() as u64;
                state.log.push(payload.clone());
                entries.push(Entry { index, payload });
                let mut model = model.clone();
                model.insert(*id, state.clone());
                states.push(model);
            }
            assert!(states.len() > before);
            return handle(id).append(&entries).expect("appended");
        }
        Op::Truncate { group: id, back } => {
            let mut state = group(id);
            let keep = (state.log.len() as u64).saturating_sub(*back);
            state.log.truncate(keep as usize);
            (id, handle(id).truncate(state.start + keep), state)
        }
        Op::Purge { group: id, leave, keep_every } => {
            let mut state = group(id);
            let gone = (state.log.len() as u64).saturating_sub(*leave);
            let start = state.start + gone;
            for (index, payload) in (state.start..).zip(state.log.drain(..gone as usize)) {
                state.retained.entry(index).or_insert(payload);
            }
            let leaving = state.start..start;
            state.retained.retain(|index, _| !leaving.contains(index) || index % keep_every == 0);
            state.start = start;
            state.purged = Bytes::from(format!("purged below {start}"));
            let keep = |index: u64| index.is_multiple_of(*keep_every);
            (id, handle(id).purge(start, state.purged.clone(), keep), state)
        }
        Op::Vote { group: id, vote } => {
            let mut state = group(id);
            state.vote = Bytes::from(vec![*vote; 9]);
            (id, handle(id).save_vote(state.vote.clone()), state)
        }
        Op::Retain { group: id, ahead, length } => {
            let mut state = group(id);
            let payload = payload(serial, *length);
            let index = state.start + state.log.len() as u64 + ahead;
            state.retained.insert(index, payload.clone());
            (id, handle(id).retain(&[Entry { index, payload }]), state)
        }
        Op::Reset { group: id, mark } => {
            let repair = Bytes::from(vec![*mark; 8]);
            let state = ModelGroup { repair: repair.clone(), ..ModelGroup::default() };
            (id, handle(id).reset(repair), state)
        }
        Op::EndRepair { group: id } => {
            let state = ModelGroup { repair: Bytes::new(), ..group(id) };
            (id, handle(id).end_repair(), state)
        }
        Op::Snapshot { group: id, keep_every, lengths } => {
            let mut state = group(id);
            let before = state.snapshot.map_or(Vec::new(), |(_, parts)| parts);
            let mut parts: Vec<_> = before.into_iter().step_by(*keep_every).collect();
            let new: Vec<Bytes> = lengths.iter().map(|length| payload(serial, *length)).collect();
            let (numbers, _durable) = handle(id).put_parts(&new).expect("put");
            parts.extend(numbers.into_iter().zip(new));
            let root = payload(serial, 3);
            let numbers: Vec<u64> = parts.iter().map(|(number, _)| *number).collect();
            state.snapshot = Some((root.clone(), parts));
            (id, handle(id).save_snapshot(&root, &numbers), state)
        }
        Op::Replace { group: id, ahead, dead_every } => {
            let mut state = group(id);
            let end = state.start + state.log.len() as u64;
            state.log.clear();
            model.insert(*id, state.clone());
            states.push(model.clone());
            state.start = end + ahead;
            let retained = state.retained.range(..state.start).map(|(index, _)| *index);
            let dead: Vec<u64> = retained.filter(|index| index % dead_every == 0).collect();
            dead.iter().for_each(|index| drop(state.retained.remove(index)));
            state.purged = Bytes::from(format!("replaced below {}", state.start));
            (id, handle(id).replace_log(state.start, state.purged.clone(), &dead), state)
        }
    };
    model.insert(*id, last);
    states.push(model);
    durable.expect("submitted")
}

/// What the journal holds, in the model's words. Groups that hold nothing are left out.
pub async fn observe(journal: &Journal) -> Model {
    let mut model = Model::new();
    for id in journal.groups() {
        let group = journal.group(id);
        let range = group.range();
        let log = group.read(range.clone(), u64::MAX).await.expect("the log is read");
        assert!(log.iter().map(|entry| entry.index).eq(range.clone()), "the log has no gaps");
        let mut retained = BTreeMap::new();
        for index in group.retained() {
            if range.contains(&index) {
                continue;
            }
            retained.insert(index, group.read_entry(index).await.expect("a retained entry"));
        }
        let state = ModelGroup {
            start: range.start,
            log: log.into_iter().map(|entry| entry.payload).collect(),
            retained,
            purged: group.purged(),
            vote: group.vote(),
            repair: group.repair(),
            snapshot: snapshot(&group).await,
        };
        model.insert(id.0, state);
    }
    model
}

async fn snapshot(group: &Group) -> Option<(Bytes, Vec<(u64, Bytes)>)> {
    let (root, numbers) = group.load_snapshot().await.expect("the snapshot is read")?;
    let mut parts = Vec::new();
    for number in numbers {
        parts.push((number, group.load_part(number).await.expect("its parts are read")));
    }
    Some((root, parts))
}

/// Whether the journal holds this: everything the model has, and of retained entries perhaps some
/// that were let go of since.
pub fn holds(found: &Model, wanted: &Model) -> bool {
    let none = ModelGroup::default();
    let ids = found.keys().chain(wanted.keys());
    ids.into_iter().all(|id| {
        let (found, wanted) = (found.get(id).unwrap_or(&none), wanted.get(id).unwrap_or(&none));
        let bare = |group: &ModelGroup| ModelGroup { retained: BTreeMap::new(), ..group.clone() };
        let (mut bare_found, mut bare_wanted) = (bare(found), bare(wanted));
        if wanted.log.is_empty() && wanted.purged.is_empty() {
            // Where an empty log begins that was never purged means nothing.
            (bare_found.start, bare_wanted.start) = (0, 0);
        }
        let log = wanted.start..wanted.start + wanted.log.len() as u64;
        bare_found == bare_wanted
            && wanted.retained.iter().all(|(index, payload)| {
                log.contains(index) || found.retained.get(index) == Some(payload)
            })
    })
}
