//! Tasks: tokio's.

pub use tokio::task::{AbortHandle, JoinError, JoinHandle, JoinSet, spawn, yield_now};
