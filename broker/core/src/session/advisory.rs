//! What a session says of its client on the topics `ActiveMQ.Advisory.…`, as ActiveMQ's brokers do: in
//! OpenWire's data structures, whatever the client speaks.
//!
//! The message of an advisory holds the structure as a property of its own, which OpenWire's clients get
//! as the data structure that they know; those of other protocols get a text in JSON, with the more
//! useful of its fields.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write,
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use paceline_wire::openwire::{
    Command, ConnectionInfo, ConsumerInfo, Decoder, Destination as Wire, DestinationInfo,
    DestinationKind as WireKind, Limits, MAX_VERSION, ObjectId, ProducerInfo, RemoveInfo,
};

use crate::{
    Body, Destination, DestinationKind, Message, Source, UnixMillis, Value,
    message::DEFAULT_PRIORITY,
    presence::{Announcement, Presence, PresenceId},
};

/// What the names of these topics begin with.
pub(super) const ADVISORY: &str = "ActiveMQ.Advisory.";

/// The property that holds the structure, as a frame of [`MAX_VERSION`].
pub(super) const STRUCTURE: &str = "ActiveMQ.Advisory.structure";

/// Of how many consumers, producers and so on of one client others are told at most,
const MAX_PRESENCES: usize = 10_000;

/// and how many bytes what tells of them may take, about.
const MAX_BYTES: usize = 16 << 20;

/// Who tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The node's name.
    pub broker: Arc<str>,
    /// Where clients of OpenWire reach it, if they do.
    pub url: Arc<str>,
}

/// What one session says.
#[derive(Debug)]
pub(super) struct Advisories {
    origin: Origin,
    /// The session's name, which is unique over the cluster and over restarts.
    name: Arc<str>,
    /// Counts messages and presences.
    next: u64,
    /// What others are told of, and how many bytes that takes.
    present: BTreeMap<PresenceId, usize>,
    bytes: usize,
    said: VecDeque<Announcement>,
}

impl Advisories {
    pub(super) fn new(origin: Origin, name: Arc<str>) -> Self {
        let (present, said) = (BTreeMap::new(), VecDeque::new());
        Self { origin, name, next: 0, present, bytes: 0, said }
    }

    /// What to say next.
    pub(super) fn poll(&mut self) -> Option<Announcement> {
        self.said.pop_front()
    }

    /// The client is connected.
    pub(super) fn connection(&mut self, now: UnixMillis, info: ConnectionInfo) {
        let gone = info.connection_id.clone().map(ObjectId::Connection);
        let info = ConnectionInfo { password: None, broker_path: Vec::new(), ..info };
        self.announce(now, "Connection", Command::from(info), removal(gone), None);
    }

    /// It has a consumer, of all that `source` names. Who listens to one of these is told of that one.
    pub(super) fn consumer(
        &mut self,
        now: UnixMillis,
        info: &ConsumerInfo,
        source: &Source,
    ) -> Vec<PresenceId> {
        let gone = || removal(info.consumer_id.clone().map(ObjectId::Consumer));
        let mut tell = |one: &Destination| {
            let topic = format!("Consumer.{}.{}", kind(one.kind), one.name);
            let here = ConsumerInfo {
                destination: Some(wire(one)),
                broker_path: Vec::new(),
                network_consumer_path: Vec::new(),
                additional_predicate: None,
                ..info.clone()
            };
            self.announce(now, &topic, here.into(), gone(), Some("consumerCount"))
        };
        source.all().iter().filter(|one| is_told(one)).filter_map(&mut tell).collect()
    }

