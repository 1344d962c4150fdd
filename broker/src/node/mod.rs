//! A node: its life from start to end, and what nodes ask of each other.

mod lifecycle;
pub mod protocol;
mod replicas;
mod service;
pub mod status;

pub use lifecycle::{NodeError, Ready, run, run_with};
pub use replicas::Replicas;
