//! The flagship: an explicit table of slots, changed by as little as each change needs.
//!
//! Every other strategy derives the owner of a key from hash values, so its balance is that of
//! balls thrown into bins. A table can be balanced exactly, can follow measured load, and can obey
//! a person. What it costs is a few bytes per slot that all parties must agree on, which a cluster
//! with a metadata shard has anyway.
//!
//! - `quota`: how many slots each node should have.
//! - `members`: which nodes hold which slot, moved minimally.
//! - `leaders`: the order within rows, which costs no data to change.
//! - `load`: the same by measured load instead of by count.
//! - `length`: rows of more or fewer copies than before.
//! - `refill`: where the slots of nodes that left go, by load.

mod leaders;
mod length;
mod load;
mod members;
mod quota;
mod refill;

use std::collections::BTreeMap;

use super::{points, table::Table};
use crate::{
    error::PlacementError,
    node::{NodeIndex, NodeState, Nodes},
    row::Zones,
    slot::{SlotCount, SlotId},
    strategy::Strategy,
};

/// A table from slot to row.
///
/// Balanced by count, a change moves exactly the slots that the new shares demand, and none
/// between nodes whose share stays. Balanced by load, slots leave a node only as long as it is
/// above its cap, or has small ones to give up for one that has room nowhere. A table that is
/// balanced already is not touched at all.
#[derive(Clone, Debug)]
pub struct Slots {
    table: Table,
    /// Slots whose first node a person chose.
    pins: BTreeMap<SlotId, NodeIndex>,
    /// The measured load of each slot, if the table is balanced by load.
    loads: Option<Vec<f64>>,
    tolerance: f64,
}

/// What the parts of the flagship work on.
struct Workspace<'a> {
    nodes: &'a Nodes,
    /// Whether the node at each place is up.
    up: Vec<bool>,
    zones: Zones,
    replicas: usize,
    rows: &'a mut [NodeIndex],
    pins: &'a BTreeMap<SlotId, NodeIndex>,
}

/// Stands for "nobody yet" in a row that is being made.
const VACANT: NodeIndex = NodeIndex(u32::MAX);

impl Slots {
    /// How far above its share of the load a node may be before slots are moved away from it.
    pub const TOLERANCE: f64 = 0.01;

    /// A new table over the nodes that are up, balanced by count.
    pub fn new(nodes: &Nodes, slots: SlotCount, replicas: usize) -> Result<Self, PlacementError> {
        let table = Table::new(nodes, slots, replicas)?;
        let mut slots =
            Self { table, pins: BTreeMap::new(), loads: None, tolerance: Self::TOLERANCE };
        slots.table.rows.fill(VACANT);
        slots.change(nodes, |_| {})?;
        Ok(slots)
    }

    /// A new table balanced by the load of each slot: the heaviest slots are dealt out first.
    pub fn by_load(
        nodes: &Nodes,
        slots: SlotCount,
        replicas: usize,
        loads: &[f64],
    ) -> Result<Self, PlacementError> {
        let table = Table::new(nodes, slots, replicas)?;
        let mut slots =
            Self { table, pins: BTreeMap::new(), loads: None, tolerance: Self::TOLERANCE };
        slots.table.rows.fill(VACANT);
        slots.follow_load(nodes, loads)?;
        Ok(slots)
    }

    /// The table that a cluster has already, to be changed from there.
    ///
    /// Where its rows were of another length they are made as long as is wanted, and the table is
    /// balanced: no copy that can stay moves for it, and who leads a slot stays in its row.
    ///
    /// # Panics
    /// When `rows` has not the same number of nodes, at least one, for each slot.
    pub fn from_rows(
        nodes: &Nodes,
        slots: SlotCount,
        replicas: usize,
        rows: &[NodeIndex],
    ) -> Result<Self, PlacementError> {
        let mut table = Table::new(nodes, slots, replicas)?;
        let before = rows.len() / slots.get() as usize;
        let is_table = before > 0 && before * slots.get() as usize == rows.len();
        assert!(is_table, "{} nodes are no rows of {} slots", rows.len(), slots.get());
        table.rows = length::changed(nodes, rows, before, replicas);
        let mut slots =
            Self { table, pins: BTreeMap::new(), loads: None, tolerance: Self::TOLERANCE };
        match before == replicas {
            true => slots.table.publish(),
            false => slots.change(nodes, |_| {})?,
        }
        Ok(slots)
    }

