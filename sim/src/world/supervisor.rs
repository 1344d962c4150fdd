//! What an operating system does for a broker: starts its process, and starts it again a while
//! after it has ended by itself. A process that a fault took down stays down until the fault ends, and
//! one that was taken away for good for ever.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use paceline::config::NodeConfig;
use paceline_runtime::time;
use paceline_scenario::Scenario;

use super::here::{self, NodeId, World};
use crate::observe::recorder::SharedRecorder;

/// How long after its end a process is started again.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// See the module. All that are made from one are the same.
#[derive(Clone)]
pub struct Supervisor {
    world: World,
    nodes: Vec<NodeId>,
    recorder: SharedRecorder,
    processes: Arc<Mutex<Vec<Process>>>,
}

/// The process of a node.
#[derive(Clone, Debug, Default)]
struct Process {
    /// It was started for the first time.
    is_there: bool,
    /// What it reads when it is started.
    config: Option<NodeConfig>,
    /// So many faults, and the operator, keep it down.
    held: u32,
    /// It never starts again.
    is_gone: bool,
    /// Its disk is gone with it, and nobody holds yet what it held.
    is_missed: bool,
}

impl Supervisor {
    /// Starts the nodes that the cluster begins with through the broker's own entry point. `nodes` are
    /// the machines of all.
    pub fn start(
        world: World,
        scenario: &Scenario,
        nodes: &[NodeId],
        recorder: SharedRecorder,
    ) -> Self {
        let processes = Arc::new(Mutex::new(vec![Process::default(); nodes.len()]));
        let supervisor = Self { world, nodes: nodes.to_vec(), recorder, processes };
        for (node, name) in scenario.founders().iter().enumerate() {
            let config = scenario.node_config(name).expect("validated: the node accepts it");
            supervisor.begin(node, config);
        }
        for node in 0..nodes.len() {
            supervisor.watch(node);
        }
        supervisor
    }

    fn processes(&self) -> MutexGuard<'_, Vec<Process>> {
        self.processes.lock().expect("nobody panics with it")
    }

    /// Starts a node for the first time.
    pub fn begin(&self, node: usize, config: NodeConfig) {
        self.processes()[node].is_there = true;
        self.configure(node, config);
        let processes = self.processes.clone();
        let config = move || {
            let process = processes.lock().expect("nobody panics with it")[node].clone();
            process.config.expect("it was given one")
        };
        here::start(self.world, self.nodes[node], node as u32, self.recorder.clone(), config);
    }

    /// Has the node read this the next time that it is started.
    pub fn configure(&self, node: usize, config: NodeConfig) {
        self.processes()[node].config = Some(config);
    }

    /// Starts again what has ended by itself.
    fn watch(&self, node: usize) {
        let supervisor = self.clone();
        // It runs beside the scenario until the world ends.
        drop(self.world.spawn(async move {
            let Self { world, nodes, recorder, .. } = &supervisor;
            loop {
                time::sleep(RESTART_AFTER).await;
                if world.is_up(nodes[node]) || !supervisor.is_there(node) {
                    continue;
                }
                {
                    let mut recorder = recorder.lock();
                    let now = recorder.now();
                    recorder.ended(now, node as u32);
                }
                if supervisor.processes()[node].held == 0 {
                    world.restart(nodes[node]);
                    recorder.lock().exits.started(node as u32);
                }
            }
        }));
    }

    /// Whether the node was started, and not taken away for good since.
    pub fn is_there(&self, node: usize) -> bool {
        let process = &self.processes()[node];
        process.is_there && !process.is_gone
    }

    fn hold(&self, node: usize) {
        self.processes()[node].held += 1;
    }

    /// Kills the process; it stays down until [`release`](Self::release).
    pub fn crash(&self, node: usize) {
        self.hold(node);
        self.world.crash(self.nodes[node]);
        self.died(node);
    }

    /// Cuts the power; it stays off until [`release`](Self::release).
    pub fn power_cut(&self, node: usize) {
        self.hold(node);
        self.world.power_cut(self.nodes[node]);
        self.died(node);
    }

    /// Asks the process to end; when it has, it stays down until [`release`](Self::release).
    pub fn stop(&self, node: usize) {
        self.hold(node);
        self.world.request_shutdown(self.nodes[node]);
    }

    /// Takes the machine away with its disk, for ever. What it held has to be
    /// [replaced](Self::replaced).
    pub fn destroy(&self, node: usize) {
        {
            let process = &mut self.processes()[node];
            (process.is_gone, process.is_missed) = (true, true);
        }
        self.hold(node);
        here::destroy(self.world, self.nodes[node]);
        self.died(node);
    }

    /// Others hold what a node held that was destroyed.
    pub fn replaced(&self, node: usize) {
        self.processes()[node].is_missed = false;
    }

    /// Asks the process to end for ever: it holds nothing any more.
    pub fn retire(&self, node: usize) {
        self.processes()[node].is_gone = true;
        self.stop(node);
    }

    /// The node has lost records of its journal.
    pub fn rotted(&self, node: usize) {
        self.recorder.lock().wounds.rotted(node as u32);
    }

    /// The nodes that have lost records, or all of them, and whose share is not whole again.
    pub fn wounded(&self) -> BTreeSet<u32> {
        let wounded = self.recorder.lock().wounds.wounded();
        let processes = self.processes();
        let missed = (0..).zip(processes.iter()).filter(|(_, it)| it.is_missed);
        let missed = missed.map(|(node, _)| node);
        let there = wounded.into_iter().filter(|node| !processes[*node as usize].is_gone);
        there.chain(missed).collect()
    }

    /// Who serves each slot, as far as the nodes have said.
    pub fn leaders(&self) -> Vec<Option<u32>> {
        self.recorder.lock().meter.leaders().to_vec()
    }

    /// Whether the node runs.
    pub fn is_up(&self, node: usize) -> bool {
        self.world.is_up(self.nodes[node])
    }

    /// Starts the node again, unless it was taken away for good or something else keeps it down; one
    /// that is still about to end, when it has.
    pub fn release(&self, node: usize) {
        {
            let process = &mut self.processes()[node];
            process.held -= 1;
            if process.is_gone || process.held > 0 {
                return;
            }
        }
        if self.is_up(node) {
            return;
        }
        self.world.restart(self.nodes[node]);
        self.recorder.lock().exits.started(node as u32);
    }

    fn died(&self, node: usize) {
        let mut recorder = self.recorder.lock();
        let now = recorder.now();
        recorder.died(now, node as u32);
    }
}
