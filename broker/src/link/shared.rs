//! What the reader, the writer and the users of a connection share.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{outbox::Outbox, window::Window};

/// What reader, writer and users of a connection share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) outbox: Outbox,
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
    pub(super) fn new() -> Self {
        Self { tables: Mutex::new(Some(Tables::default())), ..Self::default() }
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

    pub(super) fn close(&self) {
        self.outbox.close();
        let tables = self.tables.lock().expect("no holder panics").take();
        for entry in tables.into_iter().flat_map(|tables| tables.streams.into_values()) {
            entry.window.close();
        }
    }
}

/// What the connection knows of a stream.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) incoming: mpsc::UnboundedSender<Bytes>,
    pub(super) window: Arc<Window>,
}
