//! MementoHash: Coluzzi et al., "MementoHash: A Stateful, Minimal Memory, Best Performing
//! Consistent Hash Algorithm", 2024, <https://arxiv.org/abs/2306.09783>.

use super::{bucket_nodes::BucketNodes, jumpback::JumpBackFunction, numbered::BucketFunction};
use crate::{
    error::PlacementError,
    mix::{GOLDEN, mix64, reduce},
    node::{NodeIndex, Nodes},
    row::{Zones, equal_shares, fill_by_rehash},
    strategy::Strategy,
};

/// Numbered buckets without a limit, and a memory of those removed: a key that falls on one is led
/// to another of those that worked then. Any node can go or come back with no other moves.
///
/// Weights are not honoured. Buckets come back in the reverse order of their removal. The paper
/// starts from jump; this starts from JumpBackHash, which has the same properties and is faster.
#[derive(Clone, Debug)]
pub struct Memento {
    /// For a removed bucket: how many worked after its removal, which is also the number of the
    /// one that took its place. [`WORKS`] for the others.
    replaced_by: Vec<u32>,
    /// Removed buckets, the last one on top.
    removed: Vec<u32>,
    nodes: BucketNodes,
    zones: Zones,
}

const WORKS: u32 = u32::MAX;

impl Memento {
    /// The strategy over the nodes that are up, numbered in the order of their places.
    pub fn new(nodes: &Nodes) -> Self {
        let mut memento = Self {
            replaced_by: Vec::new(),
            removed: Vec::new(),
            nodes: BucketNodes::default(),
            zones: Zones::new(nodes),
        };
        memento.follow(nodes);
        memento
    }

    fn follow(&mut self, nodes: &Nodes) {
        let (leaving, joining) = self.nodes.changes(nodes);
        // Joins that come with losses first fill what is lost, but the buckets must all be
        // removed before: their numbers may not change in between.
        for bucket in leaving {
            self.remove(bucket);
        }
        for node in joining {
            let bucket = self.restore();
            self.nodes.assign(bucket, node);
        }
        self.zones = Zones::new(nodes);
    }

    fn remove(&mut self, bucket: u32) {
        if self.removed.is_empty() && bucket as usize + 1 == self.replaced_by.len() {
            self.replaced_by.pop();
            return;
        }
        let working = self.replaced_by.len() - self.removed.len();
        self.replaced_by[bucket as usize] = working as u32 - 1;
        self.removed.push(bucket);
    }

    fn restore(&mut self) -> u32 {
        if let Some(bucket) = self.removed.pop() {
            self.replaced_by[bucket as usize] = WORKS;
            return bucket;
        }
        self.replaced_by.push(WORKS);
        self.replaced_by.len() as u32 - 1
    }

    #[inline]
    fn bucket(&self, key: u64) -> u32 {
        let mut bucket = JumpBackFunction::bucket(key, self.replaced_by.len() as u32);
        loop {
            let worked = self.replaced_by[bucket as usize];
            if worked == WORKS {
                return bucket;
            }
            let again = mix64(key ^ GOLDEN.wrapping_mul(u64::from(bucket) + 1));
            let mut next = reduce(again, u64::from(worked)) as u32;
            loop {
                let replaced_by = self.replaced_by[next as usize];
                if replaced_by == WORKS || replaced_by < worked {
                    break;
                }
                next = replaced_by;
            }
            bucket = next;
        }
    }
}

impl Strategy for Memento {
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
        size_of_val(self.replaced_by.as_slice()) + self.nodes.bytes()
    }
}
