//! What a node says of itself and its shards.

use std::{collections::BTreeMap, sync::Arc};

use openraft::ServerState;
use paceline_core::shard::{Table, TableEntry};
use paceline_runtime::time::Instant;
use serde::{Deserialize, Serialize};

use crate::{
    cluster::Cluster,
    connection::Receiving,
    link::Peer,
    router::Router,
    shard::{Shard, Shards},
};

/// A node as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its number.
    pub node: u64,
    /// Its name.
    pub name: String,
    /// The cluster's name.
    pub cluster: String,
    /// The version of its program.
    pub version: String,
    /// How often it has started on its data.
    pub incarnation: u64,
    /// Since its start, in milliseconds.
    pub uptime_ms: u64,
    /// The other nodes, by number, and whether they are linked.
    pub peers: Vec<(u64, bool)>,
    /// The shards it holds, by slot.
    pub shards: Vec<ShardStatus>,
    /// Bytes reserved for frames that are being received from clients.
    pub receiving_bytes: u64,
    /// The most that can be reserved.
    pub receiving_limit: u64,
    /// Bytes of what clients have sent and shards have not answered.
    pub waiting_bytes: u64,
    /// The most that may wait.
    pub waiting_limit: u64,
}

/// A shard on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardStatus {
    /// The slot.
    pub slot: u32,
    /// `leader`, `follower`, `candidate` or `learner`; `repairing` for one that has lost its part
    /// and neither votes nor stands for election before it has it again, and `failed` for a replica
    /// that has stopped.
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

/// The most entries of a table in one answer.
const ENTRIES_AT_A_TIME: usize = 1_000;

/// Answers [`Request::Tables`](crate::replication::protocol::Request::Tables).
pub(super) fn tables(shard: &Shard) -> Tables {
    shard.machine().with_state(|state| Tables {
        applied: state.applied(),
        digests: Table::ALL.map(|table| (table, state.table_digest(table))).into(),
    })
}

/// Answers [`Request::Entries`](crate::replication::protocol::Request::Entries).
pub(super) fn entries(shard: &Shard, table: Table, skip: u64) -> Vec<TableEntry> {
    shard.machine().with_state(|state| state.table_entries(table, skip as usize, ENTRIES_AT_A_TIME))
}

/// What a node's status is read from.
pub(super) struct Subject {
    pub(super) node: u64,
    pub(super) incarnation: u64,
    pub(super) started: Instant,
    pub(super) cluster: Arc<Cluster>,
    pub(super) peers: Arc<BTreeMap<u64, Peer>>,
    pub(super) shards: Arc<Shards>,
    pub(super) receiving: Arc<Receiving>,
    pub(super) router: Router,
}

impl Subject {
    /// What the `status` command and the checks of the simulator read.
    pub(super) fn status(&self, verify: bool) -> Status {
        let peers = self.peers.values();
        let waiting = self.router.waiting();
        Status {
            node: self.node,
            name: self.cluster.name_of(self.node).unwrap_or_default().into(),
            cluster: self.cluster.name.to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            incarnation: self.incarnation,
            uptime_ms: (Instant::now() - self.started).as_millis() as u64,
            peers: peers.map(|peer| (peer.node(), peer.connection().is_some())).collect(),
            shards: self
                .shards
                .all()
                .iter()
                .map(|shard| {
                    let metrics = shard.raft().metrics().borrow().clone();
                    let machine = shard.machine();
                    let (applied, queues, in_doubt, digest) = machine.with_state(|state| {
                        let queues = state.queues().filter(|queue| queue.depth > 0);
                        let queues =
                            queues.map(|queue| (queue.name.to_string(), queue.depth)).collect();
                        let in_doubt = state.prepared().count() as u64;
                        (state.applied(), queues, in_doubt, verify.then(|| state.digest()))
                    });
                    ShardStatus {
                        slot: shard.slot(),
                        role: match metrics.running_state {
                            Ok(())
                                if shard.repair_floor().is_some()
                                    && matches!(
                                        metrics.state,
                                        ServerState::Learner | ServerState::Follower
                                    ) =>
                            {
                                "repairing".into()
                            }
                            Ok(()) => format!("{:?}", metrics.state).to_lowercase(),
                            Err(_) => "failed".into(),
                        },
                        term: metrics.current_term,
                        leader: metrics.current_leader,
                        last: metrics.last_log_index.unwrap_or(0),
                        applied: metrics
                            .last_applied
                            .map_or(applied, |last| last.index.max(applied)),
                        queues,
                        in_doubt,
                        digest,
                    }
                })
                .collect(),
            receiving_bytes: self.receiving.reserved(),
            receiving_limit: self.receiving.limit(),
            waiting_bytes: waiting.used as u64,
            waiting_limit: waiting.limit as u64,
        }
    }
}
