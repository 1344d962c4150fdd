//! Shards on a node: for every slot whose row it is in, a replica of the Raft group and the task
//! that serves while the replica leads.

pub mod channel;
mod leader;
mod shards;
mod term;
mod told;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use openraft::{
    EmptyNode, Vote,
    storage::{RaftLogStorage, RaftStateMachine},
};
use paceline_core::{
    Message,
    dispatch::Limits,
    ingress::Inquiry,
    shard::{MessageRef, SessionId},
};
use paceline_runtime::task;
use tokio::sync::mpsc;

use self::channel::{Channel, Input};
pub use self::shards::Shards;
use crate::{
    cluster::Cluster,
    replication::{Lease, Machine, NetworkFactory, Raft, TypeConfig},
};

/// A message as it was written, or why it cannot be read.
pub type MessageRead = Pin<Box<dyn Future<Output = Result<Arc<Message>, String>> + Send>>;

/// Reads messages back from the journal.
pub type ReadMessage = Arc<dyn Fn(MessageRef) -> MessageRead + Send + Sync>;

/// Sees an inquiry after a transaction through, unless one about the same is under way.
pub type Resolve = Arc<dyn Fn(Inquiry) + Send + Sync>;

/// How a shard's leader works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Commands of one entry at most.
    pub batch_commands: usize,
    /// Bytes of one entry, about.
    pub batch_bytes: usize,
    /// A leader that no majority has answered for so long sends its clients elsewhere.
    pub abandon_after: Duration,
    /// A part of a transaction that was prepared so long ago is asked after.
    pub in_doubt_after: Duration,
    /// A shard that is not led by the first node of its row for so long is handed to it.
    pub hand_back_after: Duration,
    /// Bounds of a leader's memory.
    pub limits: Limits,
}

/// What a shard is made of.
pub struct Parts<L, S> {
    /// This node's number.
    pub node: u64,
    /// The shard's slot, which is its Raft group's number too.
    pub slot: u32,
    /// Who holds what.
    pub cluster: Arc<Cluster>,
    /// openraft's settings for this node and group.
    pub raft: Arc<openraft::Config>,
    /// Where this node's replica is being repaired, see [`Shard::repair_floor`].
    pub repair_floor: Option<u64>,
    /// The way to the other replicas.
    pub network: NetworkFactory,
    /// The log, on the journal.
    pub log: L,
    /// openraft's side of `machine`.
    pub state_machine: S,
    /// The state.
    pub machine: Arc<Machine>,
    /// Reads bodies that are not in memory.
    pub read: ReadMessage,
    /// How its leader works.
    pub settings: Settings,
    /// Sees to transactions that their ingress node has left.
    pub resolve: Resolve,
}

/// One shard on this node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shard {
    inner: Arc<Inner>,
}

