//! Multi-probe consistent hashing: Appleton and O'Reilly, 2015, <https://arxiv.org/abs/1505.00062>.

use super::{circle::Circle, points::Points, ring};
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
/// Weights are honoured by more points: as many as it takes to have whole numbers of them in the
/// ratio of the weights, within a twentieth or so.
#[derive(Clone, Debug)]
pub struct MultiProbe {
    probes: u64,
    points: Points,
    circle: Circle,
    zones: Zones,
}

impl MultiProbe {
    /// A circle on which a key looks from `probes` positions; the paper takes 21.
    ///
    /// # Errors
    /// When a node is too light for a point.
    pub fn new(nodes: &Nodes, probes: u32) -> Result<Self, PlacementError> {
        Ok(Self::of(nodes, u64::from(probes), Points::new("multi-probe", nodes, 1)?))
    }

    fn of(nodes: &Nodes, probes: u64, points: Points) -> Self {
        Self { probes, points, circle: ring::circle(nodes, &points), zones: Zones::new(nodes) }
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
        *self = Self::of(nodes, self.probes, self.points.follow(nodes)?);
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.circle.bytes()
    }
}
