//! The journal: one append-only, checksummed, group-committed log per node for all its shards.
//!
//! A node holds hundreds of Raft groups, and a disk has one head's worth of syncs to give. So all
//! groups write into one sequence of segment files, and one sync makes everything that waits
//! durable. A Raft log entry *is* the stored message: it is written once, and stays where it is
//! until nothing live is in it.
//!
//! The format and the rules of recovery are drawn in `docs/journal-format.md`.

mod compaction;
mod error;
pub mod format;
mod group;
mod identity;
mod index;
mod journal;
mod recovery;
mod scan;
mod shared;
mod writer;
mod writing;

pub use error::{Damage, JournalError};
pub use format::GroupId;
pub use group::{Entry, Group};
pub use identity::Identity;
pub use journal::{Journal, Usage};
pub use recovery::{Cut, Recovered};
pub use shared::{Durable, Options};
pub use writing::Writing;
