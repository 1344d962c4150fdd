//! Settle: how a consumer ends deliveries, mostly with an answer wanted.

use std::time::Duration;

use super::Reply;
use crate::workload::ids::ConnectionId;

/// How a consumer ends a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Consumed.
    Accept,
    /// Refused; the broker delivers it again or dead-letters it.
    Reject,
    /// Refused for good; the broker dead-letters it at once.
    Poison,
}

/// One settlement, of one delivery or, with cumulative acknowledgement, of several.
#[derive(Clone, Debug, PartialEq)]
pub struct Settle {
    /// Over which connection; that of its deliveries.
    pub connection: ConnectionId,
    /// What it ends, as indices into the history's deliveries.
    pub deliveries: Vec<u32>,
    /// How.
    pub how: How,
    /// When it was sent.
    pub sent: Duration,
    /// What became of it, and when that was known; never where no answer was asked for.
    pub reply: Option<(Duration, Reply)>,
}
