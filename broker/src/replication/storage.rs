//! How a group's values stand in the journal, and what is made of them at a start.

use bytes::Bytes;
use paceline_consensus::{Entry, EntryId, Index, Log, Membership, NodeId, Recovered, Term, Vote};
use paceline_core::{
    Message,
    shard::{Batch, MessageRef, ShardState},
};
use paceline_reached::{Point, reached};
use paceline_runtime::time::Duration;
use paceline_store::Group;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::sync::Arc;

use super::{
    encoding::{StorageError, decode, encode},
    saved::Saved,
};

/// How much of a log is read at once.
pub const READ_BYTES: u64 = 1 << 20;

/// The last entry that is not in the log any more.
#[derive(Serialize, Deserialize)]
struct Base {
    id: EntryId,
    membership: Membership,
}

/// What a group has on the disk.
pub struct Opened {
    /// For the replica.
    pub recovered: Recovered,
    /// As of the last snapshot.
    pub state: ShardState,
    /// It.
    pub saved: Saved,
}

/// As [`decode`]; `None` of no bytes.
fn decode_mark<T: DeserializeOwned>(
    bytes: &[u8],
    what: &'static str,
) -> Result<Option<T>, StorageError> {
    if bytes.is_empty() { Ok(None) } else { decode(bytes, what).map(Some) }
}

/// The journal's name for a log that begins behind `id`.
pub fn base_mark(id: EntryId, membership: &Membership) -> Bytes {
    encode(&Base { id, membership: membership.clone() })
}

/// An entry as the journal has it, its data in place.
#[derive(Deserialize)]
struct EntryInPlace<'a> {
    id: EntryId,
    #[serde(borrow)]
    payload: PayloadInPlace<'a>,
}

#[derive(Deserialize)]
enum PayloadInPlace<'a> {
    Blank,
    Membership(Membership),
    #[serde(borrow)]
    Data(&'a [u8]),
}

fn in_place(record: &[u8]) -> Result<EntryInPlace<'_>, StorageError> {
    postcard::from_bytes(record)
        .map_err(|error| StorageError::Malformed { what: "an entry", error })
}

/// An entry from its record, of which it keeps the data.
///
/// # Errors
/// [`StorageError::Malformed`].
pub fn decode_entry(record: &Bytes) -> Result<Entry, StorageError> {
    use paceline_consensus::Payload;
    let EntryInPlace { id, payload } = in_place(record)?;
    let payload = match payload {
        PayloadInPlace::Blank => Payload::Blank,
        PayloadInPlace::Membership(membership) => Payload::Membership(membership),
        PayloadInPlace::Data(data) => Payload::Data(record.slice_ref(data)),
    };
    Ok(Entry { id, payload })
}

/// Reads what a group has on the disk. `founders` are its members from the beginning, as far as this
/// node knows; one that has left the group once, or comes to it later, learns from the log who its
/// members are, and until then nobody is elected with its help.
///
/// # Errors
/// See [`StorageError`]. The group must not be damaged.
pub async fn open(group: &Group, founders: &[u64]) -> Result<Opened, StorageError> {
    let kept = Saved::load(group).await?;
    let base: Option<Base> = decode_mark(&group.purged(), "the mark of the log's beginning")?;
    let left = left(group);
    let mark = group.repair();
    let founders = || match (&left, voters_then(&mark)) {
        (Some(_), _) => Membership::default(),
        (None, Some(voters)) => Membership::of(voters.into_iter().map(NodeId)),
        (None, None) => Membership::of(founders.iter().copied().map(NodeId)),
    };
    let state = match &kept {
        Some(kept) => {
            reached(Point::SnapshotLoaded);
            ShardState::restore(&kept.snapshot())?
        }
        None => ShardState::new(),
    };
    let mut log = match base {
        Some(base) => Log::new(base.id, base.membership),
        None => Log::new(EntryId::ZERO, founders()),
    };
    read_shape(group, &mut log).await?;
    let saved = kept.unwrap_or_default();
    if !log.has(saved.last) && saved.last != EntryId::ZERO {
        // It came from the leader, and the node ended before the log made way for it.
        let mark = base_mark(saved.last, &saved.membership);
        group.replace_log(saved.last.index + 1, mark, &[])?.await?;
        log = Log::new(saved.last, saved.membership.clone());
    }
    // What a snapshot stands for is committed. The mark may speak of entries that this log does not
    // have, if it was written before they were: it is worth nothing then.
    let marked: Option<EntryId> = decode_mark(&group.committed(), "the commit mark")?;
    let marked = marked.filter(|id| log.has(*id)).map_or(0, |id| id.index);
    group.sweep(|index| index > saved.last.index || state.is_live(index));
    let recovered = Recovered {
        vote: vote(group)?,
        commit: marked.max(saved.last.index),
        log,
        floor: repair_floor(group),
        votes_above_floor: behind_floor(&mark).is_some_and(|(_, rest)| rest.starts_with(VOTES)),
        left: left.as_ref().map_or(EntryId::ZERO, |left| left.at),
        // Of that the node knows, not its groups.
        promised: Duration::ZERO,
    };
    Ok(Opened { recovered, state, saved })
}

