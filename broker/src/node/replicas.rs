//! Everything of a node that the cluster sees: its journal, its links, its replicas of shards, and
//! the router that its clients go through.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, OnceLock},
};

use openraft::SnapshotPolicy;
use paceline_core::{dispatch::Limits, shard::SessionId};
use paceline_runtime::{
    net::TcpListener,
    task,
    time::{self, Duration, Instant},
    trace,
};
use paceline_store::{Group, GroupId, Journal, JournalError};

use super::{NodeError, repair, service::Service, shards::Shards, standing};
use crate::{
    cluster::Cluster,
    config::{NodeConfig, ReplicationConfig},
    connection::Receiving,
    link::{self, Peer},
    replication::{
        Lease, Machine, NetworkFactory,
        storage::{self, StorageOptions},
    },
    router::{Connector, Router},
    shard::{Parts, Settings, Shard},
};

/// Of the memory for message bodies, the part that the log's latest entries may take.
const LOG_CACHE_PART: u64 = 4;

/// How long a node that stops waits for others to take over what it leads.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(3);

/// See the module's head.
pub struct Replicas {
    pub(super) node: u64,
    pub(super) incarnation: u64,
    pub(super) started: Instant,
    pub(super) cluster: Arc<Cluster>,
    pub(super) peers: Arc<BTreeMap<u64, Peer>>,
    pub(super) shards: Arc<Shards>,
    pub(super) journal: Journal,
    /// Clients' connections draw on it.
    pub(super) receiving: Arc<Receiving>,
    router: Router,
    serving: task::JoinHandle<()>,
    /// Repairs, and what looks after elections.
    tasks: Mutex<Vec<task::JoinHandle<()>>>,
}

impl fmt::Debug for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replicas").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Replicas {
    /// Opens the journal, starts the replicas and the links.
    ///
    /// # Errors
    /// If the journal cannot be used, or a replica does not start.
    pub async fn start(
        config: &NodeConfig,
        incarnation: u64,
        links: TcpListener,
    ) -> Result<Arc<Self>, NodeError> {
        let started = Instant::now();
        let cluster = Arc::new(Cluster::new(&config.cluster)?);
        let node = cluster.number_of(&config.node.name).expect("a checked configuration");
        let identity = paceline_store::Identity { node, cluster: config.cluster.name.clone() };
        let dir = config.node.data_dir.join("journal");
        let (journal, recovered) = Journal::open(dir, &identity, config.storage.journal()).await?;
        if let Some(cut) = recovered.cut {
            tracing::info!(?cut, "cut off what a crash had left half written");
        }
        for damage in &recovered.damage {
            tracing::error!(%damage, "the journal is damaged");
        }

        let identity = link::Identity { cluster: cluster.name.clone(), node, incarnation };
        let timings = link_timings(&config.replication);
        let others = cluster.members().iter().filter(|(number, _)| *number != node);
        let peers: Arc<BTreeMap<u64, Peer>> = Arc::new(
            others
                .map(|(number, member)| {
                    let address = member.link.clone();
                    (*number, Peer::dial(*number, address, identity.clone(), timings))
                })
                .collect(),
        );

        // A replica that had promised a leader not to vote for others must keep to that although it
        // has forgotten it.
        let promised = !recovered.groups.is_empty() && config.cluster.replicas() > 1;
        let pause = if promised { lease_of_followers(config) } else { Duration::ZERO };
        let votes_from = started + pause;
        let router_cell = Arc::new(OnceLock::new());
        let shards = Arc::new(Shards::default());
        let context = Arc::new(Context {
            config: config.clone(),
            node,
            cluster: cluster.clone(),
            peers: peers.clone(),
            journal: journal.clone(),
            router: router_cell.clone(),
            votes_from,
        });
        let mut tasks = Vec::new();
        for slot in cluster.slots_of(node) {
            let damage = context.group(slot).damage();
            if damage.is_none() {
                shards.insert(context.start_shard(slot).await?);
            }
            if damage.is_some() || shards.get(slot).is_some_and(|it| it.repair_floor().is_some()) {
                trace::event!("repair_begin", shard = slot);
                let repair = repair::run(context.clone(), slot, damage, shards.clone());
                tasks.push(task::spawn(repair));
            }
        }
        if promised {
            let shards = shards.all();
            shards.iter().for_each(|shard| shard.raft().runtime_config().elect(false));
            task::spawn(async move {
                time::sleep_until(votes_from).await;
                // One that is being repaired is let go by its repair.
                shards
                    .iter()
                    .filter(|shard| shard.repair_floor().is_none())
                    .for_each(|shard| shard.raft().runtime_config().elect(true));
            });
        }

        let election_max = config.replication.election_max;
        tasks.push(task::spawn(standing::run(shards.clone(), votes_from, election_max)));

        let connector = Connector {
            node,
            cluster: cluster.clone(),
            shards: shards.clone(),
            peers: peers.clone(),
        };
        let waiting = usize::try_from(config.limits.waiting).unwrap_or(usize::MAX);
        let router = Router::new(connector, SessionId { node, incarnation }, waiting);
        let _ = router_cell.set(router.clone());
        found_groups(&cluster, node, &shards);

        Ok(Arc::new_cyclic(|replicas| {
            let service = Service {
                shards: shards.clone(),
                journal: journal.clone(),
                replicas: replicas.clone(),
                cluster: config.cluster.clone(),
                votes_from,
                promised: lease_of_followers(config),
            };
            let serving = task::spawn(link::serve(links, identity, timings, Arc::new(service)));
            Self {
                node,
                incarnation,
                started,
                cluster,
                peers,
                shards,
                journal,
                receiving: Arc::new(Receiving::new(config.limits.receiving)),
                router,
                serving,
                tasks: Mutex::new(tasks),
            }
        }))
    }

    /// The way for clients into the cluster.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// This node's replica of a shard, if its row names the node.
    pub fn shard(&self, slot: u32) -> Option<Shard> {
        self.shards.get(slot)
    }

    /// The cluster as configured.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Waits until the journal has failed. Without it this node can neither vote nor store.
    pub async fn failed(&self) -> JournalError {
        match self.journal.ended().await {
            Some(error) => error,
            None => std::future::pending().await,
        }
    }

    /// Lets others take over what this node leads, then stops its replicas and closes the journal.
    pub async fn stop(&self) {
        let deadline = Instant::now() + HAND_OVER_WITHIN;
        let is_led =
            |shard: &Shard| shard.is_led_here() && self.cluster.row(shard.slot()).len() > 1;
        let shards = self.shards.all();
        shards.iter().filter(|shard| is_led(shard)).for_each(Shard::hand_over);
        while shards.iter().any(is_led) && Instant::now() < deadline {
            time::sleep(Duration::from_millis(20)).await;
        }
        self.halt().await;
    }

    /// Stops at once, as a crash would, but for what is on its way to the disk.
    pub async fn halt(&self) {
        self.serving.abort();
        let tasks = std::mem::take(&mut *self.tasks.lock().expect("no holder panics"));
        tasks.iter().for_each(|task| task.abort());
        for task in tasks {
            // It was just told to end; until it has, it may start a replica.
            let _ = task.await;
        }
        for shard in self.shards.all() {
            if shard.raft().shutdown().await.is_err() {
                tracing::error!(slot = shard.slot(), "a replica's task had failed");
            }
        }
        if let Err(error) = self.journal.close().await {
            tracing::error!(%error, "the journal was not closed in good order");
        }
    }
}

