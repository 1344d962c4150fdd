//! One shard on this node: its replica, its state, and its service while the replica leads.
//!
//! A value but for the reads and snapshots that it has done aside. What comes in goes to one of the
//! `handle_*`; then [`Group::step`] does what follows from all of it at once.

mod applying;
mod asked;
mod moving;
mod saying;
mod sending;
mod snapshots;

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
};

use paceline_consensus::{
    Entry, EntryId, Index, Message, NodeId, Outgoing, Quiet, Ready, Replica, Role, Term, Word,
};
use paceline_core::{
    channel::ToLeader,
    serving::Serving,
    shard::{Batch, MessageRef, SessionId, ShardState},
};
use paceline_events::emit;
use paceline_membership::View;
use paceline_reached::{Point, reached};
use paceline_runtime::{task, time::Duration};
use paceline_store::Group as Part;

use self::sending::Sending;
use super::{
    encoding,
    input::Input,
    memory::Holds,
    parts::{Parts, Settings},
    recent::Recent,
    saved::Saved,
    sending::Reply,
    snapshot::{Partial, Taken},
    storage,
    told::Traced,
    turn::Turn,
};
use crate::costs;

/// Deliveries decided in one turn.
const DELIVERIES_A_TURN: usize = 256;

/// A replica that lacks no more than so many entries can take over at once.
const NEARLY_UP_TO_DATE: Index = 64;

/// How often a leader looks whether a node can come or go.
const LOOK_AFTER_MEMBERS: Duration = Duration::from_millis(100);

/// Election timeouts are looked after so often in each heartbeat.
const GRAINS: u64 = 16;

/// So many nodes never look after them at the same instant.
const PHASES: u64 = 8;

/// See the module.
pub struct Group {
    slot: u32,
    node: u64,
    /// The nodes that are to hold it, the preferred leader first.
    row: Vec<u64>,
    /// Where its log's membership stands, if that is the row.
    settled: Option<Index>,
    /// The node on which a new copy was begun last, and when.
    added: Option<(NodeId, Duration)>,
    settings: Settings,
    part: Part,
    pub(super) replica: Replica,
    recent: Recent,
    state: ShardState,
    applied: EntryId,
    serving: Serving<Traced>,
    /// The ways to the clients that it has or is looking for.
    channels: BTreeMap<u64, Reply>,
    /// The snapshot in the journal.
    saved: Arc<Saved>,
    /// The last entry of the newest one that the log goes on from.
    kept: EntryId,
    /// The log is to begin behind this entry, or behind a later one.
    purge_to: Index,
    /// Whether a snapshot is being written or taken.
    snapshotting: bool,
    /// A snapshot that the replica is about to hear of.
    taken: Option<Taken>,
    /// What has come of one whose transfer was cut off.
    partial: Partial,
    /// Whether entries are being read to be applied.
    reading: bool,
    /// To others: what waits for entries that are being read.
    sending: BTreeMap<u64, VecDeque<Sending>>,
    pub(super) followed: Term,
    led_since: Duration,
    handing_over: bool,
    /// The batch that was proposed last, until its entry is written.
    made: Option<(Index, Arc<Batch>)>,
    /// Entries of the log that the state has done with in this turn.
    freed: Vec<u64>,
    /// Whether the end of its repair is being written.
    ending_repair: bool,
    /// What it holds in memory, as the driver has noted it.
    pub(super) held: Holds,
    /// Whether it leads, and a new copy is being filled.
    pub(super) is_moving: bool,
    /// Whether the driver is to step it.
    pub(super) is_awake: bool,
    /// When it is to be looked at next, as the driver has noted it.
    pub(super) scheduled: Duration,
}