    /// It has a producer for these destinations.
    pub(super) fn producer(
        &mut self,
        now: UnixMillis,
        info: &ProducerInfo,
        all: &[Destination],
    ) -> Vec<PresenceId> {
        let gone = || removal(info.producer_id.clone().map(ObjectId::Producer));
        let mut tell = |one: &Destination| {
            let topic = format!("Producer.{}.{}", kind(one.kind), one.name);
            let destination = Some(wire(one));
            let here = ProducerInfo { destination, broker_path: Vec::new(), ..info.clone() };
            self.announce(now, &topic, here.into(), gone(), Some("producerCount"))
        };
        all.iter().filter(|one| is_told(one)).filter_map(&mut tell).collect()
    }

    /// It has made a temporary destination.
    pub(super) fn temporary(
        &mut self,
        now: UnixMillis,
        info: &DestinationInfo,
        is_topic: bool,
    ) -> Option<PresenceId> {
        const ADD: i8 = 0;
        const REMOVE: i8 = 1;
        let topic = if is_topic { "TempTopic" } else { "TempQueue" };
        let said = |operation_type| {
            DestinationInfo { operation_type, broker_path: Vec::new(), ..info.clone() }.into()
        };
        self.announce(now, topic, said(ADD), said(REMOVE), None)
    }

    fn announce(
        &mut self,
        now: UnixMillis,
        topic: &str,
        here: Command,
        gone: Command,
        counted: Option<&str>,
    ) -> Option<PresenceId> {
        if self.present.len() >= MAX_PRESENCES || self.bytes >= MAX_BYTES {
            return None;
        }
        // One whose name would be too long has no listeners.
        let topic = Destination::topic(&format!("{ADVISORY}{topic}")).ok()?;
        let here = self.message(now, topic.clone(), &here);
        let gone = self.message(now, topic, &gone);
        let counted = counted.map(Arc::from);
        let id = PresenceId(self.next);
        let presence = Presence { here, gone, counted };
        self.bytes += presence.footprint();
        self.present.insert(id, presence.footprint());
        self.said.push_back(Announcement::Here(id, presence));
        Some(id)
    }

    /// Something that was told of is not there any more.
    pub(super) fn withdraw(&mut self, id: PresenceId) {
        let Some(bytes) = self.present.remove(&id) else { return };
        self.bytes -= bytes;
        self.said.push_back(Announcement::Gone(id));
    }

    fn message(&mut self, now: UnixMillis, topic: Destination, about: &Command) -> Arc<Message> {
        self.next += 1;
        let mut structure = BytesMut::new();
        about.encode(MAX_VERSION, &mut structure);
        let text = |name: &str, value: &Arc<str>| (Arc::from(name), Value::Text(value.clone()));
        let Origin { broker, url } = &self.origin;
        Arc::new(Message {
            id: format!("ID:{}-advisory:-1:1:{}", self.name, self.next).into(),
            destination: topic,
            persistent: false,
            priority: DEFAULT_PRIORITY,
            timestamp: now,
            expires: None,
            correlation_id: None,
            reply_to: None,
            content_type: None,
            properties: vec![
                text("type", &"Advisory".into()),
                text("originBrokerId", broker),
                text("originBrokerName", broker),
                text("originBrokerURL", url),
                (STRUCTURE.into(), Value::Bytes(structure.freeze())),
            ],
            body: Body::Text(Bytes::from(json(about))),
        })
    }
}

/// The data structure that an advisory is about.
pub(super) fn structure_of(message: &Message) -> Option<Command> {
    if message.destination.kind != DestinationKind::Topic
        || !message.destination.name.starts_with(ADVISORY)
    {
        return None;
    }
    let found = message.properties.iter().find(|(name, _)| **name == *STRUCTURE);
    let Some((_, Value::Bytes(encoded))) = found else { return None };
    let mut decoder = Decoder::new(Limits::default());
    decoder.set_version(MAX_VERSION);
    decoder.decode(&mut BytesMut::from(&encoded[..])).ok().flatten()
}

/// Consumers and producers of advisories are not told of, nor those of patterns: no topic is called so.
fn is_told(one: &Destination) -> bool {
    !one.is_pattern() && !one.name.starts_with(ADVISORY)
}

