//! What a consumer's deliveries are told apart by.

use paceline_wire::openwire::ConsumerId;

/// See the module.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) id: ConsumerId,
    /// Whether it wants none of the messages of its own connection.
    pub(super) no_local: bool,
    /// Whether it asks for every message.
    pub(super) pulls: bool,
}
