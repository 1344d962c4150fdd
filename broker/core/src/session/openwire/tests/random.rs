//! Commands in any order, of a client that has lost its way: the session answers, closes, or both.

use paceline_wire::openwire::{
    ConsumerControl, ControlCommand, DestinationInfo, FlushCommand, KeepAliveInfo, MessagePull,
    RemoveSubscriptionInfo, Response,
};
use proptest::prelude::*;

use super::{
    branches::{branch, listed},
    *,
};
use crate::xa::BranchRefused;

#[derive(Clone, Debug)]
enum Step {
    Command(Box<Command>),
    Outcome { nth: usize, how: u8 },
    Deliver { nth: usize },
    Transmit,
    Pass(u64),
    ShutDown,
}

fn consumer() -> impl Strategy<Value = Option<WireConsumer>> {
    prop_oneof![
        1 => Just(None),
        9 => (1i64..3).prop_map(|value| Some(WireConsumer { value, ..consumer_id() })),
    ]
}

fn transaction() -> impl Strategy<Value = Option<TransactionId>> {
    prop_oneof![
        2 => Just(None),
        3 => (1i64..3).prop_map(|value| Some(local(value))),
        3 => (1u8..3).prop_map(|value| Some(branch(value))),
    ]
}

fn destination() -> impl Strategy<Value = Option<Wire>> {
    let kinds = [
        DestinationKind::Queue,
        DestinationKind::Topic,
        DestinationKind::TempQueue,
        DestinationKind::TempTopic,
    ];
    let names = ["a", "b,topic://c", "a.*", "", "ID:host-1:1:1", "ActiveMQ.Advisory.TempQueue"];
    let kind = proptest::sample::select(kinds.to_vec());
    let name = proptest::sample::select(names.to_vec());
    proptest::option::weighted(0.9, (kind, name))
        .prop_map(|destination| destination.map(|(kind, name)| Wire { kind, name: name.into() }))
}

fn message_id() -> impl Strategy<Value = Option<MessageId>> {
    let places = -3i64..12;
    proptest::option::weighted(0.9, (places, any::<bool>())).prop_map(|id| {
        id.map(|(broker_sequence, has_producer)| MessageId {
            broker_sequence,
            producer: has_producer.then(producer_id),
            ..MessageId::default()
        })
    })
}

