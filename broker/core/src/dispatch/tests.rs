//! Stories of one leadership.

mod bounds;
mod browsing;
mod groups;
mod precedence;
mod selectors;
mod sources;

use super::*;
use crate::{
    Message,
    operation::{
        Parting,
        Settlement::{self, Accept, Reject, Release},
        Subscription,
    },
    rules::DEFAULT_MAX_REDELIVERIES,
    shard::{Applied, Batch, Command, Outcome, TransactionId, Work},
    testing::{batch, message, message_to, publish},
};

/// A shard's leader with a log that commits at once.
struct Leader {
    state: ShardState,
    dispatcher: Dispatcher,
    now: UnixMillis,
}

impl Leader {
    fn new() -> Self {
        Self::over(ShardState::new())
    }

    fn over(state: ShardState) -> Self {
        let dispatcher = Dispatcher::new(&state, 1, Limits::default());
        Self { state, dispatcher, now: UnixMillis(1_000) }
    }

    /// A new leader, with what the log says.
    fn fail_over(self) -> Self {
        Self::over(self.state)
    }

    fn apply(&mut self, batch: &Batch) -> Applied {
        let applied = self.state.apply(self.state.applied() + 1, batch);
        self.dispatcher.handle_applied(&self.state, &applied);
        applied
    }

    fn propose(&mut self, command: Command) -> Outcome {
        let batch = Batch { now: self.now, commands: vec![(None, command)] };
        self.apply(&batch).outcomes.remove(0)
    }

    fn send(&mut self, queue: &str, texts: &[&str]) {
        self.apply(&batch(texts.iter().map(|text| publish(message(queue, text)))));
    }

    fn attach(&mut self, number: u64, queue: &str, prefetch: u32) -> ConsumerKey {
        let key = ConsumerKey { node: 1, number };
        let queue = Destination::queue(queue).unwrap();
        self.dispatcher.attach(key, Subscription::new(queue, prefetch)).unwrap();
        key
    }

    /// Everything that can be delivered now.
    fn deliver(&mut self) -> Vec<Delivery> {
        std::iter::from_fn(|| self.dispatcher.poll_delivery(&self.state, self.now)).collect()
    }

    /// The same, as consumer number and text.
    fn deliver_texts(&mut self) -> Vec<(u64, String)> {
        let deliveries = self.deliver();
        deliveries.iter().map(|delivery| (delivery.consumer.number, text(delivery))).collect()
    }

    fn settle(&mut self, delivery: &Delivery, how: Settlement) {
        let settles =
            self.dispatcher.settle_begin(delivery.consumer, &[(delivery.key, how)]).unwrap();
        if !settles.is_empty() {
            assert_eq!(self.propose(Command::Settle { settles }), Outcome::Done);
        }
    }

    /// Replicates what the dispatcher wants; returns how many commands that were.
    fn replicate(&mut self) -> usize {
        let commands: Vec<_> = std::iter::from_fn(|| self.dispatcher.poll_command()).collect();
        let count = commands.len();
        for command in commands {
            self.propose(command);
        }
        count
    }
}

fn text(delivery: &Delivery) -> String {
    let Content::Here(message) = &delivery.content else { panic!("nothing was evicted") };
    String::from_utf8(message.body.bytes().to_vec()).unwrap()
}

fn pairs(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
    expected.iter().map(|(number, text)| (*number, text.to_string())).collect()
}

fn stored(delivery: &Delivery) -> MessageRef {
    let MessageKey::Stored(message) = delivery.key else { panic!("it is volatile") };
    message
}

fn volatile(queue: &str, text: &str) -> Arc<Message> {
    Message { persistent: false, ..message(queue, text) }.into()
}

