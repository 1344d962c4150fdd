//! One node of a cluster as a view knows it, and what is fixed for the cluster's life.

use paceline_placement::StrategyKind;
use serde::{Deserialize, Serialize};

use crate::id::NodeId;

/// One node of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Its number.
    pub id: NodeId,
    /// What people call it. Unique in the cluster.
    pub name: String,
    /// `host:port` at which the other nodes reach it.
    pub link: String,
    /// Nodes of one zone are expected to fail together. A node without a zone is one by itself.
    pub zone: Option<String>,
    /// Its share of the load relative to the others. Finite, above 0.
    pub weight: f64,
    /// Whether it is to hold slots.
    pub state: MemberState,
    /// Its number waits for a node that has not joined yet.
    pub reserved: bool,
    /// Drawn by the node itself when it asks to join, so that its second asking is told from
    /// another node's. None of founders and of reserved ones.
    pub mark: Option<u64>,
}

impl Member {
    /// Whether it may stand in a row.
    pub fn is_placeable(&self) -> bool {
        self.state == MemberState::Active && !self.reserved
    }
}

/// What is to become of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    /// Takes its share of the slots.
    Active,
    /// Stands in no row, and stays a member.
    Draining,
    /// Stands in no row, and is forgotten as soon as no shard has it.
    Leaving,
}

/// How a cluster lays its destinations out. All but the number of copies it keeps for its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Copies of every slot, its leader's included. See [`Change::Replicas`](crate::Change::Replicas).
    pub replicas: usize,
    /// Buckets of destination names.
    pub slots: u32,
    /// How slots are placed on nodes.
    pub strategy: StrategyKind,
}

impl Layout {
    /// Whether both place a destination in the same slot, and slots in the same way: views of one
    /// cluster do.
    pub fn is_of_one_cluster(&self, other: &Self) -> bool {
        (self.slots, self.strategy) == (other.slots, other.strategy)
    }
}

/// A node that a cluster begins with.
#[derive(Clone, Debug, PartialEq)]
pub struct Founder {
    /// See [`Member::name`].
    pub name: String,
    /// See [`Member::link`].
    pub link: String,
    /// See [`Member::zone`].
    pub zone: Option<String>,
    /// See [`Member::weight`].
    pub weight: f64,
}
