//! Whatever happens to nodes, leaders and the ways between them: every command is applied once,
//! every operation answered once, in order, and transactions are whole.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::world::{NODES, SLOTS, World};
use crate::{
    operation::{Delivery, OpTag, Outcome, Refusal},
    xa::{Resolver, Xid},
};

/// Something that happens. Numbers beyond what there is are taken as the last.
#[derive(Clone, Debug)]
enum Happening {
    Publish { node: usize, queue: u32, stored: bool },
    Commit { node: usize, queues: Vec<u32>, accepts: usize },
    Prepare { node: usize, home: u8, queues: Vec<u32>, accepts: usize },
    Resolve { node: usize, which: usize, commit: bool },
    Recover { node: usize },
    Accept { node: usize, count: usize },
    SetPrefetch { node: usize, prefetch: u32 },
    Client { node: usize, slot: u32 },
    Carry { node: usize, slot: u32, count: usize },
    Entry { slot: u32, count: usize },
    Answer { node: usize, slot: u32, count: usize },
    Mangle { node: usize, slot: u32, twice: bool },
    Cut { node: usize, slot: u32 },
    Arrive { slot: u32 },
    LoseLeader { slot: u32, kept: usize },
    Elect { slot: u32 },
    Restart { node: usize },
    Look { slot: u32, node: usize },
    Turn,
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening as H;
    let (node, slot, count) = (0..NODES, 0..SLOTS, 1..6_usize);
    let place = 0..2 * SLOTS;
    prop_oneof![
        8 => (node.clone(), place.clone(), prop::bool::weighted(0.7))
            .prop_map(|(node, queue, stored)| H::Publish { node, queue, stored }),
        6 => (node.clone(), prop::collection::vec(place.clone(), 0..4), 0..3_usize)
            .prop_map(|(node, queues, accepts)| H::Commit { node, queues, accepts }),
        4 => (node.clone(), 0..3_u8, prop::collection::vec(place, 0..4), 0..3_usize)
            .prop_map(|(node, home, queues, accepts)| H::Prepare { node, home, queues, accepts }),
        4 => (node.clone(), 0..4_usize, any::<bool>())
            .prop_map(|(node, which, commit)| H::Resolve { node, which, commit }),
        1 => node.clone().prop_map(|node| H::Recover { node }),
        4 => (node.clone(), 1..3_usize).prop_map(|(node, count)| H::Accept { node, count }),
        2 => (node.clone(), 1..6_u32)
            .prop_map(|(node, prefetch)| H::SetPrefetch { node, prefetch }),
        10 => (node.clone(), slot.clone()).prop_map(|(node, slot)| H::Client { node, slot }),
        10 => (node.clone(), slot.clone(), count.clone())
            .prop_map(|(node, slot, count)| H::Carry { node, slot, count }),
        10 => (slot.clone(), count.clone()).prop_map(|(slot, count)| H::Entry { slot, count }),
        10 => (node.clone(), slot.clone(), count.clone())
            .prop_map(|(node, slot, count)| H::Answer { node, slot, count }),
        2 => (node.clone(), slot.clone(), any::<bool>())
            .prop_map(|(node, slot, twice)| H::Mangle { node, slot, twice }),
        3 => (node.clone(), slot.clone()).prop_map(|(node, slot)| H::Cut { node, slot }),
        8 => slot.clone().prop_map(|slot| H::Arrive { slot }),
        3 => (slot.clone(), 0..4_usize).prop_map(|(slot, kept)| H::LoseLeader { slot, kept }),
        4 => slot.clone().prop_map(|slot| H::Elect { slot }),
        1 => node.clone().prop_map(|node| H::Restart { node }),
        2 => (slot, node).prop_map(|(slot, node)| H::Look { slot, node }),
        6 => Just(H::Turn),
    ]
}

/// What was asked for.
#[derive(Debug)]
struct Asked {
    node: usize,
    life: u32,
    tag: OpTag,
    /// Stored messages that it publishes, and where to.
    publishes: Vec<(u32, String)>,
    /// A message that it publishes and that is not stored.
    volatile: Option<String>,
    /// Stored messages that it accepts.
    accepts: Vec<String>,
    is_commit: bool,
    /// The branch that it prepares, or ends and how.
    branch: Option<(Xid, Option<bool>)>,
    outcome: Option<Outcome>,
}

