//! What nodes ask of each other over links.

use paceline_core::shard::Table;
use serde::{Deserialize, Serialize};

/// A request.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Answered by a `Status`.
    Status {
        /// Whether to compute digests of the state, which takes time.
        verify: bool,
    },
    /// The sender has lost its part of the group. Answered by a [`Witness`](crate::node::Witness).
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
