//! Cases taken from the specifications, each naming its section.

use super::*;

/// STOMP 1.2 "Protocol Negotiation": the highest version both know; STOMP 1.0 has no
/// accept-version.
#[test]
fn the_highest_common_version_is_chosen() {
    for (accept, expected) in [
        ("", "1.0"),
        ("accept-version:1.0\n", "1.0"),
        ("accept-version:1.0,1.1\n", "1.1"),
        ("accept-version:1.2,1.1,1.0\n", "1.2"),
        ("accept-version:1.1, 2.0\n", "1.1"),
    ] {
        let mut world = World::new();
        let session = world.open();
        world.send(session, &format!("CONNECT\n{accept}host:h\n\n\0"));
        let connected = &world.frames(session)[0];
        assert_eq!(connected.command, Command::Connected);
        assert_eq!(connected.header("version").unwrap(), &expected, "{accept}");
        assert_eq!(connected.header("session").unwrap(), &"session-0");
        assert_eq!(connected.header("heart-beat").is_some(), expected != "1.0");
    }
}

/// STOMP 1.2 "Protocol Negotiation": no common version is an ERROR that lists those there are.
#[test]
fn no_common_version_is_an_error() {
    let mut world = World::new();
    let session = world.open();
    world.send(session, "CONNECT\naccept-version:2.0\nhost:h\n\n\0");
    let error = &world.frames(session)[0];
    assert_eq!(error.command, Command::Error);
    assert_eq!(error.header("version").unwrap(), &"1.0,1.1,1.2");
    assert!(world.session(session).is_closed());
}

/// STOMP 1.2 "CONNECT or STOMP Frame": servers must handle STOMP as they do CONNECT.
#[test]
fn stomp_opens_a_session_too() {
    let mut world = World::new();
    let session = world.open();
    world.send(session, "STOMP\naccept-version:1.1\nhost:h\n\n\0");
    assert_eq!(world.frames(session)[0].command, Command::Connected);
}

#[test]
fn frames_out_of_place_are_errors() {
    for (connected, frames, expected) in [
        (false, "SEND\ndestination:/queue/a\n\n\0", "SEND: SEND before CONNECT"),
        (true, "CONNECT\naccept-version:1.2\n\n\0", "CONNECT: the session is already open"),
        (true, "MESSAGE\n\n\0", "MESSAGE: only a server sends this frame"),
        (true, "SEND\n\n\0", "SEND: the header `destination` is missing"),
        (true, "SEND\ndestination:/a\n\n\0", "`/a` is neither a queue nor a topic"),
        (true, "SEND\ndestination:/queue/a.*\n\n\0", "`/queue/a.*` holds a wildcard"),
        (true, "SEND\ndestination:/queue/a\npersistent:si\n\n\0", "`persistent` is true or false"),
        (true, "SEND\ndestination:/queue/a\npriority:x\n\n\0", "`priority` is a number"),
        (true, "SEND\ndestination:/queue/a\nexpires:-1\n\n\0", "`expires` is a number of milli"),
        (true, "SUBSCRIBE\ndestination:/queue/a\n\n\0", "the header `id` is missing"),
        (true, "SUBSCRIBE\nid:0\n\n\0", "the header `destination` is missing"),
        (true, "SUBSCRIBE\nid:0\ndestination:/queue/a\nack:no\n\n\0", "`ack` is auto, client or"),
        (
            true,
            "SUBSCRIBE\nid:0\ndestination:/queue/a\nselector:a='1\n\n\0",
            "the header `selector` holds no selector: at column 5: expected `'`, the end of the text, \
             found the end",
        ),
        (
            true,
            "SUBSCRIBE\nid:0\ndestination:/queue/a\n\n\0SUBSCRIBE\nid:0\ndestination:/queue/b\n\n\0",
            "the id `0` is already in use",
        ),
        (true, "UNSUBSCRIBE\nid:0\n\n\0", "there is no subscription `0`"),
        (true, "ACK\n\n\0", "the header `id` is missing"),
        (true, "ACK\nid:7\n\n\0", "`7` is no id of an `ack` header"),
        (true, "ACK\nid:0-7\n\n\0", "that delivery is not open"),
        (true, "BEGIN\n\n\0", "the header `transaction` is missing"),
    ] {
        let mut world = World::new();
        let session = if connected { world.connect("1.2") } else { world.open() };
        world.send(session, frames);
        let error = world.error(session);
        assert!(error.contains(expected), "{error}");
    }
}

