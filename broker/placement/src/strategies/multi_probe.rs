//! Multi-probe consistent hashing: Appleton and O'Reilly, 2015, <https://arxiv.org/abs/1505.00062>.

use super::{circle::Circle, ring};
use crate::{
    error::PlacementError,
    mix::nth,
    node::{NodeIndex, Nodes},
    row::{RowFiller, Zones},
    strategy::Strategy,
};

/// Each node stands at one point of a circle; a key looks from several positions, and belongs to
/// the node that is nearest behind one of them. Copies go to the next distinct nodes from there.
///
/// Weights are honoured roughly: a node has as many points as its rounded weight says.
#[derive(Clone, Debug)]
pub struct MultiProbe {
    probes: u64,
    circle: Circle,
    zones: Zones,
}

impl MultiProbe {
    /// A circle on which a key looks from `probes` positions; the paper takes 21.
    pub fn new(nodes: &Nodes, probes: u32) -> Self {
        Self { probes: u64::from(probes), circle: ring::circle(nodes, 1), zones: Zones::new(nodes) }
    }
}

impl Strategy for MultiProbe {
    fn place(&self, key: u64, row: &mut [NodeIndex]) {
        let (_, point) = (1..=self.probes)
            .map(|probe| {
                let position = nth(key, probe);
                let point = self.circle.next(position);
                (self.circle.distance(position, point), point)
            })
            .min()
            .expect("there is at least one probe");
        if let [only] = row {
            *only = self.circle.owner(point);
            return;
        }
        let mut filler = RowFiller::new(row, &self.zones);
        let full = self.circle.from(point).any(|node| filler.offer(node));
        assert!(full, "the row is longer than the list of nodes");
    }

    fn update(&mut self, nodes: &Nodes) -> Result<(), PlacementError> {
        *self = Self::new(nodes, self.probes as u32);
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.circle.bytes()
    }
}
