//! The links to all other nodes of the cluster, whoever they are now.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use paceline_membership::View;
use tokio::sync::watch;

use super::{Connection, Identity, Peer, Timings};

/// See the module. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Peers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// This node.
    node: u64,
    identity: Identity,
    timings: Timings,
    /// Tells when a link comes or goes.
    changed: watch::Sender<()>,
    /// By number.
    peers: RwLock<BTreeMap<u64, Peer>>,
}

impl Peers {
    /// No link yet, of a node of this number.
    pub fn new(node: u64, identity: Identity, timings: Timings) -> Self {
        let (changed, peers) = (watch::Sender::default(), RwLock::default());
        Self { inner: Arc::new(Inner { node, identity, timings, changed, peers }) }
    }

    /// From now on the links are those to the members of this view.
    pub fn follow(&self, view: &View) {
        let Inner { node, identity, timings, changed, peers } = &*self.inner;
        let mut peers = peers.write().unwrap_or_else(PoisonError::into_inner);
        let others = || view.members().iter().filter(|member| member.id.0 != *node);
        peers.retain(|number, peer| {
            others().any(|member| member.id.0 == *number && member.link == peer.address())
        });
        for member in others() {
            let number = member.id.0;
            peers.entry(number).or_insert_with(|| {
                let (address, identity) = (member.link.clone(), identity.clone());
                let changed = changed.clone();
                Peer::dial(number, address, identity, *timings, move || changed.send_replace(()))
            });
        }
        drop(peers);
        changed.send_replace(());
    }

    /// Tells when a link comes or goes, or another one is meant.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.inner.changed.subscribe()
    }

    fn peers(&self) -> RwLockReadGuard<'_, BTreeMap<u64, Peer>> {
        self.inner.peers.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present connection to a node, if there is one.
    pub fn connection(&self, node: u64) -> Option<Arc<Connection>> {
        self.peers().get(&node)?.connection()
    }

    /// The other nodes, by number, and whether they are linked.
    pub fn linked(&self) -> Vec<(u64, bool)> {
        let peers = self.peers();
        peers.values().map(|peer| (peer.node(), peer.connection().is_some())).collect()
    }
}
