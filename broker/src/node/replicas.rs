//! Everything of a node that the cluster sees: its journal, its links, its replicas of shards, and
//! the router that its clients go through.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use paceline_core::{ingress::Inquiry, session::Brokers, shard::SessionId};
use paceline_events::emit;
use paceline_membership::{NodeId, Policies};
use paceline_runtime::{
    net::TcpListener,
    task,
    time::{self, Duration, Instant},
};
use paceline_store::Journal;
use tokio::sync::{mpsc, watch};

use super::{
    NodeError, brokers,
    context::Context,
    forgetting, founding,
    keeper::Keeper,
    repair,
    service::Service,
    status::{Status, Subject},
};
use crate::{
    cluster::{self, Cluster},
    config::{NodeConfig, ReplicationConfig},
    connection::Receiving,
    identity::{ClaimError, IdentityFile},
    link::{self, Peers},
    policy::{self, InForce},
    replication::{Driver, Input, Memory, Pace, Shards},
    router::{Connector, Router},
};

/// How long a node that stops waits for others to take over what it leads.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(3);

/// See the module's head.
pub struct Replicas {
    subject: Arc<Subject>,
    journal: Journal,
    router: Router,
    brokers: watch::Receiver<Arc<Brokers>>,
    policies: watch::Receiver<Arc<Policies>>,
    driving: Mutex<Option<task::JoinHandle<()>>>,
    /// Repairs, what asks after transactions, and what serves the other nodes.
    tasks: Mutex<Vec<task::JoinHandle<()>>>,
}

impl fmt::Debug for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replicas").field("node", &self.subject.node).finish_non_exhaustive()
    }
}

impl Replicas {
    /// Opens the journal, starts the replicas and the links. OpenWire clients of all nodes are told of
    /// this one, if it is `advertised`.
    ///
    /// # Errors
    /// If the journal cannot be used, or a replica does not start.
    pub async fn start(
        config: &NodeConfig,
        cluster: &Cluster,
        identity_file: Arc<IdentityFile>,
        links: TcpListener,
        advertised: Option<String>,
    ) -> Result<Arc<Self>, NodeError> {
        let started = Instant::now();
        let cluster = Arc::new(cluster.clone());
        let node = identity_file.number().expect("it has joined, or begins the cluster");
        let identity = paceline_store::Identity { node, cluster: cluster.name.to_string() };
        let dir = config.node.data_dir.join("journal");
        let (journal, recovered) = Journal::open(dir, &identity, config.storage.journal()).await?;
        if let Some(cut) = recovered.cut {
            tracing::info!(?cut, "cut off what a crash had left half written");
        }
        for damage in &recovered.damage {
            tracing::error!(%damage, "the journal is damaged");
        }

        let identity = link::Identity::member(&cluster, node, &identity_file)
            .serving_openwire(advertised.as_deref());
        let timings = link_timings(&config.replication);
        let peers = Peers::new(node, identity.clone(), timings);
        peers.follow(&cluster.view());

        let groups = cluster.view().groups();
        identity_file
            .found_journal(recovered.number, 0..groups)
            .await
            .map_err(|error| ClaimError::Io { path: config.node.data_dir.clone(), error })?;

        let promise = config.replication.election_min;
        let promised = identity_file
            .promise(promise)
            .await
            .map_err(|error| ClaimError::Io { path: config.node.data_dir.clone(), error })?;

        let (shards, inbox) = Shards::new(node, groups);
        let in_force = policy::in_force(&cluster.view(), identity_file.policies());
        shards.tell(Input::Policies(InForce::of(&in_force)));
        let founding = match config.cluster.join.is_empty() {
            true => Some(cluster::first_view(&config.cluster)?),
            false => None,
        };
        let context = Arc::new(Context {
            policies: watch::Sender::new(Arc::new(in_force)),
            config: config.clone(),
            node,
            identity_file: identity_file.clone(),
            cluster: cluster.clone(),
            founding,
            peers: peers.clone(),
            journal: journal.clone(),
            shards: shards.clone(),
            origin: started,
            promised,
            pace: Arc::new(Pace::new(config.replication.move_bandwidth)),
            held: Mutex::default(),
        });
        context.warn_of_other_policies();
        let policies = context.policies.subscribe();
        let mut tasks = Vec::new();
        if promised > promise {
            let identity_file = identity_file.clone();
            tasks.push(task::spawn(async move {
                time::sleep(promised).await;
                if let Err(error) = identity_file.promises_at_most(promise).await {
                    tracing::warn!(%error, "the next start waits as long as this one did");
                }
            }));
        }
        let mut opened = Vec::new();
        if identity_file.is_new() {
            emit!(NodeNew);
            tasks.push(task::spawn(forgetting::join(context.clone())));
        } else {
            for slot in (0..groups).filter(|slot| context.is_to_be_here(*slot)) {
                context.held().insert(slot);
                match forgetting::loss(&context, slot) {
                    None => opened.push(context.open_shard(slot).await?),
                    Some(loss) => {
                        tasks.push(task::spawn(repair::run(context.clone(), slot, loss)));
                    }
                }
            }
        }
        let (doubts, doubtful) = mpsc::unbounded_channel();
        let (views, committed) = mpsc::unbounded_channel();
        let driver = Driver::new(
            opened,
            (shards.clone(), inbox),
            journal.clone(),
            peers.clone(),
            (doubts, views.clone()),
            Memory::new(usize::try_from(config.limits.memory).unwrap_or(usize::MAX)),
            started,
        );
        let driving = Mutex::new(Some(task::spawn(driver.run())));

        let connector = Connector {
            node,
            cluster: cluster.clone(),
            shards: shards.clone(),
            peers: peers.clone(),
        };
        let waiting = usize::try_from(config.limits.waiting).unwrap_or(usize::MAX);
        let router = Router::new(
            connector,
            SessionId { node, incarnation: identity_file.incarnation() },
            waiting,
            config.replication.operation_timeout,
        );
        tasks.push(task::spawn(resolve_doubts(doubtful, router.clone())));
        if let Some(begun_with) = founding::to_begin(&cluster, &identity_file) {
            let (identity_file, views) = (identity_file.clone(), views.clone());
            let (cluster, router) = (cluster.clone(), router.clone());
            tasks.push(task::spawn(async move {
                founding::begin(&cluster, &router, &views, &identity_file, begun_with).await;
            }));
        }
        tasks.push(task::spawn(Keeper::new(context, committed).run()));
        let told = watch::Sender::default();
        let brokers = told.subscribe();
        let follow = brokers::follow(node, advertised, cluster.clone(), peers.clone(), told);
        tasks.push(task::spawn(follow));

        let subject = Arc::new(Subject {
            node,
            identity_file,
            identity: identity.clone(),
            started,
            cluster,
            peers,
            shards: shards.clone(),
            receiving: Arc::new(Receiving::new(config.limits.receiving)),
            router: router.clone(),
            policies: policies.clone(),
            config: config.clone(),
        });
        let service =
            Service { shards, journal: journal.clone(), subject: Arc::downgrade(&subject), views };
        tasks.push(task::spawn(link::serve(links, identity, timings, Arc::new(service))));
        let tasks = Mutex::new(tasks);
        Ok(Arc::new(Self { subject, journal, router, brokers, policies, driving, tasks }))
    }

