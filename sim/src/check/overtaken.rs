//! What comes back to its queue stands where it stood: nothing that ranks behind it is handed out
//! before it is.
//!
//! The check `order` looks at first deliveries only, since clients cannot tell when a message came
//! back. The leader can: it says what it hands out, and when a delivery was refused or its consumer
//! left. From then until it is handed out again, a message that is not on its way out stands on its
//! queue, and whatever is handed out meanwhile must have a higher priority, or the same and an
//! earlier place.
//!
//! Left out is what may have stood back for another reason: messages that expire, those that their
//! consumers select, and those whose consumer left while a settlement was on its way. Messages that are stored and those that are not
//! are compared by priority alone.

use std::collections::VecDeque;

use super::{
    HashMap, HashSet,
    step::{NameId, Step, Steps, What},
};
use crate::workload::{
    history::{History, Observation},
    operation::Publish,
};

/// What reports call the check.
pub const NAME: &str = "overtaken";

/// So many deliveries of a queue are looked back at.
const KEPT: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub struct Overtaken {
    shards: HashMap<u64, Shard>,
    /// Messages, by the broker's name, that clients have seen and that do not expire.
    lasting: HashSet<NameId>,
    /// Messages for which a client has sent an ACK or a NACK.
    settling: HashSet<NameId>,
}

/// What a shard's present leader has said.
#[derive(Debug, Default)]
struct Shard {
    /// Its term; what leaders of earlier ones still say is of no consequence.
    term: u64,
    /// Counts deliveries.
    now: u64,
    /// What is with consumers.
    out: HashMap<NameId, Out>,
    /// What has come back, and when.
    back: HashMap<NameId, (u64, Out)>,
    /// By queue: when what was handed out.
    queues: HashMap<NameId, VecDeque<(u64, Rank, NameId)>>,
}

#[derive(Clone, Copy, Debug)]
struct Out {
    consumer: NameId,
    id: Option<NameId>,
    /// Its queue and its rank there, if the leader had the message at hand.
    place: Option<(NameId, Rank)>,
}

/// Where a message stands on its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rank {
    priority: u64,
    is_stored: bool,
    /// As the broker names it: a place in the log, or a number of the term.
    at: [u64; 3],
}

impl Rank {
    fn new(priority: u64, message: &str) -> Option<Self> {
        let mut at = [0; 3];
        for (place, part) in at.iter_mut().zip(message.trim_start_matches('v').split('.')) {
            *place = part.parse().ok()?;
        }
        Some(Self { priority, is_stored: !message.starts_with('v'), at })
    }

    fn is_before(&self, other: &Self) -> bool {
        self.priority > other.priority
            || (self.priority == other.priority
                && self.is_stored == other.is_stored
                && self.at < other.at)
    }
}

impl Overtaken {
    /// Learns what clients see and do.
    pub fn observe(&mut self, seen: Observation<'_>, history: &History, names: &mut Steps) {
        match seen {
            Observation::Delivered(delivery) => {
                let publish = history.publish(delivery.id);
                let stands = |publish: &Publish| {
                    let parts = history.destination(publish.destination).parts;
                    publish.expires.is_none() && parts == 1
                };
                if publish.is_some_and(stands) {
                    self.lasting.insert(names.name(&delivery.broker_id));
                }
            }
            Observation::SettleSent(settle) => {
                for delivery in &settle.deliveries {
                    let delivery = &history.deliveries[*delivery as usize];
                    self.settling.insert(names.name(&delivery.broker_id));
                }
            }
            _ => {}
        }
    }

