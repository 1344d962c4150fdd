//! The broker's events as values the checks can match on.

use std::time::Duration;

use paceline_events::Event;

use super::HashMap;
use crate::workload::operation::MessageId;

/// A node, as an index: `n1` is 0.
pub type NodeId = u32;

/// Stands for a text that the broker uses as a name; the same text is the same number within a
/// run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameId(pub u32);

/// A message, by whatever name is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// By its producer's name.
    Sent(MessageId),
    /// By the name that the broker gave it, and that clients see.
    Named(NameId),
    /// By its leader's name.
    Placed {
        /// Of which shard.
        shard: u64,
        /// Its place there.
        message: NameId,
    },
}

/// A [`Subject`] in words, for those who do not have the names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the subject's")]
pub enum About {
    /// By its producer's name.
    Sent(MessageId),
    /// By the name that the broker gave it.
    Named(String),
    /// By its leader's name.
    Placed { shard: u64, message: String },
}

impl About {
    /// A message as the names say.
    pub fn of(subject: Subject, names: &Steps) -> Self {
        match subject {
            Subject::Sent(id) => Self::Sent(id),
            Subject::Named(name) => Self::Named(names.text(name).to_owned()),
            Subject::Placed { shard, message } => {
                Self::Placed { shard, message: names.text(message).to_owned() }
            }
        }
    }
}

impl From<MessageId> for Subject {
    fn from(id: MessageId) -> Self {
        Self::Sent(id)
    }
}

/// Something a node said it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Duration,
    /// Which node.
    pub node: NodeId,
    /// What.
    pub what: What,
}

/// The kinds of steps that checks know: the [`Event`]s that some check cares for, with numbers for
/// names, and the end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the event's")]
pub enum What {
    /// The node serves the shard as its leader from here on.
    ServeBegin { shard: u64, term: u64 },
    /// It no longer does.
    ServeEnd { shard: u64, term: u64 },
    /// It votes for a node.
    Vote { shard: u64, term: u64, to: u64 },
    /// It answers a leader, for the first time in this term and its process's life.
    Follow { shard: u64, term: u64, to: u64 },
    /// It begins to repair a replica that was damaged.
    RepairBegin { shard: u64 },
    /// It has deleted its copy, which it is to hold no longer.
    ReplicaDropped { shard: u64 },
    /// The leader handed a message to a consumer.
    Dispatch {
        shard: u64,
        term: u64,
        consumer: NameId,
        message: NameId,
        /// The message's own id, which clients see, if the leader has it at hand.
        id: Option<NameId>,
        /// The queue that it stood on, likewise; none of a topic's.
        queue: Option<NameId>,
        priority: u64,
        redelivered: bool,
        in_flight: u64,
        credit: u64,
    },
    /// The leader read from the log what it had handed out without having it at hand; the fields
    /// are those that [`What::Dispatch`] lacked.
    ReadBack { shard: u64, message: NameId, id: NameId, queue: Option<NameId> },
    /// A consumer's message is gone for good.
    Settle { shard: u64, term: u64, consumer: NameId, message: NameId },
    /// A consumer's message went back to its queue.
    Release { shard: u64, term: u64, consumer: NameId, message: NameId },
    /// A consumer appeared at the leader.
    Attach { shard: u64, term: u64, consumer: NameId },
    /// A consumer may hold another number of messages from now on.
    Prefetch { shard: u64, term: u64, consumer: NameId, prefetch: u64 },
    /// A consumer left; what it held went back.
    Detach { shard: u64, term: u64, consumer: NameId },
    /// The node's process died or was restarted; what it had in memory is gone.
    Died,
}

impl What {
    /// The message that it is about, if it is about one.
    pub fn message(&self) -> Option<Subject> {
        match *self {
            Self::Dispatch { shard, message, .. }
            | Self::ReadBack { shard, message, .. }
            | Self::Settle { shard, message, .. }
            | Self::Release { shard, message, .. } => Some(Subject::Placed { shard, message }),
            _ => None,
        }
    }
}

/// Turns events into steps.
#[derive(Debug, Default)]
pub struct Steps {
    names: HashMap<String, NameId>,
    texts: Vec<String>,
}

impl Steps {
    /// The number that stands for a text.
    pub fn name(&mut self, text: &str) -> NameId {
        if let Some(&id) = self.names.get(text) {
            return id;
        }
        let id = NameId(self.texts.len() as u32);
        self.names.insert(text.to_owned(), id);
        self.texts.push(text.to_owned());
        id
    }

    /// The text that a number stands for.
    pub fn text(&self, id: NameId) -> &str {
        &self.texts[id.0 as usize]
    }

    /// The step that a node says it did; `None` if no check cares for its kind.
    pub fn read(&mut self, at: Duration, node: NodeId, said: &Event<'_>) -> Option<Step> {
        let what = match *said {
            Event::ServeBegin { shard, term } => What::ServeBegin { shard, term },
            Event::ServeEnd { shard, term } => What::ServeEnd { shard, term },
            Event::Vote { shard, term, to } => What::Vote { shard, term, to },
            Event::Follow { shard, term, to } => What::Follow { shard, term, to },
            Event::RepairBegin { shard } => What::RepairBegin { shard },
            Event::ReplicaDropped { shard } => What::ReplicaDropped { shard },
            Event::Dispatch {
                shard,
                term,
                consumer,
                message,
                id,
                queue,
                priority,
                redelivered,
                in_flight,
                credit,
            } => What::Dispatch {
                shard,
                term,
                consumer: self.name(consumer),
                message: self.name(message),
                id: self.name_unless_empty(id),
                queue: self.name_unless_empty(queue),
                priority,
                redelivered,
                in_flight,
                credit,
            },
            Event::ReadBack { shard, message, id, queue, .. } => What::ReadBack {
                shard,
                message: self.name(message),
                id: self.name(id),
                queue: self.name_unless_empty(queue),
            },
            Event::Settle { shard, term, consumer, message } => What::Settle {
                shard,
                term,
                consumer: self.name(consumer),
                message: self.name(message),
            },
            Event::Release { shard, term, consumer, message } => What::Release {
                shard,
                term,
                consumer: self.name(consumer),
                message: self.name(message),
            },
            Event::Attach { shard, term, consumer } => {
                What::Attach { shard, term, consumer: self.name(consumer) }
            }
            Event::Prefetch { shard, term, consumer, prefetch } => {
                What::Prefetch { shard, term, consumer: self.name(consumer), prefetch }
            }
            Event::Detach { shard, term, consumer } => {
                What::Detach { shard, term, consumer: self.name(consumer) }
            }
            Event::NodeNew {}
            | Event::NodeJoined {}
            | Event::NodeForgot {}
            | Event::NodeReady {}
            | Event::NodeDraining {}
            | Event::HandOver { .. }
            | Event::TakeOver { .. }
            | Event::Apply { .. }
            | Event::SegmentBegin { .. }
            | Event::SegmentRemove { .. }
            | Event::SnapshotWrite { .. }
            | Event::SnapshotInstall { .. }
            | Event::SnapshotMove { .. }
            | Event::RepairEnd { .. }
            | Event::ReplicaAdded { .. }
            | Event::ReplicaPromoted { .. } => return None,
        };
        Some(Step { at, node, what })
    }

    fn name_unless_empty(&mut self, text: &str) -> Option<NameId> {
        (!text.is_empty()).then(|| self.name(text))
    }
}
