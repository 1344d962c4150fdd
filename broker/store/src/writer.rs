//! The one task that writes: takes all that waits, writes it in one piece, syncs, answers.
//!
//! While the disk syncs one batch the next one gathers in the buffer. Nothing is written before
//! everything earlier is synced; recovery relies on that, see `scan.rs`.

use std::mem;

use bytes::{Bytes, BytesMut};
use paceline_events::emit;
use paceline_reached::{Point, reached};
use paceline_runtime::{
    alarm::Alarm,
    disk::{self, File, OpenOptions},
    time::Instant,
};

use crate::{
    error::JournalError,
    format::{GroupId, Kind, RECORD_HEADER_BYTES, RecordHeader, segment_name},
    shared::{InFlight, Inner, Shared},
};

/// A buffer that grew beyond this for a large message is given back.
const KEPT_BUFFER_BYTES: usize = 4 << 20;

struct Batch {
    segment: u64,
    base: u32,
    bytes: Bytes,
    /// Absent for a segment that this batch begins.
    file: Option<File>,
}

/// Runs until the journal is closed and everything is written, or a write fails.
pub(crate) async fn run(shared: &Shared) {
    let mut spare = BytesMut::new();
    // Whether the last batch has no mark behind it yet.
    let mut exposed = !shared.lock().index.segments.is_empty();
    // When there has been enough rest for a mark.
    let mut rested: Option<Instant> = None;
    let mut alarm = Alarm::default();
    loop {
        let (batch, closing) = {
            let mut inner = shared.lock();
            if inner.failed.is_some() {
                break;
            }
            let closing = inner.closing;
            if closing && exposed && inner.pending.is_empty() {
                seal(&mut inner);
                exposed = false;
            }
            (take(shared, &mut inner, &mut spare), closing)
        };
        let Some(batch) = batch else {
            if closing {
                break;
            }
            if !exposed {
                shared.work.notified().await;
                continue;
            }
            let due = *rested.get_or_insert_with(|| Instant::now() + shared.options.seal_after);
            alarm.arm(Some(due));
            tokio::select! {
                biased;
                () = shared.work.notified() => {}
                () = alarm.ring() => {
                    let mut inner = shared.lock();
                    if due <= Instant::now() && inner.pending.is_empty() {
                        seal(&mut inner);
                        exposed = false;
                    }
                }
            }
            continue;
        };
        rested = None;
        exposed |= batch.bytes.len() > RECORD_HEADER_BYTES;
        match write(shared, &batch).await {
            Ok(file) => spare = finish(shared, batch, file),
            Err(error) => {
                let mut inner = shared.lock();
                // Those who wait for this batch hear it with the rest. It stays in flight for good.
                let waiters = inner.in_flight.as_mut().map(|flight| mem::take(&mut flight.waiters));
                inner.waiters.extend(waiters.unwrap_or_default());
                drop(inner);
                shared.poison(error);
                break;
            }
        }
    }
    // Whoever came too late.
    let waiters = mem::take(&mut shared.lock().waiters);
    let error = shared.lock().failed.clone();
    for waiter in waiters {
        waiter(error.clone().map_or(Ok(()), Err));
    }
}

/// An empty batch proves that what stands before it was synced.
fn seal(inner: &mut Inner) {
    inner.batch_at = 0;
    inner.pending.resize(RECORD_HEADER_BYTES, 0);
}

/// Takes what waits out of the buffer and puts the empty `spare` in its place.
fn take(shared: &Shared, inner: &mut Inner, spare: &mut BytesMut) -> Option<Batch> {
    let (segment, base) = (inner.segment, inner.base);
    if inner.pending.is_empty() {
        if inner.waiters.is_empty() {
            return None;
        }
        // They asked for nothing that is not durable already.
        let (bytes, waiters) = (Bytes::new(), mem::take(&mut inner.waiters));
        inner.in_flight = Some(InFlight { segment, base, bytes: bytes.clone(), waiters });
        return Some(Batch { segment, base, bytes, file: None });
    }
    let at = inner.batch_at;
    let header = RecordHeader {
        kind: Kind::Batch,
        group: GroupId(0),
        index: (inner.pending.len() - at) as u64,
        payload_bytes: 0,
        payload_crc: crc32c::crc32c(&[]),
    };
    let encoded = header.encode(shared.salt(inner.segment), u64::from(inner.base) + at as u64);
    inner.pending[at..at + RECORD_HEADER_BYTES].copy_from_slice(&encoded);
    let bytes = mem::replace(&mut inner.pending, mem::take(spare)).freeze();
    inner.base += bytes.len() as u32;
    let entry = inner.index.segments.entry(segment).or_default();
    entry.bytes = u64::from(inner.base);
    let file = entry.file.clone();
    let waiters = mem::take(&mut inner.waiters);
    inner.in_flight = Some(InFlight { segment, base, bytes: bytes.clone(), waiters });
    Some(Batch { segment, base, bytes, file })
}

async fn write(shared: &Shared, batch: &Batch) -> Result<Option<File>, JournalError> {
    if batch.bytes.is_empty() {
        return Ok(None);
    }
    let path = || shared.dir.join(segment_name(batch.segment));
    let io = |action| move |error| JournalError::io(action, path(), error);
    let (file, is_new) = match &batch.file {
        Some(file) => (file.clone(), false),
        None => {
            // What a crash may have left under this name was never acknowledged.
            let options = OpenOptions {
                read: true,
                write: true,
                create: true,
                truncate: true,
                ..OpenOptions::default()
            };
            (File::open(path(), &options).await.map_err(io("create"))?, true)
        }
    };
    file.write_all_at(batch.bytes.clone(), u64::from(batch.base)).await.map_err(io("write"))?;
    file.sync_data().await.map_err(io("sync"))?;
    if is_new {
        reached(Point::SegmentBegun);
        emit!(SegmentBegin { segment: batch.segment });
        disk::sync_dir(&shared.dir)
            .await
            .map_err(|error| JournalError::io("sync", &shared.dir, error))?;
    }
    Ok(is_new.then_some(file))
}

/// Answers everybody in the batch; gives its buffer back for the next one.
fn finish(shared: &Shared, batch: Batch, file: Option<File>) -> BytesMut {
    let flight = {
        let mut inner = shared.lock();
        if let Some(file) = file {
            inner.index.segments.entry(batch.segment).or_default().file = Some(file);
            shared.garbage.notify_one();
        }
        inner.in_flight.take()
    };
    for waiter in flight.map(|flight| flight.waiters).unwrap_or_default() {
        waiter(Ok(()));
    }
    drop(batch.file);
    match batch.bytes.try_into_mut() {
        Ok(mut buffer) if buffer.capacity() <= KEPT_BUFFER_BYTES => {
            buffer.clear();
            buffer
        }
        _ => BytesMut::new(),
    }
}
