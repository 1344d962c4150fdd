//! The plain formula that most hand-made sharding uses, and that moves nearly everything when the
//! number of nodes changes.

use crate::{
    error::PlacementError,
    node::{NodeIndex, Nodes},
    row::{RowFiller, Zones, fill_by_walk, shares_of},
    slot::SlotCount,
    strategy::Strategy,
};

/// `(H(x ⊕ s) mod p) mod n`; copies go to the nodes that follow. With `p = n` it is `H mod n`.
///
/// Weights are not honoured.
#[derive(Clone, Debug)]
pub struct Modulo {
    slots: SlotCount,
    up: Vec<NodeIndex>,
    zones: Zones,
}

impl Modulo {
    /// The strategy over the nodes that are up.
    pub fn new(nodes: &Nodes, slots: SlotCount) -> Result<Self, PlacementError> {
        let mut modulo = Self { slots, up: Vec::new(), zones: Zones::new(nodes) };
        modulo.update(nodes)?;
        Ok(modulo)
    }
}

impl Strategy for Modulo {
    fn place(&self, key: u64, row: &mut [NodeIndex]) {
        let first = self.slots.slot(key).0 as usize % self.up.len();
        if let [only] = row {
            *only = self.up[first];
            return;
        }
        let full = fill_by_walk(&mut RowFiller::new(row, &self.zones), first, &self.up);
        assert!(full, "the row is longer than the list of nodes");
    }

    fn update(&mut self, nodes: &Nodes) -> Result<(), PlacementError> {
        SlotCount::new(u64::from(self.slots.get()), nodes.count_up())?;
        self.up = nodes.up().map(|(index, _)| index).collect();
        self.zones = Zones::new(nodes);
        Ok(())
    }

    fn shares(&self, places: usize) -> Vec<f64> {
        let slots = self.slots.iter().map(|slot| self.up[slot.0 as usize % self.up.len()]);
        shares_of(slots.map(|node| (node, 1.0)), places)
    }

    fn bytes(&self) -> usize {
        self.up.len() * size_of::<NodeIndex>()
    }
}
