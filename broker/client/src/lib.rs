//! The client's side of each protocol that the broker speaks, on the seam: one speaker a protocol,
//! for the commands, the testbed and the tests.
//!
//! A speaker sends what it is given, in good order or not: it can say half a frame, and fall silent
//! without hanging up. What to say and what to make of the answers is its owner's affair.

pub mod openwire;
mod socket;
pub mod stomp;
#[cfg(test)]
mod testing;
mod writing;

pub use socket::{HeartBeat, Lost};
