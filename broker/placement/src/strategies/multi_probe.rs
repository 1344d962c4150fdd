//! Multi-probe consistent hashing: Appleton and O'Reilly, 2015, <https://arxiv.org/abs/1505.00062>.

use super::{circle::Circle, points::Points, ring};
use crate::{
    error::PlacementError,
    mix::nth,
    node::{NodeIndex, Nodes},
    row::{RowFiller, Zones, shares_of},
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

    fn shares(&self, places: usize) -> Vec<f64> {
        // A probe is within x of the next point with probability F(x) = Σ min(arc, x). A point is
        // the nearest of all probes' at distance x < its arc, so it has ∫ k (1 - F)^(k-1) dx over
        // its arc. Between two arcs of neighbouring length F is linear.
        let mut arcs: Vec<(f64, NodeIndex)> =
            self.circle.arcs().map(|(node, arc)| (arc, node)).collect();
        arcs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let beyond = |part: f64| (1.0 - part).max(0.0).powi(self.probes as i32);
        let (mut shorter, mut share, mut left) = (0.0, 0.0, 1.0);
        let mut parts = Vec::with_capacity(arcs.len());
        for (rank, (arc, node)) in arcs.iter().enumerate() {
            let longer = (arcs.len() - rank) as f64;
            let now = beyond(shorter + longer * arc);
            share += (left - now) / longer;
            (left, shorter) = (now, shorter + arc);
            parts.push((*node, share));
        }
        shares_of(parts.into_iter(), places)
    }

    fn bytes(&self) -> usize {
        self.circle.bytes()
    }
}
