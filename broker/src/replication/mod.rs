//! Raft for shards: openraft's types, its runtime and its network, on the seam, the journal and
//! the links.

mod lease;
mod machine;
mod network;
pub mod protocol;
mod runtime;
pub mod storage;

use std::{io::Cursor, sync::Arc};

use openraft::{RaftTypeConfig, raft::responder::Responder};
use paceline_core::shard::Batch;

pub use lease::{Lease, Until};
pub use machine::{Ended, Machine};
pub use network::NetworkFactory;
pub use runtime::{Instant, SeamRuntime};

/// openraft's parameters.
///
/// An entry's data is shared, since the log, the replication streams and the state machine all hold
/// it for a while. Applying answers nothing: what it did goes to the shard's leader task through
/// the state machine, in order and whoever proposed the entry.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct TypeConfig {}

impl RaftTypeConfig for TypeConfig {
    type D = Arc<Batch>;
    type R = ();
    type NodeId = u64;
    type Node = openraft::EmptyNode;
    type Entry = openraft::Entry<Self>;
    type SnapshotData = Cursor<Vec<u8>>;
    type AsyncRuntime = SeamRuntime;
    type Responder = Unanswered;
}

/// Answers nobody: a proposal's end is seen when its entry is applied, or by the loss of leadership.
#[derive(Clone, Copy, Debug)]
pub struct Unanswered;

impl Responder<TypeConfig> for Unanswered {
    type Receiver = ();

    fn from_app_data(batch: Arc<Batch>) -> (Arc<Batch>, Self, ()) {
        (batch, Self, ())
    }

    fn send(self, _result: openraft::raft::ClientWriteResult<TypeConfig>) {}
}

/// A Raft group's handle.
pub type Raft = openraft::Raft<TypeConfig>;

/// About how many bytes an entry with this batch has, for cutting requests to size.
pub fn batch_bytes(batch: &Batch) -> usize {
    batch.commands.iter().map(|(_, command)| command.footprint()).sum()
}
