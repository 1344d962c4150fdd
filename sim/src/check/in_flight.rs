//! Within a term, a message of a queue is with at most one consumer at a time.
//!
//! Topics hand each message to many consumers; the broker names each copy apart, so the rule is the
//! same for them.

use std::collections::BTreeMap;

use super::{
    HashMap, StepCheck,
    step::{NameId, NodeId, Step, Steps, What},
};

/// See the module.
#[derive(Debug, Default)]
pub struct InFlight {
    terms: BTreeMap<(u64, u64), Term>,
}

#[derive(Debug)]
struct Term {
    node: NodeId,
    holder: HashMap<NameId, NameId>,
}

impl StepCheck for InFlight {
    fn name(&self) -> &'static str {
        "in-flight"
    }

    fn step(&mut self, step: &Step, names: &Steps) -> Result<(), String> {
        match step.what {
            What::ServeBegin { shard, term } => {
                // A new leadership begins with nothing in flight. Of older terms two are kept, for
                // a leader that does not yet know that it is deposed.
                self.terms
                    .insert((shard, term), Term { node: step.node, holder: HashMap::default() });
                let old: Vec<_> =
                    self.terms.range((shard, 0)..(shard, term)).rev().skip(2).collect();
                let old: Vec<_> = old.into_iter().map(|(key, _)| *key).collect();
                for key in old {
                    self.terms.remove(&key);
                }
            }
            What::ServeEnd { shard, term } => {
                self.terms.remove(&(shard, term));
            }
            What::Died => self.terms.retain(|_, term| term.node != step.node),
            What::Dispatch { shard, term, consumer, message, .. } => {
                if let Some(state) = self.terms.get_mut(&(shard, term))
                    && let Some(holder) = state.holder.insert(message, consumer)
                {
                    return Err(format!(
                        "message {} of shard {shard} went to {} in term {term} while {} held it",
                        names.text(message),
                        names.text(consumer),
                        names.text(holder)
                    ));
                }
            }
            What::Settle { shard, term, message, .. }
            | What::Release { shard, term, message, .. } => {
                if let Some(state) = self.terms.get_mut(&(shard, term)) {
                    state.holder.remove(&message);
                }
            }
            What::Detach { shard, term, consumer } => {
                if let Some(state) = self.terms.get_mut(&(shard, term)) {
                    state.holder.retain(|_, holder| *holder != consumer);
                }
            }
            What::Attach { .. }
            | What::Prefetch { .. }
            | What::ReadBack { .. }
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

    const SHARD: u64 = 1;
    const TERM: u64 = 4;

    fn begin() -> Step {
        by(0, What::ServeBegin { shard: SHARD, term: TERM })
    }

    fn to(consumer: u32) -> Step {
        by(0, dispatch(SHARD, TERM, consumer, 7))
    }

    #[test]
    fn a_message_may_go_on_when_it_came_back() {
        let (consumer, message) = (NameId(1), NameId(7));
        let release = What::Release { shard: SHARD, term: TERM, consumer, message };
        let detach = What::Detach { shard: SHARD, term: TERM, consumer };
        let mut check = InFlight::default();
        accepts(&mut check, [begin(), to(1), by(0, release), to(1), by(0, detach), to(2)]);
        // A restarted leader has nothing in flight.
        accepts(&mut check, [died(0), begin(), to(1)]);
        // Nor has the leader of another term.
        accepts(&mut check, [by(1, What::ServeBegin { shard: SHARD, term: TERM + 1 })]);
        accepts(&mut check, [by(1, dispatch(SHARD, TERM + 1, 3, 7))]);
    }

    #[test]
    fn two_holders_are_refused() {
        refuses(&mut InFlight::default(), [begin(), to(1), to(2)], "while 1 held it");
        refuses(&mut InFlight::default(), [begin(), to(1), to(1)], "while 1 held it");
    }
}
