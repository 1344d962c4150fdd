//! The shards of a node, for those who ask for one.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use paceline_consensus::Term;
use paceline_core::shard::{SessionId, Table, TableEntry};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    channel::{self, Channel},
    input::{Ask, Input},
    status::{Standing, Tables},
};

/// What a node knows of who leads a shard that it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// Whether the replica runs; without it nothing is known. It does not while its part of the
    /// journal is damaged.
    runs: bool,
    /// Who leads, if anybody does,
    pub leader: Option<u64>,
    /// in this term.
    pub term: Term,
}

/// A handle of the replicas of a node, which its driver has. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shards {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    node: u64,
    /// Who leads each shard that has a replica here.
    leaders: BTreeMap<u32, watch::Sender<Leadership>>,
    inbox: mpsc::UnboundedSender<Input>,
    next_channel: AtomicU64,
}

impl Shards {
    /// A handle for these slots of a node, and what the driver is told through it.
    pub fn new(
        node: u64,
        slots: impl IntoIterator<Item = u32>,
    ) -> (Self, mpsc::UnboundedReceiver<Input>) {
        let (inbox, receiver) = mpsc::unbounded_channel();
        let unknown = |slot| (slot, watch::Sender::new(Leadership::default()));
        let leaders = slots.into_iter().map(unknown).collect();
        let next_channel = AtomicU64::new(1);
        let inner = Inner { node, leaders, inbox, next_channel };
        (Self { inner: Arc::new(inner) }, receiver)
    }

    pub(super) fn inbox(&self) -> &mpsc::UnboundedSender<Input> {
        &self.inner.inbox
    }

    /// Tells the driver something. It may have ended.
    pub fn tell(&self, input: Input) {
        let _ = self.inner.inbox.send(input);
    }

    /// Waits until the driver has ended.
    pub async fn ended(&self) {
        self.inner.inbox.closed().await;
    }

    pub(super) fn set_leader(&self, slot: u32, leader: Option<u64>, term: Term) {
        if let Some(known) = self.inner.leaders.get(&slot) {
            let now = Leadership { runs: true, leader, term };
            known.send_if_modified(|known| std::mem::replace(known, now) != now);
        }
    }

    /// Whether the replica of the slot runs here.
    pub fn runs(&self, slot: u32) -> bool {
        self.inner.leaders.get(&slot).is_some_and(|known| known.borrow().runs)
    }

    /// Who leads the shard, and who does later on, if its replica is held here.
    pub fn leadership(&self, slot: u32) -> Option<watch::Receiver<Leadership>> {
        self.inner.leaders.get(&slot).map(watch::Sender::subscribe)
    }

    /// Who leads the shard, as far as its replica here knows.
    pub fn leader(&self, slot: u32) -> Option<u64> {
        self.inner.leaders.get(&slot)?.borrow().leader
    }

    /// The shards that this node leads, as far as it knows.
    pub fn led_here(&self) -> impl Iterator<Item = u32> + '_ {
        let is_led = |slot: &u32| self.leader(*slot) == Some(self.inner.node);
        self.inner.leaders.keys().copied().filter(is_led)
    }

    /// Asks the shard's replica here for its ear, if it runs. It answers with its first word on the
    /// channel.
    pub fn open(&self, slot: u32, session: SessionId) -> Option<Channel> {
        let inner = &self.inner;
        let channel = inner.next_channel.fetch_add(1, Ordering::Relaxed);
        self.runs(slot).then(|| channel::open_local(&inner.inbox, slot, channel, session))
    }

    /// The replicas as they are now; none if they are not driven any more.
    pub async fn status(&self, verify: bool) -> Standing {
        self.ask(|reply| Ask::Status { verify, reply }).await
    }

    /// The tables of a replica.
    pub async fn tables(&self, slot: u32) -> Tables {
        self.ask(|reply| Ask::Tables { slot, reply }).await
    }

    /// What follows the first `skip` entries of a table.
    pub async fn entries(&self, slot: u32, table: Table, skip: u64) -> Vec<TableEntry> {
        self.ask(|reply| Ask::Entries { slot, table, skip, reply }).await
    }

    async fn ask<T: Default>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> T {
        let (reply, answer) = oneshot::channel();
        self.tell(Input::Ask(ask(reply)));
        answer.await.unwrap_or_default()
    }
}
