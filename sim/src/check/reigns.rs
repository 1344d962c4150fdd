//! Who served each shard when, as the nodes have said it.

use std::{collections::BTreeMap, time::Duration};

use super::step::{NodeId, Step, What};

/// One node's service of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reign {
    /// Who.
    pub node: NodeId,
    /// In which term.
    pub term: u64,
    /// From when.
    pub begin: Duration,
    /// Until when, if it has ended.
    pub end: Option<Duration>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Reigns {
    /// By shard, in the order in which they began.
    reigns: BTreeMap<u64, Vec<Reign>>,
    /// When which process died, or another took its place.
    deaths: Vec<(Duration, NodeId)>,
}

impl Reigns {
    /// Time begins anew: what was before happened at its beginning.
    pub fn begin(&mut self) {
        for reigns in self.reigns.values_mut() {
            reigns.retain(|it| it.end.is_none());
            reigns.iter_mut().for_each(|it| it.begin = Duration::ZERO);
        }
        self.deaths.clear();
    }

    /// Takes in one step.
    pub fn step(&mut self, step: &Step) {
        let (at, node) = (step.at, step.node);
        match step.what {
            What::ServeBegin { shard, term } => {
                let reign = Reign { node, term, begin: at, end: None };
                self.reigns.entry(shard).or_default().push(reign);
            }
            What::ServeEnd { shard, term } => {
                let reigns = self.reigns.entry(shard).or_default().iter_mut();
                let ended = reigns.filter(|it| it.node == node && it.term == term);
                ended.for_each(|it| it.end = it.end.or(Some(at)));
            }
            What::Died => {
                self.deaths.push((at, node));
                let of_it = self.reigns.values_mut().flatten().filter(|it| it.node == node);
                of_it.for_each(|it| it.end = it.end.or(Some(at)));
            }
            _ => {}
        }
    }

    /// Who alone served the shard all the time between the two instants, if there was such a node.
    pub fn sole(&self, shard: u64, from: Duration, to: Duration) -> Option<Reign> {
        let reigns = self.reigns.get(&shard)?.iter();
        let mut then = reigns.filter(|it| it.begin <= to && it.end.is_none_or(|end| end >= from));
        let sole = then.next().filter(|_| then.next().is_none())?;
        let is_long = sole.begin <= from && sole.end.is_none_or(|end| end > to);
        is_long.then_some(*sole)
    }

    /// Whether the process of any node, or of this one, died between the two instants.
    pub fn died(&self, node: Option<NodeId>, from: Duration, to: Duration) -> bool {
        let mut deaths = self.deaths.iter();
        deaths.any(|(at, who)| (from..=to).contains(at) && node.is_none_or(|node| node == *who))
    }

    /// How often anybody began to serve anything.
    pub fn count(&self) -> usize {
        self.reigns.values().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::by, *};

    const SHARD: u64 = 1;

    fn second(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn told(steps: &[(u64, NodeId, What)]) -> Reigns {
        let mut reigns = Reigns::default();
        for &(at, node, what) in steps {
            reigns.step(&Step { at: second(at), ..by(node, what) });
        }
        reigns
    }

    fn sole(reigns: &Reigns, from: u64, to: u64) -> Option<NodeId> {
        reigns.sole(SHARD, second(from), second(to)).map(|reign| reign.node)
    }

    #[test]
    fn between_two_reigns_and_at_their_edges_nobody_serves_alone() {
        let reigns = told(&[
            (1, 0, What::ServeBegin { shard: SHARD, term: 2 }),
            (5, 0, What::ServeEnd { shard: SHARD, term: 2 }),
            (7, 1, What::ServeBegin { shard: SHARD, term: 3 }),
        ]);
        assert_eq!(sole(&reigns, 2, 4), Some(0));
        for (from, to) in [(0, 2), (4, 5), (5, 6), (6, 8)] {
            assert_eq!(sole(&reigns, from, to), None, "from {from} to {to}");
        }
        assert_eq!(sole(&reigns, 7, 99), Some(1));
        assert_eq!(reigns.count(), 2);
    }

    #[test]
    fn what_was_before_the_beginning_began_with_it() {
        let mut reigns = told(&[
            (3, 0, What::ServeBegin { shard: SHARD, term: 1 }),
            (4, 0, What::ServeEnd { shard: SHARD, term: 1 }),
            (5, 1, What::ServeBegin { shard: SHARD, term: 2 }),
        ]);
        reigns.begin();
        assert_eq!(sole(&reigns, 0, 9), Some(1));
    }

    #[test]
    fn two_at_a_time_are_no_one() {
        let reigns = told(&[
            (1, 0, What::ServeBegin { shard: SHARD, term: 2 }),
            (4, 1, What::ServeBegin { shard: SHARD, term: 3 }),
            (8, 0, What::ServeEnd { shard: SHARD, term: 2 }),
        ]);
        assert_eq!(sole(&reigns, 2, 3), Some(0));
        assert_eq!(sole(&reigns, 5, 6), None);
        assert_eq!(sole(&reigns, 9, 10), Some(1));
    }

    #[test]
    fn a_death_ends_what_the_node_served() {
        let reigns =
            told(&[(1, 0, What::ServeBegin { shard: SHARD, term: 2 }), (5, 0, What::Died)]);
        assert_eq!(sole(&reigns, 2, 6), None);
        assert!(
            reigns.died(None, second(4), second(6)) && reigns.died(Some(0), second(5), second(6))
        );
        assert!(
            !reigns.died(Some(1), second(4), second(6)) && !reigns.died(None, second(6), second(7))
        );
    }
}
