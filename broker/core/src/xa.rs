//! Branches of distributed transactions, as X/Open XA has them ("Distributed Transaction Processing:
//! The XA Specification", 1991): how they are named, how they end, and why nothing is done about one.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::UnixMillis;

/// The most bytes of either part of an [`Xid`], by the specification.
const MAX_PART: usize = 64;

/// The name of a branch, which its transaction manager gives. Written as `FORMAT:GLOBAL:BRANCH`, the
/// first in decimal and the others in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Xid {
    format: i32,
    global: Arc<[u8]>,
    branch: Arc<[u8]>,
}

/// Why something names no branch.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum XidError {
    /// It is not written as it has to be.
    #[error("`{0}` names no branch: FORMAT:GLOBAL:BRANCH is wanted, as `4660:6f72646572:01`")]
    Malformed(String),
    /// A part is longer than the specification allows.
    #[error("a part of a branch's name has {0} bytes; at most {MAX_PART} are allowed")]
    TooLong(usize),
}

impl Xid {
    /// The branch of this name: its format, the transaction, and the branch of that.
    ///
    /// # Errors
    /// If a part is too long.
    pub fn new(format: i32, global: &[u8], branch: &[u8]) -> Result<Self, XidError> {
        match global.len().max(branch.len()) {
            long if long > MAX_PART => Err(XidError::TooLong(long)),
            _ => Ok(Self { format, global: global.into(), branch: branch.into() }),
        }
    }

    /// Says how the two others are made.
    pub fn format(&self) -> i32 {
        self.format
    }

    /// Names the transaction.
    pub fn global(&self) -> &[u8] {
        &self.global
    }

    /// Names the branch of it.
    pub fn branch(&self) -> &[u8] {
        &self.branch
    }
}

impl fmt::Display for Xid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.format)?;
        for part in [&self.global, &self.branch] {
            write!(f, ":")?;
            part.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        Ok(())
    }
}

impl FromStr for Xid {
    type Err = XidError;

    fn from_str(text: &str) -> Result<Self, XidError> {
        let malformed = || XidError::Malformed(text.into());
        let mut parts = text.split(':');
        let mut next = || parts.next().ok_or_else(malformed);
        let format = next()?.parse().map_err(|_| malformed())?;
        let global = read_hex(next()?).ok_or_else(malformed)?;
        let branch = read_hex(next()?).ok_or_else(malformed)?;
        match parts.next() {
            None => Self::new(format, &global, &branch),
            Some(_) => Err(malformed()),
        }
    }
}

fn read_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let digits: Vec<u8> = text.as_bytes().iter().map(digit).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Who ends a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resolver {
    /// Its transaction manager, which knows what the other branches do.
    Manager,
    /// An operator, who guesses. That is remembered until the transaction manager has been told.
    Operator,
}

/// A branch that is prepared, or that an operator has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchInfo {
    /// Its name.
    pub xid: Xid,
    /// When it was prepared, by the clock of its home shard's leader.
    pub since: UnixMillis,
    /// The slots of the shards that have a part of it and may not have carried it out.
    pub participants: Vec<u32>,
    /// Whether an operator has committed it (or rolled it back).
    pub ended: Option<bool>,
}

/// Why nothing was done about a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum BranchRefused {
    /// There is none of that name: it was never prepared, or has ended.
    #[error("no prepared transaction has this name: it was never prepared, or has ended")]
    Unknown,
    /// One of that name is prepared already.
    #[error("a transaction of this name is prepared already, and not ended")]
    Exists,
    /// It took so long that a participant has given it up.
    #[error("the transaction took too long to prepare and was rolled back")]
    GivenUp,
    /// It has ended the other way.
    #[error("the transaction was {} {}", outcome(*.commit), in_words(*.by))]
    Ended {
        /// How.
        commit: bool,
        /// By whom.
        by: Resolver,
    },
    /// Nobody has ended it yet, so there is nothing to forget.
    #[error("the transaction is prepared; commit it or roll it back")]
    Undecided,
    /// As many branches are prepared as may be.
    #[error("{0} transactions are prepared in one slot, which is the most allowed; end some")]
    TooMany(usize),
    /// The parts of branches that are prepared take as many bytes as they may.
    #[error("what is prepared in one slot would take more than {0} bytes; end some transactions")]
    TooLarge(usize),
}

fn in_words(by: Resolver) -> &'static str {
    match by {
        Resolver::Manager => "before",
        Resolver::Operator => "by an operator",
    }
}

fn outcome(commit: bool) -> &'static str {
    if commit { "committed" } else { "rolled back" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_and_read() {
        for (format, global, branch) in
            [(4660, &b"order"[..], &b"\x01"[..]), (-1, b"", b"\xff\x00")]
        {
            let xid = Xid::new(format, global, branch).unwrap();
            assert_eq!(xid.to_string().parse(), Ok(xid.clone()));
            assert_eq!((xid.format(), xid.global(), xid.branch()), (format, global, branch));
        }
        let text = "4660:6f72646572:01";
        assert_eq!(text.parse::<Xid>().unwrap().to_string(), text);
        for wrong in ["", "1", "1:00", "1:0:00", "1:00:0g", "1:00:00:00", "a:00:00", "1:+1:00"] {
            assert_eq!(wrong.parse::<Xid>(), Err(XidError::Malformed(wrong.into())));
        }
        assert_eq!(Xid::new(1, &[0; 65], b""), Err(XidError::TooLong(65)));
        assert!(Xid::new(1, &[0; 64], &[0; 64]).is_ok());
    }
}
