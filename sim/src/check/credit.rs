//! A consumer never holds more unsettled messages than it allowed.
//!
//! With every dispatch the leader says how many messages the consumer then holds and how many more
//! it may hold. Their sum is what the consumer allowed, so it never changes while the consumer is
//! attached, unless the leader says that the consumer allows another number; and the messages it holds are counted here a second time, from what was handed out and
//! what came back.

use std::collections::BTreeMap;

use super::{
    HashMap, StepCheck,
    step::{NameId, NodeId, Step, Steps, What},
};

/// See the module.
#[derive(Debug, Default)]
pub struct Credit {
    /// By shard and term.
    terms: BTreeMap<(u64, u64), Term>,
}

#[derive(Debug, Default)]
struct Term {
    node: NodeId,
    consumers: HashMap<NameId, Consumer>,
    holders: HashMap<NameId, NameId>,
}

#[derive(Debug, Default)]
struct Consumer {
    holds: u64,
    /// What it allowed, once that is known.
    allowed: Option<u64>,
}

impl Term {
    fn came_back(&mut self, message: NameId) {
        if let Some(holder) = self.holders.remove(&message)
            && let Some(consumer) = self.consumers.get_mut(&holder)
        {
            consumer.holds -= 1;
        }
    }

    fn handed_out(
        &mut self,
        consumer: NameId,
        message: NameId,
        in_flight: u64,
        credit: u64,
    ) -> Result<(), String> {
        self.came_back(message);
        self.holders.insert(message, consumer);
        let state = self.consumers.entry(consumer).or_default();
        state.holds += 1;
        let allowed = *state.allowed.get_or_insert(in_flight + credit);
        if in_flight + credit != allowed {
            return Err(format!(
                "holds {in_flight} messages and may hold {credit} more, but allowed {allowed}"
            ));
        }
        if state.holds > in_flight {
            let holds = state.holds;
            return Err(format!("holds {holds} messages, but the leader counts {in_flight}"));
        }
        Ok(())
    }
}

impl StepCheck for Credit {
    fn name(&self) -> &'static str {
        "credit"
    }

    fn step(&mut self, step: &Step, names: &Steps) -> Result<(), String> {
        match step.what {
            What::ServeBegin { shard, term } => {
                self.terms.retain(|(other, old), _| *other != shard || *old + 2 >= term);
                self.terms.insert((shard, term), Term { node: step.node, ..Term::default() });
            }
            What::ServeEnd { shard, term } => {
                self.terms.remove(&(shard, term));
            }
            What::Died => self.terms.retain(|_, term| term.node != step.node),
            What::Attach { shard, term, consumer } | What::Detach { shard, term, consumer } => {
                if let Some(state) = self.terms.get_mut(&(shard, term)) {
                    state.consumers.remove(&consumer);
                    state.holders.retain(|_, holder| *holder != consumer);
                }
            }
            What::Prefetch { shard, term, consumer, prefetch } => {
                if let Some(state) = self.terms.get_mut(&(shard, term)) {
                    state.consumers.entry(consumer).or_default().allowed = Some(prefetch);
                }
            }
            What::Settle { shard, term, message, .. }
            | What::Release { shard, term, message, .. } => {
                if let Some(state) = self.terms.get_mut(&(shard, term)) {
                    state.came_back(message);
                }
            }
            What::Dispatch { shard, term, consumer, message, in_flight, credit, .. } => {
                if let Some(state) = self.terms.get_mut(&(shard, term)) {
                    return state
                        .handed_out(consumer, message, in_flight, credit)
                        .map_err(|wrong| format!("{} {wrong}", names.text(consumer)));
                }
            }
            What::ReadBack { .. }
            | What::Vote { .. }
            | What::Follow { .. }
            | What::RepairBegin { .. }
            | What::ReplicaDropped { .. } => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    const CONSUMER: NameId = NameId(1);

    fn begin() -> Step {
        by(0, What::ServeBegin { shard: 1, term: 1 })
    }

    fn holding(message: u32, in_flight: u64, credit: u64) -> Step {
        by(
            0,
            What::Dispatch {
                shard: 1,
                term: 1,
                consumer: CONSUMER,
                message: NameId(message),
                id: None,
                queue: None,
                priority: 4,
                redelivered: false,
                in_flight,
                credit,
            },
        )
    }

    #[test]
    fn a_leader_that_counts_right_is_right() {
        let settle = What::Settle { shard: 1, term: 1, consumer: CONSUMER, message: NameId(2) };
        let detach = What::Detach { shard: 1, term: 1, consumer: CONSUMER };
        let mut check = Credit::default();
        accepts(&mut check, [begin(), holding(2, 1, 1), holding(3, 2, 0), by(0, settle)]);
        accepts(&mut check, [holding(4, 2, 0), by(0, detach), holding(5, 1, 4)]);
    }

    #[test]
    fn more_than_the_credit_is_refused() {
        refuses(&mut Credit::default(), [begin(), holding(2, 1, 0), holding(3, 2, 0)], "allowed 1");
    }

    #[test]
    fn a_consumer_may_allow_another_number() {
        let allow =
            |prefetch| by(0, What::Prefetch { shard: 1, term: 1, consumer: CONSUMER, prefetch });
        let mut check = Credit::default();
        accepts(&mut check, [begin(), holding(2, 1, 0), allow(3), holding(3, 2, 1)]);
        refuses(&mut check, [allow(2), holding(4, 3, 0)], "allowed 2");
    }

    #[test]
    fn a_leader_that_forgets_what_it_handed_out_is_refused() {
        let steps = [begin(), holding(2, 1, 1), holding(3, 1, 1)];
        refuses(&mut Credit::default(), steps, "holds 2 messages, but the leader counts 1");
    }
}
