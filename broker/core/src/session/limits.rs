//! How much a client may cause at a time, whatever it speaks.

use std::time::Duration;

/// Bounds of what a session has outstanding, unsettled and open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationLimits {
    /// How long the cluster may take to answer an operation before the client is told that its
    /// outcome is unknown.
    pub answer_timeout: Duration,
    /// Unsettled deliveries of a consumer that asks for no other number.
    pub default_prefetch: u32,
    /// The most a consumer may ask for; a larger number is cut down to it.
    pub max_prefetch: u32,
    /// Consumers of one session.
    pub max_consumers: usize,
    /// Open transactions of one session.
    pub max_transactions: usize,
    /// Messages and settlements of one transaction.
    pub max_transaction_entries: usize,
    /// Bytes of the messages of one transaction.
    pub max_transaction_bytes: usize,
    /// Operations without an outcome at which the session stops taking input.
    pub max_outstanding: usize,
    /// Bytes of unanswered messages at which the session stops taking input.
    pub max_outstanding_bytes: usize,
}

impl OperationLimits {
    /// What holds unless the node's configuration says otherwise.
    pub const DEFAULT: Self = Self {
        answer_timeout: Duration::from_secs(30),
        default_prefetch: 100,
        max_prefetch: 10_000,
        max_consumers: 10_000,
        max_transactions: 100,
        max_transaction_entries: 10_000,
        max_transaction_bytes: 16 * 1024 * 1024,
        max_outstanding: 1_024,
        max_outstanding_bytes: 4 * 1024 * 1024,
    };
}

impl Default for OperationLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