struct Course {
    world: World,
    asked: Vec<Asked>,
    lives: [u32; NODES],
    next_id: u32,
    stored: BTreeMap<String, bool>,
}

impl Course {
    fn new() -> Self {
        let mut world = World::new();
        world.stand_everywhere();
        for node in 0..NODES {
            subscribe(&mut world, node);
        }
        Self { world, asked: Vec::new(), lives: [0; NODES], next_id: 0, stored: BTreeMap::new() }
    }

    fn id(&mut self, stored: bool) -> String {
        self.next_id += 1;
        let id = format!("m{}", self.next_id);
        self.stored.insert(id.clone(), stored);
        id
    }

    fn publishes(&mut self, queues: Vec<u32>) -> Vec<(u32, String)> {
        queues.into_iter().map(|queue| (queue, self.id(true))).collect()
    }

    fn take(&mut self, node: usize, count: usize) -> (Vec<Delivery>, Vec<String>) {
        let held = &mut self.world.nodes[node].deliveries;
        let taken: Vec<Delivery> = held.drain(..count.min(held.len())).collect();
        let ids = taken.iter().map(|it| it.message.id.to_string());
        let stored = ids.filter(|id| self.stored[id]).collect();
        (taken, stored)
    }

    fn asked(&mut self, node: usize, tag: OpTag, asked: Asked) {
        self.asked.push(Asked { node, tag, life: self.lives[node], ..asked });
    }

    fn happen(&mut self, happening: Happening) {
        let nothing = || Asked {
            node: 0,
            life: 0,
            tag: OpTag(0),
            publishes: Vec::new(),
            volatile: None,
            accepts: Vec::new(),
            is_commit: false,
            branch: None,
            outcome: None,
        };
        match happening {
            Happening::Publish { node, queue, stored } => {
                let id = self.id(stored);
                let tag = self.world.publish(node, &name_of(queue), &id, stored);
                let asked = match stored {
                    true => Asked { publishes: vec![(queue, id)], ..nothing() },
                    false => Asked { volatile: Some(id), ..nothing() },
                };
                self.asked(node, tag, asked);
            }
            Happening::Commit { node, queues, accepts } => {
                let (taken, accepts) = self.take(node, accepts);
                let publishes = self.publishes(queues);
                let names = names(&publishes);
                let names: Vec<(&str, &str)> = names.iter().map(|(q, id)| (&**q, *id)).collect();
                let tag = self.world.commit(node, &names, &taken);
                self.asked(node, tag, Asked { publishes, accepts, is_commit: true, ..nothing() });
            }
            Happening::Prepare { node, home, queues, accepts } => {
                let (taken, accepts) = self.take(node, accepts);
                let publishes = self.publishes(queues);
                let names = names(&publishes);
                let names: Vec<(&str, &str)> = names.iter().map(|(q, id)| (&**q, *id)).collect();
                self.next_id += 1;
                let xid = Xid::new(1, &self.next_id.to_be_bytes(), &[home]).unwrap();
                let tag = self.world.prepare(node, &xid, &names, &taken);
                let (branch, is_commit) = (Some((xid, None)), true);
                self.asked(node, tag, Asked { publishes, accepts, is_commit, branch, ..nothing() });
            }
            Happening::Resolve { node, which, commit } => {
                let prepared = self.asked.iter().rev().filter_map(|it| it.branch.as_ref());
                let prepared = prepared.filter(|(_, end)| end.is_none());
                let Some((xid, _)) = prepared.take(which + 1).last().cloned() else { return };
                let tag = self.world.resolve(node, &xid, commit, Resolver::Manager);
                self.asked(node, tag, Asked { branch: Some((xid, Some(commit))), ..nothing() });
            }
            Happening::Recover { node } => {
                let tag = self.world.recover(node);
                self.asked(node, tag, nothing());
            }
            Happening::Accept { node, count } => {
                let (taken, accepts) = self.take(node, count);
                let all_volatile = taken.iter().all(|it| !self.stored[&*it.message.id]);
                let tag = self.world.accept(node, &taken);
                self.asked(node, tag, Asked { accepts, ..nothing() });
                assert!(
                    !all_volatile || self.world.outcome(node, tag).is_none_or(Result::is_ok),
                    "what is not stored is settled well, whoever leads"
                );
            }
            Happening::SetPrefetch { node, prefetch } => {
                let tag = self.world.set_prefetch(node, prefetch);
                self.asked(node, tag, nothing());
            }
            Happening::Client { node, slot } => self.world.run_client(node, slot),
            Happening::Carry { node, slot, count } => self.world.carry(node, slot, count),
            Happening::Entry { slot, count } => self.world.commit_entry(slot, count),
            Happening::Answer { node, slot, count } => self.world.answer(node, slot, count),
            Happening::Mangle { node, slot, twice } => self.world.mangle(node, slot, twice),
            Happening::Cut { node, slot } => self.world.cut(node, slot),
            Happening::Arrive { slot } => {
                self.note_outcomes();
                for id in self.world.arrive(slot) {
                    let it = self.asked.iter().find(|it| it.volatile.as_deref() == Some(&*id));
                    // What is to be stored for a topic's subscribers is not taken in so.
                    let told = it.and_then(|it| it.outcome.as_ref());
                    assert_eq!(told, None, "{id} arrives, and its sender has been answered");
                }
            }
            Happening::LoseLeader { slot, kept } => self.world.lose_leader(slot, kept),
            Happening::Elect { slot } => self.world.elect(slot),
            Happening::Restart { node } => {
                self.note_outcomes();
                self.world.restart(node);
                self.lives[node] += 1;
                subscribe(&mut self.world, node);
            }
            Happening::Look { slot, node } => self.world.look(slot, node),
            Happening::Turn => self.world.turn(),
        }
    }

