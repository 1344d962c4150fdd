//! The shards of a node, for those who ask for one.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use paceline_consensus::Term;
use paceline_core::shard::{SessionId, Table, TableEntry};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    channel::{self, Channel},
    input::{Ask, Input},
    status::{Holders, Standing, Tables, Voters},
};
use crate::link::Stream;

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
    /// Who leads each shard, as far as its replica here knows, if there is one.
    leaders: Vec<watch::Sender<Leadership>>,
    inbox: mpsc::UnboundedSender<Input>,
    next_channel: AtomicU64,
}

impl Shards {
    /// A handle for the replicas of a node, in a cluster of so many groups, and what the driver is
    /// told through it.
    pub fn new(node: u64, groups: u32) -> (Self, mpsc::UnboundedReceiver<Input>) {
        let (inbox, receiver) = mpsc::unbounded_channel();
        let leaders = (0..groups).map(|_| watch::Sender::default()).collect();
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
        self.set_leadership(slot, Leadership { runs: true, leader, term });
    }

    /// The replica of the slot runs here no more.
    pub(super) fn set_ended(&self, slot: u32) {
        self.set_leadership(slot, Leadership::default());
    }

    fn set_leadership(&self, slot: u32, now: Leadership) {
        if let Some(known) = self.inner.leaders.get(slot as usize) {
            known.send_if_modified(|known| std::mem::replace(known, now) != now);
        }
    }

    /// Whether the replica of the slot runs here.
    pub fn runs(&self, slot: u32) -> bool {
        self.inner.leaders.get(slot as usize).is_some_and(|known| known.borrow().runs)
    }

    /// Who leads the shard, and who does later on, as far as a replica here knows.
    pub fn leadership(&self, slot: u32) -> Option<watch::Receiver<Leadership>> {
        self.inner.leaders.get(slot as usize).map(watch::Sender::subscribe)
    }

    /// Who leads the shard, as far as its replica here knows.
    pub fn leader(&self, slot: u32) -> Option<u64> {
        self.inner.leaders.get(slot as usize)?.borrow().leader
    }

    /// The shards that this node leads, as far as it knows.
    pub fn led_here(&self) -> impl Iterator<Item = u32> + '_ {
        let groups = 0..self.inner.leaders.len() as u32;
        groups.filter(|slot| self.leader(*slot) == Some(self.inner.node))
    }

    /// The nodes that are to hold each group have changed.
    pub fn set_rows(&self, rows: Vec<Vec<u64>>) {
        self.tell(Input::Rows(rows));
    }

    /// Ends the replica of a shard that these hold now. Whether it has ended.
    pub async fn leave(&self, slot: u32, holders: Holders) -> bool {
        let (ended, answer) = oneshot::channel();
        self.tell(Input::Leave { slot, holders, ended });
        answer.await.unwrap_or(false)
    }

    /// Who holds a shard, as far as its replica here knows for certain.
    pub async fn holders(&self, slot: u32) -> Option<Holders> {
        self.ask(|reply| Ask::Holders { slot, reply }).await
    }

    /// Asks the shard's replica here for its ear, if it runs. It answers with its first word on the
    /// channel.
    pub fn open(&self, slot: u32, session: SessionId) -> Option<Channel> {
        let inner = &self.inner;
        let channel = inner.next_channel.fetch_add(1, Ordering::Relaxed);
        self.runs(slot).then(|| channel::open_local(&inner.inbox, slot, channel, session))
    }

    /// Gives a peer the ear of the shard's replica here over a stream; whether it runs.
    pub fn serve(&self, slot: u32, session: SessionId, stream: Stream) -> bool {
        let inner = &self.inner;
        let runs = self.runs(slot);
        if runs {
            let channel = inner.next_channel.fetch_add(1, Ordering::Relaxed);
            channel::serve_remote(&inner.inbox, slot, channel, session, stream);
        }
        runs
    }

    /// The replicas as they are now; none if they are not driven any more.
    pub async fn status(&self, verify: bool) -> Standing {
        self.ask(|reply| Ask::Status { verify, reply }).await
    }

    /// Who decides in a shard, by the log of its replica here, if that runs; for a node that asks now.
    pub async fn voters(&self, slot: u32, asker: u64) -> Option<Voters> {
        self.ask(|reply| Ask::Voters { slot, asker, reply }).await
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
