//! Sessions driven against a small broker in memory, with time as an argument.

mod announcing;
mod durable;
mod maps;
mod specification;
mod temporary;
mod unsupported;
mod wanted;
mod world;

use std::{sync::Arc, time::Duration};

use self::world::{World, config, frame};
use super::*;
use crate::{
    Body, Message, UnixMillis, Value,
    operation::{DeliveryId, Refusal, Settlement},
    session::OperationLimits,
};
use paceline_wire::stomp::{Frame, OUTCOME_UNKNOWN, header};

#[test]
fn a_message_travels_from_session_to_session_with_all_its_headers() {
    let mut world = World::new();
    let (producer, consumer) = (world.connect("1.2"), world.connect("1.2"));
    world.send(consumer, "SUBSCRIBE\nid:s 1\ndestination:/queue/a\nack:client-individual\n\n\0");
    world.send(
        producer,
        "SEND\ndestination:/queue/a\npersistent:true\npriority:7\nexpires:99000\ntimestamp:5\n\
         correlation-id:c\\c1\nreply-to:/queue/back\ncontent-type:text/plain\ntype:T\nzeta:1\n\
         alpha:2\nzeta:3\nsubscription:forged\nmessage-id:forged\nredelivered:true\nreceipt:r\n\n\
         hello\0",
    );
    assert_eq!(world.frames(producer), [frame("RECEIPT\nreceipt-id:r\n\n\0")]);
    assert_eq!(
        world.frames(consumer),
        [frame(
            "MESSAGE\nsubscription:s 1\nmessage-id:ID\\csession-0\\c0\ndestination:/queue/a\n\
             ack:0-0\npriority:7\nexpires:99000\ntimestamp:5\npersistent:true\n\
             correlation-id:c\\c1\nreply-to:/queue/back\ncontent-type:text/plain\ntype:T\nzeta:1\n\
             alpha:2\n\nhello\0"
        )]
    );
    let message = &world.published[0];
    assert_eq!(message.body, Body::Text("hello".into()));
    assert_eq!(message.properties[0], ("type".into(), Value::Text("T".into())));
}

#[test]
fn a_message_without_headers_gets_activemqs_defaults() {
    let mut world = World::new();
    let producer = world.connect("1.1");
    world.now.wall = UnixMillis(42);
    world.send(producer, "SEND\ndestination:/queue/a\ncontent-length:3\nexpires:0\n\na\0b\0");
    let message = &world.published[0];
    assert!(!message.persistent);
    assert_eq!((message.priority, message.timestamp), (4, UnixMillis(42)));
    assert_eq!(message.expires, None);
    assert_eq!(message.body, Body::Binary("a\0b".into()));
    world.send(producer, "SEND\ndestination:/queue/a\npriority:12\n\n\0");
    assert_eq!(world.published[1].priority, 9);
}

/// Text goes without, unless its end could not be found then.
#[test]
fn a_text_has_a_content_length_only_where_it_holds_a_nul() {
    let mut world = World::new();
    let (producer, consumer) = (world.connect("1.2"), world.connect("1.2"));
    world.send(consumer, "SUBSCRIBE\nid:0\ndestination:/queue/a\n\n\0");
    for (body, expected) in [("abc", None), ("a\0c", Some("3"))] {
        let head = "SEND\ndestination:/queue/a\ncontent-length:3\namq-msg-type:text\n\n";
        world.send(producer, &format!("{head}{body}\0"));
        let frames = world.frames(consumer);
        assert_eq!(frames[0].header(header::CONTENT_LENGTH).map(Text::as_str), expected);
        assert_eq!(frames[0].body, body);
    }
}

/// An empty body is text or binary as any other is, and its receiver can tell.
#[test]
fn an_empty_binary_body_keeps_its_content_length() {
    let mut world = World::new();
    let (producer, consumer) = (world.connect("1.2"), world.connect("1.2"));
    world.send(consumer, "SUBSCRIBE\nid:0\ndestination:/queue/a\n\n\0");
    for (header, expected) in [
        ("content-length:0\n", Some("0")),
        ("amq-msg-type:bytes\n", Some("0")),
        ("", None),
        ("content-length:0\namq-msg-type:text\n", None),
    ] {
        world.send(producer, &format!("SEND\ndestination:/queue/a\n{header}\n\0"));
        let frames = world.frames(consumer);
        let length = frames[0].header(header::CONTENT_LENGTH).map(Text::as_str);
        assert_eq!(length, expected, "{header}");
    }
}