    /// Takes in one step; an error says why it must never happen.
    pub fn step(&mut self, step: &Step, names: &Steps) -> Result<(), String> {
        match step.what {
            What::ServeBegin { shard, term } => {
                let known = self.shards.entry(shard).or_default();
                if known.term <= term {
                    *known = Shard { term, ..Shard::default() };
                }
            }
            What::Dispatch { shard, term, .. }
            | What::Settle { shard, term, .. }
            | What::Release { shard, term, .. }
            | What::Detach { shard, term, .. }
                if self.shards.get(&shard).is_none_or(|known| known.term != term) => {}
            What::Dispatch { shard, consumer, message, id, queue, priority, .. } => {
                let rank = Rank::new(priority, names.text(message));
                let out = Out { consumer, id, place: queue.zip(rank) };
                let shard_state = self.shards.entry(shard).or_default();
                let overtaken_by = shard_state.hand_out(message, out);
                if let Some(by) = overtaken_by
                    && id.is_some_and(|id| self.lasting.contains(&id))
                {
                    return Err(format!(
                        "message {} of shard {shard} had come back to its queue when {}, which ranks \
                         behind it, was handed out",
                        names.text(message),
                        names.text(by)
                    ));
                }
            }
            What::Settle { shard, message, .. } => {
                self.shards.entry(shard).or_default().out.remove(&message);
            }
            What::Release { shard, message, .. } => {
                let shard = self.shards.entry(shard).or_default();
                if let Some(out) = shard.out.remove(&message) {
                    shard.back.insert(message, (shard.now, out));
                }
            }
            What::Detach { shard, consumer, .. } => {
                let shard = self.shards.entry(shard).or_default();
                let gone = shard.out.extract_if(|_, out| out.consumer == consumer);
                let gone: Vec<_> = gone.collect();
                for (message, out) in gone {
                    // Its settlement may be on its way, and then it stays put.
                    if out.id.is_some_and(|id| !self.settling.contains(&id)) {
                        shard.back.insert(message, (shard.now, out));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Shard {
    /// Notes a delivery. Whom it should have come before, if anybody.
    fn hand_out(&mut self, message: NameId, out: Out) -> Option<NameId> {
        self.now += 1;
        let back = self.back.remove(&message);
        self.out.insert(message, out);
        let (queue, rank) = out.place?;
        let log = self.queues.entry(queue).or_default();
        let overtaken_by = back.and_then(|(since, _)| {
            let later = log.iter().rev().take_while(|(at, ..)| *at > since);
            later.filter(|(_, other, _)| rank.is_before(other)).map(|(.., by)| *by).last()
        });
        log.push_back((self.now, rank, message));
        if log.len() > KEPT {
            log.pop_front();
        }
        overtaken_by
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::workload::operation::How;

    /// A leader's life with three messages of one queue, of which clients have seen all.
    struct Leader {
        told: Told,
        names: Steps,
        check: Overtaken,
        messages: Vec<(NameId, NameId)>,
    }

    impl Leader {
        fn new() -> Self {
            let (mut told, mut names, mut check) =
                (Told::new(), Steps::default(), Overtaken::default());
            check.step(&by(0, What::ServeBegin { shard: 1, term: 1 }), &names).unwrap();
            let messages = (0..3)
                .map(|number| {
                    let id = told.publish(QUEUE);
                    let delivery = told.deliver(id, false);
                    let seen = Observation::Delivered(&delivery);
                    check.observe(seen, &told.history, &mut names);
                    (names.name(&format!("{number}.0.0")), names.name(&delivery.broker_id))
                })
                .collect();
            Self { told, names, check, messages }
        }

        fn hand_out(&mut self, number: usize, consumer: u32, priority: u64) -> Result<(), String> {
            let (message, id) = self.messages[number];
            let queue = Some(self.names.name("q"));
            let what = What::Dispatch {
                shard: 1,
                term: 1,
                consumer: NameId(100 + consumer),
                message,
                id: Some(id),
                queue,
                priority,
                redelivered: false,
                in_flight: 1,
                credit: 1,
            };
            self.check.step(&by(0, what), &self.names)
        }

        fn release(&mut self, number: usize) {
            let message = self.messages[number].0;
            let what = What::Release { shard: 1, term: 1, consumer: NameId(101), message };
            self.check.step(&by(0, what), &self.names).unwrap();
        }

        fn detach(&mut self, consumer: u32) {
            let what = What::Detach { shard: 1, term: 1, consumer: NameId(100 + consumer) };
            self.check.step(&by(0, what), &self.names).unwrap();
        }
    }

    #[test]
    fn what_comes_back_comes_first() {
        for is_overtaken in [false, true] {
            let mut leader = Leader::new();
            leader.hand_out(0, 1, 4).unwrap();
            leader.hand_out(1, 1, 4).unwrap();
            leader.detach(1);
            if is_overtaken {
                leader.hand_out(2, 2, 4).unwrap();
            }
            assert_eq!(leader.hand_out(0, 2, 4).is_err(), is_overtaken);
            assert_eq!(leader.hand_out(1, 2, 4).is_err(), is_overtaken);
        }
    }

    #[test]
    fn a_leader_whose_term_is_over_gives_nothing_back() {
        let mut leader = Leader::new();
        leader.check.step(&by(1, What::ServeBegin { shard: 1, term: 2 }), &leader.names).unwrap();
        leader.hand_out(0, 1, 4).unwrap();
        leader.detach(1);
        leader.hand_out(1, 2, 4).unwrap();
        leader.hand_out(0, 2, 4).unwrap();
    }

    #[test]
    fn a_higher_priority_may_go_first_and_a_lower_one_may_not() {
        for (priority, is_fine) in [(5, true), (3, false)] {
            let mut leader = Leader::new();
            leader.hand_out(1, 1, 4).unwrap();
            leader.release(1);
            leader.hand_out(0, 2, priority).unwrap();
            assert_eq!(leader.hand_out(1, 2, 4).is_ok(), is_fine);
        }
    }

    #[test]
    fn what_was_handed_out_before_it_came_back_does_not_count() {
        let mut leader = Leader::new();
        leader.hand_out(0, 1, 4).unwrap();
        leader.hand_out(1, 2, 4).unwrap();
        leader.release(0);
        leader.hand_out(0, 2, 4).unwrap();
    }

    #[test]
    fn what_may_be_on_its_way_out_need_not_come_first() {
        let mut leader = Leader::new();
        leader.hand_out(0, 1, 4).unwrap();
        let id = leader.told.history.deliveries[0].id;
        let mut settle = leader.told.accept(id);
        settle.how = How::Accept;
        let seen = Observation::SettleSent(&settle);
        leader.check.observe(seen, &leader.told.history, &mut leader.names);
        leader.detach(1);
        leader.hand_out(1, 2, 4).unwrap();
        leader.hand_out(0, 2, 4).unwrap();
    }
}
