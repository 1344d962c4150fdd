//! The real world: every node is a process of the broker's own program on this machine, and between them,
//! and between clients and them, lie proxies that make links late, slow and cut.
//!
//! The clients, the workload, what is recorded and what is judged are those of the simulated world, and so
//! is the course of a run. What processes do not say is not checked, and is listed; what this world cannot
//! do to them is refused before anything starts, see [`paceline_scenario::processes`].

mod clock;
mod looking;
mod machines;
mod network;
mod places;
mod processes;
mod proxy;
mod refused;

use std::{io, path::Path, sync::Arc};

use paceline::{cluster::Cluster, config::NodeConfig};
use paceline_runtime::shutdown;
use paceline_scenario::Scenario;

use self::processes::Ending;
pub use self::{
    network::{LinkConfig, NodeId, PartitionId},
    processes::{Folder, World},
    refused::{DiskFault, Journal},
};
use super::{Run, link};
use crate::{
    clients::Addresses,
    observe::{Outcome, meter::Usage, recorder::SharedRecorder},
    workload::population::Speaks,
};

/// Whether the nodes' events reach the recorder.
pub const HEARS_NODES: bool = false;

/// Runs an expanded scenario to its end, with nodes that run this program. Gives the folder in which they
/// have left their files, too.
///
/// # Errors
/// The nodes have no place to be, or the run was told to stop.
pub fn run(
    scenario: &Scenario,
    recorder: SharedRecorder,
    program: &Path,
) -> io::Result<(Outcome, Folder)> {
    let folder = Folder::new()?;
    let (scenario, program, path) =
        (scenario.clone(), program.to_owned(), folder.path().to_owned());
    let ended = paceline_runtime::block_on(async move {
        let (names, link) = (scenario.node_names(), link(&scenario));
        let world = World::new(names, &program, &path, link, scenario.seed).await?;
        let _ending = Ending(world);
        let run = async {
            let run = Run::new(world, &scenario, recorder.clone());
            looking::at_processes(world, recorder.clone());
            looking::at_shards(world, &scenario, recorder);
            run.carry_out().await
        };
        let mut run = Box::pin(run);
        tokio::select! {
            biased;
            () = shutdown::requested() => {
                // Clients that are under way must not find that nobody tells them what to do.
                std::mem::forget(run);
                Err(io::Error::new(io::ErrorKind::Interrupted, "told to stop; all nodes are ended"))
            }
            outcome = &mut run => Ok(outcome),
        }
    });
    Ok((ended?, folder))
}

/// The nodes' machines, and where clients are.
pub fn machines(world: World, _: &Scenario) -> (Vec<NodeId>, Vec<NodeId>) {
    (world.nodes(), vec![world.clients()])
}

/// What a node has used so far.
pub fn usage(world: World, node: NodeId) -> Usage {
    let (bytes_in, bytes_out) = world.traffic(node);
    Usage { bytes_in, bytes_out, cpu_s: world.cpu_used(node).as_secs_f64() }
}

/// Where the other nodes, and operators, reach a node.
pub fn link_of(world: World, name: &str) -> String {
    world.places().link_of(name)
}

/// Where clients reach nodes.
pub fn addresses(world: World) -> Addresses {
    let places = world.places();
    Arc::new(move |speaks, name| {
        let door = places.of(name).door;
        places::on_loopback(match speaks {
            Speaks::Stomp => door.stomp,
            Speaks::OpenWire => door.openwire,
        })
        .to_string()
    })
}

/// The cluster as it begins.
pub fn cluster_of(world: World, scenario: &Scenario) -> Cluster {
    let config = scenario.node_config("n1").expect("validated: the node accepts it");
    let config = world.places().fit(config);
    Cluster::of(&config.cluster).expect("validated: the placement can be made")
}

/// Starts a node for the first time; at each start it reads what `config` says then. How it ends is looked
/// after by `looking`.
pub fn start(
    world: World,
    node: NodeId,
    _: u32,
    _: SharedRecorder,
    config: impl Fn() -> NodeConfig + Send + Sync + 'static,
) {
    world.start(node, config);
}

/// Takes a machine away with its disk.
pub fn destroy(world: World, node: NodeId) {
    world.destroy(node);
}
