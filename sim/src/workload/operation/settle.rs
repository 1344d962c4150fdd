//! Settle: ACK or NACK with a receipt.

use std::time::Duration;

use paceline_wire::stomp::{Command, Frame, Text, header};

use super::{super::history::ConnectionId, Reply};

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
    /// What became of it, and when that was known.
    pub reply: Option<(Duration, Reply)>,
}

/// The ACK or NACK of the delivery whose `ack` header this is. The receipt is the settlement's
/// index in the history.
pub fn frame(how: How, ack: &str, index: u32) -> Frame {
    bare(how, ack).with(header::RECEIPT, index.to_string())
}

fn bare(how: How, ack: &str) -> Frame {
    let command = match how {
        How::Accept => Command::Ack,
        How::Reject => Command::Nack,
    };
    Frame::new(command).with(header::ID, ack)
}

/// As [`frame`], for several deliveries at once, in a transaction of their own.
pub fn transaction(how: How, acks: &[Text], index: u32) -> Vec<Frame> {
    let inside = |frame: Frame| frame.with(header::TRANSACTION, format!("s{index}"));
    let mut frames = vec![inside(Frame::new(Command::Begin))];
    frames.extend(acks.iter().map(|ack| inside(bare(how, ack))));
    let receipt = index.to_string();
    frames.push(inside(Frame::new(Command::Commit)).with(header::RECEIPT, receipt));
    frames
}
