//! straw2, the bucket type of Ceph's CRUSH: Weil et al. 2006, straw2 since Ceph Hammer.

use super::points::negligible;
use crate::{
    error::PlacementError,
    mix::{GOLDEN, ln, mix64, node_seed},
    node::{NodeIndex, Nodes},
    row::{Zones, fill_by_rehash},
    strategy::Strategy,
};

/// Every node draws a straw `ln(u) / weight` from a 16-bit `u`, and the longest wins. Copies are
/// drawn with other straws, as CRUSH's `firstn` does.
///
/// Ceph draws 16 bits, and so does this: above some thousand nodes in one bucket draws tie, and
/// the node listed first wins. Ceph avoids that by a hierarchy of buckets. For the same reason the
/// lightest node is drawn once in 65,536 times however light it is, and one that would thereby have
/// more than twice its share is refused.
#[derive(Clone, Debug)]
pub struct Straw2 {
    straws: Vec<(u64, f64, NodeIndex)>,
    up: Vec<NodeIndex>,
    /// `ln((u + 1) / 65536)` in units of 2^-44, as CRUSH's table has it.
    logarithms: Vec<f64>,
    zones: Zones,
}

/// A node whose share of the 2^16 draws is x wins `1 / (1 - e^(-1/x))` of them: twice its share at
/// this x.
const LEAST_DRAWS: f64 = 0.627;

impl Straw2 {
    /// The strategy over the nodes that are up.
    ///
    /// # Errors
    /// When a node is so light that 16 bits are too coarse for it.
    pub fn new(nodes: &Nodes) -> Result<Self, PlacementError> {
        let scale = (1u64 << 44) as f64;
        let logarithms =
            (1..=65_536).map(|u| (ln(f64::from(u) / 65_536.0) * scale).trunc()).collect();
        let mut straw2 =
            Self { straws: Vec::new(), up: Vec::new(), logarithms, zones: Zones::new(nodes) };
        straw2.follow(nodes)?;
        Ok(straw2)
    }

    fn follow(&mut self, nodes: &Nodes) -> Result<(), PlacementError> {
        let weights = nodes.scaled_weights();
        let total: f64 = weights.iter().sum();
        let draws = |index: NodeIndex| 65_536.0 * weights[index.get()] / total;
        if let Some((index, node)) = nodes.up().find(|(index, _)| draws(*index) < LEAST_DRAWS) {
            let comes_to = format!("{:.2e} of 65536 draws", draws(index));
            return Err(negligible("straw2", node, comes_to));
        }
        self.straws = nodes
            .up()
            .map(|(index, node)| (node_seed(&node.name), 1.0 / weights[index.get()], index))
            .collect();
        self.up = nodes.up().map(|(index, _)| index).collect();
        self.zones = Zones::new(nodes);
        Ok(())
    }

    #[inline]
    fn longest(&self, key: u64) -> NodeIndex {
        let mut best = (f64::NEG_INFINITY, NodeIndex::default());
        for (seed, per_weight, node) in &self.straws {
            let draw = mix64(key.wrapping_mul(GOLDEN) ^ seed) >> 48;
            let straw = self.logarithms[draw as usize] * per_weight;
            if straw > best.0 {
                best = (straw, *node);
            }
        }
        best.1
    }
}

impl Strategy for Straw2 {
    fn place(&self, key: u64, row: &mut [NodeIndex]) {
        fill_by_rehash(key, row, &self.zones, &self.up, |key| self.longest(key));
    }

    fn update(&mut self, nodes: &Nodes) -> Result<(), PlacementError> {
        self.follow(nodes)
    }

    fn bytes(&self) -> usize {
        size_of_val(self.straws.as_slice()) + size_of_val(self.logarithms.as_slice())
    }
}
