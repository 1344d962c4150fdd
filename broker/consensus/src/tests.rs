use std::{mem, time::Duration};

use proptest::prelude::*;

use crate::{harness::*, *};

const SECOND: Duration = Duration::from_secs(1);

fn elected(voters: u64) -> (Group, NodeId) {
    let mut group = Group::new(voters, 0, 7);
    group.run(SECOND);
    let leader = group.leader().expect("somebody leads");
    (group, leader)
}

fn others(group: &Group, leader: NodeId) -> Vec<NodeId> {
    group.nodes.keys().copied().filter(|node| *node != leader).collect()
}

fn isolate(group: &mut Group, node: NodeId, from: &[NodeId]) {
    for other in from {
        group.cut.extend([(node, *other), (*other, node)]);
    }
}

#[test]
fn what_is_proposed_is_committed_everywhere() {
    for voters in 1..=5 {
        let (mut group, leader) = elected(voters);
        let last = (0..10).filter_map(|_| group.propose(leader)).next_back().unwrap();
        group.run(SECOND);
        for node in group.nodes.values() {
            let replica = node.replica.as_ref().unwrap();
            assert_eq!((replica.commit(), replica.stable()), (last.index, last.index));
        }
        assert!(group.replica(leader.0).lease().is_some());
    }
}

#[test]
fn a_leader_does_not_count_its_own_copy_before_it_is_on_its_disk() {
    let (mut group, leader) = elected(3);
    let others = others(&group, leader);
    isolate(&mut group, others[1], &[leader, others[0]]);
    let proposed = group.propose(leader).unwrap();
    for _ in 0..20 {
        group.drive();
        group.write(others[0], 9);
        (0..group.wire.len()).for_each(|_| group.deliver(0));
    }
    assert!(group.nodes[&others[0]].disk.has(proposed), "it was sent before it was written");
    assert!(group.replica(leader.0).commit() < proposed.index);
    group.write(leader, 9);
    assert_eq!(group.replica(leader.0).commit(), proposed.index);
}

#[test]
fn one_that_was_cut_off_unseats_nobody() {
    let (mut group, leader) = elected(3);
    let (term, others) = (group.replica(leader.0).term(), others(&group, leader));
    isolate(&mut group, others[0], &[leader, others[1]]);
    group.run(5 * SECOND);
    assert_eq!(group.replica(others[0].0).role(), Role::PreCandidate);
    group.cut.clear();
    group.run(SECOND);
    assert_eq!((group.leader(), group.replica(leader.0).term()), (Some(leader), term));
    assert_eq!(group.replica(others[0].0).leader(), Some(leader));
}

#[test]
fn one_that_hears_nothing_but_is_heard_unseats_nobody() {
    let (mut group, leader) = elected(3);
    let (term, others) = (group.replica(leader.0).term(), others(&group, leader));
    group.cut.extend([(leader, others[0]), (others[1], others[0])]);
    group.run(5 * SECOND);
    assert_eq!((group.leader(), group.replica(leader.0).term()), (Some(leader), term));
}

#[test]
fn a_leader_without_a_majority_falls_silent_so_that_others_elect() {
    let (mut group, leader) = elected(5);
    let others = others(&group, leader);
    // One member of the connected majority still hears of it.
    isolate(&mut group, leader, &others[1..]);
    group.run(2 * SECOND);
    assert_ne!(group.replica(leader.0).role(), Role::Leader);
    let next = group.leader().expect("four of five elect");
    assert_ne!(next, leader);
    assert!(group.propose(next).is_some());
    group.run(SECOND);
    assert_eq!(group.replica(next.0).commit(), group.replica(next.0).log().last().index);
}

/// Three nodes, of which these have nine times the timings of the others; the third one leads.
fn led_by_the_third(slow: &[u64]) -> Group {
    let mut group = Group::new(3, 0, 3);
    for node in slow.iter().copied().map(NodeId) {
        group.times.insert(node, 9);
        group.crash(node, 0);
        group.start(node);
    }
    group.run(10 * SECOND);
    let (leader, now) = (group.leader().expect("somebody leads"), group.now);
    if leader != NodeId(3) {
        group.replica(leader.0).hand_over(NodeId(3), now).unwrap();
        group.run(SECOND);
    }
    assert_eq!(group.leader(), Some(NodeId(3)));
    group
}

#[test]
fn a_leader_beats_as_often_as_its_followers_want_to_hear_of_it() {
    let mut group = led_by_the_third(&[3]);
    let term = group.replica(3).term();
    group.run(20 * SECOND);
    assert_eq!((group.leader(), group.replica(3).term()), (Some(NodeId(3)), term));
}

