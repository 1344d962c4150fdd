//! A shard's state as bytes, and its digest.
//!
//! A snapshot holds what replicas agree on: sessions, queues, the place and the counts of every
//! message, transactions. It holds no bodies, which stay where they are: in the log. To bring
//! another replica up to it, the storage layer
//!
//! 1. takes [`snapshot`](ShardState::snapshot) and, at the same moment, the list of
//!    [`live_entries`](ShardState::live_entries);
//! 2. sends both, with the journal's record of each of those entries;
//! 3. at the receiver writes the records into the journal as kept entries of the group, syncs, and
//!    only then installs the state with [`restore`](ShardState::restore).
//!
//! A restored state has all bodies evicted; they are loaded from the journal as they are wanted.

use std::sync::Arc;

use paceline_membership::View;
use postcard::to_io;
use thiserror::Error;

use super::{
    ShardState,
    tables::{Derived, Tables},
};
use crate::slotting;

/// The first byte of a snapshot. Changes with the layout of the tables.
const VERSION: u8 = 1;

/// Why bytes are not a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// There are no bytes.
    #[error("the snapshot is empty")]
    Empty,
    /// Written by another release.
    #[error("the snapshot has layout {0}; this release reads layout {VERSION}")]
    Version(u8),
    /// Cut or damaged.
    #[error("the snapshot cannot be read: {0}")]
    Malformed(#[from] postcard::Error),
    /// It reads well but its parts contradict each other.
    #[error("the snapshot contradicts itself: {0}")]
    Inconsistent(&'static str),
}

impl ShardState {
    /// The state without bodies, as bytes. Equal states give equal bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut out = to_io(&self.tables, vec![VERSION]).expect("tables are serializable");
        if let Some(view) = &self.view {
            out = to_io(&**view, out).expect("a view is serializable");
        }
        out
    }

    /// A hash of [`ShardState::snapshot`]: equal on all replicas that have applied the same entries,
    /// whichever bodies they have in memory.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[VERSION]);
        let mut hasher = to_io(&self.tables, hasher).expect("tables are serializable");
        if let Some(view) = &self.view {
            hasher = to_io(&**view, hasher).expect("a view is serializable");
        }
        *hasher.finalize().as_bytes()
    }

    /// The state a snapshot was taken of, with no body in memory.
    ///
    /// # Errors
    /// If the bytes are no snapshot of this release, or contradict themselves.
    pub fn restore(bytes: &[u8]) -> Result<Self, RestoreError> {
        let (version, rest) = bytes.split_first().ok_or(RestoreError::Empty)?;
        if *version != VERSION {
            return Err(RestoreError::Version(*version));
        }
        let (tables, rest) = postcard::take_from_bytes::<Tables>(rest)?;
        let (view, rest) = match rest {
            [] => (None, rest),
            _ => postcard::take_from_bytes::<View>(rest).map(|(view, rest)| (Some(view), rest))?,
        };
        if !rest.is_empty() {
            return Err(RestoreError::Inconsistent("bytes follow its end"));
        }
        let derived = derive(&tables)?;
        Ok(Self { tables, view: view.map(Arc::new), derived })
    }
}

/// Computes what follows from the tables, and checks on the way that they hold together.
fn derive(tables: &Tables) -> Result<Derived, RestoreError> {
    let check = |sound: bool, what| sound.then_some(()).ok_or(RestoreError::Inconsistent(what));
    let mut derived = Derived::default();
    let mut depths = std::collections::BTreeMap::new();
    for (id, queue) in &tables.queues {
        check(id.0 < tables.next_queue, "a queue's number is yet to be given")?;
        let twin = derived.names.insert(queue.name.clone(), *id);
        check(twin.is_none(), "two queues have one name")?;
        depths.insert(*id, 0u64);
    }
    let moved = tables.moved.iter().map(|(message, moved)| (message, &moved.stored));
    for (message, stored) in tables.messages.iter().chain(moved) {
        check(message.index <= tables.applied, "a message is newer than the state")?;
        let depth = depths.get_mut(&stored.queue);
        *depth.ok_or(RestoreError::Inconsistent("a message has no queue"))? += 1;
    }
    for (id, queue) in &tables.queues {
        check(depths[id] == queue.depth, "a queue's depth is not the number of its messages")?;
        check(
            queue.counters.entered == queue.counters.left() + queue.depth,
            "what a queue took in is not what it gave out and holds",
        )?;
    }
    for moved in tables.moved.values() {
        let queue = &tables.queues[&moved.stored.queue];
        let dead_letters = slotting::slot_name_of(&queue.name).len() < queue.name.len();
        check(moved.dead_after.is_none() || dead_letters, "a dead letter is in another queue")?;
        derived.pin(moved.body_at.index, 1);
    }
    for (transaction, prepared) in &tables.prepared {
        derived.pin(prepared.written_at.index, prepared.bodies());
        for (message, _) in &prepared.work.settles {
            let there = tables.messages.contains_key(message) || tables.moved.contains_key(message);
            check(there, "a transaction holds a message that is gone")?;
            let twin = derived.locks.insert(*message, *transaction);
            check(twin.is_none(), "two transactions hold one message")?;
        }
    }
    Ok(derived)
}
