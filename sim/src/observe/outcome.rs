//! What a run left behind.

use std::{collections::BTreeMap, time::Duration};

use paceline_reports::{
    exits::NodeExits,
    result::{FaultMark, NodeLoad},
};

use super::{heard::Heard, movement::Moves, recorder::Recorder};
use crate::{
    check::{About, End, Violation, step::NodeId},
    workload::history::History,
};

/// Everything that a run left behind.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The hash of the full event log, in hexadecimal; empty after a crash.
    pub fingerprint: String,
    /// From the start of the world to its end.
    pub virtual_time: Duration,
    /// What the clients saw.
    pub history: History,
    /// What did not hold.
    pub violations: Vec<Violation>,
    /// What became of the messages that each violation is about, in lines.
    pub chains: Vec<Vec<String>>,
    /// How often each check was applied.
    pub applied: BTreeMap<&'static str, u64>,
    /// What each node bore.
    pub nodes: Vec<NodeLoad>,
    /// Messages that passed each node's shards.
    pub loads: Vec<f64>,
    /// For each shard: dispatches by the first node of its row, by another of the row, and by any
    /// other.
    pub placed: Vec<[u64; 3]>,
    /// The nodes of each shard, the preferred leader first.
    pub rows: Vec<Vec<NodeId>>,
    /// The shard of each destination.
    pub shards: Vec<usize>,
    /// Who served each shard at the end, as far as the nodes have said.
    pub serving: Vec<Option<NodeId>>,
    /// When faults began and ended.
    pub faults: Vec<FaultMark>,
    /// What was asked of the cluster, and when it was made.
    pub changes: Vec<FaultMark>,
    /// Which copies were filled, where views of the cluster are known.
    pub moves: Option<Moves>,
    /// So many bytes of snapshots have come to nodes.
    pub snapshot_bytes: u64,
    /// How long after the last fault every change was made and the cluster settled, if it was.
    pub settled_after: Option<Duration>,
    /// Nodes that ended by themselves.
    pub exits: Vec<NodeExits>,
    /// How long after the last fault all was drained, if it was.
    pub drained_after: Option<Duration>,
    /// What the nodes were like at the end.
    pub end: End,
    /// By name, the messages that each violation is about.
    pub about: Vec<Vec<About>>,
    /// What the nodes said, if it was asked for.
    pub heard: Vec<Heard>,
    /// When the workload began, by the world's clock, if it did.
    pub epoch: Option<Duration>,
    /// What a panic said, if there was one.
    pub crashed: Option<String>,
    /// The last events, if they were asked for.
    pub tail: Vec<String>,
}

impl Outcome {
    /// Takes over what the recorder holds.
    pub fn take(&mut self, recorder: &mut Recorder) {
        recorder.flush();
        self.violations = recorder.checks.violations().to_vec();
        self.chains = recorder.checks.chains(&recorder.history);
        self.about = recorder.checks.about();
        self.heard = recorder.heard.take().unwrap_or_default();
        self.epoch = recorder.epoch();
        self.applied = recorder.checks.applied();
        self.nodes = recorder.meter.node_loads();
        for (node, down) in self.nodes.iter_mut().zip(recorder.downtime.totals()) {
            node.totals.down_s = down.as_secs_f64();
        }
        self.loads = recorder.meter.loads();
        self.placed = recorder.meter.placed().to_vec();
        self.rows = recorder.meter.rows().to_vec();
        self.shards = recorder.meter.shards().to_vec();
        self.serving = recorder.meter.leaders().to_vec();
        self.moves = recorder.movement.moves();
        self.snapshot_bytes = recorder.movement.snapshot_bytes;
        self.exits = recorder.exits.for_report();
        self.history = std::mem::take(&mut recorder.history);
        self.tail = recorder.tail.drain(..).collect();
    }
}