/// They look for another leader long before it would stop serving by its own settings. The group looks
/// at every step whether two serve.
#[test]
fn a_leader_serves_no_longer_than_its_followers_keep_to_it() {
    let mut group = led_by_the_third(&[3]);
    isolate(&mut group, NodeId(3), &[NodeId(1), NodeId(2)]);
    group.run(2 * SECOND);
    assert!(group.leader().is_some_and(|next| next != NodeId(3)));
}

#[test]
fn who_is_held_is_sent_entries_later() {
    let (mut group, leader) = elected(3);
    let held = others(&group, leader)[0];
    // Not an instant at which a beat is due.
    let until = group.now + SECOND + Duration::from_millis(13);
    group.replica(leader.0).hold(held, until);
    let last = (0..30).filter_map(|_| group.propose(leader)).next_back().unwrap();
    group.run(SECOND + Duration::from_millis(2));
    assert_eq!(group.replica(leader.0).commit(), last.index, "the others go on");
    assert!(group.replica(held.0).log().last() < last);
    assert_eq!(group.replica(leader.0).poll_timeout(), until);
    group.run(Duration::from_millis(20));
    assert_eq!(group.replica(held.0).log().last(), last);
}

/// It has promised in its life before to keep to its leader for longer than it would by the settings
/// of this one.
#[test]
fn a_promise_outlasts_the_life_in_which_it_was_made() {
    let mut group = led_by_the_third(&[2, 3]);
    isolate(&mut group, NodeId(1), &[NodeId(2), NodeId(3)]);
    group.run(2 * SECOND);
    assert!(group.replica(3).lease().is_some());
    group.cut.clear();
    isolate(&mut group, NodeId(3), &[NodeId(1), NodeId(2)]);
    group.crash(NodeId(2), 0);
    group.times.clear();
    group.start(NodeId(2));
    group.run(4 * SECOND);
    assert!(group.leader().is_some_and(|next| next != NodeId(3)));
}

#[test]
fn a_hand_over_costs_no_election_timeout() {
    let (mut group, leader) = elected(3);
    let to = others(&group, leader)[0];
    group.propose(leader).unwrap();
    let now = group.now;
    group.replica(leader.0).hand_over(to, now).unwrap();
    assert_eq!(group.propose(leader), None, "it takes nothing more");
    group.run(Duration::from_millis(20));
    assert_eq!(group.leader(), Some(to));
    assert_eq!(group.replica(leader.0).lease(), None);
    group.run(Duration::from_millis(20));
    assert!(group.replica(to.0).lease().is_some_and(|until| until > now));
}

#[test]
fn a_hand_over_that_comes_to_nothing_ends() {
    let (mut group, leader) = elected(3);
    let others = others(&group, leader);
    group.crash(others[0], 0);
    let now = group.now;
    group.propose(leader).unwrap();
    group.replica(leader.0).hand_over(others[0], now).unwrap();
    group.run(SECOND);
    assert_eq!(group.leader(), Some(leader), "the other never had all: it goes on");
    assert!(group.propose(leader).is_some());
}

#[test]
fn members_come_and_go() {
    let mut group = Group::new(3, 2, 3);
    group.run(SECOND);
    let leader = group.leader().unwrap();
    group.propose(leader).unwrap();
    group.replica(leader.0).propose_membership(ids(1..=3), ids([4, 5])).unwrap();
    group.run(SECOND);
    let last = group.replica(leader.0).log().last();
    assert!(group.nodes[&NodeId(4)].disk.has(last), "learners have the log");
    group.replica(leader.0).propose_membership(ids(3..=5), ids([])).unwrap();
    group.run(2 * SECOND);
    let leader = group.leader().unwrap();
    assert!(leader.0 >= 3, "{leader} leads");
    let membership = group.replica(leader.0).log().membership().clone();
    assert_eq!(membership, Membership::of(ids(3..=5)));
    group.crash(NodeId(1), 0);
    group.crash(NodeId(2), 0);
    let proposed = group.propose(leader).unwrap();
    group.run(SECOND);
    assert!(group.replica(leader.0).commit() >= proposed.index);
}

/// Only the one that goes has the entry that says so, and the other can be elected neither against it
/// nor without it.
#[test]
fn one_that_goes_stands_for_election_until_its_going_is_committed() {
    let mut group = Group::new(1, 1, 3);
    group.run(SECOND);
    let (goes, comes) = (NodeId(1), NodeId(2));
    group.propose(goes).unwrap();
    group.replica(1).propose_membership(ids([2]), ids([])).unwrap();
    while group.replica(1).log().membership().is_joint() {
        group.run(Duration::from_millis(1));
    }
    group.cut.insert((goes, comes));
    group.drive();
    group.write(goes, usize::MAX);
    group.crash(goes, usize::MAX);
    group.start(goes);
    group.wire.clear();
    group.cut.clear();
    assert!(group.replica(2).log().membership().is_joint());
    group.run(3 * SECOND);
    assert_eq!(group.leader(), Some(comes));
    assert_eq!(group.replica(2).log().membership(), &Membership::of([comes]));
}

