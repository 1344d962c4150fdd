//! The commands, one table. The fields are those of ActiveMQ's `command` package, in the order in
//! which its marshallers of versions 9 to 12 write them; types and names are those of its
//! `@openwire` annotations, with the spelling mended.

use bytes::Bytes;

use super::{
    AnyStructure, BrokerId, ConnectionId, ConsumerId, Destination, Message, MessageId, MessageKind,
    ObjectId, ProducerId, SessionId, Throwable, TransactionId, WireFormatInfo, macros::commands,
};
use crate::text::Text;

commands! {
    /// A broker says who it is.
    2 BrokerInfo(Box<BrokerInfo>) {
        broker_id: Option<BrokerId>,
        broker_url: Option<Text>,
        peer_broker_infos: Vec<BrokerInfo>,
        broker_name: Option<Text>,
        slave_broker: bool,
        master_broker: bool,
        fault_tolerant_configuration: bool,
        duplex_connection: bool,
        network_connection: bool,
        connection_id: i64,
        broker_upload_url: Option<Text>,
        network_properties: Option<Text>,
    }

    /// A client opens its connection.
    3 ConnectionInfo(Box<ConnectionInfo>) {
        connection_id: Option<ConnectionId>,
        client_id: Option<Text>,
        password: Option<Text>,
        user_name: Option<Text>,
        broker_path: Vec<BrokerId>,
        broker_master_connector: bool,
        /// Whether the client follows [`ConnectionControl`].
        manageable: bool,
        client_master: bool,
        fault_tolerant: bool,
        /// Whether the client was connected before and replays its state.
        failover_reconnect: bool,
        client_ip: Option<Text>,
    }

    /// A client opens a session.
    4 SessionInfo(SessionInfo) {
        session_id: Option<SessionId>,
    }

    /// A client begins to consume.
    5 ConsumerInfo(Box<ConsumerInfo>) {
        consumer_id: Option<ConsumerId>,
        browser: bool,
        destination: Option<Destination>,
        /// How many messages may be underway to the client; 0 where it asks with [`MessagePull`].
        prefetch_size: i32,
        maximum_pending_message_limit: i32,
        dispatch_async: bool,
        selector: Option<Text>,
        client_id: Option<Text> [10..],
        /// The name of a durable subscription.
        subscription_name: Option<Text>,
        no_local: bool,
        exclusive: bool,
        retroactive: bool,
        priority: i8,
        broker_path: Vec<BrokerId>,
        additional_predicate: Option<AnyStructure>,
        network_subscription: bool,
        optimized_acknowledge: bool,
        no_range_acks: bool,
        network_consumer_path: Vec<ConsumerId>,
    }

    /// A client opens a producer.
    6 ProducerInfo(ProducerInfo) {
        producer_id: Option<ProducerId>,
        destination: Option<Destination>,
        broker_path: Vec<BrokerId>,
        dispatch_async: bool,
        /// How many bytes may be without a [`ProducerAck`]; 0 where none are wanted.
        window_size: i32,
    }

    /// A client begins or ends a transaction.
    7 TransactionInfo(Box<TransactionInfo>) {
        connection_id: Option<ConnectionId>,
        transaction_id: Option<TransactionId>,
        /// What to do with it: see [`transaction_type`].
        transaction_type: i8,
    }

    /// A client creates or removes a destination.
    8 DestinationInfo(DestinationInfo) {
        connection_id: Option<ConnectionId>,
        destination: Option<Destination>,
        /// 0 to create, 1 to remove.
        operation_type: i8,
        timeout: i64,
        broker_path: Vec<BrokerId>,
    }

    /// A client ends a durable subscription.
    9 RemoveSubscriptionInfo(RemoveSubscriptionInfo) {
        connection_id: Option<ConnectionId>,
        subscription_name: Option<Text>,
        client_id: Option<Text>,
    }

    /// The sender lives.
    10 KeepAliveInfo(KeepAliveInfo) {}

    /// The sender closes the connection.
    11 ShutdownInfo(ShutdownInfo) {}

    /// A client closes a connection, session, consumer or producer.
    12 RemoveInfo(RemoveInfo) {
        object_id: Option<ObjectId>,
        /// The [`MessageId::broker_sequence`] of the last message that the application saw; -1 if
        /// none, -2 if unknown.
        last_delivered_sequence_id: i64,
    }

    /// An order to a broker, such as `shutdown`.
    14 ControlCommand(ControlCommand) {
        command: Option<Text>,
    }

    /// Asks for the answers to all that came before.
    15 FlushCommand(FlushCommand) {}

    /// A broker is about to close the connection, and says why.
    16 ConnectionError(ConnectionError) {
        exception: Option<Throwable>,
        connection_id: Option<ConnectionId>,
    }

    /// A broker, or a client that reconnected, changes a consumer.
    17 ConsumerControl(ConsumerControl) {
        destination: Option<Destination>,
        close: bool,
        consumer_id: Option<ConsumerId>,
        prefetch: i32,
        flush: bool,
        start: bool,
        stop: bool,
    }

    /// A broker tells a client of the brokers there are.
    18 ConnectionControl(Box<ConnectionControl>) {
        close: bool,
        exit: bool,
        fault_tolerant: bool,
        resume: bool,
        suspend: bool,
        /// URLs, with commas between them.
        connected_brokers: Option<Text>,
        /// The URL of the broker that the client is to go to.
        reconnect_to: Option<Text>,
        rebalance_connection: bool,
        token: Option<Bytes>,
    }

    /// A broker has taken in what a producer sent.
    19 ProducerAck(ProducerAck) {
        producer_id: Option<ProducerId>,
        /// How many bytes.
        size: i32,
    }

    /// A client asks for one message.
    20 MessagePull(Box<MessagePull>) {
        consumer_id: Option<ConsumerId>,
        destination: Option<Destination>,
        /// How long the broker may wait for one, in milliseconds: 0 for ever, -1 not at all.
        timeout: i64,
        correlation_id: Option<Text>,
        message_id: Option<MessageId>,
    }

    /// A message for a consumer. See [`DispatchParts`](super::DispatchParts) for the fast way to
    /// write one.
    21 MessageDispatch(MessageDispatch) {
        consumer_id: Option<ConsumerId>,
        destination: Option<Destination>,
        /// Nothing: a pull timed out, or a browser has seen all.
        message: Option<Box<Message>>,
        redelivery_counter: i32,
    }

    /// A client acknowledges messages.
    22 MessageAck(Box<MessageAck>) {
        destination: Option<Destination>,
        transaction_id: Option<TransactionId>,
        consumer_id: Option<ConsumerId>,
        /// In which sense: see [`ack_type`].
        ack_type: i8,
        first_message_id: Option<MessageId>,
        last_message_id: Option<MessageId>,
        message_count: i32,
        poison_cause: Option<Throwable>,
    }

    /// A command was carried out.
    30 Response(Response) {
        /// The command's number.
        correlation_id: i32,
    }

    /// A command was refused, or failed.
    31 ExceptionResponse(ExceptionResponse) {
        /// The command's number.
        correlation_id: i32,
        exception: Option<Throwable>,
    }

    /// The answer to a command that asks for a structure.
    32 DataResponse(DataResponse) {
        /// The command's number.
        correlation_id: i32,
        data: Option<AnyStructure>,
    }

    /// The answer to a command that asks for structures.
    33 DataArrayResponse(DataArrayResponse) {
        /// The command's number.
        correlation_id: i32,
        data: Vec<AnyStructure>,
    }

    /// The answer to a command that asks for a number.
    34 IntegerResponse(IntegerResponse) {
        /// The command's number.
        correlation_id: i32,
        result: i32,
    }

    /// Between brokers: a message was sent to a consumer.
    90 MessageDispatchNotification(Box<MessageDispatchNotification>) {
        consumer_id: Option<ConsumerId>,
        destination: Option<Destination>,
        delivery_sequence_id: i64,
        message_id: Option<MessageId>,
    }

    /// Between brokers, in version 12: the durable subscriptions that there are.
    92 BrokerSubscriptionInfo(BrokerSubscriptionInfo) {
        broker_id: Option<BrokerId>,
        broker_name: Option<Text>,
        subscription_infos: Vec<ConsumerInfo>,
    }
}

/// Values of [`TransactionInfo::transaction_type`].
pub mod transaction_type {
    #![allow(missing_docs, reason = "each constant is what X/Open XA calls by that name")]
    pub const BEGIN: i8 = 0;
    pub const PREPARE: i8 = 1;
    pub const COMMIT_ONE_PHASE: i8 = 2;
    pub const COMMIT_TWO_PHASE: i8 = 3;
    pub const ROLLBACK: i8 = 4;
    pub const RECOVER: i8 = 5;
    pub const FORGET: i8 = 6;
    pub const END: i8 = 7;
}

/// Values of [`MessageAck::ack_type`].
pub mod ack_type {
    /// Messages arrived at the client; the broker may send more.
    pub const DELIVERED: i8 = 0;
    /// A message failed too often.
    pub const POISON: i8 = 1;
    /// Messages from the first to the last one were consumed.
    pub const STANDARD: i8 = 2;
    /// A message is delivered to the application again.
    pub const REDELIVERED: i8 = 3;
    /// One message was consumed.
    pub const INDIVIDUAL: i8 = 4;
    /// A durable subscriber's selector does not match a message.
    pub const UNMATCHED: i8 = 5;
    /// A message expired at the client.
    pub const EXPIRED: i8 = 6;
}