#[test]
fn a_receipt_waits_for_the_outcome_of_its_frame_only() {
    let mut world = World::new();
    let producer = world.connect("1.2");
    world.hold_outcomes = true;
    world.send(producer, "SEND\ndestination:/queue/a\nreceipt:1\n\n\0");
    world.send(producer, "SEND\ndestination:/queue/a\nreceipt:2\n\n\0");
    assert_eq!(world.frames(producer), []);
    world.answer(producer, 1, Ok(()));
    assert_eq!(world.frames(producer), [frame("RECEIPT\nreceipt-id:2\n\n\0")]);
    world.answer(producer, 0, Ok(()));
    assert_eq!(world.frames(producer), [frame("RECEIPT\nreceipt-id:1\n\n\0")]);
}

#[test]
fn a_refused_operation_is_an_error_with_its_receipt_and_closes() {
    let mut world = World::new();
    let producer = world.connect("1.2");
    world.hold_outcomes = true;
    world.send(producer, "SEND\ndestination:/queue/a\nreceipt:1\n\n\0");
    world.answer(producer, 0, Err(Refusal::Rejected("the disk is full".into())));
    let frames = world.frames(producer);
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].command, Command::Error);
    assert_eq!(frames[0].header("message").unwrap(), &"SEND: refused: the disk is full");
    assert_eq!(frames[0].header("receipt-id").unwrap(), &"1");
    assert!(world.session(producer).is_closed());
}

#[test]
fn what_stood_before_a_malformed_frame_is_carried_out() {
    let mut world = World::new();
    let (producer, other) = (world.connect("1.2"), world.connect("1.2"));
    world.send(
        producer,
        "SEND\ndestination:/queue/a\n\n1\0BOGUS\n\n\0SEND\ndestination:/queue/a\n\n2\0",
    );
    assert_eq!(world.published.len(), 1);
    let frames = world.frames(producer);
    assert_eq!(frames.len(), 1);
    assert_eq!(
        frames[0].header("message").unwrap(),
        &"malformed frame: `BOGUS` is not a STOMP command"
    );
    assert!(world.session(producer).is_closed());
    assert!(!world.session(other).is_closed());
}

#[test]
fn an_oversized_body_is_refused_before_it_has_come() {
    let mut world = World::new();
    let producer = world.connect("1.2");
    world.send(producer, "SEND\ndestination:/queue/a\ncontent-length:999999999\n\n");
    assert!(world.error(producer).contains("body is larger than 16777216 bytes"));
}

#[test]
fn cumulative_acknowledgement_settles_all_before_it() {
    let mut world = World::new();
    let (producer, consumer) = (world.connect("1.2"), world.connect("1.2"));
    world.send(consumer, "SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client\n\n\0");
    for _ in 0..4 {
        world.send(producer, "SEND\ndestination:/queue/a\n\n\0");
    }
    let acks: Vec<_> =
        world.frames(consumer).iter().map(|f| f.header("ack").unwrap().to_string()).collect();
    world.send(consumer, &format!("ACK\nid:{}\n\n\0", acks[2]));
    assert_eq!(world.settled, [(vec![0, 1, 2], Settlement::Accept)]);
    world.send(consumer, &format!("NACK\nid:{}\n\n\0", acks[3]));
    assert_eq!(world.settled[1], (vec![3], Settlement::Reject));
    world.send(consumer, &format!("ACK\nid:{}\n\n\0", acks[1]));
    assert!(world.error(consumer).contains("settled before"));
}

#[test]
fn acknowledgements_of_one_read_travel_together() {
    let mut world = World::new();
    let (producer, consumer) = (world.connect("1.2"), world.connect("1.2"));
    world.send(consumer, "SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client-individual\n\n\0");
    for _ in 0..3 {
        world.send(producer, "SEND\ndestination:/queue/a\n\n\0");
    }
    world.frames(consumer);
    world.send(consumer, "ACK\nid:0-2\n\n\0ACK\nid:0-0\n\n\0ACK\nid:0-1\nreceipt:r\n\n\0");
    assert_eq!(world.settled, [(vec![2, 0], Settlement::Accept), (vec![1], Settlement::Accept)]);
    assert_eq!(world.frames(consumer), [frame("RECEIPT\nreceipt-id:r\n\n\0")]);
}

