//! What one direction of a stream may have on its way, and what waits until it may.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
};

use bytes::BytesMut;
use tokio::sync::Notify;

/// What one direction may have on its way at the start, in bytes. The last frame may overshoot, so
/// that a frame larger than the window passes.
pub(super) const WINDOW_BYTES: i64 = 1 << 20;

#[derive(Debug)]
struct State {
    credit: i64,
    closed: bool,
    /// Frames that follow when the window opens, in order.
    waiting: VecDeque<BytesMut>,
}

/// The sender's side of the window.
#[derive(Debug)]
pub(super) struct Window {
    state: Mutex<State>,
    changed: Notify,
}

impl Window {
    pub(super) fn new() -> Self {
        let state = State { credit: WINDOW_BYTES, closed: false, waiting: VecDeque::new() };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// So many bytes more may be on their way. `send` takes what has waited for that.
    pub(super) fn widen(&self, bytes: u32, mut send: impl FnMut(BytesMut)) {
        let mut state = self.lock();
        state.credit += i64::from(bytes);
        while state.credit > 0
            && let Some(frame) = state.waiting.pop_front()
        {
            state.credit -= frame.len() as i64;
            send(frame);
        }
        drop(state);
        self.changed.notify_one();
    }

    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.waiting.clear();
        drop(state);
        self.changed.notify_one();
    }

    /// So many bytes were sent.
    pub(super) fn spend(&self, bytes: usize) {
        self.lock().credit -= bytes as i64;
    }

    /// Calls `send`, which says how many bytes it has sent, if something may be sent now; otherwise
    /// keeps the frame that `encode` makes until it may. `None` once closed.
    pub(super) fn put<E>(
        &self,
        send: impl FnOnce() -> Option<Result<usize, E>>,
        encode: impl FnOnce(&mut BytesMut) -> Result<usize, E>,
    ) -> Option<Result<(), E>> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        if state.credit > 0 && state.waiting.is_empty() {
            return Some(send()?.map(|bytes| state.credit -= bytes as i64));
        }
        let mut frame = BytesMut::new();
        Some(encode(&mut frame).map(|_| state.waiting.push_back(frame)))
    }

    /// Waits until something may be sent; false once closed.
    pub(super) async fn ready(&self) -> bool {
        loop {
            {
                let state = self.lock();
                if state.closed {
                    return false;
                }
                if state.credit > 0 {
                    return true;
                }
            }
            self.changed.notified().await;
        }
    }
}
