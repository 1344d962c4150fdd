//! Who this node is to the others, and whom it takes for one of them.

use std::sync::Arc;

use paceline_membership::{Epoch, Life, Lives, NodeId, Policies, Summary};
use paceline_wire::link::Hello;

use super::{LinkError, PeerId, refusals::Refusals};
use crate::{
    cluster::{Cluster, Later},
    identity::IdentityFile,
};

/// The number of those who are no node.
const NOBODY: u64 = 0;

/// What this node says of itself.
#[derive(Clone, Debug)]
pub struct Identity {
    cluster: Arc<str>,
    node: u64,
    /// None of a visitor.
    member: Option<(Cluster, Arc<IdentityFile>)>,
    /// Where OpenWire clients are to reach it; empty if they are not told of it.
    openwire: Arc<str>,
    /// Whom it has refused.
    pub(super) refusals: Arc<Refusals>,
}

impl Identity {
    /// A node of a cluster, and what it remembers.
    pub fn member(cluster: &Cluster, node: u64, identity_file: &Arc<IdentityFile>) -> Self {
        let member = Some((cluster.clone(), identity_file.clone()));
        let (cluster, openwire) = (cluster.name.clone(), Arc::default());
        Self { cluster, node, member, openwire, refusals: Arc::default() }
    }

    /// The same, with where OpenWire clients are to reach it, a `host:port`, if they are told of it.
    pub fn serving_openwire(self, address: Option<&str>) -> Self {
        Self { openwire: address.unwrap_or_default().into(), ..self }
    }

    /// Somebody who asks a node of this cluster something and is none of them.
    pub fn visitor(cluster: &str) -> Self {
        let (openwire, refusals) = (Arc::default(), Arc::default());
        Self { cluster: cluster.into(), node: NOBODY, member: None, openwire, refusals }
    }

    /// The cluster that this node is a member of.
    #[cfg(test)]
    pub(super) fn cluster(&self) -> Option<&Cluster> {
        self.member.as_ref().map(|(cluster, _)| cluster)
    }

    /// Whom this node has refused lately, and why.
    pub fn refused(&self) -> Vec<(String, String)> {
        self.refusals.recent()
    }

    /// The epoch of this node's view; 0 of a visitor.
    pub(super) fn epoch(&self) -> u64 {
        self.member.as_ref().map_or(0, |(cluster, _)| cluster.epoch().0)
    }

    /// What is said first to node `to`.
    pub(super) fn hello(&self, to: u64) -> Hello {
        let mut hello = Hello {
            cluster: self.cluster.to_string(),
            node: self.node,
            name: String::new(),
            link: String::new(),
            openwire: self.openwire.to_string(),
            lives: Vec::new(),
            to,
            knows: None,
            members: Vec::new(),
            placement: String::new(),
            policies: String::new(),
            is_new: false,
        };
        if let Some((cluster, identity_file)) = &self.member {
            let plain = |life: Life| (life.number, life.mark);
            let view = cluster.view();
            if let Some(own) = view.member(NodeId(self.node)) {
                (hello.name, hello.link) = (own.name.clone(), own.link.clone());
            }
            hello.lives = Vec::from(identity_file.lives()).into_iter().map(plain).collect();
            hello.knows = identity_file.known(to).map(plain);
            let members = view.summary().members.into_iter();
            hello.members = members.map(|(id, name)| (id.0, name)).collect();
            hello.placement = cluster.founded.to_string();
            hello.is_new = identity_file.is_new();
            if let Some(policies) = identity_file.policies() {
                hello.policies = serde_json::to_string(&policies).expect("plain values");
            }
        }
        hello
    }

    /// The peer has this epoch: if that is a later one, it is asked for its view.
    pub(super) fn hear(&self, epoch: u64, node: u64, link: &str) {
        if let Some((cluster, _)) = &self.member
            && Epoch(epoch) > cluster.epoch()
        {
            cluster.hear(Later { epoch: Epoch(epoch), node, link: link.to_owned() });
        }
    }

    /// Whether both are nodes, so that each has to have the view of the other.
    pub(super) fn shares_view(&self, hello: &Hello) -> bool {
        self.member.is_some() && hello.node != NOBODY
    }

    /// Takes in whoever has said this as a peer, or as one that asks or may be asked. A new life of a
    /// peer is on the disk when this ends, before any word of it counts.
    pub(super) async fn admit(&self, epoch: u64, hello: &Hello) -> Result<Admitted, LinkError> {
        self.check(epoch, hello)?;
        let node = hello.node;
        let Some((_, identity_file)) = self.member.as_ref().filter(|_| self.shares_view(hello))
        else {
            return Ok(Admitted { node, life: None });
        };
        let life = lives(hello)?.present();
        if !identity_file.know(node, life).await? {
            return Err(LinkError::Closed);
        }
        identity_file.agrees(node);
        Ok(Admitted { node, life: Some((life, identity_file.clone())) })
    }

