//! How openraft's values stand in the journal, and a snapshot on its way to another replica.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use openraft::{EntryPayload, SnapshotMeta, StoredMembership};
use paceline_core::shard::Batch;
use paceline_store::Entry as Record;
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::replication::TypeConfig;

pub(super) type Entry = openraft::Entry<TypeConfig>;
pub(super) type Meta = SnapshotMeta<u64, openraft::EmptyNode>;
pub(super) type Membership = StoredMembership<u64, openraft::EmptyNode>;

/// Why bytes do not hold what they should.
#[derive(Debug, Error)]
pub enum Malformed {
    /// Not written by this code, or not by this release.
    #[error("it cannot be decoded: {0}")]
    Postcard(#[from] postcard::Error),
    /// It ends too early.
    #[error("it is cut off")]
    Short,
}

/// Writes behind what is in the buffer, without a copy in between.
struct Append<'a>(&'a mut BytesMut);

impl Flavor for Append<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.put_u8(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

pub(super) fn encode_into<T: Serialize>(value: &T, out: &mut BytesMut) {
    postcard::serialize_with_flavor(value, Append(out)).expect("all our values have an encoding");
}

pub(super) fn encode<T: Serialize>(value: &T) -> Bytes {
    let mut out = BytesMut::new();
    encode_into(value, &mut out);
    out.freeze()
}

/// The value in `bytes`; none if there are none.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<Option<T>, Malformed> {
    if bytes.is_empty() { Ok(None) } else { Ok(Some(postcard::from_bytes(bytes)?)) }
}

pub(super) fn decode_entry(bytes: &[u8]) -> Result<Entry, Malformed> {
    Ok(postcard::from_bytes(bytes)?)
}

/// What the entry brings for the state, if anything.
pub(super) fn batch(entry: &Entry) -> Option<&Batch> {
    match &entry.payload {
        EntryPayload::Normal(batch) => Some(batch),
        EntryPayload::Blank | EntryPayload::Membership(_) => None,
    }
}

/// A snapshot as this node keeps it.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    pub meta: Meta,
    /// [`ShardState::snapshot`](paceline_core::shard::ShardState::snapshot).
    pub state: Bytes,
}

/// Writes a snapshot for another replica: the state's bytes, then each live entry's record.
pub(super) struct Parcel(Vec<u8>);

impl Parcel {
    pub fn new(state: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(state.len() + 4096);
        bytes.put_u64_le(state.len() as u64);
        bytes.extend_from_slice(state);
        Self(bytes)
    }

    pub fn push(&mut self, record: &Record) {
        self.0.put_u64_le(record.index);
        self.0.put_u32_le(record.payload.len() as u32);
        self.0.extend_from_slice(&record.payload);
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The state's bytes and the live entries' records in a snapshot from another replica.
pub(super) fn unpack(mut parcel: Bytes) -> Result<(Bytes, Vec<Record>), Malformed> {
    let mut take = |length: usize| {
        (length <= parcel.len()).then(|| parcel.split_to(length)).ok_or(Malformed::Short)
    };
    let length = take(8)?.get_u64_le();
    let state = take(usize::try_from(length).map_err(|_| Malformed::Short)?)?;
    let mut records = Vec::new();
    while let Ok(mut head) = take(12) {
        let index = head.get_u64_le();
        let payload = take(head.get_u32_le() as usize)?;
        records.push(Record { index, payload });
    }
    if take(1).is_ok() {
        return Err(Malformed::Short);
    }
    Ok((state, records))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_parcel_is_unpacked_as_packed_and_never_cut(
            state in prop::collection::vec(any::<u8>(), 0..40),
            records in prop::collection::vec(
                (any::<u64>(), prop::collection::vec(any::<u8>(), 0..20)), 0..5),
            cut in 0usize..400,
        ) {
            let records: Vec<Record> = records
                .into_iter()
                .map(|(index, payload)| Record { index, payload: payload.into() })
                .collect();
            let mut parcel = Parcel::new(&state);
            records.iter().for_each(|record| parcel.push(record));
            let bytes = Bytes::from(parcel.into_bytes());
            let (found, unpacked) = unpack(bytes.clone()).unwrap();
            prop_assert_eq!(&found[..], &state[..]);
            prop_assert_eq!(&unpacked, &records);
            if let Ok((_, fewer)) = unpack(bytes.slice(..cut.min(bytes.len()))) {
                // Between two records; openraft checks the length.
                prop_assert!(records.starts_with(&fewer));
            }
        }
    }
}
