//! Publish: a message sent, mostly with an answer wanted.
//!
//! An unknown publish is not sent again, but by clients of OpenWire: the run wants to see what became of
//! the first. Of those that are it must not see that they were two.

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
    /// How it is put off, if it is.
    pub delay: Option<Delay>,
    /// The transaction it was sent in.
    pub transaction: Option<TransactionId>,
    /// Its priority, if the scenario draws one.
    pub priority: Option<u8>,
    /// The size of its body.
    pub bytes: u32,
    /// What became of it, and when that was known.
    pub reply: Option<(Duration, Reply)>,
}

/// When a message is to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// How long after it is sent or, in a transaction, committed.
    pub after: Duration,
    /// How often it is delivered again.
    pub repeat: u32,
    /// The time between two deliveries.
    pub period: Duration,
}

impl Delay {
    /// The properties that ask for it, as ActiveMQ names them, with their milliseconds and number.
    pub fn properties(&self) -> impl Iterator<Item = (&'static str, i64)> {
        let millis = |time: Duration| time.as_millis() as i64;
        let repeated = [
            ("AMQ_SCHEDULED_PERIOD", millis(self.period)),
            ("AMQ_SCHEDULED_REPEAT", i64::from(self.repeat)),
        ];
        let repeated = repeated.into_iter().filter(|_| self.repeat > 0);
        [("AMQ_SCHEDULED_DELAY", millis(self.after))].into_iter().chain(repeated)
    }
}

impl Publish {
    /// As how many messages it is delivered.
    pub fn copies(&self) -> usize {
        1 + self.delay.map_or(0, |delay| delay.repeat as usize)
    }

    /// Whether it is stored, at a queue: what is put off is in any case.
    pub fn is_stored(&self) -> bool {
        self.persistent || self.delay.is_some()
    }

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

/// Whether a message closes its group, where it is in one.
pub fn closes(id: MessageId) -> bool {
    id.sequence % 23 == 22
}

/// A selector of one part. Consumers write it in one of several ways, by `number`.
pub fn selector(part: u32, number: u32) -> String {
    match number % 3 {
        0 => format!("{PART} = '{part}'"),
        1 => format!("convert_string_expressions:{PART} BETWEEN {part} AND {part}"),
        _ => format!("NOT ({PART} NOT IN ('{part}') OR JMSPriority < 0)"),
    }
}
