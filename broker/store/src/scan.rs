//! Reads one segment's bytes in order and tells a torn tail from damage.
//!
//! What makes that possible: one piece (a batch) is written at a time, and only after everything
//! before it was synced. So
//!
//! - a batch header further on, or a later segment, proves that what stands before it was synced.
//!   Whatever cannot be read there is damage: it may have been acknowledged.
//! - the last batch of the last segment has no such witness. A crash leaves it short, or with whole
//!   sectors missing, which read as zeros in a file that only grows; then all of it goes. Damage that shows neither is
//!   rot. Where both are possible it is taken for torn: otherwise each power cut would stop a shard
//!   on all its nodes. A mark written after a second of rest (an empty batch) makes that window
//!   short.

use crate::format::{
    BadSegmentHeader, GroupId, Kind, RECORD_HEADER_BYTES, RecordHeader, SECTOR_BYTES,
    SEGMENT_HEADER_BYTES, Salt, SegmentHeader,
};

/// What stands in a segment, in order.
pub(crate) enum Found<'a> {
    /// A record whose checksums hold.
    Record { offset: u32, header: RecordHeader, payload: &'a [u8] },
    /// Something that was written and cannot be read; of this group, or of nobody knows whom.
    Damage { offset: u32, group: Option<GroupId>, reason: &'static str },
}

/// How a segment ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Bytes that stand; whatever follows in the file is a torn tail and must be cut.
    pub end: u32,
    /// Where the last batch begins: from here on nothing proves that the disk has it.
    pub last_batch: u32,
    /// Whether the segment header itself is sound.
    pub header: Result<SegmentHeader, BadSegmentHeader>,
}

/// Reads the whole segment; `last` when no later one exists.
pub(crate) fn scan<'a>(
    bytes: &'a [u8],
    salt: Salt,
    last: bool,
    mut found: impl FnMut(Found<'a>),
) -> End {
    let header = SegmentHeader::decode(bytes);
    let mut end =
        End { end: SEGMENT_HEADER_BYTES as u32, last_batch: SEGMENT_HEADER_BYTES as u32, header };
    if end.header.is_err()
        && last
        && batch_after(bytes, salt, 0).is_none()
        && looks_torn(bytes, 0, 0, SEGMENT_HEADER_BYTES)
    {
        end.end = 0;
        return end;
    }
    let mut at = SEGMENT_HEADER_BYTES;
    let mut before = end.last_batch;
    // The batch that is being read, as far as its header is known: a torn one is dropped whole.
    let mut batch = Batch { start: at, end: at, found: Vec::new() };
    while at < bytes.len() {
        let header = RecordHeader::decode(&bytes[at..], salt, at as u64);
        let payload = header
            .as_ref()
            .and_then(|header| bytes.get(at + RECORD_HEADER_BYTES..at + header.record_bytes()));
        match (&header, payload) {
            (Some(header), Some(payload)) if header.matches(payload) => {
                if header.kind == Kind::Batch {
                    batch.found.drain(..).for_each(&mut found);
                    let length = usize::try_from(header.index).unwrap_or(usize::MAX);
                    batch.start = at;
                    batch.end = at.saturating_add(length);
                    if last && batch.end > bytes.len() {
                        return end;
                    }
                    before = std::mem::replace(&mut end.last_batch, at as u32);
                }
                batch.found.push(Found::Record { offset: at as u32, header: *header, payload });
                at += header.record_bytes();
                end.end = at as u32;
                continue;
            }
            _ => {}
        }
        let extent = header.map_or(RECORD_HEADER_BYTES, |header| header.record_bytes());
        let written_from = if at < batch.end { batch.start } else { at };
        if last
            && batch_after(bytes, salt, at + 1).is_none()
            && looks_torn(bytes, written_from, at, extent)
        {
            if at < batch.end {
                end.end = batch.start as u32;
                end.last_batch = before;
            } else {
                batch.found.drain(..).for_each(&mut found);
            }
            return end;
        }
        let offset = at as u32;
        match (header, payload) {
            (Some(header), Some(_)) => {
                let group = (header.kind != Kind::Batch).then_some(header.group);
                let reason = "a record's payload has rotted";
                batch.found.push(Found::Damage { offset, group, reason });
                at += header.record_bytes();
            }
            (Some(header), None) => {
                // Nobody knows whose records stood in the part of the file that is gone.
                let (group, reason) = (None, "the segment ends within a record");
                batch.found.push(Found::Damage { offset, group, reason });
                at = at.saturating_add(header.record_bytes());
                batch.end = 0;
            }
            (None, _) => {
                let reason = "a record's header has rotted";
                batch.found.push(Found::Damage { offset, group: None, reason });
                if at >= batch.end {
                    // It was the header of a batch, of which nothing is known then.
                    batch.end = 0;
                }
                at = record_after(bytes, salt, at + 1).unwrap_or(bytes.len());
            }
        }
        end.end = at.min(bytes.len()) as u32;
    }
    batch.found.drain(..).for_each(&mut found);
    if !last && (end.end as usize) < batch.end {
        let (group, reason) = (None, "the segment ends within a batch");
        found(Found::Damage { offset: end.end, group, reason });
    }
    end
}

