//! Which copies of shards were begun to be filled, and which ones the cluster's views have asked for,
//! one after the other.

use std::collections::BTreeMap;

use paceline_events::Event;
use paceline_membership::{Change, Epoch, Member, NodeId, View};

/// See the module.
#[derive(Debug, Default)]
pub struct Movement {
    /// Those that somebody had.
    views: BTreeMap<Epoch, View>,
    /// How often each node was given a copy of each group.
    added: BTreeMap<(u32, NodeId), u32>,
    /// The leaders that gave each node its copy, of copies that do not count yet. The next leader may not
    /// know of it, and gives the same one again.
    begun: BTreeMap<(u32, NodeId), u32>,
    /// So much of snapshots has come to nodes.
    pub snapshot_bytes: u64,
}

/// How many copies were begun to be filled, and how many had to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// So many were.
    pub added: u32,
    /// So many stand in the last view's rows and not in the first one's.
    pub least: u32,
    /// So many came to stand in a row with any view: of those some may have gone before they were
    /// begun with.
    pub most: u32,
    /// Copies that were begun more often than they came to stand in their row, in words.
    pub unasked: Vec<String>,
}

impl Moves {
    /// Whether as many were filled as were asked for.
    pub fn are_as_planned(&self) -> bool {
        self.unasked.is_empty() && (self.least..=self.most).contains(&self.added)
    }
}

impl Movement {
    /// Somebody has this view. Whether it is the latest that anybody has; an error says why it must
    /// never be.
    pub fn saw(&mut self, view: &View) -> Result<bool, String> {
        let latest = self.views.keys().next_back().copied();
        let known = self.views.entry(view.epoch()).or_insert_with(|| view.clone());
        if known != view {
            return Err(format!("there are two views of epoch {}", view.epoch()));
        }
        Ok(latest.is_none_or(|latest| latest < view.epoch()))
    }

    /// The latest view that anybody has.
    pub fn latest(&self) -> Option<&View> {
        self.views.values().next_back()
    }

    /// Takes in what a node says.
    pub fn event(&mut self, by: u32, said: &Event<'_>) {
        match *said {
            Event::ReplicaAdded { shard, node } => {
                let copy = (shard as u32, NodeId(node));
                let is_known = self.begun.insert(copy, by).is_some_and(|before| before != by);
                *self.added.entry(copy).or_default() += u32::from(!is_known);
            }
            Event::ReplicaPromoted { shard, node } => {
                self.begun.remove(&(shard as u32, NodeId(node)));
            }
            Event::SnapshotMove { bytes, .. } => self.snapshot_bytes += bytes,
            _ => {}
        }
    }

    /// What came of it; none where nobody has asked for a view.
    pub fn moves(&self) -> Option<Moves> {
        let (first, last) = (self.views.values().next()?, self.latest()?);
        let mut asked: BTreeMap<(u32, NodeId), u32> = BTreeMap::new();
        for (from, to) in self.views.values().zip(self.views.values().skip(1)) {
            let mut from = from.clone();
            for to in between(&from, to) {
                for copy in gained(&from, &to) {
                    *asked.entry(copy).or_default() += 1;
                }
                from = to;
            }
        }
        let unasked = self.added.iter().filter_map(|((group, node), &times)| {
            let asked = asked.get(&(*group, *node)).copied().unwrap_or_default();
            (times > asked).then(|| {
                format!("node {node} was given shard {group} {times} times, and had to be {asked}")
            })
        });
        Some(Moves {
            added: self.added.values().sum(),
            least: gained(first, last).count() as u32,
            most: asked.values().sum(),
            unasked: unasked.collect(),
        })
    }
}

/// The copies that stand in a row of `to` and not in that of `from`.
fn gained(from: &View, to: &View) -> impl Iterator<Item = (u32, NodeId)> {
    (0..to.groups()).flat_map(move |group| {
        let row = to.row(group).iter();
        row.filter(move |node| !from.row(group).contains(node)).map(move |node| (group, *node))
    })
}

