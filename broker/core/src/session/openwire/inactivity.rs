//! Who hears nothing for too long takes the other side for dead.

use std::time::Duration;

/// When each side was last heard, and how long it may be silent.
#[derive(Debug, Default)]
pub(super) struct Inactivity {
    /// `None` where nobody minds.
    max: Option<Duration>,
    last_sent: Duration,
    last_received: Duration,
}

impl Inactivity {
    /// What both sides agree on: the shorter of what they ask for, nothing where either asks for zero.
    pub(super) fn agree(&mut self, ours: Duration, theirs: Duration) {
        let max = ours.min(theirs);
        self.max = (!max.is_zero()).then_some(max);
    }

    pub(super) fn sent(&mut self, now: Duration) {
        self.last_sent = now;
    }

    pub(super) fn received(&mut self, now: Duration) {
        self.last_received = now;
    }

    /// When something must have been sent: after a third of what the other side bears, as ActiveMQ
    /// does.
    pub(super) fn send_at(&self) -> Option<Duration> {
        self.max.map(|max| self.last_sent + max / 3)
    }

    /// When the other side counts as dead.
    pub(super) fn dead_at(&self) -> Option<Duration> {
        self.max.map(|max| self.last_received + max)
    }
}
