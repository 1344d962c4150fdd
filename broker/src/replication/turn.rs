//! What groups share in one turn of the driver.

use std::{fmt, sync::Arc};

use paceline_core::{UnixMillis, ingress::Inquiry};
use paceline_membership::View;
use paceline_runtime::time::Duration;
use tokio::sync::mpsc;

use super::{input::Input, memory::Memory, words::Outbox, writes::Writes};

/// See the module.
pub struct Turn<'a> {
    /// Monotonic.
    pub now: Duration,
    /// By the wall clock.
    pub wall: UnixMillis,
    /// To the other nodes.
    pub outbox: &'a mut Outbox,
    /// To the journal.
    pub writes: &'a mut Writes,
    /// For what is done aside.
    pub inbox: &'a mpsc::UnboundedSender<Input>,
    /// For messages.
    pub memory: &'a mut Memory,
    /// Transactions that somebody has to end.
    pub doubts: &'a mpsc::UnboundedSender<Inquiry>,
    /// Views of the cluster that are committed.
    pub views: &'a mpsc::UnboundedSender<Arc<View>>,
    /// Of the shards that this node leads, so many are getting a new copy.
    pub moving: usize,
    /// Processor time of this turn.
    pub cost: Duration,
    /// Whether something is wrong that only a restart can mend.
    pub failed: &'a mut bool,
}

impl Turn<'_> {
    /// Ends the driver: this group cannot go on.
    pub fn fail(&mut self, slot: u32, why: &dyn fmt::Display) {
        tracing::error!(slot, %why, "a replica has failed");
        *self.failed = true;
    }
}
