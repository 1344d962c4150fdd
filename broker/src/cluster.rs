//! What a node knows of its cluster: the latest view of it, and where a destination's name leads.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use paceline_core::{Destination, slotting};
use paceline_membership::{Epoch, Founder, Layout, NodeId, View, ViewError};
use paceline_placement::{HashFunction, NameHasher, SlotCount};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::config::{ClusterConfig, Member};

/// So many nodes are remembered that were to hold a slot before others were.
const FORMER: usize = 8;

/// All that has to be known to take part in a cluster, or to ask it something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// The cluster's name.
    pub name: String,
    /// The function that maps a name to its slot.
    pub hash: HashFunction,
    /// Mixed into every name before it is hashed.
    pub salt: String,
    /// What the cluster began with, in words.
    pub founded: String,
    /// Its latest view.
    pub view: View,
}

impl Definition {
    /// Of a cluster that begins with this configuration.
    ///
    /// # Errors
    /// If the members cannot hold so many slots or replicas.
    pub fn founded(config: &ClusterConfig) -> Result<Self, ViewError> {
        Ok(Self {
            name: config.name.clone(),
            hash: config.hash,
            salt: config.salt.clone(),
            founded: config.placement_in_words(),
            view: first_view(config)?,
        })
    }
}

/// A later view than this node's, of which it has heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Later {
    /// Its epoch.
    pub epoch: Epoch,
    /// Who has it.
    pub node: u64,
    /// Where that node is reached.
    pub link: String,
}

/// See the module's head. Numbers of nodes are those of the view.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The cluster's name.
    pub name: Arc<str>,
    /// What the cluster began with, in words.
    pub founded: Arc<str>,
    view: watch::Sender<Arc<View>>,
    later: watch::Sender<Option<Later>>,
    /// Nodes that were to hold a slot before others were, and may hold it still.
    former: Arc<Mutex<BTreeMap<u32, Vec<u64>>>>,
    hash: HashFunction,
    salt: Arc<str>,
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
    let founder = |Member { name, link, zone, weight }| Founder { name, link, zone, weight };
    View::founded(layout, config.members.iter().cloned().map(founder))
}

impl Cluster {
    /// A cluster as it begins.
    ///
    /// # Errors
    /// If the members cannot hold so many slots or replicas.
    pub fn of(config: &ClusterConfig) -> Result<Self, ViewError> {
        Definition::founded(config).map(Self::known)
    }

    /// A cluster that is known already.
    pub fn known(definition: Definition) -> Self {
        let Definition { name, hash, salt, founded, view } = definition;
        let slots = SlotCount::new(view.slots().into(), 1).expect("a view has slots");
        Self {
            name: name.into(),
            founded: founded.into(),
            view: watch::Sender::new(Arc::new(view)),
            later: watch::Sender::default(),
            former: Arc::default(),
            hash,
            hasher: NameHasher::new(hash, salt.as_bytes()),
            salt: salt.into(),
            slots,
        }
    }

    /// All that somebody else has to know.
    pub fn definition(&self) -> Definition {
        self.with_view(&self.view())
    }

    /// The same as it is at another view.
    pub fn with_view(&self, view: &View) -> Definition {
        Definition {
            name: self.name.to_string(),
            hash: self.hash,
            salt: self.salt.to_string(),
            founded: self.founded.to_string(),
            view: view.clone(),
        }
    }

    /// The latest view.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// Tells of each later view.
    pub fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    /// The epoch of the latest view.
    pub fn epoch(&self) -> Epoch {
        self.view.borrow().epoch()
    }

    /// A view that is committed; nothing follows if it is no later one.
    pub fn adopt(&self, view: Arc<View>) {
        self.view.send_if_modified(|present| {
            if view.epoch() <= present.epoch() {
                return false;
            }
            let mut former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
            for group in 0..view.groups() {
                let gone = present.row(group).iter().filter(|node| !view.row(group).contains(node));
                for node in gone {
                    let nodes: &mut Vec<u64> = former.entry(group).or_default();
                    nodes.retain(|other| *other != node.0);
                    nodes.insert(0, node.0);
                    nodes.truncate(FORMER);
                }
            }
            *present = view;
            true
        });
    }

    /// Somebody has said that there is a later view.
    pub fn hear(&self, later: Later) {
        self.later.send_if_modified(|known| {
            let known_epoch = known.as_ref().map_or(Epoch::FIRST, |known| known.epoch);
            let is_news = later.epoch > self.epoch() && later.epoch > known_epoch;
            if is_news {
                *known = Some(later);
            }
            is_news
        });
    }

    /// The latest view that was heard of; tells when one is.
    pub fn later(&self) -> watch::Receiver<Option<Later>> {
        self.later.subscribe()
    }

    /// The view was not to be had of whoever had it: somebody else may have it.
    pub fn unhear(&self, later: &Later) {
        self.later.send_if_modified(|known| {
            if known.as_ref() == Some(later) {
                *known = None;
            }
            false
        });
    }

    /// Whether a view can be one of this cluster.
    pub fn fits(&self, view: &View) -> bool {
        self.view.borrow().layout().is_of_one_cluster(&view.layout())
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

    /// The nodes that are to hold a group, the preferred leader first.
    pub fn row(&self, group: u32) -> Vec<u64> {
        self.view.borrow().row(group).iter().map(|id| id.0).collect()
    }

    /// The same of all groups.
    pub fn rows(&self) -> Vec<Vec<u64>> {
        let view = self.view();
        (0..view.groups()).map(|it| view.row(it).iter().map(|id| id.0).collect()).collect()
    }

    /// The nodes that hold a group or may do so still, the preferred leader first.
    pub fn holders(&self, group: u32) -> Vec<u64> {
        let mut row = self.row(group);
        let former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
        row.extend(former.get(&group).into_iter().flatten());
        row
    }

    /// The groups that a node is to hold.
    pub fn groups_of(&self, node: u64) -> Vec<u32> {
        self.view.borrow().groups_of(NodeId(node)).collect()
    }
}