#[test]
fn auto_deliveries_are_settled_once_handed_out_and_not_before() {
    let mut world = World::new();
    let (producer, consumer) = (world.connect("1.2"), world.connect("1.2"));
    world.send(consumer, "SUBSCRIBE\nid:0\ndestination:/queue/a\n\n\0");
    world.send(producer, "SEND\ndestination:/queue/a\n\n\0");
    assert_eq!(world.settled, []);
    let frames = world.frames(consumer);
    assert_eq!(frames[0].header("ack"), None);
    assert_eq!(world.settled, [(vec![0], Settlement::Accept)]);
}

#[test]
fn prefetch_is_asked_for_by_header_and_bounded() {
    let mut world = World::new();
    let consumer = world.connect("1.2");
    let subscribe =
        |id: u32, header: &str| format!("SUBSCRIBE\nid:{id}\ndestination:/queue/a\n{header}\n\0");
    world.send(consumer, &subscribe(0, ""));
    world.send(consumer, &subscribe(1, "activemq.prefetchSize:3\n"));
    world.send(consumer, &subscribe(2, "activemq.prefetchSize:4000000000\n"));
    assert_eq!(world.prefetches, [100, 3, 10_000]);
    world.send(consumer, &subscribe(3, "activemq.prefetchSize:0\n"));
    assert!(world.error(consumer).contains("`activemq.prefetchSize` is a number from 1, not `0`"));
}

#[test]
fn a_selector_is_read_here_and_goes_on_as_it_was_written() {
    let mut world = World::new();
    for (version, selector, expected) in [
        ("1.2", "convert_string_expressions:n > 5", Some("convert_string_expressions:n > 5")),
        ("1.1", "convert_string_expressions\\cn > 5", Some("convert_string_expressions:n > 5")),
        ("1.0", "type = 'a\\'", Some("type = 'a\\'")),
        ("1.2", "", None),
        ("1.2", " ", None),
    ] {
        let session = world.connect(version);
        let subscribe = "SUBSCRIBE\nid:0\ndestination:/queue/a\nreceipt:r\nselector";
        world.send(session, &format!("{subscribe}:{selector}\n\n\0"));
        assert_eq!(world.frames(session), [frame("RECEIPT\nreceipt-id:r\n\n\0")], "{selector}");
        assert_eq!(world.selectors.pop().as_deref(), expected);
    }
}

#[test]
fn a_redelivery_says_so() {
    let mut world = World::new();
    let (producer, consumer) = (world.connect("1.2"), world.connect("1.2"));
    world.send(consumer, "SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client\n\n\0");
    world.send(producer, "SEND\ndestination:/queue/a\n\n\0");
    assert_eq!(world.frames(consumer)[0].header("redelivered"), None);
    world.send(consumer, "NACK\nid:0-0\n\n\0");
    let again = &world.frames(consumer)[0];
    assert_eq!(again.header("redelivered").unwrap(), &"true");
    assert_eq!(again.header("JMSXDeliveryCount").unwrap(), &"2");
    assert_eq!(again.header("ack").unwrap(), &"0-1");
}

#[test]
fn a_transaction_is_one_operation_and_its_abort_is_none() {
    let mut world = World::new();
    let session = world.connect("1.2");
    world.send(session, "SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client-individual\n\n\0");
    world.send(session, "SEND\ndestination:/queue/a\n\n\0");
    world.frames(session);

    world.send(session, "BEGIN\ntransaction:t\nreceipt:b\n\n\0");
    world.send(session, "SEND\ndestination:/queue/b\ntransaction:t\nreceipt:s\n\n\0");
    world.send(session, "ACK\nid:0-0\ntransaction:t\n\n\0");
    assert_eq!(world.published.len(), 1);
    world.send(session, "ABORT\ntransaction:t\nreceipt:a\n\n\0");
    let receipts: Vec<_> = world.frames(session);
    assert_eq!(receipts.len(), 3);
    assert_eq!((world.published.len(), world.settled.len()), (1, 0));

    // What an aborted transaction acknowledged can be acknowledged again.
    world
        .send(session, "BEGIN\ntransaction:t\n\n\0SEND\ndestination:/queue/b\ntransaction:t\n\n\0");
    world.send(session, "ACK\nid:0-0\ntransaction:t\n\n\0");
    world.hold_outcomes = true;
    world.send(session, "COMMIT\ntransaction:t\nreceipt:c\n\n\0");
    assert_eq!(world.frames(session), []);
    assert_eq!(world.commits, 1);
    assert_eq!(world.settled, [(vec![0], Settlement::Accept)]);
    let tag = world.held[session][0].0;
    world.answer(session, tag, Ok(()));
    assert_eq!(world.frames(session), [frame("RECEIPT\nreceipt-id:c\n\n\0")]);
}

