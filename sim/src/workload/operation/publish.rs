//! Publish: SEND with a receipt.
//!
//! An unknown publish is not sent again: the run wants to see what became of the first.

use std::time::Duration;

use bytes::Bytes;
use paceline_client::stomp::ServerError;
use paceline_wire::stomp::{Command, Frame, header};

use super::{MessageId, Reply, TransactionId, transaction};
use crate::workload::ids::{ConnectionId, DestinationId, DestinationInfo};

/// One message sent by a producer.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    /// Where to.
    pub destination: DestinationId,
    /// Whether it must survive crashes.
    pub persistent: bool,
    /// Over which connection.
    pub connection: ConnectionId,
    /// When it was sent.
    pub sent: Duration,
    /// After this it need not be delivered.
    pub expires: Option<Duration>,
    /// The transaction it was sent in.
    pub transaction: Option<TransactionId>,
    /// Its priority, if the scenario draws one.
    pub priority: Option<u8>,
    /// The size of its body.
    pub bytes: u32,
    /// What became of it, and when that was known.
    pub reply: Option<(Duration, Reply)>,
}

impl Publish {
    /// What is known of its fate, if anything.
    pub fn fate(&self) -> Option<Reply> {
        self.reply.map(|(_, reply)| reply)
    }

    /// Whether the broker vouches for it.
    pub fn is_acknowledged(&self) -> bool {
        self.fate() == Some(Reply::Ok)
    }
}

/// The property that says to which part of its queue's messages a message belongs.
pub const PART: &str = "part";

/// The part of a message, where there are so many.
pub fn part(id: MessageId, parts: u32) -> u32 {
    id.sequence % parts
}

/// A selector of one part. Consumers write it in one of several ways, by `number`.
pub fn selector(part: u32, number: u32) -> String {
    match number % 3 {
        0 => format!("{PART} = '{part}'"),
        1 => format!("convert_string_expressions:{PART} BETWEEN {part} AND {part}"),
        _ => format!("NOT ({PART} NOT IN ('{part}') OR JMSPriority < 0)"),
    }
}

/// The SEND frame, without the receipt it may ask for. `expires` is in milliseconds since the Unix
/// epoch, as ActiveMQ has it.
pub fn frame(
    id: MessageId,
    destination: &DestinationInfo,
    publish: &Publish,
    expires: Option<u64>,
    body: Bytes,
) -> Frame {
    let kind = if destination.topic { "topic" } else { "queue" };
    let mut frame = Frame::new(Command::Send)
        .with(header::DESTINATION, format!("/{kind}/{}", destination.name))
        .with(header::PERSISTENT, if publish.persistent { "true" } else { "false" });
    if destination.parts > 1 {
        frame = frame.with(PART, part(id, destination.parts).to_string());
    }
    if let Some(priority) = publish.priority {
        frame = frame.with(header::PRIORITY, priority.to_string());
    }
    if let Some(expires) = expires {
        frame = frame.with(header::EXPIRES, expires.to_string());
    }
    if let Some(number) = publish.transaction {
        frame = frame.with(header::TRANSACTION, transaction::name(number));
    }
    frame.with_body(body)
}

/// What an ERROR frame says of the frame whose receipt it names: that nothing was done, or
/// nothing certain.
pub fn classify(error: &Frame) -> Reply {
    if ServerError::of(error).is_certain() { Reply::Failed } else { Reply::Unknown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_is_certain() {
        let error = |text: &str| Frame::new(Command::Error).with(header::MESSAGE, text);
        assert_eq!(classify(&error("SEND: refused: the disk is full")), Reply::Failed);
        assert_eq!(classify(&error("SEND: outcome unknown: no leader")), Reply::Unknown);
        assert_eq!(classify(&Frame::new(Command::Error)), Reply::Unknown);
    }
}
