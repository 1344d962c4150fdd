//! Maglev: Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", 2016.

use super::points::check_dealt;
use crate::{
    error::PlacementError,
    mix::{mix64, node_seed, nth, reduce},
    node::{NodeIndex, Nodes},
    row::{RowFiller, Zones, fill_by_walk, shares_of},
    strategy::Strategy,
};

/// A table that the nodes fill in turns, each by its own permutation of the entries. It is nearly
/// perfectly even, and a change of the nodes also moves some keys between nodes that stay.
///
/// Weights are honoured by how often a node has its turn. Copies go to the next distinct nodes in
/// the table.
#[derive(Clone, Debug)]
pub struct Maglev {
    table: Vec<NodeIndex>,
    zones: Zones,
}

impl Maglev {
    /// The paper's small table.
    pub const TABLE: u32 = 65_537;

    /// A table of at least `size` entries: the next prime, and at least 100 entries per node.
    ///
    /// # Errors
    /// When a node is too light for an entry.
    pub fn new(nodes: &Nodes, size: u32) -> Result<Self, PlacementError> {
        Self::of(nodes, Self::size(nodes.count_up(), size))
    }

    /// How many entries a table for so many nodes has that is to have at least `wanted`.
    pub fn size(nodes: usize, wanted: u32) -> u64 {
        next_prime(u64::from(wanted).max(100 * nodes as u64))
    }

    fn of(nodes: &Nodes, size: u64) -> Result<Self, PlacementError> {
        let table = fill(nodes, size);
        check_dealt("maglev", nodes, table.iter(), table.len(), "table entries")?;
        Ok(Self { table, zones: Zones::new(nodes) })
    }
}

fn next_prime(from: u64) -> u64 {
    let is_prime =
        |n: &u64| *n >= 2 && (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    (from..).find(is_prime).expect("there is no last prime")
}

fn fill(nodes: &Nodes, size: u64) -> Vec<NodeIndex> {
    let heaviest = nodes.up().map(|(_, node)| node.weight).fold(0.0, f64::max);
    struct Turn {
        node: NodeIndex,
        next: u64,
        skip: u64,
        /// Turns per round; below 1 for all but the heaviest.
        rate: f64,
        credit: f64,
    }
    let mut turns: Vec<Turn> = nodes
        .up()
        .map(|(node, description)| {
            let seed = node_seed(&description.name);
            Turn {
                node,
                next: reduce(nth(seed, 1), size),
                skip: reduce(nth(seed, 2), size - 1) + 1,
                rate: description.weight / heaviest,
                credit: 0.0,
            }
        })
        .collect();
    const FREE: NodeIndex = NodeIndex(u32::MAX);
    let mut table = vec![FREE; size as usize];
    let mut left = size;
    loop {
        for turn in &mut turns {
            turn.credit += turn.rate;
            if turn.credit < 1.0 {
                continue;
            }
            turn.credit -= 1.0;
            while table[turn.next as usize] != FREE {
                turn.next = (turn.next + turn.skip) % size;
            }
            table[turn.next as usize] = turn.node;
            left -= 1;
            if left == 0 {
                return table;
            }
        }
    }
}

impl Strategy for Maglev {
    fn place(&self, key: u64, row: &mut [NodeIndex]) {
        let entry = reduce(mix64(key), self.table.len() as u64) as usize;
        if let [only] = row {
            *only = self.table[entry];
            return;
        }
        let full = fill_by_walk(&mut RowFiller::new(row, &self.zones), entry, &self.table);
        assert!(full, "every node has an entry, and the row is no longer than the list of nodes");
    }

    fn update(&mut self, nodes: &Nodes) -> Result<(), PlacementError> {
        // The size stays while it can: another one would move nearly every key.
        let size = self.table.len() as u64;
        let wanted =
            if size >= 10 * nodes.count_up() as u64 { size } else { next_prime(size * 10) };
        *self = Self::of(nodes, wanted)?;
        Ok(())
    }

    fn shares(&self, places: usize) -> Vec<f64> {
        shares_of(self.table.iter().map(|node| (*node, 1.0)), places)
    }

    fn bytes(&self) -> usize {
        size_of_val(self.table.as_slice())
    }
}
