//! Branches of distributed transactions: wherever a node dies and whoever ends one, it is whole.

use super::world::{NODES, SLOTS, World};
use crate::{
    operation::{Delivery, OpTag, Outcome, Refusal},
    xa::{BranchRefused, Resolver, Xid},
};

/// A branch whose home shard is that of the slot.
fn xid(home: u8) -> Xid {
    Xid::new(4660, b"order", &[home]).unwrap()
}

/// A world in which node 0 holds the messages `m` of `q0` and `n` of `q1`.
fn holding() -> (World, Vec<Delivery>) {
    let mut world = World::new();
    world.publish(1, "q0", "m", true);
    world.publish(1, "q1", "n", true);
    world.settle_down();
    for (consumer, queue) in ["q0", "q1"].into_iter().enumerate() {
        let subscription = crate::operation::Subscription::new(super::world::named(queue), 10);
        world.subscribe_as(0, consumer as u64, subscription);
    }
    world.settle_down();
    let held = world.nodes[0].deliveries.clone();
    assert_eq!(held.len(), 2);
    (world, held)
}

/// The same, with a branch that is prepared: it accepts both and sends `a` to `q1` and `b` to `q2`.
fn prepared(home: u8) -> (World, Vec<Delivery>) {
    let (mut world, held) = holding();
    let tag = world.prepare(0, &xid(home), &[("q1", "a"), ("q2", "b")], &held);
    world.settle_down();
    assert_eq!(world.outcome(0, tag), Some(&Ok(())));
    (world, held)
}

fn refused(world: &World, node: usize, tag: OpTag) -> BranchRefused {
    match world.outcome(node, tag) {
        Some(Err(Refusal::Branch(why))) => *why,
        other => panic!("{other:?}"),
    }
}

/// Whether what the branch of [`prepared`] sends and accepts is done; not half of it.
fn is_done(world: &World) -> bool {
    let entered = ["a", "b"].map(|id| world.entered(id));
    let left = ["m", "n"].map(|id| world.has_left(id));
    match (entered, left) {
        ([1, 1], [true, true]) => true,
        ([0, 0], [false, false]) => false,
        half => panic!("{half:?}"),
    }
}

fn assert_nothing_is_left(world: &mut World) {
    assert_eq!(world.branches(1), []);
    for shard in &world.shards {
        assert_eq!(shard.state.prepared().count(), 0, "a part is prepared for ever");
        assert_eq!(shard.state.decided().count(), 0, "a decision is kept for ever");
    }
}

#[test]
fn what_is_prepared_outlives_everybody_and_is_ended_through_any_node_once() {
    for (home, commit) in [(0, true), (1, false), (2, true), (2, false)] {
        let (mut world, _) = prepared(home);
        world.restart(0);
        for slot in 0..SLOTS {
            world.lose_leader(slot, 9);
        }
        world.settle_down();
        world.settle_down();
        assert!(!is_done(&world), "nobody has said so");
        assert_eq!(world.in_flight(0) + world.in_flight(1), 0, "nobody has what it accepts");
        let listed = world.branches(1);
        assert_eq!(listed.iter().map(|it| &it.xid).collect::<Vec<_>>(), [&xid(home)]);
        assert_eq!((&listed[0].participants[..], listed[0].ended), (&[0, 1, 2][..], None));
        let tag = world.resolve(1, &xid(home), commit, Resolver::Manager);
        world.settle_down();
        assert_eq!(world.outcome(1, tag), Some(&Ok(())));
        assert_eq!(is_done(&world), commit);
        assert_nothing_is_left(&mut world);
        let again = world.resolve(0, &xid(home), commit, Resolver::Manager);
        world.settle_down();
        assert_eq!(refused(&world, 0, again), BranchRefused::Unknown);
        assert_eq!(is_done(&world), commit);
    }
}

