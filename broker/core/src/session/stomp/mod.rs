//! A STOMP client's session, versions 1.0, 1.1 and 1.2.
//!
//! What follows from the specification and is not obvious:
//!
//! - A RECEIPT is sent when the outcome of its frame's operation is known, so one for a persistent
//!   SEND means that the message is on the disks of a majority. Receipts come in the order of the
//!   outcomes, not of the frames.
//! - An `auto` subscription's deliveries are settled when their frames were handed out for sending.
//! - Any violation of the protocol and any refused operation is answered by an ERROR frame that says
//!   what is wrong, after which the session is closed ("ERROR": "it MUST then close").
//! - A client that goes without DISCONNECT is taken to have died of the message it was working on:
//!   the oldest unsettled delivery of each of its subscriptions counts as rejected, so that a message which
//!   kills its consumers is dead-lettered in the end.
//! - Input is taken as long as what it has caused is bounded; see [`StompSession::wants_input`].

mod answers;
mod config;
mod frames;
mod heart_beat;
mod message;
mod subscriptions;
mod unsupported;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::{BufMut, BytesMut};
use paceline_reached::{Point, reached};
use paceline_wire::stomp::{Command, Decoder, Expected, HEART_BEAT, Text, Version};

pub use self::config::StompConfig;
use self::{
    heart_beat::HeartBeat,
    message::Recipient,
    subscriptions::{Key, Subscription},
};
use super::{
    Now, Operations,
    consumers::{Handed, Settles},
    operations::Purpose,
};
use crate::{
    Destination,
    operation::{ConsumerId, Delivery, OpTag, Operation, Outcome},
};

/// At most about so many bytes are handed out for sending at a time.
const TRANSMIT_BYTES: usize = 64 * 1024;

/// One client's session. See the module's and [`super`]'s documentation.
#[derive(Debug)]
pub struct StompSession {
    config: Arc<StompConfig>,
    /// Unique over the cluster and over restarts; part of message ids.
    name: Arc<str>,
    next_message: u64,
    phase: Phase,
    version: Version,
    decoder: Decoder,
    input: BytesMut,
    at_eof: bool,
    heart_beat: HeartBeat,
    operations: Operations<Asked, Text, Subscription>,
    subscriptions: BTreeMap<Key, ConsumerId>,
    /// The last SEND's destination header and what it means: producers repeat themselves.
    last_destination: Option<(Text, Destination)>,
    /// Frames other than MESSAGE to hand out.
    answers: BytesMut,
}

#[derive(Debug)]
enum Phase {
    /// No CONNECT yet.
    Connecting,
    /// Frames are taken.
    Open,
    /// No more input; what is outstanding ends first.
    Ending {
        /// Of the DISCONNECT frame.
        receipt: Option<Text>,
        /// Why the server ends the session, if it does.
        error: Option<String>,
    },
    /// Nothing but what is left to send.
    Closed,
}

/// The frame that an operation's outcome is for.
#[derive(Debug)]
struct Asked {
    /// For the text of an ERROR.
    command: Command,
    receipt: Option<Text>,
}

impl Asked {
    fn by(command: Command, receipt: Option<&Text>) -> Self {
        // A copy, so as not to keep the receive buffer.
        Self { command, receipt: receipt.map(|receipt| Text::from(receipt.as_str())) }
    }
}

impl Purpose for Asked {
    fn awaits_success(&self) -> bool {
        self.receipt.is_some()
    }
}

impl StompSession {
    /// A session that begins now. `name` must be unique over the cluster and over restarts: ids of
    /// messages are made of it.
    pub fn new(config: Arc<StompConfig>, name: Arc<str>) -> Self {
        Self {
            decoder: Decoder::new(config.frames),
            operations: Operations::new(config.operations.clone()),
            config,
            name,
            next_message: 0,
            phase: Phase::Connecting,
            version: Version::V1_0,
            input: BytesMut::new(),
            at_eof: false,
            heart_beat: HeartBeat::default(),
            subscriptions: BTreeMap::new(),
            last_destination: None,
            answers: BytesMut::new(),
        }
    }

    // ---- what happened --------------------------------------------------------------------------