#[test]
fn consumers_take_turns_as_far_as_their_credit_goes() {
    let mut leader = Leader::new();
    leader.attach(1, "q", 2);
    leader.attach(2, "q", 1);
    leader.attach(3, "q", 5);
    leader.send("q", &["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
    let expected =
        pairs(&[(1, "a"), (2, "b"), (3, "c"), (1, "d"), (3, "e"), (3, "f"), (3, "g"), (3, "h")]);
    assert_eq!(leader.deliver_texts(), expected);
}

#[test]
fn a_consumer_may_be_allowed_more_and_then_less_than_it_holds() {
    let mut leader = Leader::new();
    let key = leader.attach(1, "q", 1);
    leader.send("q", &["a", "b", "c", "d"]);
    let mut held = leader.deliver();
    assert_eq!(held.len(), 1);
    assert!(leader.dispatcher.set_prefetch(key, 3));
    held.extend(leader.deliver());
    assert_eq!(held.len(), 3);
    assert_eq!((held[2].in_flight, held[2].credit), (3, 0));
    assert!(leader.dispatcher.set_prefetch(key, 2));
    for delivery in &held[..2] {
        assert_eq!(leader.deliver().len(), 0, "it holds what it may, or more");
        leader.settle(delivery, Accept);
    }
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "d")]));
    assert!(leader.dispatcher.detach(key));
    assert!(!leader.dispatcher.set_prefetch(key, 2));
}

#[test]
fn credit_comes_back_when_the_settlement_is_applied_and_not_before() {
    let mut leader = Leader::new();
    let consumer = leader.attach(1, "q", 1);
    leader.send("q", &["a", "b"]);
    let first = leader.deliver().remove(0);
    assert_eq!((first.in_flight, first.credit), (1, 0));
    let settles = leader.dispatcher.settle_begin(consumer, &[(first.key, Accept)]).unwrap();
    assert_eq!(leader.deliver(), []);
    leader.propose(Command::Settle { settles });
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "b")]));
    assert_eq!(leader.state.counters().accepted, 1);
}

#[test]
fn higher_priorities_overtake_and_equals_keep_their_order() {
    let mut leader = Leader::new();
    let priorities = [("a", 4), ("b", 9), ("c", 0), ("d", 9), ("e", 200)];
    leader.apply(&batch(
        priorities.map(|(text, priority)| publish(Message { priority, ..message("q", text) })),
    ));
    leader.attach(1, "q", 10);
    let texts: String = leader.deliver().iter().map(text).collect();
    assert_eq!(texts, "bdeac", "a priority above 9 is 9");
}

#[test]
fn a_dead_consumers_messages_go_first_and_their_count_follows_through_the_log() {
    let mut leader = Leader::new();
    let first = leader.attach(1, "q", 2);
    leader.send("q", &["a", "b", "c"]);
    leader.deliver();
    assert!(leader.dispatcher.detach(first));
    leader.attach(2, "q", 1);
    // Before the release is replicated, and after: the same count.
    let delivery = leader.deliver().remove(0);
    assert_eq!((text(&delivery).as_str(), delivery.redelivery_count), ("a", 1));
    assert!(delivery.redelivered);
    assert_eq!(leader.state.redeliveries(stored(&delivery)), Some(0));
    assert_eq!(leader.replicate(), 1);
    assert_eq!(leader.state.redeliveries(stored(&delivery)), Some(1));
    leader.settle(&delivery, Accept);
    let delivery = leader.deliver().remove(0);
    assert_eq!((text(&delivery).as_str(), delivery.redelivery_count), ("b", 1));
    leader.settle(&delivery, Accept);
    let delivery = leader.deliver().remove(0);
    assert_eq!((text(&delivery).as_str(), delivery.redelivered), ("c", false));
}

#[test]
fn a_release_that_could_not_be_replicated_is_made_again() {
    let mut leader = Leader::new();
    let consumer = leader.attach(1, "q", 2);
    leader.send("q", &["a"]);
    leader.deliver();
    leader.dispatcher.detach(consumer);
    let command = leader.dispatcher.poll_command().unwrap();
    assert_eq!(leader.dispatcher.poll_command(), None);
    leader.dispatcher.command_failed(&command);
    assert_eq!(leader.dispatcher.poll_command(), Some(command));
}

