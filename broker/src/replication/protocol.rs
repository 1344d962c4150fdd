//! What nodes ask of each other over links.

use paceline_core::shard::Table;
use paceline_membership::Change;
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
    /// Answered by the `Definition` of the cluster as the node knows it, as JSON: what anybody needs to
    /// know the cluster from one of its nodes.
    Cluster,
    /// Answered by the receiver's view of the cluster.
    View,
    /// The cluster is to change. Answered by the view in which it has, or the reason why it cannot, when
    /// that is committed.
    Change(Change),
    /// Answered by who holds the group, if the receiver knows that for certain: `Option<Holders>`.
    Holders {
        /// The group.
        group: u32,
    },
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