    /// Bytes arrived. Call it only while [`Self::wants_input`] says so; what it is given besides is
    /// kept, whatever it costs.
    pub fn handle_bytes(&mut self, now: Now, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.handle_input(now);
    }

    /// The buffer that arriving bytes may be appended to without a copy, before
    /// [`Self::handle_input`] is called.
    pub fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// What the unfinished frame in [`Self::input`] may come to need there; `None` once the session
    /// takes no more.
    pub fn expected(&self) -> Option<Expected> {
        matches!(self.phase, Phase::Connecting | Phase::Open).then(|| self.decoder.expected())
    }

    /// Lets go of the memory that a large frame came in, but for what follows it.
    pub fn shrink_input(&mut self) {
        self.input = BytesMut::from(&self.input[..]);
    }

    /// Bytes were appended to [`Self::input`].
    pub fn handle_input(&mut self, now: Now) {
        self.heart_beat.received(now.elapsed);
        self.process(now);
    }

    /// The client will send no more. What it sent is still carried out.
    pub fn handle_eof(&mut self, now: Now) {
        self.at_eof = true;
        self.process(now);
    }

    /// The connection broke. What the client sent is still carried out, but nothing can be answered.
    pub fn handle_lost(&mut self, now: Now) {
        if matches!(self.phase, Phase::Open) {
            self.give_up_work(now);
        }
        self.close();
        self.answers.clear();
    }

    /// The connection was not reading, for want of room; the silence is not the client's.
    pub fn handle_held_back(&mut self, now: Now) {
        self.heart_beat.received(now.elapsed);
    }

    /// An operation has ended.
    ///
    /// # Panics
    ///
    /// If no such operation is outstanding.
    pub fn handle_outcome(&mut self, now: Now, tag: OpTag, outcome: Outcome) {
        if let Some(asked) = self.operations.handle_outcome(tag) {
            match outcome {
                Ok(()) => self.answer_receipt(asked.receipt.as_ref()),
                Err(refusal) => {
                    let text = format!("{}: {refusal}", asked.command.as_str());
                    self.fail(&text, asked.receipt.as_ref(), None);
                }
            }
        }
        self.process(now);
    }

    /// A message for one of the session's consumers. One for a subscription that has ended is
    /// dropped: ending it gave it back.
    pub fn handle_delivery(&mut self, delivery: Delivery) {
        self.operations.handle_delivery(delivery);
    }

    /// A deadline that [`Self::poll_timeout`] gave may have passed.
    pub fn handle_timeout(&mut self, now: Now) {
        match self.phase {
            Phase::Connecting if now.elapsed >= self.config.connect_timeout => {
                self.fail("no CONNECT frame came in time", None, None);
            }
            Phase::Open | Phase::Ending { .. }
                if self.operations.answer_due().is_some_and(|at| now.elapsed >= at) =>
            {
                self.fail_unanswered();
            }
            Phase::Open | Phase::Ending { .. } => {
                // A dead peer reads no ERROR frame.
                if matches!(self.phase, Phase::Open)
                    && self.heart_beat.dead_at().is_some_and(|at| now.elapsed >= at)
                {
                    reached(Point::ClientSilent);
                    self.handle_lost(now);
                } else if self.heart_beat.send_at().is_some_and(|at| now.elapsed >= at) {
                    // Where something else waits to be sent, that does; either way the deadline
                    // moves on, even if the client does not read.
                    self.heart_beat.sent(now.elapsed);
                    if !self.has_output() {
                        self.answers.put_slice(HEART_BEAT);
                    }
                }
            }
            _ => {}
        }
    }

    /// The server ends the session, because it is going away or has no room: no more input is taken,
    /// what is outstanding ends, and the client is told why.
    pub fn shut_down(&mut self, now: Now, why: &str) {
        match self.phase {
            Phase::Connecting | Phase::Open => {
                self.phase = Phase::Ending { receipt: None, error: Some(why.into()) };
                self.end_consumers();
                self.input = BytesMut::new();
            }
            Phase::Ending { .. } | Phase::Closed => {}
        }
        self.process(now);
    }

    // ---- what is to be done ---------------------------------------------------------------------

    /// The next operation to submit. Still to be called once the session is closed: a client's last
    /// frames may stand before the one that closed it.
    pub fn poll_operation(&mut self) -> Option<Operation> {
        self.operations.poll()
    }