/// The views from one that was seen, which is left out, to the next one that was. Of several nodes that
/// join at once nobody may have looked at the views between, and those follow from who has joined.
fn between(from: &View, to: &View) -> Vec<View> {
    let mut views: Vec<View> = Vec::new();
    let newcomers = to.members().iter().filter(|member| from.member(member.id).is_none());
    for Member { name, link, zone, weight, mark, .. } in newcomers.cloned() {
        let join = Change::Join { name, link, zone, weight, mark: mark.unwrap_or_default() };
        if let Ok(Some(next)) = views.last().unwrap_or(from).changed(&join) {
            views.push(next);
        }
    }
    match views.last() {
        Some(last) if last == to => views,
        _ => vec![to.clone()],
    }
}

#[cfg(test)]
mod tests {
    use paceline_membership::{Founder, Layout};
    use paceline_placement::StrategyKind;

    use super::*;

    fn founded(nodes: u32) -> View {
        let layout = Layout { replicas: 2, slots: 12, strategy: StrategyKind::Slots };
        let founder = |node| {
            let name = format!("n{node}");
            Founder { link: format!("{name}:1"), name, zone: None, weight: 1.0 }
        };
        View::founded(layout, (1..=nodes).map(founder)).unwrap()
    }

    fn joined(view: &View, node: u32) -> View {
        let name = format!("n{node}");
        let (link, mark) = (format!("{name}:1"), node.into());
        let join = Change::Join { name, link, zone: None, weight: 1.0, mark };
        view.changed(&join).unwrap().unwrap()
    }

    fn added((group, node): (u32, NodeId)) -> Event<'static> {
        Event::ReplicaAdded { shard: group.into(), node: node.0 }
    }

    /// Two nodes join at once, and nobody looks between.
    fn grown() -> (Movement, Vec<(u32, NodeId)>) {
        let (three, four) = (founded(3), joined(&founded(3), 4));
        let five = joined(&four, 5);
        let mut movement = Movement::default();
        assert_eq!(movement.saw(&three), Ok(true));
        assert_eq!(movement.saw(&five), Ok(true));
        let copies = gained(&three, &four).chain(gained(&four, &five)).collect();
        (movement, copies)
    }

    #[test]
    fn what_every_view_asks_for_is_planned() {
        let (mut movement, copies) = grown();
        copies.iter().for_each(|copy| movement.event(1, &added(*copy)));
        let moves = movement.moves().unwrap();
        assert!(moves.are_as_planned(), "{moves:?}");
        assert_eq!(moves.added, moves.most);
        assert!(
            moves.least >= 2 * 12 * 2 / 5,
            "two fifths of the copies are the new ones': {moves:?}"
        );
    }

    #[test]
    fn too_few_and_too_many_copies_are_found() {
        let (mut movement, copies) = grown();
        assert!(!movement.moves().unwrap().are_as_planned(), "none was filled");
        copies.iter().for_each(|copy| movement.event(1, &added(*copy)));
        movement.event(1, &added(copies[0]));
        let moves = movement.moves().unwrap();
        assert!(!moves.are_as_planned());
        assert!(moves.unasked[0].ends_with("2 times, and had to be 1"), "{moves:?}");
    }

    #[test]
    fn what_the_next_leader_gives_again_is_the_same_copy_until_it_counts() {
        let (mut movement, copies) = grown();
        let (group, node) = copies[0];
        let promoted = Event::ReplicaPromoted { shard: group.into(), node: node.0 };
        copies.iter().for_each(|copy| movement.event(1, &added(*copy)));
        movement.event(2, &added(copies[0]));
        assert!(movement.moves().unwrap().are_as_planned());
        movement.event(2, &promoted);
        movement.event(1, &added(copies[0]));
        assert!(!movement.moves().unwrap().are_as_planned());
    }

    #[test]
    fn views_of_one_epoch_are_the_same() {
        let (mut movement, _) = grown();
        assert_eq!(movement.saw(&founded(3)), Ok(false), "an old one");
        assert!(movement.saw(&founded(4)).unwrap_err().contains("two views of epoch 1"));
    }
}
