//! What a node says of its replicas.

use paceline_core::shard::Table;
use serde::{Deserialize, Serialize};

/// How the replicas of a node stand.
#[derive(Debug, Default)]
pub struct Standing {
    /// Each of them, by slot.
    pub shards: Vec<ShardStatus>,
    /// Bytes of memory that messages take, and may take.
    pub memory: (u64, u64),
}

/// A shard on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardStatus {
    /// The slot.
    pub slot: u32,
    /// `leader`, `follower` or `candidate`; `repairing` for one that has lost its part and neither
    /// votes nor stands for election before it has it again.
    pub role: String,
    /// The current term.
    pub term: u64,
    /// Who leads, as far as this node knows.
    pub leader: Option<u64>,
    /// The last entry of its log.
    pub last: u64,
    /// The last entry applied.
    pub applied: u64,
    /// The queues that hold messages, and how many.
    pub queues: Vec<(String, u64)>,
    /// How many transactions are prepared here and wait for their decision.
    pub in_doubt: u64,
    /// A hash of the state, equal on all replicas that have applied the same entries. Computed on
    /// demand only.
    pub digest: Option<[u8; 32]>,
}

/// A replica table by table, to see in what it differs from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tables {
    /// The last entry applied: only replicas that have applied the same can be compared.
    pub applied: u64,
    /// A hash of each table.
    pub digests: Vec<(Table, [u8; 32])>,
}
