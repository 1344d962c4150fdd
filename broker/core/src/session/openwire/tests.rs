//! A session without a broker: commands in, operations and commands out.

use std::collections::VecDeque;

use paceline_wire::{
    openwire::{
        ConnectionInfo, ConsumerInfo, Decoder, Destination as Wire, DestinationKind, Limits,
        MessageAck, MessageId, MessageKind, ObjectId, ProducerInfo, RemoveInfo, SessionId,
        SessionInfo, ShutdownInfo, TransactionInfo, WireFormatInfo, ack_type,
        primitives::{self, Primitive},
        transaction_type,
    },
    text::Text,
};

use super::*;
use crate::{
    UnixMillis,
    operation::{ConsumerId, DeliveryId, Parting, Settlement},
    testing,
};

mod announcing;
mod branches;
mod brokers;
mod durable;
mod pulls;
mod random;
mod selectors;
mod transactions;
mod wanted;

const CONNECTION: &str = "ID:host-1:1";

struct Client {
    session: OpenWireSession,
    now: Now,
    decoder: Decoder,
    received: VecDeque<Command>,
    sent: i32,
    delivered: u64,
}

impl Client {
    /// One that has not said anything.
    fn silent() -> Self {
        let mut decoder = Decoder::new(Limits::default());
        decoder.set_version(MAX_VERSION);
        Self {
            session: OpenWireSession::new(Arc::default(), "test".into()),
            now: Now::default(),
            decoder,
            received: VecDeque::new(),
            sent: 0,
            delivered: 0,
        }
    }

    /// One that has negotiated.
    fn negotiated() -> Self {
        let mut client = Self::silent();
        client.send(WireFormatInfo {
            version: 12,
            cache: true,
            tight_encoding: true,
            max_inactivity: Some(30_000),
            ..WireFormatInfo::default()
        });
        let names: Vec<_> = client.received().iter().map(Command::name).collect();
        assert_eq!(names, ["WireFormatInfo", "BrokerInfo"]);
        client
    }

    /// One that has opened its connection.
    fn connected() -> Self {
        let mut client = Self::negotiated();
        let connection_id = Some(ConnectionId { value: CONNECTION.into() });
        let command = client.ask(|command_id| ConnectionInfo {
            command_id,
            response_required: true,
            connection_id,
            ..ConnectionInfo::default()
        });
        client.expect_response(command);
        client
    }

    fn send(&mut self, command: impl Into<Command>) {
        command.into().encode(MAX_VERSION, self.session.input());
        self.session.handle_input(self.now);
    }

    /// Sends a command with the next number, and says which that is.
    fn ask<C: Into<Command>>(&mut self, command: impl FnOnce(i32) -> C) -> i32 {
        self.sent += 1;
        self.send(command(self.sent));
        self.sent
    }

    fn received(&mut self) -> Vec<Command> {
        let mut out = BytesMut::new();
        while self.session.poll_transmit(self.now, &mut out) {}
        while let Some(command) = self.decoder.decode(&mut out).unwrap() {
            self.received.push_back(command);
        }
        self.received.drain(..).collect()
    }

    fn expect_response(&mut self, to: i32) {
        match &self.received()[..] {
            [Command::Response(response)] => assert_eq!(response.correlation_id, to),
            other => panic!("a response to {to} is wanted: {other:?}"),
        }
    }

    /// What the exception is of, and what it says.
    fn expect_exception(&mut self) -> (String, String) {
        let received = self.received();
        let exception = match &received[..] {
            [Command::ExceptionResponse(response)] => &response.exception,
            [Command::ConnectionError(error)] => &error.exception,
            other => panic!("an exception is wanted: {other:?}"),
        };
        let exception = exception.as_ref().unwrap();
        (exception.class.as_str().into(), exception.message.as_ref().unwrap().as_str().into())
    }

    fn operation(&mut self) -> Operation {
        self.session.poll_operation().expect("there is an operation")
    }

    fn done(&mut self, operation: &Operation) {
        self.session.handle_outcome(self.now, operation.tag(), Ok(()));
    }

    fn pass(&mut self, millis: u64) {
        self.now.elapsed += Duration::from_millis(millis);
        if self.session.poll_timeout().is_some_and(|at| at <= self.now.elapsed) {
            self.session.handle_timeout(self.now);
        }
    }

