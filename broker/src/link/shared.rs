//! What the reader, the writer and the users of a connection share.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use paceline_wire::link::{self as wire, Frame, Hello};

use super::{
    identity::Identity,
    outbox::{Lane, Outbox},
    window::{WINDOW_BYTES, Window},
};

/// What reader, writer and users of a connection share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) outbox: Outbox,
    identity: Identity,
    /// The node at the other end and where others reach it, if both ends are nodes.
    peer: Option<(u64, String)>,
    /// `None` once the connection is closed, so that nobody registers on a dead one.
    tables: Mutex<Option<Tables>>,
    next_id: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) requests: BTreeMap<u64, oneshot::Sender<Bytes>>,
    pub(super) streams: BTreeMap<u64, Registered>,
}

impl Shared {
    pub(super) fn new(identity: &Identity, peer: &Hello) -> Self {
        Self {
            outbox: Outbox::default(),
            identity: identity.clone(),
            peer: identity.shares_view(peer).then(|| (peer.node, peer.link.clone())),
            tables: Mutex::new(Some(Tables::default())),
            next_id: AtomicU64::default(),
        }
    }

    /// What every frame that is sent carries.
    pub(super) fn epoch(&self) -> u64 {
        self.identity.epoch()
    }

    /// A frame that came carries this epoch.
    pub(super) fn hear(&self, epoch: u64) {
        if let Some((node, link)) = &self.peer {
            self.identity.hear(epoch, *node, link);
        }
    }

    /// Sends a frame. Whether the connection is open.
    pub(super) fn push(&self, lane: Lane, frame: &Frame) -> bool {
        self.outbox.push(lane, |out| wire::encode(self.epoch(), frame, out)).is_some()
    }

    pub(super) fn with_tables<R>(&self, f: impl FnOnce(&mut Tables) -> R) -> Option<R> {
        self.tables.lock().expect("no holder panics").as_mut().map(f)
    }

    /// Names the next request or stream.
    pub(super) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether the stream was still known.
    pub(super) fn forget_stream(&self, id: u64) -> bool {
        let entry = self.with_tables(|tables| tables.streams.remove(&id)).flatten();
        entry.is_some_and(|entry| {
            entry.window.close();
            true
        })
    }

    /// Ends a stream for both ends, unless it has ended.
    pub(super) fn end_stream(&self, id: u64) {
        if self.forget_stream(id) {
            self.push(Lane::Bulk, &Frame::Close { stream: id });
        }
    }

    /// Gives bytes that were taken out back to the window of the stream's sender, when they are worth a
    /// frame.
    pub(super) fn give_back(&self, stream: u64, taken: &mut u32) {
        if i64::from(*taken) >= WINDOW_BYTES / 4 {
            self.push(Lane::Urgent, &Frame::Credit { stream, bytes: std::mem::take(taken) });
        }
    }

    /// A piece of a stream has come.
    pub(super) fn handle_data(&self, stream: u64, body: Bytes) {
        let sink = self.with_tables(|tables| {
            let entry = tables.streams.get_mut(&stream)?;
            match &entry.incoming {
                Incoming::Queue(queue) => {
                    let _ = queue.send(body.clone());
                    None
                }
                Incoming::Sink(take) => {
                    entry.taken = entry.taken.saturating_add(body.len() as u32);
                    let take = take.clone();
                    self.give_back(stream, &mut entry.taken);
                    Some(take)
                }
            }
        });
        // Not under the lock: this is work.
        if let Some(take) = sink.flatten()
            && !take(body)
        {
            self.end_stream(stream);
        }
    }

    pub(super) fn close(&self) {
        self.outbox.close();
        let tables = self.tables.lock().expect("no holder panics").take();
        for entry in tables.into_iter().flat_map(|tables| tables.streams.into_values()) {
            entry.window.close();
        }
    }
}

/// Where the pieces of a stream go.
pub(super) enum Incoming {
    /// To whoever receives them.
    Queue(mpsc::UnboundedSender<Bytes>),
    /// Into this, until it says false.
    Sink(Arc<dyn Fn(Bytes) -> bool + Send + Sync>),
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Incoming::Queue(_) => "Queue",
            Incoming::Sink(_) => "Sink",
        })
    }
}

/// What the connection knows of a stream.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) incoming: Incoming,
    /// Bytes that went into a sink and were not yet given back to the sender's window.
    pub(super) taken: u32,
    pub(super) window: Arc<Window>,
}