#[test]
fn one_that_lacks_what_a_snapshot_stands_for_is_sent_the_snapshot() {
    let (mut group, leader) = elected(3);
    let behind = others(&group, leader)[0];
    group.crash(behind, 0);
    (0..20).for_each(|_| assert!(group.propose(leader).is_some()));
    group.run(SECOND);
    group.compact(leader);
    assert!(group.replica(leader.0).log().base().index >= 20);
    group.start(behind);
    group.run(SECOND);
    let last = group.replica(leader.0).log().last();
    assert_eq!(group.replica(behind.0).commit(), last.index);
    let proposed = group.propose(leader).unwrap();
    group.run(SECOND);
    assert!(group.nodes[&behind].disk.has(proposed));
}

#[test]
fn a_group_in_which_nothing_happens_is_quiet() {
    let (mut group, leader) = elected(3);
    group.propose(leader).unwrap();
    group.run(SECOND);
    let (before, beats) = (group.quiet, group.quiet_beats);
    group.run(SECOND);
    // Twenty beats to two others, and their answers.
    assert!(group.quiet - before >= 70, "{}", group.quiet - before);
    assert!(group.quiet_beats - beats >= 18, "{}", group.quiet_beats - beats);
}

/// A step of a random course, and two numbers that say what exactly.
type Step = (u8, u16, u16);

fn take(group: &mut Group, (step, one, other): Step) {
    let nodes: Vec<NodeId> = group.nodes.keys().copied().collect();
    let node = nodes[one as usize % nodes.len()];
    let second = nodes[other as usize % nodes.len()];
    match step {
        0..20 => {
            if !group.wire.is_empty() {
                group.deliver(one as usize % group.wire.len());
            }
        }
        20..34 => {
            if !group.wire.is_empty() {
                group.deliver(0);
            }
        }
        34..36 => {
            if !group.wire.is_empty() {
                group.take(one as usize % group.wire.len());
            }
        }
        36..38 => {
            if let Some(message) = group.wire.get(one as usize % group.wire.len().max(1)) {
                group.wire.push(message.clone());
            }
        }
        38..52 => group.write(node, 1 + other as usize % 4),
        52..60 => {
            group.propose(node);
        }
        60..74 => group.pass(Duration::from_millis(u64::from(other) % 40)),
        74..77 => group.pass(Duration::from_millis(u64::from(other) % 500)),
        77..79 => group.crash(node, other as usize % 4),
        79..84 => {
            if other % 4 == 0 {
                group.times.insert(node, 1 + u32::from(other) % 9);
            }
            group.start(node);
        }
        84..85 => isolate(group, node, &[second]),
        85..86 => drop(group.cut.insert((node, second))),
        86..89 => group.cut.clear(),
        89..91 => group.compact(node),
        91..93 => {
            let now = group.now;
            if let Some(replica) = &mut group.nodes.get_mut(&node).unwrap().replica {
                let _ = replica.hand_over(second, now);
            }
        }
        93..95 => {
            let voters = nodes.iter().filter(|node| other >> (node.0 % 16) & 1 == 1);
            let voters: std::collections::BTreeSet<NodeId> = voters.copied().collect();
            if let Some(replica) = &mut group.nodes.get_mut(&node).unwrap().replica
                && !voters.is_empty()
            {
                let learners = if voters.contains(&second) { ids([]) } else { ids([second.0]) };
                let _ = replica.propose_membership(voters, learners);
            }
        }
        95..97 => drop(group.leave(node)),
        _ => group.drive(),
    }
    group.drive();
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0u8..100, any::<u16>(), any::<u16>()), 0..800)
}

proptest! {
    /// Whatever happens nothing that must hold breaks (the group looks at every step), and when
    /// all is well again the group goes on.
    #[test]
    fn whatever_happens(voters in 1u64..6, seed: u64, steps in steps()) {
        let mut group = Group::new(voters, 2, seed);
        steps.into_iter().for_each(|step| take(&mut group, step));
        // From here on all are configured alike; who was not is started again.
        for node in mem::take(&mut group.times).into_keys() {
            group.crash(node, usize::MAX);
        }
        group.cut.clear();
        for node in group.nodes.keys().copied().collect::<Vec<_>>() {
            group.start(node);
        }
        group.run(5 * SECOND);
        let leader = group.leader().expect("somebody leads");
        let proposed = group.propose(leader).expect("it takes what is proposed");
        group.run(SECOND);
        prop_assert!(group.replica(leader.0).commit() >= proposed.index);
        let membership = group.replica(leader.0).log().membership().clone();
        for member in membership.members() {
            let [of_member, of_leader] = [member, leader].map(|node| {
                let replica = group.replica(node.0);
                (replica.commit(), format!("{replica:?}"))
            });
            prop_assert_eq!(of_member.0, of_leader.0, "{}\n{}", of_member.1, of_leader.1);
        }
    }
}

