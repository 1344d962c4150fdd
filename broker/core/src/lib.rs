//! The broker's pure state machines.
//!
//! Nothing here reads a clock, draws entropy, owns a thread or touches a socket or a file: input
//! arrives through `handle_*`, output leaves through `poll_*`, and time is an argument. That is
//! what lets every replica of a shard reach the same bytes, and every run of the simulator repeat.

pub mod bounds;
pub mod channel;
pub mod dispatch;
pub mod durable;
pub mod ingress;
pub mod message;
pub mod operation;
pub mod presence;
pub mod rules;
pub mod schedule;
pub mod selector;
pub mod serving;
pub mod session;
pub mod shard;
pub mod source;
pub mod xa;

#[cfg(test)]
mod testing;

pub use message::{Body, Message, UnixMillis, Value};
pub use paceline_destination::{self as destination, Destination, DestinationKind, slotting};
pub use source::Source;
