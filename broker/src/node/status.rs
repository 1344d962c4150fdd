//! What a node says of itself and its shards.

use std::sync::Arc;

use paceline_membership::Policies;
use paceline_runtime::time::Instant;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::forgetting;
use crate::replication::status::Standing;
pub use crate::replication::status::{ShardRole, ShardStatus};
use crate::{
    cluster::Cluster,
    config::NodeConfig,
    connection::Receiving,
    identity::IdentityFile,
    link::{Identity, Peers},
    policy,
    replication::Shards,
    router::Router,
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
    /// The epoch of the view that it has of the cluster.
    pub epoch: u64,
    /// How often it has started on its data.
    pub incarnation: u64,
    /// Since its start, in milliseconds.
    pub uptime_ms: u64,
    /// The other nodes, by number, and whether they are linked.
    pub peers: Vec<(u64, bool)>,
    /// The nodes that it has to hear from before it takes part: its data directory was empty, and it
    /// may have been somebody in this cluster.
    pub waits_for: Vec<u64>,
    /// The slots whose replicas here have forgotten what they promised and could not be reset yet.
    pub forgotten: Vec<u32>,
    /// Whom it has refused as a peer in the last minute, by name and address, and why.
    pub refused: Vec<(String, String)>,
    /// The shards it holds, by slot.
    pub shards: Vec<ShardStatus>,
    /// What is to be done to make the policies of its file of the cluster's, line by line; nothing if
    /// they are the same, or it has none.
    pub other_policies: Vec<String>,
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
    pub(super) identity_file: Arc<IdentityFile>,
    pub(super) identity: Identity,
    pub(super) started: Instant,
    pub(super) cluster: Arc<Cluster>,
    pub(super) peers: Peers,
    pub(super) shards: Shards,
    /// Clients' connections draw on it.
    pub(super) receiving: Arc<Receiving>,
    pub(super) router: Router,
    pub(super) policies: watch::Receiver<Arc<Policies>>,
    pub(super) config: NodeConfig,
}

impl Subject {
    /// What the `status` command and the checks of the simulator read.
    pub(super) async fn status(&self, verify: bool) -> Status {
        let waiting = self.router.waiting();
        let Standing { shards, memory } = self.shards.status(verify).await;
        Status {
            node: self.node,
            name: self.cluster.name_of(self.node).unwrap_or_default(),
            cluster: self.cluster.name.to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            epoch: self.cluster.epoch().0,
            incarnation: self.identity_file.incarnation(),
            waits_for: forgetting::waits_for(&self.identity_file, &self.cluster, self.node),
            forgotten: self.identity_file.to_refill().into_iter().collect(),
            uptime_ms: self.started.elapsed().as_millis() as u64,
            peers: self.peers.linked(),
            refused: self.identity.refused(),
            shards,
            other_policies: policy::of_file(&self.config, &self.policies.borrow()),
            receiving_bytes: self.receiving.reserved(),
            receiving_limit: self.receiving.limit(),
            waiting_bytes: waiting.used as u64,
            waiting_limit: waiting.limit as u64,
            memory_bytes: memory.0,
            memory_limit: memory.1,
        }
    }
}
