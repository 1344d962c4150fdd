//! Transactions: BEGIN, some SENDs, then COMMIT with a receipt, or ABORT.

use paceline_wire::stomp::{Command, Frame, header};

use super::MessageId;

/// A transaction of the run, an index into the history's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub u32);

/// Messages that are stored together or not at all. Its fate is that of its messages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transaction {
    /// What was sent in it, in order.
    pub messages: Vec<MessageId>,
}

/// What the frames call it.
pub fn name(id: TransactionId) -> String {
    format!("t{}", id.0)
}

/// The receipt that decides it.
pub fn receipt(id: TransactionId) -> String {
    format!("commit-{}", id.0)
}

/// BEGIN.
pub fn begin(id: TransactionId) -> Frame {
    Frame::new(Command::Begin).with(header::TRANSACTION, name(id))
}

/// COMMIT, which asks for [`receipt`].
pub fn commit(id: TransactionId) -> Frame {
    Frame::new(Command::Commit)
        .with(header::TRANSACTION, name(id))
        .with(header::RECEIPT, receipt(id))
}

/// ABORT.
pub fn abort(id: TransactionId) -> Frame {
    Frame::new(Command::Abort).with(header::TRANSACTION, name(id))
}
