//! What would change a frame's meaning is refused by name, and what asks for nothing is not.

use super::*;

/// A frame with the lines `header` besides its destination; it asks for a receipt.
fn ask(command: &str, destination: &str, header: &str) -> String {
    format!("{command}\nid:0\ndestination:{destination}\n{header}receipt:r\n\n\0")
}

/// Each header with values that ask for something and values that ask for nothing.
const HEADERS: &[(&str, &str, &[&str], &[&str])] = &[
    ("SEND", "JMSXGroupID", &["a", "false"], &[""]),
    ("SUBSCRIBE", "browser", &["true", "TRUE", "yes", ""], &["false", "False"]),
    ("SUBSCRIBE", "activemq.exclusive", &["true"], &["false"]),
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

/// What is scheduled is taken with its headers, and what is no schedule refused.
#[test]
fn a_schedule_is_read_when_it_is_sent() {
    for (header, right) in [
        ("AMQ_SCHEDULED_DELAY:60000\n", true),
        ("AMQ_SCHEDULED_CRON:0 * * * *\n", true),
        ("AMQ_SCHEDULED_PERIOD:1000\nAMQ_SCHEDULED_REPEAT:9\n", true),
        ("AMQ_SCHEDULED_DELAY:soon\n", false),
        ("AMQ_SCHEDULED_PERIOD:9\nAMQ_SCHEDULED_REPEAT:9\n", false),
    ] {
        let mut world = World::new();
        let session = world.connect("1.2");
        world.send(session, &ask("SEND", "/queue/a", header));
        assert_eq!(world.published.len(), usize::from(right), "{header}");
        if right {
            assert!(crate::schedule::Schedule::is_put_off(&world.published[0]), "{header}");
        } else {
            assert!(world.error(session).contains("AMQ_SCHEDULED_"), "{header}");
        }
    }
}
