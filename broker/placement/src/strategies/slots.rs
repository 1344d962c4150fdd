//! The flagship: an explicit table of slots.

use crate::{
    error::PlacementError,
    node::{NodeIndex, Nodes},
    row::{RowFiller, Zones},
    slot::SlotCount,
    strategy::Strategy,
};

/// An explicit table from slot to row, balanced by count.
#[derive(Clone, Debug)]
pub struct Slots {
    slots: SlotCount,
    replicas: usize,
    rows: Vec<NodeIndex>,
}

impl Slots {
    /// A new table over the nodes that are up.
    pub fn new(nodes: &Nodes, slots: SlotCount, replicas: usize) -> Result<Self, PlacementError> {
        let mut table = Self { slots, replicas, rows: Vec::new() };
        table.update(nodes)?;
        Ok(table)
    }
}

impl Strategy for Slots {
    fn place(&self, key: u64, row: &mut [NodeIndex]) {
        let start = self.slots.slot(key).0 as usize * self.replicas;
        row.copy_from_slice(&self.rows[start..start + row.len()]);
    }

    fn update(&mut self, nodes: &Nodes) -> Result<(), PlacementError> {
        nodes.check_replicas(self.replicas)?;
        let zones = Zones::new(nodes);
        let up: Vec<(NodeIndex, f64)> = nodes.up().map(|(index, n)| (index, n.weight)).collect();
        // Each copy goes to the nodes that are furthest below their share of what is given out.
        let mut given = vec![0.0; nodes.len()];
        self.rows = vec![NodeIndex::default(); self.slots.get() as usize * self.replicas];
        for row in self.rows.chunks_exact_mut(self.replicas) {
            let mut wanting = up.clone();
            wanting.sort_by(|(a, wa), (b, wb)| {
                let filled = |at: &NodeIndex, weight: &f64| (given[at.get()] + 1.0) / weight;
                filled(a, wa).total_cmp(&filled(b, wb)).then(a.cmp(b))
            });
            let mut filler = RowFiller::new(row, &zones);
            let full = wanting.iter().any(|(node, _)| filler.offer(*node));
            assert!(full, "there are at least as many nodes up as replicas");
            for node in row {
                given[node.get()] += 1.0;
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.rows.len() * size_of::<NodeIndex>()
    }
}
