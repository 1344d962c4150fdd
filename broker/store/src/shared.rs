//! What all parts of the journal share: its settings, the buffer that gathers what waits for the
//! disk, and the index, behind one lock.
//!
//! Callers encode straight into the buffer under a short lock; the writer task (`writer.rs`) takes
//! the whole buffer at once, writes it, syncs, and answers everybody in it.

use std::{
    future::Future,
    mem,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::{Notify, oneshot, watch};

use crate::{
    error::JournalError,
    format::{
        GroupId, Kind, MAX_PAYLOAD_BYTES, Place, RECORD_HEADER_BYTES, RecordHeader, Salt,
        SegmentHeader,
    },
    index::{Index, Location},
};

/// The most that may wait for the disk. Callers await their own writes, so only a disk that hangs
/// under very large messages comes near.
const MAX_WAITING_BYTES: usize = 1 << 30;

/// Sizes and timings of a journal.
#[derive(Clone, Debug)]
pub struct Options {
    /// A segment that has reached this length is followed by a new one.
    pub segment_bytes: u32,
    /// A finished segment of which less than this part is live is copied forward and deleted, in
    /// percent.
    pub compact_below_percent: u8,
    /// How fast live records are copied forward, in bytes per second.
    pub compact_bytes_per_second: u64,
    /// After this much rest the end of the last batch is marked, so that damage to it can be told
    /// from a torn write.
    pub seal_after: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            compact_below_percent: 25,
            compact_bytes_per_second: 16 << 20,
            seal_after: Duration::from_secs(1),
        }
    }
}

pub(crate) type Waiter = Box<dyn FnOnce(Result<(), JournalError>) + Send>;

/// Resolves once what was submitted is on the disk, or never will be.
#[must_use = "nothing is durable before this resolves"]
#[derive(Debug)]
pub struct Durable(oneshot::Receiver<Result<(), JournalError>>);

impl Durable {
    pub(crate) fn new() -> (Waiter, Self) {
        let (tx, rx) = oneshot::channel();
        // The caller may have lost interest; the record is written all the same.
        (Box::new(move |result| drop(tx.send(result))), Self(rx))
    }
}

impl Future for Durable {
    type Output = Result<(), JournalError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|result| result.unwrap_or(Err(JournalError::Closed)))
    }
}

/// What was taken from the buffer and is being written.
pub(crate) struct InFlight {
    pub segment: u64,
    pub base: u32,
    pub bytes: Bytes,
    pub waiters: Vec<Waiter>,
}

/// Everything behind the lock, which is never held across an await.
pub(crate) struct Inner {
    pub index: Index,
    /// The segment that `pending` goes to.
    pub segment: u64,
    /// Where in that segment `pending` goes.
    pub base: u32,
    /// Records that wait for the writer; begins with a batch header, filled in when taken.
    pub pending: BytesMut,
    /// Where in `pending` the batch header stands, behind the header of a new segment.
    pub batch_at: usize,
    /// Those who wait for what is pending.
    pub waiters: Vec<Waiter>,
    pub in_flight: Option<InFlight>,
    pub failed: Option<JournalError>,
    pub closing: bool,
}

