//! The bytes of the journal: segment headers, records and their checksums.
//!
//! Every writer and reader of these bytes is in this file, with the round-trip property beside it.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Version of the format, in every segment header.
pub const VERSION: u32 = 4;

/// First bytes of a segment file.
pub const MAGIC: [u8; 8] = *b"PACELINE";

/// Length of a segment's header in bytes.
pub const SEGMENT_HEADER_BYTES: usize = 64;

/// Length of a record's header in bytes.
pub const RECORD_HEADER_BYTES: usize = 32;

/// The largest payload of one record. Larger lengths in a file are damage.
pub const MAX_PAYLOAD_BYTES: usize = 256 << 20;

/// The unit in which a disk is trusted to write all or nothing.
pub const SECTOR_BYTES: usize = 512;

/// The most bytes of a group's opaque vote, purge mark or commit mark.
const MAX_OPAQUE_BYTES: usize = 4096;

/// A Raft group: one shard's replicated log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u64);

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Begins what was written in one piece. Its index is the length in bytes of that piece, this
    /// record included. It is written only after everything before it was synced.
    Batch = 1,
    /// A log entry, just appended: the group's log ends with it.
    Entry = 2,
    /// A log entry, copied forward from an older segment: says nothing about the log's end.
    Moved = 3,
    /// An entry below the purge mark that still holds live messages.
    Retained = 4,
    /// All that is not entries or snapshot, see [`GroupRecord`]. The last one of a group holds.
    State = 5,
    /// A snapshot; its index is its number, and it names its parts, see [`encode_parts`].
    Snapshot = 6,
    /// A part of snapshots; its index is its number.
    Part = 7,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        Some(match byte {
            1 => Kind::Batch,
            2 => Kind::Entry,
            3 => Kind::Moved,
            4 => Kind::Retained,
            5 => Kind::State,
            6 => Kind::Snapshot,
            7 => Kind::Part,
            _ => return None,
        })
    }
}

/// Seeds the checksums of one segment, so that a record is valid only in its own place: bytes left
/// over from another journal or segment, or a copy inside a payload, are not taken for records.
#[derive(Clone, Copy, Debug)]
pub struct Salt(u32);

impl Salt {
    /// The salt of segment `segment` of journal `journal`.
    pub fn new(journal: u64, segment: u64) -> Self {
        let crc = crc32c::crc32c(&journal.to_le_bytes());
        Salt(crc32c::crc32c_append(crc, &segment.to_le_bytes()))
    }

    fn at(self, offset: u64) -> u32 {
        crc32c::crc32c_append(self.0, &offset.to_le_bytes())
    }
}

/// The fixed part of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// What follows.
    pub kind: Kind,
    /// Whose it is; 0 in a batch header.
    pub group: GroupId,
    /// The log index, or what [`Kind`] says.
    pub index: u64,
    /// Length of the payload in bytes.
    pub payload_bytes: u32,
    /// CRC32C of the payload.
    pub payload_crc: u32,
}

impl RecordHeader {
    /// Writes the header for offset `offset` of its segment.
    pub fn encode(&self, salt: Salt, offset: u64) -> [u8; RECORD_HEADER_BYTES] {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        bytes[4..8].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[12] = self.kind as u8;
        bytes[16..24].copy_from_slice(&self.group.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.index.to_le_bytes());
        let crc = crc32c::crc32c_append(salt.at(offset), &bytes[4..]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header at the start of `bytes`; none when it is damaged or does not belong to
    /// this place.
    pub fn decode(bytes: &[u8], salt: Salt, offset: u64) -> Option<Self> {
        let bytes = bytes.get(..RECORD_HEADER_BYTES)?;
        let kind = Kind::from_byte(bytes[12])?;
        let crc = u32::from_le_bytes(bytes[..4].try_into().expect("4 bytes"));
        if crc != crc32c::crc32c_append(salt.at(offset), &bytes[4..]) {
            return None;
        }
        let mut rest = &bytes[4..];
        let payload_crc = rest.get_u32_le();
        let payload_bytes = rest.get_u32_le();
        if payload_bytes as usize > MAX_PAYLOAD_BYTES {
            return None;
        }
        rest.advance(4);
        let group = GroupId(rest.get_u64_le());
        let index = rest.get_u64_le();
        Some(Self { kind, group, index, payload_bytes, payload_crc })
    }

    /// Length of header and payload in bytes.
    pub fn record_bytes(&self) -> usize {
        RECORD_HEADER_BYTES + self.payload_bytes as usize
    }

    /// Whether `payload` is what was written.
    pub fn matches(&self, payload: &[u8]) -> bool {
        payload.len() == self.payload_bytes as usize && crc32c::crc32c(payload) == self.payload_crc
    }
}

/// The fixed part of a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The segment's number, as in its file name.
    pub segment: u64,
    /// The node that wrote it.
    pub node: u64,
    /// The journal that it is part of, see [`crate::Identity`].
    pub journal: u64,
    /// Final length of the segment before this one in bytes; 0 if there is none, or if it is not
    /// known.
    pub previous_bytes: u64,
}

/// Why a segment header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSegmentHeader {
    /// The bytes are no segment header.
    Damaged,
    /// It was written by another version of the format.
    Version(u32),
}

