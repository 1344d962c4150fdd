//! What a subscription may want beyond its destination.

use super::*;

/// The subscription that a SUBSCRIBE frame with these lines asks for.
fn wanted(destination: &str, headers: &str) -> crate::operation::Subscription {
    let mut world = World::new();
    let session = world.connect("1.2");
    world.send(session, &format!("SUBSCRIBE\nid:0\ndestination:{destination}\n{headers}\n\0"));
    world.subscriptions.pop().unwrap_or_else(|| panic!("{}", world.error(session)))
}

fn refused(version: &str, destination: &str, headers: &str) -> String {
    let mut world = World::new();
    let session = world.connect(version);
    world.send(session, &format!("SUBSCRIBE\nid:0\ndestination:{destination}\n{headers}\n\0"));
    assert_eq!(world.subscriptions.len(), 0);
    world.error(session)
}

#[test]
fn headers_and_options_say_how_a_consumer_stands_among_others() {
    let plain = wanted("/queue/a", "browser:false\nactivemq.exclusive:FALSE\n");
    assert_eq!((plain.exclusive, plain.priority, plain.browses), (false, 0, false));
    let both = wanted("/queue/a", "activemq.exclusive:true\nactivemq.priority:-7\n");
    assert_eq!((both.exclusive, both.priority), (true, -7));
    let options = "?consumer.exclusive=true&consumer.priority=9&consumer.prefetchSize=3\
                   &consumer.selector=n%3D1";
    let optional = wanted(&format!("/queue/a{options}"), "");
    assert_eq!((optional.exclusive, optional.priority, optional.prefetch), (true, 9, 3));
    assert_eq!(optional.selector.as_deref(), Some("n=1"));
    assert_eq!(&*optional.source.exact().unwrap().name, "a");
    // A header says it more clearly.
    let header = "activemq.priority:2\nactivemq.prefetchSize:5\nactivemq.exclusive:false\n";
    let over = wanted(&format!("/queue/a{options}"), header);
    assert_eq!((over.exclusive, over.priority, over.prefetch), (false, 2, 5));
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    for (destination, header, expected) in [
        ("/queue/a", "browser:yes\n", "`browser` is true or false, not `yes`"),
        ("/queue/a", "activemq.exclusive:1\n", "`activemq.exclusive` is true or false"),
        ("/queue/a", "activemq.priority:128\n", "`activemq.priority` is a number from -128"),
        ("/queue/a", "activemq.prefetchSize:0\n", "`activemq.prefetchSize` is a number from 1"),
        ("/queue/a?consumer.prefetchSize=0", "", "`activemq.prefetchSize` is a number from 1"),
        ("/queue/a?consumer.retroactive=true", "", "leave out `activemq.retroactive`"),
        ("/queue/a?consumer.what=1", "", "option `consumer.what` is not supported"),
        ("/topic/a", "browser:true\n", "`/topic/a` cannot be browsed"),
        ("/queue/a.*", "browser:true\n", "`/queue/a.*` cannot be browsed"),
    ] {
        let error = refused("1.2", destination, header);
        assert!(error.contains(expected), "{error}");
    }
    assert!(refused("1.0", "/queue/a", "browser:true\n").contains("STOMP 1.0"));
}

/// What a browser is given needs no acknowledgement, and one that comes all the same is taken.
#[test]
fn a_browser_is_given_copies_and_then_the_end() {
    for (version, ack) in [("1.1", "auto"), ("1.1", "client"), ("1.2", "client-individual")] {
        let mut world = World::new();
        let session = world.connect(version);
        world.send(
            session,
            &format!("SUBSCRIBE\nid:0\ndestination:/queue/a\nbrowser:true\nack:{ack}\n\n\0"),
        );
        assert!(world.subscriptions[0].browses);
        let consumer = ConsumerId(0);
        world.send(session, "SEND\ndestination:/queue/a\n\nm\0");
        world.session(session).handle_browse_end(consumer);
        let frames = world.frames(session);
        assert_eq!(frames.len(), 2, "{frames:?}");
        assert_eq!(frames[0].header("browser"), None);
        assert_eq!(frames[1].command, Command::Message);
        for (name, value) in [
            ("browser", "end"),
            ("subscription", "0"),
            ("message-id", "0"),
            ("destination", "/queue/a"),
        ] {
            assert_eq!(frames[1].header(name).map(Text::as_str), Some(value));
        }
        assert!(!world.session(session).has_output());
        assert_eq!(world.settled, [(vec![0], crate::operation::Settlement::Accept)]);
        let id = frames[0].header("message-id").unwrap();
        let named = match frames[0].header("ack") {
            Some(id) => format!("id:{id}"),
            None => format!("subscription:0\nmessage-id:{id}"),
        };
        world.send(session, &format!("ACK\n{named}\nreceipt:r\n\n\0"));
        let receipts = world.frames(session);
        assert_eq!(receipts.len(), 1);
        assert_eq!(receipts[0].header("receipt-id").map(Text::as_str), Some("r"), "{ack}");
        world.send(session, &format!("NACK\n{named}\n\n\0"));
        assert!(world.error(session).contains("cannot be refused"));
    }
}

#[test]
fn what_only_the_broker_says_is_not_taken_from_a_sender() {
    let mut world = World::new();
    let session = world.connect("1.2");
    let headers = "JMSXUserID:root\nbrowser:end\nJMSXGroupID:g\nJMSXGroupSeq:-1\n";
    world.send(session, &format!("SEND\ndestination:/queue/a\n{headers}\n\0"));
    let names: Vec<_> = world.published[0].properties.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["JMSXGroupID", "JMSXGroupSeq"]);
}

#[test]
fn a_client_that_numbers_its_requests_is_answered_by_the_number() {
    for header in ["request-id:7", "receipt:7"] {
        let mut world = World::new();
        let session = world.open();
        world.send(session, &format!("CONNECT\naccept-version:1.1\nhost:h\n{header}\n\n\0"));
        let connected = &world.frames(session)[0];
        for name in ["response-id", "receipt-id"] {
            assert_eq!(connected.header(name).map(Text::as_str), Some("7"));
        }
    }
}
