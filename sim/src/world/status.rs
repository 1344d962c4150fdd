//! Asks every node what it holds, over the links as the `status` command does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use paceline::{
    cluster::Cluster,
    link::{Identity, Peer, Timings},
    node::{
        compare::{self, Target},
        status::{ShardRole, ShardStatus, Status},
    },
    replication::protocol::Request,
};
use paceline_runtime::{task, time};

use super::{Run, here};
use crate::{
    check::{self, Pair, Replica},
    observe::waiting::View,
};

/// How long a node may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

impl Run<'_> {
    /// What every node but those away says of its replicas; an error names the node that says nothing.
    pub(super) async fn statuses(
        &self,
        verify: bool,
        away: &BTreeSet<u32>,
    ) -> Result<Vec<Replica>, String> {
        let name = |node: u32| format!("n{}", node + 1);
        let mut replicas = Vec::new();
        for view in self.views(verify, away).await {
            let said = view.said;
            replicas.extend(said.map_err(|error| {
                format!("{} does not tell its status: {error}", name(view.node))
            })?);
        }
        Ok(replicas)
    }

    /// What every node but those away says of its replicas, or why it says nothing.
    pub(super) async fn views(&self, verify: bool, away: &BTreeSet<u32>) -> Vec<View> {
        let cluster = Arc::new(self.cluster());
        let mut targets = self.targets(&cluster);
        targets.retain(|(_, node)| !away.contains(node));
        let asked = ask_all(Arc::clone(&cluster), targets, verify);
        self.world.spawn_on(self.hosts[0], asked).await.expect("asking does not panic")
    }

    /// In what those of the replicas differ that should not.
    pub(super) async fn differences(&self, replicas: &[Replica]) -> BTreeMap<Pair, String> {
        let pairs = check::unlike(replicas);
        if pairs.is_empty() {
            return BTreeMap::new();
        }
        let cluster = self.cluster();
        let targets: BTreeMap<u32, Target> =
            self.targets(&cluster).into_iter().map(|(target, node)| (node, target)).collect();
        let asked = async move {
            let mut differences = BTreeMap::new();
            for pair in pairs {
                differences.insert(pair, difference(&cluster.name, &targets, pair).await);
            }
            differences
        };
        self.world.spawn_on(self.hosts[0], asked).await.expect("asking does not panic")
    }

    /// The cluster as it is, as far as anybody has told.
    fn cluster(&self) -> Cluster {
        let cluster = here::cluster_of(self.world, self.scenario);
        if let Some(view) = self.recorder.lock().movement.latest() {
            cluster.adopt(Arc::new(view.clone()));
        }
        cluster
    }

    /// The members that can be asked, each with its number among the nodes of the run.
    fn targets(&self, cluster: &Cluster) -> Vec<(Target, u32)> {
        let names = self.scenario.node_names().into_iter().zip(0..);
        names
            .filter(|(_, node)| self.supervisor.is_there(*node as usize))
            .filter_map(|(name, node)| {
                let number = cluster.number_of(&name)?;
                let address = here::link_of(self.world, &name);
                Some((Target { number, address, name }, node))
            })
            .collect()
    }
}

/// In what two replicas differ, or why nobody says.
async fn difference(cluster: &str, targets: &BTreeMap<u32, Target>, pair: Pair) -> String {
    let (one, other) = (&targets[&pair.one], &targets[&pair.other]);
    let asked = compare::differences(cluster, pair.shard as u32, one, other);
    match time::timeout(ANSWER_WITHIN, asked).await {
        Ok(Ok(found)) => {
            let words = found.iter().map(|it| it.in_words(&one.name, &other.name));
            words.collect::<Vec<_>>().join("; ")
        }
        Ok(Err(error)) => format!("they do not say in what: {error}"),
        Err(_) => "they do not say in what in time".to_owned(),
    }
}

/// Asks all at once, so that those that say nothing cost the time of one.
async fn ask_all(cluster: Arc<Cluster>, targets: Vec<(Target, u32)>, verify: bool) -> Vec<View> {
    let asked: Vec<_> = targets
        .into_iter()
        .map(|(target, node)| {
            let cluster = Arc::clone(&cluster);
            (node, task::spawn(async move { view(&cluster, node, &target, verify).await }))
        })
        .collect();
    let mut views = Vec::new();
    for (node, asked) in asked {
        views.push(View { node, said: asked.await.expect("asking does not panic") });
    }
    views
}

async fn view(
    cluster: &Cluster,
    node: u32,
    target: &Target,
    verify: bool,
) -> Result<Vec<Replica>, String> {
    let asked = time::timeout(ANSWER_WITHIN, ask(&cluster.name, target, verify)).await;
    let status = asked.map_err(|_| "no answer in time".to_owned())??;
    let node_of = |number: u64| {
        let name = cluster.name_of(number)?;
        let number: u32 = name.strip_prefix('n')?.parse().ok()?;
        Some(number - 1)
    };
    let replica = |shard: ShardStatus| Replica {
        node,
        shard: shard.slot.into(),
        leader: shard.leader.and_then(node_of),
        applied: shard.applied,
        last: shard.last,
        repairing: shard.role == ShardRole::Repairing,
        digest: shard.digest.map(hex).unwrap_or_default(),
        in_doubt: shard.in_doubt,
        waiting: shard.waiting.iter().map(|(_, count)| count).sum(),
        depths: shard
            .queues
            .into_iter()
            .map(|(name, depth)| (name.into(), depth))
            .chain(shard.durables.into_iter().filter(|it| it.messages > 0).map(|it| {
                (format!("{} for {} of {}", it.topic, it.name, it.client).into(), it.messages)
            }))
            .collect(),
    };
    Ok(status.shards.into_iter().map(replica).collect())
}

async fn ask(cluster: &Arc<str>, target: &Target, verify: bool) -> Result<Status, String> {
    let visitor = Identity::visitor(cluster);
    let peer =
        Peer::dial(target.number, target.address.clone(), visitor, Timings::default(), || {});
    let mut link = peer.watch();
    let connection = match link.wait_for(Option::is_some).await {
        Ok(connected) => connected.clone().expect("waited for"),
        Err(error) => return Err(error.to_string()),
    };
    let answer = connection.request(&Request::Status { verify }).await;
    let answer = answer.map_err(|error| error.to_string())?;
    postcard::from_bytes(&answer).map_err(|error| error.to_string())
}

fn hex(bytes: [u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