#[test]
fn a_node_that_dies_while_it_prepares_leaves_a_branch_that_is_prepared_or_nothing() {
    let mut seen = Vec::new();
    for (home, turns) in (0..3).flat_map(|home| (0..=6).map(move |turns| (home, turns))) {
        let (mut world, held) = holding();
        world.prepare(0, &xid(home), &[("q1", "a"), ("q2", "b")], &held);
        for _ in 0..turns {
            world.turn();
        }
        world.restart(0);
        let is_listed = !world.branches(1).is_empty();
        seen.push(is_listed);
        let parts: usize = world.shards.iter().map(|it| it.state.prepared().count()).sum();
        assert_eq!(parts, if is_listed { 3 } else { 0 }, "after {turns} turns");
        let tag = world.resolve(1, &xid(home), true, Resolver::Manager);
        world.settle_down();
        assert_eq!(world.outcome(1, tag).is_some_and(Result::is_ok), is_listed);
        assert_eq!(is_done(&world), is_listed, "after {turns} turns");
        assert_nothing_is_left(&mut world);
    }
    assert!(seen.contains(&true) && seen.contains(&false), "{seen:?}");
}

#[test]
fn a_node_that_dies_while_it_ends_a_branch_leaves_it_ended_or_prepared() {
    let mut seen = Vec::new();
    for commit in [true, false] {
        for turns in 0..=6 {
            let (mut world, _) = prepared(2);
            world.resolve(1, &xid(2), commit, Resolver::Manager);
            for _ in 0..turns {
                world.turn();
            }
            world.restart(1);
            let is_listed = !world.branches(0).is_empty();
            seen.push(is_listed);
            assert_eq!(is_done(&world), commit && !is_listed, "after {turns} turns");
            // Its transaction manager says so again, since it has not heard that it is done.
            let again = world.resolve(0, &xid(2), commit, Resolver::Manager);
            world.settle_down();
            assert_eq!(world.outcome(0, again).is_some_and(Result::is_ok), is_listed);
            assert_eq!(is_done(&world), commit);
            assert_nothing_is_left(&mut world);
        }
    }
    assert!(seen.contains(&true) && seen.contains(&false), "{seen:?}");
}

#[test]
fn of_two_who_end_a_branch_at_once_the_first_is_right() {
    let mut committed = Vec::new();
    for (first, ahead) in (0..NODES).flat_map(|first| (0..4).map(move |ahead| (first, ahead))) {
        let (mut world, _) = prepared(2);
        let tags = [(first, true), (1 - first, false)].map(|(node, commit)| {
            let tag = world.resolve(node, &xid(2), commit, Resolver::Manager);
            for _ in 0..ahead {
                world.turn();
            }
            (node, tag)
        });
        world.settle_down();
        let outcomes = tags.map(|(node, tag)| world.outcome(node, tag).cloned().unwrap());
        let done: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
        assert!(done == [true, false] || done == [false, true], "{outcomes:?}");
        let loser = outcomes.iter().find(|it| it.is_err()).unwrap();
        let by = Resolver::Manager;
        let expected: [Outcome; 2] = [
            Err(Refusal::Branch(BranchRefused::Unknown)),
            Err(Refusal::Branch(BranchRefused::Ended { commit: done[0], by })),
        ];
        assert!(expected.contains(loser), "{loser:?}");
        assert_eq!(is_done(&world), done[0]);
        committed.push(done[0]);
        assert_nothing_is_left(&mut world);
    }
    assert!(committed.contains(&true) && committed.contains(&false), "{committed:?}");
}

#[test]
fn two_who_commit_a_branch_are_both_told_that_it_is_done_or_gone() {
    let (mut world, _) = prepared(1);
    let tags = [0, 1].map(|node| world.resolve(node, &xid(1), true, Resolver::Manager));
    world.settle_down();
    assert_eq!(world.outcome(0, tags[0]), Some(&Ok(())));
    let other = world.outcome(1, tags[1]).unwrap();
    assert!(matches!(other, Ok(()) | Err(Refusal::Branch(BranchRefused::Unknown))), "{other:?}");
    assert!(is_done(&world));
    assert_nothing_is_left(&mut world);
}

