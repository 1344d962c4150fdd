//! The ring with virtual nodes: Karger et al., "Consistent Hashing and Random Trees", 1997.

use super::circle::Circle;
use crate::{
    error::PlacementError,
    mix::{mix64, node_seed, nth},
    node::{Node, NodeIndex, Nodes},
    row::{RowFiller, Zones},
    strategy::Strategy,
};

/// Each node stands at many points of a circle; a key belongs to the first node behind it, its
/// copies to the next distinct ones.
///
/// Keys are mixed once more before they become positions, so that a hash function of fewer than 64
/// good bits fills the circle too.
#[derive(Clone, Debug)]
pub struct Ring {
    points_per_node: u32,
    circle: Circle,
    zones: Zones,
}

impl Ring {
    /// A ring on which a node of weight 1 has `points_per_node` points.
    pub fn new(nodes: &Nodes, points_per_node: u32) -> Self {
        let circle = circle(nodes, points_per_node);
        Self { points_per_node, circle, zones: Zones::new(nodes) }
    }
}

/// The circle of a ring: `points_per_node` points for each unit of weight, at least one.
pub(crate) fn circle(nodes: &Nodes, points_per_node: u32) -> Circle {
    Circle::new(nodes.up().flat_map(|(index, node)| {
        let seed = node_seed(&node.name);
        (1..=points(node, points_per_node)).map(move |number| (nth(seed, number), index))
    }))
}

fn points(node: &Node, points_per_node: u32) -> u64 {
    ((f64::from(points_per_node) * node.weight).round() as u64).clamp(1, 1 << 24)
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
        *self = Self::new(nodes, self.points_per_node);
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.circle.bytes()
    }
}
