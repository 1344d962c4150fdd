//! What a node's configuration says about its STOMP sessions.

use std::time::Duration;

use paceline_wire::stomp::Limits;

use crate::session::{OperationLimits, Origin};

/// Timings and bounds of a [`super::StompSession`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StompConfig {
    /// Name and version of the server, for the CONNECTED frame.
    pub server: String,
    /// The node, and where clients of OpenWire reach it.
    pub origin: Origin,
    /// Bounds on what a frame may be.
    pub frames: Limits,
    /// Bounds on what a client may cause.
    pub operations: OperationLimits,
    /// How often the server is ready to send heart-beats; zero for never.
    pub heart_beat_send: Duration,
    /// How often the server would like to hear from the client; zero for no matter.
    pub heart_beat_expect: Duration,
    /// How long a client may take until its CONNECT frame has come.
    pub connect_timeout: Duration,
    /// Bytes of unsent answers at which the session stops taking input.
    pub max_pending_output_bytes: usize,
}

impl Default for StompConfig {
    fn default() -> Self {
        Self {
            server: concat!("paceline/", env!("CARGO_PKG_VERSION")).into(),
            origin: Origin::default(),
            frames: Limits::default(),
            operations: OperationLimits::DEFAULT,
            heart_beat_send: Duration::from_secs(10),
            heart_beat_expect: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(30),
            max_pending_output_bytes: 256 * 1024,
        }
    }
}
