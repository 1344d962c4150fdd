//! What goes to and fro between a client and its node, whatever they speak.

use std::{fmt, io, str::FromStr, time::Duration};

use bytes::Bytes;
use paceline_client::{HeartBeat, Lost};
use paceline_wire::text::Text;

use crate::workload::{
    ids::{ConnectionId, DestinationInfo},
    operation::{MessageId, Publish, Reply, TransactionId, publish},
};

/// How long connecting and the answer to that may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often each side promises to be heard.
pub const HEART_BEAT_EVERY: Duration = Duration::from_secs(5);
/// A server that is silent for so long is given up.
pub const SILENCE: Duration = Duration::from_secs(12);
/// What both sides promise each other.
pub const HEART_BEAT: HeartBeat = HeartBeat { every: HEART_BEAT_EVERY, silence: SILENCE };
/// What a client's read has room for: most frames, as with any client. The network cuts enough of the
/// reads short that frames come in pieces, too.
pub const READ_BYTES: usize = 1024;
/// The property of a message in which some producers say its name a second time.
pub const SENT_AS: &str = "sent_as";

/// What an answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// A message of its own.
    Publish(MessageId),
    /// The end of a transaction of messages.
    Commit(TransactionId),
    /// The subscription of this number.
    Subscribe(usize),
    /// The settlement of this index in the history.
    Settle(u32),
    /// The closing of this index in the history.
    Close(u32),
    /// The end of the durable subscription of this number.
    Forget(usize),
    /// Whether a branch of messages can be committed.
    Prepare(TransactionId),
    /// The end of a branch that is prepared.
    End(TransactionId),
    /// The end of a branch that somebody else has left.
    Abandoned,
    /// Which branches are prepared.
    Recover,
}

/// The name of a branch of a distributed transaction in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Branch {
    /// Of messages.
    Messages(TransactionId),
    /// Of acknowledgements: the connection, and its number there.
    Acknowledgements(ConnectionId, u32),
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Messages(TransactionId(number)) => write!(f, "t{number}"),
            Self::Acknowledgements(ConnectionId(connection), number) => {
                write!(f, "c{connection}-{number}")
            }
        }
    }
}

impl FromStr for Branch {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |text: &str| text.parse().map_err(|_| ());
        if let Some(transaction) = text.strip_prefix('t') {
            return Ok(Self::Messages(TransactionId(number(transaction)?)));
        }
        let (connection, branch) = text.strip_prefix('c').ok_or(())?.split_once('-').ok_or(())?;
        Ok(Self::Acknowledgements(ConnectionId(number(connection)?), number(branch)?))
    }
}

/// A message to send.
pub struct Sending<'a> {
    /// Its name.
    pub id: MessageId,
    /// What is said of it.
    pub publish: &'a Publish,
    /// Where to.
    pub destination: &'a DestinationInfo,
    /// When it expires, in milliseconds since the Unix epoch.
    pub expires: Option<u64>,
    /// What is in it.
    pub body: Bytes,
}

impl Sending<'_> {
    /// To which part of its queue's messages it belongs, where consumers select by that.
    pub fn part(&self) -> Option<String> {
        let parts = self.destination.parts;
        let is_selected = parts > 1 && !self.destination.grouped;
        is_selected.then(|| publish::part(self.id, parts).to_string())
    }

    /// The group that it is in, and its number there, which is negative where it closes the group.
    pub fn group(&self) -> Option<(String, i32)> {
        if !self.destination.grouped {
            return None;
        }
        let group = format!("group {}", publish::part(self.id, self.destination.parts));
        Some((group, if publish::closes(self.id) { -1 } else { 1 }))
    }
}

/// What to receive from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Its name, which may hold wildcards.
    pub name: String,
    /// The names of others of its kind that belong to it.
    pub others: Vec<String>,
    /// Topic or queue.
    pub topic: bool,
    /// Which of its messages, if not all.
    pub selector: Option<String>,
    /// What the client calls the durable subscription that it is.
    pub durable: Option<String>,
    /// Whether all of them are to go to this consumer.
    pub exclusive: bool,
}

/// What a delivery is settled by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle {
    /// What the broker calls it.
    pub name: Text,
    /// Where it stands among the deliveries of its subscription, from 1, if the protocol counts them.
    pub place: i64,
}

/// A message that came.
#[derive(Debug)]
pub struct Arrival {
    /// For the subscription of this number; `None` if the client has none such.
    pub subscription: Option<usize>,
    /// What is in it.
    pub body: Bytes,
    /// What its producer says that it is, if it says so beside the body.
    pub sent_as: Option<String>,
    /// The name of the destination that it comes from.
    pub to: String,
    /// The broker's name of the message.
    pub broker_id: String,
    /// Whether it is marked as possibly delivered before.
    pub redelivered: bool,
    /// What settles it, if anything does.
    pub handle: Option<Handle>,
    /// Where a dead letter comes from.
    pub from: String,
    /// Why it is one.
    pub cause: String,
}

/// What the broker says.
#[derive(Debug)]
pub enum Said {
    /// A message.
    Message(Arrival),
    /// What became of what was asked, and the error that ends the connection, if one does.
    Answered(Asked, Reply, Option<io::Error>),
    /// An answer to what was not asked.
    Stray(String),
    /// There is no message for the subscription of this number, which had asked for one.
    Nothing(usize),
    /// These branches are prepared.
    Prepared(Vec<Branch>),
}

/// The end of a connection in the words of a run's log.
pub fn told(lost: Lost) -> io::Error {
    match lost {
        Lost::Io(error) => error,
        Lost::Closed => io::ErrorKind::UnexpectedEof.into(),
        Lost::Silent => io::ErrorKind::TimedOut.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_known_by_its_name() {
        for branch in
            [Branch::Messages(TransactionId(7)), Branch::Acknowledgements(ConnectionId(12), 3)]
        {
            assert_eq!(branch.to_string().parse(), Ok(branch));
        }
        for other in ["", "t", "c1", "x7", "c-1", "c1-"] {
            assert_eq!(other.parse::<Branch>(), Err(()));
        }
    }
}
