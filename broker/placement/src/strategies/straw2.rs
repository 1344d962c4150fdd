//! straw2, the bucket type of Ceph's CRUSH: Weil et al. 2006, straw2 since Ceph Hammer.

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
/// the node listed first wins. Ceph avoids that by a hierarchy of buckets.
#[derive(Clone, Debug)]
pub struct Straw2 {
    straws: Vec<(u64, f64, NodeIndex)>,
    up: Vec<NodeIndex>,
    /// `ln((u + 1) / 65536)` in units of 2^-44, as CRUSH's table has it.
    logarithms: Vec<f64>,
    zones: Zones,
}

impl Straw2 {
    /// The strategy over the nodes that are up.
    pub fn new(nodes: &Nodes) -> Self {
        let scale = (1u64 << 44) as f64;
        let logarithms =
            (1..=65_536).map(|u| (ln(f64::from(u) / 65_536.0) * scale).trunc()).collect();
        let mut straw2 =
            Self { straws: Vec::new(), up: Vec::new(), logarithms, zones: Zones::new(nodes) };
        straw2.follow(nodes);
        straw2
    }

    fn follow(&mut self, nodes: &Nodes) {
        self.straws =
            nodes.up().map(|(index, n)| (node_seed(&n.name), 1.0 / n.weight, index)).collect();
        self.up = nodes.up().map(|(index, _)| index).collect();
        self.zones = Zones::new(nodes);
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
        self.follow(nodes);
        Ok(())
    }

    fn bytes(&self) -> usize {
        size_of_val(self.straws.as_slice()) + size_of_val(self.logarithms.as_slice())
    }
}
