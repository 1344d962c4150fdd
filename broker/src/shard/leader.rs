//! The task that serves a shard while this node leads it.
//!
//! It begins when the first entry of the term is applied, so that all the state is there, and hands
//! out messages only while a majority has answered within the lease. Commands are gathered while
//! earlier batches are on their way, so batches grow with the load by themselves. A client hears of
//! its command when that is committed and applied. When the leadership ends, everybody is told and
//! what only the leader knew is dropped.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use openraft::{LogId, RaftMetrics, ServerState, Vote};
use paceline_core::{
    Message, UnixMillis,
    dispatch::{ConsumerKey, Dispatcher, MessageKey},
    ingress::Doubts,
    operation::Settlement,
    shard::{Command, MessageRef, Origin, Outcome, SessionId, ShardState},
};
use paceline_reached::{Point, reached};
use paceline_runtime::{
    cpu, random, task,
    time::{self, Instant},
    trace,
};
use rand::RngExt;
use tokio::sync::{mpsc, watch};

use super::{
    ReadMessage, Resolve, Settings,
    channel::{FromLeader, Input, ToLeader},
    term::{Target, Term},
    told,
};
use crate::{
    costs,
    link::Peer,
    replication::{Lease, Machine, Raft, protocol::Request},
};

/// Deliveries decided at a time.
const DELIVERIES_AT_A_TIME: usize = 256;

/// Deliveries that may wait for bodies before no further ones are decided.
const DELIVERIES_WAITING: usize = 256;

/// How often a leader that may not serve looks whether it may again.
const RETRY_EVERY: Duration = Duration::from_millis(50);

/// How often a leader looks after what has no event of its own.
const LOOK_EVERY: Duration = Duration::from_millis(1_000);

/// How long a hand-over may take before the leader goes on as before.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(2);

/// Where the task stands.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) slot: u32,
    pub(super) node: u64,
    pub(super) row: Vec<u64>,
    pub(super) peers: Arc<BTreeMap<u64, Peer>>,
}

/// A client's channel.
#[derive(Debug)]
struct Client {
    session: SessionId,
    reply: mpsc::UnboundedSender<FromLeader>,
    /// Whether it was told that it is served.
    served: bool,
    outcomes: Vec<(u64, Outcome)>,
}

/// Someone else is to lead.
#[derive(Clone, Copy, Debug)]
struct HandOver {
    to: u64,
    /// When it was asked to stand for election, if it was.
    until: Option<Instant>,
}

/// See the module's head.
pub(super) struct LeaderTask {
    place: Place,
    raft: Raft,
    metrics: watch::Receiver<openraft::metrics::RaftServerMetrics<u64, openraft::EmptyNode>>,
    machine: Arc<Machine>,
    /// The last entry that the process before has left in the log.
    inherited: Option<LogId<u64>>,
    lease: Arc<Lease>,
    settings: Settings,
    read: ReadMessage,
    resolve: Resolve,
    inbox: mpsc::UnboundedReceiver<Input>,
    clients: BTreeMap<u64, Client>,
    term: Option<Term>,
    /// Since when no majority has answered in time.
    doubtful_since: Option<Instant>,
    next_look: Instant,
    led_since: Instant,
    hand_over: Option<HandOver>,
    doubts: Doubts,
    /// From when [`Self::doubts`] counts.
    began: Instant,
    /// Names the next proposal. It begins at random, so that those of the process before, which
    /// may have led in the same term, have other names.
    next_proposal: u64,
    cost: Duration,
}

enum Event {
    Inputs,
    Metrics,
    Applied,
    Read(MessageRef, Result<Arc<Message>, String>),
    Time,
    Over,
}

fn wall_clock() -> UnixMillis {
    UnixMillis(time::wall_clock().0)
}

