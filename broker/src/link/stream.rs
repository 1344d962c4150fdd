//! Streams: ordered data in both directions over a link that others share.
//!
//! Each direction has a window in bytes. The receiver widens it as its user takes data out, so a
//! user that stops taking stops the sender of this stream and nobody else.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use paceline_wire::link::{self as wire, BodyKind, EncodeError};
use serde::Serialize;
use tokio::sync::mpsc;

use super::{
    LinkError,
    outbox::Lane,
    shared::{Incoming, Registered, Shared},
    window::{Encode, Window},
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
        (stream, Registered { incoming: Incoming::Queue(incoming), taken: 0, window })
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
        self.shared.end_stream(self.id);
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
            .push(Lane::Bulk, |out| encode(end.shared.epoch(), end.id, value, out))
            .ok_or(LinkError::Closed)??;
        self.window.spend(written);
        Ok(())
    }

    /// Sends `value` in postcard, as soon as the window is open and behind all that was put before. What
    /// has to wait for that is cloned and not yet encoded; it is lost when the stream ends.
    ///
    /// # Errors
    /// [`LinkError::Closed`] once either end or the link is gone.
    pub fn put<T>(&self, value: &T) -> Result<(), LinkError>
    where
        T: ToOwned<Owned: Serialize + Send + 'static> + Serialize + ?Sized,
    {
        let End { id, shared } = &*self.end;
        let send = || shared.outbox.push(Lane::Bulk, |out| encode(shared.epoch(), *id, value, out));
        let later = || -> Encode {
            let (id, epoch, value) = (*id, shared.epoch(), value.to_owned());
            Box::new(move |out| encode(epoch, id, &value, out))
        };
        Ok(self.window.put(send, later).ok_or(LinkError::Closed)??)
    }
}

fn encode<T: Serialize + ?Sized>(
    epoch: u64,
    stream: u64,
    value: &T,
    out: &mut BytesMut,
) -> Result<usize, EncodeError> {
    wire::encode_value(BodyKind::Data, epoch, stream, value, out)
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
    /// From now on `take` gets each piece as it comes, in the task that reads the link, so it is not to
    /// take long. The stream ends when it says false; it is dropped when the stream has ended.
    pub fn deliver(mut self, take: impl Fn(Bytes) -> bool + Send + Sync + 'static) {
        let End { id, shared } = &*self.end;
        let mut goes_on = true;
        shared.with_tables(|tables| {
            let Some(entry) = tables.streams.get_mut(id) else { return };
            // Under the lock, so that nothing that comes later overtakes this.
            while let Ok(body) = self.receiver.try_recv() {
                self.taken = self.taken.saturating_add(body.len() as u32);
                goes_on = goes_on && take(body);
            }
            // The sender may have filled its window meanwhile, and waits for this.
            shared.give_back(*id, &mut self.taken);
            entry.taken = self.taken;
            entry.incoming = Incoming::Sink(Arc::new(take));
        });
        if !goes_on {
            shared.end_stream(*id);
        }
    }

    /// The next piece; `None` once the other end or the link is gone. Cancel-safe.
    pub async fn receive(&mut self) -> Option<Bytes> {
        let body = self.receiver.recv().await?;
        self.taken = self.taken.saturating_add(body.len() as u32);
        self.end.shared.give_back(self.end.id, &mut self.taken);
        Some(body)
    }
}
