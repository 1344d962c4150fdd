//! Closing: the end of a subscription of which the client says what it has looked at.

use std::time::Duration;

use super::Reply;
use crate::workload::ids::{ConnectionId, DestinationId};

/// One end of a subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct Closing {
    /// Over which connection.
    pub connection: ConnectionId,
    /// To what; nothing stands for the dead letter queues.
    pub destinations: Vec<DestinationId>,
    /// What the client has not looked at and says so, as indices into the history's deliveries.
    pub unseen: Vec<u32>,
    /// When it was sent.
    pub sent: Duration,
    /// What became of it, and when that was known.
    pub reply: Option<(Duration, Reply)>,
}
