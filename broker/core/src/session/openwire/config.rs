//! What a node's configuration says about its OpenWire sessions.

use std::time::Duration;

use paceline_wire::openwire::Limits;

use crate::session::{OperationLimits, Origin};

/// Timings and bounds of an [`super::OpenWireSession`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenWireConfig {
    /// What the broker calls itself, and where clients reach it.
    pub origin: Origin,
    /// Bounds on what a frame may be.
    pub frames: Limits,
    /// Bounds on what a client may cause.
    pub operations: OperationLimits,
    /// A client from which nothing has come for so long is dead, and the other way round; zero for
    /// never. The smaller of both sides' counts.
    pub max_inactivity: Duration,
    /// How long a client may take until its ConnectionInfo has come.
    pub connect_timeout: Duration,
    /// Bytes of unsent answers at which the session stops taking input.
    pub max_pending_output_bytes: usize,
}

impl Default for OpenWireConfig {
    fn default() -> Self {
        Self {
            origin: Origin { broker: "paceline".into(), url: "".into() },
            frames: Limits::default(),
            operations: OperationLimits { max_prefetch: 32_767, ..OperationLimits::DEFAULT },
            max_inactivity: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(30),
            max_pending_output_bytes: 256 * 1024,
        }
    }
}
