//! Gives disk space back: deletes segments in which nothing lives, and copies the live rest of a
//! nearly dead one forward, at a bounded rate, so that it can go too.
//!
//! Segments go in any order. What makes that safe is that every truncation, purge and reset writes
//! the group's state as a whole picture, and that the last picture always stands: so entries in an
//! older segment that it overrules do not come back when a segment in between goes.

use std::{sync::Arc, time::Duration};

use paceline_events::emit;
use paceline_reached::{Point, reached};
use paceline_runtime::{
    disk::{self, File},
    time,
};
use tokio::sync::oneshot;

use crate::{
    error::JournalError,
    format::{Kind, Place, RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES},
    index::Location,
    scan::{Found, scan},
    shared::{Inner, Shared},
};

/// How much is copied before the disk is given to others again.
const STEP_BYTES: u64 = 256 << 10;

/// Runs until the journal is closed or fails.
pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        shared.garbage.notified().await;
        while let Some(segment) = candidate(&shared) {
            if collect(&shared, segment).await.is_err() {
                // Closed or failed, and then whoever writes hears of it; or unreadable, and then
                // the segment stays.
                break;
            }
        }
        let inner = shared.lock();
        if inner.closing || inner.failed.is_some() {
            return;
        }
    }
}

/// The finished segment with the smallest live part, if that is small enough.
fn candidate(shared: &Shared) -> Option<u64> {
    let inner = shared.lock();
    if inner.closing || inner.failed.is_some() {
        return None;
    }
    let percent = u64::from(shared.options.compact_below_percent);
    let segments = inner.index.segments.range(..inner.segment);
    segments
        .filter(|(_, segment)| segment.file.is_some() && !(segment.pinned && segment.live > 0))
        .filter(|(_, segment)| segment.live * 100 < (segment.bytes * percent).max(1))
        .filter(|(number, _)| !inner.index.holds_damage(**number))
        .min_by_key(|(_, segment)| segment.live)
        .map(|(number, _)| *number)
}

async fn collect(shared: &Shared, segment: u64) -> Result<(), JournalError> {
    let path = shared.dir.join(crate::format::segment_name(segment));
    let io = |action| {
        let path = path.clone();
        move |error| JournalError::io(action, path, error)
    };
    let (file, live) = {
        let inner = shared.lock();
        let entry = &inner.index.segments[&segment];
        (entry.file.clone().expect("a candidate has its file"), entry.live)
    };
    if live > 0 {
        reached(Point::RecordsCopiedForward);
        copy_forward(shared, segment, &file).await?;
    }
    // What made the segment's records die may not be on the disk yet.
    let durable = {
        let mut inner = shared.lock();
        inner.check()?;
        submit(shared, &mut inner)
    };
    durable.await.unwrap_or(Err(JournalError::Closed))?;
    {
        let mut inner = shared.lock();
        let entry = inner.index.segments.get_mut(&segment).expect("only this task removes one");
        if entry.live > 0 {
            // A record that can no longer be read.
            entry.pinned = true;
            return Ok(());
        }
        inner.index.segments.remove(&segment);
        inner.index.damage.retain(|damage| damage.segment != segment);
    }
    reached(Point::SegmentRemoved);
    emit!(SegmentRemove { segment });
    disk::remove_file(&path).await.map_err(io("remove"))?;
    disk::sync_dir(&shared.dir).await.map_err(|error| JournalError::io("sync", &shared.dir, error))
}

fn submit(shared: &Shared, inner: &mut Inner) -> oneshot::Receiver<Result<(), JournalError>> {
    let (tx, rx) = oneshot::channel();
    shared.submit(inner, Box::new(move |result| drop(tx.send(result))));
    rx
}

/// Appends what is live in the segment to the journal's end.
async fn copy_forward(shared: &Shared, segment: u64, file: &File) -> Result<(), JournalError> {
    let length = file.len().await.map_err(|error| JournalError::io("read", &shared.dir, error))?;
    let bytes = file
        .read_at(0, length as usize)
        .await
        .map_err(|error| JournalError::io("read", &shared.dir, error))?;
    let mut records = Vec::new();
    scan(&bytes, shared.salt(segment), false, |found| {
        if let Found::Record { offset, header, .. } = found
            && header.kind != Kind::Batch
        {
            records.push((offset, header));
        }
    });
    debug_assert!(records.iter().all(|(offset, _)| *offset as usize >= SEGMENT_HEADER_BYTES));
    let mut records = records.into_iter().peekable();
    while records.peek().is_some() {
        let mut copied = 0;
        let durable = {
            let mut inner = shared.lock();
            inner.check()?;
            for (offset, header) in records.by_ref() {
                let from = offset as usize + RECORD_HEADER_BYTES;
                let payload = &bytes[from..from + header.payload_bytes as usize];
                let place = Place { segment, offset };
                let old = Location { place, bytes: header.record_bytes() as u32 };
                if copy_record(shared, &mut inner, &header, old, payload)? {
                    copied += header.record_bytes() as u64;
                }
                if copied >= STEP_BYTES {
                    break;
                }
            }
            submit(shared, &mut inner)
        };
        durable.await.unwrap_or(Err(JournalError::Closed))?;
        let rate = shared.options.compact_bytes_per_second.max(1);
        let pause = Duration::from_micros(copied.saturating_mul(1_000_000) / rate);
        if !pause.is_zero() {
            time::sleep(pause).await;
        }
    }
    Ok(())
}

/// Copies the record at `old` if it is still the one that counts.
fn copy_record(
    shared: &Shared,
    inner: &mut Inner,
    header: &RecordHeader,
    old: Location,
    payload: &[u8],
) -> Result<bool, JournalError> {
    let Some(group) = inner.index.groups.get(&header.group) else { return Ok(false) };
    let (id, index) = (header.group, header.index);
    let kind = match header.kind {
        Kind::State if group.state == Some(old) => {
            shared.put_state(inner, id)?;
            return Ok(true);
        }
        Kind::Batch | Kind::State => return Ok(false),
        Kind::Snapshot if group.snapshot.location == Some(old) => Kind::Snapshot,
        Kind::Part if group.parts.get(&index) == Some(&old) => Kind::Part,
        Kind::Snapshot | Kind::Part => return Ok(false),
        Kind::Entry | Kind::Moved | Kind::Retained if group.retained.get(&index) == Some(&old) => {
            Kind::Retained
        }
        Kind::Entry | Kind::Moved if group.log_entry(index) == Some(old) => Kind::Moved,
        Kind::Entry | Kind::Moved | Kind::Retained => return Ok(false),
    };
    let new = shared.put(inner, kind, id, index, |out| out.extend_from_slice(payload))?;
    let group = inner.index.group(id);
    let slot = match kind {
        Kind::Snapshot => group.snapshot.location.as_mut(),
        Kind::Part => group.parts.get_mut(&index),
        Kind::Retained => group.retained.get_mut(&index),
        _ => {
            let at = (index - group.start) as usize;
            group.log.get_mut(at)
        }
    };
    *slot.expect("it was there a moment ago") = new;
    inner.index.born(new);
    inner.index.died(old);
    Ok(true)
}
