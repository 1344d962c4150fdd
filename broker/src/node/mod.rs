//! A node: its life from start to end, and what it answers to the others.

pub mod compare;
mod context;
mod error;
mod forgetting;
mod lifecycle;
mod repair;
mod replicas;
mod service;
pub mod status;

pub use error::NodeError;
pub use lifecycle::{Ready, run, run_with};
pub use repair::Witness;
pub use replicas::Replicas;
