//! What nodes ask of each other over links.

use paceline_core::{
    shard::Table,
    xa::{BranchRefused, Xid},
};
use paceline_membership::{Change, ChangeError, Epoch};
use serde::{Deserialize, Serialize};
use thiserror::Error;

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
    /// The cluster is to change. Answered, when it is committed, by the view in which it has:
    /// `Result<View, NotChanged>`.
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
    /// Which branches of distributed transactions are prepared in the cluster, or were ended by an
    /// operator. Answered by all of them, or not: `Result<Vec<BranchInfo>, BranchError>`.
    Branches,
    /// An operator ends a branch. Answered when it is done: `Result<(), BranchError>`.
    EndBranch {
        /// The branch.
        xid: Xid,
        /// How.
        end: BranchEnd,
    },
}

/// What an operator does to a branch of a distributed transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BranchEnd {
    /// It is committed.
    Commit,
    /// It is rolled back.
    Rollback,
    /// How an operator has ended it is forgotten: no transaction manager will ask.
    Forget,
}

/// Why nothing is known to have come of what was asked about branches.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum BranchError {
    /// As the branch is, it cannot be.
    #[error(transparent)]
    Refused(BranchRefused),
    /// Not all shards concerned have answered. It may be carried out all the same.
    #[error("not all shards concerned have answered ({0}); give the command again, which is safe")]
    Unanswered(String),
}

/// Why a cluster was not changed.
#[derive(Clone, Debug, PartialEq, Error, Serialize, Deserialize)]
pub enum NotChanged {
    /// As the cluster is, it cannot be, whoever is asked.
    #[error(transparent)]
    Refused(ChangeError),
    /// The node has missed what the cluster is by now.
    #[error(
        "this node knows the cluster as of epoch {known}, and it is at epoch {latest}; ask another \
         node, or this one again when it is linked to the others"
    )]
    Behind {
        /// What the node knows.
        known: Epoch,
        /// What there is.
        latest: Epoch,
    },
    /// Nobody took it down. It may have been made all the same.
    #[error("the change was not made: the metadata shard says {0}; ask again")]
    NotTaken(String),
}

impl NotChanged {
    /// Whether it may be made if it is asked for again, here or elsewhere, and nothing else is done.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Refused(why) => why.is_passing(),
            Self::Behind { .. } | Self::NotTaken(_) => true,
        }
    }
}
