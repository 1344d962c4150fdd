//! Names of queues and topics, and the wildcards over them.

pub mod slotting;

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::slotting::dead_letters_of;

/// The longest destination name accepted, in bytes.
pub const MAX_NAME_BYTES: usize = 1024;

/// Queues hand each message to one consumer, topics to every subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DestinationKind {
    /// Each message goes to one consumer.
    Queue,
    /// Each message goes to every subscriber.
    Topic,
}

/// A queue or a topic, or, with wildcards in its name, a set of them.
///
/// Names are paths with `.` between their parts, as ActiveMQ has them: `*` stands for exactly one
/// part, a final `>` for one or more further parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Destination {
    /// Queue or topic.
    pub kind: DestinationKind,
    /// The name without any prefix of a protocol.
    pub name: Arc<str>,
}

/// Whether a destination of that name ends with the connection of the client that made it.
pub fn is_temporary(name: &str) -> bool {
    name.starts_with("ID:")
}

/// Why a text is not a destination.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidDestination {
    /// The name has no characters.
    #[error("the destination name is empty")]
    Empty,
    /// The name is longer than [`MAX_NAME_BYTES`].
    #[error("the destination name has {0} bytes; at most {MAX_NAME_BYTES} are allowed")]
    TooLong(usize),
    /// The text starts with neither `/queue/` nor `/topic/` nor one of their other spellings.
    #[error("`{0}` is neither a queue nor a topic; write /queue/NAME or /topic/NAME")]
    UnknownKind(String),
    /// Control characters would corrupt logs and reports.
    #[error("the destination name holds a control character")]
    ControlCharacter,
}

impl Destination {
    /// A checked destination.
    pub fn new(kind: DestinationKind, name: &str) -> Result<Self, InvalidDestination> {
        if name.is_empty() {
            return Err(InvalidDestination::Empty);
        }
        // A dead-letter queue's name may be as much longer as its prefix is, so that every queue
        // can have one.
        if dead_letters_of(name).unwrap_or(name).len() > MAX_NAME_BYTES {
            return Err(InvalidDestination::TooLong(name.len()));
        }
        if name.chars().any(char::is_control) {
            return Err(InvalidDestination::ControlCharacter);
        }
        Ok(Self { kind, name: name.into() })
    }

    /// A checked queue.
    pub fn queue(name: &str) -> Result<Self, InvalidDestination> {
        Self::new(DestinationKind::Queue, name)
    }

    /// A checked topic.
    pub fn topic(name: &str) -> Result<Self, InvalidDestination> {
        Self::new(DestinationKind::Topic, name)
    }

    /// Whether it ends with the connection of the client that made it, whose id its name begins with.
    pub fn is_temporary(&self) -> bool {
        is_temporary(&self.name)
    }

    /// Reads `/queue/NAME`, `/topic/NAME`, `queue://NAME` or `topic://NAME`; a temporary destination of
    /// another client as well, `/remote-temp-queue/NAME` or `/remote-temp-topic/NAME`.
    pub fn parse(text: &str) -> Result<Self, InvalidDestination> {
        for (prefix, kind) in [
            ("/queue/", DestinationKind::Queue),
            ("queue://", DestinationKind::Queue),
            ("/topic/", DestinationKind::Topic),
            ("topic://", DestinationKind::Topic),
            ("/remote-temp-queue/", DestinationKind::Queue),
            ("/remote-temp-topic/", DestinationKind::Topic),
        ] {
            if let Some(name) = text.strip_prefix(prefix) {
                return Self::new(kind, name);
            }
        }
        Err(InvalidDestination::UnknownKind(text.chars().take(80).collect()))
    }

    /// Whether the name holds a wildcard, so that it stands for many destinations.
    pub fn is_pattern(&self) -> bool {
        self.name.split('.').any(|part| part == "*" || part == ">")
    }

    /// Whether this destination, read as a pattern, covers all that `other` does.
    pub fn covers(&self, other: &Destination) -> bool {
        let is_open = |name: &str| name.rsplit('.').next() == Some(">");
        self.matches(other) && (is_open(&self.name) || !is_open(&other.name))
    }

    /// Whether this destination, read as a pattern, covers `other`, which is none.
    pub fn matches(&self, other: &Destination) -> bool {
        if self.kind != other.kind {
            return false;
        }
        let mut parts = other.name.split('.');
        let mut pattern = self.name.split('.').peekable();
        while let Some(wanted) = pattern.next() {
            if wanted == ">" && pattern.peek().is_none() {
                return parts.next().is_some();
            }
            match parts.next() {
                Some(part) if wanted == "*" || wanted == part => {}
                _ => return false,
            }
        }
        parts.next().is_none()
    }
}

impl FromStr for Destination {
    type Err = InvalidDestination;

    fn from_str(text: &str) -> Result<Self, InvalidDestination> {
        Self::parse(text)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            DestinationKind::Queue => write!(f, "/queue/{}", self.name),
            DestinationKind::Topic => write!(f, "/topic/{}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str) -> Destination {
        Destination::queue(name).unwrap()
    }

    #[test]
    fn wildcards_match_as_activemq_documents_them() {
        assert!(queue("PRICE.STOCK.*.IBM").matches(&queue("PRICE.STOCK.NASDAQ.IBM")));
        assert!(!queue("PRICE.STOCK.*").matches(&queue("PRICE.STOCK.NASDAQ.IBM")));
        assert!(queue("PRICE.>").matches(&queue("PRICE.STOCK.NASDAQ.IBM")));
        assert!(!queue("PRICE.>").matches(&queue("PRICE")));
        assert!(queue(">").matches(&queue("PRICE")));
        assert!(!queue("a.b").matches(&queue("a.b.c")));
        assert!(!queue("a").matches(&Destination::topic("a").unwrap()));
    }

    #[test]
    fn a_pattern_covers_another_if_it_covers_all_that_the_other_does() {
        for (one, other, expected) in [
            (">", "a.>", true),
            ("a.>", "a.b", true),
            ("a.>", "a.*.c", true),
            ("a.*", "a.b", true),
            ("a.*", "a.>", false),
            ("a.>", ">", false),
            ("a.b", "a.*", false),
            ("a.*.>", "a.>", false),
        ] {
            assert_eq!(queue(one).covers(&queue(other)), expected, "{one} {other}");
        }
    }

    #[test]
    fn both_spellings_are_read() {
        assert_eq!(Destination::parse("/queue/a.b"), Ok(queue("a.b")));
        assert_eq!(Destination::parse("queue://a.b"), Ok(queue("a.b")));
        let temporary = Destination::parse("/remote-temp-queue/ID:a:1:1").unwrap();
        assert_eq!(temporary, queue("ID:a:1:1"));
        assert!(temporary.is_temporary() && !queue("a.b").is_temporary());
        assert!(matches!(Destination::parse("a.b"), Err(InvalidDestination::UnknownKind(_))));
        assert_eq!(Destination::parse("/queue/"), Err(InvalidDestination::Empty));
    }
}
