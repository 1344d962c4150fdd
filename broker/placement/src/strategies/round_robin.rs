//! A baseline: the nodes take turns when slots are made, and slots stay where they are.

use super::table::Table;
use crate::{
    error::PlacementError,
    node::{NodeIndex, Nodes},
    slot::SlotCount,
    strategy::Strategy,
};

/// Slots are dealt to the nodes in turn. What a lost node held is dealt on; a node that joins gets
/// nothing until something else is lost, as in brokers that place a queue once, when it is made.
///
/// Weights are not honoured.
#[derive(Clone, Debug)]
pub struct RoundRobin {
    table: Table,
    turn: usize,
}

impl RoundRobin {
    /// A new table over the nodes that are up.
    pub fn new(nodes: &Nodes, slots: SlotCount, replicas: usize) -> Result<Self, PlacementError> {
        let mut dealer = Self { table: Table::new(nodes, slots, replicas)?, turn: 0 };
        dealer.deal(nodes, true);
        Ok(dealer)
    }

    fn deal(&mut self, nodes: &Nodes, fresh: bool) {
        let up: Vec<NodeIndex> = nodes.up().map(|(index, _)| index).collect();
        let turn = &mut self.turn;
        self.table.refill(nodes, fresh, |_, row| {
            row.walk(*turn % up.len(), &up);
            *turn += 1;
        });
    }
}

impl Strategy for RoundRobin {
    fn place(&self, key: u64, row: &mut [NodeIndex]) {
        self.table.place(key, row);
    }

    fn place_all(&self, keys: &[u64], first: &mut [NodeIndex]) {
        self.table.place_all(keys, first);
    }

    fn update(&mut self, nodes: &Nodes) -> Result<(), PlacementError> {
        self.table.check(nodes)?;
        self.deal(nodes, false);
        Ok(())
    }

    fn shares(&self, places: usize) -> Vec<f64> {
        self.table.shares(places)
    }

    fn bytes(&self) -> usize {
        self.table.bytes()
    }
}