/// STOMP 1.0, 1.1 and 1.2 "ACK": `message-id`, with `subscription` from 1.1, `id` in 1.2.
#[test]
fn each_version_acknowledges_in_its_own_words() {
    for (version, ack) in [
        ("1.0", "ACK\nmessage-id:ID:session-0:0\n\n\0"),
        ("1.0", "ACK\nmessage-id:ID:session-0:0\nsubscription:s\n\n\0"),
        ("1.1", "ACK\nmessage-id:ID\\csession-0\\c0\nsubscription:s\n\n\0"),
        ("1.2", "ACK\nid:0-0\n\n\0"),
    ] {
        let mut world = World::new();
        let session = world.connect(version);
        world.send(session, "SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client\n\n\0");
        world.send(session, "SEND\ndestination:/queue/a\n\nx\0");
        let message = &world.frames(session)[0];
        assert_eq!(message.header("ack").is_some(), version == "1.2");
        assert_eq!(message.header("message-id").unwrap(), &"ID:session-0:0");
        world.send(session, ack);
        assert_eq!(world.settled, [(vec![0], Settlement::Accept)], "{version}: {ack}");
    }
    let mut world = World::new();
    let session = world.connect("1.1");
    world.send(session, "ACK\nmessage-id:1\n\n\0");
    assert!(world.error(session).contains("the header `subscription` is missing"));
}

/// STOMP 1.1 "NACK" is new in 1.1.
#[test]
fn version_1_0_has_no_nack() {
    let mut world = World::new();
    let session = world.connect("1.0");
    world.send(session, "NACK\nmessage-id:1\n\n\0");
    assert!(world.error(session).contains("STOMP 1.0 has no such frame"));
}

/// STOMP 1.0 "SUBSCRIBE" and "UNSUBSCRIBE": the id may be left out.
#[test]
fn version_1_0_subscribes_by_destination() {
    let mut world = World::new();
    let session = world.connect("1.0");
    world.send(session, "SUBSCRIBE\ndestination: /queue/a\nack: client\n\n\0");
    world.send(session, "SEND\ndestination: /queue/a\n\nx\0");
    let message = &world.frames(session)[0];
    assert_eq!(message.header("subscription"), None);
    world.send(session, "ACK\nmessage-id: ID:session-0:0\n\n\0");
    assert_eq!(world.settled.len(), 1);
    world.send(session, "UNSUBSCRIBE\ndestination: /queue/a\nreceipt: u\n\n\0");
    assert_eq!(world.frames(session)[0].header("receipt-id").unwrap(), &"u");
}

/// STOMP 1.2 "DISCONNECT": the receipt says that all frames before were processed; nothing follows.
#[test]
fn disconnect_answers_last() {
    let mut world = World::new();
    let session = world.connect("1.2");
    world.hold_outcomes = true;
    world.send(
        session,
        "SEND\ndestination:/queue/a\nreceipt:1\n\n\0DISCONNECT\nreceipt:2\n\n\0\
         SEND\ndestination:/queue/a\n\n\0",
    );
    assert_eq!(world.frames(session), []);
    assert!(!world.session(session).is_closed());
    world.answer(session, 0, Ok(()));
    assert!(world.session(session).is_closed());
    let frames = world.frames(session);
    assert_eq!(frames[0], frame("RECEIPT\nreceipt-id:1\n\n\0"));
    assert_eq!(frames[1], frame("RECEIPT\nreceipt-id:2\n\n\0"));
    assert_eq!((frames.len(), world.published.len()), (2, 1));
}

/// STOMP 1.2 "ERROR": with the receipt id of the frame that asked for one.
#[test]
fn errors_name_the_receipt_of_their_frame() {
    let mut world = World::new();
    let session = world.connect("1.2");
    world.send(session, "SEND\ndestination:/nowhere/a\nreceipt:r 1\n\n\0");
    let error = &world.frames(session)[0];
    assert_eq!(error.header("receipt-id").unwrap(), &"r 1");
    assert_eq!(error.header("content-type").unwrap(), &"text/plain");
    let body = String::from_utf8(error.body.to_vec()).unwrap();
    assert!(body.contains("SEND\ndestination:/nowhere/a\nreceipt:r 1"), "{body}");
}

