//! What replicas say to one another.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::{Entry, EntryId, Index, Membership, NodeId, Term};

/// A word from one replica of a group to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The sender's term. Of [`Word::PreVote`] and of the answer that grants it, the term that the
    /// election would be for.
    pub term: Term,
    /// What is said.
    pub word: Word,
}

/// See [`Message`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// "Would you vote for me?" Nobody's term changes.
    PreVote {
        /// The last entry of the sender's log.
        last: EntryId,
    },
    /// The answer.
    PreVoteAnswer {
        /// Whether it would.
        granted: bool,
    },
    /// "Vote for me."
    Vote {
        /// The last entry of the sender's log.
        last: EntryId,
        /// The term whose leader has asked the sender to take over, and leads no more: what was
        /// promised to that leader is void.
        released: Option<Term>,
    },
    /// The answer.
    VoteAnswer {
        /// Whether it did.
        granted: bool,
    },
    /// Entries, or none: then it says that the leader is there.
    Append {
        /// The entry before them.
        prev: EntryId,
        /// What follows it.
        entries: Vec<Entry>,
        /// How far the log is committed.
        commit: Index,
        /// When it was sent, by the sender's clock. The answer repeats it.
        stamp: Duration,
    },
    /// The answer.
    AppendAnswer {
        /// See [`Word::Append`].
        stamp: Duration,
        /// What became of it.
        outcome: Appended,
        /// For so long after it has heard this the answerer votes for nobody else.
        promise: Duration,
    },
    /// A snapshot, whose contents have gone another way and are here.
    Snapshot {
        /// The last entry it stands for.
        last: EntryId,
        /// Who took part then.
        membership: Membership,
        /// As for [`Word::Append`].
        stamp: Duration,
    },
    /// "Stand for election now; I lead no more."
    TakeOver,
}

/// What became of entries that were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Appended {
    /// The logs agree up to here, and this much is on the answerer's disk.
    Stored {
        /// See above.
        upto: Index,
        /// The last entry of the answerer's log, stored or not.
        last: EntryId,
        /// How far that log is on the answerer's disk.
        stable: Index,
    },
    /// The entry before them is not in the answerer's log. The logs may agree up to here.
    Conflict {
        /// The entry that was not there.
        prev: Index,
        /// Where to try next.
        hint: EntryId,
    },
    /// The answerer takes nothing of this leader; its own term says why.
    Refused,
}

/// Something to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// As it is.
    Message {
        /// To whom.
        to: NodeId,
        /// What.
        message: Message,
    },
    /// Entries of the log, which the owner of the log puts into a [`Word::Append`].
    Entries {
        /// To whom.
        to: NodeId,
        /// The leader's term.
        term: Term,
        /// The entry before them.
        prev: EntryId,
        /// The last of them.
        upto: Index,
        /// How far the log is committed.
        commit: Index,
        /// When it is sent.
        stamp: Duration,
    },
    /// The latest snapshot, as the log does not reach back to what the other lacks. When its
    /// contents are there, a [`Word::Snapshot`] follows. See [`crate::Replica::snapshot_ended`].
    Snapshot {
        /// To whom.
        to: NodeId,
        /// The leader's term.
        term: Term,
    },
}