fn kind(kind: DestinationKind) -> &'static str {
    match kind {
        DestinationKind::Queue => "Queue",
        DestinationKind::Topic => "Topic",
    }
}

/// Of which kind OpenWire's clients see a destination.
pub(super) fn wire_kind(destination: &Destination) -> WireKind {
    match (destination.kind, destination.is_temporary()) {
        (DestinationKind::Queue, false) => WireKind::Queue,
        (DestinationKind::Queue, true) => WireKind::TempQueue,
        (DestinationKind::Topic, false) => WireKind::Topic,
        (DestinationKind::Topic, true) => WireKind::TempTopic,
    }
}

fn wire(one: &Destination) -> Wire {
    Wire { kind: wire_kind(one), name: (&*one.name).into() }
}

fn removal(object_id: Option<ObjectId>) -> Command {
    RemoveInfo { object_id, ..RemoveInfo::default() }.into()
}

// ---- for those who do not read OpenWire -----------------------------------------------------------

fn json(about: &Command) -> String {
    let mut object = Object::default();
    match about {
        Command::ConnectionInfo(info) => {
            let id = info.connection_id.as_ref().map(|id| &*id.value);
            object.text("connectionId", id);
            object.text("clientId", info.client_id.as_deref());
            object.text("userName", info.user_name.as_deref());
        }
        Command::ConsumerInfo(info) => {
            let id = info.consumer_id.as_ref();
            let id = id.map(|id| format!("{}:{}:{}", id.connection, id.session, id.value));
            object.text("consumerId", id.as_deref());
            object.text("clientId", info.client_id.as_deref());
            object.text("destination", info.destination.as_ref().map(shown).as_deref());
            object.text("selector", info.selector.as_deref());
            object.text("subscriptionName", info.subscription_name.as_deref());
            object.value("prefetchSize", info.prefetch_size);
            object.value("priority", info.priority);
            object.value("browser", info.browser);
            object.value("exclusive", info.exclusive);
            object.value("noLocal", info.no_local);
        }
        Command::ProducerInfo(info) => {
            let id = info.producer_id.as_ref();
            let id = id.map(|id| format!("{}:{}:{}", id.connection, id.session, id.value));
            object.text("producerId", id.as_deref());
            object.text("destination", info.destination.as_ref().map(shown).as_deref());
        }
        Command::DestinationInfo(info) => {
            object.text("destination", info.destination.as_ref().map(shown).as_deref());
            object.value("operationType", info.operation_type);
        }
        Command::RemoveInfo(info) => {
            let id = match &info.object_id {
                Some(ObjectId::Connection(id)) => Some(id.value.to_string()),
                Some(ObjectId::Consumer(id)) => {
                    Some(format!("{}:{}:{}", id.connection, id.session, id.value))
                }
                Some(ObjectId::Producer(id)) => {
                    Some(format!("{}:{}:{}", id.connection, id.session, id.value))
                }
                Some(ObjectId::Session(_)) | None => None,
            };
            object.text("objectId", id.as_deref());
        }
        _ => {}
    }
    format!("{{\"{}\":{{{}}}}}", about.name(), object.fields)
}

/// A destination as ActiveMQ writes it.
fn shown(destination: &Wire) -> String {
    let kind = match destination.kind {
        WireKind::Queue => "queue",
        WireKind::Topic => "topic",
        WireKind::TempQueue => "temp-queue",
        WireKind::TempTopic => "temp-topic",
    };
    format!("{kind}://{}", destination.name)
}

/// The fields of an object in JSON (RFC 8259).
#[derive(Debug, Default)]
struct Object {
    fields: String,
}

impl Object {
    fn value(&mut self, name: &str, value: impl ToString) {
        let comma = if self.fields.is_empty() { "" } else { "," };
        let value = value.to_string();
        write!(self.fields, "{comma}\"{name}\":{value}").expect("a string takes everything");
    }

