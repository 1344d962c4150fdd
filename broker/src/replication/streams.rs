//! What opens a stream between two nodes.

use paceline_consensus::{EntryId, Membership, Term};
use paceline_core::shard::SessionId;
use paceline_runtime::time::Duration;
use serde::{Deserialize, Serialize};

/// What a stream between two nodes is for.
#[derive(Debug, Serialize, Deserialize)]
pub enum OpenStream {
    /// A channel to a shard's leader.
    Channel(OpenChannel),
    /// A leader's snapshot. The receiver closes the stream when it has it.
    Snapshot(Head),
}

/// What opens a channel over a link.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct OpenChannel {
    /// The shard.
    pub slot: u32,
    /// The client's.
    pub session: SessionId,
}

/// What a leader says of the snapshot that it sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Head {
    /// The group.
    pub group: u32,
    /// The leader's term.
    pub term: Term,
    /// The leader's clock when it began.
    pub stamp: Duration,
    /// The last entry that the snapshot stands for.
    pub last: EntryId,
    /// Who took part then.
    pub membership: Membership,
}
