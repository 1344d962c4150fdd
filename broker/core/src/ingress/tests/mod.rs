//! Stories of ingress nodes, and courses of drawn events.

mod announcing;
mod branches;
mod browsing;
mod courses;
mod leader;
mod parting;
mod sources;
mod standing;
mod world;

use std::time::Duration;

use self::world::World;
use super::*;
use crate::{
    bounds::{Bound, QueueFull, WhenFull},
    channel::{FromLeader, ToLeader},
    operation::{OpTag, Operation},
    shard::SessionId,
    testing::message,
};

fn refused(world: &World, node: usize, tag: OpTag) -> String {
    match world.outcome(node, tag) {
        Some(Err(Refusal::Rejected(why))) => why.clone(),
        other => panic!("{other:?} is no refusal"),
    }
}

#[test]
fn what_a_leader_took_with_it_is_said_again_and_applied_once() {
    let mut world = World::new();
    let tags: Vec<_> = ["a", "b", "c"].map(|id| world.publish(0, "q1", id, true)).into();
    world.run_client(0, 1);
    world.answer(0, 1, 1);
    world.run_client(0, 1);
    world.carry(0, 1, 3);
    // The first is applied and its answer lost, the others were proposed in vain.
    world.lose_leader(1, 1);
    assert_eq!(world.nodes[0].outcomes.len(), 0);
    world.settle_down();
    assert_eq!(world.shards[1].entered.join(","), "a,b,c");
    for tag in tags {
        assert_eq!(world.outcome(0, tag), Some(&Ok(())));
    }
}

/// How long a message waits for room in its queue.
const ROOM_TIMEOUT: Duration = Duration::from_secs(30);

/// A client that has said something to node 4, which leads in term 3 and does not answer.
fn waiting_for_a_leader() -> ShardClient<u32, u32> {
    let mut client = ShardClient::new(ROOM_TIMEOUT);
    let command = shard::Command::Publish { message: Arc::new(message("q", "m")) };
    let request = Request::Command { command, holders: Vec::new(), urgent: true, asker: 1 };
    client.handle_request(Duration::ZERO, request, Budget { limit: 1 << 20, used: 0 });
    assert_eq!(client.poll_open(Duration::ZERO, &[4, 7, 9], || None), Some(4));
    client.handle_said(Duration::ZERO, Some(FromLeader::Serving { term: 3 })).unwrap();
    assert!(matches!(client.poll_transmit(), Some(ToLeader::Command { seq: 1, .. })));
    client
}

#[test]
fn a_leader_of_an_earlier_term_is_not_waited_for() {
    let mut client = waiting_for_a_leader();
    let now = Duration::from_secs(1);
    client.handle_leader(now, 4, 3);
    client.handle_leader(now, 9, 2);
    assert!(client.has_channel(), "that is no news");
    client.handle_leader(now, 7, 5);
    assert!(!client.has_channel());
    assert_eq!(client.poll_open(now, &[4, 7, 9], || None), Some(7), "at once");
    client.handle_said(now, Some(FromLeader::Serving { term: 5 })).unwrap();
    assert!(matches!(client.poll_transmit(), Some(ToLeader::Command { seq: 1, .. })), "again");
}

#[test]
fn who_is_asked_in_vain_is_left_for_who_is_known_to_lead() {
    let mut client = waiting_for_a_leader();
    let now = Duration::from_secs(1);
    client.handle_said(now, None).unwrap();
    let now = 2 * now;
    let asked = client.poll_open(now, &[4, 7, 9], || None).unwrap();
    client.handle_leader(now, asked, 5);
    assert!(client.has_channel(), "it is asked already");
    let other = if asked == 9 { 7 } else { 9 };
    client.handle_leader(now, other, 5);
    assert_eq!(client.poll_open(now, &[4, 7, 9], || None), Some(other));
}