    /// See [`Status`].
    pub async fn status(&self, verify: bool) -> Status {
        self.subject.status(verify).await
    }

    /// What clients' connections draw on.
    pub(crate) fn receiving(&self) -> &Arc<Receiving> {
        &self.subject.receiving
    }

    /// The way for clients into the cluster.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Where OpenWire clients find the cluster.
    pub(crate) fn brokers(&self) -> watch::Receiver<Arc<Brokers>> {
        self.brokers.clone()
    }

    /// The policies in force.
    pub(crate) fn policies(&self) -> watch::Receiver<Arc<Policies>> {
        self.policies.clone()
    }

    /// The replicas of this node.
    pub fn shards(&self) -> &Shards {
        &self.subject.shards
    }

    /// The cluster as configured.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.subject.cluster
    }

    /// Waits until the node can go on no more: the journal has failed, without which it can neither
    /// vote nor store, its replicas are driven no more, or it has forgotten what it promised.
    pub async fn failed(&self) -> NodeError {
        let journal = async {
            match self.journal.ended().await {
                Some(error) => error,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            error = journal => error.into(),
            error = forgetting::forgotten(&self.subject.identity_file, &self.subject.cluster) => error,
            () = self.removed() => NodeError::Removed { node: self.subject.node },
            // The driver ends with the journal, too.
            () = self.subject.shards.ended() => match self.journal.failure() {
                Some(error) => error.into(),
                None => NodeError::Undriven,
            },
        }
    }

    /// Waits until the node is no member of the cluster any more.
    async fn removed(&self) {
        let (mut views, node) = (self.subject.cluster.watch(), NodeId(self.subject.node));
        // The sender is in the cluster that is borrowed here.
        let _ = views.wait_for(|view| view.member(node).is_none()).await;
    }

    /// Lets others take over what this node leads, then stops its replicas and closes the journal.
    pub async fn stop(&self) {
        let deadline = Instant::now() + HAND_OVER_WITHIN;
        self.subject.shards.tell(Input::HandOver);
        let is_led =
            || self.subject.shards.led_here().any(|slot| self.subject.cluster.row(slot).len() > 1);
        while is_led() && Instant::now() < deadline {
            time::sleep(Duration::from_millis(20)).await;
        }
        self.halt().await;
    }

    /// Stops at once, as a crash would, but for what is on its way to the disk.
    pub async fn halt(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().expect("no holder panics"));
        tasks.iter().for_each(|task| task.abort());
        for task in tasks {
            // It was just told to end; until it has, it may start a replica.
            let _ = task.await;
        }
        self.subject.shards.tell(Input::Stop);
        let driving = self.driving.lock().expect("no holder panics").take();
        if let Some(Err(error)) = match driving {
            Some(driving) => Some(driving.await),
            None => None,
        } {
            tracing::error!(%error, "the replicas' task had failed");
        }
        if let Err(error) = self.journal.close().await {
            tracing::error!(%error, "the journal was not closed in good order");
        }
    }
}

/// Ends transactions whose ingress nodes may have died.
async fn resolve_doubts(mut doubts: mpsc::UnboundedReceiver<Inquiry>, router: Router) {
    while let Some(inquiry) = doubts.recv().await {
        router.resolve(inquiry);
    }
}

fn link_timings(replication: &ReplicationConfig) -> link::Timings {
    link::Timings { connect: replication.connect_timeout, ..link::Timings::default() }
}
