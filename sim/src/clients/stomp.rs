//! The operations of a run as STOMP has them.

use std::io;

use paceline_client::stomp::{Client, Error, Options, ServerError};
use paceline_scenario::format::AckMode;
use paceline_wire::{
    stomp::{Command, Frame, header},
    text::Text,
};

use super::dialogue::{
    Arrival, Asked, CONNECT_TIMEOUT, HEART_BEAT, Handle, READ_BYTES, SENT_AS, Said, Sending,
    Source, told,
};
use crate::workload::operation::{Delay, How, MessageId, Reply, TransactionId, publish::PART};

/// The header of a dead letter that says where it comes from.
const FROM: &str = "original-destination";
/// The header of a dead letter that says why it is one.
const CAUSE: &str = "dlqDeliveryFailureCause";

/// The header that names a durable subscription.
const DURABLE: &str = "activemq.subscriptionName";

/// A STOMP connection to one node.
pub struct Stomp {
    client: Client,
}

impl Stomp {
    pub async fn open(address: &str, client_id: Option<String>) -> io::Result<Self> {
        let options = Options {
            client_id,
            connect_timeout: CONNECT_TIMEOUT,
            heart_beat: Some(HEART_BEAT),
            read_bytes: READ_BYTES,
            ..Options::default()
        };
        let client = Client::connect(address, &options).await;
        Ok(Self { client: client.map_err(in_words)? })
    }

    pub fn publish(&mut self, sending: &Sending<'_>) {
        let publish = sending.publish;
        let mut frame = Frame::new(Command::Send)
            .with(header::DESTINATION, path(sending.destination.topic, &sending.destination.name))
            .with(header::PERSISTENT, if publish.persistent { "true" } else { "false" });
        if let Some(part) = sending.part() {
            frame = frame.with(PART, part);
        }
        if let Some((group, number)) = sending.group() {
            frame = frame.with("JMSXGroupID", group).with("JMSXGroupSeq", number.to_string());
        }
        if let Some(priority) = publish.priority {
            frame = frame.with(header::PRIORITY, priority.to_string());
        }
        if let Some(expires) = sending.expires {
            frame = frame.with(header::EXPIRES, expires.to_string());
        }
        for (name, value) in publish.delay.iter().flat_map(Delay::properties) {
            frame = frame.with(name, value.to_string());
        }
        frame = match publish.transaction {
            Some(number) => frame.with(header::TRANSACTION, transaction(number)),
            None => frame,
        };
        frame = frame.with_body(sending.body.clone());
        if publish.transaction.is_none() {
            frame = frame.with(header::RECEIPT, receipt(Asked::Publish(sending.id)));
        }
        self.client.send(&frame);
    }

    pub fn begin(&mut self, number: TransactionId) {
        let frame = Frame::new(Command::Begin).with(header::TRANSACTION, transaction(number));
        self.client.send(&frame);
    }

    pub fn commit(&mut self, number: TransactionId) {
        let frame = Frame::new(Command::Commit)
            .with(header::TRANSACTION, transaction(number))
            .with(header::RECEIPT, receipt(Asked::Commit(number)));
        self.client.send(&frame);
    }

    pub fn abort(&mut self, number: TransactionId) {
        let frame = Frame::new(Command::Abort).with(header::TRANSACTION, transaction(number));
        self.client.send(&frame);
    }

    pub fn subscribe(&mut self, number: usize, source: &Source, mode: AckMode, prefetch: u32) {
        let mode = match mode {
            AckMode::Auto => "auto",
            AckMode::Client => "client",
            AckMode::ClientIndividual => "client-individual",
        };
        let names = [&source.name].into_iter().chain(&source.others);
        let paths: Vec<String> = names.map(|name| path(source.topic, name)).collect();
        let mut frame = Frame::new(Command::Subscribe)
            .with(header::ID, number.to_string())
            .with(header::DESTINATION, paths.join(","))
            .with("ack", mode)
            .with(header::PREFETCH_SIZE, prefetch.to_string())
            .with(header::RECEIPT, receipt(Asked::Subscribe(number)));
        if source.exclusive {
            frame = frame.with("activemq.exclusive", "true");
        }
        if let Some(selector) = &source.selector {
            frame = frame.with(header::SELECTOR, selector.as_str());
        }
        if let Some(durable) = &source.durable {
            frame = frame.with(DURABLE, durable.as_str());
        }
        self.client.send(&frame);
    }

    pub fn forget(&mut self, number: usize, durable: &str) {
        let frame = Frame::new(Command::Unsubscribe)
            .with(header::ID, number.to_string())
            .with(DURABLE, durable)
            .with(header::RECEIPT, receipt(Asked::Forget(number)));
        self.client.send(&frame);
    }

    pub fn settle(&mut self, _: usize, how: How, handles: &[Handle], index: Option<u32>) {
        let Some(last) = handles.last() else { return };
        let mut frame = settling(how, last);
        if let Some(index) = index {
            frame = frame.with(header::RECEIPT, receipt(Asked::Settle(index)));
        }
        self.client.send(&frame);
    }

    pub fn settle_together(
        &mut self,
        deliveries: &[(usize, Handle)],
        up_to: bool,
        index: Option<u32>,
    ) {
        let deliveries = if up_to { &deliveries[deliveries.len() - 1..] } else { deliveries };
        let (name, last) = match index {
            Some(index) => {
                let commit = Frame::new(Command::Commit);
                let commit = commit.with(header::RECEIPT, receipt(Asked::Settle(index)));
                (format!("s{index}"), commit)
            }
            None => ("aborted".to_owned(), Frame::new(Command::Abort)),
        };
        let accepted = deliveries.iter().map(|(_, handle)| settling(How::Accept, handle));
        for frame in [Frame::new(Command::Begin)].into_iter().chain(accepted).chain([last]) {
            self.client.send(&frame.with(header::TRANSACTION, name.as_str()));
        }
    }