impl Group {
    /// A group as it was found on the disk.
    pub fn new(parts: Parts) -> Self {
        let Parts { slot, node, row, settings, part, replica, recent, state, saved, serving } =
            parts;
        Self {
            slot,
            node,
            row,
            settled: None,
            added: None,
            settings,
            part,
            replica,
            recent,
            state,
            applied: saved.last,
            serving,
            channels: BTreeMap::new(),
            kept: saved.last,
            purge_to: 0,
            saved: saved.into(),
            snapshotting: false,
            taken: None,
            partial: Partial::new(),
            reading: false,
            sending: BTreeMap::new(),
            followed: 0,
            led_since: Duration::ZERO,
            handing_over: false,
            made: None,
            freed: Vec::new(),
            ending_repair: false,
            held: Holds::default(),
            is_moving: false,
            is_awake: false,
            scheduled: Duration::MAX,
        }
    }

    /// Its number.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// In the metadata shard, once it has changed: the view of the cluster that is committed.
    pub fn view(&self) -> Option<Arc<View>> {
        self.state.view().cloned()
    }

    /// Who leads, as far as it knows.
    pub fn leader(&self) -> Option<u64> {
        self.replica.leader().map(|leader| leader.0)
    }

    /// What it holds in memory.
    pub fn holds(&self) -> Holds {
        let copied = self.state.loaded_bytes() + self.recent.bytes();
        Holds { only: self.serving.volatile_bytes(), copied }
    }

    /// Lets so many bytes go that can be read again, as far as there are any.
    pub fn shed(&mut self, bytes: usize) {
        let before = self.holds().copied;
        self.state.evict_to(self.state.loaded_bytes().saturating_sub(bytes));
        let left = bytes.saturating_sub(before - self.holds().copied);
        let on_disk = self.replica.stable().min(self.applied.index);
        self.recent.shed(self.recent.bytes().saturating_sub(left), on_disk);
    }

    // What comes in.

    /// A word of another replica.
    pub fn handle_word(&mut self, from: u64, message: Message, turn: &mut Turn) {
        match &message.word {
            Word::Append { entries, .. } => turn.cost += costs::APPEND * entries.len() as u32,
            Word::TakeOver => {
                reached(Point::TakeOverAsked);
                emit!(TakeOver { shard: self.slot.into() });
            }
            _ => {}
        }
        self.replica.handle_message(NodeId(from), message, turn.now);
    }

    /// Takes in a word of another replica from which nothing follows but an answer to it: the group
    /// need not be woken. Whether it is such a word; if not, nothing was done.
    pub fn handle_quiet_word(&mut self, from: u64, message: &Message, turn: &mut Turn) -> bool {
        // The first promise in a term is told of, and a lease that has run out begins anew.
        let may_follow = match message.word {
            Word::Append { .. } => self.followed != message.term,
            _ => !self.may_serve(turn.now),
        };
        if may_follow {
            return false;
        }
        match self.replica.handle_quiet(NodeId(from), message, turn.now) {
            Some(Quiet::Answer(answer)) => turn.outbox.push(from, self.slot, answer),
            Some(Quiet::Heard) => {}
            None => return false,
        }
        true
    }

    /// A client has opened a channel.
    pub fn handle_opened(&mut self, channel: u64, session: SessionId, reply: Reply) {
        self.channels.insert(channel, reply);
        self.serving.handle_opened(channel, session);
    }

    /// A client or its link is gone.
    pub fn handle_closed(&mut self, channel: u64) {
        self.channels.remove(&channel);
        self.serving.handle_closed(channel);
    }

    /// A client has said something.
    pub fn handle_said(&mut self, channel: u64, message: ToLeader, turn: &mut Turn) {
        self.serving.limit_volatile(turn.memory.allowance(self.held));
        turn.cost += costs::PROPOSE;
        self.serving.handle_message(&self.state, channel, message, turn.wall);
    }

    /// The body of a message was read, or could not be.
    pub fn handle_body(
        &mut self,
        message: MessageRef,
        read: Result<Arc<paceline_core::Message>, String>,
    ) {
        if let Err(why) = &read {
            // An operator has to look at the disk.
            tracing::error!(slot = self.slot, %message, why, "a message cannot be read back");
        }
        self.serving.handle_read(&self.state, message, read.ok());
    }

