//! What an operating system does for a broker: starts its process, and starts it again a while
//! after it has ended by itself. A process that a fault took down stays down until the fault ends.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use paceline_runtime::{
    time, trace,
    world::{NodeId, World},
};
use paceline_scenario::Scenario;

use crate::observe::recorder::SharedRecorder;

/// How long after its end a process is started again.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// See the module.
pub struct Supervisor {
    world: World,
    nodes: Vec<NodeId>,
    recorder: SharedRecorder,
    /// Whether a fault keeps each node down.
    held: Arc<Mutex<Vec<bool>>>,
}

impl Supervisor {
    /// Starts every node through the broker's own entry point.
    pub fn start(
        world: World,
        scenario: &Scenario,
        nodes: &[NodeId],
        recorder: SharedRecorder,
    ) -> Self {
        for ((name, &node), number) in scenario.node_names().iter().zip(nodes).zip(0..) {
            let config = scenario.node_config(name).expect("validated: the node accepts it");
            let recorder = recorder.clone();
            world.start(node, move || {
                let (config, recorder) = (config.clone(), recorder.clone());
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
        let supervisor = Self {
            world,
            nodes: nodes.to_vec(),
            recorder,
            held: Arc::new(Mutex::new(vec![false; nodes.len()])),
        };
        supervisor.watch();
        supervisor
    }

    /// Starts again what has ended by itself.
    fn watch(&self) {
        for (number, &node) in self.nodes.iter().enumerate() {
            let (world, held) = (self.world, Arc::clone(&self.held));
            let recorder = self.recorder.clone();
            let is_held = move || held.lock().expect("nobody panics with it")[number];
            // It runs beside the scenario until the world ends.
            drop(world.spawn(async move {
                loop {
                    time::sleep(RESTART_AFTER).await;
                    if !world.is_up(node) && !is_held() {
                        world.restart(node);
                        recorder.lock().exits.started(number as u32);
                    }
                }
            }));
        }
    }

    fn hold(&self, node: usize, held: bool) {
        self.held.lock().expect("nobody panics with it")[node] = held;
    }

    /// Kills the process; it stays down until [`release`](Self::release).
    pub fn crash(&mut self, node: usize) {
        self.hold(node, true);
        self.world.crash(self.nodes[node]);
        self.died(node);
    }

    /// Cuts the power; it stays off until [`release`](Self::release).
    pub fn power_cut(&mut self, node: usize) {
        self.hold(node, true);
        self.world.power_cut(self.nodes[node]);
        self.died(node);
    }

    /// Asks the process to end; when it has, it stays down until [`release`](Self::release).
    pub fn stop(&mut self, node: usize) {
        self.hold(node, true);
        self.world.request_shutdown(self.nodes[node]);
    }

    /// The node has lost records of its journal.
    pub fn rotted(&mut self, node: usize) {
        self.recorder.lock().wounds.rotted(node as u32);
    }

    /// The nodes that have lost records and not got them back yet.
    pub fn wounded(&self) -> BTreeSet<u32> {
        self.recorder.lock().wounds.wounded()
    }

    /// Who serves each slot, as far as the nodes have said.
    pub fn leaders(&self) -> Vec<Option<u32>> {
        self.recorder.lock().meter.leaders().to_vec()
    }

    /// Starts the node again; one that is still about to end, when it has.
    pub fn release(&mut self, node: usize) {
        self.hold(node, false);
        if self.world.is_up(self.nodes[node]) {
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
