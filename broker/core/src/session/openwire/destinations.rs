//! Destinations, as OpenWire names them and as the broker does.
//!
//! | OpenWire | here |
//! |---|---|
//! | queue or topic `a.b` | the queue or topic `a.b` |
//! | temporary queue or topic `ID:…` | the queue or topic of that name; what is sent there is not stored |
//! | composite `a,topic://b` | each of them; a message goes to all of them or none, a consumer gets what is in any |
//!
//! A reply-to is kept as STOMP writes it, so that a client of any protocol can send there:
//! `/queue/a.b`, or `/remote-temp-queue/ID:…` as ActiveMQ has it for STOMP.

use std::sync::Arc;

use paceline_wire::{
    openwire::{Destination as Wire, DestinationKind as WireKind, DestinationParts},
    text::Text,
};

use super::answers::{Exception, Refused};
use crate::{
    Destination, Source,
    destination::DestinationKind,
    session::advisory::{ADVISORY, wire_kind},
    source::distinct,
};

/// One destination as a client wrote it, and the destinations that it stands for.
#[derive(Debug)]
pub(super) struct Composite {
    written: Wire,
    pub(super) all: Arc<[Destination]>,
}

impl Composite {
    pub(super) fn read(written: &Wire) -> Result<Self, Refused> {
        let all: Result<Vec<_>, _> =
            parts(written).map(|(kind, name)| destination(kind, name)).collect();
        let all = distinct(all?)
            .map_err(|error| Refused::new(Exception::InvalidDestination, error.to_string()))?;
        Ok(Self { written: written.detached(), all })
    }

    /// Whether the client has written it so.
    pub(super) fn is(&self, written: &Wire) -> bool {
        self.written == *written
    }
}

/// What a consumer is for.
pub(super) fn source(written: &Wire) -> Result<Source, Refused> {
    let all = Composite::read(written)?.all;
    Source::several(&all)
        .map_err(|error| Refused::new(Exception::InvalidDestination, error.to_string()))
}

/// Whether there is nothing but advisories to be had.
pub(super) fn is_advisory(written: &Wire) -> bool {
    parts(written).all(|(kind, name)| kind == WireKind::Topic && name.starts_with(ADVISORY))
}

/// The destinations that one stands for: those after the first may say of which kind they are.
fn parts(written: &Wire) -> impl Iterator<Item = (WireKind, &str)> {
    written.name.split(',').map(|part| {
        let part = part.trim();
        let said = [
            ("queue://", WireKind::Queue),
            ("topic://", WireKind::Topic),
            ("temp-queue://", WireKind::TempQueue),
            ("temp-topic://", WireKind::TempTopic),
        ];
        let of = |(prefix, kind)| part.strip_prefix(prefix).map(|name| (kind, name));
        said.into_iter().find_map(of).unwrap_or((written.kind, part))
    })
}

fn destination(kind: WireKind, name: &str) -> Result<Destination, Refused> {
    let kind = match kind {
        WireKind::Queue | WireKind::TempQueue => DestinationKind::Queue,
        WireKind::Topic | WireKind::TempTopic => DestinationKind::Topic,
    };
    Destination::new(kind, name)
        .map_err(|error| Refused::new(Exception::InvalidDestination, error.to_string()))
}

/// How a client is told of a destination.
pub(super) fn write(destination: &Destination) -> DestinationParts<'_> {
    DestinationParts { kind: wire_kind(destination), name: &destination.name }
}

const REPLY_TO: [(&str, WireKind); 10] = [
    ("/queue/", WireKind::Queue),
    ("/topic/", WireKind::Topic),
    ("/remote-temp-queue/", WireKind::TempQueue),
    ("/remote-temp-topic/", WireKind::TempTopic),
    ("/temp-queue/", WireKind::TempQueue),
    ("/temp-topic/", WireKind::TempTopic),
    ("queue://", WireKind::Queue),
    ("topic://", WireKind::Topic),
    ("temp-queue://", WireKind::TempQueue),
    ("temp-topic://", WireKind::TempTopic),
];

