//! The commands that `Vectors.java` builds and prints.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use paceline_wire::{
    openwire::{
        content,
        primitives::{Primitive, write_map},
        *,
    },
    text::Text,
};

use crate::TEXT;

pub fn text(text: &str) -> Option<Text> {
    Some(text.into())
}

fn connection() -> ConnectionId {
    ConnectionId { value: "ID:host-1-2-3:1".into() }
}

fn session() -> SessionId {
    SessionId { connection: connection().value, value: 4 }
}

fn consumer() -> ConsumerId {
    ConsumerId { connection: connection().value, session: 4, value: 5 }
}

fn producer() -> ProducerId {
    ProducerId { connection: connection().value, value: 6, session: 4 }
}

fn broker() -> BrokerId {
    BrokerId { value: "ID:broker".into() }
}

fn queue() -> Destination {
    Destination { kind: DestinationKind::Queue, name: format!("q.{TEXT}").into() }
}

fn topic() -> Destination {
    Destination { kind: DestinationKind::Topic, name: "t".into() }
}

fn temp_queue() -> Destination {
    Destination { kind: DestinationKind::TempQueue, name: "ID:tq".into() }
}

fn temp_topic() -> Destination {
    Destination { kind: DestinationKind::TempTopic, name: "ID:tt".into() }
}

fn local() -> TransactionId {
    TransactionId::Local { value: 7, connection: connection() }
}

fn xa() -> TransactionId {
    TransactionId::Xa {
        format: 8,
        global: Bytes::from_static(&[1, 2, 3]),
        branch: Bytes::from_static(&[4]),
    }
}

fn message_id(sequence: i64) -> MessageId {
    MessageId {
        text_view: None,
        producer: Some(producer()),
        producer_sequence: sequence,
        broker_sequence: sequence + 100,
    }
}

fn text_id() -> MessageId {
    MessageId {
        text_view: text(&format!("foreign:{TEXT}")),
        producer: Some(ProducerId::default()),
        ..MessageId::default()
    }
}

fn throwable(class: &str, message: &str) -> Option<Throwable> {
    Some(Throwable { class: class.into(), message: text(message) })
}

fn broker_info() -> BrokerInfo {
    BrokerInfo {
        broker_id: Some(broker()),
        broker_url: text("tcp://a:61616"),
        broker_name: text("a"),
        slave_broker: true,
        fault_tolerant_configuration: true,
        network_connection: true,
        connection_id: 9,
        broker_upload_url: text("http://a"),
        network_properties: text("x=y"),
        ..BrokerInfo::default()
    }
}

/// As the version at hand reads it where it stands within another structure.
fn consumer_info(version: i32) -> ConsumerInfo {
    ConsumerInfo {
        consumer_id: Some(consumer()),
        browser: true,
        destination: Some(topic()),
        prefetch_size: 1000,
        maximum_pending_message_limit: 11,
        dispatch_async: true,
        selector: text("a > 1"),
        client_id: text("client").filter(|_| version >= 10),
        subscription_name: text("subscription"),
        no_local: true,
        retroactive: true,
        priority: -3,
        broker_path: vec![broker()],
        additional_predicate: Some(AnyStructure::NetworkBridgeFilter(match version {
            ..10 => NetworkBridgeFilter {
                network_ttl: 12,
                network_broker_id: Some(broker()),
                ..NetworkBridgeFilter::default()
            },
            _ => NetworkBridgeFilter {
                network_ttl: 0,
                network_broker_id: Some(broker()),
                message_ttl: 12,
                consumer_ttl: 13,
            },
        })),
        network_subscription: true,
        no_range_acks: true,
        network_consumer_path: vec![consumer()],
        ..ConsumerInfo::default()
    }
}

fn full_message(kind: MessageKind, version: i32) -> Message {
    Message {
        kind,
        command_id: 0x0a0b_0c0d,
        response_required: true,
        producer_id: Some(producer()),
        destination: Some(queue()),
        transaction_id: Some(local()),
        original_destination: Some(temp_topic()),
        message_id: Some(message_id(14)),
        original_transaction_id: Some(xa()),
        group_id: text("group"),
        group_sequence: 15,
        correlation_id: text("correlation"),
        persistent: true,
        expiration: 0x0102_0304_0506_0708,
        priority: 9,
        reply_to: Some(temp_queue()),
        timestamp: 16,
        jms_type: text("type"),
        content: Some(Bytes::from_static(&[0, 0, 0, 1, b'x'])),
        marshalled_properties: Some(Bytes::from_static(&[0; 4])),
        data_structure: Some(AnyStructure::Command(Box::new(consumer_info(version).into()))),
        target_consumer_id: Some(consumer()),
        compressed: true,
        redelivery_counter: 17,
        broker_path: vec![broker(), broker()],
        arrival: 18,
        user_id: text("user"),
        received_by_df_bridge: true,
        droppable: false,
        cluster: vec![broker()],
        broker_in_time: 19,
        broker_out_time: 20,
        jmsx_group_first_for_consumer: version >= 10,
        blob: match kind {
            MessageKind::Blob => BlobReference {
                remote_blob_url: text("http://blob"),
                mime_type: text("text/plain"),
                deleted_by_broker: true,
            },
            _ => BlobReference::default(),
        },
    }
}

