//! Streams: ordered data in both directions over a link that others share.
//!
//! Each direction has a window in bytes. The receiver widens it as its user takes data out, so a
//! user that stops taking stops the sender of this stream and nobody else.

use std::sync::Arc;

use bytes::Bytes;
use paceline_wire::link::{self as wire, BodyKind, Frame};
use serde::Serialize;
use tokio::sync::mpsc;

use super::{
    LinkError,
    outbox::Lane,
    shared::{Registered, Shared},
    window::{WINDOW_BYTES, Window},
};

/// One end of a stream. Dropping both halves closes it for both ends.
#[derive(Debug)]
pub struct Stream {
    /// Sends.
    pub sender: StreamSender,
    /// Receives.
    pub receiver: StreamReceiver,
}

impl Stream {
    /// Makes the local end of a stream and what the connection has to register for it.
    pub(super) fn new(id: u64, shared: Arc<Shared>) -> (Self, Registered) {
        let (incoming, receiver) = mpsc::unbounded_channel();
        let window = Arc::new(Window::new());
        let end = Arc::new(End { id, shared });
        let stream = Stream {
            sender: StreamSender { end: end.clone(), window: window.clone() },
            receiver: StreamReceiver { end, receiver, taken: 0 },
        };
        (stream, Registered { incoming, window })
    }
}

/// Closes the stream when its last half goes.
#[derive(Debug)]
struct End {
    id: u64,
    shared: Arc<Shared>,
}

impl Drop for End {
    fn drop(&mut self) {
        if self.shared.forget_stream(self.id) {
            let close = Frame::Close { stream: self.id };
            self.shared.push(Lane::Bulk, &close);
        }
    }
}

/// The sending half.
#[derive(Debug)]
pub struct StreamSender {
    end: Arc<End>,
    window: Arc<Window>,
}

impl StreamSender {
    /// Waits for the window to open, then sends `value` in postcard. Cancel-safe: a cancelled send
    /// has sent nothing.
    ///
    /// # Errors
    /// [`LinkError::Closed`] once either end or the link is gone.
    pub async fn send<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), LinkError> {
        if !self.window.ready().await {
            return Err(LinkError::Closed);
        }
        let end = &self.end;
        let written = end
            .shared
            .outbox
            .push(Lane::Bulk, |out| {
                wire::encode_value(BodyKind::Data, end.shared.epoch(), end.id, value, out)
            })
            .ok_or(LinkError::Closed)??;
        self.window.spend(written);
        Ok(())
    }
}

/// The receiving half.
#[derive(Debug)]
pub struct StreamReceiver {
    end: Arc<End>,
    receiver: mpsc::UnboundedReceiver<Bytes>,
    /// Bytes taken out but not yet given back to the sender's window.
    taken: u32,
}

impl StreamReceiver {
    /// The next piece; `None` once the other end or the link is gone. Cancel-safe.
    pub async fn receive(&mut self) -> Option<Bytes> {
        let body = self.receiver.recv().await?;
        self.taken = self.taken.saturating_add(body.len() as u32);
        if i64::from(self.taken) >= WINDOW_BYTES / 4 {
            let credit = Frame::Credit { stream: self.end.id, bytes: self.taken };
            self.taken = 0;
            self.end.shared.push(Lane::Urgent, &credit);
        }
        Some(body)
    }
}
