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
    /// Frames that follow when the window opens, in order, and how many bytes of it each takes.
    waiting: VecDeque<(BytesMut, usize)>,
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
            && let Some((frame, bytes)) = state.waiting.pop_front()
        {
            // Not of the whole frame: its head is given back by nobody.
            state.credit -= bytes as i64;
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
        Some(encode(&mut frame).map(|bytes| state.waiting.push_back((frame, bytes))))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The other end gives back what it takes, which is without the heads of frames.
    #[test]
    fn what_waited_takes_of_the_window_what_is_given_back_for_it() {
        const HEAD: usize = 21;
        const BODY: usize = 10;
        let window = Window::new();
        window.spend(WINDOW_BYTES as usize);
        for _ in 0..3 {
            let encode = |frame: &mut BytesMut| -> Result<usize, ()> {
                frame.extend_from_slice(&[0; HEAD + BODY]);
                Ok(BODY)
            };
            window.put(|| panic!("the window is shut"), encode).unwrap().unwrap();
        }
        let mut sent = 0;
        window.widen(WINDOW_BYTES as u32, |_| sent += 1);
        assert_eq!((sent, window.lock().credit), (3, WINDOW_BYTES - 3 * BODY as i64));
    }
}