    fn consumer(&mut self, prefetch: i32, more: impl FnOnce(&mut ConsumerInfo)) -> i32 {
        self.ask(|command_id| {
            let mut info = ConsumerInfo {
                command_id,
                response_required: true,
                consumer_id: Some(consumer_id()),
                destination: Some(queue("a")),
                prefetch_size: prefetch,
                ..ConsumerInfo::default()
            };
            more(&mut info);
            info
        })
    }

    /// A consumer that was delivered so many messages.
    fn consuming(&mut self, prefetch: i32, messages: u64) -> ConsumerId {
        self.consumer(prefetch, |_| {});
        let operation = self.operation();
        let Operation::Subscribe { consumer, .. } = operation else { panic!("{operation:?}") };
        self.done(&operation);
        self.deliver(consumer, messages);
        self.received();
        consumer
    }

    fn deliver(&mut self, consumer: ConsumerId, messages: u64) {
        for _ in 0..messages {
            self.session.handle_delivery(testing::delivery(consumer, self.delivered));
            self.delivered += 1;
        }
    }

    fn acknowledge(&mut self, ack_type: i8, places: (i64, i64), transaction: Option<i64>) {
        let id = |place| Some(MessageId { broker_sequence: place, ..MessageId::default() });
        self.send(MessageAck {
            consumer_id: Some(consumer_id()),
            ack_type,
            first_message_id: id(places.0),
            last_message_id: id(places.1),
            message_count: (places.1 - places.0 + 1) as i32,
            transaction_id: transaction.map(local),
            ..MessageAck::default()
        });
    }

    fn transaction(&mut self, transaction_type: i8) -> i32 {
        self.ask(|command_id| TransactionInfo {
            command_id,
            response_required: true,
            transaction_id: Some(local(7)),
            transaction_type,
            ..TransactionInfo::default()
        })
    }

    fn message(&mut self, more: impl FnOnce(&mut paceline_wire::openwire::Message)) -> i32 {
        self.ask(|command_id| {
            let mut message = paceline_wire::openwire::Message {
                command_id,
                response_required: true,
                kind: MessageKind::Bytes,
                destination: Some(queue("a")),
                producer_id: Some(producer_id()),
                message_id: Some(MessageId {
                    producer: Some(producer_id()),
                    producer_sequence: 9,
                    ..MessageId::default()
                }),
                content: Some("body".into()),
                persistent: true,
                priority: 4,
                ..Default::default()
            };
            more(&mut message);
            message
        })
    }
}

fn queue(name: &str) -> Wire {
    Wire { kind: DestinationKind::Queue, name: name.into() }
}

fn consumer_id() -> WireConsumer {
    WireConsumer { connection: CONNECTION.into(), session: 1, value: 1 }
}

fn producer_id() -> ProducerId {
    ProducerId { connection: CONNECTION.into(), session: 1, value: 2 }
}

fn local(value: i64) -> TransactionId {
    TransactionId::Local { value, connection: ConnectionId { value: CONNECTION.into() } }
}

fn settled(operation: &Operation) -> (Vec<u64>, Settlement) {
    let Operation::Settle { deliveries, how, .. } = operation else { panic!("{operation:?}") };
    (deliveries.iter().map(|id| id.0).collect(), *how)
}

#[test]
fn what_nobody_fetches_from_a_temporary_queue_expires() {
    let mut client = Client::connected();
    let temporary = Wire { kind: DestinationKind::TempQueue, name: "ID:host-1:1:1".into() };
    client.message(|message| message.destination = Some(temporary));
    let Operation::Publish { message, .. } = client.operation() else { panic!("it is one") };
    assert!(!message.persistent);
    assert_eq!(message.expires, Some(UnixMillis(3_600_000)));
}

#[test]
fn nothing_is_taken_before_its_time() {
    let mut client = Client::negotiated();
    client.ask(|command_id| SessionInfo { command_id, ..SessionInfo::default() });
    let (class, why) = client.expect_exception();
    assert_eq!(class, "java.io.IOException");
    assert_eq!(why, "SessionInfo before ConnectionInfo");
    assert!(client.session.is_closed());

    let mut client = Client::silent();
    client.session.input().extend_from_slice(b"CONNECT\naccept-version:1.2\n\n\0");
    client.session.handle_input(client.now);
    assert!(client.session.is_closed());

    let mut client = Client::silent();
    client.send(WireFormatInfo { version: 8, ..WireFormatInfo::default() });
    assert!(client.session.is_closed());
    let last = client.received().pop();
    let Some(Command::ConnectionError(error)) = last else { panic!("{last:?}") };
    let why = error.exception.unwrap().message.unwrap();
    assert!(why.contains("OpenWire 8 is too old"), "{why}");

    let mut client = Client::negotiated();
    client.pass(29_999);
    assert!(!client.session.is_closed());
    client.pass(1);
    assert!(client.session.is_closed());
}