/// One that has not heard that a node has left counts on its vote.
#[test]
fn one_that_left_and_came_back_elects_nobody_who_knows_less_than_it_did() {
    let mut group = Group::new(3, 1, 7);
    group.run(SECOND);
    let leader = group.leader().expect("somebody leads");
    let [goes, late] = others(&group, leader)[..2] else { unreachable!() };
    let comes = NodeId(4);
    let learners = ids([comes.0]);
    let all = ids([1, 2, 3]);
    group.replica(leader.0).propose_membership(all.clone(), learners).unwrap();
    group.run(SECOND);
    group.crash(late, 0);
    let voters = all.into_iter().filter(|node| *node != goes).chain([comes]).collect();
    group.replica(leader.0).propose_membership(voters, ids([])).unwrap();
    group.run(SECOND);
    assert!(group.leave(goes));
    group.propose(leader).expect("it leads");
    group.run(SECOND);
    for gone in [leader, comes] {
        group.crash(gone, 0);
    }
    group.start(late);
    group.run(3 * SECOND);
    assert_eq!(group.leader(), None, "nobody who is there has what was committed");
    group.start(leader);
    group.run(3 * SECOND);
    assert_eq!(group.leader(), Some(leader));
}

/// It is let decide before it has all that it knew once: its vote is needed from then on.
#[test]
fn one_that_left_and_came_back_elects_one_who_knows_as_much_as_it_did() {
    let mut group = Group::new(3, 0, 7);
    group.run(SECOND);
    let leader = group.leader().expect("somebody leads");
    let [stays, goes] = others(&group, leader)[..] else { unreachable!() };
    group.replica(leader.0).propose_membership(ids([leader.0, stays.0]), ids([])).unwrap();
    group.run(SECOND);
    assert!(group.leave(goes));
    isolate(&mut group, goes, &[leader]);
    group.replica(leader.0).propose_membership(ids(1..=3), ids([])).unwrap();
    group.run(SECOND);
    assert!(!group.has_caught_up(goes));
    group.crash(leader, 0);
    group.run(3 * SECOND);
    assert_eq!(group.leader(), Some(stays));
}

/// Of two replicas the damaged one votes only above its floor, of which the other may not know: it
/// may have voted for itself in terms of which nobody else has heard.
#[test]
fn the_other_of_two_learns_of_a_floor_above_its_term() {
    one_of_two_leads((2, &[2]), (0, &[]), 7);
}

/// The damaged one was sent an entry that the other had not written yet when it lost its power.
#[test]
fn the_other_of_two_leads_with_less_than_the_damaged_one_was_sent() {
    one_of_two_leads((8, &[2]), (8, &[2, 8]), 7);
}

/// Of each the latest term and the terms of the entries in its log; the second one is damaged.
fn one_of_two_leads(whole: (Term, &[Term]), damaged: (Term, &[Term]), floor: Term) {
    let membership = Membership::of([NodeId(1), NodeId(2)]);
    let replica = |node: u64, (term, log): (Term, &[Term]), floor: Option<Term>| {
        let terms = log;
        let mut log = Log::new(EntryId::ZERO, membership.clone());
        for (index, term) in (1..).zip(terms) {
            log.append(EntryId::new(*term, index), None);
        }
        let config = Config {
            node: NodeId(node),
            heartbeat: Duration::from_millis(50),
            election: [Duration::from_millis(200), Duration::from_millis(400)],
            patience: Duration::from_millis(400),
            promise: Duration::from_millis(200),
            lease: Duration::from_millis(150),
            entries: 64,
            window: 8,
            seed: node,
        };
        let vote = Vote { term, candidate: None };
        Replica::new(
            config,
            Recovered {
                vote,
                log,
                commit: 0,
                floor,
                votes_above_floor: false,
                left: EntryId::ZERO,
                promised: Duration::ZERO,
            },
            Duration::ZERO,
        )
    };
    let mut replicas = [replica(1, whole, None), replica(2, damaged, Some(floor))];
    for millis in (0..5_000).step_by(10) {
        let now = Duration::from_millis(millis);
        for from in 0..2 {
            replicas[from].handle_timeout(now);
            while let Some(Ready { number, now: first, after, .. }) = replicas[from].ready(now) {
                replicas[from].persisted(number, now);
                for outgoing in first.into_iter().chain(after) {
                    if let Outgoing::Message { message, .. } = outgoing {
                        replicas[1 - from].handle_message(NodeId(from as u64 + 1), message, now);
                    }
                }
            }
        }
    }
    assert_eq!((replicas[0].role(), replicas[0].term() > floor), (Role::Leader, true));
}
