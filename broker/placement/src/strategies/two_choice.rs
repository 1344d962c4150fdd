//! The power of two choices: Azar et al., "Balanced Allocations", 1994.

use super::{jumpback::JumpBackFunction, numbered::BucketFunction, table::Table};
use crate::{
    error::PlacementError,
    mix::nth,
    node::{NodeIndex, Nodes},
    row::Roster,
    slot::SlotCount,
    strategy::Strategy,
};

/// Slot after slot goes to the emptier of two nodes that its hash names, emptier for its weight.
///
/// The candidates are drawn regardless of weight, so a node's share cannot exceed about `2 / n`.
///
/// The table is made anew from the nodes at every change. Both candidates are found consistently,
/// so most slots stay, but some move between nodes that stay since the choice tips over.
#[derive(Clone, Debug)]
pub struct TwoChoice {
    table: Table,
    roster: Roster,
}

impl TwoChoice {
    /// A new table over the nodes that are up.
    pub fn new(nodes: &Nodes, slots: SlotCount, replicas: usize) -> Result<Self, PlacementError> {
        let table = Table::new(nodes, slots, replicas)?;
        let mut two_choice = Self { table, roster: Roster::default() };
        two_choice.fill(nodes);
        Ok(two_choice)
    }

    fn fill(&mut self, nodes: &Nodes) {
        self.roster.update(nodes);
        let up = self.roster.nodes();
        let mut held = vec![0u32; nodes.len()];
        let fullness = |held: &[u32], node: NodeIndex| {
            f64::from(held[node.get()] + 1) / nodes.get(node).weight
        };
        self.table.refill(nodes, true, |slot, row| {
            let candidate = |number: u64| {
                up[JumpBackFunction::bucket(nth(slot, number), up.len() as u32) as usize]
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
            for node in up {
                if row.offer(*node) {
                    held[node.get()] += 1;
                }
            }
        });
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
        self.fill(nodes);
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.table.bytes()
    }
}