#[test]
fn a_part_whose_branch_was_never_entered_is_given_up_and_the_branch_with_it() {
    for home in 0..3 {
        let (mut world, held) = holding();
        world.lose_leader(2, 0);
        let tag = world.prepare(0, &xid(home), &[("q1", "a"), ("q2", "b")], &held);
        for _ in 0..9 {
            world.turn();
            for slot in 0..2 {
                world.look(slot, 1);
            }
        }
        assert_eq!(world.outcome(0, tag), None, "one part cannot be prepared yet");
        world.settle_down();
        if world.outcome(0, tag) == Some(&Ok(())) {
            // Its home shard was not there either, and entered it before it was asked.
            assert_eq!(home, 2);
            continue;
        }
        assert_eq!(refused(&world, 0, tag), BranchRefused::GivenUp);
        assert!(!is_done(&world));
        assert_nothing_is_left(&mut world);
        let tag = world.accept(0, &held);
        world.settle_down();
        assert_eq!(world.outcome(0, tag), Some(&Ok(())), "the client holds them again");
    }
}

#[test]
fn a_part_that_is_refused_refuses_the_branch_and_leaves_no_trace() {
    let (mut world, held) = holding();
    let accepted = world.accept(0, &held[..1]);
    world.settle_down();
    assert_eq!(world.outcome(0, accepted), Some(&Ok(())));
    let tag = world.prepare(0, &xid(2), &[("q1", "a"), ("q2", "b")], &held);
    world.settle_down();
    assert!(matches!(world.outcome(0, tag), Some(Err(Refusal::Rejected(_)))));
    assert_eq!((world.entered("a"), world.has_left("n")), (0, false));
    assert_nothing_is_left(&mut world);
}

#[test]
fn one_name_is_prepared_once() {
    let mut world = World::new();
    let tags = [
        world.prepare(0, &xid(1), &[("q0", "a"), ("q2", "b")], &[]),
        world.prepare(1, &xid(1), &[("q0", "c"), ("q2", "d")], &[]),
    ];
    world.settle_down();
    let outcomes = [0, 1].map(|node| world.outcome(node, tags[node]).cloned().unwrap());
    let second = outcomes.iter().position(Result::is_err).expect("one of them is too late");
    assert_eq!(refused(&world, second, tags[second]), BranchRefused::Exists);
    let tag = world.resolve(0, &xid(1), true, Resolver::Manager);
    world.settle_down();
    assert_eq!(world.outcome(0, tag), Some(&Ok(())));
    let entered = ["a", "b", "c", "d"].map(|id| world.entered(id));
    assert_eq!(entered, if second == 1 { [1, 1, 0, 0] } else { [0, 0, 1, 1] });
    assert_nothing_is_left(&mut world);
}

#[test]
fn who_prepared_a_branch_and_rolls_it_back_holds_its_messages_again() {
    let (mut world, held) = prepared(2);
    let tag = world.resolve(0, &xid(2), false, Resolver::Manager);
    world.settle_down();
    assert_eq!(world.outcome(0, tag), Some(&Ok(())));
    assert_eq!(world.nodes[0].deliveries.len(), 2, "nothing is delivered again");
    let tag = world.accept(0, &held);
    world.settle_down();
    assert_eq!(world.outcome(0, tag), Some(&Ok(())));
    assert!(world.has_left("m") && world.has_left("n"));
    assert_nothing_is_left(&mut world);
}

#[test]
fn what_another_node_rolls_back_is_delivered_again_and_marked() {
    let (mut world, _) = prepared(2);
    let tag = world.resolve(1, &xid(2), false, Resolver::Manager);
    world.settle_down();
    assert_eq!(world.outcome(1, tag), Some(&Ok(())));
    let again = world.nodes[0].deliveries[2..].to_vec();
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|it| it.redelivered && it.redelivery_count == 1), "{again:?}");
    let tag = world.accept(0, &again);
    world.settle_down();
    assert_eq!(world.outcome(0, tag), Some(&Ok(())));
    assert_nothing_is_left(&mut world);
}

#[test]
fn what_a_consumer_that_left_had_accepted_comes_back_only_with_a_rollback() {
    let (mut world, _) = prepared(2);
    for consumer in [0, 1] {
        world.unsubscribe(0, consumer);
    }
    world.subscribe(1, "q0", 10);
    world.settle_down();
    assert_eq!(world.nodes[1].deliveries.len(), 0);
    let tag = world.resolve(0, &xid(2), false, Resolver::Manager);
    world.settle_down();
    assert_eq!(world.outcome(0, tag), Some(&Ok(())));
    let again = &world.nodes[1].deliveries;
    assert_eq!((again.len(), again[0].redelivery_count), (1, 1));
}

