//! A row of nodes for every slot; what the strategies that decide slot by slot share.

use crate::{
    error::PlacementError,
    node::{NodeIndex, NodeState, Nodes},
    row::{Zones, shares_of},
    slot::SlotCount,
};

/// A table from slot to row.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) slots: SlotCount,
    pub(crate) replicas: usize,
    /// All rows one after the other.
    pub(crate) rows: Vec<NodeIndex>,
    /// The first node of every row, in 16 bits as long as that is enough: this is what look-ups
    /// read, and half the bytes are half the cache misses.
    first: First,
}

#[derive(Clone, Debug)]
enum First {
    Narrow(Vec<u16>),
    Wide(Vec<u32>),
}

impl Table {
    /// A table whose rows hold nothing of meaning yet.
    pub(crate) fn new(
        nodes: &Nodes,
        slots: SlotCount,
        replicas: usize,
    ) -> Result<Self, PlacementError> {
        let rows = vec![NodeIndex::default(); slots.get() as usize * replicas];
        let table = Self { slots, replicas, rows, first: First::Narrow(Vec::new()) };
        table.check(nodes)?;
        Ok(table)
    }

    /// Whether rows of these nodes can be made.
    pub(crate) fn check(&self, nodes: &Nodes) -> Result<(), PlacementError> {
        nodes.check_replicas(self.replicas)?;
        SlotCount::new(u64::from(self.slots.get()), nodes.count_up()).map(|_| ())
    }

    /// Makes look-ups see the rows as they are now.
    pub(crate) fn publish(&mut self) {
        let first = self.rows.iter().step_by(self.replicas);
        self.first = match first.clone().map(|node| u16::try_from(node.0)).collect() {
            Ok(narrow) => First::Narrow(narrow),
            Err(_) => First::Wide(first.map(|node| node.0).collect()),
        };
    }

    #[inline]
    pub(crate) fn place(&self, key: u64, row: &mut [NodeIndex]) {
        let slot = self.slots.slot(key).0 as usize;
        if let [only] = row {
            *only = NodeIndex(match &self.first {
                First::Narrow(first) => u32::from(first[slot]),
                First::Wide(first) => first[slot],
            });
            return;
        }
        assert!(row.len() <= self.replicas, "the row is longer than the table's");
        let start = slot * self.replicas;
        row.copy_from_slice(&self.rows[start..start + row.len()]);
    }

    /// As [`Table::place`] for many keys, with the choice of the width made once.
    pub(crate) fn place_all(&self, keys: &[u64], out: &mut [NodeIndex]) {
        let slot = |key: &u64| self.slots.slot(*key).0 as usize;
        match &self.first {
            First::Narrow(first) => {
                out.iter_mut().zip(keys).for_each(|(o, k)| *o = NodeIndex(first[slot(k)].into()));
            }
            First::Wide(first) => {
                out.iter_mut().zip(keys).for_each(|(o, k)| *o = NodeIndex(first[slot(k)]));
            }
        }
    }

    /// Has `fill` complete every row. Rows keep the nodes that are still up, in order, without
    /// those that now crowd a zone; `afresh` they keep nothing.
    pub(crate) fn refill(
        &mut self,
        nodes: &Nodes,
        afresh: bool,
        mut fill: impl FnMut(u64, &mut OpenRow),
    ) {
        let zones = Zones::new(nodes);
        let mut members = Vec::with_capacity(self.replicas);
        for (slot, row) in self.rows.chunks_exact_mut(self.replicas).enumerate() {
            members.clear();
            let mut open = OpenRow { members: &mut members, length: row.len(), zones: &zones };
            for node in row.iter().filter(|_| !afresh) {
                if nodes.get(*node).state == NodeState::Up {
                    open.offer(*node);
                }
            }
            if !open.is_full() {
                fill(slot as u64, &mut open);
            }
            assert!(open.is_full(), "there are at least as many nodes up as replicas");
            row.copy_from_slice(&members);
        }
        self.publish();
    }

    /// The part of the slots that each node is the first one of.
    pub(crate) fn shares(&self, places: usize) -> Vec<f64> {
        let first = self.rows.iter().step_by(self.replicas);
        shares_of(first.map(|node| (*node, 1.0)), places)
    }

    pub(crate) fn bytes(&self) -> usize {
        let first = match &self.first {
            First::Narrow(first) => size_of_val(first.as_slice()),
            First::Wide(first) => size_of_val(first.as_slice()),
        };
        let rows = if self.replicas == 1 { 0 } else { size_of_val(self.rows.as_slice()) };
        first + rows
    }
}

/// A row that still has places.
pub(crate) struct OpenRow<'a> {
    members: &'a mut Vec<NodeIndex>,
    length: usize,
    zones: &'a Zones,
}

impl OpenRow<'_> {
    /// Takes a node if it may join the row, and tells whether it did.
    pub(crate) fn offer(&mut self, node: NodeIndex) -> bool {
        let takes = !self.is_full() && self.zones.fits(node, self.members, self.length);
        if takes {
            self.members.push(node);
        }
        takes
    }

    pub(crate) fn is_full(&self) -> bool {
        self.members.len() == self.length
    }

    /// Takes nodes from `nodes`, beginning at `start` and once around, until the row is full.
    pub(crate) fn walk(&mut self, start: usize, nodes: &[NodeIndex]) {
        let (before, from) = nodes.split_at(start);
        for node in from.iter().chain(before) {
            if self.is_full() {
                return;
            }
            self.offer(*node);
        }
    }
}
