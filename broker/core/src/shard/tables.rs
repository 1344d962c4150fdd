//! The replicated tables of a shard, and the two verbs that keep its books: a message enters a
//! queue, a message leaves it.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU64,
    sync::Arc,
};

use paceline_reached::{Point, reached};
use serde::{Deserialize, Serialize};

use super::{
    backlog::Backlog,
    bodies::{Buried, Death},
    branches::{Branch, BranchesDerived},
    command::{Effect, MessageRef, QueueId, TransactionId, Work},
    groups::Membership,
    producers::{ProducerTable, ProducersByUse},
    session::Session,
    standing::{Entered, Standings},
    step::{Step, Written},
    waiting::{WaitingCounts, WaitingTable},
};
use crate::{
    Message, UnixMillis,
    bounds::{Bound, QueueFull, Size},
    rules::Rules,
    xa::Xid,
};

/// What a queue remembers of one message; the key beside it is its [`MessageRef`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// Milliseconds since the Unix epoch; what expires at 0 never gets here.
    pub(super) expires: Option<NonZeroU64>,
    pub(crate) queue: QueueId,
    pub(crate) priority: u8,
    /// Deliveries that were rejected, or of which their consumer died; saturates.
    pub(super) rejected: u8,
    /// Deliveries that were released; saturates.
    pub(super) released: u8,
    pub(super) size: Size,
}

const _: () = assert!(size_of::<Stored>() == 16, "a backlog's memory is made of these");

impl Stored {
    pub(crate) fn expires(&self) -> Option<UnixMillis> {
        self.expires.map(|at| UnixMillis(at.get()))
    }

    pub(crate) fn redeliveries(&self) -> u32 {
        u32::from(self.rejected) + u32::from(self.released)
    }
}

/// A message whose body was written elsewhere than where it entered its queue.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Moved {
    pub(super) stored: Stored,
    /// Where the body was written.
    pub(super) body_at: MessageRef,
    /// Of a dead letter.
    pub(super) buried: Option<Buried>,
}

/// What went in and out of a queue, or of several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Messages that came: published or, to a dead-letter queue, moved.
    pub entered: u64,
    /// Messages that were consumed.
    pub accepted: u64,
    /// Messages that were moved to the dead-letter queue.
    pub dead_lettered: u64,
    /// Messages whose time was over, when they came or later.
    pub expired: u64,
    /// Messages dropped by [`Command::Purge`](super::Command::Purge).
    pub purged: u64,
}

impl Counters {
    /// Messages that are no longer there.
    pub fn left(&self) -> u64 {
        self.accepted + self.dead_lettered + self.expired + self.purged
    }

    pub(super) fn add(&mut self, other: &Counters) {
        self.entered += other.entered;
        self.accepted += other.accepted;
        self.dead_lettered += other.dead_lettered;
        self.expired += other.expired;
        self.purged += other.purged;
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Queue {
    pub(super) name: Arc<str>,
    pub(super) depth: u64,
    /// Of all its messages together, as their [`Size`]s say.
    pub(super) bytes: u64,
    pub(super) counters: Counters,
    /// Nodes that keep messages for which there was no room. Until the first of those is back, none
    /// of theirs is taken.
    pub(super) shut: BTreeSet<u64>,
}

impl Queue {
    /// How full it is for a message, with what it may hold.
    pub(super) fn filled(&self, message: &Message, bound: Arc<Bound>) -> QueueFull {
        let (queue, size) = (self.name.clone(), Size::of(message).bytes());
        QueueFull { queue, messages: self.depth, bytes: self.bytes, size, bound }
    }

    /// Conservation: whatever came is still there or is accounted for.
    fn assert_balanced(&self) {
        assert_eq!(
            self.counters.entered,
            self.counters.left() + self.depth,
            "queue `{}` has lost count: {:?}, depth {}",
            self.name,
            self.counters,
            self.depth
        );
    }
}

/// Why a message leaves its queue.
#[derive(Clone, Copy, Debug)]
pub(super) enum Leave {
    Accepted,
    DeadLettered,
    Expired,
    Purged,
}

/// A shard's part of a transaction whose end it does not know yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Prepared {
    pub(super) coordinator: u32,
    pub(super) since: UnixMillis,
    /// Where the first of `work.publishes` was written; the others follow it.
    pub(super) written_at: MessageRef,
    pub(super) work: Work,
    /// Whether it is part of a branch of a distributed transaction, whose end may be long in coming.
    pub(super) is_branch: bool,
}

impl Prepared {
    /// How many bodies its log entry must keep. A topic may have durable subscriptions.
    pub(super) fn bodies(&self) -> u32 {
        self.work.publishes.len() as u32
    }