struct Inner {
    slot: u32,
    node: u64,
    /// The nodes in the row.
    row: usize,
    repair_floor: Mutex<Option<u64>>,
    /// The latest term in which this process has answered a leader.
    followed: AtomicU64,
    /// How many requests to take over are being carried out.
    taking_over: AtomicU32,
    raft: Raft,
    machine: Arc<Machine>,
    lease: Arc<Lease>,
    inbox: mpsc::UnboundedSender<Input>,
    next_channel: AtomicU64,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard").field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl Shard {
    /// Starts the replica and its leader task.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn start<L, S>(parts: Parts<L, S>) -> Result<Self, openraft::error::Fatal<u64>>
    where
        L: RaftLogStorage<TypeConfig>,
        S: RaftStateMachine<TypeConfig>,
    {
        let Parts { node, slot, machine, settings, .. } = parts;
        let lease = parts.network.lease.clone();
        let peers = parts.network.peers.clone();
        let mut log = parts.log;
        let inherited = log.get_log_state().await?.last_log_id;
        let raft = Raft::new(node, parts.raft, parts.network, log, parts.state_machine).await?;
        let (inbox, receiver) = mpsc::unbounded_channel();
        let row = parts.cluster.row(slot).to_vec();
        let nodes = row.len();
        let leader = leader::LeaderTask::new(
            leader::Place { slot, node, row, peers },
            raft.clone(),
            machine.clone(),
            inherited,
            lease.clone(),
            settings,
            parts.read,
            parts.resolve,
            receiver,
        );
        task::spawn(leader.run());
        let next_channel = AtomicU64::new(1);
        let inner = Inner {
            slot,
            node,
            row: nodes,
            repair_floor: Mutex::new(parts.repair_floor),
            followed: AtomicU64::new(0),
            taking_over: AtomicU32::new(0),
            raft,
            machine,
            lease,
            inbox,
            next_channel,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Founds the group, on the first start of the row's first node. A group that exists is left
    /// as it is.
    ///
    /// # Errors
    /// If the replica has failed.
    pub async fn found(&self, row: &[u64]) -> Result<(), openraft::error::Fatal<u64>> {
        if self.inner.raft.is_initialized().await? {
            // Alone there is nobody to wait for.
            return match row {
                [_] => self.inner.raft.trigger().elect().await,
                _ => Ok(()),
            };
        }
        let members = row.iter().map(|node| (*node, EmptyNode {}));
        let members: std::collections::BTreeMap<u64, EmptyNode> = members.collect();
        match self.inner.raft.initialize(members).await {
            Ok(()) => Ok(()),
            // Another node of the row founded it in the meantime.
            Err(openraft::error::RaftError::APIError(_)) => Ok(()),
            Err(openraft::error::RaftError::Fatal(fatal)) => Err(fatal),
        }
    }

    /// How many nodes hold a replica.
    pub fn row(&self) -> usize {
        self.inner.row
    }

    /// The shard's slot.
    pub fn slot(&self) -> u32 {
        self.inner.slot
    }

    /// This node's number.
    pub fn node(&self) -> u64 {
        self.inner.node
    }

    /// While the replica is being repaired, the last term in which it may have made a promise that
    /// it has forgotten. It takes entries of leaders with higher terms only, and does not stand for
    /// election.
    pub fn repair_floor(&self) -> Option<u64> {
        *self.inner.repair_floor.lock().expect("no holder panics")
    }

    /// The replica is whole again.
    pub(crate) fn end_repair(&self) {
        *self.inner.repair_floor.lock().expect("no holder panics") = None;
    }

    /// This node answers a leader of this term. Whether it is the first time.
    pub(crate) fn follows_anew(&self, term: u64) -> bool {
        self.inner.followed.fetch_max(term, Ordering::Relaxed) < term
    }

    /// Whether this node is about to stand for election although it hears from a leader. It must
    /// not answer one then: the leader's lease would count on its not standing.
    pub fn is_taking_over(&self) -> bool {
        self.inner.taking_over.load(Ordering::Relaxed) > 0
    }

    /// Begins or ends what [`Self::is_taking_over`] tells.
    pub(crate) fn set_taking_over(&self, begins: bool) {
        match begins {
            true => self.inner.taking_over.fetch_add(1, Ordering::Relaxed),
            false => self.inner.taking_over.fetch_sub(1, Ordering::Relaxed),
        };
    }

    /// Whether this node may answer a candidate's request for a vote. Of two replicas the other one
    /// has all that was ever committed and cannot lead without this one, so there it may also while
    /// it is being repaired.
    pub fn may_vote(&self, vote: &Vote<u64>) -> bool {
        let floor = self.repair_floor();
        floor.is_none_or(|floor| self.inner.row == 2 && vote.leader_id().term > floor)
    }

    /// The replica.
    pub fn raft(&self) -> &Raft {
        &self.inner.raft
    }

    /// The state.
    pub fn machine(&self) -> &Machine {
        &self.inner.machine
    }

    /// What tells whether this node may act as the leader.
    pub fn lease(&self) -> &Lease {
        &self.inner.lease
    }

    /// Who leads the shard, as far as this node knows.
    pub fn leader(&self) -> Option<u64> {
        self.inner.raft.server_metrics().borrow().current_leader
    }

    /// Whether this node leads the shard, as far as it knows.
    pub fn is_led_here(&self) -> bool {
        self.leader() == Some(self.inner.node)
    }

    /// Asks this node's leader task for its ear. It answers with its first word on the channel.
    pub fn open(&self, session: SessionId) -> Channel {
        let channel = self.inner.next_channel.fetch_add(1, Ordering::Relaxed);
        channel::open_local(&self.inner.inbox, channel, session)
    }

    /// Has the leader task hand the shard to another node of its row, if it leads.
    pub fn hand_over(&self) {
        let _ = self.inner.inbox.send(Input::HandOver);
    }
}
