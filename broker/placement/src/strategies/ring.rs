//! The ring with virtual nodes: Karger et al., "Consistent Hashing and Random Trees", 1997.

use super::{circle::Circle, points::Points};
use crate::{
    error::PlacementError,
    mix::{mix64, node_seed, nth},
    node::{NodeIndex, Nodes},
    row::{RowFiller, Zones, shares_of},
    strategy::Strategy,
};

/// Each node stands at many points of a circle; a key belongs to the first node behind it, its
/// copies to the next distinct ones.
///
/// Keys are mixed once more before they become positions, so that a hash function of fewer than 64
/// good bits fills the circle too.
///
/// Weights are honoured by the number of points. Which weight has the usual number is decided when
/// the ring is built and stays as long as it suits the nodes, so that others' points stay too.
#[derive(Clone, Debug)]
pub struct Ring {
    points: Points,
    circle: Circle,
    zones: Zones,
}

impl Ring {
    /// A ring on which the lightest node has `points_per_node` points.
    ///
    /// # Errors
    /// When these are too many, or a node is too light for one.
    pub fn new(nodes: &Nodes, points_per_node: u32) -> Result<Self, PlacementError> {
        Ok(Self::of(nodes, Points::new("ring", nodes, points_per_node)?))
    }

    fn of(nodes: &Nodes, points: Points) -> Self {
        Self { points, circle: circle(nodes, &points), zones: Zones::new(nodes) }
    }
}

/// The circle of a ring.
pub(crate) fn circle(nodes: &Nodes, points: &Points) -> Circle {
    Circle::new(nodes.up().flat_map(|(index, node)| {
        let seed = node_seed(&node.name);
        (1..=points.of(node)).map(move |number| (nth(seed, number), index))
    }))
}

impl Strategy for Ring {
    fn place(&self, key: u64, row: &mut [NodeIndex]) {
        let point = self.circle.next(mix64(key));
        if let [only] = row {
            *only = self.circle.owner(point);
            return;
        }
        let mut filler = RowFiller::new(row, &self.zones);
        let full = self.circle.from(point).any(|node| filler.offer(node));
        assert!(full, "the row is longer than the list of nodes");
    }

    fn update(&mut self, nodes: &Nodes) -> Result<(), PlacementError> {
        *self = Self::of(nodes, self.points.follow(nodes)?);
        Ok(())
    }

    fn shares(&self, places: usize) -> Vec<f64> {
        shares_of(self.circle.arcs(), places)
    }

    fn bytes(&self) -> usize {
        self.circle.bytes()
    }
}
