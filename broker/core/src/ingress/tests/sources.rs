//! One consumer of several destinations, which are in several shards.

use super::{
    world::{World, named},
    *,
};
use crate::{Source, operation::Subscription};

const NODE: usize = 0;

fn several(names: &[&str], prefetch: u32) -> Subscription {
    let all: Vec<_> = names.iter().map(|name| named(name)).collect();
    Subscription::new(Source::several(&all).unwrap(), prefetch)
}

#[test]
fn it_holds_no_more_than_its_prefetch_of_all_of_them_and_gives_all_back() {
    let mut world = World::new();
    let tag = world.subscribe_as(NODE, 0, several(&["q0", "q1"], 2));
    for (queue, id) in [("q0", "a"), ("q1", "b"), ("q0", "c"), ("q1", "d"), ("q2", "e")] {
        world.publish(1, queue, id, true);
    }
    world.settle_down();
    assert_eq!(world.outcome(NODE, tag), Some(&Ok(())));
    let held = world.nodes[NODE].deliveries.clone();
    assert_eq!(held.len(), 2);
    world.accept(NODE, &held);
    world.settle_down();
    let all = world.nodes[NODE].deliveries.clone();
    assert_eq!(all.len(), 4);
    world.commit(NODE, &[("q2", "f")], &all[2..3]);
    world.settle_down();
    world.unsubscribe(NODE, 0);
    world.settle_down();
    // What it held goes to the next one of each queue.
    world.subscribe(1, "q0", 9);
    world.subscribe_as(1, 1, several(&["q1", "q2"], 9));
    world.settle_down();
    let mut left: Vec<_> =
        world.nodes[1].deliveries.iter().map(|it| it.message.id.clone()).collect();
    left.sort();
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(left.contains(&all[3].message.id) && !left.contains(&all[2].message.id), "{left:?}");
}

#[test]
fn it_goes_on_behind_a_change_of_one_of_their_leaders() {
    let mut world = World::new();
    world.subscribe_as(NODE, 0, several(&["q0", "q1"], 9));
    world.settle_down();
    world.lose_leader(1, 0);
    world.publish(1, "q0", "a", true);
    world.publish(1, "q1", "b", true);
    world.settle_down();
    assert_eq!(world.nodes[NODE].deliveries.len(), 2);
}

#[test]
fn queues_of_virtual_topics_among_them_are_there_when_it_is() {
    let mut world = World::new();
    let queues = ["Consumer.a.VirtualTopic.x", "Consumer.a.VirtualTopic.y"];
    let all = queues.map(|name| crate::Destination::queue(name).unwrap());
    let wanted = Subscription::new(Source::several(&all).unwrap(), 9);
    let tag = world.subscribe_as(NODE, 0, wanted);
    world.settle_down();
    assert_eq!(world.outcome(NODE, tag), Some(&Ok(())));
    for topic in ["VirtualTopic.x", "VirtualTopic.y"] {
        assert!(world.shards.iter().any(|shard| shard.state.is_entered(topic)), "{topic}");
    }
}

#[test]
fn a_durable_subscription_is_of_one() {
    let mut world = World::new();
    let durable = crate::durable::Durable::new("c", "s").unwrap();
    let durable = Some(crate::operation::Kept { durable, no_local: false });
    let wanted = Subscription { durable, ..several(&["t0", "t1"], 9) };
    let tag = world.subscribe_as(NODE, 0, wanted);
    assert!(refused(&world, NODE, tag).contains("is not one topic"));
}