/// Where a reply is wanted, for clients of every protocol.
pub(super) fn reply_to(written: &Wire) -> Arc<str> {
    let prefix = REPLY_TO.iter().find(|(_, kind)| *kind == written.kind);
    let (prefix, _) = prefix.expect("every kind is there");
    [prefix, written.name.as_str()].concat().into()
}

/// Reads where a reply is wanted, which a client of any protocol may have written. Without a prefix
/// it is a queue.
pub(super) fn parse_reply_to(text: &str) -> DestinationParts<'_> {
    let of = |(prefix, kind): &(&str, WireKind)| {
        text.strip_prefix(prefix).map(|name| DestinationParts { kind: *kind, name })
    };
    let plain = DestinationParts { kind: WireKind::Queue, name: text };
    REPLY_TO.iter().find_map(of).unwrap_or(plain)
}

/// Text that a message keeps.
pub(super) fn kept(text: Option<&Text>) -> Option<Arc<str>> {
    text.map(|text| Arc::from(text.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(kind: WireKind, name: &str) -> Wire {
        Wire { kind, name: name.into() }
    }

    fn read(kind: WireKind, name: &str) -> Result<Vec<String>, Refused> {
        let all = Composite::read(&wire(kind, name))?.all;
        Ok(all.iter().map(Destination::to_string).collect())
    }

    #[test]
    fn a_composite_destination_is_each_of_its_parts() {
        assert_eq!(read(WireKind::Queue, "a.b").unwrap(), ["/queue/a.b"]);
        assert_eq!(
            read(WireKind::Topic, "a, queue://b,topic://c").unwrap(),
            ["/topic/a", "/queue/b", "/topic/c"]
        );
        assert_eq!(
            read(WireKind::Queue, "a,").unwrap_err().exception,
            Exception::InvalidDestination
        );
        let two = source(&wire(WireKind::Queue, "a,b,topic://t.>,topic://t.a")).unwrap();
        assert_eq!(two.to_string(), "/queue/a,/queue/b,/topic/t.>");
        let many: Vec<_> = (0..257).map(|name| name.to_string()).collect();
        let many = many.join(",");
        let many = source(&wire(WireKind::Queue, &many)).unwrap_err();
        assert!(many.why.contains("257 destinations"), "{many:?}");
    }

    #[test]
    fn a_temporary_destination_keeps_its_kind_on_the_way() {
        for kind in [WireKind::TempQueue, WireKind::TempTopic] {
            let there = wire(kind, "ID:host-1:1:1");
            let here = source(&there).unwrap();
            let here = here.exact().unwrap();
            assert!(here.is_temporary());
            assert_eq!(write(here).kind, kind);
            let reply_to = reply_to(&there);
            let back = parse_reply_to(&reply_to);
            assert_eq!((back.kind, back.name), (kind, "ID:host-1:1:1"));
        }
        assert_eq!(&*reply_to(&wire(WireKind::TempQueue, "ID:x")), "/remote-temp-queue/ID:x");
    }

    #[test]
    fn a_reply_to_of_any_protocol_is_read() {
        for (text, kind, name) in [
            ("/queue/a", WireKind::Queue, "a"),
            ("topic://a.b", WireKind::Topic, "a.b"),
            ("/temp-queue/x", WireKind::TempQueue, "x"),
            ("plain", WireKind::Queue, "plain"),
        ] {
            let parts = parse_reply_to(text);
            assert_eq!((parts.kind, parts.name), (kind, name), "{text}");
        }
    }

    #[test]
    fn advisories_are_topics_of_one_family() {
        let both = "ActiveMQ.Advisory.TempQueue,topic://ActiveMQ.Advisory.TempTopic";
        assert!(is_advisory(&wire(WireKind::Topic, both)));
        assert!(!is_advisory(&wire(WireKind::Topic, "ActiveMQ.Advisory.TempQueue,a")));
        assert!(!is_advisory(&wire(WireKind::Queue, "ActiveMQ.Advisory.TempQueue")));
    }
}
