//! The word that this node is going away, for whoever must end in good order.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

/// Tells its clones, once, that the node drains.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    begun: AtomicBool,
    notify: Notify,
}

impl Drain {
    /// From now on [`Self::begun`] returns at once.
    pub fn begin(&self) {
        self.inner.begun.store(true, Ordering::Release);
        self.inner.notify.notify_waiters();
    }

    /// Waits until draining begins. Cancel-safe.
    pub async fn begun(&self) {
        // Made before the flag is read, so that no `begin` falls in between.
        let notified = self.inner.notify.notified();
        if !self.inner.begun.load(Ordering::Acquire) {
            notified.await;
        }
    }
}
