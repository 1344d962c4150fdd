//! `[[policy]]`: what holds for some destinations only.

use paceline_core::Destination;
use paceline_membership::{
    self as membership, Durability, Expired, InvalidPolicy, Policies, WhenFull,
};
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{ConfigError, Wrong, wrong};

/// `[[policy]]`: what holds for the destinations that a pattern covers, as a file says it.
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
    /// How often a message that was rejected is delivered again before it goes to the dead-letter
    /// queue; 6 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_redeliveries: Option<u8>,
    /// What becomes of a stored message whose time is over; `drop` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired: Option<Expired>,
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
            max_redeliveries: None,
            expired: None,
        }
    }

    /// The same as a cluster has it.
    ///
    /// # Errors
    /// Which key is wrong, and why.
    pub fn read(&self) -> Result<membership::Policy, InvalidPolicy> {
        let destination = Destination::parse(&self.destination)
            .map_err(|error| InvalidPolicy::Destination(error.to_string()))?;
        let policy = membership::Policy {
            destination,
            durability: self.durability,
            max_messages: self.max_messages,
            max_bytes: self.max_bytes,
            when_full: self.when_full,
            max_redeliveries: self.max_redeliveries,
            expired: self.expired,
        };
        policy.check().map(|()| policy)
    }
}

impl From<&membership::Policy> for Policy {
    fn from(policy: &membership::Policy) -> Self {
        Self {
            destination: policy.destination.to_string(),
            durability: policy.durability,
            max_messages: policy.max_messages,
            max_bytes: policy.max_bytes,
            when_full: policy.when_full,
            max_redeliveries: policy.max_redeliveries,
            expired: policy.expired,
        }
    }
}

/// `[[policy]]` entries as a cluster has them.
///
/// # Errors
/// Which key of which entry is wrong, and why.
pub fn read_policies(entries: &[Policy]) -> Result<Policies, Wrong> {
    let at_entry = |at: usize, why: InvalidPolicy| {
        wrong(&format!("policy.{at}.{}", why.key()), why.to_string())
    };
    let mut read = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        read.push(entry.read().map_err(|why| at_entry(at, why))?);
    }
    Policies::try_from(read).map_err(|error| at_entry(error.at, error.why))
}

/// Reads the `[[policy]]` entries of a file, which may be a node's configuration or hold nothing else.
/// `file` is named in errors.
///
/// # Errors
/// What is wrong with them, and where.
pub fn parse_policies(file: &str, text: &str) -> Result<Policies, ConfigError> {
    let PolicyFile { policy, .. } =
        toml::from_str(text).map_err(|error| ConfigError::from_toml(file, text, &error))?;
    read_policies(&policy)
        .map_err(|wrong| ConfigError::at_key(file, text, &wrong.key, wrong.reason))
}

/// What may stand in such a file; no misspelt table is passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what is not about policies is only allowed to stand there")]
struct PolicyFile {
    #[serde(default)]
    policy: Vec<Policy>,
    node: Option<IgnoredAny>,
    listen: Option<IgnoredAny>,
    cluster: Option<IgnoredAny>,
    replication: Option<IgnoredAny>,
    storage: Option<IgnoredAny>,
    stomp: Option<IgnoredAny>,
    openwire: Option<IgnoredAny>,
    limits: Option<IgnoredAny>,
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