async fn read_shape(group: &Group, log: &mut Log) -> Result<(), StorageError> {
    let range = group.range();
    let mut next = log.last().index + 1;
    while next < range.end {
        let records = group.read(next..range.end, READ_BYTES).await?;
        if records.is_empty() {
            return Err(StorageError::Missing(next));
        }
        for record in records {
            let entry = in_place(&record.payload)?;
            let membership = match &entry.payload {
                PayloadInPlace::Membership(membership) => Some(membership),
                _ => None,
            };
            if entry.id.index != next {
                return Err(StorageError::Missing(next));
            }
            log.append(entry.id, membership);
            next += 1;
        }
    }
    Ok(())
}

/// Reads entries of a log, about [`READ_BYTES`] of them but at least one; none that are not in it.
///
/// # Errors
/// See [`StorageError`].
pub async fn read_entries(
    group: &Group,
    range: std::ops::Range<Index>,
) -> Result<Vec<Entry>, StorageError> {
    let records = group.read(range, READ_BYTES).await?;
    records.iter().map(|record| decode_entry(&record.payload)).collect()
}

/// The term of the vote that the journal holds; none if there is none. What a replica has promised
/// is here before anybody is told of it.
pub fn vote_term(group: &Group) -> Option<Term> {
    vote(group).ok().map(|vote| vote.term).filter(|term| *term > 0)
}

/// Begins the mark in the journal of a group that this node has left.
const LEFT: &[u8] = b"left the group:";

/// What a node must not forget of a group that it has left.
#[derive(Serialize, Deserialize)]
struct Left {
    /// The change by which it did.
    at: EntryId,
    /// Its vote, of that change's term at least.
    vote: Vote,
}

/// What this node has to remember of the group, if it has left it once; what else it has of it has
/// come since.
fn left(group: &Group) -> Option<Left> {
    let mark = group.repair();
    let left = mark.strip_prefix(LEFT)?;
    Some(postcard::from_bytes(left).expect("the journal has verified what was written"))
}

/// Forgets a group that this node has left by a change that is committed.
///
/// # Errors
/// As for every write.
pub async fn leave(group: &Group, at: EntryId) -> Result<(), StorageError> {
    let mut vote = vote(group)?;
    if vote.term < at.term {
        vote = Vote { term: at.term, candidate: None };
    }
    let at = left(group).map_or(at, |before| before.at.max(at));
    let mark = [LEFT, &encode(&Left { at, vote })].concat();
    Ok(group.reset(mark.into())?.await?)
}

/// The vote that the journal holds, or that of when this node left the group.
fn vote(group: &Group) -> Result<Vote, StorageError> {
    let vote: Option<Vote> = decode_mark(&group.vote(), "the vote")?;
    Ok(vote.or_else(|| left(group).map(|left| left.vote)).unwrap_or_default())
}

/// Whether anything of a replica of the group is on the disk.
pub fn is_held(group: &Group) -> bool {
    let has_records =
        !group.vote().is_empty() || !group.purged().is_empty() || !group.range().is_empty();
    has_records || repair_floor(group).is_some()
}

/// In the repair mark of a replica that votes above its floor, behind that.
const VOTES: &[u8] = b"votes";

