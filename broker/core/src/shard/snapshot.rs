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
//!
//! A snapshot of layout 1 does not say how large messages are. What is restored from one is not to be
//! applied to before their bodies were [measured](ShardState::measure).

mod one;

use std::sync::Arc;

use paceline_membership::View;
use postcard::to_io;
use thiserror::Error;

use super::{
    ShardState,
    command::Batch,
    tables::{Derived, Tables},
};
use crate::{bounds::Size, slotting};

/// The first byte of a snapshot. Changes with the layout of the tables.
const VERSION: u8 = 2;

/// Why bytes are not a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// There are no bytes.
    #[error("the snapshot is empty")]
    Empty,
    /// Written by another release.
    #[error("the snapshot has layout {0}; this release reads those up to {VERSION}")]
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
    ///
    /// # Panics
    /// If sizes of messages are not known yet: see [`ShardState::measure`].
    pub fn snapshot(&self) -> Vec<u8> {
        assert_eq!(self.unmeasured(), None, "what a snapshot says is complete");
        let out = to_io(&self.tables, vec![VERSION]).expect("tables are serializable");
        to_io(&self.view.as_deref(), out).expect("a view is serializable")
    }

    /// A hash of [`ShardState::snapshot`]: equal on all replicas that have applied the same entries,
    /// whichever bodies they have in memory.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[VERSION]);
        let hasher = to_io(&self.tables, hasher).expect("tables are serializable");
        let hasher = to_io(&self.view.as_deref(), hasher).expect("a view is serializable");
        *hasher.finalize().as_bytes()
    }

    /// The state a snapshot was taken of, with no body in memory.
    ///
    /// # Errors
    /// If the bytes are no snapshot of this release, or contradict themselves.
    pub fn restore(bytes: &[u8]) -> Result<Self, RestoreError> {
        let (version, rest) = bytes.split_first().ok_or(RestoreError::Empty)?;
        let (tables, view, rest) = match *version {
            one::VERSION => one::read(rest)?,
            VERSION => {
                let (tables, rest) = postcard::take_from_bytes::<Tables>(rest)?;
                let (view, rest) = postcard::take_from_bytes::<Option<View>>(rest)?;
                (tables, view, rest)
            }
            other => return Err(RestoreError::Version(other)),
        };
        if !rest.is_empty() {
            return Err(RestoreError::Inconsistent("bytes follow its end"));
        }
        let mut derived = derive(&tables)?;
        if *version == one::VERSION {
            derived.unmeasured = one::unmeasured(&tables);
        }
        Ok(Self { tables, view: view.map(Arc::new), derived })
    }

    /// The first log entry that is to be [measured](ShardState::measure). None if all sizes are known,
    /// as they are unless the state was just restored from a snapshot of layout 1.
    pub fn unmeasured(&self) -> Option<u64> {
        self.derived.unmeasured.keys().next().copied()
    }

    /// Notes the sizes of the messages whose bodies were written in the log entry at `index`.
    ///
    /// Without `batch` the journal has let the entry go since the snapshot was taken: the log goes on
    /// with what settles those messages, which is as old as layout 1, and only after that comes
    /// anything that asks how large messages are. Until then they count as empty.
    pub fn measure(&mut self, index: u64, batch: Option<&Batch>) {
        for (message, body_at) in self.derived.unmeasured.remove(&index).unwrap_or_default() {
            let Some(body) = batch.and_then(|batch| batch.message(body_at.offset)) else {
                continue;
            };
            let size = Size::of(body);
            let stored = self.stored_mut(message).expect("nothing was applied since");
            stored.size = size;
            let queue = stored.queue;
            self.tables.queues.get_mut(&queue).expect("its queue exists").bytes += size.bytes();
        }
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
        depths.insert(*id, (0u64, 0u64));
    }
    let moved = tables.moved.iter().map(|(message, moved)| (message, &moved.stored));
    for (message, stored) in tables.messages.iter().chain(moved) {
        check(message.index <= tables.applied, "a message is newer than the state")?;
        let depth = depths.get_mut(&stored.queue);
        let (messages, bytes) =
            depth.ok_or(RestoreError::Inconsistent("a message has no queue"))?;
        *messages += 1;
        *bytes += stored.size.bytes();
    }
    for (id, queue) in &tables.queues {
        let (messages, bytes) = depths[id];
        check(messages == queue.depth, "a queue's depth is not the number of its messages")?;
        check(bytes == queue.bytes, "a queue's bytes are not those of its messages")?;
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
