//! The broker's pure state machines.
//!
//! Nothing here reads a clock, draws entropy, owns a thread or touches a socket or a file: input
//! arrives through `handle_*`, output leaves through `poll_*`, and time is an argument. That is
//! what lets every replica of a shard reach the same bytes, and every run of the simulator repeat.

pub mod bounds;
pub mod channel;
pub mod destination;
pub mod dispatch;
pub mod durable;
pub mod ingress;
pub mod message;
pub mod operation;
pub mod presence;
pub mod schedule;
pub mod selector;
pub mod serving;
pub mod session;
pub mod shard;
pub mod slotting;
pub mod source;

#[cfg(test)]
mod testing;

pub use destination::{Destination, DestinationKind};
pub use message::{Body, Message, UnixMillis, Value};
pub use source::Source;
