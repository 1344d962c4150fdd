//! The seam's simulated side: a world of nodes in one thread, reproduced exactly by one seed.
//!
//! The executor draws from the seed which task runs next (`executor`), the clock goes from one thing
//! that is due to the next (`timers`); then there are the network (`net`), the disks (`disk`), the
//! cores (`cpu`), and the log of everything that happens (`trace`). Tasks and clock apart, all of it
//! hangs from one thread-local value (`context`), so a handle is a number and a destructor that runs
//! after the end of the world finds nothing and does nothing. madsim answers what does not go through
//! the seam: hash maps, entropy, the system's clocks and threads.

pub(crate) mod context;
pub mod cpu;
pub mod disk;
mod executor;
pub mod memory;
pub mod net;
mod nodes;
pub mod random;
pub mod shutdown;
pub mod task;
pub mod time;
mod timers;
pub(crate) mod trace;
pub mod world;

/// Everything a running world consists of.
pub(crate) struct Simulation {
    pub(crate) seed: u64,
    pub(crate) timers: timers::Timers,
    pub(crate) nodes: nodes::Nodes,
    pub(crate) net: net::fabric::Fabric,
    pub(crate) disks: disk::Disks,
    pub(crate) recorder: trace::Recorder,
}

/// An event of the world itself.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WorldEvent {
    Net(net::fabric::NetEvent),
    Node(nodes::NodeEvent),
}