pub(crate) struct Shared {
    pub dir: PathBuf,
    pub options: Options,
    pub node: u64,
    pub number: u64,
    pub inner: Mutex<Inner>,
    /// Something is pending, or the journal closes.
    pub work: Notify,
    /// Something died.
    pub garbage: Notify,
    /// Set when nothing will be written any more.
    pub ended: watch::Sender<bool>,
}

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock was held leaves the index in doubt; so does carrying on.
        self.inner.lock().expect("no panic while the journal's lock is held")
    }

    pub fn salt(&self, segment: u64) -> Salt {
        Salt::new(self.number, segment)
    }

    /// Encodes one record into the buffer. Nothing is changed when this fails.
    pub fn put(
        &self,
        inner: &mut Inner,
        kind: Kind,
        group: GroupId,
        index: u64,
        payload: impl FnOnce(&mut BytesMut),
    ) -> Result<Location, JournalError> {
        inner.check()?;
        if inner.pending.is_empty() {
            self.begin_batch(inner);
        }
        let start = inner.pending.len();
        inner.pending.put_bytes(0, RECORD_HEADER_BYTES);
        payload(&mut inner.pending);
        let body = &inner.pending[start + RECORD_HEADER_BYTES..];
        if body.len() > MAX_PAYLOAD_BYTES {
            let bytes = body.len();
            inner.pending.truncate(start);
            return Err(JournalError::TooLarge { bytes, limit: MAX_PAYLOAD_BYTES });
        }
        let header = RecordHeader {
            kind,
            group,
            index,
            payload_bytes: body.len() as u32,
            payload_crc: crc32c::crc32c(body),
        };
        let place = Place { segment: inner.segment, offset: inner.base + start as u32 };
        let encoded = header.encode(self.salt(inner.segment), u64::from(place.offset));
        inner.pending[start..start + RECORD_HEADER_BYTES].copy_from_slice(&encoded);
        Ok(Location { place, bytes: header.record_bytes() as u32 })
    }

    fn begin_batch(&self, inner: &mut Inner) {
        if inner.base >= self.options.segment_bytes {
            let previous = inner.index.segments.get(&inner.segment);
            let header = SegmentHeader {
                segment: inner.segment + 1,
                node: self.node,
                journal: self.number,
                previous_bytes: previous.map_or(0, |segment| segment.bytes),
            };
            inner.segment += 1;
            inner.base = 0;
            inner.index.segments.entry(inner.segment).or_default();
            inner.pending.put_slice(&header.encode());
        }
        inner.batch_at = inner.pending.len();
        inner.pending.put_bytes(0, RECORD_HEADER_BYTES);
    }

    /// Writes the group's state anew.
    pub fn put_state(&self, inner: &mut Inner, group: GroupId) -> Result<(), JournalError> {
        let record = inner.index.group(group).record();
        let location = self.put(inner, Kind::State, group, 0, |out| record.encode(out))?;
        inner.index.set_state(group, location);
        Ok(())
    }

    pub fn submit(&self, inner: &mut Inner, waiter: Waiter) {
        inner.waiters.push(waiter);
        self.work.notify_one();
    }

    /// Ends everything: the disk's state is in doubt, so nothing more is promised. Gives the error
    /// back.
    pub fn poison(&self, error: JournalError) -> JournalError {
        let waiters = {
            let mut inner = self.lock();
            if inner.failed.is_none() {
                inner.failed = Some(JournalError::Poisoned(Arc::new(error.clone())));
            }
            mem::take(&mut inner.waiters)
        };
        for waiter in waiters {
            waiter(Err(error.clone()));
        }
        self.work.notify_one();
        error
    }
}

impl Inner {
    pub fn check(&self) -> Result<(), JournalError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.closing {
            return Err(JournalError::Closed);
        }
        if self.pending.len() > MAX_WAITING_BYTES {
            return Err(JournalError::Overloaded { waiting: self.pending.len() });
        }
        Ok(())
    }

    /// The record's bytes, when they are not on the disk yet.
    pub fn in_memory(&self, location: Location) -> Option<Bytes> {
        let Location { place, bytes } = location;
        let range = |base: u32| {
            let from = place.offset.checked_sub(base)? as usize;
            Some(from..from + bytes as usize)
        };
        if let Some(flight) = &self.in_flight
            && flight.segment == place.segment
            && let Some(range) = range(flight.base)
            && let Some(bytes) = flight.bytes.get(range)
        {
            // A copy, so that the buffer can be used again.
            return Some(Bytes::copy_from_slice(bytes));
        }
        if self.segment == place.segment {
            let bytes = self.pending.get(range(self.base)?)?;
            return Some(Bytes::copy_from_slice(bytes));
        }
        None
    }
}

/// Closes the journal when its last user is gone.
pub(crate) struct Handle {
    pub shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Ok(mut inner) = self.shared.inner.lock() {
            inner.closing = true;
        }
        self.shared.work.notify_one();
        self.shared.garbage.notify_one();
    }
}
