//! What the sessions of clients are told.

use paceline_core::session::{
    OperationLimits, Origin, openwire::OpenWireConfig, stomp::StompConfig,
};
use paceline_wire::stomp::Limits;

use super::{Advertise, NodeConfig};

/// What an OpenWire frame may hold besides a body.
const OPENWIRE_HEAD_BYTES: usize = 64 * 1024;

impl NodeConfig {
    /// What a STOMP session is told.
    pub fn stomp_session(&self) -> StompConfig {
        let (stomp, limits) = (&self.stomp, &self.limits);
        let defaults = StompConfig::default();
        StompConfig {
            server: defaults.server,
            origin: self.origin(),
            frames: Limits {
                max_headers: limits.headers,
                max_line_bytes: bytes(limits.header_line),
                max_head_bytes: defaults.frames.max_head_bytes.max(bytes(limits.header_line)),
                max_body_bytes: bytes(limits.body),
            },
            operations: self.operation_limits(stomp.prefetch, stomp.max_prefetch),
            heart_beat_send: stomp.heart_beat_send,
            heart_beat_expect: stomp.heart_beat_expect,
            connect_timeout: stomp.connect_timeout,
            max_pending_output_bytes: defaults.max_pending_output_bytes,
        }
    }

    /// What an OpenWire session is told.
    pub fn openwire_session(&self) -> OpenWireConfig {
        let (openwire, limits) = (&self.openwire, &self.limits);
        let defaults = OpenWireConfig::default();
        OpenWireConfig {
            origin: self.origin(),
            frames: paceline_wire::openwire::Limits {
                max_frame_bytes: bytes(limits.body).saturating_add(OPENWIRE_HEAD_BYTES),
                ..defaults.frames
            },
            operations: self.operation_limits(openwire.max_prefetch, openwire.max_prefetch),
            max_inactivity: openwire.max_inactivity,
            connect_timeout: openwire.connect_timeout,
            max_pending_output_bytes: defaults.max_pending_output_bytes,
        }
    }

    /// What advisories say of the node.
    fn origin(&self) -> Origin {
        let at = match &self.openwire.advertise {
            Advertise::At(address) => Some(address.to_string()),
            Advertise::Automatic | Advertise::Nothing => {
                self.listen.openwire.as_ref().map(ToString::to_string)
            }
        };
        let url = at.map(|at| format!("tcp://{at}")).unwrap_or_default();
        Origin { broker: self.node.name.as_str().into(), url: url.into() }
    }

    /// What a client may cause that speaks a protocol with these prefetches.
    fn operation_limits(&self, prefetch: u32, max_prefetch: u32) -> OperationLimits {
        let limits = &self.limits;
        OperationLimits {
            answer_timeout: self.replication.operation_timeout,
            default_prefetch: prefetch.min(max_prefetch),
            max_prefetch,
            max_consumers: limits.subscriptions,
            max_transactions: limits.transactions,
            max_transaction_entries: limits.transaction_entries,
            max_transaction_bytes: bytes(limits.transaction_bytes),
            max_outstanding: limits.unanswered,
            max_outstanding_bytes: bytes(limits.unanswered_bytes),
        }
    }
}

/// A size of the configuration as one of memory.
fn bytes(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