#[test]
fn a_message_is_answered_when_it_is_stored_and_keeps_its_id() {
    let mut client = Client::connected();
    let command = client.message(|_| {});
    let operation = client.operation();
    let Operation::Publish { message, .. } = &operation else { panic!("{operation:?}") };
    assert_eq!(&*message.id, "ID:host-1:1:1:2:9");
    assert_eq!(message.body.bytes(), "body");
    assert!(message.persistent);
    assert_eq!(client.received(), []);
    client.done(&operation);
    client.expect_response(command);

    let command = client.message(|_| {});
    let tag = client.operation().tag();
    let refusal = Refusal::Rejected("the queue is full".into());
    client.session.handle_outcome(client.now, tag, Err(refusal));
    let why = client.expect_exception();
    assert_eq!(why, ("javax.jms.JMSException".into(), "the queue is full".into()), "{command}");
    assert!(!client.session.is_closed());

    client.message(|_| {});
    let tag = client.operation().tag();
    client.session.handle_outcome(client.now, tag, Err(Refusal::Unknown("who knows".into())));
    assert!(client.session.is_closed(), "a client is to try again elsewhere");
    assert_eq!(client.received(), []);
}

#[test]
fn a_message_to_many_is_sent_to_all_or_none() {
    let mut client = Client::connected();
    client.message(|message| message.destination = Some(queue("a,topic://b")));
    let operation = client.operation();
    let Operation::Commit { publishes, settles, .. } = &operation else { panic!("{operation:?}") };
    let to: Vec<_> = publishes.iter().map(|it| it.destination.to_string()).collect();
    assert_eq!((to, settles.len()), (vec!["/queue/a".into(), "/topic/b".into()], 0));
}

#[test]
fn a_producer_with_a_window_hears_of_each_message() {
    let mut client = Client::connected();
    client.ask(|command_id| ProducerInfo {
        command_id,
        producer_id: Some(producer_id()),
        window_size: 5_000,
        ..ProducerInfo::default()
    });
    client.message(|message| message.response_required = false);
    let operation = client.operation();
    client.done(&operation);
    let received = client.received();
    let [Command::ProducerAck(ack)] = &received[..] else { panic!("{received:?}") };
    assert_eq!((ack.producer_id.as_ref(), ack.size), (Some(&producer_id()), 1024 + 4));
}

#[test]
fn what_is_wrong_with_a_message_is_its_answer_and_no_more() {
    for (wrong, class) in [
        (None, "javax.jms.InvalidDestinationException"),
        (Some(queue("a.*")), "javax.jms.InvalidDestinationException"),
        (Some(queue("")), "javax.jms.InvalidDestinationException"),
    ] {
        let mut client = Client::connected();
        client.message(|message| message.destination = wrong);
        assert_eq!(client.expect_exception().0, class);
        assert!(client.session.poll_operation().is_none());
        assert!(!client.session.is_closed());
    }
    let mut client = Client::connected();
    client.message(|message| message.marshalled_properties = Some("rubbish".into()));
    assert!(client.expect_exception().1.contains("a property"));
    client.message(|message| (message.compressed, message.kind) = (true, MessageKind::Text));
    assert!(client.expect_exception().1.contains("compressed"));
}

