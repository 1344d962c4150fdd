//! DxHash: Dong and Wang, "DxHash: A Scalable Consistent Hash Based on the Pseudo-Random
//! Sequence", 2021, <https://arxiv.org/abs/2107.07930>.

use super::bucket_nodes::BucketNodes;
use crate::{
    error::PlacementError,
    mix::nth,
    node::{NodeIndex, Nodes},
    row::{Zones, equal_shares, fill_by_rehash},
    strategy::Strategy,
};

/// A power of two of buckets, one bit each. A key tries buckets in a pseudo-random order of its
/// own until it finds one that works. Any node can go or come back with no other moves.
///
/// Weights are not honoured. When no bucket is free their number is doubled, which moves keys
/// between all nodes.
#[derive(Clone, Debug)]
pub struct Dx {
    /// One bit per bucket.
    works: Vec<u64>,
    mask: u64,
    nodes: BucketNodes,
    zones: Zones,
}

impl Dx {
    /// Buckets for the nodes that are up and at least one more.
    pub fn new(nodes: &Nodes) -> Self {
        let buckets = (nodes.count_up() + 1).next_power_of_two();
        let mut dx = Self {
            works: vec![0; buckets.div_ceil(64)],
            mask: buckets as u64 - 1,
            nodes: BucketNodes::default(),
            zones: Zones::new(nodes),
        };
        dx.follow(nodes);
        dx
    }

    fn follow(&mut self, nodes: &Nodes) {
        let (leaving, joining) = self.nodes.changes(nodes);
        for bucket in leaving {
            self.works[bucket as usize / 64] &= !(1 << (bucket % 64));
        }
        let free: Vec<u32> =
            (0..=self.mask as u32).filter(|b| !self.works(*b)).take(joining.len()).collect();
        if free.len() < joining.len() {
            *self = Self::new(nodes);
            return;
        }
        for (bucket, node) in free.into_iter().zip(joining) {
            self.works[bucket as usize / 64] |= 1 << (bucket % 64);
            self.nodes.assign(bucket, node);
        }
        self.zones = Zones::new(nodes);
    }

    #[inline]
    fn works(&self, bucket: u32) -> bool {
        self.works[bucket as usize / 64] >> (bucket % 64) & 1 == 1
    }

    #[inline]
    fn node(&self, key: u64) -> NodeIndex {
        // The paper's bound on the attempts; reaching it has a probability below e^-8 times that
        // of the share of free buckets, and then the first node serves.
        let attempts = 8 * (self.mask + 1);
        (1..=attempts)
            .map(|attempt| (nth(key, attempt) & self.mask) as u32)
            .find(|bucket| self.works(*bucket))
            .map_or(self.nodes.working()[0], |bucket| self.nodes.of(bucket))
    }
}

impl Strategy for Dx {
    fn place(&self, key: u64, row: &mut [NodeIndex]) {
        fill_by_rehash(key, row, &self.zones, self.nodes.working(), |key| self.node(key));
    }

    fn update(&mut self, nodes: &Nodes) -> Result<(), PlacementError> {
        self.follow(nodes);
        Ok(())
    }

    fn shares(&self, places: usize) -> Vec<f64> {
        equal_shares(self.nodes.working(), places)
    }

    fn bytes(&self) -> usize {
        size_of_val(self.works.as_slice()) + self.nodes.bytes()
    }
}
