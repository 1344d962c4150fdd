//! How what is prepared ends.

use super::command::TransactionId;

/// A decision that a participant may not have carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The transaction.
    pub transaction: TransactionId,
    /// The slot of the participant.
    pub participant: u32,
    /// Whether it commits.
    pub commit: bool,
    /// Whether it is a branch of a distributed transaction.
    pub is_branch: bool,
}

/// What becomes of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Commit,
    /// Whoever held what it would have settled holds that again.
    Abort,
    /// What it would have settled is delivered again.
    GivenBack,
}
