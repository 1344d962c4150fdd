//! AnchorHash: Mendelson et al., "AnchorHash: A Scalable Consistent Hash", 2020,
//! <https://arxiv.org/abs/1812.09674>.

use super::bucket_nodes::BucketNodes;
use crate::{
    error::PlacementError,
    mix::{GOLDEN, mix64, reduce},
    node::{NodeIndex, Nodes},
    row::{Zones, equal_shares, fill_by_rehash},
    strategy::Strategy,
};

/// A fixed number of buckets, of which some work. A key that falls on a removed bucket is led to
/// one of those that worked when it was removed. Any node can go or come back with no other moves.
///
/// Weights are not honoured. Buckets are given back in the reverse order of their removal. When
/// none is free the anchor is built anew with more of them, which moves keys between all nodes.
#[derive(Clone, Debug)]
pub struct Anchor {
    /// For a removed bucket: how many worked just after its removal. 0: it works. (`A`)
    removed_at: Vec<u32>,
    /// For a removed bucket: the one that took its place among the working ones. (`K`)
    successor: Vec<u32>,
    /// The working buckets by place, and the place of each. (`W` and `L`)
    working: Vec<u32>,
    place: Vec<u32>,
    count: u32,
    /// Removed buckets, the last one on top. (`R`)
    removed: Vec<u32>,
    nodes: BucketNodes,
    zones: Zones,
}

impl Anchor {
    /// An anchor with at least `capacity` buckets, and never fewer than there are nodes.
    pub fn new(nodes: &Nodes, capacity: usize) -> Self {
        let capacity = capacity.max(nodes.count_up()) as u32;
        let mut anchor = Self {
            removed_at: vec![0; capacity as usize],
            successor: (0..capacity).collect(),
            working: (0..capacity).collect(),
            place: (0..capacity).collect(),
            count: capacity,
            removed: Vec::new(),
            nodes: BucketNodes::default(),
            zones: Zones::new(nodes),
        };
        for bucket in (0..capacity).rev() {
            anchor.remove(bucket);
        }
        anchor.follow(nodes);
        anchor
    }

    /// Room for a quarter more nodes than there are, and for some at least.
    pub fn default_capacity(nodes: &Nodes) -> usize {
        nodes.count_up() * 5 / 4 + 16
    }

    fn follow(&mut self, nodes: &Nodes) {
        let (leaving, joining) = self.nodes.changes(nodes);
        for bucket in leaving {
            self.remove(bucket);
        }
        if joining.len() > self.removed.len() {
            *self = Self::new(nodes, Self::default_capacity(nodes).max(2 * self.working.len()));
            return;
        }
        for node in joining {
            let bucket = self.restore();
            self.nodes.assign(bucket, node);
        }
        self.zones = Zones::new(nodes);
    }

    fn remove(&mut self, bucket: u32) {
        let b = bucket as usize;
        self.count -= 1;
        let last = self.working[self.count as usize];
        self.removed.push(bucket);
        self.removed_at[b] = self.count;
        self.working[self.place[b] as usize] = last;
        self.place[last as usize] = self.place[b];
        self.successor[b] = last;
    }

    fn restore(&mut self) -> u32 {
        let bucket = self.removed.pop().expect("a free bucket was counted");
        let b = bucket as usize;
        self.removed_at[b] = 0;
        let last = self.working[self.count as usize];
        self.place[last as usize] = self.count;
        self.working[self.place[b] as usize] = bucket;
        self.successor[b] = bucket;
        self.count += 1;
        bucket
    }

    #[inline]
    fn bucket(&self, key: u64) -> u32 {
        let mut bucket = reduce(mix64(key), self.removed_at.len() as u64) as u32;
        while !self.works(bucket) {
            let worked = self.removed_at[bucket as usize];
            let again = mix64(key ^ GOLDEN.wrapping_mul(u64::from(bucket) + 1));
            let mut next = reduce(again, u64::from(worked)) as u32;
            while !self.works(next) && self.removed_at[next as usize] >= worked {
                next = self.successor[next as usize];
            }
            bucket = next;
        }
        bucket
    }

    #[inline]
    fn works(&self, bucket: u32) -> bool {
        self.removed_at[bucket as usize] == 0
    }
}

impl Strategy for Anchor {
    fn place(&self, key: u64, row: &mut [NodeIndex]) {
        fill_by_rehash(key, row, &self.zones, self.nodes.working(), |key| {
            self.nodes.of(self.bucket(key))
        });
    }

    fn update(&mut self, nodes: &Nodes) -> Result<(), PlacementError> {
        self.follow(nodes);
        Ok(())
    }

    fn shares(&self, places: usize) -> Vec<f64> {
        equal_shares(self.nodes.working(), places)
    }

    fn bytes(&self) -> usize {
        16 * self.removed_at.len() + self.nodes.bytes()
    }
}