struct Batch<'a> {
    start: usize,
    /// Where its header says that it ends; 0 if that is not known.
    end: usize,
    found: Vec<Found<'a>>,
}

/// Whether a crash during the write of the last batch, which began at `written_from`, can have left
/// this: the bytes end too early, or a sector that the record has a part in was never written. All
/// of such a sector that belongs to the batch is zeros, also what stands before the record.
fn looks_torn(bytes: &[u8], written_from: usize, at: usize, extent: usize) -> bool {
    let end = at + extent;
    if end > bytes.len() {
        return true;
    }
    let mut from = (at / SECTOR_BYTES * SECTOR_BYTES).max(written_from);
    while from < end {
        let sector_end = (from / SECTOR_BYTES + 1) * SECTOR_BYTES;
        let piece = &bytes[from..sector_end.min(bytes.len())];
        if piece.iter().all(|byte| *byte == 0) {
            return true;
        }
        from = sector_end;
    }
    false
}

/// Where the next batch header stands, at `from` or later.
fn batch_after(bytes: &[u8], salt: Salt, from: usize) -> Option<usize> {
    header_after(bytes, salt, from, |header, _| header.kind == Kind::Batch)
}

/// Where the next sound record stands, at `from` or later.
fn record_after(bytes: &[u8], salt: Salt, from: usize) -> Option<usize> {
    header_after(bytes, salt, from, |header, rest| {
        rest.get(..header.payload_bytes as usize).is_some_and(|payload| header.matches(payload))
    })
}

