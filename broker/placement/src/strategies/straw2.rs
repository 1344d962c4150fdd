//! straw2, the bucket type of Ceph's CRUSH: Weil et al. 2006, straw2 since Ceph Hammer.

use std::collections::BTreeMap;

use super::points::negligible;
use crate::{
    error::PlacementError,
    mix::{GOLDEN, ln, mix64, node_seed},
    node::{NodeIndex, Nodes},
    row::{Zones, fill_by_rehash, shares_of},
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

    fn shares(&self, places: usize) -> Vec<f64> {
        // With straws of any length a node has w_i / W. Rounding each of the 2^16 draws down moves
        // a little from heavy to light nodes, and of equal ones the first wins a tie: to first
        // order in the step of half a draw, what follows.
        let weights: Vec<f64> =
            self.straws.iter().map(|(_, per_weight, _)| per_weight.recip()).collect();
        let total: f64 = weights.iter().sum();
        let beside = |weight: f64| 1.0 / (total - weight);
        let all_beside: f64 = weights.iter().copied().map(beside).sum();
        let mut alike: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
        weights.iter().for_each(|w| alike.entry(w.to_bits()).or_default().1 += 1.0);
        let parts = self.straws.iter().zip(&weights).map(|((_, _, node), weight)| {
            let (earlier, all) = alike.get_mut(&weight.to_bits()).expect("it was counted");
            let later = *all - 1.0 - *earlier;
            let ties = weight * beside(*weight) * (later - *earlier);
            *earlier += 1.0;
            let rounding = 1.0 - weight * (all_beside - beside(*weight)) + ties;
            let share = weight / total + rounding / 131_072.0;
            (*node, if weights.len() > 1 { share } else { 1.0 })
        });
        shares_of(parts, places)
    }

    fn bytes(&self) -> usize {
        size_of_val(self.straws.as_slice()) + size_of_val(self.logarithms.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Node;

    /// The probability that a node wins, summed over all draws that it may have.
    fn exact(straw2: &Straw2, at: usize) -> f64 {
        let straws = |at: usize| {
            let per_weight = straw2.straws[at].1;
            straw2.logarithms.iter().map(move |logarithm| logarithm * per_weight)
        };
        let others: Vec<Vec<f64>> =
            (0..straw2.straws.len()).map(|at| straws(at).collect()).collect();
        let draws = straw2.logarithms.len() as f64;
        let wins = |straw: f64| -> f64 {
            let beaten = others.iter().enumerate().filter(|(other, _)| *other != at);
            beaten
                .map(|(other, theirs)| {
                    // Straws are in ascending order; the node listed first wins a tie.
                    let lost = |it: &f64| if other < at { *it < straw } else { *it <= straw };
                    theirs.partition_point(lost) as f64 / draws
                })
                .product()
        };
        straws(at).map(wins).sum::<f64>() / draws
    }

    #[test]
    fn shares_follow_the_rounding_of_draws() {
        for weights in [vec![1.0; 7], vec![1.0, 0.003, 1.0, 0.003], vec![3.0, 1.0, 2.0]] {
            let node =
                |(at, weight): (usize, &f64)| Node::new([b'a' + at as u8]).with_weight(*weight);
            let nodes = Nodes::new(weights.iter().enumerate().map(node)).unwrap();
            let straw2 = Straw2::new(&nodes).unwrap();
            let mut most = 0.0f64;
            for (at, share) in straw2.shares(nodes.len()).iter().enumerate() {
                let exact = exact(&straw2, at);
                let step = 1.0 / 65_536.0;
                assert!((share - exact).abs() < 0.02 * step, "{weights:?}, {at}: {share} {exact}");
                let plain = weights[at] / weights.iter().sum::<f64>();
                most = most.max((plain - exact).abs() / step);
            }
            assert!(most > 0.1, "{weights:?}: weights alone are as good, {most}");
        }
    }
}