    /// What clients of the present lives were told.
    fn note_outcomes(&mut self) {
        for asked in &mut self.asked {
            if asked.life == self.lives[asked.node] {
                asked.outcome = self.world.outcome(asked.node, asked.tag).cloned();
            }
        }
    }

    fn judge(mut self) {
        self.world.settle_down();
        self.note_outcomes();
        let ended = self.judge_branches();
        for asked in &self.asked {
            let entered: Vec<usize> =
                asked.publishes.iter().map(|(_, id)| self.world.entered(id)).collect();
            assert!(entered.iter().all(|count| *count <= 1), "doubled: {asked:?}");
            assert!(entered.windows(2).all(|it| it[0] == it[1]), "half of it: {asked:?}");
            let all_left = asked.accepts.iter().all(|id| self.world.has_left(id));
            if let Some((xid, None)) = &asked.branch {
                let is_done = entered.first().map_or(all_left, |count| *count == 1);
                match ended.get(xid) {
                    Some(true) => assert!(is_done && all_left, "half of it: {asked:?}"),
                    Some(false) => assert!(!is_done || entered.is_empty(), "done: {asked:?}"),
                    None if asked.outcome == Some(Ok(())) => panic!("forgotten: {asked:?}"),
                    None => assert!(!is_done || entered.is_empty(), "done: {asked:?}"),
                }
                continue;
            }
            match &asked.outcome {
                // It had ended, or was never prepared.
                Some(Err(Refusal::Branch(_))) if asked.branch.is_some() => {}
                Some(Err(Refusal::Branch(why))) => panic!("{why}: {asked:?}"),
                Some(Ok(())) => {
                    assert!(entered.iter().all(|count| *count == 1), "lost: {asked:?}");
                    assert!(all_left, "still there: {asked:?}");
                }
                Some(Err(Refusal::Rejected(_))) => {
                    assert!(entered.iter().all(|count| *count == 0), "done: {asked:?}");
                    assert!(asked.is_commit || !asked.accepts.is_empty(), "refused: {asked:?}");
                }
                Some(Err(Refusal::Unknown(why) | Refusal::Missing(why))) => {
                    panic!("{why}: {asked:?}")
                }
                None => {
                    assert_ne!(asked.life, self.lives[asked.node], "unanswered: {asked:?}");
                    if entered.first() == Some(&1) && asked.is_commit {
                        assert!(all_left, "half of it: {asked:?}");
                    }
                }
            }
        }
        self.judge_order();
        for shard in &self.world.shards {
            assert_eq!(shard.state.prepared().count(), 0, "a part is prepared for ever");
            assert_eq!(shard.state.decided().count(), 0, "a decision is kept for ever");
        }
    }

