//! Structures that are no commands, and a field that any structure may stand in.

use bytes::BytesMut;

use super::{
    BrokerId, Command, ConnectionId, ConsumerId, Destination, Fault, MessageId, ProducerId,
    SessionId, TransactionId, error::Located, field::Structure, macros::structures, reader::Reader,
};
use crate::text::Text;

structures! {
    /// A durable subscription.
    55 SubscriptionInfo {
        client_id: Option<Text>,
        destination: Option<Destination>,
        selector: Option<Text>,
        subscription_name: Option<Text>,
        subscribed_destination: Option<Destination>,
        no_local: bool [11..],
    }

    /// What a network of brokers adds to the selector of a consumer.
    91 NetworkBridgeFilter {
        /// How many brokers a message may pass, before messages and consumers had a number each.
        network_ttl: i32 [..10],
        network_broker_id: Option<BrokerId>,
        message_ttl: i32 [10..],
        consumer_ttl: i32 [10..],
    }
}

macro_rules! any_structure {
    ($($(#[$meta:meta])* $Variant:ident($Held:ty) = $codes:pat,)*) => {
        /// What stands in a field of any structure.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum AnyStructure {
            /// A command.
            Command(Box<Command>),
            $($(#[$meta])* $Variant($Held),)*
        }

        impl Structure for AnyStructure {
            const EXPECTED: &'static str = "a structure";
            const EMPTY_IS_NULL: bool = false;

            fn code(&self) -> u8 {
                match self {
                    Self::Command(command) => command.code(),
                    $(Self::$Variant(structure) => structure.code(),)*
                }
            }

            fn read_as(code: u8, reader: &mut Reader) -> Result<Self, Located> {
                match code {
                    $($codes => Structure::read_as(code, reader).map(Self::$Variant),)*
                    _ => match Command::read(code, reader) {
                        Some(command) => Ok(Self::Command(Box::new(command?))),
                        None => Err(Fault::WrongType {
                            expected: Self::EXPECTED,
                            found: code,
                        }.into()),
                    },
                }
            }

            fn write(&self, version: i32, out: &mut BytesMut) {
                match self {
                    Self::Command(command) => command.write_fields(version, out),
                    $(Self::$Variant(structure) => Structure::write(structure, version, out),)*
                }
            }
        }
    };
}

any_structure! {
    /// A durable subscription.
    SubscriptionInfo(Box<SubscriptionInfo>) = SubscriptionInfo::CODE,
    /// A filter of a network of brokers.
    NetworkBridgeFilter(NetworkBridgeFilter) = NetworkBridgeFilter::CODE,
    /// A destination.
    Destination(Destination) = 100..=103,
    /// The id of a message.
    MessageId(MessageId) = MessageId::CODE,
    /// The id of a transaction.
    TransactionId(TransactionId) = 111 | 112,
    /// The id of a connection.
    ConnectionId(ConnectionId) = ConnectionId::CODE,
    /// The id of a session.
    SessionId(SessionId) = SessionId::CODE,
    /// The id of a consumer.
    ConsumerId(ConsumerId) = ConsumerId::CODE,
    /// The id of a producer.
    ProducerId(ProducerId) = ProducerId::CODE,
    /// The id of a broker.
    BrokerId(BrokerId) = BrokerId::CODE,
}