    /// Whether whoever has said this is a peer, or one that asks or may be asked.
    pub(super) fn check(&self, epoch: u64, hello: &Hello) -> Result<(), LinkError> {
        if hello.node == NOBODY && hello.cluster.is_empty() {
            // Somebody who wanted to know who this is, and does now.
            return Err(LinkError::Closed);
        }
        if *hello.cluster != *self.cluster {
            let (its, ours) = (hello.cluster.clone(), self.cluster.clone());
            return Err(LinkError::OtherCluster { its, ours });
        }
        let Some((cluster, identity_file)) =
            self.member.as_ref().filter(|_| self.shares_view(hello))
        else {
            return Ok(());
        };
        let view = cluster.view();
        let (its, name) = (Epoch(epoch), hello.name.clone());
        if its == view.epoch() {
            let members = hello.members.iter().map(|(id, name)| (NodeId(*id), name.clone()));
            let summary = Summary { epoch: its, members: members.collect() };
            if let Some(difference) = view.summary().difference(&summary) {
                return Err(LinkError::OtherView { node: hello.node, name, difference });
            }
        }
        if *hello.placement != *cluster.founded {
            let (its, ours) = (hello.placement.clone(), cluster.founded.clone());
            return Err(LinkError::OtherPlacement { name, its, ours });
        }
        if hello.node == self.node {
            return Err(LinkError::Itself(name));
        }
        if hello.to != self.node {
            let (expected, found) = (hello.to, self.node);
            return Err(LinkError::OtherNode { expected, found });
        }
        // Of two that have different views the one with the later view knows who the other is.
        self.hear(epoch, hello.node, &hello.link);
        match view.member(NodeId(hello.node)) {
            Some(member) if member.name == hello.name => {}
            None if its > view.epoch() => {}
            None if view.was_removed(NodeId(hello.node)) => {
                return Err(LinkError::Removed { node: hello.node, epoch: view.epoch().0 });
            }
            _ => return Err(LinkError::Stranger { node: hello.node, name }),
        }
        if let Some((number, mark)) = hello.knows {
            if number > Life::LAST {
                return Err(LinkError::Unexpected);
            }
            let life = Life { number, mark };
            if !identity_file.lives().remember(life) {
                identity_file.has_forgotten(hello.node, life);
                return Err(LinkError::HasForgotten { name: hello.name.clone(), life });
            }
        }
        match identity_file.known(hello.node) {
            Some(life) if !lives(hello)?.remember(life) => {
                return Err(LinkError::Forgetful { name: hello.name.clone(), life });
            }
            _ => {}
        }
        // Neither has forgotten, so one that is new begins the cluster, which has no policies yet.
        match identity_file.policies().filter(|_| hello.is_new || identity_file.is_new()) {
            Some(ours) => same_policies(&ours, hello),
            None => Ok(()),
        }
    }
}

/// Who was admitted.
#[derive(Debug)]
pub(super) struct Admitted {
    node: u64,
    /// Of a peer; of others none.
    life: Option<(Life, Arc<IdentityFile>)>,
}

impl Admitted {
    pub(super) fn peer(&self) -> PeerId {
        let incarnation = self.life.as_ref().map_or(0, |(life, _)| life.number);
        PeerId { node: self.node, incarnation }
    }

    /// Waits until the peer has begun another life: no word of this one counts any more.
    pub(super) async fn outlived(&self) {
        match &self.life {
            Some((life, identity_file)) => identity_file.outlived(self.node, *life).await,
            None => std::future::pending().await,
        }
    }
}

/// Whether two that begin a cluster begin it with the same policies.
fn same_policies(ours: &Policies, hello: &Hello) -> Result<(), LinkError> {
    if hello.policies.is_empty() {
        return Ok(());
    }
    let its: Policies = serde_json::from_str(&hello.policies).map_err(|_| LinkError::Unexpected)?;
    let difference = ours.difference(&its).join("; ");
    match difference.is_empty() {
        true => Ok(()),
        false => Err(LinkError::OtherPolicies { name: hello.name.clone(), difference }),
    }
}

/// The lives that a peer's disk remembers.
fn lives(hello: &Hello) -> Result<Lives, LinkError> {
    let lives = hello.lives.iter().map(|(number, mark)| Life { number: *number, mark: *mark });
    Lives::try_from(lives.collect::<Vec<_>>()).map_err(|_| LinkError::Unexpected)
}