#[test]
fn a_new_leader_marks_what_it_finds_as_redelivered_and_what_comes_later_not() {
    let mut leader = Leader::new();
    leader.attach(1, "q", 1);
    leader.send("q", &["a"]);
    assert!(!leader.deliver().remove(0).redelivered);
    let mut leader = leader.fail_over();
    leader.send("q", &["b"]);
    leader.attach(1, "q", 9);
    let marked: Vec<_> =
        leader.deliver().iter().map(|delivery| (text(delivery), delivery.redelivered)).collect();
    assert_eq!(marked, [("a".to_owned(), true), ("b".to_owned(), false)]);
}

#[test]
fn nobody_settles_what_another_holds_or_what_is_being_settled() {
    let mut leader = Leader::new();
    let holder = leader.attach(1, "q", 1);
    let other = leader.attach(2, "q", 1);
    leader.send("q", &["a"]);
    let key = leader.deliver().remove(0).key;
    let dispatcher = &mut leader.dispatcher;
    let refused = SettleRefused::NotInFlight { consumer: other, message: key };
    assert_eq!(dispatcher.settle_begin(other, &[(key, Accept)]), Err(refused));
    let stranger = ConsumerKey { node: 9, number: 9 };
    let refused = SettleRefused::UnknownConsumer(stranger);
    assert_eq!(dispatcher.settle_begin(stranger, &[(key, Accept)]), Err(refused));
    let twice = Err(SettleRefused::Settling { message: key });
    assert_eq!(dispatcher.settle_begin(holder, &[(key, Accept), (key, Accept)]), twice);
    assert!(dispatcher.settle_begin(holder, &[(key, Accept)]).is_ok());
    assert_eq!(dispatcher.settle_begin(holder, &[(key, Accept)]), twice);
}

#[test]
fn a_message_being_settled_is_kept_back_until_the_settlement_fails() {
    let mut leader = Leader::new();
    let holder = leader.attach(1, "q", 1);
    leader.send("q", &["a"]);
    let delivery = leader.deliver().remove(0);
    leader.dispatcher.settle_begin(holder, &[(delivery.key, Accept)]).unwrap();
    // Its consumer dies, and another waits: the message may be gone, so it stays put.
    leader.dispatcher.detach(holder);
    leader.attach(2, "q", 1);
    assert_eq!(leader.deliver(), []);
    assert_eq!(leader.replicate(), 0);
    leader.dispatcher.settle_failed(&[stored(&delivery)]);
    let again = leader.deliver().remove(0);
    assert_eq!((again.key, again.redelivered), (delivery.key, true));
}

#[test]
fn a_settlement_that_failed_can_be_tried_again_by_its_consumer() {
    let mut leader = Leader::new();
    let holder = leader.attach(1, "q", 1);
    leader.send("q", &["a"]);
    let delivery = leader.deliver().remove(0);
    leader.dispatcher.settle_begin(holder, &[(delivery.key, Accept)]).unwrap();
    leader.dispatcher.settle_failed(&[stored(&delivery)]);
    assert_eq!(leader.deliver(), []);
    leader.settle(&delivery, Accept);
    assert_eq!(leader.state.resident(), 0);
}

