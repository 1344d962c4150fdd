//! The one task that drives all replicas of a node.
//!
//! Words of other nodes, what clients say, finished writes and reads, and the time come in; each
//! turn takes what is there, lets every group concerned do what follows, and then gives the journal
//! one piece to write and each other node one piece to read. There is no task, timer or channel for
//! each group, and groups of which nothing is heard cost nothing but their leaders' beats.

use std::{
    collections::{BTreeSet, VecDeque},
    mem,
    sync::Arc,
};

use paceline_core::{UnixMillis, ingress::Inquiry};
use paceline_membership::View;
use paceline_reached::{Point, reached};
use paceline_runtime::{
    alarm::Alarm,
    cpu, task,
    time::{self, Duration, Instant},
};
use paceline_store::Journal;
use tokio::sync::mpsc;

use super::{
    group::Group,
    input::{Ask, Input},
    memory::{Holds, Memory},
    parts::Parts,
    shards::Shards,
    status::{Holders, Standing},
    told,
    turn::Turn,
    words::Outbox,
    writes::{Awaited, Then, Writes},
};
use crate::{link::Peers, policy::InForce};

/// The most that is taken in at once.
const INPUTS_A_TURN: usize = 512;

/// See the module.
pub struct Driver {
    groups: Groups,
    shards: Shards,
    journal: Journal,
    inbox: mpsc::UnboundedReceiver<Input>,
    inbox_of: mpsc::UnboundedSender<Input>,
    doubts: mpsc::UnboundedSender<Inquiry>,
    views: mpsc::UnboundedSender<Arc<View>>,
    outbox: Outbox,
    writes: Writes,
    /// What waits for writes, in order.
    written: VecDeque<Then>,
    memory: Memory,
    /// The policies. Those that it was told of before it runs count from the beginning.
    policies: InForce,
    /// The nodes that are to hold each group, as it was told last. What was made for another row, since
    /// the cluster changed while it was opened, is told of it when it starts.
    rows: Vec<Vec<u64>>,
    /// When groups want to be woken; each stands here once at its `scheduled`.
    timers: BTreeSet<(Duration, u32)>,
    alarm: Alarm,
    origin: Instant,
    /// Of the shards that this node leads, so many are getting a new copy.
    moving: usize,
    failed: bool,
}

impl Driver {
    /// A driver of these groups. `origin` is when the groups' time began.
    pub fn new(
        groups: Vec<Parts>,
        (shards, inbox): (Shards, mpsc::UnboundedReceiver<Input>),
        journal: Journal,
        peers: Peers,
        (doubts, views): (mpsc::UnboundedSender<Inquiry>, mpsc::UnboundedSender<Arc<View>>),
        memory: Memory,
        origin: Instant,
    ) -> Self {
        let mut driver = Self {
            groups: Groups::default(),
            inbox_of: shards.inbox().clone(),
            shards,
            journal,
            inbox,
            doubts,
            views,
            outbox: Outbox::new(peers),
            writes: Writes::default(),
            written: VecDeque::new(),
            memory,
            policies: InForce::default(),
            rows: Vec::new(),
            timers: BTreeSet::new(),
            alarm: Alarm::default(),
            origin,
            moving: 0,
            failed: false,
        };
        groups.into_iter().for_each(|parts| driver.start(parts));
        driver
    }

