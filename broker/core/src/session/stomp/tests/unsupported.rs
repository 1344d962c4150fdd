//! What would change a frame's meaning is refused by name, and what asks for nothing is not.

use super::*;

/// A frame with the lines `header` besides its destination; it asks for a receipt.
fn ask(command: &str, destination: &str, header: &str) -> String {
    format!("{command}\nid:0\ndestination:{destination}\n{header}receipt:r\n\n\0")
}

/// Each header with values that ask for something and values that ask for nothing.
const HEADERS: &[(&str, &str, &[&str], &[&str])] = &[
    ("SEND", "AMQ_SCHEDULED_DELAY", &["60000", "soon", ""], &["0"]),
    ("SEND", "AMQ_SCHEDULED_PERIOD", &["1000"], &["0"]),
    ("SEND", "AMQ_SCHEDULED_REPEAT", &["9", "-1"], &["0"]),
    ("SEND", "AMQ_SCHEDULED_CRON", &["0 * * * *"], &[""]),
    ("SEND", "JMSXGroupID", &["a", "false"], &[""]),
    ("SUBSCRIBE", "browser", &["true", "TRUE", "yes", ""], &["false", "False"]),
    ("SUBSCRIBE", "activemq.subscriptionName", &["s"], &[""]),
    ("SUBSCRIBE", "durable-subscription-name", &["s"], &[""]),
    ("SUBSCRIBE", "durable-subscriber-name", &["s"], &[""]),
    ("SUBSCRIBE", "durable", &["true"], &["false"]),
    ("SUBSCRIBE", "activemq.exclusive", &["true"], &["false"]),
    ("SUBSCRIBE", "activemq.noLocal", &["true"], &["false"]),
    ("SUBSCRIBE", "no-local", &["true"], &["false"]),
    ("SUBSCRIBE", "activemq.retroactive", &["true"], &["false"]),
    ("SUBSCRIBE", "activemq.priority", &["10", "-1"], &["0"]),
];

#[test]
fn a_header_that_asks_for_what_is_not_there_is_refused_by_name() {
    for (command, name, asking, _) in HEADERS {
        for value in *asking {
            let mut world = World::new();
            let session = world.connect("1.2");
            world.send(session, &ask(command, "/topic/a", &format!("{name}:{value}\n")));
            let error = world.error(session);
            let expected = format!("not supported; leave out the header `{name}`");
            assert!(error.starts_with(command) && error.ends_with(&expected), "{value}: {error}");
            assert_eq!((world.published.len(), world.prefetches.len()), (0, 0), "{name}");
        }
    }
}

#[test]
fn a_header_that_asks_for_nothing_is_taken() {
    for (command, name, _, off) in HEADERS {
        for value in *off {
            let mut world = World::new();
            let session = world.connect("1.2");
            world.send(session, &ask(command, "/topic/a", &format!("{name}:{value}\n")));
            assert_eq!(world.frames(session), [frame("RECEIPT\nreceipt-id:r\n\n\0")], "{name}");
        }
    }
}

/// What means something on SUBSCRIBE only is a SEND's own property, and the reverse.
#[test]
fn a_header_is_refused_only_where_it_means_something() {
    for (command, name, asking, _) in HEADERS {
        let other = if *command == "SEND" { "SUBSCRIBE" } else { "SEND" };
        let mut world = World::new();
        let session = world.connect("1.2");
        world.send(session, &ask(other, "/topic/a", &format!("{name}:{}\n", asking[0])));
        assert_eq!(world.frames(session), [frame("RECEIPT\nreceipt-id:r\n\n\0")], "{name}");
    }
}

/// The name of a durable subscription on UNSUBSCRIBE asks for its deletion.
#[test]
fn a_durable_subscription_cannot_be_deleted_either() {
    let mut world = World::new();
    let session = world.connect("1.2");
    world.send(session, &ask("SUBSCRIBE", "/topic/a", ""));
    world.send(session, "UNSUBSCRIBE\nid:0\nactivemq.subscriptionName:s\n\n\0");
    let error = world.error(session);
    assert!(error.contains("leave out the header `activemq.subscriptionName`"), "{error}");
}

#[test]
fn a_message_in_a_transaction_is_refused_as_well() {
    let mut world = World::new();
    let session = world.connect("1.2");
    world.send(session, "BEGIN\ntransaction:t\n\n\0");
    world.send(session, &ask("SEND", "/queue/a", "transaction:t\nJMSXGroupID:g\n"));
    assert!(world.error(session).contains("leave out the header `JMSXGroupID`"));
}

#[test]
fn destination_options_and_subscriptions_to_several_destinations_are_refused() {
    let options = "leave `?consumer.prefetchSize=1` out of the header `destination`";
    let composite = "the header `destination` is `/queue/a,/queue/b`, and a name holds no comma";
    for (command, destination, expected) in [
        ("SEND", "/queue/a?consumer.prefetchSize=1", options),
        ("SEND", "topic\\c//a?consumer.prefetchSize=1", options),
        ("SUBSCRIBE", "/queue/a?consumer.prefetchSize=1", options),
        ("SUBSCRIBE", "/queue/a,/queue/b", composite),
    ] {
        let mut world = World::new();
        let session = world.connect("1.2");
        // The destination of the SEND before must not be taken for this one's.
        world.send(session, "SEND\ndestination:/queue/a\n\n\0");
        world.send(session, &ask(command, destination, ""));
        let error = world.error(session);
        assert!(error.contains("not supported") && error.contains(expected), "{error}");
        assert_eq!((world.published.len(), world.prefetches.len()), (1, 0), "{destination}");
    }
}