    fn read_well(
        &self,
        entries: Result<Vec<Entry>, String>,
        turn: &mut Turn,
    ) -> Option<Vec<Entry>> {
        entries.inspect_err(|why| turn.fail(self.slot, why)).ok()
    }

    /// What was asked to be written with the replica's ready of this number is on the disk.
    pub fn handle_persisted(&mut self, number: u64, turn: &mut Turn) {
        self.replica.persisted(number, turn.now);
    }

    /// The end of its repair is on the disk, with everything that was written before.
    pub fn handle_repaired(&mut self, turn: &Turn) {
        self.ending_repair = false;
        self.replica.end_repair(turn.now);
        reached(Point::ReplicaWhole);
        emit!(RepairEnd { shard: self.slot.into() });
        tracing::info!(slot = self.slot, "this node's replica is repaired");
    }

    /// The node is about to stop: somebody else should lead.
    pub fn hand_over(&mut self, turn: &Turn) {
        let voters = &self.replica.log().membership().voters;
        let others = self.row.iter().copied().chain(voters.iter().map(|node| node.0));
        let mut others = others.filter(|node| *node != self.node);
        if let Some(to) = others.find(|node| self.could_take_over(*node, turn.now)) {
            self.begin_hand_over(to, turn.now);
        }
    }

    /// These nodes are to hold it from now on.
    pub fn handle_row(&mut self, row: &[u64]) {
        if row != self.row {
            self.row = row.to_vec();
            self.settled = None;
            self.replica.set_election(self.settings.election_of(self.node, row));
        }
    }

    // What follows.

    /// Does what follows from everything that has come in. Whether there is more to do at once.
    pub fn step(&mut self, turn: &mut Turn) -> bool {
        if self.replica.poll_timeout() <= turn.now {
            self.replica.handle_timeout(turn.now);
        }
        self.serving.handle_timeout(&self.state, turn.wall, turn.now);
        // What is at hand has to be what the replica speaks of before any of it is applied.
        self.carry_out(turn);
        let mut more = self.apply(turn);
        self.look_after_leadership(turn);
        self.look_after_members(turn);
        more |= self.dispatch(turn);
        if self.propose(turn) {
            self.carry_out(turn);
        }
        self.taken = None;
        self.put_out(turn);
        self.look_after_repair(turn);
        more |= self.purge(turn);
        self.look_after_snapshot(turn);
        more
    }

    /// Does what is due in a group in which nothing else happens, as [`Group::step`] would and at a
    /// fraction of the cost: a leader's beat, or nothing of a follower that hears of its leader. When it
    /// is due again; `None` where it has done nothing, since there may be more to do.
    pub fn idle(&mut self, turn: &mut Turn) -> Option<Duration> {
        let log = self.replica.log();
        let (last, now) = (log.last().index, turn.now);
        let is_at_rest = !self.is_awake
            && self.applied.index == last
            && self.replica.commit() == last
            && self.freed.is_empty()
            && self.replica.floor().is_none()
            && !self.serving.has_waited(now);
        let is_still_followed = || {
            self.replica.role() == Role::Follower
                && self.serving.term().is_none()
                && now < self.replica.poll_timeout()
        };
        let due = self.serving.poll_timeout(&self.state, turn.wall, now);
        let is_settled = || {
            self.serving.term() == Some(self.replica.term())
                && self.settled == Some(log.membership_at())
                && !self.handing_over
                && self.row[0] == self.node
                && self.may_serve(now)
                && due.is_none_or(|at| now < at)
        };
        if !is_at_rest {
            return None;
        }
        if is_settled() {
            let (slot, outbox) = (self.slot, &mut *turn.outbox);
            let send = |to: NodeId, message| outbox.push(to.0, slot, message);
            let is_quiet = self.replica.beat_quietly(now, send);
            let next = self.replica.poll_timeout();
            return is_quiet.then(|| due.map_or(next, |due| due.min(next)));
        }
        is_still_followed().then(|| self.in_company(self.replica.poll_timeout()))
    }