impl LeaderTask {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        place: Place,
        raft: Raft,
        machine: Arc<Machine>,
        inherited: Option<LogId<u64>>,
        lease: Arc<Lease>,
        settings: Settings,
        read: ReadMessage,
        resolve: Resolve,
        inbox: mpsc::UnboundedReceiver<Input>,
    ) -> Self {
        let now = Instant::now();
        let slot = place.slot;
        Self {
            place,
            metrics: raft.server_metrics(),
            raft,
            machine,
            inherited,
            lease,
            settings,
            read,
            resolve,
            inbox,
            clients: BTreeMap::new(),
            term: None,
            doubtful_since: None,
            next_look: now + LOOK_EVERY,
            led_since: now,
            hand_over: None,
            doubts: Doubts::default(),
            began: now,
            next_proposal: random::stream(&format!("proposals of shard {slot}")).random(),
            cost: Duration::ZERO,
        }
    }

    /// Runs until nobody can reach the shard any more or its replica has failed.
    pub(super) async fn run(mut self) {
        let mut inputs = Vec::new();
        loop {
            match self.next_event(&mut inputs).await {
                Event::Over => break,
                Event::Inputs => self.handle_inputs(&mut inputs),
                Event::Metrics | Event::Applied => {}
                Event::Read(message, body) => self.handle_read(message, body),
                Event::Time => self.look(),
            }
            self.check_leadership();
            self.handle_applied();
            self.dispatch();
            if self.propose().await.is_err() {
                break;
            }
            self.answer();
            if !self.cost.is_zero() {
                cpu::charge(std::mem::take(&mut self.cost)).await;
            }
        }
        self.end_term(None);
    }

    async fn next_event(&mut self, inputs: &mut Vec<Input>) -> Event {
        let deadline = self.deadline();
        let machine = self.machine.clone();
        let bodies = async {
            match &mut self.term {
                Some(term) => term.bodies.next_read().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            changed = self.metrics.changed() => match changed {
                Ok(()) => Event::Metrics,
                Err(_) => Event::Over,
            },
            () = machine.changed() => Event::Applied,
            (message, body) = bodies => Event::Read(message, body),
            count = self.inbox.recv_many(inputs, 512) => match count {
                0 => Event::Over,
                _ => Event::Inputs,
            },
            () = time::sleep_until(deadline) => Event::Time,
        }
    }

    fn deadline(&self) -> Instant {
        let now = Instant::now();
        let mut deadline = self.next_look;
        if self.doubtful_since.is_some() || self.clients.values().any(|client| !client.served) {
            deadline = deadline.min(now + RETRY_EVERY);
        }
        if self.term.is_some()
            && let Some(at) = self.machine.next_expiry()
        {
            let left = Duration::from_millis(at.0.saturating_sub(wall_clock().0));
            deadline = deadline.min(now + left.max(Duration::from_millis(1)));
        }
        deadline
    }

    // Leadership.

    /// Begins or ends the term as the replica's state says.
    fn check_leadership(&mut self) {
        let (vote, leads, leader) = {
            let metrics = self.metrics.borrow_and_update();
            let own = metrics.vote.leader_id().voted_for() == Some(self.place.node);
            let leads = metrics.state == ServerState::Leader && metrics.vote.is_committed() && own;
            (metrics.vote, leads, metrics.current_leader)
        };
        if self.term.as_ref().is_some_and(|term| !leads || term.vote != vote) {
            reached(Point::TermLost);
            self.end_term(leader.filter(|leader| *leader != self.place.node));
        }
        if !leads {
            self.doubtful_since = None;
            self.turn_away(leader.filter(|leader| *leader != self.place.node));
            return;
        }
        let valid = self.lease.is_valid(vote);
        if self.term.is_none() {
            let term = vote.leader_id().term;
            if self.has_applied_all_before(term) {
                if valid {
                    self.begin_term(vote);
                } else {
                    self.turn_away(None);
                }
            }
            // Else its clients wait for the moment until it has.
        }
        if valid {
            self.doubtful_since = None;
        } else if self.term.is_some() {
            let since = *self.doubtful_since.get_or_insert_with(Instant::now);
            if since.elapsed() > self.settings.abandon_after {
                reached(Point::TermAbandoned);
                tracing::warn!(slot = self.place.slot, "no majority answers; clients go elsewhere");
                self.end_term(None);
            }
        }
        if self.term.is_some() {
            let number = self.term.as_ref().map_or(0, Term::number);
            for client in self.clients.values_mut().filter(|client| !client.served) {
                client.served = true;
                let _ = client.reply.send(FromLeader::Serving { term: number });
            }
        }
    }

    /// Whether everything has been applied that may have been handed out before this node leads
    /// now: all of earlier terms, which the first entry of this one shows, and, where this node
    /// led in this term already before it was started again, all that it had proposed then.
    fn has_applied_all_before(&self, term: u64) -> bool {
        let Some(applied) = self.machine.last_applied() else { return false };
        let own = self.inherited.filter(|last| last.leader_id.term == term);
        applied.leader_id.term == term && own.is_none_or(|last| applied.index >= last.index)
    }

    fn begin_term(&mut self, vote: Vote<u64>) {
        let term = Term::new(vote);
        reached(Point::TermBegun);
        self.machine.begin_leading(term.number(), self.settings.limits);
        trace::event!("serve_begin", shard = self.place.slot, term = term.number());
        tracing::debug!(slot = self.place.slot, term = term.number(), "serving");
        self.term = Some(term);
        self.led_since = Instant::now();
        self.hand_over = None;
        self.doubts.clear();
    }

    /// Stops serving. What was proposed and not applied may still be applied by the next leader;
    /// its clients ask there.
    fn end_term(&mut self, leader: Option<u64>) {
        let Some(term) = self.term.take() else { return };
        self.machine.end_leading();
        self.doubtful_since = None;
        self.hand_over = None;
        trace::event!("serve_end", shard = self.place.slot, term = term.number());
        tracing::debug!(slot = self.place.slot, term = term.number(), "no longer serving");
        self.turn_away(leader);
    }

    /// Sends all clients elsewhere.
    fn turn_away(&mut self, leader: Option<u64>) {
        for client in std::mem::take(&mut self.clients).into_values() {
            let _ = client.reply.send(FromLeader::NotLeader { leader });
        }
    }

    // What clients say.

    fn handle_inputs(&mut self, inputs: &mut Vec<Input>) {
        // Whoever leads no more must not take anything in.
        self.check_leadership();
        // Entries applied by now come first, so that the dispatcher is asked about what is.
        self.handle_applied();
        for input in inputs.drain(..) {
            match input {
                Input::Opened { channel, session, reply } => {
                    self.supersede(session);
                    let client = Client { session, reply, served: false, outcomes: Vec::new() };
                    self.clients.insert(channel, client);
                }
                Input::Closed { channel } => self.close(channel),
                Input::Said { channel, message } => self.handle_message(channel, message),
                Input::HandOver => self.begin_hand_over(),
            }
        }
    }

    /// A node has opened a channel: those it had before are dead, whether it says so or not.
    fn supersede(&mut self, session: SessionId) {
        let older = self.clients.iter().filter(|(_, client)| {
            client.session.node == session.node && client.session.incarnation <= session.incarnation
        });
        for channel in older.map(|(channel, _)| *channel).collect::<Vec<_>>() {
            reached(Point::ChannelSuperseded);
            self.close(channel);
        }
    }

    fn close(&mut self, channel: u64) {
        if self.clients.remove(&channel).is_none() {
            return;
        }
        let Some(term) = &mut self.term else { return };
        let consumers = term.consumers.iter().filter(|(_, of)| **of == channel);
        let consumers: Vec<ConsumerKey> = consumers.map(|(consumer, _)| *consumer).collect();
        for consumer in consumers {
            detach(term, &self.machine, self.place.slot, consumer, |_, dispatcher| {
                dispatcher.detach_lost(consumer)
            });
        }
    }

    fn handle_message(&mut self, channel: u64, message: ToLeader) {
        let Some(client) = self.clients.get(&channel).filter(|client| client.served) else {
            return;
        };
        let Some(term) = &mut self.term else { return };
        let slot = self.place.slot;
        let node = client.session.node;
        self.cost += costs::PROPOSE;
        let (number, result) = match message {
            ToLeader::Command { seq, mut command, holders } => {
                let origin = Origin { session: client.session, seq };
                let begin = |_: &_, dispatcher: &mut Dispatcher| {
                    begin_settling(dispatcher, node, &mut command, &holders)
                };
                let mut settles = self.machine.with_dispatcher(begin).unwrap_or_default();
                let prepares = match &command {
                    Command::Prepare { transaction, .. } => Some(*transaction),
                    Command::Finish { transaction, commit } => {
                        let prepared = term.prepared.remove(transaction);
                        settles = prepared.filter(|_| *commit).unwrap_or_default();
                        None
                    }
                    _ => None,
                };
                let target = Target::Client { channel, seq, settles, prepares };
                term.gathered.push(Some(origin), command, target);
                return;
            }
            ToLeader::Publish { number, message } => {
                let result = self.machine.with_dispatcher(|_, dispatcher| {
                    dispatcher.handle_volatile(wall_clock(), message)
                });
                (
                    number,
                    match result {
                        Some(Ok(_)) => Ok(()),
                        Some(Err(why)) => Err(why.to_string()),
                        None => return,
                    },
                )
            }
            ToLeader::Attach { number, consumer, source, prefetch } => {
                let key = ConsumerKey { node, number: consumer };
                let result = self
                    .machine
                    .with_dispatcher(|_, dispatcher| dispatcher.attach(key, source, prefetch));
                (
                    number,
                    match result {
                        Some(Ok(())) => {
                            term.consumers.insert(key, channel);
                            trace::event!(
                                "attach",
                                shard = slot,
                                term = term.number(),
                                consumer = key.to_string().as_str()
                            );
                            Ok(())
                        }
                        Some(Err(why)) => Err(why.to_string()),
                        None => return,
                    },
                )
            }
            ToLeader::SetPrefetch { consumer, prefetch } => {
                let key = ConsumerKey { node, number: consumer };
                let set = self
                    .machine
                    .with_dispatcher(|_, dispatcher| dispatcher.set_prefetch(key, prefetch));
                if set == Some(true) {
                    trace::event!(
                        "prefetch",
                        shard = slot,
                        term = term.number(),
                        consumer = key.to_string().as_str(),
                        prefetch = prefetch
                    );
                }
                return;
            }
            ToLeader::Detach { number, consumer, failed } => {
                let consumer = ConsumerKey { node, number: consumer };
                detach(term, &self.machine, slot, consumer, |state, dispatcher| match failed {
                    Some(message) => dispatcher.detach_failed(state, consumer, message),
                    None => dispatcher.detach(consumer),
                });
                (number, Ok(()))
            }
            ToLeader::Settle { number, consumer, messages, how } => {
                let key = ConsumerKey { node, number: consumer };
                let settles: Vec<_> =
                    messages.iter().map(|message| (MessageKey::Volatile(*message), how)).collect();
                let result = self
                    .machine
                    .with_dispatcher(|_, dispatcher| dispatcher.settle_begin(key, &settles));
                (
                    number,
                    match result {
                        Some(Ok(_)) => {
                            for (message, how) in &settles {
                                told::settled(slot, term.number(), key, *message, *how);
                            }
                            Ok(())
                        }
                        Some(Err(why)) => Err(why.to_string()),
                        None => return,
                    },
                )
            }
        };
        let _ = client.reply.send(FromLeader::Answer { number, result });
    }

    // What was applied.

    fn handle_applied(&mut self) {
        let Some(term) = &mut self.term else { return };
        for ended in self.machine.take_outcomes() {
            self.cost += costs::APPLY * ended.outcomes.len() as u32;
            // Entries of earlier terms were applied before this one began; those of a later one
            // are not this node's. In this term itself the node may have proposed others, before
            // it was started again or stopped serving for a while: their clients ask again.
            let number = term.number();
            let is_awaited = |(proposal, _): &mut (u64, Vec<Target>)| {
                ended.term == number && *proposal == ended.proposal
            };
            let Some((_, targets)) = term.proposed.take_if(is_awaited) else { continue };
            assert_eq!(targets.len(), ended.outcomes.len(), "another batch was applied");
            for (target, outcome) in targets.into_iter().zip(ended.outcomes) {
                match target {
                    Target::Client { channel, seq, settles, prepares } => {
                        let done = outcome == Outcome::Done;
                        if done && let Some(transaction) = prepares {
                            term.prepared.insert(transaction, settles);
                        } else if done {
                            for (message, how, holder) in &settles {
                                let message = MessageKey::Stored(*message);
                                told::settled(self.place.slot, ended.term, *holder, message, *how);
                            }
                        } else if !settles.is_empty() {
                            let messages: Vec<MessageRef> =
                                settles.iter().map(|(message, ..)| *message).collect();
                            self.machine.with_dispatcher(|_, dispatcher| {
                                dispatcher.settle_failed(&messages);
                            });
                        }
                        if let Some(client) = self.clients.get_mut(&channel) {
                            client.outcomes.push((seq, outcome));
                        }
                    }
                    Target::Dispatcher(command) => {
                        if outcome != Outcome::Done {
                            self.machine.with_dispatcher(|_, dispatcher| {
                                dispatcher.command_failed(&command);
                            });
                        }
                    }
                }
            }
        }
    }

    fn answer(&mut self) {
        for client in self.clients.values_mut() {
            if !client.outcomes.is_empty() {
                let outcomes = std::mem::take(&mut client.outcomes);
                let _ = client.reply.send(FromLeader::Outcomes(outcomes));
            }
        }
    }

    // What goes out.

    async fn propose(&mut self) -> Result<(), ()> {
        let Some(term) = &mut self.term else { return Ok(()) };
        self.machine.with_dispatcher(|_, dispatcher| {
            while let Some(command) = dispatcher.poll_command() {
                term.gathered.push(None, command.clone(), Target::Dispatcher(command));
            }
        });
        if let Some(hand_over) = &mut self.hand_over {
            if term.proposed.is_none() && hand_over.until.is_none() {
                hand_over.until = Some(Instant::now() + HAND_OVER_WITHIN);
                reached(Point::HandOverBegun);
                trace::event!("hand_over", shard = self.place.slot, to = hand_over.to);
                ask_to_take_over(&self.place, hand_over.to);
            }
            return Ok(());
        }
        // One batch at a time: what comes meanwhile gathers for the next one, so batches grow with
        // the load, and followers are sent one request at a time anyway.
        if !term.gathered.is_empty() && term.proposed.is_none() {
            let settings = &self.settings;
            let proposal = self.next_proposal;
            self.next_proposal = proposal.wrapping_add(1);
            let (batch, targets) = term.gathered.take(
                settings.batch_commands,
                settings.batch_bytes,
                wall_clock(),
                proposal,
            );
            self.cost += costs::APPEND;
            term.proposed = Some((proposal, targets));
            self.raft.client_write_ff(Arc::new(batch)).await.map_err(|error| {
                tracing::error!(slot = self.place.slot, %error, "the replica has failed");
            })?;
        }
        Ok(())
    }

    /// Hands messages to consumers with credit, as long as nobody else can.
    fn dispatch(&mut self) {
        let Some(term) = &mut self.term else { return };
        let number = term.number();
        let vote = term.vote;
        loop {
            if !self.lease.is_valid(vote) {
                reached(Point::LeaseExpired);
                self.doubtful_since.get_or_insert_with(Instant::now);
                return;
            }
            if term.bodies.waiting() >= DELIVERIES_WAITING {
                break;
            }
            let now = wall_clock();
            let decided = self.machine.with_dispatcher(|state, dispatcher| {
                let mut decided = Vec::new();
                while decided.len() < DELIVERIES_AT_A_TIME
                    && let Some(delivery) = dispatcher.poll_delivery(state, now)
                {
                    decided.push(delivery);
                }
                decided
            });
            let Some(decided) = decided.filter(|decided| !decided.is_empty()) else { break };
            self.cost += costs::DISPATCH * decided.len() as u32;
            for delivery in decided {
                told::dispatched(self.place.slot, number, &delivery);
                term.bodies.push(delivery, &self.read);
            }
            send_ready(term, &self.clients);
        }
        send_ready(term, &self.clients);
    }

    fn handle_read(&mut self, message: MessageRef, written: Result<Arc<Message>, String>) {
        let Some(term) = &mut self.term else { return };
        let body = match written {
            Ok(written) => {
                self.machine.with_dispatcher(|state, _| state.compose(message, &written)).flatten()
            }
            Err(why) => {
                // It stays with its consumer, who never sees it, until one of them goes away; an
                // operator has to look at the disk.
                let slot = self.place.slot;
                tracing::error!(slot, %message, why, "a message cannot be read back");
                None
            }
        };
        if let Some(body) = &body {
            let key = MessageKey::Stored(message);
            told::read_back(self.place.slot, term.number(), key, body);
        }
        term.bodies.loaded(message, body);
    }

    // What has no event of its own.

    fn look(&mut self) {
        let now = Instant::now();
        if self.term.is_some() {
            let wall = wall_clock();
            self.machine
                .with_dispatcher(|state, dispatcher| dispatcher.handle_timeout(state, wall));
        }
        if now < self.next_look {
            return;
        }
        self.next_look = now + LOOK_EVERY;
        if self.term.is_none() {
            return;
        }
        self.resolve_doubts();
        if let Some(HandOver { until: Some(until), .. }) = self.hand_over
            && now > until
        {
            reached(Point::HandOverFailed);
            // It did not come to pass; try again after as long as the first time.
            self.hand_over = None;
            self.led_since = now;
        }
        let preferred = self.place.row[0];
        if self.hand_over.is_none()
            && preferred != self.place.node
            && self.led_since.elapsed() > self.settings.hand_back_after
            && self.is_up_to_date(preferred)
        {
            self.hand_over = Some(HandOver { to: preferred, until: None });
        }
    }

    fn begin_hand_over(&mut self) {
        if self.term.is_none() || self.hand_over.is_some() {
            return;
        }
        let others = self.place.row.iter().filter(|node| **node != self.place.node);
        if let Some(to) = others.copied().find(|node| self.is_up_to_date(*node)) {
            self.hand_over = Some(HandOver { to, until: None });
        }
    }

    /// Whether a replica could take over without having to catch up first.
    fn is_up_to_date(&self, node: u64) -> bool {
        let linked = self.place.peers.get(&node).is_some_and(|peer| peer.connection().is_some());
        let metrics: RaftMetrics<u64, openraft::EmptyNode> = self.raft.metrics().borrow().clone();
        let matched =
            metrics.replication.as_ref().and_then(|all| all.get(&node).copied()).flatten();
        let last = metrics.last_log_index.unwrap_or(0);
        linked && matched.is_some_and(|matched| matched.index + 64 >= last)
    }

    /// Asks after transactions whose ingress node may have died.
    fn resolve_doubts(&mut self) {
        let (now, after) = (self.began.elapsed(), self.settings.in_doubt_after);
        let (slot, doubts) = (self.place.slot, &mut self.doubts);
        let inquiries = self.machine.with_state(|state| doubts.look(now, after, slot, state));
        inquiries.into_iter().for_each(|inquiry| (self.resolve)(inquiry));
    }
}

