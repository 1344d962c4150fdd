//! What the leaders have said of messages: to whom they were handed out, and how that ended.
//!
//! It judges nothing. Checks that look at a whole run read it, and so does whoever tells what became
//! of a message.

use std::{collections::BTreeMap, time::Duration};

use super::{
    HashMap,
    step::{NameId, NodeId, Step, What},
};

/// A message was handed to a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handed {
    /// When.
    pub at: Duration,
    /// By whom.
    pub node: NodeId,
    /// Of which shard.
    pub shard: u64,
    /// Under which term.
    pub term: u64,
    /// In which leadership; a node that is started again within its term begins another.
    pub life: u32,
    /// To whom.
    pub consumer: NameId,
    /// The leader's name of the message.
    pub message: NameId,
    /// The message's own id, if the leader had it at hand.
    pub id: Option<NameId>,
    /// The queue that it stood on, likewise; none of a topic's.
    pub queue: Option<NameId>,
    /// Whether it was marked.
    pub redelivered: bool,
    /// How many messages the consumer holds with it.
    pub in_flight: u64,
    /// How many more it may be given.
    pub credit: u64,
}

/// A delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When.
    pub at: Duration,
    /// By whom it was told.
    pub node: NodeId,
    /// Of which shard.
    pub shard: u64,
    /// Under which term.
    pub term: u64,
    /// Who had it.
    pub consumer: NameId,
    /// The leader's name of the message.
    pub message: NameId,
    /// Whether the message is gone for good; otherwise it went back.
    pub is_settled: bool,
}

/// A consumer left its leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// When.
    pub at: Duration,
    /// Which leader.
    pub node: NodeId,
    /// Of which shard.
    pub shard: u64,
    /// Under which term.
    pub term: u64,
    /// Who.
    pub consumer: NameId,
    /// How much had been handed out before.
    pub after: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Trail {
    /// In the order it happened.
    pub handed: Vec<Handed>,
    /// In the order it happened.
    pub ended: Vec<Ended>,
    /// In the order it happened.
    pub left: Vec<Left>,
    /// By shard: since when who has served it last, under which term.
    pub leaders: BTreeMap<u64, (Duration, NodeId, u64)>,
    /// What is with consumers, as the present leaders say: by shard and message, indices into what
    /// was handed out.
    out: BTreeMap<u64, HashMap<NameId, usize>>,
    /// By shard and message: the message's own id, and the queue that it stood on. What one leader
    /// hands out before its body is at hand is known from the body's being read, or from another
    /// leader of the shard: all of them have one name for a message.
    known: HashMap<(u64, NameId), (NameId, Option<NameId>)>,
    /// By shard and term: the latest leadership.
    lives: HashMap<(u64, u64), u32>,
    begun: u32,
}

impl Trail {
    /// Takes in one step.
    pub fn step(&mut self, step: &Step) {
        let Step { at, node, .. } = *step;
        match step.what {
            What::ServeBegin { shard, term } => {
                self.begun += 1;
                self.lives.insert((shard, term), self.begun);
                self.leaders.insert(shard, (at, node, term));
                self.out.remove(&shard);
            }
            What::Dispatch {
                shard,
                term,
                consumer,
                message,
                id,
                queue,
                redelivered,
                in_flight,
                credit,
                ..
            } => {
                let life = self.lives.get(&(shard, term)).copied().unwrap_or(0);
                if let Some(id) = id {
                    self.known.insert((shard, message), (id, queue));
                }
                self.out.entry(shard).or_default().insert(message, self.handed.len());
                self.handed.push(Handed {
                    at,
                    node,
                    shard,
                    term,
                    life,
                    consumer,
                    message,
                    id,
                    queue,
                    redelivered,
                    in_flight,
                    credit,
                });
            }
            What::ReadBack { shard, message, id, queue } => {
                self.known.insert((shard, message), (id, queue));
            }
            What::Settle { shard, term, consumer, message } => {
                let is_settled = true;
                self.came_back(shard, message);
                self.ended.push(Ended { at, node, shard, term, consumer, message, is_settled });
            }
            What::Release { shard, term, consumer, message } => {
                let is_settled = false;
                self.came_back(shard, message);
                self.ended.push(Ended { at, node, shard, term, consumer, message, is_settled });
            }
            What::Detach { shard, term, consumer } => {
                let after = self.handed.len();
                self.left.push(Left { at, node, shard, term, consumer, after });
                if let Some(out) = self.out.get_mut(&shard) {
                    out.retain(|_, index| self.handed[*index].consumer != consumer);
                }
            }
            _ => {}
        }
    }