    /// When [`Group::step`] is to be called though nothing comes in.
    pub fn poll_timeout(&self, turn: &Turn) -> Duration {
        let mut deadline = self.replica.poll_timeout();
        if !self.leads() {
            deadline = self.in_company(deadline);
        }
        if let Some(at) = self.serving.poll_timeout(&self.state, turn.wall, turn.now) {
            deadline = deadline.min(at);
        }
        if self.serving.term().is_some() && self.settled.is_none() {
            deadline = deadline.min(turn.now + LOOK_AFTER_MEMBERS);
        }
        deadline
    }

    fn leads(&self) -> bool {
        self.replica.role() == Role::Leader
    }

    /// When to look after an election timeout, so that those of many groups are looked after at
    /// once: a little later, at instants that are other ones on each node.
    fn in_company(&self, deadline: Duration) -> Duration {
        let grain = self.replica.config().heartbeat.as_nanos() as u64 / GRAINS;
        let phase = grain / PHASES * (self.node % PHASES);
        let late = (deadline.as_nanos() as u64).saturating_sub(phase) % grain.max(1);
        if late == 0 { deadline } else { deadline + Duration::from_nanos(grain - late) }
    }

    fn may_serve(&self, now: Duration) -> bool {
        self.replica.lease().is_some_and(|until| now < until)
    }

    /// Begins or ends the service as the replica's part says.
    fn look_after_leadership(&mut self, turn: &mut Turn) {
        let (leads, term) = (self.leads(), self.replica.term());
        let leader = self.leader().filter(|leader| *leader != self.node);
        if let Some(served) = self.serving.term()
            && (!leads || served != term)
        {
            reached(match served == term {
                true => Point::TermAbandoned,
                false => Point::TermLost,
            });
            if mem::take(&mut self.handing_over) && served == term {
                reached(Point::HandOverFailed);
            }
            self.serving.end(leader);
        }
        if !leads {
            self.serving.turn_away(leader);
            self.sending.clear();
            return;
        }
        let first = self.replica.first().unwrap_or(Index::MAX);
        if self.serving.term().is_none() && self.applied.index >= first && self.may_serve(turn.now)
        {
            self.serving.begin(&self.state, term, turn.now);
            self.led_since = turn.now;
            self.handing_over = false;
        }
        if self.handing_over && !self.replica.is_handing_over() {
            reached(Point::HandOverFailed);
            self.handing_over = false;
            // Tried again after as long as the first time.
            self.led_since = turn.now;
        }
        let preferred = self.row[0];
        if preferred != self.node
            && self.serving.term().is_some()
            && !self.handing_over
            && turn.now.saturating_sub(self.led_since) > self.settings.hand_back_after
            && self.could_take_over(preferred, turn.now)
        {
            self.begin_hand_over(preferred, turn.now);
        }
    }

    fn could_take_over(&self, node: u64, now: Duration) -> bool {
        let Some((stored, heard)) = self.replica.progress(NodeId(node)) else { return false };
        let recently = heard.is_some_and(|heard| now < heard + self.replica.config().lease);
        let is_voter = self.replica.log().membership().voters.contains(&NodeId(node));
        is_voter && recently && self.is_nearly_up_to_date(stored)
    }

    fn is_nearly_up_to_date(&self, stored: Index) -> bool {
        stored + NEARLY_UP_TO_DATE >= self.replica.log().last().index
    }

    fn begin_hand_over(&mut self, to: u64, now: Duration) {
        if self.serving.term().is_some()
            && !self.handing_over
            && self.replica.hand_over(NodeId(to), now).is_ok()
        {
            self.handing_over = true;
            reached(Point::HandOverBegun);
            emit!(HandOver { shard: self.slot.into(), to });
            tracing::debug!(slot = self.slot, to, "handing over");
        }
    }

