//! What policies say of messages that nobody consumes.

use paceline_membership::{Policies, Policy};

use super::*;
use crate::{Destination, Value, durable::Durable, rules::Expired, testing::message_to};

fn rules(entries: &[(&str, Option<u8>, Option<Expired>)]) -> Command {
    let policies = entries.iter().map(|(destination, max_redeliveries, expired)| {
        let policy = Policy::of(Destination::parse(destination).unwrap());
        Policy { max_redeliveries: *max_redeliveries, expired: *expired, ..policy }
    });
    let policies = Policies::try_from(policies.collect::<Vec<_>>()).unwrap();
    Command::Rules { rules: Rules::of_policies(&policies).into() }
}

fn expiring(queue: &str, at: u64) -> Message {
    Message { expires: Some(UnixMillis(at)), ..message(queue, "a") }
}

fn text(message: &Message, name: &str) -> String {
    let property = message.properties.iter().find(|(known, _)| &**known == name);
    property.map_or_else(String::new, |(_, value)| value.to_text().unwrap().into())
}

/// The only message of a dead-letter queue, as its consumers get it.
fn dead(state: &ShardState, at: MessageRef, written: Message) -> Arc<Message> {
    state.compose(at, &written.into()).unwrap()
}

#[test]
fn a_queue_has_its_own_limit_on_redelivery() {
    let mut state = ShardState::new();
    apply(&mut state, [rules(&[("/queue/q", Some(0), None), ("/queue/r", Some(1), None)])]);
    let published = apply(&mut state, ["q", "r", "s"].map(|queue| publish(message(queue, "a"))));
    let [q, r, s] = ready(&published)[..] else { panic!("three are there") };
    apply(&mut state, [q, r, s].map(reject));
    let depths = |state: &ShardState| ["DLQ.q", "DLQ.r", "DLQ.s"].map(|queue| state.depth(queue));
    assert_eq!(depths(&state), [1, 0, 0]);
    assert!(state.is_worn_out(r, 0) && !state.is_worn_out(s, 0));
    // The rules are those of when it is rejected, and a replica that was refilled knows them.
    let mut state = reborn(&state);
    apply(&mut state, [rules(&[("/queue/>", Some(1), None)])]);
    apply(&mut state, [r, s].map(reject));
    assert_eq!(depths(&state), [1, 1, 1]);
}

#[test]
fn an_expired_message_is_a_dead_letter_where_its_policy_says_so() {
    let mut state = ShardState::new();
    let keep = ("/queue/>", None, Some(Expired::DeadLetter));
    apply(&mut state, [rules(&[("/queue/free", None, None), keep])]);
    let published = ["q", "free", "ID:c:1", "DLQ.q"].map(|queue| publish(expiring(queue, 2_000)));
    let all = ready(&apply(&mut state, published));
    let expire = Command::Expire { as_of: UnixMillis(2_000), messages: all.clone() };
    let applied = apply(&mut state, [expire.clone()]);
    let buried = ready(&applied)[0];
    assert_eq!(ready(&applied).len(), 1, "neither what is temporary nor what is dead already");
    assert_eq!((state.depth("q"), state.depth("DLQ.q"), state.resident()), (0, 1, 1));
    let counters = Counters { entered: 5, dead_lettered: 1, expired: 3, ..Counters::default() };
    assert_eq!(state.counters(), counters);
    let letter = dead(&state, buried, expiring("q", 2_000));
    assert_eq!(letter.expires, None);
    assert_eq!(text(&letter, ORIGINAL_DESTINATION), "/queue/q");
    assert_eq!(text(&letter, FAILURE_CAUSE), "expired before it was consumed");
    assert!(letter.properties.contains(&(ORIGINAL_EXPIRATION.into(), Value::Long(2_000))));
    assert_eq!(apply(&mut state, [expire]).effects, [], "done already");
    let mut state = reborn(&state);
    assert_eq!(state.live_entries().collect::<Vec<_>>(), [all[0].index]);
    assert_eq!(apply(&mut state, [accept(buried)]).freed[0], all[0].index);
}

