//! The seam between Paceline and the world it runs in.
//!
//! Everything a broker asks of its surroundings goes through this crate: sockets, files, clocks,
//! tasks, random numbers, cpu time, the wish to stop, and the events it reports. The same names
//! exist twice. Built normally they are tokio and the operating system, re-exported at no cost
//! (`native`). Built with `--cfg madsim` they are a simulated world in one thread, in which one seed
//! reproduces a whole cluster to the byte (`simulated`, driven through `world`).
//!
//! Outside this crate nobody names tokio's or std's network, files, clocks, threads or processes,
//! and nobody writes `cfg(madsim)`; the workspace's `clippy.toml` says so.
//!
//! | module | natively | simulated |
//! |---|---|---|
//! | [`net`] | tokio TCP | event-driven TCP with latency, bandwidth, loss, partitions |
//! | [`disk`] | positional I/O on the blocking pool | a disk that loses unsynced bytes on a power cut |
//! | [`alarm`] | a timer of `time` whose deadline moves | the same |
//! | [`time`] | tokio timers | one virtual clock, a wall clock per node |
//! | [`task`] | tokio tasks | tasks in one thread, scheduled by the seed |
//! | [`random`] | ChaCha8 seeded by the system | ChaCha8 derived from seed, node, incarnation and label |
//! | [`cpu`] | nothing | a queue in front of the node's cores |
//! | [`latency`] | how long links take, drawn | the same |
//! | [`memory`] | freed memory goes back to the system | nothing |
//! | [`shutdown`] | SIGTERM and SIGINT | told by the world |
//! | [`output`] | standard output | the same |
//! | [`trace`] | one atomic load when nobody listens | the run's event log and fingerprint |

pub mod alarm;
mod clock;
mod entry;
mod events;
pub mod latency;
mod open_options;
pub mod output;
pub mod trace;

#[cfg(not(madsim))]
mod native;
#[cfg(not(madsim))]
pub use native::{cpu, disk, memory, net, random, shutdown, task, time};

#[cfg(madsim)]
mod simulated;
#[cfg(madsim)]
pub use simulated::{cpu, disk, memory, net, random, shutdown, task, time, world};

pub use entry::block_on;