    /// Hands messages to consumers with credit, as long as nobody else can.
    fn dispatch(&mut self, turn: &mut Turn) -> bool {
        if self.serving.term().is_none() {
            return false;
        }
        if !self.may_serve(turn.now) {
            reached(Point::LeaseExpired);
            return false;
        }
        let dispatched = self.serving.dispatch(&self.state, DELIVERIES_A_TURN, turn.wall);
        turn.cost += costs::DISPATCH * dispatched.decided as u32;
        self.warn_of_slow_subscribers();
        dispatched.more
    }

    /// Proposes what has gathered. Whether there was anything.
    fn propose(&mut self, turn: &mut Turn) -> bool {
        if !self.leads() || self.replica.is_handing_over() {
            return false;
        }
        let Some(batch) = self.serving.poll_batch(turn.wall, turn.now) else { return false };
        turn.cost += costs::APPEND;
        let data = encoding::encode(&batch);
        let id = self.replica.propose(data).expect("a leader that does not hand over takes it");
        self.serving.proposed(id.index);
        self.made = Some((id.index, Arc::new(batch)));
        true
    }

    /// Does what the replica wants done.
    fn carry_out(&mut self, turn: &mut Turn) {
        while let Some(ready) = self.replica.ready(turn.now) {
            self.carry_out_one(ready, turn);
        }
    }

    fn carry_out_one(&mut self, ready: Ready, turn: &mut Turn) {
        let Ready { number, vote, snapshot, truncate, entries, now, after } = ready;
        let mut writes = false;
        if let Some(vote) = vote {
            writes = true;
            turn.writes.vote(self.slot, encoding::encode(&vote));
        }
        if let Some((last, membership)) = snapshot {
            writes = true;
            let taken = self.taken.take().expect("it is here before the replica hears of it");
            assert_eq!(taken.head.last, last, "another snapshot was taken");
            self.recent.truncate(0);
            self.reading = false;
            self.state = taken.state;
            self.applied = last;
            self.tell_view(turn);
            let mark = storage::base_mark(last, &membership);
            turn.writes.replace_log(self.slot, last.index + 1, mark, taken.dead);
        }
        if let Some(from) = truncate {
            writes = true;
            reached(Point::LogTruncated);
            self.recent.truncate(from);
            turn.writes.truncate(self.slot, from);
        }
        for entry in entries {
            writes = true;
            turn.writes.append(self.slot, entry.clone());
            let made = self.made.take_if(|(index, _)| *index == entry.id.index);
            self.recent.push(entry, made.map(|(_, batch)| batch));
        }
        if writes || !after.is_empty() {
            turn.writes.wait(self.slot, number);
        }
        for outgoing in now {
            self.send_out(outgoing, turn);
        }
        for outgoing in after {
            match outgoing {
                Outgoing::Message { to, message } => {
                    turn.writes.then_send(to.0, self.slot, message);
                }
                other => unreachable!("{other:?} waits for nothing"),
            }
        }
    }

    // What goes out.

    fn read(
        &self,
        range: std::ops::Range<Index>,
        turn: &Turn,
        then: impl FnOnce(Result<Vec<Entry>, String>) -> Input + Send + 'static,
    ) {
        reached(Point::EntriesReadBack);
        let (part, inbox) = (self.part.clone(), turn.inbox.clone());
        task::spawn(async move {
            let read = storage::read_entries(&part, range).await;
            let _ = inbox.send(then(read.map_err(|error| error.to_string())));
        });
    }

    /// A replica that takes entries only of leaders with terms above its floor, and has applied one
    /// of such a leader, is whole: with it, it has all that stood before it in that leader's log.
    /// Every leader begins with an entry of its own, so one comes although nobody publishes.
    fn look_after_repair(&mut self, turn: &mut Turn) {
        let whole = self.replica.floor().is_some_and(|floor| self.applied.term > floor);
        if whole && !mem::replace(&mut self.ending_repair, true) {
            // Behind all that was appended until now, so on the disk only with it.
            turn.writes.end_repair(self.slot);
        }
    }
}
