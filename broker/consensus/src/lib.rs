//! Raft as a value.
//!
//! A [`Replica`] is one node's part in one group. It does nothing by itself: messages, the time, and
//! word of finished writes go in; what to write, what to send at once and what to send when it is
//! written come out as one [`Ready`]. It holds no entries, only the shape of the log ([`Log`]), so
//! that the owner of the log sends them from where they are.
//!
//! The protocol is that of Ongaro's dissertation ("Consensus: Bridging Theory and Practice", 2014):
//! pre-vote (9.6), leaders that step down without a majority and voters that keep to their leader
//! (6.2, 4.2.3), leases (6.4.1), transfer (3.10), learners (4.2.1) and joint consensus (4.3). A
//! leader sends entries while its own disk syncs them (10.2.1), and counts its own copy only then.

mod log;
mod message;
mod progress;
mod ready;
mod replica;
mod types;

pub use log::Log;
pub use message::{Appended, Message, Outgoing, Word};
pub use ready::Ready;
pub use replica::{Busy, Config, Quiet, Recovered, Replica, Role};
pub use types::{Entry, EntryId, Index, Membership, NodeId, Payload, Term, Vote};

#[cfg(test)]
mod harness;
#[cfg(test)]
mod tests;
