//! Durable subscriptions and subscriptions without the connection's own messages.

use super::*;

const CONNECT: &str = "CONNECT\naccept-version:1.2\nhost:h\nclient-id:c\n\n\0";

fn connected() -> (World, usize) {
    let mut world = World::new();
    let session = world.open();
    world.send(session, CONNECT);
    world.frames(session);
    (world, session)
}

fn subscribe(headers: &str) -> String {
    format!("SUBSCRIBE\nid:7\ndestination:/topic/a\n{headers}\n\n\0")
}

#[test]
fn each_clients_way_of_writing_names_a_durable_subscription() {
    for (headers, name) in [
        ("activemq.subscriptionName:s", "`s`"),
        ("durable-subscription-name:s", "`s`"),
        ("durable-subscriber-name:s", "`s`"),
        ("durable:true\ndurable-subscription-name:s\nactivemq.subscriptionName:s", "`s`"),
        ("durable:TRUE\nauto-delete:false", "`7`"),
    ] {
        let (mut world, session) = connected();
        world.send(session, &subscribe(headers));
        let named: Vec<_> = world.durables.iter().map(|it| it.durable.to_string()).collect();
        assert_eq!(named, [format!("{name} of client `c`")], "{headers}");
    }
    for headers in ["durable:false", "activemq.subscriptionName:", "a:b"] {
        let (mut world, session) = connected();
        world.send(session, &subscribe(headers));
        assert_eq!((world.durables.len(), world.prefetches.len()), (0, 1), "{headers}");
    }
}

#[test]
fn what_names_no_durable_subscription_is_refused() {
    let (mut world, session) = connected();
    world.send(session, &subscribe("durable-subscription-name:s\nactivemq.subscriptionName:t"));
    assert!(world.error(session).contains("name different subscriptions"));
    let (mut world, session) = connected();
    world.send(session, &subscribe("durable:perhaps"));
    assert!(world.error(session).ends_with("`durable` is true or false, not `perhaps`"));
    let mut world = World::new();
    let session = world.connect("1.2");
    world.send(session, &subscribe("activemq.subscriptionName:s"));
    assert!(world.error(session).ends_with("needs a client id: the header `client-id` of CONNECT"));
}

#[test]
fn unsubscribing_by_name_deletes_and_ends_the_consumer_before() {
    let (mut world, session) = connected();
    world.send(session, &subscribe("activemq.subscriptionName:s"));
    world.send(session, "UNSUBSCRIBE\nid:7\nactivemq.subscriptionName:s\nreceipt:r\n\n\0");
    assert_eq!(world.forgotten, ["`s` of client `c`"]);
    assert_eq!(world.frames(session), [frame("RECEIPT\nreceipt-id:r\n\n\0")]);
    world.send(session, &subscribe("a:b"));
    world.send(session, "UNSUBSCRIBE\nid:other\ndurable:true\n\n\0");
    assert_eq!(world.forgotten[1..], ["`other` of client `c`"]);
    world.send(session, "UNSUBSCRIBE\nid:7\n\n\0");
    assert_eq!(world.forgotten.len(), 2, "the other subscription has only ended");
}

#[test]
fn ones_own_messages_are_left_out_and_settled() {
    for (destination, ack, got, settled) in [
        ("/topic/a", "client-individual", 0, 1),
        ("/topic/a", "auto", 0, 1),
        ("/queue/a", "client-individual", 1, 0),
    ] {
        let (mut world, session) = connected();
        let headers = format!("activemq.noLocal:true\nack:{ack}");
        let subscribe = subscribe(&headers).replace("/topic/a", destination);
        world.send(session, &subscribe);
        world.send(session, &format!("SEND\ndestination:{destination}\n\nown\0"));
        assert_eq!(world.frames(session).len(), got, "{destination} {ack}");
        world.settle_down(session);
        assert_eq!(world.settled.len(), settled, "{destination} {ack}");
        let other = world.connect("1.2");
        world.send(other, &format!("SEND\ndestination:{destination}\n\nanother\0"));
        assert_eq!(world.frames(session).len(), 1, "{destination} {ack}");
    }
}
