//! What others are told of a client.

use paceline_wire::openwire::{AnyStructure, DestinationInfo};

use super::*;
use crate::{
    presence::{Announcement, Presence, PresenceId},
    session::advisory::structure_of,
};

fn here(client: &mut Client) -> (PresenceId, Presence) {
    match client.session.poll_announcement() {
        Some(Announcement::Here(id, presence)) => (id, presence),
        other => panic!("{other:?}"),
    }
}

fn topic(presence: &Presence) -> &str {
    presence.topic().name.strip_prefix("ActiveMQ.Advisory.").unwrap()
}

fn wire(kind: DestinationKind, name: &str) -> Option<Wire> {
    Some(Wire { kind, name: name.into() })
}

#[test]
fn others_are_told_of_a_consumer_once_it_is_there_and_until_it_is_gone() {
    let mut client = Client::connected();
    let (_, connection) = here(&mut client);
    assert_eq!(topic(&connection), "Connection");
    client.consumer(7, |info| info.destination = wire(DestinationKind::Queue, "a,topic://b"));
    assert_eq!(client.session.poll_announcement(), None);
    let subscribe = client.operation();
    client.done(&subscribe);
    let [one, other] = [here(&mut client), here(&mut client)];
    assert_eq!((topic(&one.1), topic(&other.1)), ("Consumer.Queue.a", "Consumer.Topic.b"));
    let Some(Command::ConsumerInfo(info)) = structure_of(&one.1.here) else { panic!() };
    assert_eq!((info.consumer_id, info.prefetch_size), (Some(consumer_id()), 7));
    assert_eq!(info.destination, wire(DestinationKind::Queue, "a"));
    client.ask(|command_id| RemoveInfo {
        command_id,
        response_required: true,
        object_id: Some(ObjectId::Consumer(consumer_id())),
        last_delivered_sequence_id: 0,
    });
    for (id, _) in [one, other] {
        assert_eq!(client.session.poll_announcement(), Some(Announcement::Gone(id)));
    }
}

#[test]
fn nobody_is_told_of_a_consumer_that_was_refused_or_that_listens_to_advisories() {
    let mut client = Client::connected();
    here(&mut client);
    client.consumer(7, |_| {});
    let subscribe = client.operation();
    let why = Refusal::Rejected("no".into());
    client.session.handle_outcome(client.now, subscribe.tag(), Err(why));
    client.operation();
    let listened = wire(DestinationKind::Topic, "ActiveMQ.Advisory.Connection");
    client.consumer(7, |info| info.destination = listened);
    let subscribe = client.operation();
    client.done(&subscribe);
    assert_eq!(client.session.poll_announcement(), None);
}

#[test]
fn others_are_told_of_producers_and_of_temporary_destinations() {
    let mut client = Client::connected();
    here(&mut client);
    let destination = wire(DestinationKind::Queue, "a");
    let producer_id = Some(producer_id());
    client.send(ProducerInfo { producer_id, destination, ..ProducerInfo::default() });
    let (producer, told) = here(&mut client);
    assert_eq!(
        (topic(&told), told.counted.as_deref()),
        ("Producer.Queue.a", Some("producerCount"))
    );
    let destination = wire(DestinationKind::TempTopic, "ID:x:1");
    let made = DestinationInfo { destination, ..DestinationInfo::default() };
    client.send(made.clone());
    let (temporary, told) = here(&mut client);
    assert_eq!(topic(&told), "TempTopic");
    let Some(Command::DestinationInfo(gone)) = structure_of(&told.gone) else { panic!() };
    assert_eq!(gone.operation_type, 1);
    client.send(DestinationInfo { operation_type: 1, ..made });
    assert_eq!(client.session.poll_announcement(), Some(Announcement::Gone(temporary)));
    let session = SessionId { connection: CONNECTION.into(), value: 1 };
    client.ask(|command_id| RemoveInfo {
        command_id,
        object_id: Some(ObjectId::Session(session)),
        ..RemoveInfo::default()
    });
    assert_eq!(client.session.poll_announcement(), Some(Announcement::Gone(producer)));
    assert_eq!(client.session.poll_announcement(), None);
}

#[test]
fn others_are_told_of_each_destination_once_and_of_that_alone() {
    let mut client = Client::connected();
    here(&mut client);
    let destination = wire(DestinationKind::Queue, "q,r,q");
    let producer_id = Some(producer_id());
    client.send(ProducerInfo { producer_id, destination, ..ProducerInfo::default() });
    for name in ["q", "r"] {
        let (_, told) = here(&mut client);
        assert_eq!(topic(&told), format!("Producer.Queue.{name}"));
        let Some(Command::ProducerInfo(info)) = structure_of(&told.here) else { panic!() };
        assert_eq!(info.destination, wire(DestinationKind::Queue, name));
    }
    assert_eq!(client.session.poll_announcement(), None);
}

#[test]
fn an_advisory_comes_with_its_structure() {
    let mut other = Client::connected();
    let (_, connection) = here(&mut other);
    let mut client = Client::connected();
    let consumer = client.consuming(9, 0);
    client.received();
    let delivery = Delivery { message: connection.here, ..testing::delivery(consumer, 0) };
    client.session.handle_delivery(delivery);
    let received = client.received();
    let [Command::MessageDispatch(dispatch)] = &received[..] else { panic!("{received:?}") };
    let message = dispatch.message.as_ref().unwrap();
    let Some(AnyStructure::Command(about)) = &message.data_structure else { panic!("{message:?}") };
    assert!(matches!(&**about, Command::ConnectionInfo(_)), "{about:?}");
    assert_eq!(message.jms_type.as_deref(), Some("Advisory"));
    let properties = message.marshalled_properties.as_ref().unwrap();
    let map = primitives::read_map(properties, Default::default()).unwrap();
    let names: Vec<_> = map.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["originBrokerId", "originBrokerName", "originBrokerURL"]);
    let at = message.message_id.as_ref().unwrap();
    assert_eq!((at.broker_sequence, at.text_view.as_deref()), (1, None));
}
