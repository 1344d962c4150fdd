//! A message, in the words every protocol shares.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::destination::Destination;

/// Wall-clock time in milliseconds since the Unix epoch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct UnixMillis(pub u64);

/// The priority of a message that names none (JMS 2.0, section 3.4.10).
pub const DEFAULT_PRIORITY: u8 = 4;

/// The highest priority; larger values sent by a client are treated as this one.
pub const MAX_PRIORITY: u8 = 9;

/// A property's value. Protocols that know only text carry [`Value::Text`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// A truth value.
    Bool(bool),
    /// Any integer the protocols know; the narrower types widen without loss.
    Int(i64),
    /// A binary floating point number.
    Double(f64),
    /// A string.
    Text(Arc<str>),
    /// Uninterpreted bytes.
    Bytes(Bytes),
}

/// What a message carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// UTF-8 text, as a STOMP frame without content-length or a JMS TextMessage has.
    Text(Bytes),
    /// Uninterpreted bytes.
    Binary(Bytes),
}

impl Body {
    /// The bytes, whichever way they are to be read.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Body::Text(bytes) | Body::Binary(bytes) => bytes,
        }
    }
}

/// A message as the broker stores, replicates and delivers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Unique over the cluster and over restarts; given by the ingress node.
    pub id: Arc<str>,
    /// Where it was sent.
    pub destination: Destination,
    /// Whether it must survive crashes: stored and replicated before it is acknowledged.
    pub persistent: bool,
    /// 0 (lowest) to [`MAX_PRIORITY`].
    pub priority: u8,
    /// When the ingress node took it in, or what the client said.
    pub timestamp: UnixMillis,
    /// After this instant it must not be delivered.
    pub expires: Option<UnixMillis>,
    /// Matches a reply to its request.
    pub correlation_id: Option<Arc<str>>,
    /// Where a reply is wanted, as the client wrote it.
    pub reply_to: Option<Arc<str>>,
    /// MIME type of the body.
    pub content_type: Option<Arc<str>>,
    /// The client's own headers, in the order they came.
    pub properties: Vec<(Arc<str>, Value)>,
    /// The payload.
    pub body: Body,
}

impl Message {
    /// About how many bytes of memory it takes, for budgets.
    pub fn footprint(&self) -> usize {
        let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
        let properties: usize = self
            .properties
            .iter()
            .map(|(name, value)| {
                let value = match value {
                    Value::Text(text) => text.len(),
                    Value::Bytes(bytes) => bytes.len(),
                    Value::Bool(_) | Value::Int(_) | Value::Double(_) => 0,
                };
                size_of::<(Arc<str>, Value)>() + name.len() + value
            })
            .sum();
        size_of::<Self>()
            + self.id.len()
            + self.destination.name.len()
            + text(&self.correlation_id)
            + text(&self.reply_to)
            + text(&self.content_type)
            + properties
            + self.body.bytes().len()
    }

    /// Whether `now` is past the message's expiry.
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}
