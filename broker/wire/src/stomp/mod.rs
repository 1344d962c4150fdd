//! STOMP 1.0, 1.1 and 1.2: frames as values, [`Decoder`] and [`FrameWriter`] between them and bytes.
//!
//! The three versions differ on the wire in their header escapes and line ends only, so one codec
//! serves all and is told the [`Version`] once it is negotiated. Sources: the specifications at
//! <https://stomp.github.io>, cited below by version and section.

mod decode;
mod encode;
mod escape;

#[cfg(test)]
mod tests;

use bytes::{Bytes, BytesMut};

pub use crate::text::Text;
pub use decode::{DecodeError, Decoder, Limits};
pub use encode::FrameWriter;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// STOMP 1.0: no escapes, no heart-beats, white space around header values is dropped.
    V1_0,
    /// STOMP 1.1: escapes for line feed, colon and backslash; heart-beats; NACK.
    V1_1,
    /// STOMP 1.2: carriage return is escaped too, and lines may end with CR LF.
    V1_2,
}

impl Version {
    /// Every version, oldest first.
    pub const ALL: [Version; 3] = [Version::V1_0, Version::V1_1, Version::V1_2];

    /// As it is written in `accept-version` and `version` headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::V1_0 => "1.0",
            Version::V1_1 => "1.1",
            Version::V1_2 => "1.2",
        }
    }

    /// Reads `1.0`, `1.1` or `1.2`.
    pub fn parse(text: &str) -> Option<Version> {
        Version::ALL.into_iter().find(|version| version.as_str() == text)
    }
}

macro_rules! commands {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// What a frame asks for or says.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Command { $($(#[$doc])* $variant,)* }

        impl Command {
            /// Every command of every version.
            pub const ALL: &[Command] = &[$(Command::$variant,)*];

            /// As it stands on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Command::$variant => $text,)* }
            }

            /// Reads a command; upper case only, as STOMP 1.2 "STOMP Frames" has it.
            pub fn parse(bytes: &[u8]) -> Option<Command> {
                $(if bytes == $text.as_bytes() { return Some(Command::$variant); })*
                None
            }
        }
    };
}

commands! {
    /// Client: send a message.
    Send = "SEND",
    /// Server: a message for a subscription.
    Message = "MESSAGE",
    /// Client: a delivery was consumed.
    Ack = "ACK",
    /// Client: a delivery was not consumed (1.1 on).
    Nack = "NACK",
    /// Server: a frame that asked for it was processed.
    Receipt = "RECEIPT",
    /// Client: begin to consume.
    Subscribe = "SUBSCRIBE",
    /// Client: stop consuming.
    Unsubscribe = "UNSUBSCRIBE",
    /// Client: open a transaction.
    Begin = "BEGIN",
    /// Client: carry a transaction out.
    Commit = "COMMIT",
    /// Client: drop a transaction.
    Abort = "ABORT",
    /// Client: open the session.
    Connect = "CONNECT",
    /// Client: open the session, 1.1 on.
    Stomp = "STOMP",
    /// Server: the session is open.
    Connected = "CONNECTED",
    /// Client: end the session.
    Disconnect = "DISCONNECT",
    /// Server: what went wrong, before it closes the connection.
    Error = "ERROR",
}

impl Command {
    /// Whether the headers of this frame are never escaped, so that a client may read them before
    /// it knows the version (STOMP 1.2 "Value Encoding").
    pub fn is_handshake(self) -> bool {
        matches!(self, Command::Connect | Command::Stomp | Command::Connected)
    }

    /// Whether the frame may carry a body (STOMP 1.2 "STOMP Frames").
    pub fn may_have_body(self) -> bool {
        matches!(self, Command::Send | Command::Message | Command::Error)
    }
}

/// A whole frame with its headers unescaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it asks for.
    pub command: Command,
    /// In the order they came; a repeated name's first entry is the one that counts.
    pub headers: Vec<(Text, Text)>,
    /// The payload, without the closing NUL.
    pub body: Bytes,
}

