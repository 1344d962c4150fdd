//! The power of two choices: Azar et al., "Balanced Allocations", 1994.

use super::{
    jumpback::JumpBackFunction,
    numbered::BucketFunction,
    points::{Points, Tickets},
    table::Table,
};
use crate::{
    error::PlacementError,
    mix::nth,
    node::{NodeIndex, Nodes},
    slot::SlotCount,
    strategy::Strategy,
};

/// Slot after slot goes to the emptier of two nodes that its hash names, emptier for its weight.
///
/// The candidates are drawn by weight too, so that a light node is not named by both hashes more
/// often than its share allows, nor a heavy one too seldom.
///
/// The table is made anew from the nodes at every change. Both candidates are found consistently,
/// so most slots stay, but some move between nodes that stay since the choice tips over.
#[derive(Clone, Debug)]
pub struct TwoChoice {
    table: Table,
    points: Points,
    tickets: Tickets,
}

const NAME: &str = "two-choice";

impl TwoChoice {
    /// A new table over the nodes that are up.
    pub fn new(nodes: &Nodes, slots: SlotCount, replicas: usize) -> Result<Self, PlacementError> {
        let table = Table::new(nodes, slots, replicas)?;
        let points = Points::choose(NAME, nodes, 1)?;
        let mut two_choice = Self { table, points, tickets: Tickets::default() };
        two_choice.fill(nodes)?;
        Ok(two_choice)
    }

    fn fill(&mut self, nodes: &Nodes) -> Result<(), PlacementError> {
        self.tickets.update(nodes, |node| self.points.of(node) as usize);
        let tickets = self.tickets.nodes();
        let mut seen = vec![false; nodes.len()];
        let is_new = |node: &NodeIndex| !std::mem::replace(&mut seen[node.get()], true);
        let all = tickets.iter().copied().chain(nodes.up().map(|(index, _)| index));
        let up: Vec<NodeIndex> = all.filter(is_new).collect();
        let weights = nodes.scaled_weights();
        let mut held = vec![0u32; nodes.len()];
        let fullness =
            |held: &[u32], node: NodeIndex| f64::from(held[node.get()] + 1) / weights[node.get()];
        self.table.refill(nodes, true, |slot, row| {
            let candidate = |number: u64| {
                let ticket = JumpBackFunction::bucket(nth(slot, number), tickets.len() as u32);
                tickets[ticket as usize]
            };
            for pair in 0..16 {
                let (a, b) = (candidate(2 * pair), candidate(2 * pair + 1));
                let emptier = if fullness(&held, b) < fullness(&held, a) { b } else { a };
                if row.offer(emptier) {
                    held[emptier.get()] += 1;
                }
                if row.is_full() {
                    return;
                }
            }
            for node in &up {
                if row.offer(*node) {
                    held[node.get()] += 1;
                }
            }
        });
        // Too light to be a candidate, a node is in rows only where nobody else is left.
        match nodes.up().find(|(index, node)| self.points.of(node) == 0 && held[index.get()] == 0) {
            Some((_, node)) => Err(self.points.refuse(node)),
            None => Ok(()),
        }
    }
}

impl Strategy for TwoChoice {
    fn place(&self, key: u64, row: &mut [NodeIndex]) {
        self.table.place(key, row);
    }

    fn place_all(&self, keys: &[u64], first: &mut [NodeIndex]) {
        self.table.place_all(keys, first);
    }

    fn update(&mut self, nodes: &Nodes) -> Result<(), PlacementError> {
        self.table.check(nodes)?;
        let mut next = self.clone();
        if !next.points.suits(nodes) {
            next.points = Points::choose(NAME, nodes, 1)?;
        }
        next.fill(nodes)?;
        *self = next;
        Ok(())
    }

    fn shares(&self, places: usize) -> Vec<f64> {
        self.table.shares(places)
    }

    fn bytes(&self) -> usize {
        self.table.bytes()
    }
}
