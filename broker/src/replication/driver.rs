//! The one task that drives all replicas of a node.
//!
//! Words of other nodes, what clients say, finished writes and reads, and the time come in; each
//! turn takes what is there, lets every group concerned do what follows, and then gives the journal
//! one piece to write and each other node one piece to read. There is no task, timer or channel for
//! each group, and groups of which nothing is heard cost nothing but their leaders' beats.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use paceline_core::{UnixMillis, ingress::Inquiry};
use paceline_runtime::{
    cpu, task,
    time::{self, Duration, Instant},
};
use paceline_store::Journal;
use tokio::sync::mpsc;

use super::{
    group::Group,
    input::{Ask, Input},
    parts::Parts,
    shards::Shards,
    told,
    turn::Turn,
    words::Outbox,
    writes::{Awaited, Then, Writes},
};
use crate::link::Peer;

/// The most that is taken in at once.
const INPUTS_A_TURN: usize = 512;

/// See the module.
pub struct Driver {
    groups: BTreeMap<u32, Group>,
    shards: Shards,
    journal: Journal,
    inbox: mpsc::UnboundedReceiver<Input>,
    inbox_of: mpsc::UnboundedSender<Input>,
    doubts: mpsc::UnboundedSender<Inquiry>,
    outbox: Outbox,
    writes: Writes,
    /// What waits for writes, in order.
    written: VecDeque<Then>,
    /// Groups of which something was heard.
    awake: BTreeSet<u32>,
    /// When groups want to be woken; each stands here once at its `scheduled`.
    timers: BTreeSet<(Duration, u32)>,
    origin: Instant,
    failed: bool,
}

impl Driver {
    /// A driver of these groups. `origin` is when the groups' time began.
    pub fn new(
        groups: Vec<Parts>,
        (shards, inbox): (Shards, mpsc::UnboundedReceiver<Input>),
        journal: Journal,
        peers: Arc<BTreeMap<u64, Peer>>,
        doubts: mpsc::UnboundedSender<Inquiry>,
        origin: Instant,
    ) -> Self {
        let mut driver = Self {
            groups: BTreeMap::new(),
            inbox_of: shards.inbox().clone(),
            shards,
            journal,
            inbox,
            doubts,
            outbox: Outbox::new(peers),
            writes: Writes::default(),
            written: VecDeque::new(),
            awake: BTreeSet::new(),
            timers: BTreeSet::new(),
            origin,
            failed: false,
        };
        groups.into_iter().for_each(|parts| driver.start(parts));
        driver
    }

    /// Runs until it is told to stop, or the journal fails.
    pub async fn run(mut self) {
        let mut inputs = Vec::new();
        loop {
            if self.awake.is_empty() {
                let next = self.timers.first().map(|(at, _)| self.origin + *at);
                tokio::select! {
                    biased;
                    count = self.inbox.recv_many(&mut inputs, INPUTS_A_TURN) => {
                        if count == 0 {
                            return;
                        }
                    }
                    () = sleep_until(next) => {}
                }
            } else {
                // There is more to do; what has come in meanwhile has its turn, too.
                task::yield_now().await;
                while inputs.len() < INPUTS_A_TURN
                    && let Ok(input) = self.inbox.try_recv()
                {
                    inputs.push(input);
                }
            }
            let cost = self.turn(&mut inputs);
            if self.failed {
                return;
            }
            if !cost.is_zero() {
                cpu::charge(cost).await;
            }
        }
    }

    fn turn(&mut self, inputs: &mut Vec<Input>) -> Duration {
        let mut turn = Turn {
            now: self.origin.elapsed(),
            wall: UnixMillis(time::wall_clock().0),
            outbox: &mut self.outbox,
            writes: &mut self.writes,
            inbox: &self.inbox_of,
            doubts: &self.doubts,
            cost: Duration::ZERO,
            failed: &mut self.failed,
        };
        while let Some(&(at, slot)) = self.timers.first()
            && at <= turn.now
        {
            self.timers.pop_first();
            self.awake.insert(slot);
            if let Some(group) = self.groups.get_mut(&slot) {
                group.scheduled = Duration::MAX;
            }
        }
        let mut started = Vec::new();
        for input in inputs.drain(..) {
            let mut awake = Awake { groups: &mut self.groups, awake: &mut self.awake };
            match input {
                Input::Start(parts) => started.push(*parts),
                Input::Stop => *turn.failed = true,
                Input::Written(Err(error)) => {
                    tracing::error!(%error, "the journal has failed");
                    *turn.failed = true;
                }
                Input::Written(Ok(())) => {
                    let then = self.written.pop_front().expect("each write waits once");
                    awake.written(then, &mut turn);
                }
                other => awake.take_in(other, &mut turn),
            }
        }
        for slot in std::mem::take(&mut self.awake) {
            let Some(group) = self.groups.get_mut(&slot) else { continue };
            if group.step(&mut turn) {
                self.awake.insert(slot);
            }
            self.shards.set_leader(slot, group.leader());
            let deadline = group.poll_timeout(&turn);
            if deadline < group.scheduled {
                if group.scheduled != Duration::MAX {
                    self.timers.remove(&(group.scheduled, slot));
                }
                group.scheduled = deadline;
                self.timers.insert((deadline, slot));
            }
        }
        let cost = turn.cost;
        started.into_iter().for_each(|parts| self.start(parts));
        if !self.writes.is_empty() {
            let inbox = self.inbox_of.clone();
            let done = move |result| drop(inbox.send(Input::Written(result)));
            match self.writes.submit(&self.journal, done) {
                Ok(then) => self.written.push_back(then),
                Err(error) => {
                    tracing::error!(%error, "the journal takes nothing more");
                    self.failed = true;
                }
            }
        }
        self.outbox.flush();
        cost
    }

