//! How large a scenario is.

use std::time::Duration;

use crate::{
    Scenario,
    fault::{Extent, Fault, Kind},
    units::TimeSpan,
};

/// What makes a scenario slow to run and hard to grasp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Nodes, those that join included.
    pub nodes: u64,
    /// Nodes that hold each shard.
    pub replicas: u64,
    /// Raft groups.
    pub slots: u64,
    /// Workloads.
    pub workloads: u64,
    /// Destinations of all workloads.
    pub destinations: u64,
    /// Producers and consumers of all workloads.
    pub clients: u64,
    /// Messages of all workloads together in a thousand seconds.
    rate: u64,
    /// Messages that producers are to send in all.
    pub messages: u64,
    /// Entries of the list of faults.
    pub faults: u64,
    /// Nodes that all faults name together.
    struck: u64,
    /// How long all faults last, in milliseconds.
    fault_ms: u64,
    /// Entries of the list of changes.
    pub changes: u64,
    /// How long the workload runs.
    pub duration: TimeSpan,
}

impl Size {
    /// Of this scenario.
    pub fn of(scenario: &Scenario) -> Self {
        let loads = &scenario.workloads;
        let sum =
            |of: fn(&crate::format::Workload) -> u32| loads.iter().map(of).map(u64::from).sum();
        let rates = loads.iter().filter(|it| it.producers > 0).map(|it| it.rate.per_second);
        let rate: f64 = rates.sum();
        let faults = &scenario.faults;
        Self {
            nodes: scenario.node_count().into(),
            replicas: scenario.cluster.replicas().into(),
            slots: scenario.cluster.slots.into(),
            workloads: loads.len() as u64,
            destinations: sum(|it| it.destinations.count),
            clients: sum(|it| it.producers.saturating_add(it.consumers)),
            rate: (rate * 1000.0).ceil() as u64,
            messages: (rate * scenario.duration.0.as_secs_f64()).ceil() as u64,
            faults: faults.len() as u64,
            struck: faults.iter().map(struck).sum(),
            fault_ms: faults.iter().map(|it| length(scenario, it).as_millis() as u64).sum(),
            changes: scenario.changes.len() as u64,
            duration: scenario.duration,
        }
    }

    fn parts(&self) -> [u64; 13] {
        let Self { nodes, replicas, slots, workloads, destinations, clients, .. } = *self;
        let Self { rate, messages, faults, struck, fault_ms, changes, duration, .. } = *self;
        let nanos = duration.0.as_nanos() as u64;
        [
            nodes,
            replicas,
            slots,
            workloads,
            destinations,
            clients,
            rate,
            messages,
            faults,
            struck,
            fault_ms,
            changes,
            nanos,
        ]
    }

    /// Whether nothing is larger than there.
    pub fn is_within(&self, other: &Size) -> bool {
        self.parts().iter().zip(other.parts()).all(|(here, there)| *here <= there)
    }

    /// Whether nothing is larger than there and something is smaller.
    pub fn is_below(&self, other: &Size) -> bool {
        self.is_within(other) && self.parts() != other.parts()
    }
}

/// When a fault begins at the earliest.
pub(super) fn begin(fault: &Fault) -> Duration {
    fault.at.or(fault.between.map(|it| it[0])).unwrap_or_default().0
}

fn struck(fault: &Fault) -> u64 {
    let Some(nodes) = fault.kinds().first().and_then(Kind::target).and_then(|it| it.nodes.clone())
    else {
        return 0;
    };
    nodes.len() as u64
}

/// How long a fault lasts at the longest.
fn length(scenario: &Scenario, fault: &Fault) -> Duration {
    let back_after = fault.kinds().first().and_then(Kind::back_after);
    let rest = scenario.duration.0.saturating_sub(begin(fault));
    match (fault.lasts, back_after) {
        _ if fault.outlasts => rest,
        (Some(lasts), _) => lasts.most().0,
        (None, Some(back_after)) => back_after.as_ref().map_or(rest, |it: &Extent| it.most().0),
        (None, None) => Duration::ZERO,
    }
}