/// Sends the deliveries whose bodies are there.
fn send_ready(term: &mut Term, clients: &BTreeMap<u64, Client>) {
    while let Some((consumer, delivered)) = term.bodies.pop() {
        // A consumer that has gone in the meantime has given everything back.
        let client = term.consumers.get(&consumer).and_then(|channel| clients.get(channel));
        if let Some(client) = client {
            let _ = client.reply.send(FromLeader::Deliver(delivered));
        }
    }
}

fn detach(
    term: &mut Term,
    machine: &Machine,
    slot: u32,
    consumer: ConsumerKey,
    how: impl FnOnce(&ShardState, &mut Dispatcher) -> bool,
) {
    if term.consumers.remove(&consumer).is_none() {
        return;
    }
    machine.with_dispatcher(how);
    trace::event!(
        "detach",
        shard = slot,
        term = term.number(),
        consumer = consumer.to_string().as_str()
    );
}

/// Tells the dispatcher what a command is about to settle. Returns what that is and for whom.
///
/// A settlement may be late: the leader before handed the message out, or its consumer has been
/// detached. Then accepting still holds, since the client is told that it does, whoever has the
/// message now; refusing and giving back have happened already and are left out.
fn begin_settling(
    dispatcher: &mut Dispatcher,
    node: u64,
    command: &mut Command,
    holders: &[u64],
) -> Vec<(MessageRef, Settlement, ConsumerKey)> {
    let (settles, may_leave_out) = match command {
        Command::Settle { settles } => (settles, true),
        Command::Transact { work } | Command::Prepare { work, .. } => (&mut work.settles, false),
        _ => return Vec::new(),
    };
    let mut begun = Vec::with_capacity(settles.len());
    let mut holders = holders.iter().copied().chain(std::iter::repeat(0));
    settles.retain(|(message, how)| {
        let holder = ConsumerKey { node, number: holders.next().expect("it does not end") };
        let held = [(MessageKey::Stored(*message), *how)];
        let is_held = dispatcher.settle_begin(holder, &held).is_ok();
        let stays = is_held || *how == Settlement::Accept || !may_leave_out;
        match how {
            _ if is_held => {}
            Settlement::Accept => reached(Point::AcceptedLate),
            _ => reached(Point::RejectedLate),
        }
        if stays {
            begun.push((*message, *how, holder));
        }
        stays
    });
    begun
}

/// Asks a node to stand for election at once.
fn ask_to_take_over(place: &Place, to: u64) {
    let connection = place.peers.get(&to).and_then(Peer::connection);
    let group = place.slot;
    tracing::debug!(slot = group, to, "handing over");
    task::spawn(async move {
        if let Some(connection) = connection {
            let _ = connection.request(&Request::TakeOver { group }).await;
        }
    });
}
