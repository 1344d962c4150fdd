//! Durable subscriptions as a connection makes, uses and deletes them.

use super::world::{World, named};
use crate::{
    durable::Durable,
    operation::{Kept, OpTag, Outcome, Refusal, Subscription},
};

const NODE: usize = 0;

fn durable() -> Durable {
    Durable::new("c", "s").unwrap()
}

fn subscription(topic: &str) -> Subscription {
    let durable = Some(Kept { durable: durable(), no_local: false });
    Subscription { durable, ..Subscription::new(named(topic), 9) }
}

fn settle(world: &mut World, node: usize, tag: OpTag) -> Outcome {
    world.settle_down();
    world.outcome(node, tag).expect("all is answered").clone()
}

fn subscribe(world: &mut World, node: usize, consumer: u64, topic: &str) -> Outcome {
    let tag = world.subscribe_as(node, consumer, subscription(topic));
    settle(world, node, tag)
}

fn publish(world: &mut World, topic: &str, id: &str) {
    let tag = world.publish(1, topic, id, true);
    assert_eq!(settle(world, 1, tag), Ok(()));
}

fn delivered(world: &World, node: usize) -> Vec<String> {
    world.nodes[node].deliveries.iter().map(|it| it.message.id.to_string()).collect()
}

#[test]
fn what_is_sent_while_the_subscriber_is_away_waits_for_it() {
    let mut world = World::new();
    publish(&mut world, "t1", "before");
    assert_eq!(subscribe(&mut world, NODE, 0, "t1"), Ok(()));
    publish(&mut world, "t1", "here");
    let tag = world.unsubscribe(NODE, 0);
    assert_eq!(settle(&mut world, NODE, tag), Ok(()));
    publish(&mut world, "t1", "away");
    world.lose_leader(1, 0);
    assert_eq!(subscribe(&mut world, 1, 0, "t1"), Ok(()));
    assert_eq!(delivered(&world, NODE), ["here"]);
    assert_eq!(delivered(&world, 1), ["here", "away"], "the first was not acknowledged");
}

#[test]
fn a_subscription_has_one_consumer_and_stays_while_it_has() {
    let mut world = World::new();
    assert_eq!(subscribe(&mut world, NODE, 0, "t1"), Ok(()));
    for topic in ["t1", "t2"] {
        let refused = subscribe(&mut world, 1, 0, topic).unwrap_err().to_string();
        assert!(refused.ends_with("`s` of client `c` is in use by another consumer"), "{refused}");
        let tag = world.unsubscribe(1, 0);
        assert_eq!(settle(&mut world, 1, tag), Ok(()));
    }
    let tag = world.forget(1, durable());
    assert!(matches!(settle(&mut world, 1, tag), Err(Refusal::Rejected(_))));
    publish(&mut world, "t1", "m");
    assert_eq!(delivered(&world, NODE), ["m"]);
}

#[test]
fn another_topic_replaces_a_subscription_wherever_that_is() {
    let mut world = World::new();
    let leave = |world: &mut World| {
        let tag = world.unsubscribe(NODE, 0);
        assert_eq!(settle(world, NODE, tag), Ok(()));
    };
    assert_eq!(subscribe(&mut world, NODE, 0, "t1"), Ok(()));
    leave(&mut world);
    publish(&mut world, "t1", "old");
    assert_eq!(subscribe(&mut world, NODE, 0, "t2"), Ok(()));
    leave(&mut world);
    publish(&mut world, "t2", "new");
    assert_eq!(subscribe(&mut world, NODE, 0, "t1"), Ok(()));
    publish(&mut world, "t1", "again");
    assert_eq!(delivered(&world, NODE), ["again"]);
    let left: Vec<_> = world.shards.iter().map(|it| it.state.durables().count()).collect();
    assert_eq!(left, [0, 1, 0]);
}

#[test]
fn a_deleted_subscription_leaves_nothing() {
    let mut world = World::new();
    let forget = |world: &mut World| {
        let tag = world.forget(1, durable());
        settle(world, 1, tag)
    };
    assert!(matches!(forget(&mut world), Err(Refusal::Missing(_))));
    assert_eq!(subscribe(&mut world, NODE, 0, "t1"), Ok(()));
    let tag = world.unsubscribe(NODE, 0);
    assert_eq!(settle(&mut world, NODE, tag), Ok(()));
    publish(&mut world, "t1", "m");
    assert_eq!(forget(&mut world), Ok(()));
    assert!(matches!(forget(&mut world), Err(Refusal::Missing(_))));
    assert!(world.shards.iter().all(|it| it.state.resident() == 0));
    assert_eq!(subscribe(&mut world, NODE, 0, "t1"), Ok(()));
    assert_eq!(delivered(&world, NODE), [""; 0]);
}

#[test]
fn who_comes_second_to_the_next_leader_is_told() {
    let mut world = World::new();
    assert_eq!(subscribe(&mut world, NODE, 0, "t1"), Ok(()));
    world.lose_leader(1, 0);
    world.elect(1);
    // The other node is quicker.
    let tag = world.subscribe_as(1, 0, subscription("t1"));
    for _ in 0..9 {
        for slot in 0..2 {
            world.run_client(1, slot);
            world.carry(1, slot, usize::MAX);
            world.commit_entry(slot, usize::MAX);
            world.answer(1, slot, usize::MAX);
        }
    }
    assert_eq!(world.outcome(1, tag), Some(&Ok(())));
    world.settle_down();
    assert_eq!(world.nodes[NODE].detached.len(), 1);
    assert_eq!(world.nodes[1].detached.len(), 0);
}

#[test]
fn only_one_topic_can_be_subscribed_to_durably() {
    let mut world = World::new();
    for (consumer, name, part) in [(0, "q1", "is a queue"), (1, "t1.>", "is not one topic")] {
        let refused = subscribe(&mut world, NODE, consumer, name).unwrap_err().to_string();
        assert!(refused.contains(part), "{refused}");
    }
}

#[test]
fn the_queue_of_a_virtual_topic_is_there_when_its_consumer_is() {
    let mut world = World::new();
    let queue = crate::Destination::queue("Consumer.a.VirtualTopic.x").unwrap();
    let tag = world.subscribe_as(NODE, 0, Subscription::new(queue, 9));
    assert_eq!(settle(&mut world, NODE, tag), Ok(()));
    let tag = world.unsubscribe(NODE, 0);
    assert_eq!(settle(&mut world, NODE, tag), Ok(()));
    assert!(world.shards[0].state.is_entered("VirtualTopic.x"));
}
