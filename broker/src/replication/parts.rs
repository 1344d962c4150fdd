//! What a group is made of.

use paceline_consensus::{EntryId, Replica};
use paceline_core::{serving::Serving, shard::ShardState};
use paceline_runtime::time::Duration;
use paceline_store::Group as Part;

use super::{recent::Recent, told::Traced};

/// How a group works, beside what its replica and its service were told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A snapshot is written after so many entries.
    pub snapshot_every: u64,
    /// A shard that is not led by the first node of its row for so long is handed to it.
    pub hand_back_after: Duration,
}

/// What a group is made of.
pub struct Parts {
    /// Its number.
    pub slot: u32,
    /// This node.
    pub node: u64,
    /// The nodes that hold it, the preferred leader first.
    pub row: Vec<u64>,
    /// How it works.
    pub settings: Settings,
    /// Its part of the journal.
    pub part: Part,
    /// Its part in the consensus.
    pub replica: Replica,
    /// The latest entries; none yet.
    pub recent: Recent,
    /// The state as of the last snapshot,
    pub state: ShardState,
    /// whose last entry is this.
    pub snapshot: EntryId,
    /// Its service.
    pub serving: Serving<Traced>,
}
