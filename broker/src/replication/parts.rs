//! What a group is made of.

use std::sync::Arc;

use paceline_consensus::Replica;
use paceline_core::{serving::Serving, shard::ShardState};
use paceline_runtime::time::Duration;
use paceline_store::Group as Part;

use super::{pace::Pace, recent::Recent, saved::Saved, told::Traced};

/// How a group works, beside what its replica and its service were told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A snapshot is written after so many entries.
    pub snapshot_every: u64,
    /// A shard that is not led by the first node of its row for so long is handed to it.
    pub hand_back_after: Duration,
    /// Election timeouts of all the group's nodes are drawn between these.
    pub election: [Duration; 2],
    /// Of the shards that this node leads, at most so many get a new copy at a time.
    pub moves: usize,
    /// How fast snapshots are sent, by all of the node's groups together.
    pub pace: Arc<Pace>,
}

impl Settings {
    /// The earlier a node stands in the row, the sooner it stands for election: the first node of
    /// the row usually leads, and two seldom stand at the same time. Who is not in it stands last.
    pub fn election_of(&self, node: u64, row: &[u64]) -> [Duration; 2] {
        let [least, most] = self.election;
        let parts = row.len().max(1) as u32;
        let rank = row.iter().position(|other| *other == node).map_or(parts - 1, |at| at as u32);
        let step = (most - least) / parts;
        let least = least + step * rank;
        [least, least + step]
    }
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
    /// which is this.
    pub saved: Saved,
    /// Its service.
    pub serving: Serving<Traced>,
}