#[test]
fn what_a_transaction_acknowledges_does_not_count_against_the_prefetch_until_it_ends() {
    for (end, again) in [("COMMIT", 0), ("ABORT", 3)] {
        let mut world = World::new();
        let session = world.connect("1.2");
        world.send(
            session,
            "SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client-individual\n\
             activemq.prefetchSize:2\n\n\0BEGIN\ntransaction:t\n\n\0",
        );
        for place in 0..3 {
            world.send(session, "SEND\ndestination:/queue/a\n\n\0");
            world.frames(session);
            world.send(session, &format!("ACK\nid:0-{place}\ntransaction:t\n\n\0"));
        }
        assert_eq!(world.windows, [4]);
        world.send(session, &format!("{end}\ntransaction:t\nreceipt:e\n\n\0"));
        assert_eq!(world.windows, [4, 2]);
        assert_eq!(world.settled.len(), 3 - again);
        assert_eq!(world.frames(session), [frame("RECEIPT\nreceipt-id:e\n\n\0")]);
    }
}

#[test]
fn transactions_are_bounded_and_must_exist() {
    for (frames, expected) in [
        ("COMMIT\ntransaction:x\n\n\0", "there is no open transaction `x`"),
        ("ABORT\ntransaction:x\n\n\0", "there is no open transaction `x`"),
        ("SEND\ndestination:/queue/a\ntransaction:x\n\n\0", "there is no open transaction `x`"),
        ("BEGIN\ntransaction:x\n\n\0BEGIN\ntransaction:x\n\n\0", "`x` is already open"),
        (
            "BEGIN\ntransaction:1\n\n\0BEGIN\ntransaction:2\n\n\0BEGIN\ntransaction:3\n\n\0",
            "2 transactions are open",
        ),
        (
            "BEGIN\ntransaction:1\n\n\0SEND\ntransaction:1\ndestination:/queue/a\n\n\0\
             SEND\ntransaction:1\ndestination:/queue/a\n\n\0\
             SEND\ntransaction:1\ndestination:/queue/a\n\n\0",
            "more than 2 entries",
        ),
        ("SEND\ndestination:/queue/a,/queue/b,/queue/c\n\n\0", "to several destinations at once"),
    ] {
        let mut world = World::with_config(StompConfig {
            operations: OperationLimits {
                max_transactions: 2,
                max_transaction_entries: 2,
                ..OperationLimits::DEFAULT
            },
            ..config()
        });
        let session = world.connect("1.2");
        world.send(session, frames);
        let error = world.error(session);
        assert!(error.contains(expected), "{error}");
        assert_eq!(world.published.len(), 0);
    }
}

/// A configuration with which so many operations may be without an outcome.
fn bounded(max_outstanding: usize) -> StompConfig {
    let operations = OperationLimits { max_outstanding, ..OperationLimits::DEFAULT };
    StompConfig { operations, ..config() }
}

#[test]
fn an_unanswered_producer_is_held_back_and_goes_on_later() {
    let mut world = World::with_config(bounded(2));
    let producer = world.connect("1.2");
    world.hold_outcomes = true;
    world.send(producer, &"SEND\ndestination:/queue/a\n\n\0".repeat(5));
    assert_eq!(world.published.len(), 2);
    assert!(!world.session(producer).wants_input());
    world.answer(producer, 0, Ok(()));
    assert_eq!(world.published.len(), 3);
    for tag in 1..5 {
        world.answer(producer, tag, Ok(()));
    }
    assert_eq!(world.published.len(), 5);
    assert!(world.session(producer).wants_input());
}

#[test]
fn a_client_that_reads_no_receipts_is_held_back() {
    let mut world = World::with_config(StompConfig { max_pending_output_bytes: 100, ..config() });
    let session = world.connect("1.2");
    for n in 0..10 {
        let frames =
            format!("BEGIN\ntransaction:{n}\nreceipt:{n}\n\n\0ABORT\ntransaction:{n}\n\n\0");
        world.send(session, &frames);
    }
    assert!(!world.session(session).wants_input());
    assert!(world.frames(session).len() < 10);
    assert!(world.session(session).wants_input());
}

