//! What clients do, one file per operation. How it is sent and how its reply is read is the affair of
//! what they speak.

mod body;
mod closing;
mod delivery;
mod keeping;
pub mod publish;
mod settle;
mod transaction;

use std::{fmt, str::FromStr};

pub use body::{body, check_body};
pub use closing::Closing;
pub use delivery::Delivery;
pub use keeping::{Keeping, Wanted};
pub use publish::{Delay, Publish};
pub use settle::{How, Settle};
pub use transaction::{Transaction, TransactionId};

/// A message of the run: its producer, and how many that one had sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// An index over the producers of all workloads.
    pub producer: u32,
    /// From 0, without gaps.
    pub sequence: u32,
}

/// What a client knows of the fate of something it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The broker said that it is done.
    Ok,
    /// It is certain that nothing was done and nothing will be.
    Failed,
    /// No answer, or one that leaves it open. It may have been done, or may yet be.
    Unknown,
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}-{}", self.producer, self.sequence)
    }
}

impl FromStr for MessageId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (producer, sequence) = text.strip_prefix('p').ok_or(())?.split_once('-').ok_or(())?;
        Ok(Self {
            producer: producer.parse().map_err(|_| ())?,
            sequence: sequence.parse().map_err(|_| ())?,
        })
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reply::Ok => "ok",
            Reply::Failed => "failed",
            Reply::Unknown => "unknown",
        })
    }
}