impl SegmentHeader {
    /// Writes the header.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(SEGMENT_HEADER_BYTES as u32).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.segment.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.node.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.journal.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.previous_bytes.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header at the start of a segment file.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadSegmentHeader> {
        let bytes = bytes.get(..SEGMENT_HEADER_BYTES).ok_or(BadSegmentHeader::Damaged)?;
        let crc = u32::from_le_bytes(bytes[60..].try_into().expect("4 bytes"));
        if bytes[..8] != MAGIC || crc != crc32c::crc32c(&bytes[..60]) {
            return Err(BadSegmentHeader::Damaged);
        }
        let mut rest = &bytes[8..];
        let version = rest.get_u32_le();
        if version != VERSION {
            return Err(BadSegmentHeader::Version(version));
        }
        rest.advance(4);
        Ok(Self {
            segment: rest.get_u64_le(),
            node: rest.get_u64_le(),
            journal: rest.get_u64_le(),
            previous_bytes: rest.get_u64_le(),
        })
    }
}

/// A place in the journal, ordered as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Number of the segment.
    pub segment: u64,
    /// Bytes from the start of the file.
    pub offset: u32,
}

/// The payload of a [`Kind::State`] record: a whole picture, not a change, so that only the last
/// one of a group matters and any older one may be dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupRecord {
    /// Whatever was written of this group before this place is void, damage included.
    pub reset_at: Place,
    /// First index of the log: everything below is purged.
    pub start: u64,
    /// One past the last index of the log, when this was written.
    pub end: u64,
    /// Number of the current snapshot; 0 for none.
    pub snapshot: u64,
    /// The owner's name for the last purged entry; empty for none.
    pub purged: Bytes,
    /// The owner's vote; empty for none.
    pub vote: Bytes,
    /// The owner's last known commit; empty for none. It may lag.
    pub committed: Bytes,
    /// What the owner must know while it repairs the group; empty when it does not. Written only
    /// then, so that it costs nothing and older journals can be read.
    pub repair: Bytes,
}

impl GroupRecord {
    /// Writes the payload.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u64_le(self.reset_at.segment);
        out.put_u32_le(self.reset_at.offset);
        out.put_u64_le(self.start);
        out.put_u64_le(self.end);
        out.put_u64_le(self.snapshot);
        let repair = (!self.repair.is_empty()).then_some(&self.repair);
        for opaque in [&self.purged, &self.vote, &self.committed].into_iter().chain(repair) {
            assert!(opaque.len() <= MAX_OPAQUE_BYTES, "{} opaque bytes", opaque.len());
            out.put_u16_le(opaque.len() as u16);
            out.put_slice(opaque);
        }
    }

    /// Reads a payload.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut rest = payload;
        if rest.len() < 36 {
            return None;
        }
        let reset_at = Place { segment: rest.get_u64_le(), offset: rest.get_u32_le() };
        let start = rest.get_u64_le();
        let end = rest.get_u64_le();
        let snapshot = rest.get_u64_le();
        let mut opaque = || take_opaque(&mut rest);
        let (purged, vote, committed) = (opaque()?, opaque()?, opaque()?);
        let repair = if rest.is_empty() { Bytes::new() } else { take_opaque(&mut rest)? };
        let record = Self { reset_at, start, end, snapshot, purged, vote, committed, repair };
        rest.is_empty().then_some(record)
    }
}

