//! What can be known of the nodes without their events: who leads and how much waits is asked of each,
//! several times a second and not through its proxy, so that faults of links do not hide it; how each
//! process does the operating system says.

use std::{sync::Arc, time::Duration};

use paceline::{
    cluster::Cluster,
    link::{self, Identity, Timings},
    node::status::{ShardRole, Status},
    replication::protocol::Request,
};
use paceline_reports::exits::ExitCause;
use paceline_runtime::{task, time};
use paceline_scenario::Scenario;

use super::{cluster_of, machines::News, network::NodeId, places::on_loopback, processes::World};
use crate::observe::recorder::{SharedRecorder, node_number};

/// How often the nodes are asked.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// How long a node may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// How often the processes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks at the processes from now on.
pub fn at_processes(world: World, recorder: SharedRecorder) {
    drop(task::spawn(async move {
        loop {
            for node in world.nodes() {
                if let Some(news) = world.news(node) {
                    take(node, news, &recorder);
                }
            }
            time::sleep(LOOK_EVERY).await;
        }
    }));
}

fn take(node: NodeId, news: News, recorder: &SharedRecorder) {
    let mut recorder = recorder.lock();
    let (now, node) = (recorder.now(), node.0 as u32);
    match news {
        News::Ready => recorder.downtime.ready(now, node),
        News::Ended => recorder.died(now, node),
        News::Failed(said) => {
            recorder.exits.ended_as(now, node, cause(&said), said);
            recorder.died(now, node);
        }
    }
}

/// Why a process has ended, as far as its last word tells.
fn cause(said: &str) -> ExitCause {
    if said.contains("No space left on device") { ExitCause::DiskFull } else { ExitCause::Other }
}

/// Asks the nodes from now on.
pub fn at_shards(world: World, scenario: &Scenario, recorder: SharedRecorder) {
    let scenario = scenario.clone();
    drop(task::spawn(async move {
        loop {
            let cluster = cluster_of(world, &scenario);
            if let Some(view) = recorder.lock().movement.latest() {
                cluster.adopt(Arc::new(view.clone()));
            }
            let cluster = Arc::new(cluster);
            let asked: Vec<_> = scenario
                .node_names()
                .into_iter()
                .filter_map(|name| Some((cluster.number_of(&name)?, name)))
                .map(|(number, name)| {
                    let address = on_loopback(world.places().of(&name).own.link).to_string();
                    task::spawn(ask(Arc::clone(&cluster), number, address))
                })
                .collect();
            let mut answers = Vec::new();
            for answer in asked {
                answers.extend(answer.await.ok().flatten());
            }
            recorder.lock().meter.look(&standing(&answers, &scenario));
            time::sleep(ASK_EVERY).await;
        }
    }));
}

async fn ask(cluster: Arc<Cluster>, number: u64, address: String) -> Option<Status> {
    let (visitor, timings) = (Identity::visitor(&cluster.name), Timings::default());
    let request = Request::Status { verify: false };
    let asked = link::ask(number, &address, &visitor, &timings, &request);
    let answer = time::timeout(ANSWER_WITHIN, asked).await.ok()?.ok()?;
    postcard::from_bytes(&answer).ok()
}

/// Who leads each shard, and how many messages wait there, by the latest term that somebody says to
/// lead it in.
fn standing(answers: &[Status], scenario: &Scenario) -> Vec<Option<(u32, u64)>> {
    let nodes = scenario.node_count() as usize;
    let mut leaders: Vec<Option<(u64, u32, u64)>> = vec![None; scenario.cluster.slots as usize];
    for (status, shard) in
        answers.iter().flat_map(|it| it.shards.iter().map(move |shard| (it, shard)))
    {
        let Some(known) = leaders.get_mut(shard.slot as usize) else { continue };
        let Some(node) = node_number(&status.name, nodes) else { continue };
        let is_later = known.is_none_or(|(term, ..)| term < shard.term);
        if shard.role == ShardRole::Leader && is_later {
            *known = Some((shard.term, node, shard.queues.iter().map(|(_, count)| count).sum()));
        }
    }
    leaders.into_iter().map(|it| it.map(|(_, node, waits)| (node, waits))).collect()
}
