//! A message, in the words every protocol shares.

use std::{borrow::Cow, sync::Arc, time::Duration};

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

/// A property's value, with the width that its sender gave it. Protocols that know only text carry
/// [`Value::Text`]. Journals hold the variants by their numbers: new ones come last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// A truth value.
    Bool(bool),
    /// An integer of 64 bits.
    Long(i64),
    /// A binary floating point number of 64 bits.
    Double(f64),
    /// A string.
    Text(Arc<str>),
    /// Uninterpreted bytes.
    Bytes(Bytes),
    /// An integer of 8 bits.
    Byte(i8),
    /// An integer of 16 bits.
    Short(i16),
    /// An integer of 32 bits.
    Int(i32),
    /// A binary floating point number of 32 bits.
    Float(f32),
}

impl Value {
    /// How protocols write it that know only text; none for what is not text.
    pub fn to_text(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Value::Text(text) => Cow::Borrowed(text),
            Value::Bool(true) => Cow::Borrowed("true"),
            Value::Bool(false) => Cow::Borrowed("false"),
            Value::Long(number) => Cow::Owned(number.to_string()),
            Value::Int(number) => Cow::Owned(number.to_string()),
            Value::Short(number) => Cow::Owned(number.to_string()),
            Value::Byte(number) => Cow::Owned(number.to_string()),
            Value::Double(number) => Cow::Owned(number.to_string()),
            Value::Float(number) => Cow::Owned(number.to_string()),
            Value::Bytes(_) => return None,
        })
    }
}

/// What a message carries. Journals hold the variants by their numbers: new ones come last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// UTF-8 text, as a STOMP frame without content-length or a JMS TextMessage has.
    Text(Bytes),
    /// Uninterpreted bytes.
    Binary(Bytes),
    /// Names and values, as OpenWire encodes those of a JMS MapMessage.
    Map(Bytes),
    /// Values, as OpenWire encodes those of a JMS StreamMessage.
    Stream(Bytes),
    /// A serialised Java object, which the broker never looks into.
    Object(Bytes),
    /// Nothing, as a plain JMS Message has.
    Nothing,
}

impl Body {
    /// The bytes, whichever way they are to be read.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Body::Text(bytes)
            | Body::Binary(bytes)
            | Body::Map(bytes)
            | Body::Stream(bytes)
            | Body::Object(bytes) => bytes,
            Body::Nothing => &NO_BYTES,
        }
    }
}

static NO_BYTES: Bytes = Bytes::new();

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
                    _ => 0,
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

    /// Makes a message to a temporary destination what those may be: not stored, and not kept for longer
    /// than an hour, since the client that would have fetched it may be gone.
    pub fn confine(&mut self, now: UnixMillis) {
        const LIFE: Duration = Duration::from_secs(60 * 60);
        if self.destination.is_temporary() {
            let latest = UnixMillis(now.0.saturating_add(LIFE.as_millis() as u64));
            self.persistent = false;
            self.expires = Some(self.expires.map_or(latest, |at| at.min(latest)));
        }
    }

    /// Whether `now` is past the message's expiry.
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}
