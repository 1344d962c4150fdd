//! Snapshots on their way: sent to a replica that lacks what the log does not have any more, taken from
//! a leader. All of it aside of the driver.
//!
//! The sender says of which parts its snapshot is, by their hashes, and the other which of them it
//! wants; then the same with the entries that the state refers to. So a transfer that was cut off goes
//! on where it was, be it with another leader or another snapshot: parts that have come are kept in
//! memory, and entries in the journal.
//!
//! A snapshot stands for committed entries, so it may be written at any time. One that was taken is
//! written before the replica hears of it: first the entries that it refers to, then the state; a
//! crash in between leaves the old state and entries that nobody asks for.

use std::{collections::BTreeMap, ops::RangeInclusive};

use bytes::Bytes;
use paceline_consensus::Term;
use paceline_core::shard::{RestoreError, ShardState};
use paceline_events::emit;
use paceline_reached::{Point, reached};
use paceline_runtime::{task, time::Duration};
use paceline_store::{Entry as Record, Group, JournalError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    encoding::{StorageError, decode},
    pace::Pace,
    saved::{Content, Hash, Saved, assemble},
    streams::{Head, OpenStream},
};
use crate::link::{Connection, LinkError, Stream, StreamReceiver, StreamSender};

/// About how much of a snapshot is sent in one piece.
const PIECE_BYTES: usize = 512 << 10;

/// So many of the entries that are kept are looked at in one go.
const LOOKED_AT: usize = 4096;

/// What the sender says, in order.
#[derive(Serialize, Deserialize)]
enum Told {
    /// The parts of the snapshot; of how many of them the rest is.
    Contents { rest: u32, hashes: Vec<Hash> },
    /// Those that were wanted, in order.
    Parts(Vec<Bytes>),
    /// Entries of the log that the state refers to, and that were wanted.
    Entries(Vec<(u64, Bytes)>),
    /// That was all.
    End,
}

/// What the other asks for, in order.
#[derive(Serialize, Deserialize)]
enum Wanted {
    /// These parts, by their places, in ascending order.
    Parts(Vec<u32>),
    /// The entries that the state refers to in these ranges, which ascend.
    Entries(Vec<RangeInclusive<u64>>),
}

/// A leader's snapshot, written to this node's journal.
#[derive(Debug)]
pub struct Taken {
    /// The leader.
    pub from: u64,
    /// What was said of it.
    pub head: Head,
    /// It.
    pub saved: Saved,
    /// The state.
    pub state: ShardState,
    /// Entries that are kept, and that the state does not need.
    pub dead: Vec<u64>,
}

/// What has come of a snapshot whose transfer was cut off.
pub type Partial = BTreeMap<Hash, Content>;

/// Why a snapshot was not sent or taken.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The link has ended.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The journal cannot give or take it.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The other end has stopped in the middle.
    #[error("it ended early")]
    Short,
    /// Not what is to come next.
    #[error("the other end said something else than what was to come")]
    Unexpected,
    /// It contradicts itself.
    #[error("entry {0} is newer than the snapshot")]
    Newer(u64),
}

impl From<JournalError> for SnapshotError {
    fn from(error: JournalError) -> Self {
        Self::Storage(error.into())
    }
}

impl From<RestoreError> for SnapshotError {
    fn from(error: RestoreError) -> Self {
        Self::Storage(error.into())
    }
}

async fn hear<T: DeserializeOwned>(receiver: &mut StreamReceiver) -> Result<T, SnapshotError> {
    let bytes = receiver.receive().await.ok_or(SnapshotError::Short)?;
    Ok(decode(&bytes, "a piece of a snapshot")?)
}

