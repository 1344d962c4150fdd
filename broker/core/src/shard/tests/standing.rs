//! Durable subscriptions and virtual topics.

use super::*;
use crate::{Destination, DestinationKind, Value, durable::Durable, testing::message_to};

fn durable(name: &str) -> Durable {
    Durable::new("c", name).unwrap()
}

fn subscribe(name: &str, topic: &str, selector: Option<&str>) -> Command {
    let terms = Terms { topic: topic.into(), selector: selector.map(Into::into), no_local: false };
    Command::Subscribe { durable: durable(name), terms }
}

fn to_topic(topic: &str, text: &str) -> Message {
    message_to(Destination::topic(topic).unwrap(), text)
}

/// What stands in a queue, in the order of delivery.
fn waiting(state: &ShardState, queue: &str) -> Vec<String> {
    let id = state.derived.names[queue];
    let of_it = state.residents().filter(|resident| resident.queue == id);
    let body = |resident: Resident| match state.content(resident.message).unwrap() {
        Content::Here(message) => message.id.to_string(),
        Content::Evicted(at) => format!("{at}"),
    };
    of_it.map(body).collect()
}

fn waits_for(state: &ShardState, name: &str) -> Vec<String> {
    waiting(state, &durable(name).queue())
}

#[test]
fn a_topics_message_is_stored_once_and_had_by_all() {
    let mut state = ShardState::new();
    apply(&mut state, [subscribe("a", "t", None), subscribe("b", "t", None)]);
    apply(&mut state, [subscribe("other", "u", None)]);
    let applied = apply(&mut state, [publish(to_topic("t", "m"))]);
    let both = ready(&applied);
    assert_eq!(both, [MessageRef::new(3, 0, 0), MessageRef::new(3, 0, 1)]);
    assert!(both.iter().all(|message| state.body_at(*message) == Some(both[0])));
    let fanned = applied.effects.iter().filter(|it| matches!(it, Effect::FanOut { .. }));
    assert_eq!(fanned.count(), 1);
    assert_eq!(applied.freed, [0; 0]);
    assert_eq!((waits_for(&state, "a"), waits_for(&state, "other")), (vec!["m".into()], vec![]));
    assert_eq!(apply(&mut state, [accept(both[0])]).freed, [4], "the other has it still");
    let mut reborn = reborn(&state);
    assert_eq!(waits_for(&reborn, "b"), ["3.0.0"]);
    assert_eq!(apply(&mut reborn, [accept(both[1])]).freed, [3, 5]);
    // Where it may have been handed on before, nobody is sent it again.
    let stored = Command::Store { message: to_topic("t", "n").into() };
    let applied = apply(&mut state, [stored]);
    assert_eq!(ready(&applied).len(), 2);
    assert!(!applied.effects.iter().any(|it| matches!(it, Effect::FanOut { .. })));
}

#[test]
fn what_a_selector_does_not_select_is_not_there() {
    let mut state = ShardState::new();
    let selector = Some("JMSMessageID = 'b'");
    apply(&mut state, [subscribe("s", "t", selector)]);
    let mut reborn = reborn(&state);
    for state in [&mut state, &mut reborn] {
        let applied = apply(state, ["a", "b", "c"].map(|text| publish(to_topic("t", text))));
        assert_eq!(waits_for(state, "s"), ["b"]);
        assert_eq!(applied.freed, [0; 0]);
    }
    assert_eq!(state.digest(), reborn.digest());
    let broken = apply(&mut state, [subscribe("s", "t", Some("n >"))]).outcomes;
    assert!(matches!(broken[..], [Outcome::Refused(Refused::Selector(_))]), "{broken:?}");
}

#[test]
fn other_terms_begin_anew_and_the_same_change_nothing() {
    let mut state = ShardState::new();
    let sent = |state: &mut ShardState| {
        apply(state, [publish(to_topic("t", "m"))]);
    };
    apply(&mut state, [subscribe("s", "t", None)]);
    sent(&mut state);
    apply(&mut state, [subscribe("s", "t", None)]);
    assert_eq!(waits_for(&state, "s"), ["m"]);
    let applied = apply(&mut state, [subscribe("s", "t", Some("JMSPriority > 0"))]);
    assert!(applied.effects.iter().any(|it| matches!(it, Effect::QueueDeleted { .. })));
    assert_eq!((waits_for(&state, "s"), state.resident()), (vec![], 0));
    sent(&mut state);
    apply(&mut state, [subscribe("s", "u", None)]);
    assert_eq!(state.resident(), 0);
    assert!(state.is_entered("u") && !state.is_entered("t"));
    apply(&mut state, [Command::Unsubscribe { durable: durable("s") }]);
    assert!(!state.is_entered("u") && state.durables().next().is_none());
    let again = apply(&mut state, [Command::Unsubscribe { durable: durable("s") }]);
    assert_eq!(again.outcomes, [Outcome::Done]);
}

