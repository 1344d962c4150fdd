//! Which node has which bucket, for the strategies whose buckets come and go in any order.

use crate::node::{NodeIndex, NodeState, Nodes};

/// Buckets with the nodes that stand for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct BucketNodes {
    /// The node of each bucket; only meaningful for working ones.
    of: Vec<NodeIndex>,
    /// The bucket of each node that has one.
    bucket: Vec<Option<u32>>,
    /// Every node that has a bucket, in order of place.
    working: Vec<NodeIndex>,
}

impl BucketNodes {
    /// The buckets to free and the nodes to give one, by comparison with the list of nodes.
    pub(crate) fn changes(&mut self, nodes: &Nodes) -> (Vec<u32>, Vec<NodeIndex>) {
        self.bucket.resize(nodes.len(), None);
        self.working = nodes.up().map(|(index, _)| index).collect();
        let mut leaving = Vec::new();
        for (index, node) in nodes.iter() {
            if node.state != NodeState::Up {
                leaving.extend(self.bucket[index.get()].take());
            }
        }
        let is_new = |node: &NodeIndex| self.bucket[node.get()].is_none();
        (leaving, self.working.iter().copied().filter(is_new).collect())
    }

    /// Gives a bucket to a node.
    pub(crate) fn assign(&mut self, bucket: u32, node: NodeIndex) {
        let at = bucket as usize;
        self.of.resize(self.of.len().max(at + 1), NodeIndex::default());
        self.of[at] = node;
        self.bucket[node.get()] = Some(bucket);
    }

    #[inline]
    pub(crate) fn of(&self, bucket: u32) -> NodeIndex {
        self.of[bucket as usize]
    }

    pub(crate) fn working(&self) -> &[NodeIndex] {
        &self.working
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.of.as_slice())
    }
}