    /// About how many bytes of memory it takes.
    pub(super) fn footprint(&self) -> usize {
        let messages: usize = self.work.publishes.iter().map(|message| message.footprint()).sum();
        64 + messages + 16 * self.work.settles.len()
    }
}

/// How a transaction ended, as long as anybody may ask.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Decision {
    pub(super) commit: bool,
    /// Slots that have not forgotten it. Empty if a participant asked before the session decided.
    pub(super) waiting: BTreeSet<u32>,
}

/// All that replicas agree on. Its serialized form makes the snapshot, and the digest: every
/// collection here has one order. What grows with the backlog is not in it and goes by itself, in runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Tables {
    pub(super) applied: u64,
    /// By node.
    pub(super) sessions: BTreeMap<u64, Session>,
    pub(super) queues: BTreeMap<QueueId, Queue>,
    pub(super) next_queue: u32,
    /// What passed through queues that were deleted since.
    pub(super) deleted: Counters,
    /// Messages whose body stands where their reference says.
    #[serde(skip)]
    pub(super) messages: Backlog<Stored>,
    /// The others.
    #[serde(skip)]
    pub(super) moved: Backlog<Moved>,
    /// Of the messages that are members of groups: of which.
    #[serde(skip)]
    pub(super) members: Backlog<Membership>,
    pub(super) prepared: BTreeMap<TransactionId, Prepared>,
    pub(super) decisions: BTreeMap<TransactionId, Decision>,
    /// Messages that are not due yet.
    pub(super) waiting: WaitingTable,
    pub(super) producers: ProducerTable,
    pub(super) standings: Standings,
    /// What the cluster's policies say of messages that nobody consumes.
    pub(super) rules: Rules,
    /// Branches of distributed transactions of which this is the home shard.
    pub(super) branches: BTreeMap<Xid, Branch>,
}

/// What follows from the tables, and what is cached.
#[derive(Clone, Debug, Default)]
pub(super) struct Derived {
    pub(super) names: BTreeMap<Arc<str>, QueueId>,
    /// How many bodies of moved, prepared and waiting messages stand in a log entry.
    pub(super) pins: BTreeMap<u64, u32>,
    /// Messages that a prepared transaction will settle.
    pub(super) locks: BTreeMap<MessageRef, TransactionId>,
    /// Dead letters, by the names that they had before.
    pub(super) buried: BTreeMap<MessageRef, MessageRef>,
    /// As they were written. A cache of the journal.
    pub(super) bodies: BTreeMap<MessageRef, Arc<Message>>,
    pub(super) loaded_bytes: usize,
    /// How many messages wait for each destination.
    pub(super) waiting: WaitingCounts,
    pub(super) producers: ProducersByUse,
    /// The queues that get what is sent to a topic, by its name.
    pub(super) entered: BTreeMap<Arc<str>, Vec<Entered>>,
    pub(super) branches: BranchesDerived,
}

impl Derived {
    pub(super) fn pin(&mut self, index: u64, bodies: u32) {
        if bodies > 0 {
            *self.pins.entry(index).or_insert(0) += bodies;
        }
    }

    pub(super) fn unpin(&mut self, index: u64, bodies: u32) {
        if bodies == 0 {
            return;
        }
        let pins = self.pins.get_mut(&index).expect("what is unpinned was pinned");
        *pins = pins.checked_sub(bodies).expect("as often as it was pinned");
        if *pins == 0 {
            self.pins.remove(&index);
        }
    }

    pub(super) fn load(&mut self, message: MessageRef, body: Arc<Message>) {
        self.loaded_bytes += body.footprint();
        let twin = self.bodies.insert(message, body);
        assert!(twin.is_none(), "the body of {message} is in memory already");
    }

    pub(super) fn unload(&mut self, message: MessageRef) -> Option<Arc<Message>> {
        let body = self.bodies.remove(&message)?;
        self.loaded_bytes -= body.footprint();
        Some(body)
    }
}

/// A message that enters a queue.
pub(super) struct Arrival {
    pub(super) stored: Stored,
    /// If it is at hand.
    pub(super) body: Option<Arc<Message>>,
    pub(super) member: Option<Membership>,
}

impl super::ShardState {
    pub(super) fn stored(&self, message: MessageRef) -> Option<&Stored> {
        let tables = &self.tables;
        tables
            .messages
            .get(message)
            .or_else(|| tables.moved.get(message).map(|moved| &moved.stored))
    }

    pub(super) fn stored_mut(&mut self, message: MessageRef) -> Option<&mut Stored> {
        let tables = &mut self.tables;
        match tables.messages.get_mut(message) {
            Some(stored) => Some(stored),
            None => tables.moved.get_mut(message).map(|moved| &mut moved.stored),
        }
    }