    /// Sets how far above its share of the load a node may be; [`Self::TOLERANCE`] otherwise.
    pub fn set_tolerance(&mut self, tolerance: f64) -> Result<(), PlacementError> {
        if !(tolerance.is_finite() && tolerance >= 0.0) {
            return Err(PlacementError::InvalidParameter {
                parameter: "tolerance",
                given: tolerance.to_string(),
                reason: "it must be finite and not below 0",
            });
        }
        self.tolerance = tolerance;
        Ok(())
    }

    /// Balances the table by these loads, one per slot in any unit, from now on.
    ///
    /// With one replica slots move. With more, only the order within rows follows the load, since
    /// the first node does most of the work and changing it moves no data.
    pub fn follow_load(&mut self, nodes: &Nodes, loads: &[f64]) -> Result<(), PlacementError> {
        self.table.check(nodes)?;
        let usable = |load: &f64| load.is_finite() && *load >= 0.0;
        if loads.len() != self.table.slots.get() as usize || !loads.iter().all(usable) {
            return Err(PlacementError::InvalidParameter {
                parameter: "loads",
                given: format!("{} values", loads.len()),
                reason: "there must be one per slot, finite and not below 0",
            });
        }
        self.change(nodes, |slots| slots.loads = Some(loads.to_vec()))
    }

    /// Keeps a slot on a node as long as that node is up.
    pub fn pin(
        &mut self,
        nodes: &Nodes,
        slot: SlotId,
        node: NodeIndex,
    ) -> Result<(), PlacementError> {
        let slots = self.table.slots.get();
        if slot.0 >= slots {
            return Err(PlacementError::UnknownSlot { slot: slot.0, slots });
        }
        if node.get() >= nodes.len() {
            return Err(PlacementError::UnknownNode(node.to_string()));
        }
        self.table.check(nodes)?;
        self.change(nodes, |slots| {
            slots.pins.insert(slot, node);
        })
    }

    /// Lets a slot move again; tells whether it was pinned.
    pub fn unpin(&mut self, slot: SlotId) -> bool {
        self.pins.remove(&slot).is_some()
    }

    /// All rows one after the other.
    pub fn rows(&self) -> &[NodeIndex] {
        &self.table.rows
    }

    /// Makes a change and balances the table. Where that leaves a node with nothing because its
    /// weight is next to nothing, all stays as it was.
    fn change(
        &mut self,
        nodes: &Nodes,
        change: impl FnOnce(&mut Self),
    ) -> Result<(), PlacementError> {
        let places = self.table.rows.len();
        if points::lightest(nodes, places) >= points::LEAST {
            change(self);
            self.rebalance(nodes);
            return Ok(());
        }
        let mut next = self.clone();
        change(&mut next);
        next.rebalance(nodes);
        points::check_dealt("slots", nodes, next.rows().iter(), places, "places in slots")?;
        *self = next;
        Ok(())
    }

    fn rebalance(&mut self, nodes: &Nodes) {
        let mut work = Workspace {
            nodes,
            up: nodes.iter().map(|(_, node)| node.state == NodeState::Up).collect(),
            zones: Zones::new(nodes),
            replicas: self.table.replicas,
            rows: &mut self.table.rows,
            pins: &self.pins,
        };
        work.keep_what_can_stay();
        work.obey_pins();
        match &self.loads {
            Some(loads) if work.replicas == 1 => work.balance_load(loads, self.tolerance),
            _ => work.balance_count(),
        }
        if work.replicas > 1 {
            match &self.loads {
                Some(loads) => work.balance_leaders_by_load(loads, self.tolerance),
                None => work.balance_leaders(),
            }
            work.disperse_failover();
        }
        self.table.publish();
    }
}

