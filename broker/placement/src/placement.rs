//! The table a broker works with: a row of nodes for every slot.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    error::PlacementError,
    kind::StrategyKind,
    node::{NodeIndex, Nodes},
    slot::{SlotCount, SlotId},
};

/// The version of a placement. The first one is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The version of a cluster's first placement.
    pub const FIRST: Self = Self(1);

    /// The version that follows.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which nodes hold each slot: one row of `replicas` distinct nodes per slot.
///
/// The nodes are meant by their places in the [`Nodes`] that the placement was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    epoch: Epoch,
    slots: SlotCount,
    replicas: usize,
    /// All rows one after the other.
    rows: Vec<NodeIndex>,
}

impl Placement {
    /// The first placement of a cluster.
    pub fn new(
        kind: StrategyKind,
        nodes: &Nodes,
        slots: SlotCount,
        replicas: usize,
    ) -> Result<Self, PlacementError> {
        let strategy = kind.build(nodes, slots, replicas)?;
        let mut rows = vec![NodeIndex::default(); slots.get() as usize * replicas];
        for (slot, row) in slots.iter().zip(rows.chunks_exact_mut(replicas)) {
            strategy.place(kind.slot_key(slot.0), row);
        }
        Ok(Self { epoch: Epoch::FIRST, slots, replicas, rows })
    }

    /// Its version.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The number of slots.
    pub fn slots(&self) -> SlotCount {
        self.slots
    }

    /// The length of every row.
    pub fn replicas(&self) -> usize {
        self.replicas
    }

    /// The nodes of a slot, the preferred leader first.
    ///
    /// # Panics
    /// When there is no such slot.
    pub fn row(&self, slot: SlotId) -> &[NodeIndex] {
        let start = slot.0 as usize * self.replicas;
        &self.rows[start..start + self.replicas]
    }

    /// Every slot with its row.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (SlotId, &[NodeIndex])> {
        self.slots.iter().zip(self.rows.chunks_exact(self.replicas))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Node;

    fn slots(count: u64) -> SlotCount {
        SlotCount::new(count, 1).unwrap()
    }

    #[test]
    fn a_placement_does_not_depend_on_the_order_of_the_nodes() {
        for kind in StrategyKind::ALL.iter().copied() {
            let listed = |names: [&str; 4]| {
                Placement::new(kind, &Nodes::new(names.map(Node::new)).unwrap(), slots(64), 3)
            };
            assert_eq!(listed(["a", "b", "c", "d"]), listed(["d", "b", "a", "c"]), "{kind}");
        }
    }

    #[test]
    fn modulo_is_the_plain_formula() {
        let nodes = Nodes::numbered(5).unwrap();
        let placement = Placement::new(StrategyKind::Modulo, &nodes, slots(64), 3).unwrap();
        assert_eq!(placement.row(SlotId(13)), [NodeIndex(3), NodeIndex(4), NodeIndex(0)]);
        assert_eq!(placement.epoch(), Epoch::FIRST);
        assert_eq!(placement.iter().len(), 64);
    }

    #[test]
    fn impossible_placements_are_refused() {
        let nodes = Nodes::numbered(3).unwrap();
        let placed = |slots, replicas| Placement::new(StrategyKind::Slots, &nodes, slots, replicas);
        assert_eq!(placed(slots(64), 0), Err(PlacementError::NoReplicas));
        assert_eq!(
            placed(slots(64), 4),
            Err(PlacementError::TooFewNodes { replicas: 4, nodes: 3 })
        );
        assert_eq!(placed(slots(2), 1), Err(PlacementError::TooFewSlots { slots: 2, nodes: 3 }));
        let refused = "rings".parse::<StrategyKind>().unwrap_err().to_string();
        assert!(refused.contains("`rings`") && refused.contains("modulo"), "{refused}");
    }
}
