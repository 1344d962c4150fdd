//! A node: its life from start to end, and what nodes ask of each other.

pub mod compare;
mod lifecycle;
pub mod protocol;
mod repair;
mod replicas;
mod service;
mod shards;
mod standing;
pub mod status;

pub use lifecycle::{NodeError, Ready, run, run_with};
pub use repair::Witness;
pub use replicas::Replicas;
pub use shards::Shards;
