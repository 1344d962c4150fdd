//! Everything of a node that the cluster sees: its journal, its links, its replicas of shards, and
//! the router that its clients go through.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, OnceLock},
};

use paceline_core::shard::SessionId;
use paceline_runtime::{
    net::TcpListener,
    task,
    time::{self, Duration, Instant},
    trace,
};
use paceline_store::{Journal, JournalError};

use super::{
    NodeError,
    context::{Context, lease_of_followers},
    repair,
    service::Service,
    standing,
    status::{Status, Subject},
};
use crate::{
    cluster::Cluster,
    config::{NodeConfig, ReplicationConfig},
    connection::Receiving,
    link::{self, Peer},
    router::{Connector, Router},
    shard::{Shard, Shards},
};

/// How long a node that stops waits for others to take over what it leads.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(3);

/// See the module's head.
pub struct Replicas {
    subject: Arc<Subject>,
    journal: Journal,
    router: Router,
    serving: task::JoinHandle<()>,
    /// Repairs, and what looks after elections.
    tasks: Mutex<Vec<task::JoinHandle<()>>>,
}

impl fmt::Debug for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replicas").field("node", &self.subject.node).finish_non_exhaustive()
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
        let shards = Arc::new(Shards::default());
        let router_cell = Arc::new(OnceLock::new());
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

        let subject = Arc::new(Subject {
            node,
            incarnation,
            started,
            cluster,
            peers,
            shards: shards.clone(),
            receiving: Arc::new(Receiving::new(config.limits.receiving)),
            router: router.clone(),
        });
        let service = Service {
            shards,
            journal: journal.clone(),
            subject: Arc::downgrade(&subject),
            cluster: config.cluster.clone(),
            votes_from,
            promised: lease_of_followers(config),
        };
        let serving = task::spawn(link::serve(links, identity, timings, Arc::new(service)));
        Ok(Arc::new(Self { subject, journal, router, serving, tasks: Mutex::new(tasks) }))
    }

    /// The way for clients into the cluster.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// What the `status` command and the checks of the simulator read.
    pub fn status(&self, verify: bool) -> Status {
        self.subject.status(verify)
    }

    /// The budget that clients' connections draw on.
    pub(super) fn receiving(&self) -> &Arc<Receiving> {
        &self.subject.receiving
    }

    /// This node's replica of a shard, if its row names the node.
    pub fn shard(&self, slot: u32) -> Option<Shard> {
        self.subject.shards.get(slot)
    }

    /// The cluster as configured.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.subject.cluster
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
            |shard: &Shard| shard.is_led_here() && self.subject.cluster.row(shard.slot()).len() > 1;
        let shards = self.subject.shards.all();
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
        for shard in self.subject.shards.all() {
            if shard.raft().shutdown().await.is_err() {
                tracing::error!(slot = shard.slot(), "a replica's task had failed");
            }
        }
        if let Err(error) = self.journal.close().await {
            tracing::error!(%error, "the journal was not closed in good order");
        }
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
