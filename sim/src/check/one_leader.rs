//! At most one node serves a shard in a term, only a serving node dispatches, and none does once
//! another has begun to serve in a later term.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    StepCheck,
    step::{NodeId, Step, Steps, What},
};

/// See the module.
#[derive(Debug, Default)]
pub struct OneLeader {
    /// Who served a shard in a term, ever.
    served: BTreeMap<(u64, u64), NodeId>,
    /// Who serves what now.
    serving: BTreeSet<(NodeId, u64, u64)>,
    /// The latest term in which a shard was served.
    latest: BTreeMap<u64, u64>,
}

impl OneLeader {
    /// A leader that has not heard of its successor yet must have stopped all the same.
    fn not_followed(&self, node: NodeId, shard: u64, term: u64, does: &str) -> Result<(), String> {
        match self.latest.get(&shard) {
            Some(latest) if *latest > term => Err(format!(
                "n{} {does} shard {shard} in term {term} after term {latest} had begun",
                node + 1
            )),
            _ => Ok(()),
        }
    }
}

impl StepCheck for OneLeader {
    fn name(&self) -> &'static str {
        "one-leader"
    }

    fn step(&mut self, step: &Step, _: &Steps) -> Result<(), String> {
        let node = step.node;
        match step.what {
            What::ServeBegin { shard, term } => {
                let first = *self.served.entry((shard, term)).or_insert(node);
                if first != node {
                    return Err(format!(
                        "n{} serves shard {shard} in term {term}, but n{} served it in that term",
                        node + 1,
                        first + 1
                    ));
                }
                self.not_followed(node, shard, term, "begins to serve")?;
                self.latest.insert(shard, term);
                self.serving.insert((node, shard, term));
            }
            What::ServeEnd { shard, term } => {
                self.serving.remove(&(node, shard, term));
            }
            What::Died => self.serving.retain(|(serving, _, _)| *serving != node),
            What::Dispatch { shard, term, .. } if !self.serving.contains(&(node, shard, term)) => {
                return Err(format!(
                    "n{} dispatched for shard {shard} in term {term} without serving it",
                    node + 1
                ));
            }
            What::Dispatch { shard, term, .. } => {
                self.not_followed(node, shard, term, "dispatched for")?;
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    const BEGIN: What = What::ServeBegin { shard: 1, term: 4 };

    #[test]
    fn one_leader_after_another_is_right() {
        let mut check = OneLeader::default();
        let next = What::ServeBegin { shard: 1, term: 5 };
        accepts(&mut check, [by(0, BEGIN), by(0, dispatch(1, 4, 1, 1)), by(1, next)]);
        // The same node may resume a term after a restart.
        accepts(&mut check, [died(1), by(1, next), by(1, dispatch(1, 5, 1, 1))]);
    }

    #[test]
    fn two_leaders_in_one_term_are_refused() {
        refuses(&mut OneLeader::default(), [by(0, BEGIN), by(1, BEGIN)], "n1 served it");
    }

    #[test]
    fn a_leader_with_a_successor_is_refused() {
        let next = What::ServeBegin { shard: 1, term: 5 };
        let mut check = OneLeader::default();
        refuses(&mut check, [by(0, BEGIN), by(1, next), by(0, dispatch(1, 4, 1, 1))], "term 5");
        refuses(&mut OneLeader::default(), [by(1, next), by(0, BEGIN)], "term 5");
    }

    #[test]
    fn dispatching_without_serving_is_refused() {
        let dispatch = by(0, dispatch(1, 4, 1, 1));
        refuses(&mut OneLeader::default(), [dispatch], "without serving");
        let end = What::ServeEnd { shard: 1, term: 4 };
        refuses(&mut OneLeader::default(), [by(0, BEGIN), by(0, end), dispatch], "without");
        refuses(&mut OneLeader::default(), [by(0, BEGIN), died(0), dispatch], "without");
    }
}
