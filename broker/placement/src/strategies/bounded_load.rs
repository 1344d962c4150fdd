//! Consistent hashing with bounded loads: Mirrokni, Thorup, Zadimoghaddam, 2018,
//! <https://arxiv.org/abs/1608.01350>.

use super::{circle::Circle, points::Points, ring, table::Table};
use crate::{
    error::PlacementError,
    mix::nth,
    node::{NodeIndex, Nodes},
    slot::SlotCount,
    strategy::Strategy,
};

/// A ring on which no node takes more than `factor` times its share of the slots: what does not
/// fit goes to the next node that has room.
///
/// The table is made anew from the nodes at every change, slot after slot.
#[derive(Clone, Debug)]
pub struct BoundedLoad {
    table: Table,
    factor: f64,
    points: Points,
}

impl BoundedLoad {
    /// A new table over the nodes that are up. `factor` is above 1; 1.25 is usual.
    pub fn new(
        nodes: &Nodes,
        slots: SlotCount,
        replicas: usize,
        points_per_node: u32,
        factor: f64,
    ) -> Result<Self, PlacementError> {
        if !(factor.is_finite() && factor > 1.0) {
            return Err(PlacementError::InvalidParameter {
                parameter: "load_factor",
                given: factor.to_string(),
                reason: "it must be finite and above 1",
            });
        }
        let table = Table::new(nodes, slots, replicas)?;
        let points = Points::new("bounded-load", nodes, points_per_node)?;
        let mut bounded = Self { table, factor, points };
        bounded.fill(nodes);
        Ok(bounded)
    }

    fn fill(&mut self, nodes: &Nodes) {
        let circle: Circle = ring::circle(nodes, &self.points);
        let weights = nodes.scaled_weights();
        let total: f64 = weights.iter().sum();
        let copies = self.table.rows.len() as f64;
        let mut room: Vec<u32> = weights
            .iter()
            .map(|weight| (self.factor * copies * weight / total).ceil() as u32)
            .collect();
        self.table.refill(nodes, true, |slot, row| {
            let start = circle.next(nth(slot, 1));
            let mut take = |node: NodeIndex, even_if_full: bool| {
                if (room[node.get()] > 0 || even_if_full) && row.offer(node) {
                    room[node.get()] = room[node.get()].saturating_sub(1);
                }
                row.is_full()
            };
            // Only where distinct nodes or zones leave no other choice is the bound exceeded.
            let full = circle.from(start).any(|node| take(node, false));
            let _ = full || circle.from(start).any(|node| take(node, true));
        });
    }
}

impl Strategy for BoundedLoad {
    fn place(&self, key: u64, row: &mut [NodeIndex]) {
        self.table.place(key, row);
    }

    fn place_all(&self, keys: &[u64], first: &mut [NodeIndex]) {
        self.table.place_all(keys, first);
    }

    fn update(&mut self, nodes: &Nodes) -> Result<(), PlacementError> {
        self.table.check(nodes)?;
        self.points = self.points.follow(nodes)?;
        self.fill(nodes);
        Ok(())
    }

    fn shares(&self, places: usize) -> Vec<f64> {
        self.table.shares(places)
    }

    fn bytes(&self) -> usize {
        self.table.bytes()
    }
}
