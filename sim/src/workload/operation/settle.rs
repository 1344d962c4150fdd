//! Settle: ACK or NACK, mostly with a receipt.

use std::time::Duration;

use paceline_wire::stomp::{Command, Frame, Text, header};

use super::Reply;
use crate::workload::ids::ConnectionId;

/// How a consumer ends a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// ACK: consumed.
    Accept,
    /// NACK: refused; the broker delivers it again or dead-letters it.
    Reject,
}

/// One settlement, of one delivery or, with cumulative acknowledgement, of several.
#[derive(Clone, Debug, PartialEq)]
pub struct Settle {
    /// Over which connection; that of its deliveries.
    pub connection: ConnectionId,
    /// What it ends, as indices into the history's deliveries.
    pub deliveries: Vec<u32>,
    /// How.
    pub how: How,
    /// When it was sent.
    pub sent: Duration,
    /// What became of it, and when that was known; never where no receipt was asked for.
    pub reply: Option<(Duration, Reply)>,
}

/// The ACK or NACK of the delivery whose `ack` header this is. The receipt is the settlement's
/// index in the history.
pub fn frame(how: How, ack: &str, index: u32) -> Frame {
    bare(how, ack).with(header::RECEIPT, index.to_string())
}

/// As [`frame`], without asking for a receipt.
pub fn bare(how: How, ack: &str) -> Frame {
    let command = match how {
        How::Accept => Command::Ack,
        How::Reject => Command::Nack,
    };
    Frame::new(command).with(header::ID, ack)
}

/// As [`frame`], for several deliveries at once, in a transaction of their own.
pub fn transaction(how: How, acks: &[Text], index: u32) -> Vec<Frame> {
    let commit = Frame::new(Command::Commit).with(header::RECEIPT, index.to_string());
    inside(how, acks, &format!("s{index}"), commit)
}

/// The ACKs of several deliveries in a transaction that comes to nothing.
pub fn aborted(acks: &[Text]) -> Vec<Frame> {
    inside(How::Accept, acks, "aborted", Frame::new(Command::Abort))
}

/// The frames of a transaction of that name, which the last of them ends.
fn inside(how: How, acks: &[Text], name: &str, last: Frame) -> Vec<Frame> {
    let frames = std::iter::once(Frame::new(Command::Begin));
    let frames = frames.chain(acks.iter().map(|ack| bare(how, ack))).chain([last]);
    frames.map(|frame| frame.with(header::TRANSACTION, name)).collect()
}
