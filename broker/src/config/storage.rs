//! How a node keeps on its disk what it stores.

use paceline_store::Options;
use serde::{Deserialize, Serialize};

use super::{Wrong, units, wrong};

/// `[storage]`
///
/// The defaults suit disks and recovery; small values make a node do often what it otherwise does
/// every few minutes, which is what simulations want.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageSection {
    /// Log entries of a shard from one snapshot to the next. The log before a snapshot may go.
    pub snapshot_every: u64,
    /// A journal's segment that has reached this length is followed by a new one.
    #[serde(with = "units::size")]
    pub segment: u64,
}

impl Default for StorageSection {
    fn default() -> Self {
        Self { snapshot_every: 20_000, segment: Options::default().segment_bytes.into() }
    }
}

/// A snapshot for each few entries would be all that a node does.
const LEAST_SNAPSHOT_EVERY: u64 = 8;
/// A segment is a file; its header and one batch's end should be the smaller part of it.
const LEAST_SEGMENT_BYTES: u64 = 4 << 10;
/// Places within a segment are counted in 32 bits, and one batch may follow the last whole one.
const MOST_SEGMENT_BYTES: u64 = 1 << 30;

impl StorageSection {
    /// What no single value shows to be wrong.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        if self.snapshot_every < LEAST_SNAPSHOT_EVERY {
            let reason = format!("at least {LEAST_SNAPSHOT_EVERY} entries are possible");
            return Err(wrong("storage.snapshot_every", reason));
        }
        if !(LEAST_SEGMENT_BYTES..=MOST_SEGMENT_BYTES).contains(&self.segment) {
            let (least, most) =
                (units::show_size(LEAST_SEGMENT_BYTES), units::show_size(MOST_SEGMENT_BYTES));
            return Err(wrong("storage.segment", format!("{least} to {most} are possible")));
        }
        Ok(())
    }

    /// What the journal is told.
    pub(crate) fn journal(&self) -> Options {
        let segment_bytes =
            u32::try_from(self.segment).expect("checked: a segment is at most 1 GiB");
        Options { segment_bytes, ..Options::default() }
    }
}
