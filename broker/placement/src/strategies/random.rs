//! A baseline: every slot goes to a random node when it is made, and stays there.

use super::table::Table;
use crate::{
    error::PlacementError,
    mix::{nth, reduce},
    node::{NodeIndex, Nodes},
    slot::SlotCount,
    strategy::Strategy,
};

/// Random nodes for every slot. What a lost node held is drawn again; a node that joins gets
/// nothing until something else is lost, as in brokers that place a queue once, when it is made.
///
/// Weights are not honoured. The draws come from the slot's number, so they are the same each time.
#[derive(Clone, Debug)]
pub struct Random {
    table: Table,
    changes: u64,
}

impl Random {
    /// A new table over the nodes that are up.
    pub fn new(nodes: &Nodes, slots: SlotCount, replicas: usize) -> Result<Self, PlacementError> {
        let mut random = Self { table: Table::new(nodes, slots, replicas)?, changes: 0 };
        random.draw(nodes, true);
        Ok(random)
    }

    fn draw(&mut self, nodes: &Nodes, fresh: bool) {
        let up: Vec<NodeIndex> = nodes.up().map(|(index, _)| index).collect();
        let seed = nth(0, self.changes);
        self.table.refill(nodes, fresh, |slot, row| {
            let draw = |number| reduce(nth(nth(seed, slot), number), up.len() as u64) as usize;
            for number in 1..=64 {
                row.offer(up[draw(number)]);
                if row.is_full() {
                    return;
                }
            }
            row.walk(draw(0), &up);
        });
    }
}

impl Strategy for Random {
    fn place(&self, key: u64, row: &mut [NodeIndex]) {
        self.table.place(key, row);
    }

    fn place_all(&self, keys: &[u64], first: &mut [NodeIndex]) {
        self.table.place_all(keys, first);
    }

    fn update(&mut self, nodes: &Nodes) -> Result<(), PlacementError> {
        self.table.check(nodes)?;
        self.changes += 1;
        self.draw(nodes, false);
        Ok(())
    }

    fn shares(&self, places: usize) -> Vec<f64> {
        self.table.shares(places)
    }

    fn bytes(&self) -> usize {
        self.table.bytes()
    }
}