fn connect_with_heart_beat(heart_beat: &str) -> (World, usize) {
    let mut world = World::with_config(StompConfig {
        heart_beat_send: Duration::from_secs(4),
        heart_beat_expect: Duration::from_secs(6),
        ..config()
    });
    let session = world.open();
    let connect = format!("CONNECT\naccept-version:1.2\nhost:h\nheart-beat:{heart_beat}\n\n\0");
    world.send(session, &connect);
    assert_eq!(world.frames(session)[0].header("heart-beat").unwrap(), &"4000,6000");
    (world, session)
}

fn at(world: &mut World, session: usize, millis: u64) -> BytesMut {
    world.now.elapsed = Duration::from_millis(millis);
    let now = world.now;
    let mut out = BytesMut::new();
    world.session(session).handle_timeout(now);
    while world.session(session).poll_transmit(now, &mut out) {}
    out
}

/// STOMP 1.2 "Heart-beating": the larger of what one side can and the other wants.
#[test]
fn the_server_beats_as_agreed() {
    let (mut world, session) = connect_with_heart_beat("0,8000");
    assert_eq!(world.session(session).poll_timeout(), Some(Duration::from_secs(6)));
    assert_eq!(&at(&mut world, session, 5_999)[..], b"");
    assert_eq!(&at(&mut world, session, 6_000)[..], b"\n");
    assert_eq!(world.session(session).poll_timeout(), Some(Duration::from_secs(12)));
    // Any frame is a sign of life, too.
    world.send(session, "BEGIN\ntransaction:t\nreceipt:r\n\n\0");
    world.now.elapsed = Duration::from_secs(10);
    assert_eq!(world.frames(session).len(), 1);
    assert_eq!(world.session(session).poll_timeout(), Some(Duration::from_secs(16)));
}

/// STOMP 1.2 "Heart-beating": silence of more than the interval and a margin is a dead connection.
#[test]
fn a_silent_client_is_dead() {
    let (mut world, session) = connect_with_heart_beat("1000,0");
    assert_eq!(world.session(session).poll_timeout(), Some(Duration::from_secs(12)));
    world.now.elapsed = Duration::from_secs(11);
    world.send(session, "\n");
    at(&mut world, session, 22_999);
    assert!(!world.session(session).is_closed());
    assert_eq!(&at(&mut world, session, 23_000)[..], b"");
    assert!(world.session(session).is_closed());
}

/// A session that does not read because the server has no room must not call the client dead.
#[test]
fn silence_while_held_back_is_not_the_clients() {
    let (mut world, session) = connect_with_heart_beat("1000,0");
    world.now.elapsed = Duration::from_secs(12);
    let now = world.now;
    world.session(session).handle_held_back(now);
    at(&mut world, session, 12_000);
    assert!(!world.session(session).is_closed());
}

/// STOMP 1.2 "Heart-beating": zero on either side means none.
#[test]
fn no_heart_beat_where_one_side_wants_none() {
    for heart_beat in ["0,0", "0, 0"] {
        let (mut world, session) = connect_with_heart_beat(heart_beat);
        assert_eq!(world.session(session).poll_timeout(), None);
    }
}

/// STOMP 1.2 "Heart-beating": two positive integers, or zero. What is wrong is said in words.
#[test]
fn a_heart_beat_that_is_none_is_refused_in_words() {
    let pair = "CONNECT: `heart-beat` is two numbers of milliseconds with a comma between, not";
    let range = "is out of that range";
    let whole = "is none";
    for (heart_beat, value, expected) in [
        ("often", "often", pair),
        ("1000", "1000", pair),
        ("1000,1000,1000", "1000,1000,1000", pair),
        ("", "", pair),
        ("4294967296,0", "4294967296", range),
        ("0,99999999999999999999", "99999999999999999999", range),
        ("-1,0", "-1", range),
        ("0, -4294967296", "-4294967296", range),
        ("1000.0,1000", "1000.0", whole),
        ("1000,", "", whole),
        ("0,-", "-", whole),
    ] {
        let mut world = World::new();
        let session = world.open();
        world.send(session, &format!("CONNECT\naccept-version:1.2\nheart-beat:{heart_beat}\n\n\0"));
        let error = world.error(session);
        assert!(error.contains(expected), "{heart_beat}: {error}");
        assert!(error.contains(&format!("`{value}`")), "{heart_beat}: {error}");
        if expected == range {
            assert!(error.contains("`heart-beat` holds 0 to 4294967295 milliseconds"), "{error}");
        }
    }
    // The largest there is, and white space around.
    connect_with_heart_beat("4294967295, 4294967295 ");
}