#[test]
fn rejected_too_often_a_message_becomes_a_dead_letter_that_says_why() {
    let mut leader = Leader::new();
    leader.attach(1, "q", 1);
    leader.send("q", &["a", "b"]);
    for count in 0..=u32::from(DEFAULT_MAX_REDELIVERIES) {
        let delivery = leader.deliver().remove(0);
        assert_eq!((text(&delivery).as_str(), delivery.redelivery_count), ("a", count));
        leader.settle(&delivery, Reject);
    }
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "b")]));
    leader.attach(2, "DLQ.q", 1);
    let dead = leader.deliver().remove(0);
    assert_eq!((text(&dead).as_str(), dead.redelivered), ("a", false));
    let Content::Here(message) = &dead.content else { panic!("nothing was evicted") };
    assert_eq!(message.destination, Destination::queue("DLQ.q").unwrap());
    let properties = format!("{:?}", message.properties);
    assert!(properties.contains(r#"("original-destination", Text("/queue/q"))"#), "{properties}");
    assert!(
        properties.contains("rejected by its consumers, or left behind when they died, 7 times"),
        "{properties}"
    );
}

/// It comes first again at once, so that those behind it do not overtake it.
#[test]
fn a_message_that_consumers_die_of_keeps_its_place_until_it_is_a_dead_letter() {
    let mut leader = Leader::new();
    leader.send("q", &["a", "b"]);
    for count in 0..=u32::from(DEFAULT_MAX_REDELIVERIES) {
        let consumer = leader.attach(u64::from(count), "q", 1);
        let delivery = leader.deliver().remove(0);
        assert_eq!((text(&delivery).as_str(), delivery.redelivery_count), ("a", count));
        assert!(leader.dispatcher.detach_as(&leader.state, consumer, &Parting::Died(delivery.key)));
        // In every other round the next consumer has it before the log knows.
        if count % 2 == 1 {
            assert_eq!(leader.replicate(), 1);
        }
    }
    leader.attach(100, "q", 1);
    assert_eq!(leader.deliver_texts(), pairs(&[(100, "b")]));
    leader.replicate();
    leader.attach(101, "DLQ.q", 1);
    assert_eq!(leader.deliver_texts(), pairs(&[(101, "a")]));
}

#[test]
fn volatile_and_stored_messages_keep_the_order_in_which_they_came() {
    let mut leader = Leader::new();
    leader.send("q", &["a"]);
    leader.dispatcher.handle_volatile(leader.now, volatile("q", "b")).unwrap();
    leader.dispatcher.handle_volatile(leader.now, volatile("q", "c")).unwrap();
    leader.send("q", &["d"]);
    let consumer = leader.attach(1, "q", 9);
    let expected = ["a", "b", "c", "d"];
    assert_eq!(leader.deliver().iter().map(text).collect::<Vec<_>>(), expected);
    // Given back all together, they stand as they stood.
    leader.dispatcher.detach(consumer);
    leader.attach(2, "q", 9);
    let deliveries = leader.deliver();
    assert_eq!(deliveries.iter().map(text).collect::<Vec<_>>(), expected);
    assert!(deliveries.iter().all(|delivery| delivery.redelivery_count == 1));
    for delivery in &deliveries {
        leader.settle(delivery, Accept);
    }
    assert_eq!(leader.dispatcher.volatile_counters().accepted, 2);
    assert_eq!(leader.state.counters().accepted, 2);
}

#[test]
fn volatile_messages_die_with_the_leadership_and_its_late_settlements_hit_nothing() {
    let mut leader = Leader::new();
    leader.dispatcher.handle_volatile(leader.now, volatile("q", "a")).unwrap();
    let consumer = leader.attach(1, "q", 9);
    let old = leader.deliver().remove(0);
    let mut leader = Leader {
        dispatcher: Dispatcher::new(&leader.state, 2, Limits::default()),
        state: leader.state,
        now: leader.now,
    };
    leader.attach(1, "q", 9);
    leader.dispatcher.handle_volatile(leader.now, volatile("q", "b")).unwrap();
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "b")]));
    assert!(leader.dispatcher.settle_begin(consumer, &[(old.key, Accept)]).is_err());
}

