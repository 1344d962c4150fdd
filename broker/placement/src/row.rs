//! Filling a row from candidates in their order of preference.

use crate::{
    mix::{mix64, nth, reduce},
    node::{NodeIndex, Nodes},
};

/// The zones of the nodes that are up.
#[derive(Clone, Debug)]
pub(crate) struct Zones {
    /// The zone at each place. Empty when no two nodes share one, so that zones mean nothing.
    of: Vec<u32>,
    /// How many zones have a node that is up.
    count: usize,
}

impl Zones {
    pub(crate) fn new(nodes: &Nodes) -> Self {
        let of = nodes.zone_numbers();
        let mut up: Vec<u32> = nodes.up().map(|(index, _)| of[index.get()]).collect();
        up.sort_unstable();
        up.dedup();
        let shared = up.len() < nodes.count_up();
        Self { of: if shared { of } else { Vec::new() }, count: up.len() }
    }

    /// Whether any two nodes share a zone.
    pub(crate) fn matter(&self) -> bool {
        !self.of.is_empty()
    }

    /// How many zones have a node that is up.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The zone of a node. Only where zones matter.
    pub(crate) fn of(&self, node: NodeIndex) -> u32 {
        self.of[node.get()]
    }

    /// Whether two nodes are of one zone.
    pub(crate) fn share(&self, a: NodeIndex, b: NodeIndex) -> bool {
        self.matter() && self.of(a) == self.of(b)
    }

    /// Whether `node` may join the `members` of a row that will have `length` of them: it is not
    /// there yet, and the zones that are not there yet still find a place.
    pub(crate) fn fits(&self, node: NodeIndex, members: &[NodeIndex], length: usize) -> bool {
        if members.contains(&node) {
            return false;
        }
        if !members.iter().any(|other| self.share(*other, node)) {
            return true;
        }
        let distinct = members
            .iter()
            .enumerate()
            .filter(|(at, member)| !members[..*at].iter().any(|other| self.share(*other, **member)))
            .count();
        distinct + (length - members.len() - 1) >= length.min(self.count)
    }
}

/// A row that takes distinct nodes, and distinct zones as long as there are any.
pub(crate) struct RowFiller<'a> {
    row: &'a mut [NodeIndex],
    filled: usize,
    zones: &'a Zones,
    /// Candidates whose zone is in the row already, in order.
    passed_over: Vec<NodeIndex>,
}

impl<'a> RowFiller<'a> {
    pub(crate) fn new(row: &'a mut [NodeIndex], zones: &'a Zones) -> Self {
        Self { row, filled: 0, zones, passed_over: Vec::new() }
    }

    /// Offers a candidate; tells whether the row is full.
    pub(crate) fn offer(&mut self, node: NodeIndex) -> bool {
        if self.is_full() {
            return true;
        }
        let taken = &self.row[..self.filled];
        if taken.contains(&node) {
            return false;
        }
        if self.filled < self.zones.count
            && taken.iter().any(|other| self.zones.share(*other, node))
        {
            if !self.passed_over.contains(&node) {
                self.passed_over.push(node);
            }
            return false;
        }
        self.row[self.filled] = node;
        self.filled += 1;
        if self.filled == self.zones.count {
            for node in std::mem::take(&mut self.passed_over) {
                self.offer(node);
            }
        }
        self.is_full()
    }

    /// Whether every position has a node.
    pub(crate) fn is_full(&self) -> bool {
        self.filled == self.row.len()
    }
}

/// Fills a row by hashing the key again until enough distinct nodes have come up; should that take
/// too long, by a walk over all nodes from a place that the key chooses.
#[inline]
pub(crate) fn fill_by_rehash(
    key: u64,
    row: &mut [NodeIndex],
    zones: &Zones,
    nodes: &[NodeIndex],
    place: impl Fn(u64) -> NodeIndex,
) {
    if let [only] = row {
        *only = place(key);
        return;
    }
    let attempts = 8 * row.len() as u64 + 24;
    let mut filler = RowFiller::new(row, zones);
    filler.offer(place(key));
    let full = (1..attempts).any(|attempt| filler.offer(place(nth(key, attempt))))
        || fill_by_walk(&mut filler, reduce(mix64(key), nodes.len() as u64) as usize, nodes);
    assert!(full, "the row is longer than the list of nodes");
}

/// Offers all nodes in order, beginning at `start`; tells whether the row is full.
pub(crate) fn fill_by_walk(filler: &mut RowFiller, start: usize, nodes: &[NodeIndex]) -> bool {
    let (before, from) = nodes.split_at(start);
    from.iter().chain(before).any(|node| filler.offer(*node))
}

/// Fills a row with the nodes of the highest scores, the higher node winning a tie never: the
/// lower place does.
pub(crate) fn fill_by_score<S: PartialOrd + Copy>(
    row: &mut [NodeIndex],
    zones: &Zones,
    scores: impl Iterator<Item = (S, NodeIndex)>,
) {
    if let [only] = row {
        let mut best: Option<S> = None;
        for (score, node) in scores {
            if best.is_none_or(|best| score > best) {
                best = Some(score);
                *only = node;
            }
        }
        return;
    }
    let mut ranked: Vec<(S, NodeIndex)> = scores.collect();
    let descending = |a: &(S, NodeIndex), b: &(S, NodeIndex)| {
        b.0.partial_cmp(&a.0).expect("scores are numbers").then(a.1.cmp(&b.1))
    };
    if !zones.matter() && ranked.len() > row.len() {
        ranked.select_nth_unstable_by(row.len() - 1, descending);
        ranked.truncate(row.len());
    }
    ranked.sort_unstable_by(descending);
    let mut filler = RowFiller::new(row, zones);
    let full = ranked.iter().any(|(_, node)| filler.offer(*node));
    assert!(full, "the row is longer than the list of nodes");
}

/// The same share for each of these nodes.
pub(crate) fn equal_shares(nodes: &[NodeIndex], places: usize) -> Vec<f64> {
    shares_of(nodes.iter().map(|node| (*node, 1.0)), places)
}

/// What each node has, as a part of what all have.
pub(crate) fn shares_of(parts: impl Iterator<Item = (NodeIndex, f64)>, places: usize) -> Vec<f64> {
    let mut shares = vec![0.0; places];
    let mut total = 0.0;
    for (node, part) in parts {
        shares[node.get()] += part;
        total += part;
    }
    shares.iter_mut().for_each(|share| *share /= total);
    shares
}

/// A list of nodes numbered without gaps: the last one takes the number of one that leaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster {
    nodes: Vec<NodeIndex>,
}

impl Roster {
    /// Follows the list of nodes.
    pub(crate) fn update(&mut self, nodes: &Nodes) {
        let mut number = vec![None; nodes.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            number[node.get()] = Some(at);
        }
        let is_up = |node: NodeIndex| nodes.get(node).state == crate::NodeState::Up;
        for leaving in nodes.iter().map(|(index, _)| index).filter(|index| !is_up(*index)) {
            if let Some(at) = number[leaving.get()].take() {
                self.nodes.swap_remove(at);
                if let Some(moved) = self.nodes.get(at) {
                    number[moved.get()] = Some(at);
                }
            }
        }
        self.nodes.extend(nodes.up().map(|(index, _)| index).filter(|i| number[i.get()].is_none()));
    }

    /// The nodes in the order of their numbers.
    pub(crate) fn nodes(&self) -> &[NodeIndex] {
        &self.nodes
    }
}
