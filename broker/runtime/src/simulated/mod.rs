//! The seam's simulated side: a world of nodes in one thread, reproduced exactly by one seed.
//!
//! madsim gives the executor (which task runs next is drawn from the seed), the virtual time and
//! the killing of a node's tasks. The rest is here: timers that can be taken back (`timers`), the
//! network (`net`), the disks (`disk`), the cores (`cpu`), and the log of everything that happens
//! (`trace`). All of it hangs from one thread-local value (`context`), so a handle is a number and
//! a destructor that runs after the end of the world finds nothing and does nothing.

pub(crate) mod context;
pub mod cpu;
pub mod disk;
pub(crate) mod latency;
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