#[test]
fn a_consumer_whose_node_is_out_of_reach_gives_back_only_what_is_stored() {
    let mut leader = Leader::new();
    leader.dispatcher.handle_volatile(leader.now, volatile("q", "v")).unwrap();
    leader.send("q", &["s"]);
    let lost = leader.attach(1, "q", 9);
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "v"), (1, "s")]));
    assert!(leader.dispatcher.detach_lost(lost));
    assert!(!leader.dispatcher.detach_lost(lost));
    leader.attach(2, "q", 9);
    assert_eq!(leader.deliver_texts(), pairs(&[(2, "s")]), "it may have settled `v`");
    assert_eq!(leader.dispatcher.volatile_counters().dropped, 1);
}

#[test]
fn volatile_memory_is_bounded() {
    let mut leader = Leader::new();
    leader.dispatcher.limits.volatile_bytes = volatile("q", "a").footprint();
    assert_eq!(leader.dispatcher.handle_volatile(leader.now, volatile("q", "a")), Ok(1));
    let full = leader.dispatcher.handle_volatile(leader.now, volatile("q", "b"));
    assert!(matches!(full, Err(VolatileRefused::Full { .. })));
    leader.attach(1, "q", 1);
    let delivery = leader.deliver().remove(0);
    leader.settle(&delivery, Accept);
    assert_eq!(leader.dispatcher.handle_volatile(leader.now, volatile("q", "b")), Ok(1));
}

#[test]
fn a_message_expires_while_it_waits_but_not_while_it_is_held() {
    let mut leader = Leader::new();
    let soon = |text| Message { expires: Some(UnixMillis(2_000)), ..message("q", text) };
    leader.apply(&batch([publish(soon("a")), publish(soon("b"))]));
    leader.dispatcher.handle_volatile(leader.now, soon("v").into()).unwrap();
    let consumer = leader.attach(1, "q", 1);
    let held = leader.deliver().remove(0);
    assert_eq!(leader.dispatcher.poll_timeout(), Some(UnixMillis(2_000)));
    leader.now = UnixMillis(2_000);
    leader.dispatcher.handle_timeout(&leader.state, leader.now);
    assert_eq!(leader.dispatcher.volatile_counters().expired, 1);
    assert_eq!(leader.replicate(), 1);
    assert_eq!(leader.state.counters().expired, 1);
    assert_eq!(leader.dispatcher.poll_timeout(), None);
    // The held one comes back too late to be delivered again.
    leader.settle(&held, Release);
    assert_eq!(leader.deliver(), []);
    leader.replicate();
    assert_eq!(leader.state.counters().expired, 2);
    assert_eq!(leader.dispatcher.in_flight(consumer), Some(0));
}

#[test]
fn what_was_passed_over_as_expired_does_not_come_back_with_the_clock() {
    let mut leader = Leader::new();
    let message = Message { expires: Some(UnixMillis(5_000)), ..message("q", "a") };
    leader.apply(&batch([publish(message)]));
    leader.send("q", &["b"]);
    // The clock jumped forward, and back again before the command was proposed.
    leader.dispatcher.handle_timeout(&leader.state, UnixMillis(6_000));
    leader.attach(1, "q", 2);
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "b")]));
    assert_eq!(leader.replicate(), 1);
    assert_eq!(leader.state.counters().expired, 1);
    assert_eq!(leader.deliver(), []);
}

#[test]
fn a_pattern_covers_queues_that_are_there_and_queues_to_come() {
    let mut leader = Leader::new();
    leader.send("a.x", &["1"]);
    leader.attach(1, "a.*", 9);
    leader.send("a.y", &["2"]);
    leader.send("b.x", &["3"]);
    leader.dispatcher.handle_volatile(leader.now, volatile("a.z", "4")).unwrap();
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "1"), (1, "2"), (1, "4")]));
}

#[test]
fn a_consumer_of_many_backlogs_with_little_credit_gets_all_of_them_in_turn() {
    let mut leader = Leader::new();
    for queue in ["a", "b", "c"] {
        leader.send(queue, &["1", "2"]);
    }
    leader.attach(1, ">", 1);
    let mut queues = String::new();
    while let Some(delivery) = leader.deliver().pop() {
        let Content::Here(message) = &delivery.content else { panic!("nothing was evicted") };
        queues += &message.destination.name;
        leader.settle(&delivery, Accept);
    }
    assert_eq!(queues.len(), 6);
    assert_eq!(leader.state.resident(), 0);
}

