//! An OpenWire client's session: what ActiveMQ's own clients speak, versions 9 to 12.
//!
//! A connection has sessions, and those have producers and consumers; all of them are named by the
//! client. What follows from the observed conversations of ActiveMQ's Java client and is not obvious:
//!
//! - Both sides begin with a WireFormatInfo. What one side cannot do neither does: so everything is
//!   loosely encoded, and nothing is cached.
//! - A command that requires a response gets one when the outcome of its operation is known; a
//!   message sent without requiring one gets, at most, a ConnectionError that says why it was refused.
//! - A message keeps the id that its client gave it. The place of a delivery among those of its
//!   consumer is its `brokerSequenceId`, counted from 1; clients send it back in acknowledgements.
//! - Rollback and redelivery are the client's: it keeps what it was delivered and acknowledges it
//!   later, or as poison, which goes to the dead-letter queue. A consumer that closes says up to which
//!   message it has come; what is behind that was never delivered.
//! - A refused operation is answered by the JMS exception that the application is to see. An
//!   operation whose outcome is unknown closes the connection: a `failover:` client tries again.
//! - What others are told of its client goes to advisory topics. The consumer of those that a client has
//!   for itself is told of temporary destinations alone, and only when it needs to know them.

mod announcing;
mod answers;
mod branches;
mod commands;
mod config;
mod consumers;
mod destinations;
mod durable;
mod inactivity;
mod message;
mod subscriber;
mod temporaries;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use paceline_reached::{Point, reached};
use paceline_wire::{
    Expected,
    openwire::{
        Command, ConnectionId, ConsumerId as WireConsumer, Decoder, MAX_VERSION, ProducerId,
        TransactionId,
    },
};

pub use self::config::OpenWireConfig;
use self::{
    announcing::Announced, answers::Exception, consumers::Known, destinations::Composite,
    inactivity::Inactivity, subscriber::Subscriber, temporaries::Temporaries,
};
use super::{Brokers, Now, Operations, Session, operations::Purpose};
use crate::{
    operation::{ConsumerId, Delivery, OpTag, Operation, Outcome, Refusal},
    presence::Announcement,
    xa::BranchInfo,
};

/// At most about so many bytes are handed out for sending at a time.
const TRANSMIT_BYTES: usize = 64 * 1024;

/// One client's session. See the module's and [`super`]'s documentation.
#[derive(Debug)]
pub struct OpenWireSession {
    config: Arc<OpenWireConfig>,
    phase: Phase,
    version: i32,
    decoder: Decoder,
    input: BytesMut,
    at_eof: bool,
    inactivity: Inactivity,
    operations: Operations<Asked, TransactionId, Subscriber>,
    connection: Option<ConnectionId>,
    /// Whether the client follows what it is told of the nodes there are.
    is_manageable: bool,
    brokers: Arc<Brokers>,
    /// Whose durable subscriptions its are.
    client: Option<Arc<str>>,
    /// The producers that want to hear of each message that was taken.
    windows: BTreeSet<ProducerId>,
    temporaries: Temporaries,
    announced: Announced,
    /// Open transactions of which a part was refused, and why.
    doomed: BTreeMap<TransactionId, String>,
    /// What there is of branches that are prepared; the operation that asked ends next.
    listed: Vec<BranchInfo>,
    /// Names the session, over the cluster and over restarts.
    name: Arc<str>,
    consumers: BTreeMap<WireConsumer, Known>,
    /// Consumers that wait for one message, and until when.
    pulls: BTreeSet<(Duration, WireConsumer)>,
    /// The last message's destination and what it means: producers repeat themselves.
    last_destination: Option<Composite>,
    next_command: i32,
    /// Frames other than MessageDispatch to hand out.
    answers: BytesMut,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// No WireFormatInfo yet.
    Negotiating,
    /// No ConnectionInfo yet.
    Connecting,
    /// Commands are taken.
    Open,
    /// The client has closed the connection, and is about to say that it goes.
    Leaving {
        /// The command that waits for the end of what is outstanding.
        command: Option<i32>,
    },
    /// No more input; what is outstanding ends first.
    Ending,
    /// Nothing but what is left to send.
    Closed,
}