    /// The queue of that name, which comes to be at `index` if it is not there.
    pub(super) fn queue_named(&mut self, index: u64, name: &Arc<str>) -> QueueId {
        if let Some(id) = self.derived.names.get(name) {
            return *id;
        }
        let id = QueueId(self.tables.next_queue);
        self.tables.next_queue += 1;
        let queue = Queue {
            name: name.clone(),
            depth: 0,
            bytes: 0,
            counters: Counters::default(),
            shut: BTreeSet::new(),
        };
        self.tables.queues.insert(id, queue);
        self.derived.names.insert(name.clone(), id);
        self.take_part_in_topic(index, id, name);
        id
    }

    /// Puts a message at the end of a queue, or, if its time is over already, only counts it.
    pub(super) fn enter(
        &mut self,
        step: &mut Step,
        part: usize,
        name: &Arc<str>,
        written: Written,
        arrival: Arrival,
    ) {
        let Arrival { mut stored, body, member } = arrival;
        let message = MessageRef::new(step.index, step.command, part);
        let id = self.queue_named(step.index, name);
        let is_late = stored.expires().is_some_and(|at| at <= step.now);
        let graveyard = if is_late { self.graveyard_of_expired(id) } else { None };
        let queue = self.tables.queues.get_mut(&id).expect("just looked up");
        queue.counters.entered += 1;
        if is_late {
            reached(Point::ExpiredOnArrival);
            match graveyard {
                None => {
                    queue.counters.expired += 1;
                    queue.assert_balanced();
                }
                Some(graveyard) => {
                    reached(Point::ExpiredDeadLetter);
                    queue.counters.dead_lettered += 1;
                    queue.assert_balanced();
                    let at = match written {
                        Written::Here => message,
                        Written::Earlier { at, .. } => at,
                    };
                    let buried = Buried { death: Death::Expired, was: message };
                    let written = Written::Earlier { at, buried: Some(buried) };
                    let dead = Stored { expires: None, ..stored };
                    let dead = Arrival { stored: dead, body, member };
                    self.enter(step, part, &graveyard, written, dead);
                }
            }
            return;
        }
        queue.depth += 1;
        queue.bytes += stored.size.bytes();
        queue.assert_balanced();
        let name = queue.name.clone();
        stored.queue = id;
        step.effects.push(Effect::Ready {
            message,
            queue: id,
            name,
            priority: stored.priority,
            expires: stored.expires(),
        });
        if let Some(body) = body {
            self.derived.load(message, body);
        }
        if let Some(member) = member {
            self.tables.members.insert(message, member);
        }
        let is_first = match written {
            Written::Here => self.tables.messages.insert(message, stored),
            Written::Earlier { at, buried } => {
                self.derived.pin(at.index, 1);
                if let Some(Buried { was, .. }) = buried {
                    self.derived.buried.insert(was, message);
                }
                let moved = Moved { stored, body_at: at, buried };
                self.tables.moved.insert(message, moved)
            }
        };
        assert!(is_first, "two messages were given the reference {message}");
    }

    /// Takes a message out of its queue for good. Returns where its body stands, what was known of
    /// it, and its body if that is in memory.
    pub(super) fn leave(
        &mut self,
        step: &mut Step,
        message: MessageRef,
        why: Leave,
    ) -> (MessageRef, Stored, Option<Arc<Message>>) {
        let (body_at, stored) = match self.tables.messages.remove(message) {
            Some(stored) => (message, stored),
            None => {
                let moved = self.tables.moved.remove(message).expect("only what is there leaves");
                self.derived.unpin(moved.body_at.index, 1);
                if let Some(Buried { was, .. }) = moved.buried {
                    self.derived.buried.remove(&was);
                }
                (moved.body_at, moved.stored)
            }
        };
        assert!(!self.derived.locks.contains_key(&message), "{message} left though it is locked");
        let body = self.derived.unload(message);
        let queue = self.tables.queues.get_mut(&stored.queue).expect("its queue exists");
        queue.depth -= 1;
        queue.bytes -= stored.size.bytes();
        match why {
            Leave::Accepted => queue.counters.accepted += 1,
            Leave::DeadLettered => queue.counters.dead_lettered += 1,
            Leave::Expired => queue.counters.expired += 1,
            Leave::Purged => queue.counters.purged += 1,
        }
        queue.assert_balanced();
        step.touched.insert(body_at.index);
        let member = self.tables.members.remove(message);
        step.effects.push(Effect::Gone {
            message,
            queue: stored.queue,
            priority: stored.priority,
            expires: stored.expires(),
            member,
        });
        (body_at, stored, body)
    }
}
