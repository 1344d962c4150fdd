//! What has to be in shards before somebody can consume: a durable subscription, or the queue of a
//! virtual topic. And how the former ends.
//!
//! A subscription is in the shard of its topic. The shard of its name knows in which shards it may be:
//! it is told first, and says from which others it is to be deleted before.

use crate::{
    durable::Durable,
    operation::{ConsumerId, Refusal, Subscription},
    shard::{self, Command},
};

use super::result_of;

/// A command for a slot's shard, and whether somebody waits for its outcome.
pub(super) type Send = (u32, Command, bool);

/// What it is for.
#[derive(Debug)]
pub(super) enum Goal {
    /// A consumer is attached at last.
    Consume {
        /// As the session calls it.
        consumer: ConsumerId,
        /// What it wants.
        subscription: Subscription,
        /// The slot of its source.
        slot: u32,
        /// What makes it be there.
        make: Command,
    },
    /// The subscription ends.
    Forget,
}

#[derive(Debug)]
enum Phase {
    /// The shard of its name was asked.
    Asking,
    /// Other shards delete it: how many have not answered.
    Deleting { missing: usize },
    /// It is made.
    Making,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Course {
    /// The subscription and the slot of its name; none of a queue.
    durable: Option<(Durable, u32)>,
    pub(super) goal: Goal,
    phase: Phase,
    /// Where else it may be, and since when that is known.
    others: Vec<(u32, u64)>,
}

impl Course {
    /// Begins.
    pub(super) fn begin(durable: Option<(Durable, u32)>, goal: Goal) -> (Self, Send) {
        let (phase, send) = match (&durable, &goal) {
            (None, Goal::Forget) => unreachable!("only a durable subscription is forgotten"),
            (None, Goal::Consume { slot, make, .. }) => {
                (Phase::Making, (*slot, make.clone(), true))
            }
            (Some((durable, home)), goal) => {
                let slot = match goal {
                    Goal::Consume { slot, .. } => Some(*slot),
                    Goal::Forget => None,
                };
                let ask = Command::Register { durable: durable.clone(), slot };
                (Phase::Asking, (*home, ask, true))
            }
        };
        (Self { durable, goal, phase, others: Vec::new() }, send)
    }

    /// A shard has answered. How it ends, if it does.
    pub(super) fn handle_outcome(
        &mut self,
        outcome: shard::Outcome,
        sends: &mut Vec<Send>,
    ) -> Option<Result<(), Refusal>> {
        match (&mut self.phase, outcome) {
            (Phase::Asking, shard::Outcome::Registered(others)) => {
                let (durable, _) = self.durable.as_ref().expect("it was asked for");
                if others.is_empty() {
                    let why = format!("there is no durable subscription {durable}");
                    return self.make(sends, Err(Refusal::Missing(why)));
                }
                let delete = |(slot, _): &(u32, u64)| {
                    (*slot, Command::Unsubscribe { durable: durable.clone() }, true)
                };
                sends.extend(others.iter().map(delete));
                self.phase = Phase::Deleting { missing: others.len() };
                self.others = others;
                None
            }
            (Phase::Deleting { missing }, outcome) => {
                if let Err(why) = result_of(outcome) {
                    return Some(Err(why));
                }
                *missing -= 1;
                if *missing > 0 {
                    return None;
                }
                if let Some((durable, home)) = &self.durable {
                    let unregister = |(slot, at): &(u32, u64)| {
                        let (durable, slot, at) = (durable.clone(), *slot, *at);
                        (*home, Command::Unregister { durable, slot, at }, false)
                    };
                    sends.extend(self.others.iter().map(unregister));
                }
                self.make(sends, Ok(()))
            }
            (Phase::Asking, outcome) => {
                let unanswered = Err(Refusal::Unknown("no shard knows the subscription".into()));
                Some(result_of(outcome).and(unanswered))
            }
            (Phase::Making, outcome) => Some(result_of(outcome)),
        }
    }
    /// What is to be there is made. How it ends otherwise.
    fn make(
        &mut self,
        sends: &mut Vec<Send>,
        otherwise: Result<(), Refusal>,
    ) -> Option<Result<(), Refusal>> {
        let Goal::Consume { slot, make, .. } = &self.goal else { return Some(otherwise) };
        sends.push((*slot, make.clone(), true));
        self.phase = Phase::Making;
        None
    }
}
