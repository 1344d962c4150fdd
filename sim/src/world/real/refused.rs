//! The verbs of the simulated world that this one does not have. No run comes to them: whatever scenario
//! asks for one is refused before anything starts, see [`paceline_scenario::processes`].

use std::path::PathBuf;

use rand::Rng;

use super::{network::NodeId, processes::World};

/// What a simulated disk suffers.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the fields are the simulated world's")]
pub struct DiskFault {
    pub slowness: f64,
    pub full: bool,
    pub failing_syncs: f64,
    pub failing_writes: f64,
    pub failing_reads: f64,
}

fn refused(what: &str) -> ! {
    unreachable!("a scenario with {what} is refused in the real world")
}

impl World {
    /// Refused: what was not synced would be lost, and of a process it is not.
    pub fn power_cut(&self, _: NodeId) {
        refused("power cuts")
    }

    /// Refused: all processes have this machine's clock.
    pub fn jump_clock(&self, _: NodeId, _: i64) {
        refused("clocks that jump")
    }

    /// Refused: as above.
    pub fn set_clock_drift(&self, _: NodeId, _: f64) {
        refused("clocks that drift")
    }

    /// Nothing, as long as nothing is wrong with the disk: all processes have this machine's.
    pub fn set_disk_fault(&self, _: NodeId, fault: DiskFault) {
        if fault.full || fault.slowness > 0.0 || fault.failing_syncs > 0.0 {
            refused("disks that fail")
        }
    }

    /// Refused: who is refilled, and when that is done, only events of the nodes tell.
    pub fn empty_disk(&self, _: NodeId) {
        refused("disks that are emptied")
    }
}

/// The journal of one node that is down.
pub struct Journal;

impl Journal {
    /// The journal in this directory of the node's disk.
    pub fn new(_: World, _: NodeId, _: PathBuf) -> Self {
        Self
    }

    /// Refused.
    pub fn rot(&self, _: bool, _: &mut impl Rng) {
        refused("bit rot")
    }

    /// Refused.
    pub fn lose(&self, _: &mut impl Rng) {
        refused("lost writes")
    }

    /// Refused.
    pub fn misdirect(&self, _: &mut impl Rng) {
        refused("misdirected writes")
    }
}