    /// How each branch that was prepared has ended, or ends now.
    fn judge_branches(&mut self) -> BTreeMap<Xid, bool> {
        let mut ended = BTreeMap::new();
        for asked in &self.asked {
            if let (Some((xid, Some(commit))), Some(Ok(()))) = (&asked.branch, &asked.outcome) {
                let other = ended.insert(xid.clone(), *commit).filter(|it| it != commit);
                assert_eq!(other, None, "{xid} has ended both ways");
            }
        }
        let prepared: Vec<Xid> = self.world.branches(0).into_iter().map(|it| it.xid).collect();
        let mut resolved = Vec::new();
        for (number, xid) in prepared.iter().enumerate() {
            assert_eq!(ended.get(xid), None, "{xid} had ended");
            let (node, commit) = (number % NODES, number % 2 == 0);
            resolved.push((node, self.world.resolve(node, xid, commit, Resolver::Manager)));
            ended.insert(xid.clone(), commit);
        }
        self.world.settle_down();
        for (node, tag) in resolved {
            assert_eq!(self.world.outcome(node, tag), Some(&Ok(())));
        }
        assert_eq!(self.world.branches(1), []);
        for asked in &self.asked {
            // Whoever asked died before the answer, or it was lost with a node. Of a branch that does
            // nothing it cannot be seen how it has ended: that somebody asked for it has to do.
            if let Some((xid, Some(commit))) = &asked.branch
                && asked.outcome.is_none()
                && self.is_carried_out(xid).is_none_or(|committed| committed == *commit)
            {
                ended.entry(xid.clone()).or_insert(*commit);
            }
        }
        ended
    }

    /// Whether a branch has committed; `None` if it does nothing, so that it cannot be seen.
    fn is_carried_out(&self, xid: &Xid) -> Option<bool> {
        let prepared = self.asked.iter().find(|it| {
            it.branch.as_ref().is_some_and(|(name, end)| name == xid && end.is_none())
        })?;
        let published = prepared.publishes.first().map(|(_, id)| self.world.entered(id) > 0);
        published.or_else(|| prepared.accepts.first().map(|id| self.world.has_left(id)))
    }

    /// What a client published outside of transactions stands in each queue as it was sent.
    fn judge_order(&self) {
        for slot in 0..SLOTS {
            let entered = &self.world.shards[slot as usize].entered;
            let place = |id: &str| entered.iter().position(|it| &**it == id);
            for node in 0..NODES {
                let own = self.asked.iter().filter(|it| it.node == node && !it.is_commit);
                let own: Vec<_> = own.flat_map(|it| &it.publishes).collect();
                for queue in [slot, slot + SLOTS] {
                    let own = own.iter().filter(|(to, _)| *to == queue);
                    let places: Vec<usize> = own.filter_map(|(_, id)| place(id)).collect();
                    let name = name_of(queue);
                    assert!(places.is_sorted(), "node {node} was overtaken in {name}");
                }
            }
        }
    }
}

fn names(publishes: &[(u32, String)]) -> Vec<(String, &str)> {
    publishes.iter().map(|(queue, id)| (name_of(*queue), &**id)).collect()
}

/// A queue, or a topic with a durable subscription.
fn name_of(place: u32) -> String {
    match place < SLOTS {
        true => format!("q{place}"),
        false => format!("t{}", place - SLOTS),
    }
}

fn subscribe(world: &mut World, node: usize) {
    world.subscribe(node, &format!("q{}", node + 1), 3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_all_is_done_once_and_whole(
        happenings in prop::collection::vec(happening(), 1..150)
    ) {
        let mut course = Course::new();
        for happening in happenings {
            course.happen(happening);
        }
        course.judge();
    }
}
