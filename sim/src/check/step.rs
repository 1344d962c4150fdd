//! The broker's trace events as values the checks can match on.

use std::time::Duration;

use paceline_runtime::trace::{Event, Value};

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

/// The kinds of steps that checks know; see the table in ARCHITECTURE.md.
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

    /// Reads an event; `None` if no check cares for its kind.
    ///
    /// # Errors
    ///
    /// An event of a known kind that lacks a field: the broker and the checks have diverged.
    pub fn read(&mut self, node: NodeId, event: &Event<'_>) -> Result<Option<Step>, String> {
        let number = |field: &str| {
            event
                .field(field)
                .and_then(|value| value.as_u64())
                .ok_or_else(|| format!("the event `{event}` lacks a number `{field}`"))
        };
        let what = match event.kind {
            "serve_begin" => What::ServeBegin { shard: number("shard")?, term: number("term")? },
            "serve_end" => What::ServeEnd { shard: number("shard")?, term: number("term")? },
            "vote" => {
                What::Vote { shard: number("shard")?, term: number("term")?, to: number("to")? }
            }
            "follow" => {
                What::Follow { shard: number("shard")?, term: number("term")?, to: number("to")? }
            }
            "repair_begin" => What::RepairBegin { shard: number("shard")? },
            "dispatch" => What::Dispatch {
                shard: number("shard")?,
                term: number("term")?,
                consumer: self.field(event, "consumer")?,
                message: self.field(event, "message")?,
                id: match event.field("id") {
                    Some(Value::Str(id)) if !id.is_empty() => Some(self.name(id)),
                    _ => None,
                },
                queue: match event.field("queue") {
                    Some(Value::Str(queue)) if !queue.is_empty() => Some(self.name(queue)),
                    _ => None,
                },
                priority: number("priority")?,
                redelivered: event
                    .field("redelivered")
                    .and_then(|value| value.as_bool())
                    .ok_or_else(|| format!("the event `{event}` lacks `redelivered`"))?,
                in_flight: number("in_flight")?,
                credit: number("credit")?,
            },
            "read_back" => What::ReadBack {
                shard: number("shard")?,
                message: self.field(event, "message")?,
                id: self.field(event, "id")?,
                queue: match event.field("queue") {
                    Some(Value::Str(queue)) if !queue.is_empty() => Some(self.name(queue)),
                    _ => None,
                },
            },
            "settle" => What::Settle {
                shard: number("shard")?,
                term: number("term")?,
                consumer: self.field(event, "consumer")?,
                message: self.field(event, "message")?,
            },
            "release" => What::Release {
                shard: number("shard")?,
                term: number("term")?,
                consumer: self.field(event, "consumer")?,
                message: self.field(event, "message")?,
            },
            "attach" => What::Attach {
                shard: number("shard")?,
                term: number("term")?,
                consumer: self.field(event, "consumer")?,
            },
            "prefetch" => What::Prefetch {
                shard: number("shard")?,
                term: number("term")?,
                consumer: self.field(event, "consumer")?,
                prefetch: number("prefetch")?,
            },
            "detach" => What::Detach {
                shard: number("shard")?,
                term: number("term")?,
                consumer: self.field(event, "consumer")?,
            },
            _ => return Ok(None),
        };
        Ok(Some(Step { at: event.at, node, what }))
    }

    fn field(&mut self, event: &Event<'_>, field: &str) -> Result<NameId, String> {
        let value =
            event.field(field).ok_or_else(|| format!("the event `{event}` lacks `{field}`"))?;
        Ok(match value.as_str() {
            Some(text) => self.name(text),
            None => self.name(&value.to_string()),
        })
    }
}
