//! What a node knows of its cluster: the latest view of it, and where a destination's name leads.

use std::sync::Arc;

use paceline_core::{Destination, slotting};
use paceline_membership::{Epoch, Founder, Layout, NodeId, View, ViewError};
use paceline_placement::{NameHasher, SlotCount};
use tokio::sync::watch;

use crate::config::{ClusterConfig, Member};

/// See the module's head. Numbers of nodes are those of the view.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The cluster's name.
    pub name: Arc<str>,
    /// What the rows of the view follow from, in words.
    pub placement: Arc<str>,
    view: watch::Receiver<Arc<View>>,
    hasher: NameHasher,
    slots: SlotCount,
}

/// The view that a cluster of this configuration begins with.
///
/// # Errors
/// If the members cannot hold so many slots or replicas.
pub fn first_view(config: &ClusterConfig) -> Result<View, ViewError> {
    let (slots, strategy) = (config.slots, config.strategy);
    let layout = Layout { replicas: config.replicas(), slots, strategy };
    View::founded(
        layout,
        config.members.iter().cloned().map(|Member { name, link, zone, weight }| Founder {
            name,
            link,
            zone,
            weight,
        }),
    )
}

impl Cluster {
    /// The cluster as it begins. Nobody changes the view.
    ///
    /// # Errors
    /// If the members cannot hold so many slots or replicas.
    pub fn of(config: &ClusterConfig) -> Result<Self, ViewError> {
        let view = first_view(config)?;
        let slots = SlotCount::new(view.slots().into(), 1).expect("a view has slots");
        Ok(Self {
            name: config.name.as_str().into(),
            placement: config.placement_in_words().into(),
            view: watch::channel(Arc::new(view)).1,
            hasher: config.hasher(),
            slots,
        })
    }

    /// The latest view.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// The epoch of the latest view.
    pub fn epoch(&self) -> Epoch {
        self.view.borrow().epoch()
    }

    /// The number of the node called `name`.
    pub fn number_of(&self, name: &str) -> Option<u64> {
        self.view.borrow().id_of(name).map(|id| id.0)
    }

    /// The name of a node.
    pub fn name_of(&self, node: u64) -> Option<String> {
        self.view.borrow().member(NodeId(node)).map(|member| member.name.clone())
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
    pub fn row(&self, slot: u32) -> Vec<u64> {
        self.view.borrow().row(slot).iter().map(|id| id.0).collect()
    }

    /// The slots that a node holds.
    pub fn slots_of(&self, node: u64) -> Vec<u32> {
        self.view.borrow().slots_of(NodeId(node)).collect()
    }
}
