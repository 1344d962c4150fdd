//! Publish: a message sent, mostly with an answer wanted.
//!
//! An unknown publish is not sent again: the run wants to see what became of the first.

use std::time::Duration;

use super::{MessageId, Reply, TransactionId};
use crate::workload::ids::{ConnectionId, DestinationId};

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
