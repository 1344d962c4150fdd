//! How many bytes wait for shards, over all clients of the node.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use paceline_core::ingress::Budget;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Waiting {
    limit: usize,
    used: AtomicUsize,
}

/// What waits for one shard. Dropping it gives that back.
#[derive(Debug)]
pub(super) struct WaitingPart {
    waiting: Arc<Waiting>,
    bytes: usize,
}

impl Waiting {
    /// `limit` is the most bytes that may wait.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, used: AtomicUsize::new(0) }
    }

    /// What waits now, and what may.
    pub(super) fn budget(&self) -> Budget {
        Budget { limit: self.limit, used: self.used.load(Ordering::Relaxed) }
    }

    /// A part for one shard, for which nothing waits yet.
    pub(super) fn part(self: &Arc<Self>) -> WaitingPart {
        WaitingPart { waiting: self.clone(), bytes: 0 }
    }
}

impl WaitingPart {
    /// So much waits for the shard now.
    pub(super) fn set(&mut self, bytes: usize) {
        if bytes >= self.bytes {
            self.waiting.used.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else {
            self.waiting.used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for WaitingPart {
    fn drop(&mut self) {
        self.set(0);
    }
}