#[test]
fn acknowledgements_are_hurried_when_the_client_waits_for_all_it_has_said() {
    let mut world = World::new();
    let session = world.connect("1.2");
    world.send(session, "SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client-individual\n\n\0");
    world.send(session, &"SEND\ndestination:/queue/a\n\n\0".repeat(2));
    world.frames(session);
    world.hold_outcomes = true;
    world.send(session, "ACK\nid:0-0\n\n\0");
    assert_eq!(world.hurried, 0);
    world.send(session, "ACK\nid:0-1\nreceipt:r\n\n\0DISCONNECT\nreceipt:end\n\n\0");
    assert_eq!(world.hurried, 1);
}

#[test]
fn a_client_that_is_held_back_does_not_wait_for_what_may_take_its_time() {
    let mut world = World::with_config(bounded(4));
    let session = world.connect("1.2");
    world.send(session, "SUBSCRIBE\nid:0\ndestination:/queue/a\n\n\0");
    world.hold_outcomes = true;
    world.send(session, &"SEND\ndestination:/queue/a\n\n\0".repeat(3));
    world.frames(session);
    assert_eq!(world.hurried, 0);
    world.send(session, "SEND\ndestination:/queue/a\n\n\0");
    assert_eq!(world.hurried, 1);
}

#[test]
fn after_eof_the_rest_is_carried_out_before_the_session_closes() {
    let mut world = World::with_config(bounded(1));
    let producer = world.connect("1.2");
    world.hold_outcomes = true;
    world.send(producer, &"SEND\ndestination:/queue/a\nreceipt:1\n\n\0".repeat(2));
    let now = world.now;
    world.session(producer).handle_eof(now);
    assert!(!world.session(producer).is_closed());
    world.answer(producer, 0, Ok(()));
    world.answer(producer, 1, Ok(()));
    assert_eq!(world.published.len(), 2);
    assert!(world.session(producer).is_closed());
    assert_eq!(world.frames(producer).len(), 2);
}

/// Three consumers that hold two messages each: one settles by itself, the others do not. What is
/// in work is the oldest of those, unless it was acknowledged in a transaction.
fn consumers_in_the_middle_of_work() -> (World, usize) {
    let mut world = World::new();
    let session = world.open();
    world.send(session, "CONNECT\naccept-version:1.2\nheart-beat:1000,0\n\n\0");
    world.frames(session);
    for mode in ["auto", "client", "client-individual"] {
        world.send(
            session,
            &format!("SUBSCRIBE\nid:{mode}\ndestination:/queue/{mode}\nack:{mode}\n\n\0"),
        );
        for _ in 0..3 {
            world.send(session, &format!("SEND\ndestination:/queue/{mode}\n\n\0"));
        }
    }
    let frames = world.frames(session);
    world.send(session, "BEGIN\ntransaction:t\n\n\0");
    let first = frames[6].header(header::ACK).unwrap();
    world.send(session, &format!("ACK\nid:{first}\ntransaction:t\n\n\0"));
    world.settled.clear();
    (world, session)
}

#[test]
fn a_client_that_goes_without_a_word_has_died_of_what_it_was_working_on() {
    let ends: [fn(&mut World, usize); 3] = [
        |world, session| world.eof(session),
        |world, session| world.lost(session),
        |world, session| {
            world.now.elapsed = Duration::from_secs(3600);
            let now = world.now;
            world.session(session).handle_timeout(now);
            world.settle_down(session);
        },
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let (mut world, session) = consumers_in_the_middle_of_work();
        end(&mut world, session);
        assert_eq!(world.failed, [3, 7], "end {number}");
        assert_eq!(world.settled, [], "end {number}");
        assert!(world.session(session).is_closed());
        assert!(!world.session(session).has_output());
    }
}

#[test]
fn a_client_that_takes_its_leave_has_died_of_nothing() {
    let ends: [fn(&mut World, usize); 4] = [
        |world, session| world.send(session, "DISCONNECT\n\n\0"),
        |world, session| {
            world.send(session, "DISCONNECT\n\n\0");
            world.lost(session);
        },
        |world, session| {
            world.send(session, "UNSUBSCRIBE\nid:client\n\n\0");
            world.send(session, "UNSUBSCRIBE\nid:client-individual\n\n\0");
            world.eof(session);
        },
        |world, session| {
            let now = world.now;
            world.session(session).shut_down(now, "going away");
            world.eof(session);
        },
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let (mut world, session) = consumers_in_the_middle_of_work();
        end(&mut world, session);
        assert!(world.failed.is_empty() && world.settled.is_empty(), "end {number}");
    }
}

