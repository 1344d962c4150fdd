use crate::{
    Destination, Message, UnixMillis, Value,
    schedule::{self, Due, Repeats},
    shard::*,
    testing::{batch, message, message_to, publish},
};

/// When batches of [`batch`] are applied.
const NOW: u64 = 1_000;

fn scheduled(message: Message, properties: &[(&str, i64)]) -> Message {
    let properties = properties
        .iter()
        .map(|(name, value)| (format!("AMQ_SCHEDULED_{name}").into(), Value::Long(*value)));
    Message { properties: properties.collect(), ..message }
}

fn delayed(queue: &str, text: &str, delay: i64) -> Message {
    scheduled(message(queue, text), &[("DELAY", delay)])
}

fn waiting(due: u64, at: MessageRef) -> Waiting {
    Waiting { due: UnixMillis(due), at }
}

fn waits(state: &ShardState) -> Vec<(u64, MessageRef, Repeats)> {
    state.waiting().map(|(it, left)| (it.due.0, it.at, left)).collect()
}

fn apply(state: &mut ShardState, command: Command) -> Applied {
    state.apply(state.applied() + 1, &batch([command]))
}

fn deliver(waiting: Waiting, next: Option<Due>, written: &Message) -> Command {
    let message = schedule::delivered(written, waiting.due).into();
    Command::Deliver { waiting, next, message }
}

fn ready(applied: &Applied) -> usize {
    applied.effects.iter().filter(|effect| matches!(effect, Effect::Ready { .. })).count()
}

/// Whether a copy of it that knows what a snapshot carries is the same.
fn check_snapshot(state: &ShardState) {
    let copy = ShardState::restore(&state.snapshot()).unwrap();
    assert_eq!(copy.digest(), state.digest());
    assert_eq!(waits(&copy), waits(state));
    assert!(copy.live_entries().eq(state.live_entries()));
    assert!(copy.waiting_by_destination().eq(state.waiting_by_destination()));
}

#[test]
fn what_is_put_off_stands_in_no_queue_until_it_is_delivered() {
    let mut state = ShardState::new();
    let written = delayed("q", "a", 500);
    let applied = apply(&mut state, publish(written.clone()));
    assert_eq!(applied.outcomes, [Outcome::Done]);
    assert!(applied.effects.is_empty() && applied.freed.is_empty(), "{applied:?}");
    let at = MessageRef::new(1, 0, 0);
    assert_eq!(waits(&state), [(NOW + 500, at, Repeats::Times(0))]);
    assert_eq!(
        (state.resident(), state.waiting_for(&"q".into()), state.waiting_count()),
        (0, 1, 1)
    );
    check_snapshot(&state);

    let applied = apply(&mut state, deliver(waiting(NOW + 500, at), None, &written));
    assert_eq!(ready(&applied), 1);
    assert_eq!(applied.freed, [1], "its body is written anew");
    assert_eq!(
        (state.depth("q"), state.waiting_for(&"q".into()), state.waiting_count()),
        (1, 0, 0)
    );
    let Some(Content::Here(message)) = state.content(MessageRef::new(2, 0, 0)) else {
        panic!("it is not there")
    };
    assert_eq!(message.properties, [("scheduledJobId".into(), Value::Text("a".into()))]);
    check_snapshot(&state);
}

#[test]
fn what_was_delivered_is_not_delivered_again() {
    let mut state = ShardState::new();
    let written = scheduled(message("q", "a"), &[("PERIOD", 100), ("REPEAT", 1)]);
    apply(&mut state, publish(written.clone()));
    let at = MessageRef::new(1, 0, 0);
    let first = waiting(NOW + 100, at);
    let next = Due { at: UnixMillis(NOW + 200), left: Repeats::Times(0) };
    let command = deliver(first, Some(next), &written);
    assert_eq!(ready(&apply(&mut state, command.clone())), 1);
    assert_eq!(waits(&state), [(NOW + 200, at, Repeats::Times(0))]);
    check_snapshot(&state);

    // What a leader proposes is harmless when it is repeated.
    let applied = apply(&mut state, command);
    assert_eq!((ready(&applied), applied.freed), (0, vec![3]));
    let applied = apply(&mut state, deliver(waiting(NOW + 200, at), None, &written));
    assert_eq!((ready(&applied), applied.freed), (1, vec![1]));
    assert_eq!(state.counters().entered, 2);
}

