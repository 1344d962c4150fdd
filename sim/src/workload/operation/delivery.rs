//! Delivery: a message that reached a consumer.

use std::{sync::Arc, time::Duration};

use super::MessageId;
use crate::workload::ids::{ClientId, ConnectionId, DestinationId};

/// One arrival of a message at a consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Which message, read from its body.
    pub id: MessageId,
    /// The broker's name of it, from its headers.
    pub broker_id: Arc<str>,
    /// Where the consumer got it from; `None` for a dead letter queue.
    pub destination: Option<DestinationId>,
    /// Whether it is a dead letter that says that its time was over.
    pub expired: bool,
    /// Who got it.
    pub client: ClientId,
    /// Over which connection.
    pub connection: ConnectionId,
    /// When.
    pub at: Duration,
    /// Whether the broker marked it as possibly delivered before.
    pub redelivered: bool,
    /// The part of the messages that the consumer selects.
    pub part: Option<u32>,
    /// When the broker confirmed that this delivery consumed the message.
    pub accepted: Option<Duration>,
}