/// What every shard of a node is made from.
pub(super) struct Context {
    config: NodeConfig,
    pub(super) node: u64,
    pub(super) cluster: Arc<Cluster>,
    pub(super) peers: Arc<BTreeMap<u64, Peer>>,
    journal: Journal,
    router: Arc<OnceLock<Router>>,
    /// See [`Service::votes_from`].
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
            router: self.router.clone(),
        };
        Shard::start(parts).await.map_err(|error| failed(&error))
    }
}

/// Has this node found the groups whose first node it is.
fn found_groups(cluster: &Arc<Cluster>, node: u64, shards: &Shards) {
    // One that is being repaired exists already, and who founds a group stands for election.
    let is_mine =
        |shard: &Shard| cluster.row(shard.slot())[0] == node && shard.repair_floor().is_none();
    for shard in shards.all().into_iter().filter(is_mine) {
        let cluster = cluster.clone();
        task::spawn(async move {
            if let Err(error) = shard.found(cluster.row(shard.slot())).await {
                tracing::error!(slot = shard.slot(), %error, "cannot found the group");
            }
        });
    }
}

fn link_timings(replication: &ReplicationConfig) -> link::Timings {
    link::Timings { connect: replication.connect_timeout, ..link::Timings::default() }
}

/// The earlier a node stands in the row, the sooner it stands for election: the first node of the
/// row usually leads, and two seldom stand at the same time.
fn election_timeouts(replication: &ReplicationConfig, rank: u32, of: u32) -> (Duration, Duration) {
    let step = (replication.election_max - replication.election_min) / of;
    let min = replication.election_min + step * rank;
    (min, min + step)
}

/// For how long a follower that has heard from its leader votes for nobody else: the longest of any.
fn lease_of_followers(config: &NodeConfig) -> Duration {
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
