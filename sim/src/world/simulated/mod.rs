//! The simulated world: all nodes and clients in one process, on virtual time.

mod damage;

use std::sync::Arc;

use paceline::{cluster::Cluster, config};
use paceline_runtime::{
    trace,
    world::{DiskConfig, NetConfig, NodeConfig, WorldConfig},
};
use paceline_scenario::{OPENWIRE_PORT, STOMP_PORT, Scenario, expand::stream};
use rand::RngExt;

pub use self::damage::Journal;
use super::{Run, latency, link};
use crate::{
    clients::Addresses,
    observe::{Outcome, meter::Usage, recorder::SharedRecorder},
    workload::{Population, population::Speaks},
};

pub use paceline_runtime::world::{DiskFault, LinkConfig, NodeId, PartitionId, World};

/// The most machines that clients are spread over.
const CLIENT_HOSTS: usize = 16;

/// Runs an expanded scenario to its end.
pub fn run(scenario: &Scenario, recorder: SharedRecorder) -> Outcome {
    let net = NetConfig { link: link(scenario), ..NetConfig::default() };
    let config = WorldConfig { net, ..WorldConfig::default() };
    let shared = recorder.clone();
    let ended = World::run(scenario.seed, config, move |world| async move {
        Run::new(world, scenario, shared).carry_out().await
    });
    match ended {
        Ok(outcome) => outcome,
        Err(crash) => Outcome {
            virtual_time: crash.at,
            crashed: Some(crash.to_string()),
            ..Outcome::default()
        },
    }
}

/// The nodes' machines, and those of the clients.
pub fn machines(world: World, scenario: &Scenario) -> (Vec<NodeId>, Vec<NodeId>) {
    let names = scenario.node_names();
    let nodes = names.iter().map(|name| add_node(world, scenario, name)).collect();
    let clients = Population::of(scenario).clients();
    let hosts = (1..=clients.clamp(1, CLIENT_HOSTS))
        .map(|number| world.add_node(NodeConfig::new(format!("c{number}")).cores(64)))
        .collect();
    (nodes, hosts)
}

fn add_node(world: World, scenario: &Scenario, name: &str) -> NodeId {
    let disk = &scenario.disk;
    let disk = DiskConfig {
        sync: latency(&disk.sync),
        bandwidth: disk.bandwidth.bits / 8,
        capacity: Some(disk.capacity.bytes),
        ..DiskConfig::default()
    };
    let most = scenario.clock.offset.0.as_millis() as i64;
    let offset = stream(scenario.seed, &format!("clock of {name}")).random_range(-most..=most);
    let config =
        NodeConfig::new(name).cores(scenario.cluster.cores as usize).disk(disk).clock(offset, 0.0);
    world.add_node(config)
}

/// What a node has used so far.
pub fn usage(world: World, node: NodeId) -> Usage {
    let stats = world.stats(node);
    Usage {
        bytes_in: stats.traffic.bytes_in,
        bytes_out: stats.traffic.bytes_out,
        cpu_s: stats.cpu_busy.as_secs_f64(),
    }
}

/// Where the other nodes, and operators, reach a node.
pub fn link_of(_: World, name: &str) -> String {
    paceline_scenario::link_of(name)
}

/// Where clients reach nodes.
pub fn addresses(_: World) -> Addresses {
    Arc::new(|speaks, name| match speaks {
        Speaks::Stomp => format!("{name}:{STOMP_PORT}"),
        Speaks::OpenWire => format!("{name}:{OPENWIRE_PORT}"),
    })
}

/// The cluster as it begins.
pub fn cluster_of(_: World, scenario: &Scenario) -> Cluster {
    scenario.cluster()
}

/// Starts a node for the first time, through the broker's own entry point; at each start it reads what
/// `config` says then. `number` is the node's for the recorder, which is told when it ends by itself.
pub fn start(
    world: World,
    node: NodeId,
    number: u32,
    recorder: SharedRecorder,
    config: impl Fn() -> config::NodeConfig + Send + Sync + 'static,
) {
    world.start(node, move || {
        let (config, recorder) = (config(), recorder.clone());
        async move {
            if let Err(error) = paceline::node::run(config).await {
                let text = error.to_string();
                trace::event!("node_failed", error = text.as_str());
                tracing::warn!(error = text, "a node has ended by itself");
                let mut recorder = recorder.lock();
                let now = recorder.now();
                recorder.exits.ended(now, number, &error);
            }
        }
    });
}

/// Takes a machine away with its disk: it has no power any more.
pub fn destroy(world: World, node: NodeId) {
    world.power_cut(node);
}
