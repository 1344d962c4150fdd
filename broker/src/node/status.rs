//! What a node says of itself and its shards.

use std::{collections::BTreeMap, sync::Arc};

use paceline_runtime::time::Instant;
use serde::{Deserialize, Serialize};

use crate::replication::status::Standing;
pub use crate::replication::status::{ShardRole, ShardStatus};
use crate::{
    cluster::Cluster, connection::Receiving, link::Peer, replication::Shards, router::Router,
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
    /// Bytes of memory that messages take.
    pub memory_bytes: u64,
    /// The most that they may take.
    pub memory_limit: u64,
}

/// What a status is read from.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) node: u64,
    pub(super) incarnation: u64,
    pub(super) started: Instant,
    pub(super) cluster: Arc<Cluster>,
    pub(super) peers: Arc<BTreeMap<u64, Peer>>,
    pub(super) shards: Shards,
    /// Clients' connections draw on it.
    pub(super) receiving: Arc<Receiving>,
    pub(super) router: Router,
}

impl Subject {
    /// What the `status` command and the checks of the simulator read.
    pub(super) async fn status(&self, verify: bool) -> Status {
        let peers = self.peers.values();
        let waiting = self.router.waiting();
        let Standing { shards, memory } = self.shards.status(verify).await;
        Status {
            node: self.node,
            name: self.cluster.name_of(self.node).unwrap_or_default().into(),
            cluster: self.cluster.name.to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            incarnation: self.incarnation,
            uptime_ms: self.started.elapsed().as_millis() as u64,
            peers: peers.map(|peer| (peer.node(), peer.connection().is_some())).collect(),
            shards,
            receiving_bytes: self.receiving.reserved(),
            receiving_limit: self.receiving.limit(),
            waiting_bytes: waiting.used as u64,
            waiting_limit: waiting.limit as u64,
            memory_bytes: memory.0,
            memory_limit: memory.1,
        }
    }
}
