//! What would change a frame's meaning is refused by name, and what asks for nothing is not.

use super::*;

/// A frame with the lines `header` besides its destination; it asks for a receipt.
fn ask(command: &str, destination: &str, header: &str) -> String {
    format!("{command}\nid:0\ndestination:{destination}\n{header}receipt:r\n\n\0")
}

#[test]
fn what_is_not_there_is_refused_by_name_and_what_asks_for_nothing_is_taken() {
    let subscribe = |header: &str| {
        let mut world = World::new();
        let session = world.connect("1.2");
        world.send(session, &ask("SUBSCRIBE", "/topic/a", header));
        (world, session)
    };
    let (mut world, session) = subscribe("activemq.retroactive:true\n");
    assert!(world.error(session).ends_with("not supported; leave out `activemq.retroactive`"));
    assert!(world.prefetches.is_empty());
    let (mut world, session) = subscribe("activemq.retroactive:False\n");
    assert_eq!(world.frames(session), [frame("RECEIPT\nreceipt-id:r\n\n\0")]);
}

#[test]
fn a_message_in_a_transaction_is_refused_as_well() {
    let mut world = World::new();
    let session = world.connect("1.2");
    world.send(session, "BEGIN\ntransaction:t\n\n\0");
    world.send(session, &ask("SEND", "/queue/a", "transaction:t\nAMQ_SCHEDULED_DELAY:soon\n"));
    assert!(world.error(session).contains("AMQ_SCHEDULED_DELAY"));
}

#[test]
fn a_message_goes_to_destinations_without_options() {
    let options = "leave `?consumer.prefetchSize=1` out of the header `destination`";
    for (command, destination, expected) in [
        ("SEND", "/queue/a?consumer.prefetchSize=1", options),
        ("SEND", "topic\\c//a?consumer.prefetchSize=1", options),
    ] {
        let mut world = World::new();
        let session = world.connect("1.2");
        // The destination of the SEND before must not be taken for this one's.
        world.send(session, "SEND\ndestination:/queue/a\n\n\0");
        world.send(session, &ask(command, destination, ""));
        let error = world.error(session);
        assert!(error.contains(expected), "{error}");
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
