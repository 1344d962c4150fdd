//! What one direction of a stream may have on its way.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tokio::sync::Notify;

/// What one direction may have on its way at the start, in bytes. The last frame may overshoot, so
/// that a frame larger than the window passes.
pub(super) const WINDOW_BYTES: i64 = 1 << 20;

/// The sender's side of the window.
#[derive(Debug)]
pub(super) struct Window {
    credit: AtomicI64,
    closed: AtomicBool,
    changed: Notify,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            credit: AtomicI64::new(WINDOW_BYTES),
            closed: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    pub(super) fn widen(&self, bytes: u32) {
        self.credit.fetch_add(i64::from(bytes), Ordering::AcqRel);
        self.changed.notify_one();
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// So many bytes were sent.
    pub(super) fn spend(&self, bytes: usize) {
        self.credit.fetch_sub(bytes as i64, Ordering::AcqRel);
    }

    /// Waits until something may be sent; false once closed.
    pub(super) async fn ready(&self) -> bool {
        loop {
            if self.closed.load(Ordering::Acquire) {
                return false;
            }
            if self.credit.load(Ordering::Acquire) > 0 {
                return true;
            }
            self.changed.notified().await;
        }
    }
}