fn take_opaque(rest: &mut &[u8]) -> Option<Bytes> {
    let len = rest.try_get_u16_le().ok()? as usize;
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    (len <= MAX_OPAQUE_BYTES).then(|| Bytes::copy_from_slice(head))
}

/// Writes the numbers of a snapshot's parts, in order; the owner's bytes follow.
pub fn encode_parts(parts: &[u64], out: &mut BytesMut) {
    out.put_u32_le(parts.len() as u32);
    parts.iter().for_each(|part| out.put_u64_le(*part));
}

/// The numbers of a snapshot's parts, and the owner's bytes.
pub fn decode_parts(payload: &[u8]) -> Option<(Vec<u64>, &[u8])> {
    let mut rest = payload;
    let count = rest.try_get_u32_le().ok()? as usize;
    let (numbers, rest) = rest.split_at_checked(count.checked_mul(8)?)?;
    let parts = numbers.as_chunks().0.iter().map(|number| u64::from_le_bytes(*number));
    Some((parts.collect(), rest))
}

/// The name of a segment's file.
pub fn segment_name(segment: u64) -> String {
    format!("{segment:016x}.segment")
}

/// The number in the name of a segment's file.
pub fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".segment")?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    (segment_name(number) == name).then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind() -> impl Strategy<Value = Kind> {
        (1u8..=7).prop_map(|byte| Kind::from_byte(byte).unwrap())
    }

    fn opaque() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
    }

    proptest! {
        #[test]
        fn a_record_header_is_read_as_written_and_only_in_its_place(
            kind in kind(),
            group: u64,
            index: u64,
            payload_bytes in 0..=MAX_PAYLOAD_BYTES as u32,
            payload_crc: u32,
            offset: u32,
            flip in 0usize..RECORD_HEADER_BYTES * 8,
        ) {
            let header = RecordHeader {
                kind, group: GroupId(group), index, payload_bytes, payload_crc,
            };
            let (salt, offset) = (Salt::new(7, 3), u64::from(offset));
            let bytes = header.encode(salt, offset);
            prop_assert_eq!(RecordHeader::decode(&bytes, salt, offset), Some(header));
            prop_assert_eq!(RecordHeader::decode(&bytes, salt, offset + 1), None);
            prop_assert_eq!(RecordHeader::decode(&bytes, Salt::new(7, 4), offset), None);
            prop_assert_eq!(RecordHeader::decode(&bytes, Salt::new(8, 3), offset), None);
            let mut rotten = bytes;
            rotten[flip / 8] ^= 1 << (flip % 8);
            prop_assert_eq!(RecordHeader::decode(&rotten, salt, offset), None);
        }

        #[test]
        fn a_segment_header_is_read_as_written(
            segment: u64,
            node: u64,
            journal: u64,
            previous_bytes: u64,
            flip in 0usize..SEGMENT_HEADER_BYTES * 8,
        ) {
            let header = SegmentHeader { segment, node, journal, previous_bytes };
            let mut bytes = header.encode();
            prop_assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
            bytes[flip / 8] ^= 1 << (flip % 8);
            prop_assert_eq!(SegmentHeader::decode(&bytes), Err(BadSegmentHeader::Damaged));
        }

        #[test]
        fn a_group_record_is_read_as_written(
            segment: u64, offset: u32, start: u64, end: u64, snapshot: u64,
            purged in opaque(), vote in opaque(), committed in opaque(), repair in opaque(),
        ) {
            let reset_at = Place { segment, offset };
            let record =
                GroupRecord { reset_at, start, end, snapshot, purged, vote, committed, repair };
            let mut bytes = BytesMut::new();
            record.encode(&mut bytes);
            prop_assert_eq!(GroupRecord::decode(&bytes), Some(record));
            prop_assert_eq!(GroupRecord::decode(&bytes[..bytes.len() - 1]), None);
        }

        #[test]
        fn a_file_name_gives_its_number_back(segment: u64) {
            prop_assert_eq!(segment_number(&segment_name(segment)), Some(segment));
        }
    }

    #[test]
    fn other_files_are_no_segments() {
        for name in ["identity", "1.segment", "000000000000000G.segment", "lock"] {
            assert_eq!(segment_number(name), None, "{name}");
        }
    }
}
