use super::*;
use crate::{
    Value,
    serving::tests::{NOW, World},
    testing::message,
};

fn delayed(text: &str, delay: i64) -> Message {
    let properties = vec![("AMQ_SCHEDULED_DELAY".into(), Value::Long(delay))];
    Message { properties, ..message("q", text) }
}

/// A leader that has put off messages with these delays.
fn world(delays: &[i64]) -> World {
    let mut world = World::led();
    world.open(1);
    for (seq, delay) in (1..).zip(delays) {
        let message = delayed(&format!("m{seq}"), *delay).into();
        world.command(1, seq, Command::Publish { message });
        world.carry_out();
    }
    world
}

fn after(millis: u64) -> UnixMillis {
    UnixMillis(NOW.0 + millis)
}

#[test]
fn a_message_is_read_and_proposed_when_it_is_due() {
    let mut world = world(&[500, 200]);
    assert_eq!(world.due_in(NOW), Some(200));
    assert_eq!(world.pass(after(199)), []);
    let at = MessageRef::new(2, 0, 0);
    assert_eq!(world.pass(after(200)), [at]);
    assert_eq!(world.due_in(after(200)), Some(300), "it is under way");
    assert_eq!(world.pass(after(200)), []);

    world.read(at, Some(delayed("m2", 200)));
    world.carry_out();
    assert_eq!((world.depth("q"), world.waiting()), (1, 1));
    assert_eq!(world.due_in(after(200)), Some(300));
    // It was asked for twice.
    world.read(at, Some(delayed("m2", 200)));
    world.carry_out();
    assert_eq!((world.depth("q"), world.waiting()), (1, 1));
}

#[test]
fn what_cannot_be_read_is_asked_for_again() {
    let mut world = world(&[200]);
    let at = MessageRef::new(1, 0, 0);
    assert_eq!(world.pass(after(300)), [at]);
    world.read(at, None);
    world.carry_out();
    assert_eq!(world.waiting(), 1);
    assert!(world.due_in(after(300)).is_some(), "it is looked after");
    world.pass_seconds(2);
    world.pass(after(300));
    assert_eq!(world.pass(after(300)), [at]);
    world.read(at, Some(delayed("m1", 200)));
    world.carry_out();
    assert_eq!(world.waiting(), 0);
}

#[test]
fn no_more_than_so_many_are_under_way() {
    let mut world = world(&[5; AT_ONCE + 1]);
    assert_eq!(world.pass(after(5)).len(), AT_ONCE);
    assert_eq!(world.due_in(after(5)), None);
    world.read(MessageRef::new(1, 0, 0), Some(delayed("m1", 5)));
    world.carry_out();
    assert_eq!(world.due_in(after(5)), Some(1));
    assert_eq!(world.pass(after(5)), [MessageRef::new(AT_ONCE as u64 + 1, 0, 0)]);
}

#[test]
fn what_has_expired_is_not_repeated() {
    let repeated = |expires: Option<u64>| Message {
        properties: vec![
            ("AMQ_SCHEDULED_PERIOD".into(), Value::Long(100)),
            ("AMQ_SCHEDULED_REPEAT".into(), Value::Int(-1)),
        ],
        expires: expires.map(after),
        ..message("q", "m")
    };
    for (expires, waiting, depth) in [(None, 1, 1), (Some(101), 1, 1), (Some(100), 0, 0)] {
        let mut world = World::led();
        world.open(1);
        let message = repeated(expires);
        world.command(1, 1, Command::Publish { message: message.clone().into() });
        world.carry_out();
        let at = MessageRef::new(1, 0, 0);
        assert_eq!(world.pass(after(100)), [at]);
        world.read(at, Some(message));
        world.carry_out();
        assert_eq!((world.waiting(), world.depth("q")), (waiting, depth), "{expires:?}");
    }
}
