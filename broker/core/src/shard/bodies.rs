//! Message bodies: which are in memory, and which of the log's entries still hold one.
//!
//! The log is the message store. A body in memory is a copy that can be dropped ([`evict`]) and put
//! back ([`load`]) at will; neither changes the [`digest`]. What must not be dropped from disk is
//! named by [`live_entries`] and [`is_live`], and what may be by [`Applied::freed`].
//!
//! [`evict`]: ShardState::evict
//! [`load`]: ShardState::load
//! [`digest`]: ShardState::digest
//! [`live_entries`]: ShardState::live_entries
//! [`is_live`]: ShardState::is_live
//! [`Applied::freed`]: super::Applied::freed

use std::{iter::Peekable, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{ShardState, command::MessageRef};
use crate::{Destination, DestinationKind, Message, Value, durable::is_durable, slotting};

/// The property of a dead letter that says where it was sent, as ActiveMQ's STOMP names it.
pub const ORIGINAL_DESTINATION: &str = "original-destination";

/// The property of a dead letter that says why it is one, as ActiveMQ names it.
pub const FAILURE_CAUSE: &str = "dlqDeliveryFailureCause";

/// Why a message is a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Death {
    /// It was rejected so often.
    Rejected(u8),
    /// Its time was over.
    Expired,
}

/// How a message became a dead letter.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Buried {
    pub(super) death: Death,
    /// Its name in the queue that it left. An acknowledgement that comes late still gives that.
    pub(super) was: MessageRef,
}

/// The property of an expired dead letter that says when its time was over, in milliseconds since the
/// Unix epoch, as ActiveMQ names it.
pub const ORIGINAL_EXPIRATION: &str = "originalExpiration";

/// Where a stored message's body is to be had.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// In memory, ready to be sent.
    Here(Arc<Message>),
    /// In the log only: read entry `index`, take [`Batch::message`](super::Batch::message) at
    /// `offset`, and hand it to [`ShardState::compose`] (to send it) or [`ShardState::load`].
    Evicted(MessageRef),
}

impl ShardState {
    /// The message, or where to read it; `None` if it is no longer there.
    pub fn content(&self, message: MessageRef) -> Option<Content> {
        let body_at = self.body_at(message)?;
        match self.derived.bodies.get(&message) {
            Some(body) => self.compose(message, body).map(Content::Here),
            None => Some(Content::Evicted(body_at)),
        }
    }

    /// Where in the log to read the message's body, if it is not in memory.
    pub(crate) fn evicted_at(&self, message: MessageRef) -> Option<MessageRef> {
        let is_evicted = !self.derived.bodies.contains_key(&message);
        self.body_at(message).filter(|_| is_evicted)
    }

    /// Where in the log the message's body was written.
    pub fn body_at(&self, message: MessageRef) -> Option<MessageRef> {
        if self.tables.messages.contains(message) {
            return Some(message);
        }
        self.tables.moved.get(message).map(|moved| moved.body_at)
    }

    /// The message as consumers get it, made from the one that was written: a dead letter names its
    /// new queue, where it was sent and why it failed, and does not expire; one that a queue has of its
    /// virtual topic names the queue. `None` if it is gone.
    pub fn compose(&self, message: MessageRef, written: &Arc<Message>) -> Option<Arc<Message>> {
        let stored = self.stored(message)?;
        let buried = self.tables.moved.get(message).and_then(|moved| moved.buried);
        let queue = &self.tables.queues[&stored.queue].name;
        let Some(Buried { death, .. }) = buried else { return Some(in_queue(written, queue)) };
        Some(dead_letter(written, queue.clone(), death).into())
    }

    /// How many bytes the bodies in memory take, about.
    pub fn loaded_bytes(&self) -> usize {
        self.derived.loaded_bytes
    }

    /// Drops the message's body from memory. Whether there was one.
    pub fn evict(&mut self, message: MessageRef) -> bool {
        self.derived.unload(message).is_some()
    }

    /// Drops bodies until those left take at most `budget` bytes: the latest to arrive go first,
    /// since they are the last to be delivered. Returns how many were dropped.
    pub fn evict_to(&mut self, budget: usize) -> usize {
        let mut dropped = 0;
        while self.derived.loaded_bytes > budget {
            let Some((_, body)) = self.derived.bodies.pop_last() else { break };
            self.derived.loaded_bytes -= body.footprint();
            dropped += 1;
        }
        dropped
    }

