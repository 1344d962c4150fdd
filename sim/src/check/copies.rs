//! Who serves a shard does not delete its own copy of it.

use std::collections::BTreeSet;

use super::{
    StepCheck,
    step::{NodeId, Step, Steps, What},
};

/// See the module.
#[derive(Debug, Default)]
pub struct Copies {
    /// Who serves what.
    serving: BTreeSet<(NodeId, u64)>,
}

impl StepCheck for Copies {
    fn name(&self) -> &'static str {
        "copies"
    }

    fn step(&mut self, step: &Step, _: &Steps) -> Result<(), String> {
        let node = step.node;
        match step.what {
            What::ServeBegin { shard, .. } => drop(self.serving.insert((node, shard))),
            What::ServeEnd { shard, .. } => drop(self.serving.remove(&(node, shard))),
            What::Died => self.serving.retain(|(serving, _)| *serving != node),
            What::ReplicaDropped { shard } if self.serving.contains(&(node, shard)) => {
                return Err(format!(
                    "n{} deleted its copy of shard {shard}, which it serves",
                    node + 1
                ));
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    const DROPPED: What = What::ReplicaDropped { shard: 1 };
    const BEGIN: What = What::ServeBegin { shard: 1, term: 4 };
    const END: What = What::ServeEnd { shard: 1, term: 4 };

    #[test]
    fn a_copy_that_is_not_served_may_go() {
        accepts(&mut Copies::default(), [by(0, BEGIN), by(1, DROPPED), by(0, END), by(0, DROPPED)]);
        accepts(&mut Copies::default(), [by(0, BEGIN), died(0), by(0, DROPPED)]);
    }

    #[test]
    fn a_copy_that_is_served_stays() {
        refuses(&mut Copies::default(), [by(0, BEGIN), by(0, DROPPED)], "which it serves");
    }
}