/// Numbers and whether a response is wanted are put in later.
fn command() -> impl Strategy<Value = Command> {
    let count = prop_oneof![9 => -2i32..9, 1 => Just(i32::MAX)];
    let acks = (consumer(), -1i8..8, message_id(), message_id(), count, transaction());
    let consumers = (consumer(), destination(), -1i32..4, 0u8..12);
    let messages = (destination(), message_id(), transaction(), 0usize..7, any::<bool>());
    let object = prop_oneof![
        3 => consumer().prop_map(|id| id.map(ObjectId::Consumer)),
        1 => Just(Some(ObjectId::Producer(producer_id()))),
        1 => (1i64..3).prop_map(|value| {
            Some(ObjectId::Session(SessionId { connection: CONNECTION.into(), value }))
        }),
    ];
    prop_oneof![
        12 => acks.prop_map(|(consumer_id, ack_type, first, last, message_count, transaction_id)| {
            let (first_message_id, last_message_id) = (first, last);
            MessageAck {
                consumer_id,
                ack_type,
                first_message_id,
                last_message_id,
                message_count,
                transaction_id,
                ..MessageAck::default()
            }
            .into()
        }),
        6 => consumers.prop_map(|(consumer_id, destination, prefetch_size, odd)| {
            ConsumerInfo {
                consumer_id,
                destination,
                prefetch_size,
                no_local: odd == 1,
                browser: odd == 2,
                selector: (odd == 3).then(|| "a = 1".into()),
                ..ConsumerInfo::default()
            }
            .into()
        }),
        8 => messages.prop_map(|(destination, message_id, transaction_id, kind, compressed)| {
            paceline_wire::openwire::Message {
                destination,
                message_id,
                transaction_id,
                kind: MessageKind::ALL[kind],
                compressed,
                content: Some("\0\0\0\x02ab".into()),
                ..Default::default()
            }
            .into()
        }),
        4 => (transaction(), -1i8..9).prop_map(|(transaction_id, transaction_type)| {
            TransactionInfo { transaction_id, transaction_type, ..TransactionInfo::default() }.into()
        }),
        4 => (object, -3i64..9).prop_map(|(object_id, last_delivered_sequence_id)| {
            RemoveInfo { object_id, last_delivered_sequence_id, ..RemoveInfo::default() }.into()
        }),
        4 => (consumer(), -2i64..300).prop_map(|(consumer_id, timeout)| {
            MessagePull { consumer_id, timeout, ..MessagePull::default() }.into()
        }),
        2 => (consumer(), -1i32..4, any::<bool>()).prop_map(|(consumer_id, prefetch, close)| {
            ConsumerControl { consumer_id, prefetch, close, ..ConsumerControl::default() }.into()
        }),
        1 => any::<bool>().prop_map(|has_window| {
            let (producer_id, window_size) = (Some(producer_id()), if has_window { 9 } else { 0 });
            ProducerInfo { producer_id, window_size, ..ProducerInfo::default() }.into()
        }),
        1 => (destination(), 0i8..2).prop_map(|(destination, operation_type)| {
            DestinationInfo { destination, operation_type, ..DestinationInfo::default() }.into()
        }),
        1 => proptest::sample::select(vec![
            KeepAliveInfo::default().into(),
            FlushCommand::default().into(),
            ControlCommand::default().into(),
            RemoveSubscriptionInfo::default().into(),
            Response::default().into(),
        ]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => command().prop_map(|command| Step::Command(Box::new(command))),
        10 => (0usize..4, 0u8..12).prop_map(|(nth, how)| Step::Outcome { nth, how }),
        12 => (0usize..3).prop_map(|nth| Step::Deliver { nth }),
        6 => Just(Step::Transmit),
        3 => (0u64..400).prop_map(Step::Pass),
        1 => Just(Step::ShutDown),
    ]
}

/// What the cluster knows of the session.
#[derive(Default)]
struct Cluster {
    open: Vec<Operation>,
    consumers: Vec<ConsumerId>,
    /// Handed to the session and not settled.
    held: BTreeSet<DeliveryId>,
    next: u64,
}

impl Cluster {
    /// Takes in what the session asks for, which must make sense.
    fn take(&mut self, session: &mut OpenWireSession) {
        while let Some(operation) = session.poll_operation() {
            match &operation {
                Operation::Subscribe { consumer, .. } => {
                    assert!(!self.consumers.contains(consumer), "{consumer:?} is there already");
                    self.consumers.push(*consumer);
                }
                Operation::Unsubscribe { consumer, .. } => {
                    let at = self.consumers.iter().position(|it| it == consumer);
                    self.consumers.remove(at.expect("it was subscribed"));
                }
                Operation::SetPrefetch { consumer, prefetch, .. } => {
                    assert!(*prefetch < 1_000, "{prefetch} for {} deliveries", self.next);
                    assert!(self.consumers.contains(consumer), "{consumer:?} is not there");
                }
                Operation::Settle { deliveries, .. } => {
                    assert!(!deliveries.is_empty());
                    for delivery in deliveries {
                        assert!(self.held.remove(delivery), "{delivery:?} is settled twice");
                    }
                }
                Operation::Commit { settles, .. } | Operation::Prepare { settles, .. } => {
                    for (delivery, _) in settles {
                        assert!(self.held.remove(delivery), "{delivery:?} is settled twice");
                    }
                }
                Operation::Publish { .. }
                | Operation::Hurry { .. }
                | Operation::Identify { .. }
                | Operation::Forget { .. }
                | Operation::Resolve { .. }
                | Operation::Recover { .. }
                | Operation::ForgetBranch { .. } => {}
            }
            self.open.push(operation);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_client_that_has_lost_its_way_gets_answers_and_harms_nobody(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut client = Client::connected();
        let mut cluster = Cluster::default();
        let mut wanted = BTreeSet::new();
        for step in steps {
            match step {
                Step::Command(command) => {
                    if !client.session.wants_input() {
                        continue;
                    }
                    client.sent += 1;
                    // The table of commands begins each with its number and whether a response is
                    // wanted, behind the frame's size and type.
                    let mut frame = BytesMut::new();
                    command.encode(MAX_VERSION, &mut frame);
                    frame[5..9].copy_from_slice(&client.sent.to_be_bytes());
                    frame[9] = u8::from(client.sent % 2 == 0);
                    if client.sent % 2 == 0 && !matches!(*command, Command::KeepAliveInfo(_)) {
                        wanted.insert(client.sent);
                    }
                    client.session.input().extend_from_slice(&frame);
                    client.session.handle_input(client.now);
                }
                Step::Outcome { nth, how } if !cluster.open.is_empty() => {
                    let at = nth % cluster.open.len();
                    if let Operation::Recover { .. } = &cluster.open[at] {
                        client.session.handle_branches(vec![listed(1)]);
                    }
                    let outcome = match how {
                        2 => Err(Refusal::Branch(BranchRefused::Unknown)),
                        0 => Err(Refusal::Rejected("no".into())),
                        1 => Err(Refusal::Unknown("who knows".into())),
                        _ => Ok(()),
                    };
                    let tag = cluster.open.remove(at).tag();
                    client.session.handle_outcome(client.now, tag, outcome);
                }
                Step::Deliver { nth } if !cluster.consumers.is_empty() => {
                    let consumer = cluster.consumers[nth % cluster.consumers.len()];
                    cluster.held.insert(DeliveryId(cluster.next));
                    client.session.handle_delivery(testing::delivery(consumer, cluster.next));
                    cluster.next += 1;
                }
                Step::Transmit => {
                    for command in client.received() {
                        let answered = match command {
                            Command::Response(it) => it.correlation_id,
                            Command::ExceptionResponse(it) => it.correlation_id,
                            Command::DataArrayResponse(it) => it.correlation_id,
                            Command::IntegerResponse(it) => it.correlation_id,
                            _ => continue,
                        };
                        prop_assert!(wanted.remove(&answered), "{answered} is answered unasked");
                    }
                }
                Step::Pass(millis) => client.pass(millis),
                Step::ShutDown => client.session.shut_down(client.now, "the node goes"),
                Step::Outcome { .. } | Step::Deliver { .. } => {}
            }
            cluster.take(&mut client.session);
        }
        // In the end everything is answered, or the connection closes.
        while let Some(operation) = cluster.open.pop() {
            client.session.handle_outcome(client.now, operation.tag(), Ok(()));
            cluster.take(&mut client.session);
        }
        for command in client.received() {
            match command {
                Command::Response(it) => wanted.remove(&it.correlation_id),
                Command::ExceptionResponse(it) => wanted.remove(&it.correlation_id),
                Command::DataArrayResponse(it) => wanted.remove(&it.correlation_id),
                Command::IntegerResponse(it) => wanted.remove(&it.correlation_id),
                _ => false,
            };
        }
        prop_assert!(wanted.is_empty() || client.session.is_closed(), "{wanted:?} unanswered");
    }
}