    /// Appends bytes to send, some 64 KiB at a time; false where there are none. What is handed out
    /// counts as sent.
    pub fn poll_transmit(&mut self, now: Now, out: &mut BytesMut) -> bool {
        let before = out.len();
        if out.is_empty() {
            std::mem::swap(out, &mut self.answers);
        } else {
            out.extend_from_slice(&self.answers);
        }
        self.answers.clear();
        while out.len() - before < TRANSMIT_BYTES
            && let Some(handed) = self.operations.hand_out(now.elapsed)
        {
            write_delivery(&handed, self.version, out);
        }
        let any = out.len() > before;
        if any {
            self.heart_beat.sent(now.elapsed);
        }
        any
    }

    /// Since the session began: when [`Self::handle_timeout`] is to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Duration> {
        match self.phase {
            Phase::Connecting => Some(self.config.connect_timeout),
            Phase::Open => {
                let heart_beats = [self.heart_beat.send_at(), self.heart_beat.dead_at()];
                heart_beats.into_iter().chain([self.operations.answer_due()]).flatten().min()
            }
            Phase::Ending { .. } => [self.heart_beat.send_at(), self.operations.answer_due()]
                .into_iter()
                .flatten()
                .min(),
            Phase::Closed => None,
        }
    }

    /// Whether to read on. False while the client has caused more than it may at a time
    /// ([`StompConfig::operations`], [`StompConfig::max_pending_output_bytes`]), and for good once
    /// the session ends.
    pub fn wants_input(&self) -> bool {
        matches!(self.phase, Phase::Connecting | Phase::Open) && !self.at_eof && self.has_room()
    }

    /// Whether the session is over. What [`Self::poll_operation`] and [`Self::poll_transmit`] still
    /// give is to be carried out; then the connection closes.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Whether something is left to send.
    pub fn has_output(&self) -> bool {
        !self.answers.is_empty() || self.operations.consumers().has_waiting()
    }

    // ---- the course of a session -----------------------------------------------------------------

    fn has_room(&self) -> bool {
        self.operations.have_room() && self.answers.len() < self.config.max_pending_output_bytes
    }

    /// Takes frames off the input as long as there is room for what they cause, and ends the
    /// session where it is to end.
    fn process(&mut self, now: Now) {
        while matches!(self.phase, Phase::Connecting | Phase::Open) && self.has_room() {
            match self.decoder.decode(&mut self.input) {
                Ok(Some(frame)) => self.handle_frame(now, &frame),
                Ok(None) => {
                    if self.at_eof {
                        self.give_up_work(now);
                        self.phase = Phase::Ending { receipt: None, error: None };
                        self.end_consumers();
                        self.input = BytesMut::new();
                    }
                    break;
                }
                Err(error) => {
                    self.fail(&format!("malformed frame: {error}"), None, None);
                    break;
                }
            }
        }
        if !self.has_room() {
            reached(Point::ClientHeldBack);
        }
        if let Phase::Ending { receipt, error } = &mut self.phase
            && self.operations.are_answered()
        {
            let (receipt, error) = (receipt.take(), error.take());
            match error {
                Some(why) => self.fail(&why, None, None),
                None => {
                    self.answer_receipt(receipt.as_ref());
                    self.close();
                }
            }
        }
    }

    /// The client has died, perhaps of what it was working on.
    fn give_up_work(&mut self, now: Now) {
        reached(Point::ClientLost);
        self.operations.handle_death(now.elapsed);
    }

    fn end_consumers(&mut self) {
        self.operations.handle_end();
        self.subscriptions.clear();
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.end_consumers();
        self.input = BytesMut::new();
    }
}

fn write_delivery(handed: &Handed<'_, Subscription>, version: Version, out: &mut BytesMut) {
    let Handed { delivery, place, label, settles } = handed;
    // STOMP 1.2 "MESSAGE": only where the client has to acknowledge.
    let is_acknowledged = version == Version::V1_2 && *settles == Settles::ByClient;
    let recipient = Recipient {
        subscription: label.id(),
        ack: is_acknowledged.then_some((delivery.consumer, *place)),
    };
    message::write(delivery, &recipient, version, out);
}
