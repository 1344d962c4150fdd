//! A replica keeps what it has promised, over the ends of its process too: in a term it votes for one
//! candidate, and it neither votes for nor answers anybody of an earlier term than it has before.
//!
//! A promise that is given before it is on the disk is seldom missed: most votes are never asked for
//! again. So this looks at the promise and does not wait for two leaders to come of it.

use std::collections::BTreeMap;

use super::{
    StepCheck,
    step::{NodeId, Step, Steps, What},
};

/// See the module.
#[derive(Debug, Default)]
pub struct Promises {
    /// What each replica, by node and shard, has promised last: the term, and to which node.
    given: BTreeMap<(NodeId, u64), (u64, u64)>,
}

impl Promises {
    fn later(&self, node: NodeId, shard: u64, term: u64, does: &str) -> Result<(), String> {
        match self.given.get(&(node, shard)) {
            Some((promised, _)) if *promised > term => Err(format!(
                "n{} {does} in term {term} of shard {shard}, and had promised in term {promised} \
                 not to",
                node + 1
            )),
            _ => Ok(()),
        }
    }
}

impl StepCheck for Promises {
    fn name(&self) -> &'static str {
        "promises"
    }

    fn step(&mut self, step: &Step, _: &Steps) -> Result<(), String> {
        let node = step.node;
        match step.what {
            What::Vote { shard, term, to } => {
                self.later(node, shard, term, "voted")?;
                match self.given.insert((node, shard), (term, to)) {
                    Some((promised, before)) if promised == term && before != to => Err(format!(
                        "n{} voted for node {to} in term {term} of shard {shard}, and had \
                         promised that term to node {before}",
                        node + 1
                    )),
                    _ => Ok(()),
                }
            }
            What::Follow { shard, term, to } => {
                self.later(node, shard, term, "answered a leader")?;
                // It may have voted for another candidate of this term, who lost.
                self.given.insert((node, shard), (term, to));
                Ok(())
            }
            // It has forgotten, and keeps silent until its peers have told it what it might have
            // promised.
            What::RepairBegin { shard } => {
                self.given.remove(&(node, shard));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    fn vote(term: u64, to: u64) -> What {
        What::Vote { shard: 1, term, to }
    }

    fn follow(term: u64, to: u64) -> What {
        What::Follow { shard: 1, term, to }
    }

    #[test]
    fn one_promise_after_another_is_right() {
        let mut check = Promises::default();
        // Asked twice it may answer twice, and who wins may be another.
        accepts(&mut check, [by(0, vote(4, 1)), by(0, vote(4, 1)), by(0, follow(4, 2))]);
        accepts(&mut check, [died(0), by(0, follow(4, 2)), by(0, vote(5, 1))]);
        // Other nodes and other shards have promised nothing.
        let other = What::Vote { shard: 2, term: 1, to: 2 };
        accepts(&mut check, [by(2, vote(4, 2)), by(0, other)]);
    }

    #[test]
    fn a_second_vote_in_a_term_is_refused() {
        let forgotten = [by(0, vote(4, 1)), died(0), by(0, vote(4, 2))];
        refuses(&mut Promises::default(), forgotten, "n1 voted for node 2 in term 4");
        let followed = [by(0, vote(4, 1)), by(0, follow(4, 2)), by(0, vote(4, 1))];
        refuses(&mut Promises::default(), followed, "had promised that term to node 2");
    }

    #[test]
    fn a_vote_of_an_earlier_term_is_refused() {
        refuses(
            &mut Promises::default(),
            [by(0, vote(4, 1)), by(0, vote(3, 2))],
            "voted in term 3",
        );
        refuses(&mut Promises::default(), [by(0, follow(4, 1)), by(0, vote(3, 2))], "in term 4");
    }

    #[test]
    fn an_answer_to_an_earlier_leader_is_refused() {
        let forgotten = [by(0, vote(4, 1)), died(0), by(0, follow(3, 2))];
        refuses(&mut Promises::default(), forgotten, "answered a leader in term 3");
    }

    #[test]
    fn what_a_damaged_replica_had_promised_is_forgotten() {
        let repair = by(0, What::RepairBegin { shard: 1 });
        accepts(&mut Promises::default(), [by(0, vote(4, 1)), repair, by(0, follow(3, 2))]);
        let other = by(0, What::RepairBegin { shard: 2 });
        refuses(&mut Promises::default(), [by(0, vote(4, 1)), other, by(0, vote(4, 2))], "term 4");
    }
}
