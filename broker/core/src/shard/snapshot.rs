//! A shard's state taken apart, put together again, and its digest.
//!
//! A snapshot holds what replicas agree on: sessions, queues, the place and the counts of every
//! message, transactions. It holds no bodies, which stay where they are: in the log. Taking one costs
//! little whatever the backlog: it shares the runs in which the messages stand with the state, which
//! goes on meanwhile. To bring another replica up to it, the storage layer
//!
//! 1. takes a [`snapshot`](ShardState::snapshot), and sends those of its parts that the other lacks;
//! 2. sends the journal's record of each of its [`live_entries`](Snapshot::live_entries) that the
//!    other lacks;
//! 3. at the receiver writes the records into the journal as kept entries of the group, syncs, and
//!    only then installs the state with [`restore`](ShardState::restore).
//!
//! A restored state has all bodies evicted; they are loaded from the journal as they are wanted.

use std::{collections::BTreeMap, sync::Arc};

use paceline_membership::View;
use postcard::to_io;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    ShardState,
    backlog::{Backlog, Run},
    bodies::Buried,
    branches,
    groups::Membership,
    producers,
    tables::{Derived, Moved, Stored, Tables},
    waiting,
};
use crate::slotting;

/// The first byte of a snapshot. Changes with the layout of the tables.
const VERSION: u8 = 5;

/// Why bytes are not a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// There are no bytes.
    #[error("the snapshot is empty")]
    Empty,
    /// Written by another release.
    #[error("the snapshot has layout {0}; this release reads {VERSION}")]
    Version(u8),
    /// Cut or damaged.
    #[error("the snapshot cannot be read: {0}")]
    Malformed(#[from] postcard::Error),
    /// It reads well but its parts contradict each other.
    #[error("the snapshot contradicts itself: {0}")]
    Inconsistent(&'static str),
}

/// Some messages that follow each other, as a state and its snapshots share them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Piece(Shared);

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Shared {
    Messages(Arc<Run<Stored>>),
    Moved(Arc<Run<Moved>>),
    Members(Arc<Run<Membership>>),
}

impl Piece {
    /// Equal pieces give equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("messages are serializable")
    }

    /// What [`Piece::encode`] gave.
    ///
    /// # Errors
    /// If the bytes are cut or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, RestoreError> {
        let (piece, rest) = postcard::take_from_bytes(bytes)?;
        let is_all = rest.is_empty();
        is_all.then_some(piece).ok_or(RestoreError::Inconsistent("bytes follow a piece's end"))
    }

    /// Differs among pieces that are in memory at a time, and stays as long as any copy of this one
    /// is there: who shares a piece has not changed it.
    pub fn address(&self) -> usize {
        match &self.0 {
            Shared::Messages(run) => Arc::as_ptr(run).addr(),
            Shared::Moved(run) => Arc::as_ptr(run).addr(),
            Shared::Members(run) => Arc::as_ptr(run).addr(),
        }
    }
}

/// A state as of one moment, without bodies.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// All but the messages, as bytes.
    pub rest: Vec<u8>,
    /// The messages, in order.
    pub pieces: Vec<Piece>,
}

impl Snapshot {
    /// The log entries that hold a body that was needed then, in ascending order.
    ///
    /// # Errors
    /// If it is no snapshot of this release.
    pub fn live_entries(&self) -> Result<Vec<u64>, RestoreError> {
        let (tables, _) = self.tables()?;
        let mut live = Vec::new();
        live.extend(tables.messages.iter().map(|(message, _)| message.index));
        live.dedup();
        live.extend(tables.moved.iter().map(|(_, moved)| moved.body_at.index));
        let prepared = tables.prepared.values().filter(|prepared| prepared.bodies() > 0);
        live.extend(prepared.map(|prepared| prepared.written_at.index));
        live.extend(tables.waiting.keys().map(|waiting| waiting.at.index));
        live.sort_unstable();
        live.dedup();
        Ok(live)
    }

    fn tables(&self) -> Result<(Tables, Option<View>), RestoreError> {
        let (version, rest) = self.rest.split_first().ok_or(RestoreError::Empty)?;
        if *version != VERSION {
            return Err(RestoreError::Version(*version));
        }
        let (mut tables, rest) = postcard::take_from_bytes::<Tables>(rest)?;
        let (view, rest) = postcard::take_from_bytes::<Option<View>>(rest)?;
        if !rest.is_empty() {
            return Err(RestoreError::Inconsistent("bytes follow its end"));
        }
        let (mut messages, mut moved, mut members) = (Vec::new(), Vec::new(), Vec::new());
        for piece in &self.pieces {
            match &piece.0 {
                Shared::Messages(run) => messages.push(run.clone()),
                Shared::Moved(run) => moved.push(run.clone()),
                Shared::Members(run) => members.push(run.clone()),
            }
        }
        let disordered = || RestoreError::Inconsistent("its messages are not in order");
        tables.messages = Backlog::of_runs(messages).ok_or_else(disordered)?;
        tables.moved = Backlog::of_runs(moved).ok_or_else(disordered)?;
        tables.members = Backlog::of_runs(members).ok_or_else(disordered)?;
        Ok((tables, view))
    }
}