    /// What was looked at cannot be said.
    pub fn unsubscribe(&mut self, number: usize, _seen: i64, _index: Option<u32>) {
        self.client.send(&Frame::new(Command::Unsubscribe).with(header::ID, number.to_string()));
    }

    pub fn fall_silent(&mut self) {
        self.client.fall_silent();
    }

    pub async fn leave(&mut self) -> io::Result<()> {
        self.client.leave().await.map_err(in_words)
    }

    pub async fn receive(&mut self) -> io::Result<Said> {
        let frame = self.client.receive().await.map_err(in_words)?;
        let text = |name: &str| frame.header(name).map_or("", |text| text.as_str());
        match frame.command {
            Command::Message => Ok(Said::Message(arrival(&frame))),
            Command::Receipt => Ok(match asked(text(header::RECEIPT_ID)) {
                Some(asked) => Said::Answered(asked, Reply::Ok, None),
                None => Said::Stray(text(header::RECEIPT_ID).to_owned()),
            }),
            Command::Error => match asked(text(header::RECEIPT_ID)) {
                Some(asked) => {
                    let error = in_words(Error::of(&frame));
                    Ok(Said::Answered(asked, classify(&frame), Some(error)))
                }
                None => Err(in_words(Error::of(&frame))),
            },
            _ => Err(in_words(Error::of(&frame))),
        }
    }
}

fn path(topic: bool, name: &str) -> String {
    let kind = if topic { "topic" } else { "queue" };
    format!("/{kind}/{name}")
}

fn transaction(number: TransactionId) -> String {
    format!("t{}", number.0)
}

fn settling(how: How, handle: &Handle) -> Frame {
    let command = match how {
        How::Accept => Command::Ack,
        How::Reject | How::Poison => Command::Nack,
    };
    Frame::new(command).with(header::ID, handle.name.as_str())
}

fn receipt(asked: Asked) -> String {
    match asked {
        Asked::Publish(id) => id.to_string(),
        Asked::Commit(TransactionId(number)) => format!("commit-{number}"),
        Asked::Subscribe(number) => format!("subscribe-{number}"),
        Asked::Settle(index) => index.to_string(),
        Asked::Close(index) => format!("close-{index}"),
        Asked::Forget(number) => format!("forget-{number}"),
        Asked::Prepare(_) | Asked::End(_) | Asked::Abandoned | Asked::Recover => {
            unreachable!("validated: STOMP has no distributed transactions")
        }
    }
}

fn asked(receipt: &str) -> Option<Asked> {
    if let Some(number) = receipt.strip_prefix("commit-") {
        return Some(Asked::Commit(TransactionId(number.parse().ok()?)));
    }
    if let Some(number) = receipt.strip_prefix("subscribe-") {
        return number.parse().ok().map(Asked::Subscribe);
    }
    if let Some(index) = receipt.strip_prefix("close-") {
        return index.parse().ok().map(Asked::Close);
    }
    if let Some(number) = receipt.strip_prefix("forget-") {
        return number.parse().ok().map(Asked::Forget);
    }
    let index = receipt.parse().ok().map(Asked::Settle);
    index.or_else(|| receipt.parse::<MessageId>().ok().map(Asked::Publish))
}

/// What an ERROR frame says of the frame whose receipt it names: that nothing was done, or
/// nothing certain.
fn classify(error: &Frame) -> Reply {
    if ServerError::of(error).is_certain() { Reply::Failed } else { Reply::Unknown }
}

fn arrival(frame: &Frame) -> Arrival {
    let header = |name: &str| frame.header(name).map(|text| text.as_str());
    let text = |name: &str| header(name).unwrap_or_default().to_owned();
    Arrival {
        subscription: header(header::SUBSCRIPTION).and_then(|number| number.parse().ok()),
        body: frame.body.clone(),
        sent_as: header(SENT_AS).map(str::to_owned),
        // Behind its kind.
        to: text(header::DESTINATION).splitn(3, '/').nth(2).unwrap_or_default().to_owned(),
        broker_id: text(header::MESSAGE_ID),
        redelivered: header(header::REDELIVERED) == Some("true"),
        handle: frame.header(header::ACK).map(|ack: &Text| Handle { name: ack.clone(), place: 0 }),
        from: text(FROM),
        cause: text(CAUSE),
    }
}

/// An error in the words of a run's log.
fn in_words(error: Error) -> io::Error {
    match error {
        Error::Lost(lost) => told(lost),
        Error::Malformed(error) => io::Error::new(io::ErrorKind::InvalidData, error),
        Error::Server(error) => io::Error::other(match error.message {
            Some(message) => format!("ERROR: {message}"),
            None => "an unexpected ERROR frame".to_owned(),
        }),
        Error::Unexpected(command) => {
            io::Error::other(format!("an unexpected {} frame", command.as_str()))
        }
    }
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

    #[test]
    fn a_receipt_says_what_it_is_for() {
        for it in [
            Asked::Publish(MessageId { producer: 3, sequence: 7 }),
            Asked::Commit(TransactionId(4)),
            Asked::Subscribe(2),
            Asked::Settle(11),
            Asked::Close(1),
            Asked::Forget(5),
        ] {
            assert_eq!(asked(&receipt(it)), Some(it));
        }
        assert_eq!(asked("something else"), None);
    }
}