/// Sends what the other wants of a snapshot, at a pace. Of the entries that the state refers to, those
/// that have died since are left out: the other will hear of that in the log.
///
/// # Errors
/// See [`SnapshotError`].
pub async fn send(
    group: &Group,
    connection: &Connection,
    pace: &Pace,
    saved: &Saved,
    (term, stamp): (Term, Duration),
) -> Result<(), SnapshotError> {
    let (last, membership) = (saved.last, saved.membership.clone());
    let head = Head { group: group.id().0 as u32, term, stamp, last, membership };
    let mut stream = connection.open(&OpenStream::Snapshot(head))?;
    let hashes = saved.parts.iter().map(|part| part.hash).collect();
    stream.sender.send(&Told::Contents { rest: saved.rest, hashes }).await?;
    let Wanted::Parts(wanted) = hear(&mut stream.receiver).await? else {
        return Err(SnapshotError::Unexpected);
    };
    let mut outgoing =
        Batch { sender: &stream.sender, pace, said: Told::Parts, gathered: Vec::new(), bytes: 0 };
    for place in wanted {
        let part = saved.parts.get(place as usize).ok_or(SnapshotError::Unexpected)?;
        let part = part.content.encode();
        outgoing.put(part.len(), part).await?;
    }
    outgoing.flush().await?;
    let Wanted::Entries(wanted) = hear(&mut stream.receiver).await? else {
        return Err(SnapshotError::Unexpected);
    };
    let live = saved.snapshot().live_entries()?;
    let mut outgoing =
        Batch { sender: &stream.sender, pace, said: Told::Entries, gathered: Vec::new(), bytes: 0 };
    for range in wanted {
        let from = live.partition_point(|index| index < range.start());
        for index in live[from..].iter().take_while(|index| range.contains(index)) {
            match group.read_entry(*index).await {
                Ok(record) => outgoing.put(record.len(), (*index, record)).await?,
                // Settled meanwhile; or settled by entries that this replica has in its log and not
                // applied yet, since a snapshot brought it here.
                Err(JournalError::Missing { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    outgoing.flush().await?;
    stream.sender.send(&Told::End).await?;
    // The other end closes when it has it.
    while stream.receiver.receive().await.is_some() {}
    reached(Point::SnapshotSent);
    Ok(())
}

/// What is sent together.
struct Batch<'a, T> {
    sender: &'a StreamSender,
    pace: &'a Pace,
    said: fn(Vec<T>) -> Told,
    gathered: Vec<T>,
    bytes: usize,
}

impl<T> Batch<'_, T> {
    async fn put(&mut self, bytes: usize, item: T) -> Result<(), LinkError> {
        self.bytes += bytes;
        self.gathered.push(item);
        if self.bytes >= PIECE_BYTES { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), LinkError> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        self.pace.allow(std::mem::take(&mut self.bytes)).await;
        self.sender.send(&(self.said)(std::mem::take(&mut self.gathered))).await
    }
}

/// Takes a snapshot from a leader and writes it in the place of `saved`. What is there already is not
/// sent: parts of `saved`, parts that have come before, and entries in the journal.
///
/// # Errors
/// See [`SnapshotError`]; the group's own snapshot then stands as before, and `partial` holds what the
/// next transfer need not bring again.
pub async fn take(
    group: &Group,
    (from, head): (u64, Head),
    stream: &mut Stream,
    saved: &Saved,
    partial: &mut Partial,
) -> Result<Taken, SnapshotError> {
    emit!(SnapshotInstall { shard: head.group.into() });
    let was_cut_off = !partial.is_empty();
    let contents = take_parts(group, stream, saved, partial).await?;
    let snapshot = assemble(&contents);
    drop(contents);
    let state = ShardState::restore(&snapshot)?;
    let live: Vec<u64> = state.live_entries().collect();
    if let Some(index) = live.last().filter(|index| **index > head.last.index) {
        return Err(SnapshotError::Newer(*index));
    }
    let Looked { there, lacking, dead } = look(group, &live, head.last.index).await;
    if was_cut_off && there > 0 {
        reached(Point::SnapshotResumed);
    }
    stream.sender.send(&Wanted::Entries(lacking)).await?;
    loop {
        match hear(&mut stream.receiver).await? {
            Told::Entries(entries) => {
                let record = |(index, payload)| Record { index, payload };
                let records: Vec<Record> = entries.into_iter().map(record).collect();
                if let Some(record) = records.iter().find(|it| it.index > head.last.index) {
                    return Err(SnapshotError::Newer(record.index));
                }
                moved(group, records.iter().map(|record| record.payload.len()).sum());
                group.retain(&records)?.await?;
            }
            Told::End => break,
            _ => return Err(SnapshotError::Unexpected),
        }
    }
    let saved = saved.replace(group, head.last, head.membership.clone(), &snapshot).await?;
    reached(Point::SnapshotInstalled);
    Ok(Taken { from, head, saved, state, dead })
}

fn moved(group: &Group, bytes: usize) {
    emit!(SnapshotMove { shard: group.id().0, bytes: bytes as u64 });
}

/// What the parts of the leader's snapshot hold, in order.
async fn take_parts(
    group: &Group,
    stream: &mut Stream,
    saved: &Saved,
    partial: &mut Partial,
) -> Result<Vec<Content>, SnapshotError> {
    let Told::Contents { rest, hashes } = hear(&mut stream.receiver).await? else {
        return Err(SnapshotError::Unexpected);
    };
    let own: BTreeMap<Hash, &Content> =
        saved.parts.iter().map(|part| (part.hash, &part.content)).collect();
    let before = std::mem::take(partial);
    let (mut contents, mut wanted) = (Vec::with_capacity(hashes.len()), Vec::new());
    for (place, hash) in (0..).zip(&hashes) {
        let come = before.get(hash);
        partial.extend(come.map(|content| (*hash, content.clone())));
        let known = come.or_else(|| own.get(hash).copied());
        let known = known.filter(|known| matches!(known, Content::Rest(_)) == (place < rest));
        if known.is_none() {
            wanted.push(place);
        }
        contents.push(known.cloned());
    }
    stream.sender.send(&Wanted::Parts(wanted.clone())).await?;
    let mut wanted = wanted.into_iter();
    while wanted.len() > 0 {
        let Told::Parts(parts) = hear(&mut stream.receiver).await? else {
            return Err(SnapshotError::Unexpected);
        };
        moved(group, parts.iter().map(Bytes::len).sum());
        for (bytes, place) in parts.iter().zip(&mut wanted) {
            let hash = hashes[place as usize];
            if Hash::of(bytes) != hash {
                return Err(SnapshotError::Unexpected);
            }
            let content = Content::decode(place < rest, bytes)?;
            partial.insert(hash, content.clone());
            contents[place as usize] = Some(content);
        }
    }
    Ok(contents.into_iter().flatten().collect())
}

/// Of the entries that a state refers to, how many are kept here and which are not, and what else is.
#[derive(Debug, PartialEq, Eq)]
struct Looked {
    there: usize,
    lacking: Vec<RangeInclusive<u64>>,
    dead: Vec<u64>,
}

/// Looks for these entries, which ascend, among those that are kept up to `last`.
async fn look(group: &Group, live: &[u64], last: u64) -> Looked {
    let mut looked = Looked { there: 0, lacking: Vec::new(), dead: Vec::new() };
    let mut live = live.iter().copied().peekable();
    let mut is_open = false;
    let mut lack = |index: u64, is_open: &mut bool| match looked.lacking.last_mut() {
        Some(range) if *is_open => *range = *range.start()..=index,
        _ => {
            *is_open = true;
            looked.lacking.push(index..=index);
        }
    };
    let mut from = 0;
    loop {
        let kept = group.retained_from(from, LOOKED_AT);
        for index in kept.iter().copied().take_while(|index| *index <= last) {
            while let Some(index) = live.next_if(|live| *live < index) {
                lack(index, &mut is_open);
            }
            if live.next_if_eq(&index).is_some() {
                looked.there += 1;
                is_open = false;
            } else {
                looked.dead.push(index);
            }
        }
        match kept.last() {
            Some(index) if kept.len() == LOOKED_AT => from = index + 1,
            _ => break,
        }
        task::yield_now().await;
    }
    live.for_each(|index| lack(index, &mut is_open));
    looked
}

#[cfg(test)]
mod tests {
    use paceline_store::{GroupId, Identity, Journal, Options};

    use super::*;

    async fn kept(indices: impl IntoIterator<Item = u64>) -> (tempfile::TempDir, Journal, Group) {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity { node: 1, cluster: "test".to_owned() };
        let (journal, _) = Journal::open(dir.path(), &identity, Options::default()).await.unwrap();
        let group = journal.group(GroupId(1));
        let record = |index| Record { index, payload: Bytes::new() };
        let records: Vec<Record> = indices.into_iter().map(record).collect();
        group.retain(&records).unwrap().await.unwrap();
        (dir, journal, group)
    }

    #[tokio::test]
    async fn what_is_kept_is_not_asked_for_and_what_nobody_needs_is_let_go() {
        let (_dir, _journal, group) = kept([2, 4, 5, 9, 30]).await;
        let looked = look(&group, &[1, 2, 3, 6, 8, 9, 12, 20], 20).await;
        let lacking = vec![1..=1, 3..=8, 12..=20];
        assert_eq!(looked, Looked { there: 2, lacking, dead: vec![4, 5] });
        let nothing = look(&group, &[], 20).await;
        assert_eq!((nothing.lacking, nothing.dead), (vec![], vec![2, 4, 5, 9]));
    }

    #[tokio::test]
    async fn many_that_are_kept_are_looked_at_page_by_page() {
        let last = 3 * LOOKED_AT as u64;
        let (_dir, _journal, group) = kept((1..=last).filter(|index| *index != 5000)).await;
        let live: Vec<u64> = (1..=last + 7).collect();
        let looked = look(&group, &live, last + 7).await;
        let lacking = vec![5000..=5000, last + 1..=last + 7];
        assert_eq!(looked, Looked { there: last as usize - 1, lacking, dead: vec![] });
    }
}