#[test]
fn a_dead_letter_that_its_consumer_had_acknowledged_is_none() {
    let mut state = ShardState::new();
    apply(&mut state, [rules(&[("/queue/>", Some(0), Some(Expired::DeadLetter))])]);
    // Of one the time is over, the other is rejected by whom the next leader gave it to.
    let published = apply(&mut state, [expiring("q", 2_000), message("q", "b")].map(publish));
    let [late, tried] = ready(&published)[..] else { panic!("two are there") };
    let expire = Command::Expire { as_of: UnixMillis(2_000), messages: vec![late] };
    let letters = ready(&apply(&mut state, [expire, reject(tried)]));
    assert_eq!((letters.len(), state.depth("DLQ.q")), (2, 2));
    let mut state = reborn(&state);
    // To reject it late, or to give it back, is passed over as ever.
    assert_eq!(apply(&mut state, [late, tried].map(reject)).effects, []);
    let effects = apply(&mut state, [late, tried].map(accept)).effects;
    let named = effects.iter().filter_map(Effect::accepted_dead);
    let both = [(late, letters[0]), (tried, letters[1])];
    assert_eq!(named.collect::<Vec<_>>(), both);
    let gone = effects.iter().filter_map(|effect| match effect {
        Effect::Gone { message, .. } => Some(*message),
        _ => None,
    });
    assert_eq!(gone.collect::<Vec<_>>(), letters);
    assert_eq!((state.depth("DLQ.q"), state.resident()), (0, 0));
    assert_eq!(apply(&mut state, [late].map(accept)).effects, [], "done already");
    reborn(&state);
}

#[test]
fn a_dead_letter_that_a_transaction_takes_stays_with_it() {
    let mut state = ShardState::new();
    apply(&mut state, [rules(&[("/queue/>", None, Some(Expired::DeadLetter))])]);
    let late = ready(&apply(&mut state, [publish(expiring("q", 2_000))]))[0];
    let expire = Command::Expire { as_of: UnixMillis(2_000), messages: vec![late] };
    let letter = ready(&apply(&mut state, [expire]))[0];
    let work = Work { publishes: Vec::new(), settles: vec![(letter, Settlement::Accept)] };
    let transaction = TransactionId { session: SESSION, number: 1 };
    apply(&mut state, [Command::Prepare { transaction, coordinator: 9, work }]);
    let applied = apply(&mut state, [accept(late)]);
    assert_eq!((applied.effects, state.depth("DLQ.q")), (vec![], 1));
    apply(&mut state, [Command::Finish { transaction, commit: true }]);
    assert_eq!(state.resident(), 0);
}

#[test]
fn what_comes_too_late_is_a_dead_letter_likewise() {
    let mut state = ShardState::new();
    apply(&mut state, [rules(&[("/queue/>", None, Some(Expired::DeadLetter))])]);
    let late = || expiring("q", 1_000);
    let applied = apply(&mut state, [publish(late())]);
    let at = ready(&applied)[0];
    assert_eq!((state.depth("q"), state.depth("DLQ.q")), (0, 1));
    assert_eq!(state.body_at(at), Some(MessageRef::new(applied.index, 0, 0)));
    assert_eq!(text(&dead(&state, at, late()), FAILURE_CAUSE), "expired before it was consumed");
    let publishes = vec![late().into(), message("q", "b").into(), late().into()];
    let work = Work { publishes, settles: Vec::new() };
    let transaction = TransactionId { session: SESSION, number: 1 };
    let prepare = Command::Prepare { transaction, coordinator: 9, work: work.clone() };
    let finish = Command::Finish { transaction, commit: true };
    for commands in [vec![Command::Transact { work }], vec![prepare, finish]] {
        let before = state.depth("DLQ.q");
        apply(&mut state, commands);
        assert_eq!(state.depth("DLQ.q"), before + 2);
    }
    assert_eq!((state.depth("q"), state.resident()), (2, 7));
    reborn(&state);
}

#[test]
fn a_topics_policy_is_that_of_its_durable_subscriptions() {
    let mut state = ShardState::new();
    apply(&mut state, [rules(&[("/topic/t", Some(0), Some(Expired::DeadLetter))])]);
    let terms = Terms { topic: "t".into(), selector: None, no_local: false };
    let durables = ["a", "b"].map(|name| Durable::new("c", name).unwrap());
    apply(&mut state, durables.map(|durable| Command::Subscribe { durable, terms: terms.clone() }));
    let topic = Destination::topic("t").unwrap();
    let late = Message { expires: Some(UnixMillis(1_000)), ..message_to(topic.clone(), "a") };
    let letters = ready(&apply(&mut state, [publish(late.clone())]));
    assert_eq!((letters.len(), state.depth("DLQ.t")), (2, 2), "one of each");
    assert_eq!(text(&dead(&state, letters[0], late), ORIGINAL_DESTINATION), "/topic/t");
    let copies = ready(&apply(&mut state, [publish(message_to(topic, "b"))]));
    apply(&mut state, copies.into_iter().map(reject));
    assert_eq!((state.depth("DLQ.t"), state.resident()), (4, 4));
    reborn(&state);
}