    /// Puts a body back that was read from the log where [`ShardState::body_at`] says. Whether it
    /// was wanted: the message may be gone, or loaded, by now.
    pub fn load(&mut self, message: MessageRef, written: Arc<Message>) -> bool {
        let is_wanted = self.evicted_at(message).is_some();
        if is_wanted {
            self.derived.load(message, written);
        }
        is_wanted
    }

    /// Whether the log entry at `index` holds a body that is still needed.
    pub fn is_live(&self, index: u64) -> bool {
        let first = MessageRef { index, offset: 0 };
        let last = MessageRef { index, offset: u32::MAX };
        self.derived.pins.contains_key(&index) || self.tables.messages.any_in(first..=last)
    }

    /// The log entries that hold a body that is still needed, in ascending order: what the journal
    /// keeps when the log is purged, and what a snapshot's receiver must be given along with it.
    pub fn live_entries(&self) -> impl Iterator<Item = u64> + '_ {
        merge_distinct(
            self.tables.messages.iter().map(|(message, _)| message.index),
            self.derived.pins.keys().copied(),
        )
    }
}

/// A message as the consumers of a queue get it that has it of a topic.
pub(crate) fn in_queue(message: &Arc<Message>, queue: &Arc<str>) -> Arc<Message> {
    if message.destination.kind == DestinationKind::Queue || is_durable(queue) {
        return message.clone();
    }
    let mut copy = Message::clone(message);
    copy.destination = Destination { kind: DestinationKind::Queue, name: queue.clone() };
    copy.into()
}

/// The message a consumer of the dead-letter queue `queue` gets for `message`.
pub(crate) fn dead_letter(message: &Message, queue: Arc<str>, death: Death) -> Message {
    let mut dead = message.clone();
    // What came from a topic was sent to that, or has died in a queue that took part in it.
    let original = match (message.destination.kind, slotting::dead_letters_of(&queue)) {
        (DestinationKind::Topic, Some(of)) if *of == *message.destination.name => {
            message.destination.clone()
        }
        (_, of) => Destination {
            kind: DestinationKind::Queue,
            name: of.map_or_else(|| message.destination.name.clone(), Arc::from),
        },
    };
    dead.destination = Destination { kind: DestinationKind::Queue, name: queue };
    dead.expires = None;
    let cause = match death {
        Death::Rejected(times) => {
            format!("rejected by its consumers, or left behind when they died, {times} times")
        }
        Death::Expired => "expired before it was consumed".into(),
    };
    let text = |text: String| Value::Text(text.into());
    let expired = message.expires.filter(|_| death == Death::Expired);
    let said = [
        (ORIGINAL_DESTINATION, Some(text(original.to_string()))),
        (FAILURE_CAUSE, Some(text(cause))),
        (ORIGINAL_EXPIRATION, expired.map(|at| Value::Long(at.0 as i64))),
    ];
    for (name, value) in said {
        let Some(value) = value else { continue };
        dead.properties.retain(|(known, _)| &**known != name);
        dead.properties.push((name.into(), value));
    }
    dead
}

/// The numbers of two ascending sequences, in ascending order, each once.
fn merge_distinct(
    left: impl Iterator<Item = u64>,
    right: impl Iterator<Item = u64>,
) -> impl Iterator<Item = u64> {
    struct Merge<L: Iterator<Item = u64>, R: Iterator<Item = u64>> {
        left: Peekable<L>,
        right: Peekable<R>,
    }
    impl<L: Iterator<Item = u64>, R: Iterator<Item = u64>> Iterator for Merge<L, R> {
        type Item = u64;

        fn next(&mut self) -> Option<u64> {
            let least = match (self.left.peek(), self.right.peek()) {
                (Some(left), Some(right)) => *left.min(right),
                (Some(only), None) | (None, Some(only)) => *only,
                (None, None) => return None,
            };
            while self.left.next_if_eq(&least).is_some() {}
            while self.right.next_if_eq(&least).is_some() {}
            Some(least)
        }
    }
    Merge { left: left.peekable(), right: right.peekable() }
}
