//! Where a scenario runs.

#[cfg(madsim)]
pub mod simulated;

use std::{collections::BTreeMap, fs::File, time::Duration};

use paceline_reports::{
    exits::NodeExits,
    result::{FaultMark, NodeLoad},
};

use crate::{
    check::{End, Violation},
    recorder::Recorder,
    workload::history::History,
};

/// What a run is asked to keep besides its result.
#[derive(Debug, Default)]
pub struct Options {
    /// The last events in words.
    pub tail: bool,
    /// All events, written here.
    pub event_log: Option<File>,
}

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
    /// How often each check was applied.
    pub applied: BTreeMap<&'static str, u64>,
    /// What each node bore.
    pub nodes: Vec<NodeLoad>,
    /// Messages that passed each node's shards.
    pub loads: Vec<f64>,
    /// Dispatches by the first node of the row, by another of the row, and by any other.
    pub placed: [u64; 3],
    /// When faults began and ended.
    pub faults: Vec<FaultMark>,
    /// Nodes that ended by themselves.
    pub exits: Vec<NodeExits>,
    /// How long after the last fault all was drained, if it was.
    pub drained_after: Option<Duration>,
    /// What the nodes were like at the end.
    pub end: End,
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
        self.applied = recorder.checks.applied().clone();
        self.nodes = recorder.meter.node_loads();
        self.loads = recorder.meter.loads();
        self.placed = recorder.meter.placed();
        self.exits = recorder.exits.for_report();
        self.history = std::mem::take(&mut recorder.history);
        self.tail = recorder.tail.drain(..).collect();
    }
}
