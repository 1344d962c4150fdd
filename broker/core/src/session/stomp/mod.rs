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
//! - Input is taken as long as what it has caused is within [`StompConfig::operations`] and
//!   [`StompConfig::max_pending_output_bytes`].

mod announcing;
mod answers;
mod config;
mod destinations;
mod durable;
mod frames;
mod heart_beat;
mod maps;
mod message;
mod subscriptions;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::{BufMut, BytesMut};
use paceline_reached::{Point, reached};
use paceline_wire::{
    Expected,
    stomp::{Command, Decoder, Frame, FrameWriter, HEART_BEAT, Text, Version, header},
};

pub use self::config::StompConfig;
use self::{
    heart_beat::HeartBeat,
    message::Recipient,
    subscriptions::{AckMode, Key, Subscription},
};
use super::{
    Now, Operations, Session,
    advisory::Advisories,
    consumers::{Handed, Settles},
    operations::Purpose,
};
use crate::{
    Destination, DestinationKind,
    operation::{ConsumerId, Delivery, OpTag, Operation, Outcome},
    presence::{Announcement, PresenceId},
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
    /// What others are told of the client, and of which of its subscriptions.
    advisories: Advisories,
    told: BTreeMap<ConsumerId, Vec<PresenceId>>,
    /// Whose durable subscriptions its are.
    client: Option<Text>,
    /// The last SEND's destination header and what it means: producers repeat themselves.
    last_destination: Option<(Text, Arc<[Destination]>)>,
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

impl Session for StompSession {
    type Config = StompConfig;

    fn new(config: Arc<StompConfig>, name: Arc<str>) -> Self {
        Self {
            decoder: Decoder::new(config.frames),
            operations: Operations::new(config.operations.clone()),
            advisories: Advisories::new(config.origin.clone(), name.clone()),
            told: BTreeMap::new(),
            config,
            name,
            next_message: 0,
            phase: Phase::Connecting,
            version: Version::V1_0,
            input: BytesMut::new(),
            at_eof: false,
            heart_beat: HeartBeat::default(),
            subscriptions: BTreeMap::new(),
            client: None,
            last_destination: None,
            answers: BytesMut::new(),
        }
    }

    fn turn_away(why: &str) -> BytesMut {
        let mut out = BytesMut::new();
        // The client's version is unknown; 1.0 is read by all.
        Frame::new(Command::Error).with(header::MESSAGE, why).encode(Version::V1_0, &mut out);
        out
    }

    fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    fn shrink_input(&mut self) {
        self.input = BytesMut::from(&self.input[..]);
    }

    fn handle_input(&mut self, now: Now) {
        self.heart_beat.received(now.elapsed);
        self.process(now);
    }

    fn handle_eof(&mut self, now: Now) {
        self.at_eof = true;
        self.process(now);
    }

    fn handle_lost(&mut self, now: Now) {
        if matches!(self.phase, Phase::Open) {
            self.give_up_work(now);
        }
        self.close();
        self.answers.clear();
    }

    fn handle_held_back(&mut self, now: Now) {
        self.heart_beat.received(now.elapsed);
    }

    fn handle_outcome(&mut self, now: Now, tag: OpTag, outcome: Outcome) {
        if let Some(asked) = self.operations.handle_outcome(tag, outcome.is_ok()) {
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

    fn handle_held(&mut self, now: Now, tag: OpTag, is_held: bool) {
        self.operations.handle_held(now.elapsed, tag, is_held);
    }

    fn handle_delivery(&mut self, delivery: Delivery) {
        self.operations.handle_delivery(delivery);
    }

    fn handle_detached(&mut self, now: Now, consumer: ConsumerId, why: &str) {
        if self.operations.consumers().label(consumer).is_some() {
            self.fail(&format!("SUBSCRIBE: {why}"), None, None);
        }
        self.process(now);
    }

    fn handle_browse_end(&mut self, consumer: ConsumerId) {
        self.operations.handle_browse_end(consumer);
    }

    fn handle_timeout(&mut self, now: Now) {
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

    fn shut_down(&mut self, now: Now, why: &str) {
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

    fn poll_operation(&mut self) -> Option<Operation> {
        self.operations.poll()
    }

    fn poll_announcement(&mut self) -> Option<Announcement> {
        self.advisories.poll()
    }

    fn poll_transmit(&mut self, now: Now, out: &mut BytesMut) -> bool {
        let before = out.len();
        if out.is_empty() {
            std::mem::swap(out, &mut self.answers);
        } else {
            out.extend_from_slice(&self.answers);
        }
        self.answers.clear();
        while out.len() - before < TRANSMIT_BYTES && self.write_next(now, out) {}
        let any = out.len() > before;
        if any {
            self.heart_beat.sent(now.elapsed);
        }
        any
    }

    fn poll_timeout(&self) -> Option<Duration> {
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

    fn wants_input(&self) -> bool {
        matches!(self.phase, Phase::Connecting | Phase::Open) && !self.at_eof && self.has_room()
    }

    fn expected(&self) -> Option<Expected> {
        matches!(self.phase, Phase::Connecting | Phase::Open).then(|| self.decoder.expected())
    }

    fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }
}

impl StompSession {
    /// Whether something is left to send.
    fn has_output(&self) -> bool {
        !self.answers.is_empty() || self.operations.consumers().has_waiting()
    }

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
            self.operations.hurry(now.elapsed);
        } else if matches!(self.phase, Phase::Ending { .. }) {
            self.operations.hurry(now.elapsed);
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

    /// Appends the next MESSAGE; false if there is none.
    fn write_next(&mut self, now: Now, out: &mut BytesMut) -> bool {
        if let Some(browser) = self.operations.take_browse_end() {
            write_browse_end(browser, self.version, out);
            return true;
        }
        let Some(handed) = self.operations.hand_out(now.elapsed) else { return false };
        let is_own = || handed.delivery.message.id.starts_with(&frames::ids_begin_with(&self.name));
        // A queue's messages are for somebody, whoever sent them.
        let is_topics = handed.delivery.message.destination.kind == DestinationKind::Topic;
        if !handed.label.no_local || !is_topics || !is_own() {
            write_delivery(&self.name, &handed, self.version, out);
            return true;
        }
        let (consumer, place) = (handed.delivery.consumer, handed.place);
        if handed.settles == Settles::ByClient {
            self.leave_out(now, consumer, place);
        }
        true
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

fn write_delivery(
    session: &str,
    handed: &Handed<'_, Subscription>,
    version: Version,
    out: &mut BytesMut,
) {
    let Handed { delivery, place, label, settles } = handed;
    // STOMP 1.2 "MESSAGE": only where the client has to acknowledge. One that browses may, in vain.
    let is_asked = *settles == Settles::ByClient || label.browses.is_some();
    let is_acknowledged = version == Version::V1_2 && is_asked && label.mode != AckMode::Auto;
    let recipient = Recipient {
        session,
        subscription: label.id(),
        ack: is_acknowledged.then_some((delivery.consumer, *place)),
        maps: label.maps,
    };
    message::write(delivery, &recipient, version, out);
}

/// As ActiveMQ has it.
fn write_browse_end(browser: &Subscription, version: Version, out: &mut BytesMut) {
    let mut frame = FrameWriter::begin(out, version, Command::Message);
    if let Some(id) = browser.id() {
        frame.header(header::SUBSCRIPTION, id);
    }
    frame.header(header::MESSAGE_ID, "0");
    if let Some(queue) = &browser.browses {
        frame.header(header::DESTINATION, &queue.to_string());
    }
    frame.header(header::BROWSER, "end");
    frame.finish(b"");
}
