//! Transactions: some messages sent together, or none of them where it is aborted.

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
