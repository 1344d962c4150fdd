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

mod config;
mod heart_beat;
mod message;
mod subscriptions;
mod transactions;
mod unsupported;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::{BufMut, BytesMut};
use paceline_reached::{Point, reached};
use paceline_wire::stomp::{
    Command, Decoder, Expected, Frame, FrameWriter, HEART_BEAT, Text, Version, header,
};

pub use self::config::StompConfig;
use self::{
    heart_beat::HeartBeat,
    message::Recipient,
    subscriptions::{AckMode, Key, Place, Subscriptions},
    transactions::Transactions,
};
use super::Now;
use crate::{
    Destination, Message,
    operation::{ConsumerId, Delivery, DeliveryId, OpTag, Operation, Outcome, Refusal, Settlement},
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
    subscriptions: Subscriptions,
    transactions: Transactions,
    /// The last SEND's destination header and what it means: producers repeat themselves.
    last_destination: Option<(Text, Destination)>,
    /// Operations to hand out.
    operations: VecDeque<Operation>,
    /// Operations without an outcome, handed out or not.
    outstanding: BTreeMap<OpTag, Outstanding>,
    outstanding_bytes: usize,
    next_tag: u64,
    /// Whether something was asked since the last [`Operation::Hurry`] that may take its time.
    unhurried: bool,
    /// When something last happened, since the session began: when new operations are asked.
    last_event: Duration,
    /// Frames other than MESSAGE to hand out.
    answers: BytesMut,
    /// Deliveries to hand out.
    deliveries: VecDeque<Delivery>,
    /// Deliveries of `auto` subscriptions that were handed out.
    auto_settled: Vec<DeliveryId>,
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

/// What the outcome of an operation is for.
#[derive(Debug)]
struct Outstanding {
    receipt: Option<Text>,
    /// For the text of an ERROR; `None` where a refusal is no matter to the client.
    asked_by: Option<Command>,
    bytes: usize,
    asked_at: Duration,
}

impl StompSession {
    /// A session that begins now. `name` must be unique over the cluster and over restarts: ids of
    /// messages are made of it.
    pub fn new(config: Arc<StompConfig>, name: Arc<str>) -> Self {
        Self {
            decoder: Decoder::new(config.limits),
            config,
            name,
            next_message: 0,
            phase: Phase::Connecting,
            version: Version::V1_0,
            input: BytesMut::new(),
            at_eof: false,
            heart_beat: HeartBeat::default(),
            subscriptions: Subscriptions::default(),
            transactions: Transactions::default(),
            last_destination: None,
            operations: VecDeque::new(),
            outstanding: BTreeMap::new(),
            outstanding_bytes: 0,
            next_tag: 0,
            unhurried: false,
            last_event: Duration::ZERO,
            answers: BytesMut::new(),
            deliveries: VecDeque::new(),
            auto_settled: Vec::new(),
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
    pub fn handle_lost(&mut self) {
        if matches!(self.phase, Phase::Open) {
            self.give_up_work();
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
        let waiting = self.outstanding.remove(&tag).expect("one outcome for each operation");
        self.outstanding_bytes -= waiting.bytes;
        match (outcome, waiting.asked_by) {
            (Ok(()), _) => self.answer_receipt(waiting.receipt),
            (Err(_), None) => {}
            (Err(refusal), Some(command)) => {
                let text = format!("{}: {refusal}", command.as_str());
                self.fail(&text, waiting.receipt.as_ref(), None);
            }
        }
        self.process(now);
    }

    /// A message for one of the session's consumers. One for a subscription that has ended is
    /// dropped: ending it gave it back.
    pub fn handle_delivery(&mut self, delivery: Delivery) {
        if matches!(self.phase, Phase::Open) && self.subscriptions.get(delivery.consumer).is_some()
        {
            self.deliveries.push_back(delivery);
        }
    }

    /// A deadline that [`Self::poll_timeout`] gave may have passed.
    pub fn handle_timeout(&mut self, now: Now) {
        match self.phase {
            Phase::Connecting if now.elapsed >= self.config.connect_timeout => {
                self.fail("no CONNECT frame came in time", None, None);
            }
            Phase::Open | Phase::Ending { .. }
                if self.answer_due().is_some_and(|at| now.elapsed >= at) =>
            {
                self.fail_unanswered();
            }
            Phase::Open | Phase::Ending { .. } => {
                // A dead peer reads no ERROR frame.
                if matches!(self.phase, Phase::Open)
                    && self.heart_beat.dead_at().is_some_and(|at| now.elapsed >= at)
                {
                    reached(Point::ClientSilent);
                    self.handle_lost();
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
        if let Some(operation) = self.operations.pop_front() {
            return Some(operation);
        }
        if self.auto_settled.is_empty() {
            return None;
        }
        let deliveries = std::mem::take(&mut self.auto_settled);
        Some(self.settle_unawaited(deliveries))
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
            && let Some(delivery) = self.deliveries.pop_front()
        {
            self.write_delivery(&delivery, out);
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
                heart_beats.into_iter().chain([self.answer_due()]).flatten().min()
            }
            Phase::Ending { .. } => {
                [self.heart_beat.send_at(), self.answer_due()].into_iter().flatten().min()
            }
            Phase::Closed => None,
        }
    }

    /// Whether to read on. False while the client has caused more than it may at a time
    /// ([`StompConfig::max_outstanding_operations`] and its neighbours), and for good once the
    /// session ends.
    pub fn wants_input(&self) -> bool {
        let config = &*self.config;
        matches!(self.phase, Phase::Connecting | Phase::Open)
            && !self.at_eof
            && self.has_room(config)
    }

    /// Whether the session is over. What [`Self::poll_operation`] and [`Self::poll_transmit`] still
    /// give is to be carried out; then the connection closes.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Whether something is left to send.
    pub fn has_output(&self) -> bool {
        !self.answers.is_empty() || !self.deliveries.is_empty()
    }

    // ---- frames ---------------------------------------------------------------------------------

    fn has_room(&self, config: &StompConfig) -> bool {
        self.outstanding.len() < config.max_outstanding_operations
            && self.outstanding_bytes < config.max_outstanding_bytes
            && self.answers.len() < config.max_pending_output_bytes
    }

    /// Takes frames off the input as long as there is room for what they cause, and ends the
    /// session where it is to end.
    fn process(&mut self, now: Now) {
        self.last_event = now.elapsed;
        let config = self.config.clone();
        while matches!(self.phase, Phase::Connecting | Phase::Open) && self.has_room(&config) {
            match self.decoder.decode(&mut self.input) {
                Ok(Some(frame)) => self.handle_frame(now, &frame),
                Ok(None) => {
                    if self.at_eof {
                        self.give_up_work();
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
        if !self.has_room(&config) {
            reached(Point::ClientHeldBack);
            self.hurry();
        } else if matches!(self.phase, Phase::Ending { .. }) {
            self.hurry();
        }
        if let Phase::Ending { receipt, error } = &mut self.phase
            && self.outstanding.is_empty()
        {
            let (receipt, error) = (receipt.take(), error.take());
            match error {
                Some(why) => self.fail(&why, None, None),
                None => {
                    self.answer_receipt(receipt);
                    self.close();
                }
            }
        }
    }

    fn handle_frame(&mut self, now: Now, frame: &Frame) {
        // STOMP 1.2 "Header receipt": any client frame other than CONNECT may ask for one.
        let receipt = frame.header(header::RECEIPT).cloned();
        let handled = match (&self.phase, frame.command) {
            (Phase::Connecting, Command::Connect | Command::Stomp) => self.connect(now, frame),
            (Phase::Connecting, command) => Err(format!("{} before CONNECT", command.as_str())),
            (_, Command::Connect | Command::Stomp) => Err("the session is already open".into()),
            (_, Command::Send) => self.send(now, frame, receipt.clone()),
            (_, Command::Subscribe) => self.subscribe(frame, receipt.clone()),
            (_, Command::Unsubscribe) => self.unsubscribe(frame, receipt.clone()),
            (_, Command::Ack) => self.settle(frame, Settlement::Accept, receipt.clone()),
            (_, Command::Nack) => self.settle(frame, Settlement::Reject, receipt.clone()),
            (_, Command::Begin) => self.begin(frame, receipt.clone()),
            (_, Command::Commit) => self.commit(frame, receipt.clone()),
            (_, Command::Abort) => self.abort(frame, receipt.clone()),
            (_, Command::Disconnect) => {
                reached(Point::Disconnected);
                self.phase = Phase::Ending { receipt: receipt.clone(), error: None };
                self.end_consumers();
                Ok(())
            }
            (_, Command::Connected | Command::Message | Command::Receipt | Command::Error) => {
                Err("only a server sends this frame".into())
            }
        };
        if let Err(violation) = handled {
            let text = format!("{}: {violation}", frame.command.as_str());
            self.fail(&text, receipt.as_ref(), Some(frame));
        }
    }

    /// STOMP 1.2 "CONNECT or STOMP Frame" and "Protocol Negotiation". Any `host` is taken for this
    /// cluster, as the specification allows where there are no virtual hosts.
    fn connect(&mut self, now: Now, frame: &Frame) -> Result<(), String> {
        let version = match frame.header(header::ACCEPT_VERSION) {
            None => Version::V1_0,
            Some(accepted) => {
                let known = accepted.split(',').filter_map(|text| Version::parse(text.trim()));
                known.max().ok_or_else(|| {
                    format!("none of the versions `{accepted}` is supported; 1.0, 1.1 and 1.2 are")
                })?
            }
        };
        if version >= Version::V1_1 {
            let (client_can, client_wants) = match frame.header(header::HEART_BEAT) {
                None => Default::default(),
                Some(text) => HeartBeat::parse(text)?,
            };
            let (server_can, server_wants) =
                (self.config.heart_beat_send, self.config.heart_beat_expect);
            self.heart_beat =
                HeartBeat::agree(client_can, client_wants, server_can, server_wants, now.elapsed);
        }
        self.version = version;
        self.decoder.set_version(version);
        self.phase = Phase::Open;

        let mut connected = FrameWriter::begin(&mut self.answers, version, Command::Connected);
        connected.header(header::VERSION, version.as_str());
        connected.header(header::SESSION, &self.name);
        connected.header(header::SERVER, &self.config.server);
        if version >= Version::V1_1 {
            let millis = |every: Duration| every.as_millis().to_string();
            connected.header_parts(
                header::HEART_BEAT,
                &[
                    &millis(self.config.heart_beat_send),
                    ",",
                    &millis(self.config.heart_beat_expect),
                ],
            );
        }
        connected.finish(b"");
        Ok(())
    }

    /// STOMP 1.2 "SEND".
    fn send(&mut self, now: Now, frame: &Frame, receipt: Option<Text>) -> Result<(), String> {
        unsupported::refuse_headers(frame)?;
        let destination = self.destination_of_send(frame)?;
        let id = format!("ID:{}:{}", self.name, self.next_message).into();
        let message = Arc::new(message::read(frame, destination, id, now.wall)?);
        self.next_message += 1;
        let bytes = weight(&message);
        match frame.header(header::TRANSACTION) {
            None => {
                let tag = self.outstanding(Some(Command::Send), receipt, bytes);
                self.operations.push_back(Operation::Publish { tag, message });
            }
            Some(name) => {
                let config = self.config.clone();
                self.transactions.get(name)?.publish(message, bytes, &config)?;
                self.answer_receipt(receipt);
            }
        }
        Ok(())
    }

    fn destination_of_send(&mut self, frame: &Frame) -> Result<Destination, String> {
        let text = required(frame, header::DESTINATION)?;
        if let Some((last, destination)) = &self.last_destination
            && last == text
        {
            return Ok(destination.clone());
        }
        let destination = unsupported::read_destination(text)?;
        if destination.is_pattern() {
            return Err(format!("`{text}` holds a wildcard; a message goes to one destination"));
        }
        // A copy, so as not to keep the receive buffer.
        self.last_destination = Some((Text::from(text.as_str()), destination.clone()));
        Ok(destination)
    }

    /// STOMP 1.2 "SUBSCRIBE". The `id` is required from 1.1 on.
    fn subscribe(&mut self, frame: &Frame, receipt: Option<Text>) -> Result<(), String> {
        unsupported::refuse_headers(frame)?;
        let text = required(frame, header::DESTINATION)?;
        let source = unsupported::read_destination(text)?;
        let key = self.subscription_key(frame)?;
        if self.subscriptions.contains(&key) {
            return Err(match key {
                Key::Id(id) => format!("the id `{id}` is already in use by a subscription"),
                Key::Destination(_) => format!(
                    "there is a subscription on `{text}` already; a second one needs an `id`"
                ),
            });
        }
        if self.subscriptions.len() >= self.config.max_subscriptions {
            let max = self.config.max_subscriptions;
            return Err(format!("the session has {max} subscriptions, which is the most allowed"));
        }
        let mode = match frame.header(header::ACK) {
            None => AckMode::Auto,
            Some(text) => AckMode::parse(text).ok_or_else(|| {
                format!("`ack` is auto, client or client-individual, not `{text}`")
            })?,
        };
        let prefetch = match frame.header(header::PREFETCH_SIZE) {
            None => self.config.default_prefetch,
            Some(text) => match text.trim().parse::<u32>() {
                // ActiveMQ's 0 makes a consumer pull, for which STOMP has no frame.
                Ok(prefetch) if prefetch > 0 => prefetch,
                _ => {
                    let name = header::PREFETCH_SIZE;
                    return Err(format!("`{name}` is a number from 1, not `{text}`"));
                }
            },
        };
        let prefetch = prefetch.clamp(1, self.config.max_prefetch.max(1));
        let consumer = self.subscriptions.add(key, mode, prefetch);
        let tag = self.outstanding(Some(Command::Subscribe), receipt, 0);
        self.operations.push_back(Operation::Subscribe { tag, consumer, source, prefetch });
        Ok(())
    }

    /// STOMP 1.2 "UNSUBSCRIBE".
    fn unsubscribe(&mut self, frame: &Frame, receipt: Option<Text>) -> Result<(), String> {
        unsupported::refuse_headers(frame)?;
        let key = self.subscription_key(frame)?;
        let Some(consumer) = self.subscriptions.remove(&key) else {
            let (Key::Id(text) | Key::Destination(text)) = key;
            return Err(format!("there is no subscription `{text}`"));
        };
        self.deliveries.retain(|delivery| delivery.consumer != consumer);
        let tag = self.outstanding(Some(Command::Unsubscribe), receipt, 0);
        self.operations.push_back(Operation::Unsubscribe { tag, consumer, failed: None });
        Ok(())
    }

    /// By its id, which 1.0 allows to be left out (STOMP 1.0 "SUBSCRIBE", "UNSUBSCRIBE").
    fn subscription_key(&self, frame: &Frame) -> Result<Key, String> {
        match frame.header(header::ID) {
            // A copy, so as not to keep the receive buffer.
            Some(id) => Ok(Key::Id(Text::from(id.as_str()))),
            None if self.version == Version::V1_0 => {
                let destination = required(frame, header::DESTINATION)?;
                Ok(Key::Destination(Text::from(destination.as_str())))
            }
            None => Err("the header `id` is missing".into()),
        }
    }

    /// ACK and NACK.
    fn settle(
        &mut self,
        frame: &Frame,
        how: Settlement,
        receipt: Option<Text>,
    ) -> Result<(), String> {
        let place = self.place_of(frame)?;
        // A transaction that does not exist must leave the delivery as it is.
        let transaction = frame.header(header::TRANSACTION);
        if let Some(name) = transaction {
            self.transactions.get(name)?;
        }
        let taken = self.subscriptions.take(place);
        if taken.is_empty() {
            return Err("that delivery is not open: it was settled before, or never sent".into());
        }
        if let Some(name) = transaction {
            let transaction = self.transactions.get(name)?;
            transaction.check_room(taken.len(), &self.config)?;
            let (consumer, count) = (place.0, taken.len() as u32);
            for (place, unsettled) in taken {
                transaction.settles.push((place, unsettled, how));
            }
            let window = self.subscriptions.pledge(consumer, count);
            self.set_prefetch(consumer, window);
            self.answer_receipt(receipt);
            return Ok(());
        }
        let settled = taken.into_iter().map(|(_, unsettled)| unsettled.delivery);
        // Acknowledgements that came in one read travel as one operation.
        if receipt.is_none()
            && let Some(Operation::Settle { deliveries, how: earlier, awaited: false, .. }) =
                self.operations.back_mut()
            && *earlier == how
        {
            deliveries.extend(settled);
            return Ok(());
        }
        let deliveries = settled.collect();
        let awaited = receipt.is_some();
        self.unhurried |= !awaited;
        let tag = self.outstanding(Some(frame.command), receipt, 0);
        self.operations.push_back(Operation::Settle { tag, deliveries, how, awaited });
        Ok(())
    }

    /// Which delivery an ACK or NACK means, in each version's words: `id` in 1.2, `message-id` and
    /// `subscription` in 1.1, `message-id` in 1.0 ("ACK" in each specification).
    fn place_of(&self, frame: &Frame) -> Result<Place, String> {
        if self.version == Version::V1_0 && frame.command == Command::Nack {
            return Err("STOMP 1.0 has no such frame".into());
        }
        if self.version == Version::V1_2 {
            let id = required(frame, header::ID)?;
            let (consumer, place) = message::parse_ack_id(id)
                .ok_or_else(|| format!("`{id}` is no id of an `ack` header"))?;
            return Ok((ConsumerId(consumer), place));
        }
        let message_id = required(frame, header::MESSAGE_ID)?;
        let found = match frame.header(header::SUBSCRIPTION) {
            Some(subscription) => self.subscriptions.find(subscription, message_id),
            None if self.version == Version::V1_0 => self.subscriptions.find_anywhere(message_id),
            None => return Err("the header `subscription` is missing".into()),
        };
        found.ok_or_else(|| format!("`{message_id}` is no message that waits to be settled"))
    }

    fn begin(&mut self, frame: &Frame, receipt: Option<Text>) -> Result<(), String> {
        let name = required(frame, header::TRANSACTION)?;
        self.transactions.begin(&Text::from(name.as_str()), &self.config)?;
        self.answer_receipt(receipt);
        Ok(())
    }

    fn commit(&mut self, frame: &Frame, receipt: Option<Text>) -> Result<(), String> {
        let transaction = self.transactions.end(required(frame, header::TRANSACTION)?)?;
        if transaction.publishes.is_empty() && transaction.settles.is_empty() {
            self.answer_receipt(receipt);
            return Ok(());
        }
        let tag = self.outstanding(Some(Command::Commit), receipt, transaction.bytes);
        let settles = transaction.settles.iter();
        self.operations.push_back(Operation::Commit {
            tag,
            publishes: transaction.publishes,
            settles: settles.map(|(_, unsettled, how)| (unsettled.delivery, *how)).collect(),
        });
        self.redeem(transaction.settles.iter().map(|(place, ..)| *place));
        Ok(())
    }

    /// What was acknowledged in the transaction may be acknowledged again.
    fn abort(&mut self, frame: &Frame, receipt: Option<Text>) -> Result<(), String> {
        let transaction = self.transactions.end(required(frame, header::TRANSACTION)?)?;
        reached(Point::Aborted);
        self.redeem(transaction.settles.iter().map(|(place, ..)| *place));
        for (place, unsettled, _) in transaction.settles {
            self.subscriptions.put_back(place, unsettled);
        }
        self.answer_receipt(receipt);
        Ok(())
    }

    /// A transaction has ended that acknowledged these.
    fn redeem(&mut self, places: impl Iterator<Item = Place>) {
        let mut counts: BTreeMap<ConsumerId, u32> = BTreeMap::new();
        for (consumer, _) in places {
            *counts.entry(consumer).or_default() += 1;
        }
        for (consumer, count) in counts {
            let window = self.subscriptions.redeem(consumer, count);
            self.set_prefetch(consumer, window);
        }
    }

    fn set_prefetch(&mut self, consumer: ConsumerId, prefetch: Option<u32>) {
        if let Some(prefetch) = prefetch {
            reached(Point::WindowChanged);
            let tag = self.outstanding(None, None, 0);
            self.operations.push_back(Operation::SetPrefetch { tag, consumer, prefetch });
        }
    }

    /// Deliveries of `auto` subscriptions end.
    fn settle_unawaited(&mut self, deliveries: Vec<DeliveryId>) -> Operation {
        self.unhurried = true;
        let tag = self.outstanding(None, None, 0);
        Operation::Settle { tag, deliveries, how: Settlement::Accept, awaited: false }
    }

    /// The client waits for what may have been taking its time.
    fn hurry(&mut self) {
        if std::mem::take(&mut self.unhurried) {
            let tag = self.outstanding(None, None, 0);
            self.operations.push_back(Operation::Hurry { tag });
        }
    }

    // ---- output ---------------------------------------------------------------------------------

    /// A new operation's tag, to be answered by an outcome.
    fn outstanding(
        &mut self,
        asked_by: Option<Command>,
        receipt: Option<Text>,
        bytes: usize,
    ) -> OpTag {
        let tag = OpTag(self.next_tag);
        self.next_tag += 1;
        self.outstanding_bytes += bytes;
        // A copy, so as not to keep the receive buffer.
        let receipt = receipt.map(|receipt| Text::from(receipt.as_str()));
        let asked_at = self.last_event;
        self.outstanding.insert(tag, Outstanding { receipt, asked_by, bytes, asked_at });
        tag
    }

    /// When the oldest operation has waited for its outcome too long.
    fn answer_due(&self) -> Option<Duration> {
        let (_, oldest) = self.outstanding.first_key_value()?;
        Some(oldest.asked_at + self.config.answer_timeout)
    }

    /// Tells the client that nobody knows what became of its oldest operation.
    fn fail_unanswered(&mut self) {
        let Some((_, oldest)) = self.outstanding.first_key_value() else { return };
        reached(Point::UnansweredInTime);
        let asked_by = oldest.asked_by.map_or("an acknowledgement", |command| command.as_str());
        let within = self.config.answer_timeout;
        let why = format!("the cluster has not answered within {within:?}");
        let text = format!("{asked_by}: {}", Refusal::Unknown(why));
        let receipt = oldest.receipt.clone();
        self.fail(&text, receipt.as_ref(), None);
    }

    fn answer_receipt(&mut self, receipt: Option<Text>) {
        // After an ERROR nothing may follow.
        if let Some(receipt) = receipt
            && !self.is_closed()
        {
            let mut frame = FrameWriter::begin(&mut self.answers, self.version, Command::Receipt);
            frame.header(header::RECEIPT_ID, &receipt);
            frame.finish(b"");
        }
    }

    fn write_delivery(&mut self, delivery: &Delivery, out: &mut BytesMut) {
        let subscription = self
            .subscriptions
            .get_mut(delivery.consumer)
            .expect("a subscription's end takes its deliveries out");
        let place = subscription.next_place();
        let is_auto = subscription.mode == AckMode::Auto;
        let recipient = Recipient {
            subscription: subscription.id.as_deref(),
            // STOMP 1.2 "MESSAGE": only where the client has to acknowledge.
            ack: (self.version == Version::V1_2 && !is_auto)
                .then_some((delivery.consumer.0, place)),
        };
        message::write(delivery, &recipient, self.version, out);
        subscription.sent(delivery.id, &delivery.message.id);
        if is_auto {
            self.auto_settled.push(delivery.id);
        }
    }

    /// Says what is wrong and closes (STOMP 1.2 "ERROR"). What was taken before is still carried
    /// out; deliveries not yet sent go back.
    fn fail(&mut self, what: &str, receipt: Option<&Text>, offender: Option<&Frame>) {
        if self.is_closed() {
            return;
        }
        reached(Point::ErrorSent);
        let mut error = FrameWriter::begin(&mut self.answers, self.version, Command::Error);
        error.header(header::MESSAGE, what);
        if let Some(receipt) = receipt {
            error.header(header::RECEIPT_ID, receipt);
        }
        if matches!(self.phase, Phase::Connecting) {
            // STOMP 1.2 "Protocol Negotiation".
            error.header(header::VERSION, "1.0,1.1,1.2");
        }
        error.header(header::CONTENT_TYPE, "text/plain");
        error.finish(describe(what, offender).as_bytes());
        self.close();
    }

    /// The client has died, perhaps of what it was working on.
    fn give_up_work(&mut self) {
        reached(Point::ClientLost);
        for (consumer, delivery) in self.subscriptions.in_work() {
            let tag = self.outstanding(None, None, 0);
            let failed = Some(delivery);
            self.operations.push_back(Operation::Unsubscribe { tag, consumer, failed });
        }
    }

    fn end_consumers(&mut self) {
        self.deliveries.clear();
        self.subscriptions.clear();
        self.transactions.clear();
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.end_consumers();
        self.input = BytesMut::new();
    }
}

/// What a message costs while its outcome is awaited.
fn weight(message: &Message) -> usize {
    let properties: usize = message.properties.iter().map(|(name, _)| name.len() + 64).sum();
    message.body.bytes().len() + properties + 256
}

fn required<'a>(frame: &'a Frame, name: &str) -> Result<&'a Text, String> {
    frame.header(name).ok_or_else(|| format!("the header `{name}` is missing"))
}

/// The body of an ERROR frame: what is wrong, and the head of the frame that was.
fn describe(what: &str, offender: Option<&Frame>) -> String {
    const MAX_BYTES: usize = 2048;
    let mut text = format!("{what}\n");
    if let Some(frame) = offender {
        text.push_str("\nThe frame was:\n-----\n");
        text.push_str(frame.command.as_str());
        for (name, value) in &frame.headers {
            let value = if *name == header::PASSCODE { "***" } else { value };
            if text.len() + name.len() + value.len() > MAX_BYTES {
                text.push_str("\n…");
                break;
            }
            text.push_str(&format!("\n{name}:{value}"));
        }
        text.push_str("\n-----\n");
    }
    text
}