    fn start(&mut self, parts: Parts) {
        let group = Group::new(parts);
        let slot = group.slot();
        self.shards.set_leader(slot, group.leader());
        self.awake.insert(slot);
        self.groups.insert(slot, group);
    }
}

/// Groups, and which of them something was heard of.
struct Awake<'a> {
    groups: &'a mut BTreeMap<u32, Group>,
    awake: &'a mut BTreeSet<u32>,
}

impl Awake<'_> {
    fn wake(&mut self, slot: u32) -> Option<&mut Group> {
        let group = self.groups.get_mut(&slot)?;
        self.awake.insert(slot);
        Some(group)
    }

    fn written(&mut self, then: Then, turn: &mut Turn) {
        for awaited in then.awaited {
            match awaited {
                Awaited::Ready(slot, number) => {
                    if let Some(group) = self.wake(slot) {
                        group.handle_persisted(number, turn);
                    }
                }
                Awaited::Repaired(slot) => {
                    if let Some(group) = self.wake(slot) {
                        group.handle_repaired(turn);
                    }
                }
            }
        }
        for (to, slot, message) in then.send {
            if let Some(group) = self.groups.get_mut(&slot) {
                told::promised(slot, to, &message, &mut group.followed);
                turn.outbox.push(to, slot, message);
            }
        }
    }

    fn take_in(&mut self, input: Input, turn: &mut Turn) {
        match input {
            Input::Words { from, words } => {
                for (slot, message) in words {
                    let Some(group) = self.groups.get_mut(&slot) else { continue };
                    if !group.handle_quiet_word(from, &message, turn) {
                        self.awake.insert(slot);
                        group.handle_word(from, message, turn);
                    }
                }
            }
            Input::Opened { slot, channel, session, reply } => {
                if let Some(group) = self.wake(slot) {
                    group.handle_opened(channel, session, reply);
                }
            }
            Input::Said { slot, channel, message } => {
                if let Some(group) = self.wake(slot) {
                    group.handle_said(channel, message, turn);
                }
            }
            Input::Closed { slot, channel } => {
                if let Some(group) = self.wake(slot) {
                    group.handle_closed(channel);
                }
            }
            Input::Body { slot, message, read } => {
                if let Some(group) = self.wake(slot) {
                    group.handle_body(message, read);
                }
            }
            Input::Read { slot, entries } => {
                if let Some(group) = self.wake(slot) {
                    group.handle_read(entries, turn);
                }
            }
            Input::ReadFor { slot, to, entries } => {
                if let Some(group) = self.wake(slot) {
                    group.handle_read_for(to, entries, turn);
                }
            }
            Input::SnapshotWritten { slot, last } => {
                if let Some(group) = self.wake(slot) {
                    group.handle_snapshot_written(last, turn);
                }
            }
            Input::SnapshotSent { slot, to } => {
                if let Some(group) = self.wake(slot) {
                    group.handle_snapshot_sent(to, turn);
                }
            }
            Input::SnapshotOffered { from, head, stream } => {
                if let Some(group) = self.wake(head.group) {
                    group.handle_snapshot_offered(from, head, stream, turn);
                }
            }
            Input::SnapshotTaken { slot, taken } => {
                if let Some(group) = self.wake(slot) {
                    group.handle_snapshot_taken(taken, turn);
                }
            }
            Input::HandOver => {
                for (slot, group) in self.groups.iter_mut() {
                    self.awake.insert(*slot);
                    group.hand_over(turn);
                }
            }
            Input::Ask(ask) => self.answer(ask),
            Input::Start(_) | Input::Stop | Input::Written(_) => unreachable!("the driver's own"),
        }
    }

    fn answer(&self, ask: Ask) {
        match ask {
            Ask::Status { verify, reply } => {
                let status = self.groups.values().map(|group| group.status(verify));
                let _ = reply.send(status.collect());
            }
            Ask::Tables { slot, reply } => {
                let tables = self.groups.get(&slot).map(Group::tables);
                let _ = reply.send(tables.unwrap_or_default());
            }
            Ask::Entries { slot, table, skip, reply } => {
                let entries = self.groups.get(&slot).map(|group| group.entries(table, skip));
                let _ = reply.send(entries.unwrap_or_default());
            }
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
