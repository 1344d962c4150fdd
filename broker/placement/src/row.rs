//! Filling a row from candidates in their order of preference.

use crate::node::{NodeIndex, Nodes};

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
        let zone = |node: NodeIndex| self.zones.of[node.get()];
        if !self.zones.of.is_empty()
            && self.filled < self.zones.count
            && taken.iter().any(|other| zone(*other) == zone(node))
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
