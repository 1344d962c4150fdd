//! A shard's part of the journal, in openraft's words: its log, its vote, and the snapshots of its
//! state.
//!
//! The log is the message store. An entry that openraft no longer needs is purged from the log but
//! stays in the journal, *retained*, as long as a message in it lives; so the snapshot that this
//! node keeps holds no bodies, and the one sent to another replica carries the retained entries
//! along.

mod encoding;
mod log;
mod state_machine;

use std::sync::Arc;

use bytes::Bytes;
use openraft::{AnyError, ErrorSubject, ErrorVerb, StorageError, StorageIOError, Vote};
use paceline_core::{Message, shard::MessageRef};
use paceline_store::{Group, JournalError};
use thiserror::Error;
use tokio::sync::watch;

pub use log::{LogReader, LogStore};
pub use state_machine::{SnapshotBuilder, StateMachine};

use super::Machine;

/// Sizes of one shard's storage.
#[derive(Clone, Copy, Debug)]
pub struct StorageOptions {
    /// About how many bytes of the latest log entries are kept decoded in memory, for applying and
    /// for replicas that keep up. At least the last entry always is.
    pub cache_bytes: usize,
    /// About how many bytes of entries go to a lagging replica at once.
    pub read_bytes: u64,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self { cache_bytes: 1 << 20, read_bytes: 1 << 20 }
    }
}

/// Opens a shard's storage: the machine gets the state of the last snapshot. The log after it is
/// applied when openraft says how far it is committed.
///
/// # Errors
///
/// [`JournalError::Damaged`] if the group has to be repaired first, or if the snapshot does not
/// make sense.
pub async fn open(
    group: Group,
    machine: Arc<Machine>,
    options: StorageOptions,
) -> Result<(LogStore, StateMachine), StorageError<u64>> {
    if let Some(damage) = group.damage() {
        return Err(failed(ErrorSubject::Store, ErrorVerb::Read)(JournalError::Damaged(damage)));
    }
    let (receives, receiving) = watch::channel(false);
    let state_machine = StateMachine::open(group.clone(), machine.clone(), receives).await?;
    Ok((LogStore::new(group, machine, receiving, options), state_machine))
}

/// Why a message's body could not be read back.
#[derive(Debug, Error)]
pub enum ReadMessageError {
    /// The journal has no such entry, or cannot read it.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The entry is there but the message is not in it.
    #[error("entry {index} of group {group} has no message at {offset}")]
    NoSuchMessage {
        /// The shard's group.
        group: paceline_store::GroupId,
        /// The log entry.
        index: u64,
        /// Where in the entry.
        offset: u32,
    },
}

/// Reads a message as it was written into the log. `at` is what
/// [`ShardState::body_at`](paceline_core::shard::ShardState::body_at) says.
///
/// # Errors
///
/// [`JournalError::Missing`] if the message has been settled meanwhile.
pub async fn read_message(group: &Group, at: MessageRef) -> Result<Arc<Message>, ReadMessageError> {
    let bytes = group.read_entry(at.index).await?;
    let entry = encoding::decode_entry(&bytes).ok();
    entry.and_then(|entry| encoding::batch(&entry)?.message(at.offset).cloned()).ok_or(
        ReadMessageError::NoSuchMessage { group: group.id(), index: at.index, offset: at.offset },
    )
}

/// The term of the vote that the journal holds; none if there is none. What openraft saves is here
/// before anybody is told of it.
pub fn vote_term(group: &Group) -> Option<u64> {
    let vote: Option<Vote<u64>> = encoding::decode(&group.vote()).ok().flatten();
    vote.map(|vote| vote.leader_id().term)
}

/// The mark in the journal of a group that is being repaired, see
/// [`Shard::repair_floor`](crate::shard::Shard::repair_floor).
pub fn repair_mark(floor: u64) -> Bytes {
    Bytes::copy_from_slice(&floor.to_le_bytes())
}

/// The term in the group's repair mark; none if it is not being repaired.
///
/// # Panics
///
/// When the mark is not one of [`repair_mark`], the only writer: the journal has verified it.
pub fn repair_floor(group: &Group) -> Option<u64> {
    let mark = group.repair();
    let floor = || <[u8; 8]>::try_from(&mark[..]).expect("a repair mark is a term");
    (!mark.is_empty()).then(|| u64::from_le_bytes(floor()))
}

/// Says to openraft what failed.
fn failed<E: std::error::Error + 'static>(
    subject: ErrorSubject<u64>,
    verb: ErrorVerb,
) -> impl FnOnce(E) -> StorageError<u64> {
    move |error| StorageIOError::new(subject, verb, AnyError::new(&error)).into()
}

#[cfg(test)]
mod tests;