#[test]
fn an_answer_that_makes_no_sense_costs_the_channel_and_nothing_else() {
    for twice in [true, false] {
        let mut world = World::new();
        for id in ["a", "b"] {
            world.publish(0, "q1", id, true);
        }
        world.run_client(0, 1);
        world.answer(0, 1, 1);
        world.run_client(0, 1);
        world.carry(0, 1, 2);
        world.commit_entry(1, 1);
        world.commit_entry(1, 1);
        world.mangle(0, 1, twice);
        world.settle_down();
        assert_eq!(world.shards[1].entered.join(","), "a,b");
        assert_eq!(world.nodes[0].outcomes.len(), 2);
    }
}

#[test]
fn a_message_in_memory_ends_well_with_its_leader_and_is_not_sent_again() {
    let mut world = World::new();
    let lost = world.publish(0, "q1", "a", false);
    world.run_client(0, 1);
    world.answer(0, 1, 1);
    world.run_client(0, 1);
    world.lose_leader(1, 0);
    world.subscribe(0, "q1", 10);
    let kept = world.publish(0, "q1", "b", false);
    assert_eq!(world.outcome(0, lost), None, "until another one leads");
    world.settle_down();
    assert_eq!(world.outcome(0, lost), Some(&Ok(())));
    assert_eq!(world.outcome(0, kept), Some(&Ok(())));
    let delivered: Vec<_> = world.nodes[0].deliveries.iter().map(|it| &*it.message.id).collect();
    assert_eq!(delivered, ["b"]);
}

