//! Snapshots: written here, sent to a replica that lacks what the log does not have any more, taken
//! from a leader. All of it aside of the driver.
//!
//! A snapshot stands for committed entries, so it may be written at any time. One that was taken is
//! written before the replica hears of it: first the entries that it refers to, then the state; a
//! crash in between leaves the old state and entries that nobody asks for.

use bytes::{Bytes, BytesMut};
use paceline_consensus::{EntryId, Membership, Term};
use paceline_core::shard::ShardState;
use paceline_events::emit;
use paceline_reached::{Point, reached};
use paceline_runtime::time::Duration;
use paceline_store::{Entry as Record, Group, JournalError};
use serde::{Deserialize, Serialize};

use super::{
    pace::Pace,
    storage::{self, Kept, StorageError, decode, encode},
    streams::{Head, OpenStream},
};
use crate::link::{Connection, LinkError, StreamReceiver, StreamSender};

/// About how much of a snapshot is sent in one piece.
const PIECE_BYTES: usize = 512 << 10;

/// What follows, in order.
#[derive(Serialize, Deserialize)]
enum Piece {
    /// Entries of the log that the state refers to.
    Entries(Vec<(u64, Bytes)>),
    /// The next part of the state.
    State(Bytes),
    /// That was all.
    End,
}

/// A leader's snapshot, written to this node's journal.
#[derive(Debug)]
pub struct Taken {
    /// The leader.
    pub from: u64,
    /// What was said of it.
    pub head: Head,
    /// The state.
    pub state: ShardState,
}

/// Why a snapshot was not sent or taken.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The link has ended.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The journal cannot give or take it.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// There is none.
    #[error("there is no snapshot")]
    None,
    /// The other end has stopped in the middle.
    #[error("it ended early")]
    Short,
    /// It contradicts itself.
    #[error("entry {0} is newer than the snapshot")]
    Newer(u64),
}

impl From<JournalError> for SnapshotError {
    fn from(error: JournalError) -> Self {
        Self::Storage(error.into())
    }
}

/// Writes the state as it was when `last` was applied.
///
/// # Errors
/// As for every write.
pub async fn write(
    group: &Group,
    last: EntryId,
    membership: Membership,
    state: Bytes,
) -> Result<(), JournalError> {
    emit!(SnapshotWrite { shard: group.id().0 });
    let kept = encode(&Kept { last, membership, state });
    group.save_snapshot(&kept).await?;
    reached(Point::SnapshotWritten);
    Ok(())
}

/// Sends the snapshot in the journal at a pace, with every entry that it refers to and that is among the
/// `live` ones: what has died since, the replica will hear of in the log.
///
/// # Errors
/// See [`SnapshotError`].
pub async fn send(
    group: &Group,
    connection: &Connection,
    pace: &Pace,
    (term, stamp): (Term, Duration),
    live: Vec<u64>,
) -> Result<(), SnapshotError> {
    let kept = group.load_snapshot().await?.ok_or(SnapshotError::None)?;
    let Kept { last, membership, state } = decode(&kept, "the snapshot")?;
    let head = Head { group: group.id().0 as u32, term, stamp, last, membership };
    let mut stream = connection.open(&OpenStream::Snapshot(head))?;
    let mut entries = Vec::new();
    let mut bytes = 0;
    for index in live.into_iter().take_while(|index| *index <= last.index) {
        match group.read_entry(index).await {
            Ok(record) => {
                bytes += record.len();
                entries.push((index, record));
            }
            // Settled while this was read; or settled by entries that this replica has in its log
            // and not applied yet, since a snapshot brought it here.
            Err(JournalError::Missing { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if bytes >= PIECE_BYTES {
            pace.allow(std::mem::take(&mut bytes)).await;
            say(&stream.sender, Piece::Entries(std::mem::take(&mut entries))).await?;
        }
    }
    pace.allow(bytes).await;
    say(&stream.sender, Piece::Entries(entries)).await?;
    let mut state = state;
    while !state.is_empty() {
        let piece = state.split_to(state.len().min(PIECE_BYTES));
        pace.allow(piece.len()).await;
        say(&stream.sender, Piece::State(piece)).await?;
    }
    say(&stream.sender, Piece::End).await?;
    // The other end closes when it has it.
    while stream.receiver.receive().await.is_some() {}
    reached(Point::SnapshotSent);
    Ok(())
}

async fn say(sender: &StreamSender, piece: Piece) -> Result<(), LinkError> {
    sender.send(&piece).await
}

/// Takes a snapshot from a leader and writes it.
///
/// # Errors
/// See [`SnapshotError`]; the group's own snapshot then stands as before.
pub async fn take(
    group: &Group,
    from: u64,
    head: Head,
    receiver: &mut StreamReceiver,
) -> Result<Taken, SnapshotError> {
    emit!(SnapshotInstall { shard: head.group.into() });
    let mut state = BytesMut::new();
    loop {
        let piece = receiver.receive().await.ok_or(SnapshotError::Short)?;
        match decode(&piece, "a piece of a snapshot")? {
            Piece::Entries(entries) => {
                if let Some((index, _)) = entries.iter().find(|(at, _)| *at > head.last.index) {
                    return Err(SnapshotError::Newer(*index));
                }
                let record = |(index, payload)| Record { index, payload };
                let records: Vec<Record> = entries.into_iter().map(record).collect();
                group.retain(&records)?.await?;
            }
            Piece::State(piece) => state.extend_from_slice(&piece),
            Piece::End => break,
        }
    }
    let mut bytes = state.freeze();
    let mut state = ShardState::restore(&bytes).map_err(StorageError::from)?;
    if storage::measure(group, &mut state).await? {
        bytes = state.snapshot().into();
    }
    let membership = head.membership.clone();
    let kept = encode(&Kept { last: head.last, membership, state: bytes });
    group.save_snapshot(&kept).await?;
    reached(Point::SnapshotInstalled);
    Ok(Taken { from, head, state })
}