#[test]
fn an_acknowledgement_covers_a_range_or_one_or_poison() {
    let mut client = Client::connected();
    client.consuming(100, 9);
    for (ack_type, places, covered, how) in [
        (ack_type::STANDARD, (1, 3), vec![0, 1, 2], Settlement::Accept),
        (ack_type::INDIVIDUAL, (1, 6), vec![5], Settlement::Accept),
        (ack_type::POISON, (4, 5), vec![3, 4], Settlement::DeadLetter),
        (ack_type::EXPIRED, (7, 7), vec![6], Settlement::Accept),
        (ack_type::STANDARD, (1, 9), vec![7, 8], Settlement::Accept),
    ] {
        client.acknowledge(ack_type, places, None);
        let operation = client.operation();
        assert_eq!(settled(&operation), (covered, how), "{ack_type}");
        client.done(&operation);
    }
    client.acknowledge(ack_type::REDELIVERED, (1, 1), None);
    assert!(client.session.poll_operation().is_none());
    client.acknowledge(ack_type::STANDARD, (9, 9), None);
    assert!(client.expect_exception().1.contains("acknowledged before"));
    client.acknowledge(99, (9, 9), None);
    assert!(client.expect_exception().1.contains("of type 99"));
}

#[test]
fn a_message_is_found_by_its_id_where_its_place_is_not_told() {
    let mut client = Client::connected();
    client.consuming(100, 3);
    client.send(MessageAck {
        consumer_id: Some(consumer_id()),
        ack_type: ack_type::INDIVIDUAL,
        last_message_id: Some(MessageId { text_view: Some("m1".into()), ..MessageId::default() }),
        ..MessageAck::default()
    });
    assert_eq!(settled(&client.operation()).0, [1]);
}

#[test]
fn what_a_client_has_but_not_acknowledged_makes_room_for_more() {
    let mut client = Client::connected();
    client.consuming(4, 4);
    client.acknowledge(ack_type::DELIVERED, (1, 3), None);
    let operation = client.operation();
    let Operation::SetPrefetch { prefetch, .. } = operation else { panic!("{operation:?}") };
    assert_eq!(prefetch, 7);
    client.acknowledge(ack_type::STANDARD, (1, 4), None);
    assert_eq!(settled(&client.operation()).0, [0, 1, 2, 3]);
    let operation = client.operation();
    let Operation::SetPrefetch { prefetch, .. } = operation else { panic!("{operation:?}") };
    assert_eq!(prefetch, 4);
}

#[test]
fn a_transaction_is_one_operation_and_a_rollback_none() {
    let mut client = Client::connected();
    client.consuming(100, 2);
    let begin = client.transaction(transaction_type::BEGIN);
    client.expect_response(begin);
    client.acknowledge(ack_type::STANDARD, (1, 1), Some(7));
    client.message(|message| {
        message.transaction_id = Some(local(7));
        message.response_required = false;
    });
    assert!(client.session.poll_operation().is_none());
    let commit = client.transaction(transaction_type::COMMIT_ONE_PHASE);
    let operation = client.operation();
    let Operation::Commit { publishes, settles, .. } = &operation else { panic!("{operation:?}") };
    assert_eq!((publishes.len(), &settles[..]), (1, &[(DeliveryId(0), Settlement::Accept)][..]));
    client.done(&operation);
    client.expect_response(commit);

    client.transaction(transaction_type::COMMIT_ONE_PHASE);
    assert_eq!(client.expect_exception().0, "javax.jms.IllegalStateException");

    client.transaction(transaction_type::BEGIN);
    client.acknowledge(ack_type::STANDARD, (1, 2), Some(7));
    let rollback = client.transaction(transaction_type::ROLLBACK);
    client.received();
    assert!(client.session.poll_operation().is_none(), "{rollback}");
    client.acknowledge(ack_type::STANDARD, (2, 2), None);
    assert_eq!(settled(&client.operation()).0, [1], "it is the client's to acknowledge again");

    client.message(|message| message.transaction_id = Some(local(8)));
    assert_eq!(client.expect_exception().0, "javax.jms.IllegalStateException");
    let branch = "x".into();
    client.message(|message| {
        message.transaction_id = Some(TransactionId::Xa { format: 1, global: "g".into(), branch });
    });
    client.expect_exception();
}

#[test]
fn a_consumer_that_closes_says_what_it_has_seen() {
    for (last, parting) in [
        (-2, Parting::Released),
        (-1, Parting::Saw(vec![])),
        (0, Parting::Saw(vec![])),
        (2, Parting::Saw(vec![DeliveryId(0), DeliveryId(1)])),
    ] {
        let mut client = Client::connected();
        client.consuming(100, 3);
        let removed = client.ask(|command_id| RemoveInfo {
            command_id,
            response_required: true,
            object_id: Some(ObjectId::Consumer(consumer_id())),
            last_delivered_sequence_id: last,
        });
        let operation = client.operation();
        let Operation::Unsubscribe { parting: found, .. } = &operation else {
            panic!("{operation:?}")
        };
        assert_eq!(*found, parting, "{last}");
        assert_eq!(client.received(), []);
        client.done(&operation);
        client.expect_response(removed);
        client.acknowledge(ack_type::STANDARD, (1, 3), None);
        assert!(client.session.poll_operation().is_none(), "it has given them back");
    }
}

