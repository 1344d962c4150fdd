//! Opening channels to leaders, here and elsewhere.

use std::sync::Arc;

use paceline_core::shard::SessionId;
use tokio::sync::watch;

use crate::{
    cluster::Cluster,
    link::Peers,
    replication::{
        Leadership, OpenChannel, OpenStream, Shards,
        channel::{self, Channel},
    },
};

/// Opens channels to leaders. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connector {
    /// This node's number.
    pub node: u64,
    /// Who holds what.
    pub cluster: Arc<Cluster>,
    /// The shards of this node.
    pub shards: Shards,
    /// The other nodes.
    pub peers: Peers,
}

impl Connector {
    /// Asks a node for the leader's ear; `None` if it cannot be asked now. It answers with its first
    /// word on the channel.
    pub(super) fn open(&self, slot: u32, session: SessionId, node: u64) -> Option<Channel> {
        if node == self.node {
            return self.shards.open(slot, session);
        }
        let connection = self.peers.connection(node)?;
        let stream = connection.open(&OpenStream::Channel(OpenChannel { slot, session })).ok()?;
        Some(channel::open_remote(stream))
    }

    /// Who leads a shard and will, as far as its replica on this node knows, if there is one.
    pub(super) fn leadership(&self, slot: u32) -> Option<watch::Receiver<Leadership>> {
        self.shards.leadership(slot)
    }

    /// Who leads a shard, as far as its replica on this node knows.
    pub(super) fn known_leader(&self, slot: u32) -> Option<u64> {
        self.shards.leader(slot)
    }
}