impl Frame {
    /// A frame without headers or body.
    pub fn new(command: Command) -> Self {
        Self { command, headers: Vec::new(), body: Bytes::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: impl Into<Text>, value: impl Into<Text>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// A header's value; of repeated entries the first one (STOMP 1.2 "Repeated Header Entries").
    pub fn header(&self, name: &str) -> Option<&Text> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value)
    }

    /// Appends the frame to `out` as `version` has it. A `content-length` header is written from
    /// the body's length, whatever the frame's own headers say; for an empty body only where they
    /// hold one. See [`FrameWriter::finish`].
    pub fn encode(&self, version: Version, out: &mut BytesMut) {
        let mut writer = FrameWriter::begin(out, version, self.command);
        for (name, value) in &self.headers {
            if name != header::CONTENT_LENGTH {
                writer.header(name, value);
            }
        }
        if self.command.may_have_body() && self.header(header::CONTENT_LENGTH).is_some() {
            writer.finish_as_bytes(&self.body);
        } else {
            writer.finish(&self.body);
        }
    }
}

/// The line end that stands between frames as a heart-beat (STOMP 1.2 "Heart-beating").
pub const HEART_BEAT: &[u8] = b"\n";

/// Stands in the `message` of an ERROR about a frame that may or may not have been carried out. What
/// any other ERROR is about was not, and will not be.
pub const OUTCOME_UNKNOWN: &str = "outcome unknown";

/// Header names, of the specifications and of ActiveMQ's extensions.
pub mod header {
    #![allow(missing_docs, reason = "each constant is its own text")]
    pub const ACCEPT_VERSION: &str = "accept-version";
    pub const ACK: &str = "ack";
    pub const BROWSER: &str = "browser";
    pub const CONTENT_LENGTH: &str = "content-length";
    pub const CONTENT_TYPE: &str = "content-type";
    pub const CORRELATION_ID: &str = "correlation-id";
    pub const DESTINATION: &str = "destination";
    pub const EXPIRES: &str = "expires";
    pub const HEART_BEAT: &str = "heart-beat";
    pub const HOST: &str = "host";
    pub const ID: &str = "id";
    pub const LOGIN: &str = "login";
    pub const MESSAGE: &str = "message";
    pub const MESSAGE_ID: &str = "message-id";
    pub const PASSCODE: &str = "passcode";
    pub const PERSISTENT: &str = "persistent";
    pub const PREFETCH_SIZE: &str = "activemq.prefetchSize";
    pub const PRIORITY: &str = "priority";
    pub const RECEIPT: &str = "receipt";
    pub const RECEIPT_ID: &str = "receipt-id";
    pub const REDELIVERED: &str = "redelivered";
    pub const REQUEST_ID: &str = "request-id";
    pub const RESPONSE_ID: &str = "response-id";
    pub const REPLY_TO: &str = "reply-to";
    pub const SELECTOR: &str = "selector";
    pub const SERVER: &str = "server";
    pub const SESSION: &str = "session";
    pub const SUBSCRIPTION: &str = "subscription";
    pub const TIMESTAMP: &str = "timestamp";
    pub const TRANSACTION: &str = "transaction";
    /// ActiveMQ: how the names and values of a map message are written as text.
    pub const TRANSFORMATION: &str = "transformation";
    /// ActiveMQ: why a message is not what `transformation` asks for.
    pub const TRANSFORMATION_ERROR: &str = "transformation-error";
    pub const VERSION: &str = "version";
    /// The user that sent a message, which a client does not say itself.
    pub const USER_ID: &str = "JMSXUserID";
    /// JMS 2.0 section 3.5.11: how often the message was delivered, this time included.
    pub const DELIVERY_COUNT: &str = "JMSXDeliveryCount";
    /// ActiveMQ: `text` or `bytes`, where the presence of content-length would mislead.
    pub const AMQ_MESSAGE_TYPE: &str = "amq-msg-type";
}