/// What `Vectors.java` prints, as `version` reads it.
pub fn commands(version: i32) -> BTreeMap<&'static str, Command> {
    let mut commands = BTreeMap::new();
    let mut number = 0x0102_0300;
    macro_rules! add {
        ($name:literal, $Type:ident { $($field:ident: $value:expr),* $(,)? }) => {
            #[allow(clippy::needless_update, reason = "not all have other fields")]
            let command = $Type {
                command_id: number,
                response_required: number % 2 == 1,
                $($field: $value,)*
                ..$Type::default()
            };
            commands.insert($name, Command::from(command));
            number += 1;
        };
    }
    let text_id =
        || MessageId { text_view: text_id().text_view.filter(|_| version >= 10), ..text_id() };

    add!("BrokerInfo", BrokerInfo {});
    let peers = vec![broker_info(), BrokerInfo::default()];
    let BrokerInfo { broker_id, broker_url, broker_name, .. } = broker_info();
    add!(
        "BrokerInfo.full",
        BrokerInfo {
            broker_id: broker_id,
            broker_url: broker_url,
            peer_broker_infos: peers,
            broker_name: broker_name,
            slave_broker: true,
            fault_tolerant_configuration: true,
            network_connection: true,
            connection_id: 9,
            broker_upload_url: text("http://a"),
            network_properties: text("x=y"),
        }
    );
    add!("ConnectionInfo", ConnectionInfo { client_master: true });
    add!(
        "ConnectionInfo.full",
        ConnectionInfo {
            connection_id: Some(connection()),
            client_id: text("client"),
            password: text("secret"),
            user_name: text("user"),
            broker_path: vec![broker()],
            manageable: true,
            fault_tolerant: true,
            failover_reconnect: true,
            client_ip: text("127.0.0.1"),
        }
    );
    add!("SessionInfo", SessionInfo { session_id: Some(session()) });
    add!("ConsumerInfo", ConsumerInfo {});
    let consumer_info = ConsumerInfo {
        command_id: number,
        response_required: number % 2 == 1,
        ..consumer_info(version)
    };
    number += 1;
    commands.insert("ConsumerInfo.full", consumer_info.into());
    add!(
        "ProducerInfo",
        ProducerInfo {
            producer_id: Some(producer()),
            destination: Some(queue()),
            broker_path: vec![broker()],
            dispatch_async: true,
            window_size: 23,
        }
    );
    add!(
        "TransactionInfo.local",
        TransactionInfo {
            connection_id: Some(connection()),
            transaction_id: Some(local()),
            transaction_type: transaction_type::COMMIT_ONE_PHASE,
        }
    );
    add!(
        "TransactionInfo.xa",
        TransactionInfo {
            connection_id: Some(connection()),
            transaction_id: Some(xa()),
            transaction_type: transaction_type::END,
        }
    );
    add!(
        "DestinationInfo",
        DestinationInfo {
            connection_id: Some(connection()),
            destination: Some(temp_queue()),
            operation_type: 1,
            timeout: 24,
        }
    );
    add!(
        "RemoveSubscriptionInfo",
        RemoveSubscriptionInfo {
            connection_id: Some(connection()),
            subscription_name: text("subscription"),
            client_id: text("client"),
        }
    );
    add!("KeepAliveInfo", KeepAliveInfo {});
    add!("ShutdownInfo", ShutdownInfo {});
    macro_rules! remove {
        ($name:literal, $id:expr) => {
            add!($name, RemoveInfo { object_id: Some($id), last_delivered_sequence_id: -2 });
        };
    }
    remove!("RemoveInfo.120", ObjectId::Connection(connection()));
    remove!("RemoveInfo.121", ObjectId::Session(session()));
    remove!("RemoveInfo.122", ObjectId::Consumer(consumer()));
    remove!("RemoveInfo.123", ObjectId::Producer(producer()));
    add!("ControlCommand", ControlCommand { command: text("shutdown") });
    add!("FlushCommand", FlushCommand {});
    add!(
        "ConnectionError",
        ConnectionError {
            exception: throwable("javax.jms.JMSException", TEXT),
            connection_id: Some(connection()),
        }
    );
    add!(
        "ConsumerControl",
        ConsumerControl {
            destination: Some(queue()),
            close: true,
            consumer_id: Some(consumer()),
            prefetch: 25,
            start: true,
        }
    );
    add!(
        "ConnectionControl",
        ConnectionControl {
            exit: true,
            resume: true,
            connected_brokers: text("tcp://a,tcp://b"),
            reconnect_to: text("tcp://c"),
            rebalance_connection: true,
            token: Some(Bytes::from_static(&[26])),
        }
    );
    add!("ProducerAck", ProducerAck { producer_id: Some(producer()), size: 27 });
    add!(
        "MessagePull",
        MessagePull {
            consumer_id: Some(consumer()),
            destination: Some(queue()),
            timeout: -1,
            correlation_id: text("correlation"),
            message_id: Some(text_id()),
        }
    );
    add!(
        "MessageDispatch.nothing",
        MessageDispatch { consumer_id: Some(consumer()), destination: Some(queue()) }
    );
    let (mut body, mut properties) = (BytesMut::new(), BytesMut::new());
    content::write_text(TEXT, &mut body);
    write_map(&[("name".into(), Primitive::Text(TEXT.into()))], &mut properties);
    let message = Message {
        kind: MessageKind::Text,
        message_id: Some(message_id(21)),
        group_sequence: 22,
        content: Some(body.freeze()),
        marshalled_properties: Some(properties.freeze()),
        ..Message::default()
    };
    add!(
        "MessageDispatch",
        MessageDispatch {
            consumer_id: Some(consumer()),
            destination: Some(queue()),
            message: Some(Box::new(message)),
            redelivery_counter: 28,
        }
    );
    add!("MessageAck", MessageAck {});
    add!(
        "MessageAck.full",
        MessageAck {
            destination: Some(queue()),
            transaction_id: Some(local()),
            consumer_id: Some(consumer()),
            ack_type: ack_type::POISON,
            first_message_id: Some(message_id(29)),
            last_message_id: Some(text_id()),
            message_count: 30,
            poison_cause: throwable("java.lang.IllegalStateException", "poison"),
        }
    );
    add!("Message", Message {});
    let kinds = [
        ("Message.full.23", MessageKind::Plain),
        ("Message.full.24", MessageKind::Bytes),
        ("Message.full.25", MessageKind::Map),
        ("Message.full.26", MessageKind::Object),
        ("Message.full.27", MessageKind::Stream),
        ("Message.full.28", MessageKind::Text),
        ("Message.full.29", MessageKind::Blob),
    ];
    for (name, kind) in kinds {
        commands.insert(name, full_message(kind, version).into());
    }
    add!("Response", Response { correlation_id: 31 });
    add!(
        "ExceptionResponse",
        ExceptionResponse {
            correlation_id: 32,
            exception: throwable("java.lang.SecurityException", "no"),
        }
    );
    let subscription = SubscriptionInfo {
        client_id: text("client"),
        destination: Some(topic()),
        selector: text("a = 1"),
        subscription_name: text("subscription"),
        subscribed_destination: Some(queue()),
        no_local: version >= 11,
    };
    add!(
        "DataResponse",
        DataResponse {
            correlation_id: 33,
            data: Some(AnyStructure::SubscriptionInfo(Box::new(subscription))),
        }
    );
    add!("DataArrayResponse.none", DataArrayResponse { correlation_id: 34 });
    add!(
        "DataArrayResponse",
        DataArrayResponse {
            correlation_id: 35,
            data: vec![
                AnyStructure::TransactionId(xa()),
                AnyStructure::TransactionId(local()),
                AnyStructure::ConnectionId(connection()),
                AnyStructure::SessionId(session()),
                AnyStructure::ConsumerId(consumer()),
                AnyStructure::ProducerId(producer()),
                AnyStructure::BrokerId(broker()),
                AnyStructure::MessageId(message_id(36)),
                AnyStructure::Destination(queue()),
                AnyStructure::Destination(topic()),
                AnyStructure::Destination(temp_queue()),
                AnyStructure::Destination(temp_topic()),
                AnyStructure::Command(Box::new(KeepAliveInfo::default().into())),
            ],
        }
    );
    add!("IntegerResponse", IntegerResponse { correlation_id: 37, result: 3 });
    add!(
        "MessageDispatchNotification",
        MessageDispatchNotification {
            consumer_id: Some(consumer()),
            destination: Some(queue()),
            delivery_sequence_id: 38,
            message_id: Some(message_id(39)),
        }
    );
    add!(
        "BrokerSubscriptionInfo",
        BrokerSubscriptionInfo {
            broker_id: Some(broker()),
            broker_name: text("a"),
            subscription_infos: vec![self::consumer_info(version)],
        }
    );
    assert_eq!(number, 0x0102_0326, "as many as were printed there");
    commands.insert("WireFormatInfo", wire_format_info().into());
    commands.insert("WireFormatInfo.bare", WireFormatInfo::default().into());
    commands
}

fn wire_format_info() -> WireFormatInfo {
    WireFormatInfo {
        version: 12,
        tight_encoding: true,
        cache: true,
        stack_trace: true,
        size_prefix_disabled: false,
        tcp_no_delay: true,
        max_frame_size_enabled: true,
        max_frame_size: Some(104_857_600),
        cache_size: Some(1024),
        max_inactivity: Some(30_000),
        max_inactivity_initial_delay: Some(10_000),
        host: text("localhost"),
        provider_name: text("ActiveMQ"),
        provider_version: text("5.17.2"),
        platform_details: text("Java"),
    }
}