#[test]
fn an_operation_that_nobody_answers_ends_the_session_and_says_so() {
    let mut world = World::with_config(StompConfig {
        operations: OperationLimits {
            answer_timeout: Duration::from_secs(3),
            ..OperationLimits::DEFAULT
        },
        heart_beat_send: Duration::ZERO,
        heart_beat_expect: Duration::ZERO,
        ..config()
    });
    let producer = world.connect("1.2");
    world.hold_outcomes = true;
    world.now.elapsed = Duration::from_secs(1);
    world.send(producer, "SEND\ndestination:/queue/a\nreceipt:r\n\n\0");
    assert_eq!(world.session(producer).poll_timeout(), Some(Duration::from_secs(4)));
    world.now.elapsed = Duration::from_secs(4);
    let now = world.now;
    world.session(producer).handle_timeout(now);
    let error = world.error(producer);
    assert!(error.contains(&format!("SEND: {OUTCOME_UNKNOWN}")), "{error}");
    // What the cluster answers later is nobody's any more.
    world.answer(producer, 0, Ok(()));
    assert_eq!(world.frames(producer), []);
}

#[test]
fn unsubscribing_drops_what_was_not_sent() {
    let mut world = World::new();
    let (producer, consumer) = (world.connect("1.2"), world.connect("1.2"));
    world.send(consumer, "SUBSCRIBE\nid:0\ndestination:/queue/a\n\n\0");
    world.send(producer, "SEND\ndestination:/queue/a\n\n\0");
    world.send(consumer, "UNSUBSCRIBE\nid:0\nreceipt:u\n\n\0");
    assert_eq!(world.frames(consumer), [frame("RECEIPT\nreceipt-id:u\n\n\0")]);
    assert_eq!(world.settled, []);
    // The id is free again.
    world.send(consumer, "SUBSCRIBE\nid:0\ndestination:/queue/b\nreceipt:s\n\n\0");
    assert_eq!(world.frames(consumer), [frame("RECEIPT\nreceipt-id:s\n\n\0")]);
}

#[test]
fn shutting_down_ends_what_is_outstanding_and_says_why() {
    let mut world = World::new();
    let producer = world.connect("1.2");
    world.hold_outcomes = true;
    world.send(producer, "SEND\ndestination:/queue/a\nreceipt:1\n\n\0");
    let now = world.now;
    world.session(producer).shut_down(now, "this node is going away");
    assert!(!world.session(producer).wants_input());
    assert!(!world.session(producer).is_closed());
    world.answer(producer, 0, Ok(()));
    let frames = world.frames(producer);
    assert_eq!(frames[0], frame("RECEIPT\nreceipt-id:1\n\n\0"));
    assert_eq!(frames[1].header("message").unwrap(), &"this node is going away");
    assert!(world.session(producer).is_closed());
}

#[test]
fn output_comes_in_bounded_pieces() {
    let mut world = World::new();
    let (producer, consumer) = (world.connect("1.2"), world.connect("1.2"));
    world.send(consumer, "SUBSCRIBE\nid:0\ndestination:/queue/a\n\n\0");
    let body = "x".repeat(10_000);
    for _ in 0..50 {
        world.send(producer, &format!("SEND\ndestination:/queue/a\n\n{body}\0"));
    }
    let now = world.now;
    let (mut out, mut pieces) = (BytesMut::new(), 0);
    while world.session(consumer).poll_transmit(now, &mut out) {
        assert!(out.len() < TRANSMIT_BYTES + 11_000, "{}", out.len());
        out.clear();
        pieces += 1;
    }
    assert!(pieces > 5);
}

#[test]
fn text_in_the_error_names_the_frame_but_no_secret() {
    let mut world = World::new();
    let session = world.open();
    world.send(session, "CONNECT\naccept-version:9\nlogin:u\npasscode:hush\n\n\0");
    let error = &world.frames(session)[0];
    let body = String::from_utf8(error.body.to_vec()).unwrap();
    assert!(body.contains("login:u") && body.contains("passcode:***"), "{body}");
    assert!(!body.contains("hush"));
}

#[test]
fn a_client_that_never_connects_is_told_and_closed() {
    let mut world = World::new();
    let session = world.open();
    assert_eq!(world.session(session).poll_timeout(), Some(Duration::from_secs(30)));
    world.now.elapsed = Duration::from_secs(30);
    let now = world.now;
    world.session(session).handle_timeout(now);
    assert!(world.error(session).contains("no CONNECT frame came in time"));
}
