//! What nodes ask of each other over links.

use paceline_core::shard::Table;
use serde::{Deserialize, Serialize};

use crate::{replication::RaftRequest, shard::channel::OpenChannel};

/// A request.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// For a group's replica on the receiving node; answered by what
    /// `AppendAnswer` and its like says.
    Raft {
        /// The group.
        group: u32,
        /// What.
        request: RaftRequest,
    },
    /// The sender leads the group and wants the receiver to: it should stand for election at once.
    /// Answered by `()`.
    TakeOver {
        /// The group.
        group: u32,
    },
    /// Answered by a `Status`.
    Status {
        /// Whether to compute digests of the state, which takes time.
        verify: bool,
    },
    /// The sender has lost its part of the group. Answered by a [`Witness`](super::Witness).
    Witness {
        /// The group.
        group: u32,
    },
    /// Answered by the `ClusterConfig` that the node runs by, as JSON: what a client needs to know
    /// the cluster from one of its nodes.
    Cluster,
    /// Where the receiver's replica of a group differs from another, table by table. Answered by a
    /// [`Tables`](super::status::Tables).
    Tables {
        /// The group.
        group: u32,
    },
    /// What is in a table of a group. Answered by the entries that follow the first `skip`, not all
    /// of them where there are many; by none behind the last.
    Entries {
        /// The group.
        group: u32,
        /// Of which table.
        table: Table,
        /// How many entries the asker knows.
        skip: u64,
    },
}

/// What a stream is for.
#[derive(Debug, Serialize, Deserialize)]
pub enum OpenStream {
    /// A channel to a shard's leader.
    Channel(OpenChannel),
}