#[test]
fn a_message_that_may_still_arrive_is_not_answered() {
    for arrives in [true, false] {
        let mut world = World::new();
        world.subscribe(1, "q1", 10);
        world.settle_down();
        let late = world.publish(0, "q1", "late", false);
        world.run_client(0, 1);
        world.answer(0, 1, 1);
        world.run_client(0, 1);
        world.cut(0, 1);
        assert_eq!(world.outcome(0, late), None);
        if arrives {
            assert_eq!(world.arrive(1).len(), 1);
        }
        // The leader has the next channel by now.
        world.settle_down();
        assert_eq!(world.outcome(0, late), Some(&Ok(())), "though nothing else is asked for");
        world.publish(1, "q1", "next", false);
        assert_eq!(world.arrive(1).len(), 0);
        world.settle_down();
        let delivered = world.nodes[1].deliveries.iter().map(|it| &*it.message.id);
        let expected: &[&str] = if arrives { &["late", "next"] } else { &["next"] };
        assert_eq!(delivered.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_leader_of_an_earlier_term_answers_for_no_message_that_is_on_its_way_to_a_later_one() {
    let mut client = ShardClient::new(ROOM_TIMEOUT);
    let message = Arc::new(Message { persistent: false, ..message("q", "m") });
    let request = Request::Publish { message, asker: 1 };
    client.handle_request(Duration::ZERO, request, Budget { limit: 1 << 20, used: 0 });
    for (second, (term, ended)) in (0..).zip([(3, 0), (2, 0), (3, 1), (4, 0)]) {
        let now = Duration::from_secs(second);
        let is_open = client.poll_open(now, &[4, 7, 9], || None).is_some();
        assert_eq!(is_open, term < 4, "it needs a leader until the message is answered");
        if !is_open {
            break;
        }
        client.handle_said(now, Some(FromLeader::Serving { term })).unwrap();
        while client.poll_transmit().is_some() {}
        let events: Vec<_> = std::iter::from_fn(|| client.poll_event()).collect();
        assert_eq!(events, vec![Event::<u32, u32>::Ended(1, Ok(())); ended], "in term {term}");
        client.handle_said(now, None).unwrap();
    }
}

/// A client of node 0 that holds a stored and a volatile message of slot 1.
fn holding() -> (World, Vec<crate::operation::Delivery>) {
    let mut world = World::new();
    world.subscribe(0, "q1", 10);
    world.publish(0, "q1", "stored", true);
    world.settle_down();
    world.publish(0, "q1", "volatile", false);
    world.settle_down();
    let deliveries = world.nodes[0].deliveries.clone();
    assert_eq!(deliveries.len(), 2);
    (world, deliveries)
}

#[test]
fn acknowledging_what_was_in_a_lost_leaders_memory_is_right_whoever_leads_now() {
    for elected_before in [false, true] {
        let (mut world, deliveries) = holding();
        world.lose_leader(1, 0);
        if elected_before {
            world.settle_down();
        }
        let tag = world.accept(0, &deliveries[1..]);
        assert!(elected_before || world.outcome(0, tag) == Some(&Ok(())));
        world.settle_down();
        assert_eq!(world.outcome(0, tag), Some(&Ok(())), "elected before: {elected_before}");
    }
}

#[test]
fn only_what_nobody_waits_for_may_take_its_time_and_only_until_somebody_does() {
    let mut world = World::new();
    world.subscribe(0, "q1", 10);
    for id in ["a", "b", "c"] {
        world.publish(0, "q1", id, true);
    }
    world.settle_down();
    let deliveries = world.nodes[0].deliveries.clone();
    world.settle(0, &deliveries[..1], Settlement::Reject);
    world.accept(0, &deliveries[1..2]);
    world.turn();
    assert_eq!(world.shards[1].unhurried, Vec::<u64>::new());
    world.settle(0, &deliveries[2..], Settlement::Accept);
    world.run_client(0, 1);
    world.carry(0, 1, 1);
    assert_eq!(world.shards[1].unhurried.len(), 1);
    let tag = world.submit(0, |tag| Operation::Hurry { tag });
    world.run_client(0, 1);
    world.carry(0, 1, 1);
    assert_eq!(world.outcome(0, tag), Some(&Ok(())));
    assert_eq!(world.shards[1].unhurried, Vec::<u64>::new());
}

#[test]
fn what_may_take_its_time_and_is_said_to_the_next_leader_may_not_if_somebody_waits_by_then() {
    let (mut world, deliveries) = holding();
    world.lose_leader(1, 0);
    world.settle(0, &deliveries[..1], Settlement::Accept);
    world.submit(0, |tag| Operation::Hurry { tag });
    world.settle_down();
    assert_eq!(world.shards[1].unhurried, Vec::<u64>::new());
    assert_eq!(world.shards[1].left.len(), 1);
}

#[test]
fn a_commit_says_what_became_of_it_whatever_became_of_the_volatile_messages_it_settles() {
    let (mut world, deliveries) = holding();
    let tag = world.commit(0, &[("q2", "x"), ("q0", "y")], &deliveries);
    world.lose_leader(1, 0);
    world.settle_down();
    assert_eq!(world.outcome(0, tag), Some(&Ok(())));
    assert_eq!((world.entered("x"), world.entered("y")), (1, 1));
    assert!(world.has_left("stored"));
    // A transaction of nothing else is over at once.
    let (mut world, deliveries) = holding();
    world.lose_leader(1, 0);
    world.settle_down();
    let tag = world.commit(0, &[], &deliveries[1..]);
    assert_eq!(world.outcome(0, tag), Some(&Ok(())));
}

#[test]
fn a_transaction_over_several_shards_commits_in_all_of_them_and_is_forgotten() {
    let mut world = World::new();
    let tag = world.commit(0, &[("q0", "a"), ("q1", "b"), ("q2", "c")], &[]);
    world.settle_down();
    assert_eq!(world.outcome(0, tag), Some(&Ok(())));
    for (slot, id) in ["a", "b", "c"].into_iter().enumerate() {
        assert_eq!(world.shards[slot].entered.join(","), id);
        assert_eq!(world.shards[slot].state.decided().count(), 0);
        assert_eq!(world.shards[slot].state.prepared().count(), 0);
    }
}

#[test]
fn a_transaction_of_which_one_shard_refuses_its_part_leaves_no_trace() {
    let (mut world, deliveries) = holding();
    // Meanwhile another consumer settles the message, which the first one still holds.
    world.lose_leader(1, 0);
    world.subscribe(1, "q1", 10);
    world.elect(1);
    while world.nodes[1].deliveries.is_empty() {
        world.turn();
        world.cut(0, 1);
    }
    let again = world.nodes[1].deliveries.clone();
    world.accept(1, &again);
    world.settle_down();
    let tag = world.commit(0, &[("q0", "x"), ("q2", "y")], &deliveries[..1]);
    world.settle_down();
    assert!(refused(&world, 0, tag).contains("no longer there"));
    assert_eq!((world.entered("x"), world.entered("y")), (0, 0));
    // The client has it again, for what that is worth.
    let tag = world.accept(0, &deliveries[..1]);
    world.settle_down();
    assert_eq!(world.outcome(0, tag), Some(&Ok(())));
}

#[test]
fn a_decision_whose_ingress_node_died_before_the_end_is_carried_out_and_forgotten() {
    // However far it has come: after so many steps of the client of the coordinator's shard.
    for turns in 1..=6 {
        let mut world = World::new();
        world.commit(0, &[("q0", "a"), ("q1", "b")], &[]);
        for _ in 0..turns {
            world.turn();
        }
        world.restart(0);
        world.settle_down();
        assert_eq!(world.entered("a"), world.entered("b"), "after {turns} turns");
        for shard in &world.shards {
            assert_eq!(shard.state.prepared().count(), 0, "after {turns} turns");
            assert_eq!(shard.state.decided().count(), 0, "after {turns} turns");
        }
    }
}

#[test]
fn what_waits_for_a_shard_without_a_leader_is_bounded() {
    let mut world = World::new();
    world.budget = Budget { limit: 100_000, used: 0 };
    world.lose_leader(1, 0);
    let mut tags = Vec::new();
    while world.waiting(0) + message("q1", "m").footprint() <= 100_000 - world.waiting(0) {
        world.budget.used = world.waiting(0);
        tags.push(world.publish(0, "q1", &format!("m{}", tags.len()), tags.len() % 2 == 0));
    }
    world.budget.used = world.waiting(0);
    assert!((45_000..=50_000).contains(&world.waiting(0)));
    for stored in [true, false] {
        let tag = world.publish(0, "q1", "one too many", stored);
        assert!(refused(&world, 0, tag).contains("has no leader"));
    }
    // A transaction is refused too, without waiting for the shard; what of it is prepared ends.
    let transactions = [
        world.commit(0, &[("q1", "one too many"), ("q2", "with it")], &[]),
        world.commit(0, &[("q2", "with it"), ("q1", "one too many")], &[]),
    ];
    let elsewhere = world.publish(0, "q2", "elsewhere", true);
    for _ in 0..4 {
        world.turn();
    }
    for tag in transactions {
        assert!(refused(&world, 0, tag).contains("has no leader"));
    }
    assert!(world.outcome(0, tags[0]).is_none());
    world.settle_down();
    assert!(world.shards.iter().all(|shard| shard.state.prepared().count() == 0));
    assert!(world.shards.iter().all(|shard| shard.state.decided().count() == 0));
    assert_eq!(world.outcome(0, elsewhere), Some(&Ok(())));
    assert_eq!((world.entered("one too many"), world.entered("with it")), (0, 0));
    for tag in tags {
        assert_eq!(world.outcome(0, tag), Some(&Ok(())));
    }
}

#[test]
fn a_consumer_is_attached_again_with_the_window_it_has_now() {
    let mut world = World::new();
    let subscribed = world.subscribe(0, "q1", 1);
    for id in ["a", "b", "c"] {
        world.publish(0, "q1", id, true);
    }
    world.settle_down();
    assert_eq!(world.outcome(0, subscribed), Some(&Ok(())));
    assert_eq!(world.nodes[0].deliveries.len(), 1);
    let tag = world.set_prefetch(0, 2);
    assert_eq!(world.outcome(0, tag), Some(&Ok(())));
    world.settle_down();
    assert_eq!(world.nodes[0].deliveries.len(), 2);
    world.lose_leader(1, 0);
    world.settle_down();
    assert_eq!(world.in_flight(1), 2);
}

#[test]
fn a_connection_with_nothing_under_way_may_be_read_and_one_with_much_may_not() {
    let mut connection = Connection::default();
    let budget = Budget { limit: 8 << 10, used: 0 };
    assert!(connection.may_read(budget));
    struct Everywhere;
    impl Directory for Everywhere {
        fn slot_of(&self, _: &crate::Destination) -> u32 {
            0
        }
        fn slots(&self) -> u32 {
            1
        }
        fn next_consumer(&self) -> u64 {
            1
        }
        fn next_transaction(&self) -> shard::TransactionId {
            let session = SessionId { node: 0, incarnation: 0 };
            shard::TransactionId { session, number: 1 }
        }
        fn take_client(&self, _: &str, _: &str) -> bool {
            true
        }
        fn release_client(&self, _: &str) {}
    }
    for tag in 0..4 {
        let message = Arc::new(message("q1", "m"));
        let publish = crate::operation::Operation::Publish { tag: OpTag(tag), message };
        connection.handle_operation(publish, &Everywhere);
    }
    assert!(!connection.may_read(budget));
    for tag in 0..4 {
        connection.handle_answered(Part::Operation(OpTag(tag)), shard::Outcome::Done);
    }
    assert!(connection.may_read(budget));
}

#[test]
fn what_waits_for_a_full_queue_leaves_as_much_free_as_it_takes_and_is_given_up_in_time() {
    let mut client = waiting_for_a_leader();
    let now = Duration::from_secs(1);
    let bound = Bound {
        policy: "/queue/q".into(),
        max_messages: Some(1),
        max_bytes: None,
        when_full: WhenFull::Block,
    };
    let (queue, bound) = ("q".into(), Arc::new(bound));
    let full = QueueFull { queue, messages: 1, bytes: 1, size: 1, bound };
    let outcome = shard::Outcome::Refused(shard::Refused::Full(Box::new(full)));
    client.handle_said(now, Some(FromLeader::Outcomes(vec![(1, outcome)]))).unwrap();
    assert_eq!(client.poll_event(), Some(Event::Held(1, true)));
    let asked = ToLeader::AwaitRoom { queue: "q".into(), size: 1 };
    assert_eq!(client.poll_transmit(), Some(asked));

    let bytes = message("q", "m").footprint();
    let publish = |client: &mut ShardClient<u32, u32>, queue, asker| {
        let command = shard::Command::Publish { message: Arc::new(message(queue, "m")) };
        let request = Request::Command { command, holders: Vec::new(), urgent: true, asker };
        let budget = Budget { limit: 10 * bytes, used: client.waiting_bytes() };
        client.handle_request(now, request, budget);
        client.poll_event()
    };
    let held = (2..).take_while(|asker| match publish(&mut client, "q", *asker) {
        Some(Event::Held(..)) => true,
        Some(Event::Ended(_, Err(Refusal::Rejected(why)))) => {
            assert!(why.starts_with("queue `q` is full"), "{why}");
            false
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(held.count(), 4, "with the first one half of it");
    assert_eq!(publish(&mut client, "other", 99), None, "the other half is for others");
    assert!(matches!(client.poll_transmit(), Some(ToLeader::Command { seq: 2, .. })));

    let due = now + ROOM_TIMEOUT;
    assert_eq!(client.poll_timeout(), Some(due));
    client.handle_timeout(due - Duration::from_millis(1));
    assert_eq!(client.poll_event(), None);
    client.handle_timeout(due);
    let ended = std::iter::from_fn(|| client.poll_event()).map(|event| match event {
        Event::Ended(asker, Err(Refusal::Rejected(why))) => {
            assert!(why.ends_with("there was no room for 30s"), "{why}");
            asker
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(ended.collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let none_waits = ToLeader::AwaitRoom { queue: "q".into(), size: 0 };
    assert_eq!(client.poll_transmit(), Some(none_waits));
    assert_eq!(client.poll_transmit(), None);
    let rest = shard::Command::Publish { message: Arc::new(message("other", "m")) };
    assert_eq!(client.waiting_bytes(), rest.footprint());
}
