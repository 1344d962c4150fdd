//! What each frame of a client asks for.

use std::{sync::Arc, time::Duration};

use paceline_reached::{Point, reached};
use paceline_wire::stomp::{Command, Frame, FrameWriter, Text, Version, header};

use super::{
    Asked, Phase, StompSession, destinations,
    durable::{self, CLIENT_ID},
    heart_beat::HeartBeat,
    maps, message,
    subscriptions::{AckMode, Key, Subscription},
};
use crate::{
    Destination, DestinationKind, Source,
    operation::{self, ConsumerId, Settlement},
    selector::Selector,
    session::{
        Now, Violation,
        consumers::{Place, Settles},
        options::Options,
        sent_to,
    },
};

/// The header of CONNECT that says who the client is.
const LOGIN: &str = "login";

/// The headers by which ActiveMQ's clients say how they stand among other consumers.
const EXCLUSIVE: &str = "activemq.exclusive";
const PRIORITY: &str = "activemq.priority";
const RETROACTIVE: &str = "activemq.retroactive";

impl StompSession {
    pub(super) fn handle_frame(&mut self, now: Now, frame: &Frame) {
        // STOMP 1.2 "Header receipt": any client frame other than CONNECT may ask for one.
        let receipt = frame.header(header::RECEIPT);
        let handled = match (&self.phase, frame.command) {
            (Phase::Connecting, Command::Connect | Command::Stomp) => self.connect(now, frame),
            (Phase::Connecting, command) => Err(format!("{} before CONNECT", command.as_str())),
            (_, Command::Connect | Command::Stomp) => Err("the session is already open".into()),
            (_, Command::Send) => self.send(now, frame, receipt),
            (_, Command::Subscribe) => self.subscribe(now, frame, receipt),
            (_, Command::Unsubscribe) => self.unsubscribe(now, frame, receipt),
            (_, Command::Ack) => self.settle(now, frame, Settlement::Accept, receipt),
            (_, Command::Nack) => self.settle(now, frame, Settlement::Reject, receipt),
            (_, Command::Begin) => self.begin(frame, receipt),
            (_, Command::Commit) => self.commit(now, frame, receipt),
            (_, Command::Abort) => self.abort(now, frame, receipt),
            (_, Command::Disconnect) => {
                reached(Point::Disconnected);
                self.phase = Phase::Ending { receipt: receipt.cloned(), error: None };
                self.end_consumers();
                Ok(())
            }
            (_, Command::Connected | Command::Message | Command::Receipt | Command::Error) => {
                Err("only a server sends this frame".into())
            }
        };
        if let Err(violation) = handled {
            let text = format!("{}: {violation}", frame.command.as_str());
            self.fail(&text, receipt, Some(frame));
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
        // A copy, so as not to keep the receive buffer.
        self.client = frame.header(CLIENT_ID).map(|client| Text::from(client.as_str()));
        self.announce_connection(now, frame.header(LOGIN).map(|user| user.as_str()));
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
        // As ActiveMQ answers clients that number their requests.
        let asked = frame.header(header::REQUEST_ID).or_else(|| frame.header(header::RECEIPT));
        if let Some(id) = asked {
            connected.header(header::RESPONSE_ID, id);
            connected.header(header::RECEIPT_ID, id);
        }
        connected.finish(b"");
        Ok(())
    }

    /// STOMP 1.2 "SEND".
    fn send(&mut self, now: Now, frame: &Frame, receipt: Option<&Text>) -> Result<(), String> {
        let targets = self.targets(frame)?;
        let id: Arc<str> = format!("{}{}", ids_begin_with(&self.name), self.next_message).into();
        let mut read = message::read(frame, targets[0].clone(), id, now.wall)?;
        read.reply_to = read.reply_to.map(|text| destinations::reply_to(&text, &self.name));
        let messages = sent_to(read, &targets, now.wall)?;
        self.next_message += 1;
        match frame.header(header::TRANSACTION) {
            None => {
                let asked = Asked::by(frame.command, receipt);
                let sent = self.operations.publish_all(now.elapsed, messages, asked);
                sent.map_err(|it| describe(it, ""))?;
            }
            Some(name) => {
                self.operations.publish_in(name, messages).map_err(|it| describe(it, name))?;
                self.answer_receipt(receipt);
            }
        }
        Ok(())
    }

    fn targets(&mut self, frame: &Frame) -> Result<Arc<[Destination]>, String> {
        let text = required(frame, header::DESTINATION)?;
        if let Some((last, targets)) = &self.last_destination
            && last == text
        {
            return Ok(targets.clone());
        }
        let targets = destinations::targets(text, &self.name)?;
        // A copy, so as not to keep the receive buffer.
        self.last_destination = Some((Text::from(text.as_str()), targets.clone()));
        Ok(targets)
    }

    /// STOMP 1.2 "SUBSCRIBE". The `id` is required from 1.1 on.
    fn subscribe(&mut self, now: Now, frame: &Frame, receipt: Option<&Text>) -> Result<(), String> {
        let text = required(frame, header::DESTINATION)?;
        let (name, options) = Options::split(text)?;
        let source = destinations::source(name, &self.name)?;
        let key = self.subscription_key(frame)?;
        if self.subscriptions.contains_key(&key) {
            return Err(match key {
                Key::Id(id) => format!("the id `{id}` is already in use by a subscription"),
                Key::Destination(_) => format!(
                    "there is a subscription on `{text}` already; a second one needs an `id`"
                ),
            });
        }
        let mode = match frame.header(header::ACK) {
            None => AckMode::Auto,
            Some(text) => AckMode::parse(text).ok_or_else(|| {
                format!("`ack` is auto, client or client-individual, not `{text}`")
            })?,
        };
        let no_local = (durable::is_no_local(frame)? || options.no_local)
            && source.has(DestinationKind::Topic);
        let named = durable::name_of(frame)?.map(|name| self.durable(name)).transpose()?;
        let durable = named.map(|durable| operation::Kept { durable, no_local });
        let wanted = self.read_wanted(frame, source, options)?;
        let wanted = operation::Subscription { durable, ..wanted };
        // What a browser is given are copies, which nobody waits for.
        let browses = wanted.source.exact().filter(|_| wanted.browses).cloned();
        let settles = if browses.is_some() { Settles::WhenSent } else { mode.settles() };
        let asked = Asked::by(frame.command, receipt);
        let maps = maps::wanted(frame)?;
        let label = Subscription { key: key.clone(), mode, browses, no_local, maps };
        let consumer = self
            .operations
            .subscribe(now.elapsed, wanted.clone(), settles, label, asked)
            .map_err(|it| describe(it, ""))?;
        self.announce_consumer(now, consumer, &wanted, no_local);
        self.subscriptions.insert(key, consumer);
        Ok(())
    }

    /// What a SUBSCRIBE frame wants to be given, by its headers, as ActiveMQ names them, and by the
    /// options of its destination.
    fn read_wanted(
        &self,
        frame: &Frame,
        source: Source,
        options: Options,
    ) -> Result<operation::Subscription, String> {
        let prefetch = match frame.header(header::PREFETCH_SIZE) {
            None => options.prefetch,
            Some(text) => Some(text.trim().parse::<u32>().map_err(|_| no_prefetch(text))?),
        };
        if prefetch == Some(0) {
            return Err(no_prefetch("0"));
        }
        let priority = match frame.header(PRIORITY) {
            None => options.priority.unwrap_or(0),
            Some(text) => text
                .trim()
                .parse()
                .map_err(|_| format!("`{PRIORITY}` is a number from -128 to 127, not `{text}`"))?,
        };
        if flag(frame, RETROACTIVE)?.unwrap_or(options.retroactive) {
            return Err(format!(
                "retroactive consumers are not supported; leave out `{RETROACTIVE}`"
            ));
        }
        let browses = flag(frame, header::BROWSER)?.unwrap_or(false);
        if browses && self.version == Version::V1_0 {
            return Err("STOMP 1.0 has no header `browser`".into());
        }
        let is_queue = source.exact().is_some_and(|one| one.kind == DestinationKind::Queue);
        if browses && !is_queue {
            return Err(format!("`{source}` cannot be browsed: it is not one queue"));
        }
        let selector = frame.header(header::SELECTOR).map(Text::as_str);
        Ok(operation::Subscription {
            selector: read_selector(selector.or(options.selector.as_deref()))?,
            exclusive: flag(frame, EXCLUSIVE)?.unwrap_or(options.exclusive),
            priority,
            browses,
            ..operation::Subscription::new(source, self.operations.prefetch(prefetch))
        })
    }

    /// STOMP 1.2 "UNSUBSCRIBE".
    fn unsubscribe(
        &mut self,
        now: Now,
        frame: &Frame,
        receipt: Option<&Text>,
    ) -> Result<(), String> {
        if let Some(name) = durable::name_of(frame)? {
            let durable = self.durable(name)?;
            let consumer = self.subscription_key(frame).ok();
            if let Some(consumer) = consumer.and_then(|key| self.subscriptions.remove(&key)) {
                let asked = Asked::by(frame.command, None);
                self.withdraw_consumer(consumer);
                self.operations.unsubscribe(now.elapsed, consumer, None, asked);
            }
            self.operations.forget(now.elapsed, durable, Asked::by(frame.command, receipt));
            return Ok(());
        }
        let key = self.subscription_key(frame)?;
        let Some(consumer) = self.subscriptions.remove(&key) else {
            let (Key::Id(text) | Key::Destination(text)) = key;
            return Err(format!("there is no subscription `{text}`"));
        };
        let asked = Asked::by(frame.command, receipt);
        self.withdraw_consumer(consumer);
        self.operations.unsubscribe(now.elapsed, consumer, None, asked);
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
        now: Now,
        frame: &Frame,
        how: Settlement,
        receipt: Option<&Text>,
    ) -> Result<(), String> {
        if self.is_for_browser(frame) {
            if how != Settlement::Accept {
                return Err("what a browser is given cannot be refused".into());
            }
            self.answer_receipt(receipt);
            return Ok(());
        }
        let (consumer, place) = self.place_of(frame)?;
        // One that has ended has no unsettled deliveries, whatever it settled at a time.
        let label = self.operations.consumers().label(consumer);
        let places = label.map_or(AckMode::Individual, |it| it.mode).covered(place);
        let operations = &mut self.operations;
        match frame.header(header::TRANSACTION) {
            None => {
                let asked = Asked::by(frame.command, receipt);
                operations
                    .settle(now.elapsed, consumer, &places, how, asked)
                    .map_err(|it| describe(it, ""))
            }
            Some(name) => {
                operations
                    .settle_in(now.elapsed, name, consumer, &places, how)
                    .map_err(|it| describe(it, name))?;
                self.answer_receipt(receipt);
                Ok(())
            }
        }
    }

    /// Whether an ACK or NACK is of something that a subscription was given which only looks at it.
    fn is_for_browser(&self, frame: &Frame) -> bool {
        let consumer = match self.version {
            Version::V1_2 => {
                let id = frame.header(header::ID).and_then(|id| message::parse_ack_id(id));
                id.map(|(consumer, _)| consumer)
            }
            _ => {
                let id = frame.header(header::SUBSCRIPTION).cloned().map(Key::Id);
                id.and_then(|id| self.subscriptions.get(&id).copied())
            }
        };
        let label = consumer.and_then(|consumer| self.operations.consumers().label(consumer));
        label.is_some_and(|label| label.browses.is_some())
    }

    /// Which delivery an ACK or NACK means, in each version's words: `id` in 1.2, `message-id` and
    /// `subscription` in 1.1, `message-id` in 1.0 ("ACK" in each specification).
    fn place_of(&self, frame: &Frame) -> Result<(ConsumerId, Place), String> {
        if self.version == Version::V1_0 && frame.command == Command::Nack {
            return Err("STOMP 1.0 has no such frame".into());
        }
        if self.version == Version::V1_2 {
            let id = required(frame, header::ID)?;
            return message::parse_ack_id(id)
                .ok_or_else(|| format!("`{id}` is no id of an `ack` header"));
        }
        let message_id = required(frame, header::MESSAGE_ID)?;
        let consumers = self.operations.consumers();
        let find = |consumer| Some((consumer, consumers.find(consumer, message_id)?));
        let found = match frame.header(header::SUBSCRIPTION) {
            Some(subscription) => {
                self.subscriptions.get(&Key::Id(subscription.clone())).copied().and_then(find)
            }
            None if self.version == Version::V1_0 => consumers.ids().find_map(find),
            None => return Err("the header `subscription` is missing".into()),
        };
        found.ok_or_else(|| format!("`{message_id}` is no message that waits to be settled"))
    }

    /// STOMP 1.2 "BEGIN".
    fn begin(&mut self, frame: &Frame, receipt: Option<&Text>) -> Result<(), String> {
        let name = required(frame, header::TRANSACTION)?;
        // A copy, so as not to keep the receive buffer.
        let copy = Text::from(name.as_str());
        self.operations.begin(copy).map_err(|it| describe(it, name))?;
        self.answer_receipt(receipt);
        Ok(())
    }

    /// STOMP 1.2 "COMMIT".
    fn commit(&mut self, now: Now, frame: &Frame, receipt: Option<&Text>) -> Result<(), String> {
        let name = required(frame, header::TRANSACTION)?;
        let asked = Asked::by(frame.command, receipt);
        let committed = self.operations.commit(now.elapsed, name, asked);
        if let Some(asked) = committed.map_err(|it| describe(it, name))? {
            self.answer_receipt(asked.receipt.as_ref());
        }
        Ok(())
    }

    /// STOMP 1.2 "ABORT".
    fn abort(&mut self, now: Now, frame: &Frame, receipt: Option<&Text>) -> Result<(), String> {
        let name = required(frame, header::TRANSACTION)?;
        self.operations.abort(now.elapsed, name).map_err(|it| describe(it, name))?;
        self.answer_receipt(receipt);
        Ok(())
    }
}

/// What the ids of all messages begin with that a session takes in.
pub(super) fn ids_begin_with(session: &str) -> String {
    format!("ID:{session}:")
}

/// A header that is true or false, in any case as ActiveMQ reads it.
fn flag(frame: &Frame, name: &str) -> Result<Option<bool>, String> {
    match frame.header(name).map(|value| value.trim()) {
        None => Ok(None),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(value) => Err(format!("`{name}` is true or false, not `{value}`")),
    }
}

/// Clients that want no prefetch would ask for each message, for which STOMP has no frame. ActiveMQ
/// gives them none.
fn no_prefetch(text: &str) -> String {
    format!("`{}` is a number from 1, not `{text}`", header::PREFETCH_SIZE)
}

/// Checks a selector. An empty one selects all.
fn read_selector(text: Option<&str>) -> Result<Option<Arc<str>>, String> {
    let name = header::SELECTOR;
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        return Ok(None);
    };
    match Selector::parse(text) {
        Ok(selector) => Ok(Some(selector.text().clone())),
        Err(why) => Err(format!("the header `{name}` holds no selector: {why}")),
    }
}

fn required<'a>(frame: &'a Frame, name: &str) -> Result<&'a Text, String> {
    frame.header(name).ok_or_else(|| format!("the header `{name}` is missing"))
}

/// What is wrong with a frame, which names `transaction` if it names one.
fn describe(violation: Violation, transaction: &str) -> String {
    match violation {
        Violation::NotUnsettled => {
            "that delivery is not open: it was settled before, or never sent".into()
        }
        Violation::Consumers { max } => {
            format!("the session has {max} subscriptions, which is the most allowed")
        }
        Violation::Transactions { max } => {
            format!("{max} transactions are open, which is the most allowed")
        }
        Violation::TransactionExists => {
            format!("the transaction `{transaction}` is already open")
        }
        Violation::NoTransaction => format!("there is no open transaction `{transaction}`"),
        Violation::TransactionEntries { max } => {
            format!("more than {max} entries in a transaction, or to several destinations at once")
        }
        Violation::TransactionBytes { max } => {
            format!(
                "more than {max} bytes of messages in a transaction, or to several destinations at once"
            )
        }
    }
}
