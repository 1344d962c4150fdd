//! What one direction of a stream may have on its way, and what waits until it may.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard},
};

use bytes::BytesMut;
use paceline_wire::link::EncodeError;
use tokio::sync::Notify;

/// What one direction may have on its way at the start, in bytes. The last frame may overshoot, so
/// that a frame larger than the window passes.
pub(super) const WINDOW_BYTES: i64 = 1 << 20;

/// Appends a frame, and says how many bytes of the window it takes.
pub(super) type Encode = Box<dyn FnOnce(&mut BytesMut) -> Result<usize, EncodeError> + Send>;

struct State {
    credit: i64,
    closed: bool,
    /// What follows when the window opens, in order. It is encoded then and no earlier: what it is made
    /// of is shared with others that wait for the same, its bytes would not be.
    waiting: VecDeque<Encode>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { credit, closed, waiting } = self;
        f.debug_struct("State")
            .field("credit", credit)
            .field("closed", closed)
            .field("waiting", &waiting.len())
            .finish()
    }
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

    /// So many bytes more may be on their way. `send` takes what has waited for that, and says how much
    /// of them it took.
    pub(super) fn widen(&self, bytes: u32, mut send: impl FnMut(Encode) -> usize) {
        let mut state = self.lock();
        state.credit += i64::from(bytes);
        while state.credit > 0
            && let Some(encode) = state.waiting.pop_front()
        {
            state.credit -= send(encode) as i64;
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
    /// keeps what `later` gives until it may. `None` once closed.
    pub(super) fn put(
        &self,
        send: impl FnOnce() -> Option<Result<usize, EncodeError>>,
        later: impl FnOnce() -> Encode,
    ) -> Option<Result<(), EncodeError>> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        if state.credit > 0 && state.waiting.is_empty() {
            return Some(send()?.map(|bytes| state.credit -= bytes as i64));
        }
        state.waiting.push_back(later());
        Some(Ok(()))
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
            let later = || -> Encode {
                Box::new(|frame| {
                    frame.extend_from_slice(&[0; HEAD + BODY]);
                    Ok(BODY)
                })
            };
            window.put(|| panic!("the window is shut"), later).unwrap().unwrap();
        }
        let mut sent = BytesMut::new();
        window.widen(WINDOW_BYTES as u32, |encode| encode(&mut sent).unwrap());
        assert_eq!(sent.len(), 3 * (HEAD + BODY));
        assert_eq!(window.lock().credit, WINDOW_BYTES - 3 * BODY as i64);
    }
}
