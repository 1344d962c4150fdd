//! How many points of a circle each node gets for its weight; what the strategies share that deal
//! out points.

use crate::{
    error::PlacementError,
    node::{Node, NodeIndex, NodeState, Nodes},
};

/// The most points on a circle, about half a gigabyte of them.
pub(crate) const LIMIT: u64 = 1 << 25;

/// Where the lightest node needs it, nodes have so many points on average, within [`FINE`].
const PER_NODE: f64 = 1024.0;
const FINE: f64 = (1u64 << 20) as f64;

/// A number of points smaller than this is rounded to none.
pub(crate) const LEAST: f64 = 0.5;

/// How far rounding may take a node from its share before all nodes get more points.
const ROUNDING: f64 = 0.05;

/// Points in proportion to the weights, whatever their unit: the lightest node has the usual number
/// of them, or as many as leave nodes with four times as many on average, so that memory stays
/// bounded.
///
/// If whole numbers of points are too coarse for some node, all nodes have twice as many, and so
/// on.
///
/// The weight that has the usual number of points stays as nodes come and go, as long as it suits
/// them: to change it would move keys between all nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Points {
    strategy: &'static str,
    per_node: f64,
    /// The weight that has `per_node` points.
    unit: f64,
}

impl Points {
    /// The numbers of points for these nodes, `per_node` for the lightest. Refuses nodes that
    /// are too light for a point.
    pub(crate) fn new(
        strategy: &'static str,
        nodes: &Nodes,
        per_node: u32,
    ) -> Result<Self, PlacementError> {
        let points = Self::choose(strategy, nodes, per_node)?;
        match nodes.up().find(|(_, node)| points.exact(node.weight) < LEAST) {
            Some((_, node)) => Err(points.refuse(node)),
            None => Ok(points),
        }
    }

    /// The same where light nodes may have no point.
    pub(crate) fn choose(
        strategy: &'static str,
        nodes: &Nodes,
        per_node: u32,
    ) -> Result<Self, PlacementError> {
        let per_node = f64::from(per_node);
        let weights: Vec<f64> = nodes.up().map(|(_, node)| node.weight).collect();
        let count = weights.len() as f64;
        check_total(strategy, count * per_node, "set fewer points per node")?;
        let lightest = weights.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = weights.iter().copied().fold(0.0, f64::max);
        // Divided by the largest, weights of any size have a sum.
        let relative: f64 = weights.iter().map(|weight| weight / largest).sum();
        let usual = (4.0 * count * per_node).min(most(count, per_node));
        let coarsest = largest * (relative * per_node / usual);
        let mut points = Self { strategy, per_node, unit: lightest.max(coarsest) };
        let rounding = |points: &Self, weight: f64| {
            let exact = points.exact(weight);
            (exact.round() - exact).abs() / exact
        };
        while weights.iter().any(|weight| rounding(&points, *weight) > ROUNDING)
            && 2.0 * points.total(nodes) <= most(count, per_node)
        {
            points.unit /= 2.0;
        }
        Ok(points)
    }

    /// The same for other nodes, with the same weight for a point as long as that suits them.
    pub(crate) fn follow(&self, nodes: &Nodes) -> Result<Self, PlacementError> {
        if self.suits(nodes) {
            return Ok(*self);
        }
        Self::new(self.strategy, nodes, self.per_node as u32)
    }

    /// Whether every node has a point, and all together neither too many nor too few.
    pub(crate) fn suits(&self, nodes: &Nodes) -> bool {
        let (count, total) = (nodes.count_up() as f64, self.total(nodes));
        total <= most(count, self.per_node)
            && total >= count * self.per_node / 4.0
            && nodes.up().all(|(_, node)| self.exact(node.weight) >= LEAST)
    }

    /// How many points a node has.
    pub(crate) fn of(&self, node: &Node) -> u64 {
        self.exact(node.weight).round() as u64
    }

    fn exact(&self, weight: f64) -> f64 {
        self.per_node * (weight / self.unit)
    }

    fn total(&self, nodes: &Nodes) -> f64 {
        nodes.up().map(|(_, node)| self.exact(node.weight)).sum()
    }

    /// The refusal of a node that has no point.
    pub(crate) fn refuse(&self, node: &Node) -> PlacementError {
        let comes_to = format!("{:.2e} points", self.exact(node.weight));
        negligible(self.strategy, node, comes_to)
    }
}

/// The most points that nodes have together.
fn most(nodes: f64, per_node: f64) -> f64 {
    (4.0 * nodes * per_node).max((nodes * PER_NODE).min(FINE)).min(LIMIT as f64)
}

/// Refuses what would not fit into memory.
pub(crate) fn check_total(
    strategy: &'static str,
    points: f64,
    remedy: &'static str,
) -> Result<(), PlacementError> {
    if points > LIMIT as f64 {
        return Err(PlacementError::TooManyPoints { strategy, points, limit: LIMIT, remedy });
    }
    Ok(())
}

/// The refusal of a node that would get as good as nothing.
pub(crate) fn negligible(strategy: &'static str, node: &Node, comes_to: String) -> PlacementError {
    let (node, weight) = (node.display_name(), node.weight);
    PlacementError::NegligibleWeight { strategy, node, weight, comes_to }
}