    fn came_back(&mut self, shard: u64, message: NameId) {
        if let Some(out) = self.out.get_mut(&shard) {
            out.remove(&message);
        }
    }

    /// Who holds messages of a shard: for each consumer how many, and the first of them that it was
    /// given.
    pub fn holders(&self, shard: u64) -> BTreeMap<NameId, (u64, &Handed)> {
        let mut holders: BTreeMap<NameId, (u64, usize)> = BTreeMap::new();
        for &index in self.out.get(&shard).into_iter().flat_map(HashMap::values) {
            let holder = holders.entry(self.handed[index].consumer).or_insert((0, index));
            *holder = (holder.0 + 1, holder.1.min(index));
        }
        let first = |(consumer, (count, index))| (consumer, (count, &self.handed[index]));
        holders.into_iter().map(first).collect()
    }

    /// Everything handed out, with the ids and queues that became known at another time. What no
    /// leader ever had at hand has none.
    pub fn handed_in_full(&self) -> Vec<Handed> {
        let fill = |handed: &Handed| {
            let known = self.known.get(&(handed.shard, handed.message));
            match known {
                Some(&(id, queue)) if handed.id.is_none() => {
                    Handed { id: Some(id), queue, ..*handed }
                }
                _ => *handed,
            }
        };
        self.handed.iter().map(fill).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn what_was_read_back_is_known_afterwards() {
        let mut trail = Trail::default();
        trail.step(&by(1, What::ServeBegin { shard: 1, term: 4 }));
        trail.step(&by(1, dispatch(1, 4, 1, 2)));
        trail.step(&by(1, dispatch(1, 4, 1, 3)));
        let queue = Some(NameId(8));
        trail.step(&by(1, What::ReadBack { shard: 1, message: NameId(2), id: NameId(7), queue }));
        let handed = trail.handed_in_full();
        assert_eq!((handed[0].id, handed[0].queue), (Some(NameId(7)), queue));
        assert_eq!(handed[1].id, None);
    }

    #[test]
    fn what_one_leader_never_read_back_another_one_may_have_had_at_hand() {
        let mut trail = Trail::default();
        let mut at_hand = dispatch(1, 5, 1, 2);
        if let What::Dispatch { id, queue, .. } = &mut at_hand {
            (*id, *queue) = (Some(NameId(7)), Some(NameId(8)));
        }
        trail.step(&by(1, What::ServeBegin { shard: 1, term: 4 }));
        trail.step(&by(1, dispatch(1, 4, 1, 2)));
        trail.step(&by(2, What::ServeBegin { shard: 1, term: 5 }));
        trail.step(&by(2, at_hand));
        trail.step(&by(2, dispatch(2, 5, 1, 2)));
        let ids: Vec<_> = trail.handed_in_full().iter().map(|handed| handed.id).collect();
        assert_eq!(ids, [Some(NameId(7)), Some(NameId(7)), None], "names are a shard's own");
    }

    #[test]
    fn who_holds_what_ends_with_the_settlement_the_consumer_and_the_leader() {
        let held = |trail: &Trail| -> Vec<(u32, u64, u32)> {
            let holders = trail.holders(1).into_iter();
            holders.map(|(name, (count, first))| (name.0, count, first.message.0)).collect()
        };
        let mut trail = Trail::default();
        let (shard, term) = (1, 4);
        trail.step(&by(1, What::ServeBegin { shard, term }));
        for (consumer, message) in [(1, 5), (1, 6), (1, 7), (2, 8)] {
            trail.step(&by(1, dispatch(shard, term, consumer, message)));
        }
        assert_eq!(held(&trail), [(1, 3, 5), (2, 1, 8)]);
        let (consumer, message) = (NameId(1), NameId(5));
        trail.step(&by(1, What::Settle { shard, term, consumer, message }));
        assert_eq!(held(&trail), [(1, 2, 6), (2, 1, 8)]);
        let message = NameId(6);
        trail.step(&by(1, What::Release { shard, term, consumer, message }));
        trail.step(&by(1, What::Detach { shard, term, consumer: NameId(2) }));
        assert_eq!(held(&trail), [(1, 1, 7)]);
        trail.step(&by(2, What::ServeBegin { shard, term: 5 }));
        assert_eq!(held(&trail), []);
    }

    #[test]
    fn a_leader_that_starts_again_within_its_term_begins_anew() {
        let mut trail = Trail::default();
        for _ in 0..2 {
            trail.step(&by(0, What::ServeBegin { shard: 1, term: 4 }));
            trail.step(&by(0, dispatch(1, 4, 1, 2)));
        }
        assert_ne!(trail.handed[0].life, trail.handed[1].life);
    }
}
