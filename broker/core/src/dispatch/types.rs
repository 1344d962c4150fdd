//! The words between a dispatcher and the shell that drives it.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    Source,
    bounds::Bounds,
    rules::Rules,
    selector::SelectorError,
    shard::{Content, MessageRef},
};

/// A consumer attached to a shard's leader, named by the node its client is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerKey {
    /// The ingress node.
    pub node: u64,
    /// Given by that node; not used again while the consumer is attached.
    pub number: u64,
}

impl fmt::Display for ConsumerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}.{}", self.node, self.number)
    }
}

/// A message that lives in one leader's memory, or one subscriber's copy of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VolatileId {
    /// The leader's term: a late settlement can not meet a later leader's message.
    pub term: u64,
    /// Counts up within the term.
    pub number: u64,
}

/// What is delivered and settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MessageKey {
    /// A message of the replicated state.
    Stored(MessageRef),
    /// A message that no replica but the leader knows.
    Volatile(VolatileId),
}

impl fmt::Display for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MessageKey::Stored(message) => write!(f, "{message}"),
            MessageKey::Volatile(id) => write!(f, "v{}.{}", id.term, id.number),
        }
    }
}

/// A message on its way to a consumer, which holds it from now on.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Who gets it.
    pub consumer: ConsumerKey,
    /// Names it when it is settled.
    pub key: MessageKey,
    /// The message, or where the log has it.
    pub content: Content,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// How many deliveries of it were rejected or released before.
    pub redelivery_count: u32,
    /// How many messages the consumer now holds, this one included.
    pub in_flight: u32,
    /// How many more it may hold.
    pub credit: u32,
    /// Whether it is the first of its group for this consumer.
    pub first_of_group: bool,
    /// Where it stands, if it is a copy for a browser.
    pub browsed: Option<Browsed>,
}

/// How far a browser has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Browsed {
    /// Of the messages of this priority,
    pub priority: u8,
    /// to this place in the log.
    pub at: MessageRef,
}

/// Bounds on what a leader keeps in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of volatile messages, about, each subscriber's copies included. Further ones of queues
    /// are refused; further ones of topics push others out.
    pub volatile_bytes: usize,
    /// Messages waiting for one topic subscriber, beyond what it holds. A further one pushes the
    /// oldest of the lowest priority out, which is counted. (ActiveMQ calls it
    /// `constantPendingMessageLimitStrategy`; without one it blocks all producers for the sake of
    /// one slow subscriber.)
    pub topic_backlog: usize,
    /// Bytes of messages that one topic subscriber holds or that wait for it, about. The same is
    /// done beyond.
    pub topic_bytes: usize,
    /// What single destinations may hold.
    pub bounds: Arc<Bounds>,
    /// What becomes of messages that nobody consumes.
    pub rules: Arc<Rules>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            volatile_bytes: 256 << 20,
            topic_backlog: 10_000,
            topic_bytes: 64 << 20,
            bounds: Arc::default(),
            rules: Arc::default(),
        }
    }
}

/// Why a consumer was not attached.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AttachRefused {
    /// The key is in use.
    #[error("consumer {0} is attached already")]
    Attached(ConsumerKey),
    /// It is to look at something else than a queue.
    #[error("`{0}` cannot be browsed: it is not one queue")]
    NotOneQueue(Source),
    /// Its selector is none.
    #[error("the selector cannot be read: {0}")]
    Selector(#[from] SelectorError),
}

/// Why a volatile message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VolatileRefused {
    /// [`Limits::volatile_bytes`] are in use. The sender may wait, or the message be published
    /// through the log instead.
    #[error(
        "the non-persistent messages of this shard take {bytes} bytes, and `limits.memory` leaves \
         it {limit}; try again later"
    )]
    Full {
        /// In use.
        bytes: usize,
        /// Allowed.
        limit: usize,
    },
    /// Only a plain name can be sent to.
    #[error("`{0}` is a pattern; messages are sent to one destination")]
    Pattern(Arc<str>),
    /// The policy of a topic says that nothing is dropped for a slow subscriber.
    #[error(
        "a subscriber of topic `{topic}` is too slow: {messages} messages of {bytes} bytes wait \
         for it, and the policy of `{policy}` allows no more"
    )]
    SubscriberFull {
        /// The topic's name.
        topic: Arc<str>,
        /// What waits for the subscriber.
        messages: usize,
        /// About how much memory that takes, with what it holds.
        bytes: usize,
        /// The policy, by the destination in it.
        policy: Arc<str>,
    },
}

/// Why a delivery could not be settled; none of those named with it was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettleRefused {
    /// It was never attached to this leader, or has been detached.
    #[error("consumer {0} is not attached")]
    UnknownConsumer(ConsumerKey),
    /// It may hold it no longer, or another consumer may.
    #[error("message {message} is not in flight for consumer {consumer}")]
    NotInFlight {
        /// Who wanted to settle.
        consumer: ConsumerKey,
        /// What.
        message: MessageKey,
    },
    /// An earlier settlement is on its way through the log.
    #[error("message {message} is being settled already")]
    Settling {
        /// What.
        message: MessageKey,
    },
}

/// Figures of one leadership.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VolatileCounters {
    /// Volatile messages taken for queues, and copies made for topic subscribers.
    pub entered: u64,
    /// Consumed.
    pub accepted: u64,
    /// Expired in memory.
    pub expired: u64,
    /// Pushed out by the [`Limits`] of a topic subscriber, rejected too often by one, left behind by
    /// one that went away, or held by a consumer whose node could not be reached.
    pub dropped: u64,
    /// Moved to a dead-letter queue, still volatile.
    pub dead_lettered: u64,
}
