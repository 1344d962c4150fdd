//! The seam's native side: tokio and the operating system under the seam's names.

pub mod cpu;
pub mod disk;
pub mod memory;
pub mod net;
pub mod random;
pub mod shutdown;
pub mod task;
pub mod time;
pub(crate) mod trace;
