//! Values as bytes of the journal and back.

use bytes::{BufMut, Bytes, BytesMut};
use paceline_consensus::Index;
use paceline_core::shard::RestoreError;
use paceline_store::JournalError;
use postcard::ser_flavors::Flavor;
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// Why what a group has in the journal cannot be used.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The journal cannot give it.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Not written by this code, or not by this release.
    #[error("{what} cannot be decoded: {error}")]
    Malformed {
        /// What.
        what: &'static str,
        /// What is wrong with it.
        error: postcard::Error,
    },
    /// The snapshot contradicts itself.
    #[error("the snapshot makes no sense: {0}")]
    Snapshot(#[from] RestoreError),
    /// There is a hole in the log.
    #[error("entry {0} is missing in the log")]
    Missing(Index),
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

/// Writes `value` behind what is in `out`.
pub fn encode_into<T: Serialize>(value: &T, out: &mut BytesMut) {
    postcard::serialize_with_flavor(value, Append(out)).expect("all our values have an encoding");
}

/// `value` as bytes.
pub fn encode<T: Serialize>(value: &T) -> Bytes {
    // Enough for most, which would grow five times otherwise.
    let mut out = BytesMut::with_capacity(256);
    encode_into(value, &mut out);
    out.freeze()
}

/// What `bytes` say; `what` is named where they cannot be read.
///
/// # Errors
/// [`StorageError::Malformed`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8], what: &'static str) -> Result<T, StorageError> {
    postcard::from_bytes(bytes).map_err(|error| StorageError::Malformed { what, error })
}