fn header_after(
    bytes: &[u8],
    salt: Salt,
    from: usize,
    accept: impl Fn(&RecordHeader, &[u8]) -> bool,
) -> Option<usize> {
    let last = bytes.len().checked_sub(RECORD_HEADER_BYTES)?;
    (from..=last).find(|&at| {
        RecordHeader::decode(&bytes[at..], salt, at as u64)
            .is_some_and(|header| accept(&header, &bytes[at + RECORD_HEADER_BYTES..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: (u64, u64) = (42, 1);

    /// A segment of `batches`, each a list of payload lengths, and where each batch begins.
    fn segment(batches: &[&[usize]]) -> (Vec<u8>, Vec<usize>) {
        let header = SegmentHeader { segment: SALT.1, node: 1, journal: SALT.0, previous_bytes: 0 };
        let mut bytes = header.encode().to_vec();
        let mut starts = Vec::new();
        let mut index = 0;
        let put = |bytes: &mut Vec<u8>, kind, index, payload: &[u8]| {
            let header = RecordHeader {
                kind,
                group: GroupId(5),
                index,
                payload_bytes: payload.len() as u32,
                payload_crc: crc32c::crc32c(payload),
            };
            let salt = Salt::new(SALT.0, SALT.1);
            bytes.extend(header.encode(salt, bytes.len() as u64));
            bytes.extend(payload);
        };
        for batch in batches {
            starts.push(bytes.len());
            let length = batch.iter().map(|length| length + RECORD_HEADER_BYTES);
            let length = RECORD_HEADER_BYTES + length.sum::<usize>();
            put(&mut bytes, Kind::Batch, length as u64, &[]);
            for length in *batch {
                put(&mut bytes, Kind::Entry, index, &vec![0xA5; *length]);
                index += 1;
            }
        }
        (bytes, starts)
    }

    /// Entries found, damage found, and the end.
    fn read(bytes: &[u8], last: bool) -> (Vec<u64>, usize, End) {
        let (mut entries, mut damage) = (Vec::new(), 0);
        let end = scan(bytes, Salt::new(SALT.0, SALT.1), last, |found| match found {
            Found::Record { header, .. } if header.kind == Kind::Entry => {
                entries.push(header.index)
            }
            Found::Record { .. } => {}
            Found::Damage { .. } => damage += 1,
        });
        (entries, damage, end)
    }

    #[test]
    fn every_flipped_bit_of_what_was_synced_is_reported_and_costs_one_record() {
        let (bytes, starts) = segment(&[&[30, 0, 700], &[5], &[600, 1], &[]]);
        for last in [true, false] {
            assert_eq!(read(&bytes, last).0, [0, 1, 2, 3, 4, 5]);
            for bit in SEGMENT_HEADER_BYTES * 8..starts[3] * 8 {
                let mut rotten = bytes.clone();
                rotten[bit / 8] ^= 1 << (bit % 8);
                let (entries, damage, end) = read(&rotten, last);
                assert_eq!(damage, 1, "bit {bit}");
                assert!(entries.len() >= 5, "bit {bit}: {entries:?}");
                assert_eq!(end.end as usize, bytes.len(), "bit {bit}");
            }
        }
    }

    #[test]
    fn the_last_batch_is_cut_where_it_ends_too_early_or_has_holes() {
        let (bytes, starts) = segment(&[&[30], &[700, 700]]);
        for cut in starts[1]..bytes.len() {
            let (entries, damage, end) = read(&bytes[..cut], true);
            assert_eq!(damage, 0, "cut at {cut}");
            assert_eq!((entries, end.end as usize), (vec![0], starts[1]), "cut at {cut}");
            if cut > starts[1] {
                assert!(read(&bytes[..cut], false).1 >= 1, "a later segment proves it was synced");
            }
        }
        for sector in 1..bytes.len().div_ceil(SECTOR_BYTES) {
            let mut torn = bytes.clone();
            let end = torn.len().min((sector + 1) * SECTOR_BYTES);
            torn[sector * SECTOR_BYTES..end].fill(0);
            let (entries, damage, end) = read(&torn, true);
            assert_eq!(damage, 0, "sector {sector}");
            assert_eq!((entries, end.end as usize), (vec![0], starts[1]), "sector {sector}");
        }
    }

    /// A header that begins in the last byte of a sector, with a byte that is zero, is no sector that
    /// was never written: what stands before it in that sector was.
    #[test]
    fn rot_of_the_last_record_is_not_taken_for_a_torn_tail() {
        let first = SECTOR_BYTES - SEGMENT_HEADER_BYTES - 2 * RECORD_HEADER_BYTES - 1;
        let at = SECTOR_BYTES - 1;
        let (mut bytes, _) = (1..100_000)
            .map(|last| segment(&[&[first, last]]))
            .find(|(bytes, _)| bytes[at] == 0)
            .expect("one in 256 begins so");
        assert_eq!(read(&bytes, true).0, [0, 1]);
        let rotten = at + RECORD_HEADER_BYTES;
        bytes[rotten] ^= 4;
        let (entries, damage, end) = read(&bytes, true);
        assert_eq!((entries, damage, end.end as usize), (vec![0], 1, bytes.len()));

        // Of a batch that begins within a sector this part of it may be missing.
        let (mut bytes, starts) = segment(&[&[30], &[700]]);
        bytes[starts[1]..SECTOR_BYTES].fill(0);
        assert_eq!(read(&bytes, true).2.end as usize, starts[1]);
    }

    #[test]
    fn a_copy_of_a_journal_inside_a_payload_is_no_witness() {
        let (inner, _) = segment(&[&[3], &[4]]);
        let (mut bytes, _) = segment(&[&[30]]);
        let at = bytes.len();
        let payload = inner;
        let header = RecordHeader {
            kind: Kind::Entry,
            group: GroupId(5),
            index: 1,
            payload_bytes: payload.len() as u32,
            payload_crc: 1, // wrong
        };
        bytes.extend(header.encode(Salt::new(SALT.0, SALT.1), at as u64));
        bytes.extend(&payload[..payload.len() - 1]);
        let (entries, damage, end) = read(&bytes, true);
        assert_eq!((entries, damage, end.end as usize), (vec![0], 0, at));
    }
}