/// The share of the lightest node in `parts` that are dealt out by weight.
pub(crate) fn lightest(nodes: &Nodes, parts: usize) -> f64 {
    let weights = nodes.scaled_weights();
    let least = nodes.up().map(|(index, _)| weights[index.get()]).fold(f64::INFINITY, f64::min);
    parts as f64 * least / weights.iter().sum::<f64>()
}

/// Refuses nodes that got nothing of `parts` that were dealt out by weight, their share being less
/// than half of one.
pub(crate) fn check_dealt<'a>(
    strategy: &'static str,
    nodes: &Nodes,
    owners: impl Iterator<Item = &'a NodeIndex>,
    parts: usize,
    what: &str,
) -> Result<(), PlacementError> {
    if lightest(nodes, parts) >= LEAST {
        return Ok(());
    }
    let weights = nodes.scaled_weights();
    let total: f64 = weights.iter().sum();
    let share = |node: NodeIndex| parts as f64 * weights[node.get()] / total;
    let mut has = vec![false; nodes.len()];
    owners.for_each(|node| has[node.get()] = true);
    let mut idle = nodes.up().filter(|(index, _)| !has[index.get()] && share(*index) < LEAST);
    match idle.next() {
        Some((index, node)) => {
            Err(negligible(strategy, node, format!("{:.2e} of {parts} {what}", share(index))))
        }
        None => Ok(()),
    }
}

/// A list in which each node stands as often as it has points. A node that joins comes behind; the
/// last entries take the places of those that leave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tickets {
    nodes: Vec<NodeIndex>,
}

impl Tickets {
    /// Follows the list of nodes; each has `wanted` tickets if it is up.
    pub(crate) fn update(&mut self, nodes: &Nodes, wanted: impl Fn(&Node) -> usize) {
        let mut places: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            places[node.get()].push(at);
        }
        let wanted = |node: &Node| if node.state == NodeState::Up { wanted(node) } else { 0 };
        for (index, node) in nodes.iter() {
            while places[index.get()].len() > wanted(node) {
                let at = places[index.get()].pop().expect("it has more than it should");
                self.nodes.swap_remove(at);
                if let Some(moved) = self.nodes.get(at) {
                    let last = self.nodes.len();
                    let of_moved = places[moved.get()].iter_mut().rev();
                    *of_moved.into_iter().find(|place| **place == last).expect("it was last") = at;
                }
            }
        }
        for (index, node) in nodes.up() {
            let more = wanted(node).saturating_sub(places[index.get()].len());
            self.nodes.extend(std::iter::repeat_n(index, more));
        }
    }

    /// The tickets in their order.
    pub(crate) fn nodes(&self) -> &[NodeIndex] {
        &self.nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(weights: &[f64]) -> Nodes {
        let node = |(at, weight): (usize, &f64)| Node::new(format!("n{at}")).with_weight(*weight);
        Nodes::new(weights.iter().enumerate().map(node)).unwrap()
    }

    fn points(weights: &[f64], per_node: u32) -> Vec<u64> {
        let nodes = nodes(weights);
        let points = Points::new("ring", &nodes, per_node).unwrap();
        nodes.up().map(|(_, node)| points.of(node)).collect()
    }

    #[test]
    fn the_lightest_has_the_usual_number_and_is_not_rounded_away() {
        assert_eq!(points(&[0.01; 3], 100), [100; 3]);
        assert_eq!(points(&[1.0, 1.0, 2.0, 3.0], 100), [100, 100, 200, 300]);
        assert_eq!(points(&[1.0, 1.0, 2.0, 0.5], 100), [200, 200, 400, 100]);
        assert_eq!(points(&[1024.0, 1024.0, 5.0], 100), [599, 599, 3]);
        assert_eq!(points(&[1.0, 1.0, 2.0, 3.0, 1.0, 0.5, 1.5], 1), [2, 2, 4, 6, 2, 1, 3]);
        assert_eq!(points(&[1.0; 5], 1), [1; 5]);
    }

    #[test]
    fn a_few_heavy_nodes_do_not_fill_the_memory() {
        let mut weights = vec![1.0; 100];
        weights[7] = 1e4;
        let many: u64 = points(&weights, 100).iter().sum();
        assert!(many <= 104_857, "{many}");
        weights[7] = 1e9;
        let refused = Points::new("ring", &nodes(&weights), 100).unwrap_err();
        assert!(refused.to_string().contains("`n0`"), "{refused}");
    }

    #[test]
    fn tickets_follow_as_a_numbered_list_does() {
        let mut list = nodes(&[1.0, 1.0, 2.0, 1.0]);
        let mut tickets = Tickets::default();
        let wanted = |node: &Node| node.weight as usize;
        let numbers =
            |tickets: &Tickets| -> Vec<u32> { tickets.nodes().iter().map(|node| node.0).collect() };
        tickets.update(&list, wanted);
        assert_eq!(numbers(&tickets), [0, 1, 2, 2, 3]);
        list.set_state(b"n1", NodeState::Gone).unwrap();
        list.set_weight(b"n2", 1.0).unwrap();
        tickets.update(&list, wanted);
        assert_eq!(numbers(&tickets), [0, 3, 2]);
        list.set_weight(b"n3", 3.0).unwrap();
        list.set_state(b"n1", NodeState::Up).unwrap();
        tickets.update(&list, wanted);
        assert_eq!(numbers(&tickets), [0, 3, 2, 1, 3, 3]);
    }
}