/// Whom an operation's outcome is for.
#[derive(Debug)]
enum Asked {
    /// The command of this number gets a response.
    Response(i32),
    /// The producer wants to know that so many bytes have been taken.
    Taken(ProducerId, i32),
    /// Nobody, unless it fails: what was to be done.
    Failure(&'static str),
    /// A consumer is to be there, and the command of this number, if any, gets a response.
    Consumer(WireConsumer, Option<i32>),
    /// The connection is to have its client id; as before.
    Connection(Option<i32>),
    /// A branch is to be prepared, and the command of this number gets a vote.
    Prepared(Option<i32>),
    /// A branch is to be committed that was not prepared; as before.
    OnePhase(Option<i32>),
    /// A branch that is prepared is to end, or to be forgotten; as before.
    Branch(Option<i32>),
    /// The branches that are prepared are to be listed.
    Recovered(Option<i32>),
}

impl Purpose for Asked {
    fn awaits_success(&self) -> bool {
        !matches!(self, Asked::Failure(_))
    }
}

impl Session for OpenWireSession {
    type Config = OpenWireConfig;

    fn new(config: Arc<OpenWireConfig>, name: Arc<str>) -> Self {
        let announced = Announced::new(config.origin.clone(), name.clone());
        let mut session = Self {
            decoder: Decoder::new(config.frames),
            operations: Operations::new(config.operations.clone()),
            config,
            phase: Phase::Negotiating,
            version: MAX_VERSION,
            input: BytesMut::new(),
            at_eof: false,
            inactivity: Inactivity::default(),
            connection: None,
            is_manageable: false,
            brokers: Arc::default(),
            client: None,
            windows: BTreeSet::new(),
            temporaries: Temporaries::default(),
            announced,
            doomed: BTreeMap::new(),
            listed: Vec::new(),
            name,
            consumers: BTreeMap::new(),
            pulls: BTreeSet::new(),
            last_destination: None,
            next_command: 1,
            answers: BytesMut::new(),
        };
        session.introduce();
        session
    }

    fn turn_away(why: &str) -> BytesMut {
        answers::turned_away(why)
    }

    fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    fn shrink_input(&mut self) {
        self.input = BytesMut::from(&self.input[..]);
    }

    fn handle_input(&mut self, now: Now) {
        self.inactivity.received(now.elapsed);
        self.process(now);
    }

    fn handle_eof(&mut self, now: Now) {
        self.at_eof = true;
        self.process(now);
    }

    fn handle_lost(&mut self, _now: Now) {
        if self.is_open() {
            reached(Point::ClientLost);
        }
        self.close();
        self.answers.clear();
    }

    fn handle_held_back(&mut self, now: Now) {
        self.inactivity.received(now.elapsed);
    }

    fn handle_outcome(&mut self, now: Now, tag: OpTag, outcome: Outcome) {
        if let Some(asked) = self.operations.handle_outcome(tag, outcome.is_ok()) {
            match outcome {
                Ok(()) => {
                    self.answer(&asked);
                    self.announce(now, &asked);
                }
                Err(Refusal::Unknown(_)) => self.close(),
                Err(refusal) if asked.is_about_branch() => {
                    self.refuse_about_branch(now, &asked, &refusal);
                }
                Err(Refusal::Branch(why)) => {
                    self.handle_refused(now, &asked, Exception::Jms, &why.to_string());
                }
                Err(Refusal::Rejected(why)) => {
                    self.handle_refused(now, &asked, Exception::Jms, &why)
                }
                Err(Refusal::Missing(why)) => {
                    self.handle_refused(now, &asked, Exception::InvalidDestination, &why);
                }
            }
        }
        self.process(now);
    }

    fn handle_held(&mut self, now: Now, tag: OpTag, is_held: bool) {
        self.operations.handle_held(now.elapsed, tag, is_held);
    }

    fn handle_delivery(&mut self, delivery: Delivery) {
        self.operations.handle_delivery(delivery);
    }

    fn handle_detached(&mut self, now: Now, consumer: ConsumerId, why: &str) {
        if self.operations.consumers().label(consumer).is_some() {
            self.fail(why);
        }
        self.process(now);
    }

    fn handle_browse_end(&mut self, consumer: ConsumerId) {
        self.operations.handle_browse_end(consumer);
    }

    fn handle_branches(&mut self, found: Vec<BranchInfo>) {
        self.listed = found;
    }

    fn handle_timeout(&mut self, now: Now) {
        let is_due = |at: Option<Duration>| at.is_some_and(|at| now.elapsed >= at);
        match self.phase {
            Phase::Negotiating | Phase::Connecting
                if now.elapsed >= self.config.connect_timeout =>
            {
                self.fail("no ConnectionInfo came in time");
                return;
            }
            Phase::Closed => return,
            _ => {}
        }
        if is_due(self.operations.answer_due()) {
            reached(Point::UnansweredInTime);
            self.close();
        } else if self.is_open() && is_due(self.inactivity.dead_at()) {
            reached(Point::ClientSilent);
            self.handle_lost(now);
        } else {
            self.end_pulls(now.elapsed);
            if is_due(self.inactivity.send_at()) {
                // Where something else waits to be sent, that does; either way the deadline moves on,
                // even if the client does not read.
                self.inactivity.sent(now.elapsed);
                if !self.has_output() {
                    self.keep_alive();
                }
            }
        }
        self.process(now);
    }

