//! Which nodes there are and which of them hold what: everything a node knows of its cluster from
//! its configuration, with nodes by number.

use std::sync::Arc;

use paceline_core::{Destination, slotting};
use paceline_placement::{NameHasher, NodeIndex, PlacementError, SlotCount};

use crate::config::{ClusterConfig, Member};

/// See the module's head.
#[derive(Debug)]
pub struct Cluster {
    /// The cluster's name.
    pub name: Arc<str>,
    members: Vec<(u64, Member)>,
    hasher: NameHasher,
    slots: SlotCount,
    /// The nodes' numbers for each slot, the preferred leader first.
    rows: Vec<Vec<u64>>,
}

/// The number by which a node goes in logs and on links: its place, from 1.
fn number(index: NodeIndex) -> u64 {
    u64::from(index.0) + 1
}

impl Cluster {
    /// Places the slots on the members.
    ///
    /// # Errors
    /// If the members cannot hold so many slots or replicas.
    pub fn new(config: &ClusterConfig) -> Result<Self, PlacementError> {
        let nodes = config.nodes()?;
        let placement = config.placement()?;
        let mut members: Vec<(u64, Member)> = nodes
            .iter()
            .map(|(index, node)| {
                let name = std::str::from_utf8(&node.name).expect("names were strings");
                let member = config.member(name).expect("nodes are made from members");
                (number(index), member.clone())
            })
            .collect();
        members.sort_by_key(|(number, _)| *number);
        let rows = placement
            .iter()
            .map(|(_, row)| row.iter().map(|index| number(*index)).collect())
            .collect();
        Ok(Self {
            name: config.name.as_str().into(),
            members,
            hasher: config.hasher(),
            slots: placement.slots(),
            rows,
        })
    }

    /// All nodes with their numbers.
    pub fn members(&self) -> &[(u64, Member)] {
        &self.members
    }

    /// The number of the node called `name`.
    pub fn number_of(&self, name: &str) -> Option<u64> {
        self.members.iter().find(|(_, member)| member.name == name).map(|(number, _)| *number)
    }

    /// The name of a node.
    pub fn name_of(&self, node: u64) -> Option<&str> {
        let member = self.members.iter().find(|(number, _)| *number == node);
        member.map(|(_, member)| member.name.as_str())
    }

    /// The number of slots.
    pub fn slots(&self) -> u32 {
        self.slots.get()
    }

    /// The slot of a destination that is no pattern.
    pub fn slot_of(&self, destination: &Destination) -> u32 {
        self.slots.slot(self.key_of(&destination.name)).0
    }

    /// The hash of a name's slot name, of which the slot is the remainder.
    pub fn key_of(&self, name: &str) -> u64 {
        self.hasher.key(slotting::slot_name_of(name).as_bytes())
    }

    /// The nodes that hold a slot, the preferred leader first.
    pub fn row(&self, slot: u32) -> &[u64] {
        &self.rows[slot as usize]
    }

    /// The slots that a node holds.
    pub fn slots_of(&self, node: u64) -> impl Iterator<Item = u32> + '_ {
        (0..self.slots()).filter(move |slot| self.row(*slot).contains(&node))
    }
}