#[test]
fn a_transaction_enters_every_subscription_in_its_order() {
    let mut state = ShardState::new();
    let queue = "Consumer.a.VirtualTopic.x";
    let topic = "VirtualTopic.x";
    apply(&mut state, [subscribe("s", topic, None), Command::CreateQueue { queue: queue.into() }]);
    let work = || Work {
        publishes: vec![
            to_topic(topic, "1").into(),
            message(queue, "2").into(),
            to_topic(topic, "3").into(),
        ],
        settles: Vec::new(),
    };
    apply(&mut state, [Command::Transact { work: work() }]);
    assert_eq!(waiting(&state, queue), ["1", "2", "3"]);
    assert_eq!(waits_for(&state, "s"), ["1", "3"]);
    let transaction = TransactionId { session: SESSION, number: 1 };
    let prepare = Command::Prepare { transaction, coordinator: 0, work: work() };
    assert_eq!(apply(&mut state, [prepare]).freed, [0; 0], "the bodies are there");
    // What comes to be in between has not been counted.
    apply(&mut state, [subscribe("late", topic, None)]);
    let mut state = reborn(&state);
    apply(&mut state, [Command::Finish { transaction, commit: true }]);
    let waiting = waiting(&state, queue);
    assert_eq!(waiting[3..], ["1", "2", "3"]);
    assert_eq!((waits_for(&state, "s").len(), waits_for(&state, "late").len()), (4, 0));
}

#[test]
fn a_dead_letter_is_in_the_topics_queue_and_says_where_it_was_sent() {
    let mut state = ShardState::new();
    apply(&mut state, [subscribe("s", "t", None)]);
    let first = ready(&apply(&mut state, [publish(to_topic("t", "m"))]))[0];
    let dead = Command::Settle { settles: vec![(first, Settlement::DeadLetter)] };
    let moved = ready(&apply(&mut state, [dead]))[0];
    let Some(Content::Here(letter)) = state.content(moved) else { panic!() };
    assert_eq!(letter.destination, Destination::queue("DLQ.t").unwrap());
    let origin = letter.properties.iter().find(|(name, _)| &**name == ORIGINAL_DESTINATION);
    assert_eq!(origin.unwrap().1, Value::Text("/topic/t".into()));
}

#[test]
fn a_queue_takes_part_in_its_virtual_topic_as_long_as_it_is_there() {
    let mut state = ShardState::new();
    let (one, two) = ("Consumer.a.VirtualTopic.x", "Consumer.b.VirtualTopic.x");
    apply(&mut state, [Command::CreateQueue { queue: one.into() }]);
    apply(&mut state, [publish(message(two, "direct"))]);
    let applied = apply(&mut state, [publish(to_topic("VirtualTopic.x", "m"))]);
    assert_eq!((waiting(&state, one).len(), waiting(&state, two).len()), (1, 2));
    for (message, queue) in ready(&applied).into_iter().zip([one, two]) {
        let Some(Content::Here(message)) = state.content(message) else { panic!() };
        let destination = &message.destination;
        assert_eq!((destination.kind, &*destination.name), (DestinationKind::Queue, queue));
    }
    apply(
        &mut state,
        [Command::Purge { queue: one.into() }, Command::Delete { queue: one.into() }],
    );
    let mut state = reborn(&state);
    let applied = apply(&mut state, [publish(to_topic("VirtualTopic.x", "n"))]);
    assert_eq!(ready(&applied).len(), 1);
}

#[test]
fn the_shard_of_a_name_knows_where_else_a_subscription_may_be() {
    let mut state = ShardState::new();
    let register = |slot| Command::Register { durable: durable("s"), slot };
    let others = |state: &mut ShardState, slot| {
        let outcome = apply(state, [register(slot)]).outcomes.remove(0);
        let Outcome::Registered(others) = outcome else { panic!("{outcome:?}") };
        others
    };
    assert_eq!(others(&mut state, None), []);
    assert_eq!(others(&mut state, Some(3)), []);
    assert_eq!(others(&mut state, Some(4)), [(3, 2)]);
    let mut state = reborn(&state);
    assert_eq!(others(&mut state, Some(3)), [(4, 3)]);
    let unregister = |slot, at| Command::Unregister { durable: durable("s"), slot, at };
    // Of slot 3 it was noted again since.
    apply(&mut state, [unregister(3, 2), unregister(4, 3)]);
    assert_eq!(others(&mut state, None), [(3, 4)]);
    apply(&mut state, [unregister(3, 4)]);
    assert_eq!(others(&mut state, None), []);
}

#[test]
fn what_a_transaction_holds_is_not_deleted_under_it() {
    let mut state = ShardState::new();
    apply(&mut state, [subscribe("s", "t", None)]);
    let held = ready(&apply(&mut state, [publish(to_topic("t", "m"))]))[0];
    let transaction = TransactionId { session: SESSION, number: 1 };
    let work = Work { publishes: Vec::new(), settles: vec![(held, Settlement::Accept)] };
    apply(&mut state, [Command::Prepare { transaction, coordinator: 0, work }]);
    let delete = || Command::Unsubscribe { durable: durable("s") };
    let refused = apply(&mut state, [delete()]).outcomes;
    assert_eq!(refused, [Outcome::Refused(Refused::DurableLocked(durable("s")))]);
    apply(&mut state, [Command::Finish { transaction, commit: false }, delete()]);
    assert_eq!((state.resident(), state.counters().purged), (0, 1));
}
