//! `[[policy]]`: what holds for some destinations only.

use paceline_core::{Destination, DestinationKind, bounds::WhenFull};
use serde::{Deserialize, Serialize};

/// `[[policy]]`: what holds for the destinations that a pattern covers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// `/queue/NAME` or `/topic/NAME`; `*` stands for one part of the name, a final `>` for all
    /// further ones.
    pub destination: String,
    /// Where persistent messages are kept before they are acknowledged.
    #[serde(default)]
    pub durability: Durability,
    /// How many messages a queue may hold, in flight or not, or may wait for a topic's subscriber.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_messages: Option<u64>,
    /// How many bytes of them.
    #[serde(default, with = "optional_size", skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// What becomes of more: of a queue `block` if left out, of a topic `drop-oldest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_full: Option<WhenFull>,
}

impl Policy {
    /// One that changes nothing.
    pub fn of(destination: &str) -> Self {
        Self {
            destination: destination.into(),
            durability: Durability::default(),
            max_messages: None,
            max_bytes: None,
            when_full: None,
        }
    }

    /// Which key is wrong, and why.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let destination = Destination::parse(&self.destination)
            .map_err(|error| ("destination", error.to_string()))?;
        for (key, most) in [("max_messages", self.max_messages), ("max_bytes", self.max_bytes)] {
            if most == Some(0) {
                return Err((key, "at least 1, or leave it out for no limit".into()));
            }
        }
        match (destination.kind, self.when_full) {
            (DestinationKind::Queue, Some(WhenFull::DropOldest)) => {
                Err(("when_full", "a queue drops nothing; use \"block\" or \"reject\"".into()))
            }
            (DestinationKind::Queue, Some(_))
                if self.max_messages.is_none() && self.max_bytes.is_none() =>
            {
                let reason = "a queue without `max_messages` or `max_bytes` is never full";
                Err(("when_full", reason.into()))
            }
            (DestinationKind::Topic, Some(WhenFull::Block)) => Err((
                "when_full",
                "one slow subscriber would hold up all producers and subscribers of a topic; use \
                 \"drop-oldest\" or \"reject\""
                    .into(),
            )),
            _ => Ok(()),
        }
    }
}

/// What an acknowledgement of a persistent message promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// That it is on the disks, synced, of a majority of its shard's nodes.
    #[default]
    Synced,
    /// That it is in the memory of its shard's leader. A crash of that node loses it: persistent
    /// messages are handled as non-persistent ones.
    Memory,
}

/// A size that may be left out.
mod optional_size {
    use serde::{Deserializer, Serializer};

    use crate::config::units::size;

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        size::deserialize(from).map(Some)
    }

    pub fn serialize<S: Serializer>(bytes: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => size::serialize(bytes, to),
            None => to.serialize_none(),
        }
    }
}
