//! Rendezvous or highest-random-weight hashing: Thaler and Ravishankar, 1998; weights after
//! Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", 2005.

use crate::{
    error::PlacementError,
    mix::{ln, mix64, node_seed, unit},
    node::{NodeIndex, Nodes},
    row::{Zones, fill_by_score, shares_of},
    strategy::Strategy,
};

/// Every node draws a score for the key, and the row is made of those with the highest.
///
/// A node's first positions follow the weights exactly; whole rows do not, since a heavy node can
/// be in a row only once (the report says how much that costs).
#[derive(Clone, Debug)]
pub struct Rendezvous {
    seeds: Vec<(u64, NodeIndex)>,
    /// One per seed; empty when all are equal, so that no logarithm is needed.
    weights: Vec<f64>,
    zones: Zones,
}

impl Rendezvous {
    /// The strategy over the nodes that are up.
    pub fn new(nodes: &Nodes) -> Self {
        let seeds = nodes.up().map(|(index, node)| (node_seed(&node.name), index)).collect();
        let scaled = nodes.scaled_weights();
        let mut weights: Vec<f64> = nodes.up().map(|(index, _)| scaled[index.get()]).collect();
        if weights.windows(2).all(|pair| pair[0] == pair[1]) {
            weights.clear();
        }
        Self { seeds, weights, zones: Zones::new(nodes) }
    }
}

impl Strategy for Rendezvous {
    fn place(&self, key: u64, row: &mut [NodeIndex]) {
        let draws = self.seeds.iter().map(|(seed, node)| (mix64(key ^ seed), *node));
        if self.weights.is_empty() {
            fill_by_score(row, &self.zones, draws);
            return;
        }
        let scores = draws.zip(&self.weights).map(|((draw, node), w)| (w / -ln(unit(draw)), node));
        fill_by_score(row, &self.zones, scores);
    }

    fn update(&mut self, nodes: &Nodes) -> Result<(), PlacementError> {
        *self = Self::new(nodes);
        Ok(())
    }

    fn shares(&self, places: usize) -> Vec<f64> {
        let weight = |at: usize| self.weights.get(at).copied().unwrap_or(1.0);
        let nodes = self.seeds.iter().enumerate();
        shares_of(nodes.map(|(at, (_, node))| (*node, weight(at))), places)
    }

    fn bytes(&self) -> usize {
        size_of_val(self.seeds.as_slice()) + size_of_val(self.weights.as_slice())
    }
}