impl Workspace<'_> {
    fn slots(&self) -> usize {
        self.rows.len() / self.replicas
    }

    fn row(&self, slot: usize) -> &[NodeIndex] {
        &self.rows[slot * self.replicas..][..self.replicas]
    }

    fn row_mut(&mut self, slot: usize) -> &mut [NodeIndex] {
        &mut self.rows[slot * self.replicas..][..self.replicas]
    }

    /// The nodes in a row except at one position.
    fn others(&self, slot: usize, except: usize) -> Vec<NodeIndex> {
        let kept =
            |(at, node): (usize, &NodeIndex)| (at != except && *node != VACANT).then_some(*node);
        self.row(slot).iter().enumerate().filter_map(kept).collect()
    }

    fn is_up(&self, node: NodeIndex) -> bool {
        node != VACANT && self.up[node.get()]
    }

    /// The node that a slot is pinned to, if it is up.
    fn pinned(&self, slot: usize) -> Option<NodeIndex> {
        self.pins.get(&SlotId(slot as u32)).copied().filter(|node| self.is_up(*node))
    }

    /// The weight at each place, 0 for nodes that are not up.
    fn weights(&self) -> Vec<f64> {
        self.nodes.scaled_weights()
    }

    /// Takes nodes that are not up out of the rows, and those that crowd a zone. Later positions
    /// move up: the second node has the data, so it is the one to take over.
    fn keep_what_can_stay(&mut self) {
        let mut kept = Vec::with_capacity(self.replicas);
        if self.replicas == 1 {
            let up = &self.up;
            for node in self.rows.iter_mut().filter(|node| **node != VACANT && !up[node.get()]) {
                *node = VACANT;
            }
            return;
        }
        for slot in 0..self.slots() {
            let row = self.row(slot);
            if row.iter().all(|node| self.is_up(*node)) && !self.zones.matter() {
                continue;
            }
            kept.clear();
            for node in row {
                if self.is_up(*node) && self.zones.fits(*node, &kept, self.replicas) {
                    kept.push(*node);
                }
            }
            kept.resize(self.replicas, VACANT);
            self.row_mut(slot).copy_from_slice(&kept);
        }
    }

    /// Brings pinned nodes to the front of their rows.
    fn obey_pins(&mut self) {
        for (slot, node) in self.pins {
            let slot = slot.0 as usize;
            if !self.is_up(*node) {
                continue;
            }
            if let Some(at) = self.row(slot).iter().position(|member| member == node) {
                self.row_mut(slot).swap(0, at);
                continue;
            }
            // Replace whoever stands in the way: one of the same zone, or else the first.
            let replaces = (0..self.replicas)
                .find(|at| self.zones.fits(*node, &self.others(slot, *at), self.replicas))
                .unwrap_or(0);
            let row = self.row_mut(slot);
            row[replaces] = *node;
            row.swap(0, replaces);
        }
    }
}

impl Strategy for Slots {
    #[inline]
    fn place(&self, key: u64, row: &mut [NodeIndex]) {
        self.table.place(key, row);
    }

    fn place_all(&self, keys: &[u64], first: &mut [NodeIndex]) {
        self.table.place_all(keys, first);
    }

    fn update(&mut self, nodes: &Nodes) -> Result<(), PlacementError> {
        self.table.check(nodes)?;
        self.change(nodes, |_| {})
    }

    fn shares(&self, places: usize) -> Vec<f64> {
        self.table.shares(places)
    }

    fn bytes(&self) -> usize {
        self.table.bytes()
    }
}