/// In a repair mark, before who decides in the group.
const OF: &[u8] = b"of";

/// Begins the mark of a group of which nobody has anything left.
const ANEW: &[u8] = b"begun anew:";

/// The mark in the journal of a group that is being repaired: the last term in which its replica
/// may have made a promise that it has forgotten, whether it votes above it all the same, and who
/// decides in the group, as far as is known. Without a term nobody has anything left, and these begin it
/// anew.
pub fn repair_mark(
    floor: Option<Term>,
    votes: bool,
    voters: impl IntoIterator<Item = u64>,
) -> Bytes {
    let voters = encode(&voters.into_iter().collect::<Vec<u64>>());
    match floor {
        None => [ANEW, &voters].concat().into(),
        Some(floor) => {
            let votes = if votes { VOTES } else { &[] };
            [&floor.to_le_bytes(), votes, OF, &voters].concat().into()
        }
    }
}

/// The parts of [`repair_mark`] behind the floor, of a replica that is being repaired.
fn behind_floor(mark: &[u8]) -> Option<(Term, &[u8])> {
    if mark.is_empty() || mark.starts_with(LEFT) || mark.starts_with(ANEW) {
        return None;
    }
    let (floor, rest) = mark.split_first_chunk().expect("a repair mark begins with a term");
    Some((u64::from_le_bytes(*floor), rest))
}

/// Who decides in a group that was reset, as far as was known then.
fn voters_then(mark: &[u8]) -> Option<Vec<u64>> {
    let voters = match behind_floor(mark) {
        Some((_, rest)) => rest.strip_prefix(VOTES).unwrap_or(rest).strip_prefix(OF)?,
        None => mark.strip_prefix(ANEW)?,
    };
    Some(postcard::from_bytes(voters).expect("the journal has verified what was written"))
}

/// The term in the group's repair mark; none if it is not being repaired.
///
/// # Panics
///
/// When the mark is not one of [`repair_mark`], the only writer: the journal has verified it.
pub fn repair_floor(group: &Group) -> Option<Term> {
    behind_floor(&group.repair()).map(|(floor, _)| floor)
}

/// The commands of an entry, if it holds any.
fn decode_batch(record: &[u8]) -> Result<Option<Batch>, StorageError> {
    match in_place(record)?.payload {
        PayloadInPlace::Data(data) => decode(data, "a batch").map(Some),
        PayloadInPlace::Blank | PayloadInPlace::Membership(_) => Ok(None),
    }
}

/// Reads a message as it was written into the log. `at` is what [`ShardState::body_at`] says.
///
/// # Errors
/// In words. One that has been settled meanwhile is missing.
pub async fn read_message(group: &Group, at: MessageRef) -> Result<Arc<Message>, String> {
    let record = group.read_entry(at.index).await.map_err(|error| error.to_string())?;
    let batch = decode_batch(&record).map_err(|error| error.to_string())?;
    let message = batch.and_then(|batch| batch.message(at.offset).cloned());
    message.ok_or_else(|| {
        format!("entry {} of group {} has no message at {}", at.index, group.id(), at.offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repair_mark_says_what_it_was_given() {
        for votes in [false, true] {
            let mark = repair_mark(Some(7), votes, [1, 4]);
            let (floor, rest) = behind_floor(&mark).unwrap();
            assert_eq!((floor, rest.starts_with(VOTES)), (7, votes));
            assert_eq!(voters_then(&mark), Some(vec![1, 4]));
        }
        let anew = repair_mark(None, true, [2]);
        assert_eq!((behind_floor(&anew), voters_then(&anew)), (None, Some(vec![2])));
    }

    #[test]
    fn a_repair_mark_of_an_earlier_release_is_read() {
        for (mark, votes) in
            [(&b"\x09\0\0\0\0\0\0\0"[..], false), (b"\x09\0\0\0\0\0\0\0votes", true)]
        {
            let (floor, rest) = behind_floor(mark).unwrap();
            assert_eq!((floor, rest.starts_with(VOTES)), (9, votes));
            assert_eq!(voters_then(mark), None);
        }
        assert_eq!((behind_floor(b""), voters_then(b"")), (None, None));
    }
}
