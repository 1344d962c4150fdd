//! A node: its life from start to end, and what it answers to the others.

mod branches;
mod brokers;
mod changing;
pub mod compare;
mod context;
mod error;
mod forgetting;
mod founding;
mod joining;
mod keeper;
mod lifecycle;
pub mod operator;
mod repair;
mod replicas;
mod service;
pub mod status;

pub use error::NodeError;
pub use lifecycle::{Ready, run, run_with};
pub use repair::Witness;
pub use replicas::Replicas;