impl ShardState {
    /// The state without bodies. What it costs at once grows with the number of sessions, queues and
    /// transactions, and hardly with that of messages.
    pub fn snapshot(&self) -> Snapshot {
        let rest = to_io(&self.tables, vec![VERSION]).expect("tables are serializable");
        let rest = to_io(&self.view.as_deref(), rest).expect("a view is serializable");
        let messages = self.tables.messages.runs().cloned().map(Shared::Messages);
        let moved = self.tables.moved.runs().cloned().map(Shared::Moved);
        let members = self.tables.members.runs().cloned().map(Shared::Members);
        Snapshot { rest, pieces: messages.chain(moved).chain(members).map(Piece).collect() }
    }

    /// A hash of what a snapshot holds: equal on all replicas that have applied the same entries,
    /// whichever bodies they have in memory.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[VERSION]);
        let tables = &self.tables;
        let hasher = to_io(tables, hasher).expect("tables are serializable");
        let hasher = to_io(&(&tables.messages, &tables.moved, &tables.members), hasher)
            .expect("so are messages");
        let hasher = to_io(&self.view.as_deref(), hasher).expect("a view is serializable");
        *hasher.finalize().as_bytes()
    }

    /// The state a snapshot was taken of, with no body in memory. Shares the snapshot's pieces.
    ///
    /// # Errors
    /// If it is no snapshot of this release, or contradicts itself.
    pub fn restore(snapshot: &Snapshot) -> Result<Self, RestoreError> {
        let (tables, view) = snapshot.tables()?;
        let derived = derive(&tables)?;
        Ok(Self { tables, view: view.map(Arc::new), derived })
    }
}

/// Computes what follows from the tables, and checks on the way that they hold together.
fn derive(tables: &Tables) -> Result<Derived, RestoreError> {
    let check = |sound: bool, what| sound.then_some(()).ok_or(RestoreError::Inconsistent(what));
    let mut derived = Derived::default();
    for it in tables.waiting.keys() {
        check(it.at.index <= tables.applied, "a message that waits is newer than the state")?;
    }
    derived.waiting = waiting::derive(&tables.waiting, |index| derived.pin(index, 1));
    derived.producers = producers::derive(&tables.producers, tables.applied)
        .ok_or(RestoreError::Inconsistent("a producer is not known by its messages"))?;
    let name_of = |queue| tables.queues.get(&queue).map(|queue| &queue.name);
    derived.entered = tables.standings.derive(name_of).map_err(RestoreError::Inconsistent)?;
    for (message, _) in tables.members.iter() {
        let is_there = tables.messages.contains(*message) || tables.moved.contains(*message);
        check(is_there, "a member of a group is no message")?;
    }
    let mut depths = BTreeMap::new();
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
    for (message, moved) in tables.moved.iter() {
        let queue = &tables.queues[&moved.stored.queue];
        let dead_letters = slotting::dead_letters_of(&queue.name).is_some();
        check(moved.buried.is_none() || dead_letters, "a dead letter is in another queue")?;
        derived.pin(moved.body_at.index, 1);
        if let Some(Buried { was, .. }) = moved.buried {
            let twin = derived.buried.insert(was, *message);
            check(twin.is_none(), "a message is two dead letters")?;
        }
    }
    for (transaction, prepared) in &tables.prepared {
        derived.pin(prepared.written_at.index, prepared.bodies());
        for (message, _) in &prepared.work.settles {
            let there = tables.messages.contains(*message) || tables.moved.contains(*message);
            check(there, "a transaction holds a message that is gone")?;
            let twin = derived.locks.insert(*message, *transaction);
            check(twin.is_none(), "two transactions hold one message")?;
        }
    }
    let parts = tables.prepared.values().filter(|prepared| prepared.is_branch);
    let bytes = parts.map(|prepared| prepared.footprint()).sum();
    derived.branches = branches::derive(&tables.branches, bytes)
        .ok_or(RestoreError::Inconsistent("two branches are one transaction"))?;
    Ok(derived)
}
