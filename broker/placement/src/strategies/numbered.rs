//! What jump, JumpBackHash and FlipHash share: they map a key to one of `n` numbered buckets, and
//! only the bucket with the highest number can come or go without moving other keys.

use std::{fmt, marker::PhantomData};

use crate::{
    error::PlacementError,
    node::{NodeIndex, Nodes},
    row::{Roster, Zones, equal_shares, fill_by_rehash},
    strategy::Strategy,
};

/// A consistent map from keys to the numbers `0..buckets`.
pub trait BucketFunction: fmt::Debug + Send + Sync {
    /// The bucket of a key. `buckets` is at least 1.
    fn bucket(key: u64, buckets: u32) -> u32;
}

/// A [`BucketFunction`] over nodes: a node that joins gets the next number, the last one takes the
/// number of one that leaves. So a join moves no more than it must, while the loss of any node
/// but the last moves about twice as much.
///
/// Weights are not honoured. Copies go where the key leads when it is hashed again.
#[derive(Clone, Debug)]
pub struct Numbered<F> {
    roster: Roster,
    zones: Zones,
    function: PhantomData<F>,
}

impl<F: BucketFunction> Numbered<F> {
    /// The strategy over the nodes that are up, numbered in the order of their places.
    pub fn new(nodes: &Nodes) -> Self {
        let mut roster = Roster::default();
        roster.update(nodes);
        Self { roster, zones: Zones::new(nodes), function: PhantomData }
    }
}

impl<F: BucketFunction> Strategy for Numbered<F> {
    fn place(&self, key: u64, row: &mut [NodeIndex]) {
        let nodes = self.roster.nodes();
        let count = nodes.len() as u32;
        fill_by_rehash(key, row, &self.zones, nodes, |key| nodes[F::bucket(key, count) as usize]);
    }

    fn update(&mut self, nodes: &Nodes) -> Result<(), PlacementError> {
        self.roster.update(nodes);
        self.zones = Zones::new(nodes);
        Ok(())
    }

    fn shares(&self, places: usize) -> Vec<f64> {
        equal_shares(self.roster.nodes(), places)
    }

    fn bytes(&self) -> usize {
        size_of_val(self.roster.nodes())
    }
}
