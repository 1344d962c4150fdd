//! Who and what is in a run, by numbers.

use std::sync::Arc;

/// A client of the run, unique over all workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u32);

/// One connection of a client, unique over the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

/// A destination of the run, an index into [`History::destinations`](super::history::History::destinations).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationId(pub u32);

/// What the run knows of a destination before it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct DestinationInfo {
    /// Without any prefix of a protocol.
    pub name: Arc<str>,
    /// Each subscriber gets a copy of each message.
    pub topic: bool,
    /// What is persistent and sent to the topic is kept for each of its subscribers.
    pub kept: bool,
    /// How many clients receive from it.
    pub consumers: u32,
    /// What a delivery settles by itself: the broker forgets the message once it is sent.
    pub auto_ack: bool,
    /// How many deliveries each of its subscriptions may hold.
    pub prefetch: u32,
    /// Into how many parts its messages fall, of which each consumer selects one or, if they are
    /// groups, one consumer at a time has all; 1 where none does.
    pub parts: u32,
    /// Whether some of its messages are not to be delivered at once, and so come in another order.
    pub delayed: bool,
    /// Whether the parts are groups.
    pub grouped: bool,
    /// Whether each consumer wants it for itself.
    pub exclusive: bool,
    /// Whether what is acknowledged in a transaction may be prepared, and so stand back, even alone.
    pub distributed: bool,
    /// Its share of the messages of its workload.
    pub share: f64,
}
