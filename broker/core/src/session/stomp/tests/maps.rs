//! Map messages as text.

use bytes::BytesMut;
use paceline_wire::openwire::primitives::{self, Primitive};

use super::*;

const XML: &str =
    "<map>\n  <entry>\n    <string>area</string>\n    <int>360</int>\n  </entry>\n</map>";
const JSON: &str = r#"{"map":{"entry":{"string":"area","int":360}}}"#;

fn map() -> Body {
    let mut bytes = BytesMut::new();
    primitives::write_map(&[("area".into(), Primitive::Int(360))], &mut bytes);
    Body::Map(bytes.freeze())
}

fn send(world: &mut World, headers: &str, body: &str) -> Message {
    let producer = world.connect("1.2");
    world.send(producer, &format!("SEND\ndestination:/queue/a\n{headers}\n{body}\0"));
    assert_eq!(world.frames(producer), []);
    Message::clone(world.published.last().unwrap())
}

#[test]
fn a_text_that_is_said_to_be_a_map_becomes_one_and_its_subscriber_says_how_it_is_written() {
    for (sent, text) in [("jms-map-xml", XML), ("jms-map-json", JSON)] {
        let asked = [
            ("", "jms-map-json", JSON),
            ("transformation:jms-json\n", "jms-map-json", JSON),
            ("transformation:jms-map-json\n", "jms-map-json", JSON),
            ("transformation:jms-xml\n", "jms-map-xml", XML),
            ("transformation:jms-map-xml\n", "jms-map-xml", XML),
        ];
        for (header, how, written) in asked {
            let mut world = World::new();
            let consumer = world.connect("1.2");
            world.send(consumer, &format!("SUBSCRIBE\nid:0\ndestination:/queue/a\n{header}\n\0"));
            let message = send(&mut world, &format!("transformation:{sent}\n"), text);
            assert_eq!(message.body, map());
            let frames = world.frames(consumer);
            let transformations: Vec<_> = frames[0]
                .headers
                .iter()
                .filter(|(name, _)| *name == *header::TRANSFORMATION)
                .collect();
            assert_eq!(transformations.len(), 1, "{transformations:?}");
            assert_eq!((&*transformations[0].1, &*frames[0].body), (how, written.as_bytes()));
            assert_eq!(frames[0].header(header::CONTENT_LENGTH), None);
        }
    }
}

#[test]
fn what_is_no_map_stays_a_text_that_says_why() {
    let objects = "Java objects are not read here";
    let unread = "there is text outside of the elements";
    for (asked, why) in
        [("jms-map-xml", Some(unread)), ("jms-object-xml", Some(objects)), ("test", None)]
    {
        let message = send(&mut World::new(), &format!("transformation:{asked}\n"), "Hello");
        assert_eq!(message.body, Body::Text("Hello".into()));
        let error =
            message.properties.iter().find(|(name, _)| **name == *header::TRANSFORMATION_ERROR);
        assert_eq!(error.map(|(_, text)| text.clone()), why.map(|why| Value::Text(why.into())));
    }
    let bytes = send(&mut World::new(), "transformation:jms-map-json\ncontent-length:2\n", "{}");
    assert_eq!(bytes.body, Body::Binary("{}".into()));
}

#[test]
fn a_subscriber_that_asks_for_what_is_not_there_is_told_so() {
    for asked in ["jms-object-json", "jms-advisory-json", "test"] {
        let mut world = World::new();
        let consumer = world.connect("1.2");
        let frame = format!("SUBSCRIBE\nid:0\ndestination:/queue/a\ntransformation:{asked}\n\n\0");
        world.send(consumer, &frame);
        let frames = world.frames(consumer);
        let why = frames[0].header(header::MESSAGE).unwrap();
        assert!(why.contains("jms-map-json") && why.contains(asked), "{why}");
    }
}

#[test]
fn what_jms_sends_is_written_if_it_can_be_read() {
    let objects = "Java objects are not read here";
    let bodies = [
        (Body::Map("".into()), Ok(r#"{"map":""}"#)),
        (Body::Map("?".into()), Err("the map is cut off by the end of the frame")),
        (Body::Object("\u{1}".into()), Err(objects)),
    ];
    for (body, written) in bodies {
        let mut world = World::new();
        let consumer = world.connect("1.2");
        world.send(consumer, "SUBSCRIBE\nid:0\ndestination:/queue/a\n\n\0");
        let queue = crate::Destination::queue("a").unwrap();
        let message = Message { body: body.clone(), ..crate::testing::message_to(queue, "") };
        world.publish(message.into());
        let frame = world.frames(consumer).remove(0);
        let error = frame.header(header::TRANSFORMATION_ERROR).map(Text::as_str);
        assert_eq!(error, written.err());
        let text = written.map_or(body.bytes().clone(), |text| text.into());
        assert_eq!(frame.body, text);
    }
}