    /// Runs until it is told to stop, or the journal fails.
    pub async fn run(mut self) {
        let mut inputs = Vec::new();
        loop {
            if self.groups.awake.is_empty() {
                self.alarm.arm(self.timers.first().map(|(at, _)| self.origin + *at));
                tokio::select! {
                    biased;
                    count = self.inbox.recv_many(&mut inputs, INPUTS_A_TURN) => {
                        if count == 0 {
                            return;
                        }
                    }
                    () = self.alarm.ring() => {}
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
            memory: &mut self.memory,
            doubts: &self.doubts,
            views: &self.views,
            moving: self.moving,
            cost: Duration::ZERO,
            failed: &mut self.failed,
        };
        while let Some(&(at, slot)) = self.timers.first()
            && at <= turn.now
        {
            self.timers.pop_first();
            let Some(group) = self.groups.get_mut(slot) else { continue };
            group.scheduled = Duration::MAX;
            match group.idle(&mut turn) {
                Some(deadline) => {
                    group.scheduled = deadline;
                    self.timers.insert((deadline, slot));
                }
                None => drop(self.groups.wake(slot)),
            }
        }
        let (mut started, mut ended) = (Vec::new(), Vec::new());
        for input in inputs.drain(..) {
            match input {
                Input::Start(parts) => started.push(*parts),
                Input::Leave { slot, holders, ended: told } => {
                    match self.groups.leave(slot, &holders, turn.memory) {
                        Some(group) => {
                            self.timers.remove(&(group.scheduled, slot));
                            self.shards.set_ended(slot);
                            turn.moving -= usize::from(group.is_moving);
                            ended.push(told);
                        }
                        None => drop(told),
                    }
                }
                Input::Policies(policies) => {
                    self.groups.set_policies(&policies);
                    self.policies = policies;
                }
                Input::Rows(rows) => {
                    self.groups.set_rows(&rows);
                    self.rows = rows;
                }
                Input::Stop => *turn.failed = true,
                Input::Written(Err(error)) => {
                    tracing::error!(%error, "the journal has failed");
                    *turn.failed = true;
                }
                Input::Written(Ok(())) => {
                    let then = self.written.pop_front().expect("each write waits once");
                    self.groups.written(then, &mut turn);
                }
                Input::Ask(ask) => self.groups.answer(ask, turn.memory, turn.now),
                other => self.groups.take_in(other, &mut turn),
            }
        }
        for slot in self.groups.take_awake() {
            let Some(group) = self.groups.get_mut(slot) else { continue };
            turn.moving -= usize::from(group.is_moving);
            let more = group.step(&mut turn);
            turn.moving += usize::from(group.is_moving);
            group.held = turn.memory.note(group.held, group.holds());
            self.shards.set_leader(slot, group.leader(), group.replica.term());
            let deadline = group.poll_timeout(&turn);
            if deadline < group.scheduled {
                if group.scheduled != Duration::MAX {
                    self.timers.remove(&(group.scheduled, slot));
                }
                group.scheduled = deadline;
                self.timers.insert((deadline, slot));
            }
            if more {
                self.groups.wake(slot);
            }
        }
        match turn.memory.excess() {
            0 => {}
            excess => self.groups.shed(excess, turn.memory),
        }
        let cost = turn.cost;
        self.moving = turn.moving;
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
        // Nothing of these groups is written behind this.
        for told in ended {
            let _ = told.send(true);
        }
        self.outbox.flush();
        cost
    }

    fn start(&mut self, parts: Parts) {
        let mut group = Group::new(parts);
        group.set_policies(self.policies.clone());
        let slot = group.slot();
        if let Some(row) = self.rows.get(slot as usize) {
            group.handle_row(row);
        }
        if let Some(view) = group.view() {
            let _ = self.views.send(view);
        }
        self.shards.set_leader(slot, group.leader(), group.replica.term());
        self.groups.insert(slot, group);
        self.groups.wake(slot);
    }
}

/// The groups of a node, and which of them something was heard of.
#[derive(Default)]
struct Groups {
    /// By slot.
    all: Vec<Option<Box<Group>>>,
    /// Each once, in any order.
    awake: Vec<u32>,
}

impl Groups {
    fn insert(&mut self, slot: u32, group: Group) {
        let place = slot as usize;
        self.all.resize_with(self.all.len().max(place + 1), || None);
        self.all[place] = Some(Box::new(group));
    }

    fn get(&self, slot: u32) -> Option<&Group> {
        self.all.get(slot as usize)?.as_deref()
    }

    fn get_mut(&mut self, slot: u32) -> Option<&mut Group> {
        self.all.get_mut(slot as usize)?.as_deref_mut()
    }

    /// Takes out a group that this node holds no more, if these hold it.
    fn leave(&mut self, slot: u32, holders: &Holders, memory: &mut Memory) -> Option<Box<Group>> {
        let group = self.all.get_mut(slot as usize)?.take_if(|group| group.may_go(holders))?;
        memory.note(group.held, Holds::default());
        Some(group)
    }

    /// In the order of their slots.
    fn iter(&self) -> impl Iterator<Item = &Group> {
        self.all.iter().flatten().map(|group| &**group)
    }

    /// To be stepped in this turn, or in the next one if this one has stepped it.
    fn wake(&mut self, slot: u32) -> Option<&mut Group> {
        let group = self.all.get_mut(slot as usize)?.as_deref_mut()?;
        if !mem::replace(&mut group.is_awake, true) {
            self.awake.push(slot);
        }
        Some(group)
    }

    /// Those that were woken, in the order of their slots; they sleep again.
    fn take_awake(&mut self) -> Vec<u32> {
        let mut awake = mem::take(&mut self.awake);
        awake.sort_unstable();
        for slot in &awake {
            if let Some(group) = self.get_mut(*slot) {
                group.is_awake = false;
            }
        }
        awake
    }

    fn set_policies(&mut self, policies: &InForce) {
        for slot in self.iter().map(Group::slot).collect::<Vec<_>>() {
            if let Some(group) = self.wake(slot) {
                group.set_policies(policies.clone());
            }
        }
    }

    fn set_rows(&mut self, rows: &[Vec<u64>]) {
        for (slot, row) in (0..).zip(rows) {
            if let Some(group) = self.wake(slot) {
                group.handle_row(row);
            }
        }
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
            if let Some(group) = self.get_mut(slot) {
                told::promised(slot, to, &message, &mut group.followed);
                turn.outbox.push(to, slot, message);
            }
        }
    }

    fn take_in(&mut self, input: Input, turn: &mut Turn) {
        match input {
            Input::Words { from, words } => {
                for (slot, message) in words {
                    let Some(group) = self.get_mut(slot) else { continue };
                    if !group.handle_quiet_word(from, &message, turn)
                        && let Some(group) = self.wake(slot)
                    {
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
            Input::SnapshotWritten { slot, saved } => {
                if let Some(group) = self.wake(slot) {
                    group.handle_snapshot_written(saved);
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
                for slot in 0..self.all.len() as u32 {
                    if let Some(group) = self.wake(slot) {
                        group.hand_over(turn);
                    }
                }
            }
            Input::Start(_)
            | Input::Policies(_)
            | Input::Rows(_)
            | Input::Leave { .. }
            | Input::Stop
            | Input::Written(_)
            | Input::Ask(_) => {
                unreachable!("the driver's own")
            }
        }
    }

    /// Has so many bytes let go that can be read again, by those that hold most.
    fn shed(&mut self, mut excess: usize, memory: &mut Memory) {
        reached(Point::MemoryShed);
        let mut slots: Vec<(usize, u32)> =
            self.iter().map(|group| (group.held.copied, group.slot())).collect();
        slots.sort_unstable_by(|one, other| other.cmp(one));
        for (_, slot) in slots {
            let Some(group) = self.get_mut(slot) else { continue };
            let before = group.held.copied;
            group.shed(excess);
            group.held = memory.note(group.held, group.holds());
            excess = excess.saturating_sub(before - group.held.copied);
            if excess == 0 {
                break;
            }
        }
    }

    fn answer(&self, ask: Ask, memory: &Memory, now: Duration) {
        match ask {
            Ask::Status { verify, reply } => {
                let status = self.iter().map(|group| group.status(verify));
                let (used, limit) = (memory.used() as u64, memory.limit() as u64);
                let _ = reply.send(Standing { shards: status.collect(), memory: (used, limit) });
            }
            Ask::Holders { slot, reply } => {
                let _ = reply.send(self.get(slot).and_then(Group::holders));
            }
            Ask::Voters { slot, asker, reply } => {
                let _ = reply.send(self.get(slot).map(|group| group.voters(asker, now)));
            }
            Ask::Tables { slot, reply } => {
                let tables = self.get(slot).map(Group::tables);
                let _ = reply.send(tables.unwrap_or_default());
            }
            Ask::Entries { slot, table, skip, reply } => {
                let entries = self.get(slot).map(|group| group.entries(table, skip));
                let _ = reply.send(entries.unwrap_or_default());
            }
        }
    }
}