#[test]
fn topic_subscribers_get_copies_and_slow_ones_lose_the_oldest() {
    let mut leader = Leader::new();
    leader.dispatcher.limits.topic_backlog = 2;
    let slow = ConsumerKey { node: 1, number: 1 };
    let fast = ConsumerKey { node: 1, number: 2 };
    leader
        .dispatcher
        .attach(slow, Subscription::new(Destination::topic("t.>").unwrap(), 1))
        .unwrap();
    leader
        .dispatcher
        .attach(fast, Subscription::new(Destination::topic("t.a").unwrap(), 9))
        .unwrap();
    for text in ["1", "2", "3", "4"] {
        let message = message_to(Destination::topic("t.a").unwrap(), text).into();
        assert_eq!(leader.dispatcher.handle_volatile(leader.now, message), Ok(2));
        leader.deliver_texts();
    }
    assert_eq!(leader.dispatcher.in_flight(fast), Some(4));
    assert_eq!(leader.dispatcher.volatile_counters().dropped, 1);
    assert_eq!(leader.dispatcher.missed().collect::<Vec<_>>(), [("t.a", 1)]);
    assert_eq!(leader.dispatcher.poll_missed().as_deref(), Some("t.a"));
    leader.dispatcher.detach(fast);
    leader.dispatcher.detach(slow);
    let unheard = message_to(Destination::topic("t.a").unwrap(), "5").into();
    assert_eq!(leader.dispatcher.handle_volatile(leader.now, unheard), Ok(0));
    assert_eq!(leader.dispatcher.volatile_counters().dropped, 8);
    assert_eq!(leader.dispatcher.poll_missed(), None, "who leaves was not too slow");
    assert_eq!(leader.dispatcher.missed().count(), 1);
}

#[test]
fn copies_for_subscribers_are_bounded_by_the_memory_for_volatile_messages() {
    let mut leader = Leader::new();
    let topic = || Destination::topic("t").unwrap();
    let copy = message_to(topic(), "1").footprint();
    leader.dispatcher.limit_volatile(3 * copy);
    let keys = [1, 2].map(|number| ConsumerKey { node: 1, number });
    for key in keys {
        leader.dispatcher.attach(key, Subscription::new(topic(), 1)).unwrap();
    }
    for text in ["1", "2", "3"] {
        leader.dispatcher.handle_volatile(leader.now, message_to(topic(), text).into()).unwrap();
        leader.deliver_texts();
    }
    assert!(leader.dispatcher.volatile_bytes() <= 3 * copy);
    assert_eq!(leader.dispatcher.volatile_counters().dropped, 3);
    let full = leader.dispatcher.handle_volatile(leader.now, volatile("queue", "a"));
    assert!(matches!(full, Err(VolatileRefused::Full { .. })));
    leader.dispatcher.detach(keys[0]);
    leader.dispatcher.detach(keys[1]);
    assert_eq!(leader.dispatcher.volatile_bytes(), 0);
}

#[test]
fn a_transaction_sends_to_topics_only_when_it_commits() {
    let mut leader = Leader::new();
    let subscriber = ConsumerKey { node: 1, number: 1 };
    leader
        .dispatcher
        .attach(subscriber, Subscription::new(Destination::topic("t").unwrap(), 9))
        .unwrap();
    let publishes = vec![Arc::new(message_to(Destination::topic("t").unwrap(), "a"))];
    let work = Work { publishes, settles: vec![] };
    let session = crate::shard::SessionId { node: 1, incarnation: 1 };
    let transaction = TransactionId { session, number: 1 };
    leader.propose(Command::Prepare { transaction, coordinator: 7, work });
    assert_eq!(leader.deliver(), []);
    leader.propose(Command::Finish { transaction, commit: true });
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "a")]));
}

