//! What every strategy does.

use std::fmt;

use crate::{
    error::PlacementError,
    node::{NodeIndex, Nodes},
};

/// A rule that gives every key an ordered row of distinct nodes.
///
/// A strategy is a value that was built from a list of nodes and follows the changes of that list.
/// Some have a history: two of them that saw the same changes in the same order agree, two that
/// were built at different times may not.
pub trait Strategy: fmt::Debug + Send + Sync {
    /// Fills `row` with distinct nodes for this key, the one to serve it first, the others to hold
    /// its copies. No two are in one zone as long as there are zones that are not in the row yet.
    ///
    /// # Panics
    /// When the row is longer than the strategy was built for.
    fn place(&self, key: u64, row: &mut [NodeIndex]);

    /// The first node of the row of each key.
    fn place_all(&self, keys: &[u64], first: &mut [NodeIndex]) {
        for (key, node) in keys.iter().zip(first) {
            self.place(*key, std::slice::from_mut(node));
        }
    }

    /// Follows a change of the list: nodes that joined, left, or changed their weight.
    ///
    /// The list must be the one the strategy was built from, or one that it became. After an error
    /// the strategy is what it was.
    fn update(&mut self, nodes: &Nodes) -> Result<(), PlacementError>;

    /// The part of all keys that each node is the first one of, for a list of `places` nodes: what
    /// a hash function that behaves as chance gives it on average. They sum to 1.
    fn shares(&self, places: usize) -> Vec<f64>;

    /// Bytes of memory that look-ups read.
    fn bytes(&self) -> usize;
}
