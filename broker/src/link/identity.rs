//! Who this node is to the others, and whom it takes for one of them.

use std::sync::Arc;

use paceline_membership::{Epoch, NodeId, Summary};
use paceline_wire::link::Hello;

use super::{LinkError, refusals::Refusals};
use crate::cluster::Cluster;

/// The number of those who are no node.
const NOBODY: u64 = 0;

/// What this node says of itself.
#[derive(Clone, Debug)]
pub struct Identity {
    cluster: Arc<str>,
    node: u64,
    incarnation: u64,
    /// None of a visitor.
    members: Option<Cluster>,
    /// Whom it has refused.
    pub(super) refusals: Arc<Refusals>,
}

impl Identity {
    /// A node of a cluster, at one of its lives.
    pub fn member(cluster: &Cluster, node: u64, incarnation: u64) -> Self {
        let (name, members) = (cluster.name.clone(), Some(cluster.clone()));
        Self { cluster: name, node, incarnation, members, refusals: Arc::default() }
    }

    /// Somebody who asks a node of this cluster something and is none of them.
    pub fn visitor(cluster: &str) -> Self {
        let (cluster, refusals) = (cluster.into(), Arc::default());
        Self { cluster, node: NOBODY, incarnation: 0, members: None, refusals }
    }

    /// Whom this node has refused lately, and why.
    pub fn refused(&self) -> Vec<(String, String)> {
        self.refusals.recent()
    }

    /// The epoch of this node's view; 0 of a visitor.
    pub(super) fn epoch(&self) -> u64 {
        self.members.as_ref().map_or(0, |members| members.view().epoch().0)
    }

    pub(super) fn hello(&self) -> Hello {
        let (mut name, mut members, mut placement) = Default::default();
        if let Some(cluster) = &self.members {
            let view = cluster.view();
            name = cluster.name_of(self.node).unwrap_or_default();
            members = view.summary().members.into_iter().map(|(id, name)| (id.0, name)).collect();
            placement = cluster.placement.to_string();
        }
        Hello {
            cluster: self.cluster.to_string(),
            node: self.node,
            name,
            incarnation: self.incarnation,
            members,
            placement,
        }
    }

    /// Whether both are nodes, so that each has to have the view of the other.
    pub(super) fn shares_view(&self, hello: &Hello) -> bool {
        self.members.is_some() && hello.node != NOBODY
    }

    /// Whether whoever has said this is a peer, or one that may be asked.
    pub(super) fn check(&self, epoch: u64, hello: &Hello) -> Result<(), LinkError> {
        if *hello.cluster != *self.cluster {
            let (its, ours) = (hello.cluster.clone(), self.cluster.clone());
            return Err(LinkError::OtherCluster { its, ours });
        }
        let Some(cluster) = self.members.as_ref().filter(|_| self.shares_view(hello)) else {
            return Ok(());
        };
        let members = hello.members.iter().map(|(id, name)| (NodeId(*id), name.clone()));
        let its = Summary { epoch: Epoch(epoch), members: members.collect() };
        if let Some(difference) = cluster.view().summary().difference(&its) {
            let (node, name) = (hello.node, hello.name.clone());
            return Err(LinkError::OtherView { node, name, difference });
        }
        if *hello.placement != *cluster.placement {
            let (its, ours) = (hello.placement.clone(), cluster.placement.clone());
            return Err(LinkError::OtherPlacement { name: hello.name.clone(), its, ours });
        }
        if hello.node == self.node {
            return Err(LinkError::Itself(hello.name.clone()));
        }
        match cluster.name_of(hello.node) {
            Some(name) if name == hello.name => Ok(()),
            _ => Err(LinkError::Stranger { node: hello.node, name: hello.name.clone() }),
        }
    }
}