    fn handle_brokers(&mut self, brokers: &Arc<Brokers>) {
        self.brokers = brokers.clone();
        if self.phase == Phase::Open {
            self.tell_brokers();
        }
    }

    fn shut_down(&mut self, now: Now, why: &str) {
        match self.phase {
            Phase::Negotiating | Phase::Connecting => self.fail(why),
            // The connection's end says it: an error would reach the application.
            Phase::Open | Phase::Leaving { .. } => self.end(),
            Phase::Ending | Phase::Closed => {}
        }
        self.process(now);
    }

    fn poll_operation(&mut self) -> Option<Operation> {
        self.operations.poll()
    }

    fn poll_announcement(&mut self) -> Option<Announcement> {
        self.announced.advisories.poll()
    }

    fn poll_transmit(&mut self, now: Now, out: &mut BytesMut) -> bool {
        let before = out.len();
        if out.is_empty() {
            std::mem::swap(out, &mut self.answers);
        } else {
            out.extend_from_slice(&self.answers);
        }
        self.answers.clear();
        while out.len() - before < TRANSMIT_BYTES && self.write_delivery(now.elapsed, out) {}
        let any = out.len() > before;
        if any {
            self.inactivity.sent(now.elapsed);
        }
        any
    }

    fn poll_timeout(&self) -> Option<Duration> {
        let pull = self.pulls.first().map(|(until, _)| *until);
        let due = match self.phase {
            Phase::Negotiating | Phase::Connecting => {
                [Some(self.config.connect_timeout), None, None]
            }
            Phase::Open | Phase::Leaving { .. } => {
                [self.inactivity.dead_at(), self.operations.answer_due(), pull]
            }
            Phase::Ending => [self.operations.answer_due(), None, None],
            Phase::Closed => return None,
        };
        due.into_iter().chain([self.inactivity.send_at()]).flatten().min()
    }

    fn wants_input(&self) -> bool {
        self.takes_input() && !self.at_eof && self.has_room()
    }

    fn expected(&self) -> Option<Expected> {
        self.takes_input().then(|| self.decoder.expected())
    }

    fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }
}

impl OpenWireSession {
    fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Leaving { .. })
    }

    fn takes_input(&self) -> bool {
        matches!(self.phase, Phase::Negotiating | Phase::Connecting) || self.is_open()
    }

    /// Whether something is left to send.
    fn has_output(&self) -> bool {
        !self.answers.is_empty() || self.operations.consumers().has_waiting()
    }

    fn has_room(&self) -> bool {
        self.operations.have_room() && self.answers.len() < self.config.max_pending_output_bytes
    }

    /// Takes commands off the input as long as there is room for what they cause, and ends the
    /// session where it is to end.
    fn process(&mut self, now: Now) {
        while self.takes_input() && self.has_room() {
            match self.decoder.decode(&mut self.input) {
                Ok(Some(command)) => self.handle_command(now, command),
                Ok(None) => {
                    if self.at_eof {
                        reached(Point::ClientLost);
                        self.end();
                    }
                    break;
                }
                Err(error) => {
                    self.fail(&format!("malformed frame: {error}"));
                    break;
                }
            }
        }
        if !self.has_room() {
            reached(Point::ClientHeldBack);
            self.operations.hurry(now.elapsed);
        } else if matches!(self.phase, Phase::Leaving { .. } | Phase::Ending) {
            self.operations.hurry(now.elapsed);
        }
        if self.operations.are_answered() {
            match &mut self.phase {
                Phase::Leaving { command } => {
                    if let Some(command) = command.take() {
                        self.respond(command);
                    }
                }
                Phase::Ending => self.close(),
                _ => {}
            }
        }
    }

    /// No more input is taken; the session is closed when what is outstanding has ended.
    fn end(&mut self) {
        self.phase = Phase::Ending;
        self.end_consumers();
        self.input = BytesMut::new();
    }

    fn end_consumers(&mut self) {
        self.operations.handle_end();
        self.doomed.clear();
        self.consumers.clear();
        self.pulls.clear();
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.end_consumers();
        self.input = BytesMut::new();
    }

    /// Appends a command to what is to be sent, unless the session is over.
    fn send(&mut self, number: impl FnOnce(i32) -> Command) {
        if !self.is_closed() {
            let command = number(self.next_command);
            self.next_command = self.next_command.wrapping_add(1);
            command.encode(self.version, &mut self.answers);
        }
    }
}
