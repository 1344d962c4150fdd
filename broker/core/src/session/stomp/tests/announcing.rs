//! What others are told of a client.

use super::*;
use crate::presence::Announcement;

#[test]
fn others_are_told_of_a_client_and_of_its_subscriptions() {
    let mut world = World::new();
    let session = world.connect("1.2");
    world.send(session, "SUBSCRIBE\nid:0\ndestination:/queue/a,/topic/b\nselector:x = 1\n\n\0");
    world.send(session, "UNSUBSCRIBE\nid:0\n\n\0");
    let said: Vec<_> = world.announcements(session);
    let told: Vec<_> = said
        .iter()
        .map(|said| match said {
            Announcement::Here(_, presence) => presence.topic().name.to_string(),
            Announcement::Gone(_) => "gone".into(),
        })
        .collect();
    let [connection, queue, topic] = ["Connection", "Consumer.Queue.a", "Consumer.Topic.b"]
        .map(|name| format!("ActiveMQ.Advisory.{name}"));
    assert_eq!(told, [connection, queue, topic, "gone".into(), "gone".into()]);
    for (said, destination) in said[1..].iter().zip(["\"queue://a\"", "\"topic://b\""]) {
        let Announcement::Here(_, presence) = said else { panic!() };
        let text = std::str::from_utf8(presence.here.body.bytes()).unwrap();
        assert!(text.contains("\"selector\":\"x = 1\"") && text.contains(destination), "{text}");
    }
}

#[test]
fn an_advisory_is_text_with_its_headers() {
    let mut world = World::new();
    let [other, session] = [world.connect("1.2"), world.connect("1.2")];
    world.send(session, "SUBSCRIBE\nid:0\ndestination:/topic/ActiveMQ.Advisory.Connection\n\n\0");
    let Announcement::Here(_, presence) = world.announcements(other).remove(0) else { panic!() };
    world.publish(presence.here);
    let came = world.frames(session).pop().unwrap();
    assert_eq!(came.header("type").map(|it| it.as_str()), Some("Advisory"));
    assert!(came.header("originBrokerName").is_some() && came.header("content-length").is_none());
    assert!(came.headers.iter().all(|(name, _)| !name.contains("structure")), "{came:?}");
    assert!(came.body.starts_with(b"{\"ConnectionInfo\":{\"connectionId\":\"ID:"), "{came:?}");
}