#[test]
fn a_list_has_what_was_prepared_before_it_was_asked_for() {
    for turns in 0..4 {
        let mut world = World::new();
        let prepared = world.prepare(0, &xid(2), &[("q0", "a"), ("q1", "b")], &[]);
        for _ in 0..turns {
            world.turn();
        }
        let was_told = world.outcome(0, prepared) == Some(&Ok(()));
        let list = world.recover(1);
        world.settle_down();
        let listed = world.nodes[1].listed[&list].len();
        assert!(!was_told || listed == 1, "after {turns} turns");
        assert_eq!(world.branches(0).len(), 1);
    }
}

#[test]
fn a_list_whose_answer_a_leader_took_with_it_is_made_again_and_none_is_incomplete() {
    let (mut world, _) = prepared(1);
    let list = world.recover(1);
    world.turn();
    world.lose_leader(1, 9);
    for _ in 0..9 {
        world.turn();
    }
    let tag = world.recover(1);
    for _ in 0..9 {
        world.turn();
    }
    assert_eq!(world.outcome(1, tag), None, "a shard without a leader has not listed its own");
    world.settle_down();
    for tag in [list, tag] {
        assert_eq!(world.outcome(1, tag), Some(&Ok(())));
        assert_eq!(world.nodes[1].listed[&tag].len(), 1);
    }
    // Applied, and the answer lost.
    let list = world.recover(1);
    world.run_client(1, 1);
    world.answer(1, 1, 9);
    world.run_client(1, 1);
    world.carry(1, 1, 9);
    world.lose_leader(1, 9);
    world.settle_down();
    assert_eq!(world.nodes[1].listed[&list].len(), 1);
}

#[test]
fn what_an_operator_has_done_is_remembered_until_the_transaction_manager_knows() {
    let (mut world, _) = prepared(2);
    let by = Resolver::Operator;
    for _ in 0..2 {
        let tag = world.resolve(1, &xid(2), false, by);
        world.settle_down();
        assert_eq!(world.outcome(1, tag), Some(&Ok(())), "given again it does nothing");
    }
    let ended = BranchRefused::Ended { commit: false, by };
    for resolver in [Resolver::Operator, Resolver::Manager] {
        let tag = world.resolve(1, &xid(2), true, resolver);
        world.settle_down();
        assert_eq!(refused(&world, 1, tag), ended);
    }
    let listed = world.branches(1);
    assert_eq!((listed.len(), listed[0].ended), (1, Some(false)));
    assert_eq!(listed[0].participants, Vec::<u32>::new());
    let name = xid(2);
    let tag = world.submit(1, |tag| crate::operation::Operation::ForgetBranch { tag, xid: name });
    world.settle_down();
    assert_eq!(world.outcome(1, tag), Some(&Ok(())));
    assert!(!is_done(&world));
    assert_nothing_is_left(&mut world);

    // One who agrees need not be told.
    let (mut world, _) = prepared(2);
    for resolver in [Resolver::Operator, Resolver::Manager] {
        let tag = world.resolve(1, &xid(2), true, resolver);
        world.settle_down();
        assert_eq!(world.outcome(1, tag), Some(&Ok(())));
    }
    assert!(is_done(&world));
    assert_nothing_is_left(&mut world);
}

#[test]
fn a_branch_that_nobody_ends_is_asked_after_less_and_less_often() {
    let (mut world, _) = prepared(2);
    let mut asked = 0;
    for _ in 0..400 {
        world.turn();
        for slot in 0..SLOTS {
            let before = world.nodes[1].inquiries_made();
            world.look(slot, 1);
            asked += world.nodes[1].inquiries_made() - before;
        }
    }
    // Two minutes: 40 s of three parts that have been asked after by doubling, then every 64 s.
    assert!((3..=24).contains(&asked), "{asked}");
}
