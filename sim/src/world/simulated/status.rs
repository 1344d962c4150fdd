//! Asks every node what it holds, over the links as the `status` command does.

use std::{sync::Arc, time::Duration};

use paceline::{
    link::{Identity, Peer, Timings},
    node::{protocol::Request, status::Status},
};
use paceline_runtime::time;

use super::Run;
use crate::{check::Replica, scenario::LINK_PORT};

/// How long a node may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// One node to ask.
#[derive(Clone)]
struct Target {
    /// As the checks count.
    node: u32,
    /// As links count.
    number: u64,
    name: String,
}

impl Run<'_> {
    /// What every node says of its replicas; an error names the node that says nothing.
    pub(super) async fn statuses(&self, verify: bool) -> Result<Vec<Replica>, String> {
        let cluster = self.scenario.cluster();
        let targets: Vec<Target> = (self.scenario.node_names().into_iter().zip(0..))
            .map(|(name, node)| Target {
                node,
                number: cluster.number_of(&name).expect("it is a member"),
                name,
            })
            .collect();
        let asked = ask_all(cluster.name.clone(), targets, verify);
        let asker = self.hosts[0];
        self.world.spawn_on(asker, asked).await.map_err(|error| error.to_string())?
    }
}

async fn ask_all(
    cluster: Arc<str>,
    targets: Vec<Target>,
    verify: bool,
) -> Result<Vec<Replica>, String> {
    let mut replicas = Vec::new();
    for target in targets {
        let asked = time::timeout(ANSWER_WITHIN, ask(&cluster, &target, verify)).await;
        let status = asked
            .map_err(|_| "no answer in time".to_owned())
            .and_then(|answer| answer)
            .map_err(|error| format!("{} does not tell its status: {error}", target.name))?;
        replicas.extend(status.shards.into_iter().map(|shard| Replica {
            node: target.node,
            shard: shard.slot.into(),
            applied: shard.applied,
            last: shard.last,
            repairing: shard.role == "repairing",
            failed: shard.role == "failed",
            digest: shard.digest.map(hex).unwrap_or_default(),
            in_doubt: shard.in_doubt,
            depths: shard.queues.into_iter().map(|(name, depth)| (name.into(), depth)).collect(),
        }));
    }
    Ok(replicas)
}

async fn ask(cluster: &Arc<str>, target: &Target, verify: bool) -> Result<Status, String> {
    // Not a member: number 0 is nobody's.
    let visitor = Identity { cluster: Arc::clone(cluster), node: 0, incarnation: 0 };
    let address = format!("{}:{LINK_PORT}", target.name);
    let peer = Peer::dial(target.number, address, visitor, Timings::default());
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