#[test]
fn an_aborted_transaction_leaves_its_messages_with_their_consumer() {
    let mut leader = Leader::new();
    let consumer = leader.attach(1, "q", 1);
    leader.send("q", &["a"]);
    let delivery = leader.deliver().remove(0);
    let settles = leader.dispatcher.settle_begin(consumer, &[(delivery.key, Accept)]).unwrap();
    let session = crate::shard::SessionId { node: 1, incarnation: 1 };
    let transaction = TransactionId { session, number: 1 };
    let work = Work { publishes: vec![], settles };
    leader.propose(Command::Prepare { transaction, coordinator: 7, work });

    // A leader that takes over meanwhile does not deliver it.
    let mut other = Leader::over(leader.state.clone());
    other.attach(2, "q", 1);
    assert_eq!(other.deliver(), []);
    other.propose(Command::Finish { transaction, commit: false });
    assert_eq!(other.deliver_texts(), pairs(&[(2, "a")]));

    leader.propose(Command::Finish { transaction, commit: false });
    leader.settle(&delivery, Accept);
    assert_eq!(leader.state.resident(), 0);
}

/// The new leader has never had the message on a lane: it was held by the transaction when the
/// leadership began. It was lost to its consumers until the next failover.
#[test]
fn what_a_transaction_of_an_earlier_leader_rejects_is_delivered_again() {
    let mut leader = Leader::new();
    let consumer = leader.attach(1, "q", 1);
    leader.send("q", &["a"]);
    let delivery = leader.deliver().remove(0);
    let settles = leader.dispatcher.settle_begin(consumer, &[(delivery.key, Reject)]).unwrap();
    let session = crate::shard::SessionId { node: 1, incarnation: 1 };
    let transaction = TransactionId { session, number: 1 };
    let work = Work { publishes: vec![], settles };
    leader.propose(Command::Prepare { transaction, coordinator: 7, work });
    let mut leader = leader.fail_over();
    leader.attach(2, "q", 1);
    leader.propose(Command::Finish { transaction, commit: true });
    let again = leader.deliver().remove(0);
    assert_eq!((again.key, again.redelivery_count), (delivery.key, 1));
}

#[test]
fn a_transaction_believed_lost_and_committed_late_still_holds_its_messages() {
    let mut leader = Leader::new();
    let consumer = leader.attach(1, "q", 1);
    leader.send("q", &["a"]);
    let delivery = leader.deliver().remove(0);
    let settles = leader.dispatcher.settle_begin(consumer, &[(delivery.key, Accept)]).unwrap();
    leader.dispatcher.settle_failed(&[stored(&delivery)]);
    leader.dispatcher.detach(consumer);
    let session = crate::shard::SessionId { node: 1, incarnation: 1 };
    let transaction = TransactionId { session, number: 1 };
    let work = Work { publishes: vec![], settles };
    leader.propose(Command::Prepare { transaction, coordinator: 7, work });
    leader.attach(2, "q", 1);
    assert_eq!(leader.deliver(), []);
    leader.propose(Command::Finish { transaction, commit: false });
    assert_eq!(leader.deliver_texts(), pairs(&[(2, "a")]));
}

#[test]
fn waiting_messages_that_are_gone_take_no_memory() {
    let mut leader = Leader::new();
    for round in 0..100 {
        let texts: Vec<_> = (0..100).map(|number| number.to_string()).collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        leader.send("q", &texts);
        leader.propose(Command::Purge { queue: "q".into() });
        leader.dispatcher.handle_volatile(leader.now, volatile("nobody", "v")).unwrap();
        assert_eq!(leader.state.depth("q"), 0, "round {round}");
    }
    assert!(!leader.dispatcher.lanes[&leader.dispatcher.names["q"]].has_ready());
    leader.propose(Command::Delete { queue: "q".into() });
    assert!(!leader.dispatcher.names.contains_key("q"));
}