    fn text(&mut self, name: &str, text: Option<&str>) {
        let Some(text) = text else { return };
        let mut quoted = String::from("\"");
        for c in text.chars() {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                c if u32::from(c) < 0x20 => {
                    write!(quoted, "\\u{:04x}", u32::from(c)).expect("a string takes everything");
                }
                c => quoted.push(c),
            }
        }
        quoted.push('"');
        self.value(name, quoted);
    }
}

#[cfg(test)]
mod tests {
    use paceline_wire::openwire::BrokerId;

    use super::*;

    fn said(advisories: &mut Advisories) -> Presence {
        match advisories.poll() {
            Some(Announcement::Here(_, presence)) => presence,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_advisory_holds_its_structure_for_some_and_text_for_others() {
        let origin = Origin { broker: "n1".into(), url: "tcp://n1:61616".into() };
        let mut advisories = Advisories::new(origin, "s".into());
        let destination = Some(Wire { kind: WireKind::Queue, name: "a".into() });
        let info = ConsumerInfo {
            destination,
            selector: Some("x = '\"\\\n'".into()),
            ..ConsumerInfo::default()
        };
        let source = Destination::queue("a").unwrap().into();
        assert_eq!(advisories.consumer(UnixMillis(7), &info, &source).len(), 1);
        let presence = said(&mut advisories);
        assert_eq!(presence.topic().to_string(), "/topic/ActiveMQ.Advisory.Consumer.Queue.a");
        assert_eq!(presence.counted.as_deref(), Some("consumerCount"));
        assert_ne!(presence.here.id, presence.gone.id);
        assert_eq!(structure_of(&presence.here), Some(info.into()));
        assert!(matches!(structure_of(&presence.gone), Some(Command::RemoveInfo(_))));
        let text = std::str::from_utf8(presence.here.body.bytes()).unwrap();
        let expected =
            r#"{"ConsumerInfo":{"destination":"queue://a","selector":"x = '\"\\\u000a'","#;
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn what_tells_of_a_client_is_bounded_however_much_it_says() {
        let mut advisories = Advisories::new(Origin::default(), "s".into());
        let source = Destination::queue("a").unwrap().into();
        let long = || "x".repeat(60_000);
        // A path through other brokers is told to nobody.
        let broker_path = (0..100).map(|_| BrokerId { value: long().as_str().into() }).collect();
        let info = ConsumerInfo { broker_path, ..ConsumerInfo::default() };
        advisories.consumer(UnixMillis(7), &info, &source);
        assert!(said(&mut advisories).footprint() < 10_000);
        let info =
            ConsumerInfo { selector: Some(long().as_str().into()), ..ConsumerInfo::default() };
        let mut tell = || advisories.consumer(UnixMillis(7), &info, &source).pop();
        let told: Vec<_> = std::iter::from_fn(&mut tell).take(10_000).collect();
        assert!((80..200).contains(&told.len()), "{}", told.len());
        assert_eq!(tell(), None);
        advisories.withdraw(told[0]);
        assert_eq!(advisories.consumer(UnixMillis(7), &info, &source).len(), 1);
    }

    #[test]
    fn nobody_is_told_a_password_or_of_who_listens_to_advisories() {
        let mut advisories = Advisories::new(Origin::default(), "s".into());
        let password = Some("secret".into());
        let info = ConnectionInfo { password, ..ConnectionInfo::default() };
        advisories.connection(UnixMillis(7), info);
        let Some(Command::ConnectionInfo(told)) = structure_of(&said(&mut advisories).here) else {
            panic!("it is of the connection")
        };
        assert_eq!(told.password, None);
        let listened = Destination::topic("ActiveMQ.Advisory.Connection").unwrap();
        let pattern = Destination::queue("a.>").unwrap();
        let source = Source::several(&[listened, pattern]).unwrap();
        let info = ConsumerInfo::default();
        assert_eq!(advisories.consumer(UnixMillis(7), &info, &source), []);
    }
}