#[test]
fn what_a_transaction_puts_off_waits_from_its_end_on() {
    let mut state = ShardState::new();
    let session = SessionId { node: 1, incarnation: 1 };
    let transaction = TransactionId { session, number: 1 };
    let topic =
        scheduled(message_to(Destination::parse("/topic/t").unwrap(), "t"), &[("DELAY", 50)]);
    let publishes = vec![delayed("q", "a", 30).into(), topic.clone().into()];
    let work = Work { publishes, settles: Vec::new() };
    apply(&mut state, Command::Prepare { transaction, coordinator: 0, work });
    assert_eq!(state.waiting_count(), 0);
    check_snapshot(&state);

    let finish = Command::Finish { transaction, commit: true };
    let now = UnixMillis(5_000);
    let applied = state.apply(2, &Batch { now, commands: vec![(None, finish)] });
    assert_eq!(applied.freed, [2], "the bodies stand where they were prepared");
    let [queued, fanned] = [MessageRef::new(1, 0, 0), MessageRef::new(1, 0, 1)];
    let none = Repeats::Times(0);
    assert_eq!(waits(&state), [(5_030, queued, none), (5_050, fanned, none)]);
    assert_eq!((state.waiting_for(&"q".into()), state.waiting_for(&"t".into())), (1, 0));
    check_snapshot(&state);

    let applied = apply(&mut state, deliver(waiting(5_050, fanned), None, &topic));
    assert!(matches!(&applied.effects[..], [Effect::FanOut { message }] if &*message.id == "t"));
    assert_eq!(applied.freed, [3], "the other still needs the entry");
}

#[test]
fn a_purge_takes_what_waits_and_a_queue_with_that_is_not_deleted() {
    let mut state = ShardState::new();
    apply(&mut state, publish(delayed("q", "a", 500)));
    apply(&mut state, publish(delayed("r", "b", 500)));
    apply(&mut state, publish(message("r", "c")));
    let outcome = |state: &mut ShardState, command| apply(state, command).outcomes.remove(0);
    let purge = |queue: &str| Command::Purge { queue: queue.into() };
    let delete = |queue: &str| Command::Delete { queue: queue.into() };
    let accept = vec![(MessageRef::new(3, 0, 0), Settlement::Accept)];
    apply(&mut state, Command::Settle { settles: accept });
    let not_empty = Refused::NotEmpty { queue: "r".into(), depth: 1 };
    assert_eq!(outcome(&mut state, delete("r")), Outcome::Refused(not_empty));

    let applied = apply(&mut state, purge("q"));
    assert_eq!((applied.outcomes, applied.freed), (vec![Outcome::Done], vec![1, 6]));
    assert!(matches!(outcome(&mut state, purge("q")), Outcome::Refused(Refused::UnknownQueue(_))));
    assert_eq!((state.waiting_for(&"r".into()), state.waiting_count()), (1, 1));
    assert_eq!(outcome(&mut state, purge("r")), Outcome::Done);
    assert_eq!(outcome(&mut state, delete("r")), Outcome::Done);
    assert_eq!(state.live_entries().count(), 0);
}

#[test]
fn a_snapshot_and_the_digest_cover_what_waits() {
    let mut state = ShardState::new();
    apply(&mut state, publish(message("q", "a")));
    apply(&mut state, publish(delayed("q", "b", 5)));
    let live: Vec<u64> = state.live_entries().collect();
    assert_eq!(state.snapshot().live_entries().unwrap(), live);
    let mut other = ShardState::new();
    apply(&mut other, publish(message("q", "a")));
    apply(&mut other, publish(delayed("q", "b", 6)));
    assert_ne!(other.digest(), state.digest());
}
