//! What a node's configuration says about its STOMP sessions.

use std::time::Duration;

use paceline_wire::stomp::Limits;

/// Timings and bounds of a [`super::StompSession`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StompConfig {
    /// Name and version of the server, for the CONNECTED frame.
    pub server: String,
    /// Bounds on what a frame may be.
    pub limits: Limits,
    /// How often the server is ready to send heart-beats; zero for never.
    pub heart_beat_send: Duration,
    /// How often the server would like to hear from the client; zero for no matter.
    pub heart_beat_expect: Duration,
    /// How long a client may take until its CONNECT frame has come.
    pub connect_timeout: Duration,
    /// How long the cluster may take to answer an operation before the client is told that its
    /// outcome is unknown.
    pub answer_timeout: Duration,
    /// Unsettled deliveries of a subscription that asks for no other number.
    pub default_prefetch: u32,
    /// The most a subscription may ask for; a larger number is cut down to it.
    pub max_prefetch: u32,
    /// Subscriptions of one session.
    pub max_subscriptions: usize,
    /// Open transactions of one session.
    pub max_transactions: usize,
    /// Messages and acknowledgements of one transaction.
    pub max_transaction_entries: usize,
    /// Bytes of the messages of one transaction.
    pub max_transaction_bytes: usize,
    /// Operations without an outcome at which the session stops taking input.
    pub max_outstanding_operations: usize,
    /// Bytes of unanswered messages at which the session stops taking input.
    pub max_outstanding_bytes: usize,
    /// Bytes of unsent answers at which the session stops taking input.
    pub max_pending_output_bytes: usize,
}

impl Default for StompConfig {
    fn default() -> Self {
        Self {
            server: concat!("paceline/", env!("CARGO_PKG_VERSION")).into(),
            limits: Limits::default(),
            heart_beat_send: Duration::from_secs(10),
            heart_beat_expect: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(30),
            default_prefetch: 100,
            max_prefetch: 10_000,
            max_subscriptions: 10_000,
            max_transactions: 100,
            max_transaction_entries: 10_000,
            max_transaction_bytes: 16 * 1024 * 1024,
            max_outstanding_operations: 1_024,
            max_outstanding_bytes: 4 * 1024 * 1024,
            max_pending_output_bytes: 256 * 1024,
        }
    }
}
