//! What nodes ask of each other over links.

use openraft::{
    error::{InstallSnapshotError, RaftError},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest,
        InstallSnapshotResponse, VoteRequest, VoteResponse,
    },
};
use paceline_core::shard::Table;
use serde::{Deserialize, Serialize};

use super::TypeConfig;

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
    /// The sender has lost its part of the group. Answered by a [`Witness`](crate::node::Witness).
    Witness {
        /// The group.
        group: u32,
    },
    /// Answered by the `ClusterConfig` that the node runs by, as JSON: what a client needs to know
    /// the cluster from one of its nodes.
    Cluster,
    /// Where the receiver's replica of a group differs from another, table by table. Answered by a
    /// [`Tables`](crate::node::status::Tables).
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

/// A message of one replica of a group to another.
#[derive(Debug, Serialize, Deserialize)]
pub enum RaftRequest {
    /// Entries, or none as a heartbeat.
    Append(AppendEntriesRequest<TypeConfig>),
    /// A candidate asks for a vote.
    Vote(VoteRequest<u64>),
    /// A piece of a snapshot.
    InstallSnapshot(InstallSnapshotRequest<TypeConfig>),
}

/// What the three requests are answered with.
pub type AppendAnswer = Result<AppendEntriesResponse<u64>, RaftError<u64>>;
/// See [`AppendAnswer`].
pub type VoteAnswer = Result<VoteResponse<u64>, RaftError<u64>>;
/// See [`AppendAnswer`].
pub type SnapshotAnswer =
    Result<InstallSnapshotResponse<u64>, RaftError<u64, InstallSnapshotError>>;
