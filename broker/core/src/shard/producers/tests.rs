use super::*;
use crate::{
    Message,
    bounds::{Bound, WhenFull},
    shard::{Batch, Command, Origin, Outcome, SessionId},
    testing::{batch, message},
};

const MINUTE: u64 = 60_000;

fn sent(producer: u32, number: i64) -> Message {
    Message { id: format!("ID:host-1-0:1:1:{producer}:{number}").into(), ..message("q", "m") }
}

fn publish(state: &mut ShardState, message: Message) -> bool {
    publish_at(state, 0, message)
}

/// Whether it was stored.
fn publish_at(state: &mut ShardState, minute: u64, message: Message) -> bool {
    let before = state.resident();
    let command = Command::Publish { message: message.into() };
    let now = UnixMillis(minute * MINUTE);
    let applied = state.apply(state.applied() + 1, &Batch { now, commands: vec![(None, command)] });
    assert_eq!(applied.outcomes, [Outcome::Done]);
    check(state);
    state.resident() > before
}

/// What follows from the table is what a copy makes of it.
fn check(state: &ShardState) {
    let copy = ShardState::restore(&state.snapshot()).unwrap();
    assert_eq!(copy.digest(), state.digest());
    let (here, there) = (&state.derived.producers, &copy.derived.producers);
    assert_eq!((&here.names, here.ranges), (&there.names, there.ranges));
}

#[test]
fn what_is_sent_again_is_stored_once() {
    let mut state = ShardState::new();
    for number in [5, 6, 9, 7] {
        assert!(publish(&mut state, sent(1, number)));
        assert!(!publish(&mut state, sent(1, number)));
    }
    assert_eq!(state.tables.producers["ID:host-1-0:1:1:1"].stored, [(5, 7), (9, 9)]);
    assert!(publish(&mut state, sent(1, 8)), "a hole is no number that was stored");
    assert_eq!(state.tables.producers["ID:host-1-0:1:1:1"].stored, [(5, 9)]);
    assert!(publish(&mut state, sent(2, 5)), "another producer counts for itself");
    assert!(publish(&mut state, sent(1, 4)), "nor is a lower one");
    assert!(!publish(&mut state, sent(1, 4)));
}

#[test]
fn whoever_gives_no_number_sends_another_message_each_time() {
    let mut state = ShardState::new();
    for id in
        ["ID:n1-4-7:12", "m", "", "ID:a:1:1:", "ID:a:1:x:3", "ID:a:b:1:3", "X:a:1:1:3", "::::"]
    {
        for _ in 0..2 {
            assert!(publish(&mut state, Message { id: id.into(), ..message("q", "m") }), "{id}");
        }
    }
    assert!(state.tables.producers.is_empty());
    let largest = format!("ID:a:1:1:{}", i64::MAX);
    for (id, is_known) in [(largest.as_str(), true), ("ID:a:1:1:99999999999999999999", false)] {
        assert!(publish(&mut state, Message { id: id.into(), ..message("q", "m") }));
        assert_ne!(publish(&mut state, Message { id: id.into(), ..message("q", "m") }), is_known);
    }
}

#[test]
fn the_lowest_numbers_and_the_oldest_producers_are_forgotten() {
    let mut state = ShardState::new();
    for number in 0..=MOST_RANGES as i64 {
        publish_unchecked(&mut state, sent(1, 2 * number));
    }
    assert!(!publish(&mut state, sent(1, 2)), "the lowest but one is known");
    assert!(publish(&mut state, sent(1, 0)), "the lowest is not");

    let mut state = ShardState::new();
    for producer in 0..=MOST_RANGES_IN_ALL as u32 {
        publish_unchecked(&mut state, sent(producer, 1));
    }
    assert_eq!(state.tables.producers.len(), MOST_RANGES_IN_ALL);
    assert!(!publish(&mut state, sent(1, 1)));
    assert!(publish(&mut state, sent(0, 1)));

    let mut state = ShardState::new();
    publish_at(&mut state, 0, sent(1, 1));
    publish_at(&mut state, 2, sent(2, 1));
    publish_at(&mut state, 9, sent(1, 2));
    publish_at(&mut state, 13, sent(3, 1));
    assert_eq!(state.tables.producers.len(), 2, "the second was silent for too long");
    assert!(!publish_at(&mut state, 13, sent(1, 1)));
}

fn publish_unchecked(state: &mut ShardState, message: Message) {
    state.apply(state.applied() + 1, &batch([Command::Publish { message: message.into() }]));
}

#[test]
fn what_was_stored_needs_no_room() {
    let mut state = ShardState::new();
    let bound = Bound {
        policy: "/queue/q".into(),
        max_messages: Some(1),
        max_bytes: None,
        when_full: WhenFull::Block,
    };
    let mut seq = 0;
    let mut within = |state: &mut ShardState, number, again| {
        seq += 1;
        let origin = Origin { session: SessionId { node: 1, incarnation: 1 }, seq };
        let message = sent(1, number).into();
        let command = Command::PublishWithin { message, again, bound: bound.clone().into() };
        let mut batch = batch([command]);
        batch.commands[0].0 = Some(origin);
        state.apply(state.applied() + 1, &batch).outcomes.remove(0)
    };
    assert_eq!(within(&mut state, 1, false), Outcome::Done);
    assert!(matches!(within(&mut state, 2, false), Outcome::Refused(_)), "there is no room");
    assert_eq!(within(&mut state, 1, false), Outcome::Done, "it is there already");
    assert!(matches!(within(&mut state, 2, true), Outcome::Refused(_)), "it is not");
    check(&state);
}

#[test]
fn a_snapshot_that_contradicts_itself_is_refused() {
    let producer = |stored: &[(i64, i64)], index| {
        let last = MessageRef::new(index, 0, 0);
        Producer { stored: stored.to_vec(), last, at: UnixMillis(0) }
    };
    let is_sound = |producers: &[(&str, Producer)]| {
        let table = producers.iter().map(|(name, it)| ((*name).into(), it.clone())).collect();
        derive(&table, 9).is_some()
    };
    assert!(is_sound(&[("a", producer(&[(1, 2), (4, 4)], 9)), ("b", producer(&[(-3, 7)], 8))]));
    for wrong in
        [&[][..], &[(2, 1)], &[(1, 2), (3, 4)], &[(4, 4), (1, 1)], &[(1, i64::MAX), (2, 2)]]
    {
        assert!(!is_sound(&[("a", producer(wrong, 9))]), "{wrong:?}");
    }
    assert!(!is_sound(&[("a", producer(&[(1, 1)], 10))]));
    assert!(!is_sound(&[("a", producer(&[(1, 1)], 9)), ("b", producer(&[(1, 1)], 9))]));
}