#[test]
fn a_session_takes_its_consumers_with_it() {
    let mut client = Client::connected();
    client.consuming(100, 1);
    for (value, ends) in [(2, false), (1, true)] {
        let removed = client.ask(|command_id| RemoveInfo {
            command_id,
            response_required: true,
            object_id: Some(ObjectId::Session(SessionId { connection: CONNECTION.into(), value })),
            last_delivered_sequence_id: 1,
        });
        client.expect_response(removed);
        let ended = matches!(client.session.poll_operation(), Some(Operation::Unsubscribe { .. }));
        assert_eq!(ended, ends);
    }
}

#[test]
fn a_connection_ends_when_all_is_answered() {
    let mut client = Client::connected();
    client.message(|message| message.response_required = false);
    let publish = client.operation();
    let removed = client.ask(|command_id| RemoveInfo {
        command_id,
        response_required: true,
        object_id: Some(ObjectId::Connection(ConnectionId { value: CONNECTION.into() })),
        last_delivered_sequence_id: 0,
    });
    assert_eq!(client.received(), []);
    client.done(&publish);
    client.expect_response(removed);
    assert!(!client.session.is_closed(), "the client has a last word");
    client.send(ShutdownInfo::default());
    assert!(client.session.is_closed());
}

#[test]
fn what_is_not_supported_is_said() {
    let unsupported: [fn(&mut ConsumerInfo); 2] =
        [|info| info.retroactive = true, |info| info.network_subscription = true];
    for more in unsupported {
        let mut client = Client::connected();
        client.consumer(1, more);
        let (class, why) = client.expect_exception();
        assert_eq!(class, "javax.jms.JMSException");
        assert!(why.starts_with("this broker does not support"), "{why}");
        assert!(!client.session.is_closed());
    }
}

#[test]
fn what_a_message_asks_for_in_vain_is_said() {
    let mut client = Client::connected();
    assert!(client.session.poll_operation().is_none());
}

#[test]
fn a_schedule_is_kept_with_the_message_and_what_is_none_is_refused() {
    let mut client = Client::connected();
    let mut send = |delay| {
        let mut properties = BytesMut::new();
        let delay = ("AMQ_SCHEDULED_DELAY".into(), Primitive::Long(delay));
        primitives::write_map(&[delay], &mut properties);
        let properties = properties.freeze();
        client.message(|message| message.marshalled_properties = Some(properties));
        client.session.poll_operation()
    };
    let Some(Operation::Publish { message, .. }) = send(1_000) else { panic!("it is not sent") };
    assert!(crate::schedule::Schedule::is_put_off(&message));
    assert_eq!(send(-1), None);
    let (class, why) = client.expect_exception();
    assert_eq!(class, "javax.jms.MessageFormatException");
    assert!(why.contains("AMQ_SCHEDULED_DELAY"), "{why}");
}

#[test]
fn what_a_client_listens_to_for_itself_is_no_consumer_of_the_cluster() {
    let mut client = Client::connected();
    let command = client.consumer(1000, |info| {
        info.consumer_id = Some(WireConsumer { session: -1, ..consumer_id() });
        let name = Text::from("ActiveMQ.Advisory.TempQueue,ActiveMQ.Advisory.TempTopic");
        info.destination = Some(Wire { kind: DestinationKind::Topic, name });
    });
    client.expect_response(command);
    assert!(client.session.poll_operation().is_none());
}

#[test]
fn who_is_silent_is_dead_and_who_hears_nothing_is_told_of_life() {
    let mut client = Client::connected();
    client.pass(10_000);
    let received = client.received();
    assert!(matches!(&received[..], [Command::KeepAliveInfo(_)]), "{received:?}");
    client.pass(19_999);
    assert!(!client.session.is_closed());
    client.pass(1);
    assert!(client.session.is_closed());
}
