//! How far the replicas really are from where a view wants them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{id::NodeId, view::View};

/// Where the replicas of a group really are: what its leader says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// The group.
    pub group: u32,
    /// Nodes that vote; while the voters change, those of before and after.
    pub voters: BTreeSet<NodeId>,
    /// Nodes that are brought up to date, and do not vote.
    pub learners: BTreeSet<NodeId>,
}

/// How far the replicas are from where they are to be. A copy is one replica of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Groups of which the holding is known; all else is about them.
    pub groups: u32,
    /// Groups of which no holding is known.
    pub unknown: Vec<u32>,
    /// Copies in the rows.
    pub copies_wanted: u32,
    /// Those of them that vote.
    pub copies_in_place: u32,
    /// How many copies each node is still to have, in whole or to the end.
    pub to_add: BTreeMap<NodeId, u32>,
    /// How many copies each node still has that it is to lose.
    pub to_drop: BTreeMap<NodeId, u32>,
    /// Whether every group is known, and is where it is to be.
    pub settled: bool,
}

impl View {
    /// What is left to do, when the groups are where `holdings` say: one per group, of two the
    /// later one counts.
    pub fn progress(&self, holdings: &[Holding]) -> Progress {
        let known: BTreeMap<u32, &Holding> =
            holdings.iter().map(|holding| (holding.group, holding)).collect();
        let mut progress = Progress::default();
        for group in 0..self.groups() {
            let Some(holding) = known.get(&group) else {
                progress.unknown.push(group);
                continue;
            };
            progress.groups += 1;
            let row = self.row(group);
            progress.copies_wanted += row.len() as u32;
            for node in row {
                if holding.voters.contains(node) {
                    progress.copies_in_place += 1;
                } else {
                    *progress.to_add.entry(*node).or_default() += 1;
                }
            }
            for node in holding.voters.union(&holding.learners).filter(|it| !row.contains(it)) {
                *progress.to_drop.entry(*node).or_default() += 1;
            }
        }
        progress.settled = progress.unknown.is_empty()
            && progress.to_add.is_empty()
            && progress.to_drop.is_empty();
        progress
    }
}

/// How many copies of slots are in the rows of `to` and not in those of `from`: what has to be
/// carried over the network to come from one to the other.
pub fn moves(from: &View, to: &View) -> u32 {
    let slots = 0..from.slots().min(to.slots());
    let new = |slot| to.row(slot).iter().filter(move |node| !from.row(slot).contains(node)).count();
    slots.map(|slot| new(slot) as u32).sum()
}

#[cfg(test)]
mod tests {
    use paceline_placement::StrategyKind;

    use super::*;
    use crate::{Founder, Layout};

    fn founded() -> View {
        let founder = |name: &str| Founder {
            name: name.into(),
            link: format!("{name}:1"),
            zone: None,
            weight: 1.0,
        };
        let layout = Layout { replicas: 2, slots: 4, strategy: StrategyKind::Slots };
        View::founded(layout, ["a", "b", "c", "d"].map(founder)).unwrap()
    }

    fn holding(view: &View, group: u32) -> Holding {
        let voters = view.row(group).iter().copied().collect();
        Holding { group, voters, learners: BTreeSet::new() }
    }

    #[test]
    fn it_is_settled_when_every_replica_is_where_it_is_to_be() {
        let view = founded();
        let holdings: Vec<Holding> = (0..5).map(|group| holding(&view, group)).collect();
        let progress = view.progress(&holdings);
        assert!(progress.settled);
        assert_eq!((progress.groups, progress.copies_wanted), (5, 4 * 2 + 3));
        assert_eq!(progress.copies_in_place, 11);
        let part = view.progress(&holdings[1..4]);
        assert_eq!((part.groups, part.unknown, part.settled), (3, vec![0, 4], false));
        assert_eq!((part.copies_wanted, part.copies_in_place), (6, 6));
    }

    #[test]
    fn what_is_left_to_do_is_told_by_node() {
        let view = founded();
        let mut holdings: Vec<Holding> = (0..5).map(|group| holding(&view, group)).collect();
        let first = view.row(0)[0];
        let stranger = NodeId(9);
        // One that is still brought up to date, in place of one that is to go.
        holdings[0].voters.remove(&first);
        holdings[0].learners.insert(first);
        holdings[0].voters.insert(stranger);
        // Another one that is to go, before it votes; and a group that nobody has.
        holdings[1].learners.insert(stranger);
        holdings.push(Holding { group: 7, ..holding(&view, 0) });
        let progress = view.progress(&holdings);
        assert_eq!(progress.to_add, BTreeMap::from([(first, 1)]));
        assert_eq!(progress.to_drop, BTreeMap::from([(stranger, 2)]));
        assert_eq!((progress.copies_wanted, progress.copies_in_place), (11, 10));
        assert!(!progress.settled);
        // One that is to go, or one that is to come, is enough.
        let settled: Vec<Holding> = (0..5).map(|group| holding(&view, group)).collect();
        let mut holdings = settled.clone();
        holdings[2].voters.insert(stranger);
        assert!(!view.progress(&holdings).settled);
        holdings.push(holding(&view, 2));
        assert!(view.progress(&holdings).settled, "the later word counts");
        let mut holdings = settled;
        holdings[2].voters.pop_first();
        assert!(!view.progress(&holdings).settled);
    }
}
