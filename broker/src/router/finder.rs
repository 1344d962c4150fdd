//! Finding the leader of a shard: by what others say, else by asking the nodes of its row in turn.

use std::{collections::BTreeMap, sync::Arc};

use paceline_core::shard::SessionId;
use paceline_runtime::time::{Duration, Instant};

use crate::{
    cluster::Cluster,
    link::Peer,
    shard::{
        Shards,
        channel::{self, Channel, OpenChannel, OpenStream},
    },
};

/// The first pause after nobody was found; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Opens channels to leaders here and elsewhere. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connector {
    /// This node's number.
    pub node: u64,
    /// Who holds what.
    pub cluster: Arc<Cluster>,
    /// The shards of this node.
    pub shards: Arc<Shards>,
    /// The other nodes.
    pub peers: Arc<BTreeMap<u64, Peer>>,
}

impl Connector {
    /// Asks a node for the leader's ear; `None` if it cannot be asked now. It answers with its first
    /// word on the channel.
    pub(super) fn open(&self, slot: u32, session: SessionId, node: u64) -> Option<Channel> {
        if node == self.node {
            return self.shards.get(slot).map(|shard| shard.open(session));
        }
        let connection = self.peers.get(&node)?.connection()?;
        let stream = connection.open(&OpenStream::Channel(OpenChannel { slot, session })).ok()?;
        Some(channel::open_remote(stream))
    }
}

/// One client's search.
#[derive(Debug)]
pub(super) struct Finder {
    slot: u32,
    hint: Option<u64>,
    /// 0 for whoever is said to lead, then the places of the row from 1.
    turn: usize,
    pause: Duration,
    /// Whether the next try follows a hint, so that no pause is needed before it.
    fresh_hint: bool,
}

impl Finder {
    pub(super) fn new(slot: u32) -> Self {
        Self { slot, hint: None, turn: 0, pause: FIRST_PAUSE, fresh_hint: false }
    }

    /// Somebody who does not lead has said who does.
    pub(super) fn hint(&mut self, leader: Option<u64>) {
        self.fresh_hint = leader.is_some() && self.hint != leader;
        self.hint = leader;
    }

    /// The search has succeeded.
    pub(super) fn found(&mut self) {
        self.pause = FIRST_PAUSE;
        self.turn = 0;
    }

    /// Whom to ask.
    pub(super) fn next(&mut self, connector: &Connector) -> u64 {
        let row = connector.cluster.row(self.slot);
        let turn = self.turn;
        self.turn = if turn >= row.len() { 0 } else { turn + 1 };
        if turn == 0 {
            let known = || connector.shards.get(self.slot).and_then(|shard| shard.leader());
            if let Some(node) = self.hint.take().or_else(known) {
                return node;
            }
        }
        row[turn.saturating_sub(1)]
    }

    /// Until when to wait before asking again.
    pub(super) fn pause(&mut self) -> Instant {
        if std::mem::take(&mut self.fresh_hint) {
            self.turn = 0;
            return Instant::now();
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        Instant::now() + pause
    }
}
