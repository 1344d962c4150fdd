//! Keeping: what a client asks of a subscription that outlives its connections.

use std::time::Duration;

use super::Reply;
use crate::workload::ids::{ClientId, DestinationId};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// That it is there, on terms of this number. On other ones than before it begins anew.
    There(u32),
    /// That it is not.
    Gone,
}

/// One thing asked of one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// Whose.
    pub client: ClientId,
    /// Of which topic.
    pub destination: DestinationId,
    /// What.
    pub wanted: Wanted,
    /// When it was asked.
    pub sent: Duration,
    /// What became of it, and when that was known.
    pub reply: Option<(Duration, Reply)>,
}
