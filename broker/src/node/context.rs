//! What every shard of a node is made from, and how its replica is set up.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use openraft::SnapshotPolicy;
use paceline_core::dispatch::Limits;
use paceline_runtime::time::{Duration, Instant};
use paceline_store::{Group, GroupId, Journal};

use super::NodeError;
use crate::{
    cluster::Cluster,
    config::{NodeConfig, ReplicationConfig},
    link::Peer,
    replication::{
        Lease, Machine, NetworkFactory,
        storage::{self, StorageOptions},
    },
    router::Router,
    shard::{Parts, Settings, Shard},
};

/// Of the memory for message bodies, the part that the log's latest entries may take.
const LOG_CACHE_PART: u64 = 4;

/// What every shard of a node is made from.
pub(super) struct Context {
    pub(super) config: NodeConfig,
    pub(super) node: u64,
    pub(super) cluster: Arc<Cluster>,
    pub(super) peers: Arc<BTreeMap<u64, Peer>>,
    pub(super) journal: Journal,
    /// Set once there is one.
    pub(super) router: Arc<OnceLock<Router>>,
    /// Before this instant this node votes for nobody.
    pub(super) votes_from: Instant,
}

impl Context {
    /// A shard's part of the journal.
    pub(super) fn group(&self, slot: u32) -> Group {
        self.journal.group(GroupId(slot.into()))
    }

    /// A replica and its leader task. Its part of the journal must not be damaged; if it is being
    /// repaired, the replica keeps to that.
    pub(super) async fn start_shard(&self, slot: u32) -> Result<Shard, NodeError> {
        let replication = &self.config.replication;
        let group = self.group(slot);
        let held = self.cluster.slots_of(self.node).count().max(1) as u64;
        let memory = self.config.limits.memory / held;
        let cache = memory / LOG_CACHE_PART;
        let machine = Arc::new(Machine::new(slot, (memory - cache) as usize));
        let options = StorageOptions {
            cache_bytes: (cache as usize).max(1 << 20),
            ..StorageOptions::default()
        };
        let failed = |error: &dyn std::fmt::Display| match self.journal.failure() {
            // What the disk said helps more than what the replica made of it.
            Some(error) => NodeError::Journal(error),
            None => NodeError::Replica { slot, reason: error.to_string() },
        };
        let repair_floor = storage::repair_floor(&group);
        let (log, state_machine) = storage::open(group.clone(), machine.clone(), options)
            .await
            .map_err(|error| failed(&error))?;
        let row = self.cluster.row(slot);
        let lease = Arc::new(Lease::new(row.len() - 1, replication.lease));
        let network = NetworkFactory {
            group: slot,
            log: group.clone(),
            peers: self.peers.clone(),
            lease,
            heartbeat: replication.heartbeat,
        };
        let router = self.router.clone();
        let parts = Parts {
            node: self.node,
            slot,
            cluster: self.cluster.clone(),
            raft: Arc::new(openraft::Config {
                enable_elect: repair_floor.is_none(),
                ..raft_config(&self.config, row, self.node)
            }),
            repair_floor,
            network,
            log,
            state_machine,
            machine,
            read: Arc::new(move |at| {
                let group = group.clone();
                Box::pin(async move {
                    storage::read_message(&group, at).await.map_err(|error| error.to_string())
                })
            }),
            settings: Settings {
                batch_commands: replication.batch_commands,
                batch_bytes: replication.batch_bytes as usize,
                abandon_after: replication.election_max * 4,
                in_doubt_after: replication.operation_timeout / 3,
                hand_back_after: replication.election_max * 8,
                limits: Limits { volatile_bytes: memory as usize, ..Limits::default() },
            },
            resolve: Arc::new(move |inquiry| {
                if let Some(router) = router.get() {
                    router.resolve(inquiry);
                }
            }),
        };
        Shard::start(parts).await.map_err(|error| failed(&error))
    }
}

/// The earlier a node stands in the row, the sooner it stands for election: the first node of the
/// row usually leads, and two seldom stand at the same time.
fn election_timeouts(replication: &ReplicationConfig, rank: u32, of: u32) -> (Duration, Duration) {
    let step = (replication.election_max - replication.election_min) / of;
    let min = replication.election_min + step * rank;
    (min, min + step)
}

/// For how long a follower that has heard from its leader votes for nobody else: the longest of any.
pub(super) fn lease_of_followers(config: &NodeConfig) -> Duration {
    config.replication.election_max
}

fn raft_config(config: &NodeConfig, row: &[u64], node: u64) -> openraft::Config {
    let replication = &config.replication;
    let snapshot_every = config.storage.snapshot_every;
    let rank = row.iter().position(|other| *other == node).expect("it is in the row");
    let (min, max) = election_timeouts(replication, rank as u32, row.len() as u32);
    let millis = |duration: Duration| duration.as_millis() as u64;
    openraft::Config {
        cluster_name: config.cluster.name.clone(),
        heartbeat_interval: millis(replication.heartbeat),
        election_timeout_min: millis(min),
        election_timeout_max: millis(max).max(millis(min) + 1),
        install_snapshot_timeout: 10_000,
        snapshot_max_chunk_size: 512 << 10,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(snapshot_every),
        max_in_snapshot_log_to_keep: snapshot_every / 4,
        replication_lag_threshold: snapshot_every * 2,
        purge_batch_size: 256,
        max_payload_entries: 64,
        ..openraft::Config::default()
    }
}
