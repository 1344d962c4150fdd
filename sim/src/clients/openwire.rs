//! The operations of a run as OpenWire has them, in the way of ActiveMQ's Java client.

use std::{collections::BTreeMap, io};

use bytes::{Bytes, BytesMut};
use paceline_client::openwire::{Client, Error, Options};
use paceline_runtime::time;
use paceline_scenario::format::AckMode;
use paceline_wire::{
    openwire::{
        Command, ConsumerId, ConsumerInfo, Destination, DestinationKind, Message, MessageAck,
        MessageDispatch, MessageId as WireId, MessageKind, MessagePull, ObjectId, ProducerId,
        ProducerInfo, RemoveInfo, RemoveSubscriptionInfo, SessionId, SessionInfo, Throwable,
        TransactionId as WireTransaction, TransactionInfo, ack_type,
        primitives::{self, Primitive, PrimitiveLimits},
        transaction_type,
    },
    text::Text,
};

use super::branches::{self, Branches, refused, wire_id};
use super::dialogue::{
    Arrival, Asked, Branch, CONNECT_TIMEOUT, HEART_BEAT, Handle, READ_BYTES, SENT_AS, Said,
    Sending, Source, told,
};
use crate::workload::{
    ids::ConnectionId,
    operation::{Delay, How, Reply, TransactionId, publish::PART},
};

/// The one session of a connection.
const SESSION: i64 = 1;
/// The priority of a message that names none: JMS always says one.
const USUAL_PRIORITY: u8 = 4;
/// The property of a dead letter that says where it comes from.
const FROM: &str = "original-destination";
/// The property of a dead letter that says why it is one.
const CAUSE: &str = "dlqDeliveryFailureCause";

/// An OpenWire connection to one node.
pub struct OpenWire {
    client: Client,
    pub(super) branches: Branches,
    /// Branches that are to be committed once they are prepared, by the number of the command.
    voting: BTreeMap<i32, WireTransaction>,
    producer: Option<ProducerId>,
    /// Where the consumers receive from, by their number.
    sources: Vec<Destination>,
    /// Transactions of acknowledgements.
    transactions: i64,
    /// What awaits a response, by the number of its command.
    asked: BTreeMap<i32, Asked>,
}

impl OpenWire {
    pub async fn open(
        id: ConnectionId,
        address: &str,
        client_id: Option<String>,
    ) -> io::Result<Self> {
        let options = Options {
            client_id: client_id.map(Text::from),
            connect_timeout: CONNECT_TIMEOUT,
            heart_beat: Some(HEART_BEAT),
            read_bytes: READ_BYTES,
            ..Options::new(format!("ID:c{}", id.0))
        };
        let client = Client::connect(address, &options).await;
        let mut client = client.map_err(in_words)?;
        let session_id =
            SessionId { connection: client.connection().value.clone(), value: SESSION };
        client.send(SessionInfo { session_id: Some(session_id), ..SessionInfo::default() });
        Ok(Self {
            client,
            branches: Branches::new(id),
            voting: BTreeMap::new(),
            producer: None,
            sources: Vec::new(),
            transactions: 0,
            asked: BTreeMap::new(),
        })
    }

    fn connection(&self) -> Text {
        self.client.connection().value.clone()
    }

    fn ask(&mut self, command: impl Into<Command>, asked: Option<Asked>) {
        match asked {
            Some(asked) => _ = self.asked.insert(self.client.ask(command), asked),
            None => self.client.send(command),
        }
    }

    // ---- producers ------------------------------------------------------------------------------

    pub fn publish(&mut self, sending: &Sending<'_>) {
        let producer = self.producer(sending.id.producer);
        let publish = sending.publish;
        let mut properties = BytesMut::new();
        let text = |text: String| Primitive::Text(text.into());
        let mut entries = vec![(Text::from_static(SENT_AS), text(sending.id.to_string()))];
        entries.extend(sending.part().map(|part| (Text::from_static(PART), text(part))));
        let delay = publish.delay.iter().flat_map(Delay::properties);
        entries.extend(delay.map(|(name, value)| (name.into(), Primitive::Long(value))));
        primitives::write_map(&entries, &mut properties);
        let message_id = WireId {
            producer: Some(producer.clone()),
            producer_sequence: i64::from(sending.id.sequence) + 1,
            ..WireId::default()
        };
        let message = Message {
            kind: MessageKind::Bytes,
            producer_id: Some(producer),
            destination: Some(destination(sending.destination.topic, &sending.destination.name)),
            transaction_id: publish.transaction.map(|number| self.transaction(number)),
            message_id: Some(message_id),
            persistent: publish.persistent,
            expiration: sending.expires.map_or(0, |at| at as i64),
            priority: publish.priority.unwrap_or(USUAL_PRIORITY) as i8,
            timestamp: time::wall_clock().0 as i64,
            content: Some(sending.body.clone()),
            marshalled_properties: Some(properties.freeze()),
            ..Message::default()
        };
        let (group, number) = sending.group().unzip();
        let message = Message {
            group_id: group.map(Text::from),
            group_sequence: number.unwrap_or(0),
            ..message
        };
        let asked = publish.transaction.is_none().then_some(Asked::Publish(sending.id));
        self.ask(message, asked);
    }

    /// As a client that reconnects has it: the same on each of its connections.
    fn producer(&mut self, number: u32) -> ProducerId {
        let client = &mut self.client;
        let made = || {
            let connection = format!("ID:p{number}").as_str().into();
            let id = ProducerId { connection, value: 1, session: SESSION };
            client.send(ProducerInfo { producer_id: Some(id.clone()), ..ProducerInfo::default() });
            id
        };
        self.producer.get_or_insert_with(made).clone()
    }

    pub fn begin(&mut self, number: TransactionId) {
        let transaction = self.transaction(number);
        self.transact(transaction, transaction_type::BEGIN, None);
    }

    pub fn commit(&mut self, number: TransactionId) {
        let transaction = self.transaction(number);
        let asked = Some(Asked::Commit(number));
        self.transact(transaction, transaction_type::COMMIT_ONE_PHASE, asked);
    }

    pub fn abort(&mut self, number: TransactionId) {
        let transaction = self.transaction(number);
        self.transact(transaction, transaction_type::ROLLBACK, None);
    }

    fn transaction(&self, number: TransactionId) -> WireTransaction {
        if let Some(branch) = self.branches.id(number) {
            return branch;
        }
        let value = i64::from(number.0) + 1;
        WireTransaction::Local { value, connection: self.client.connection().clone() }
    }

    fn transact(&mut self, transaction: WireTransaction, what: i8, asked: Option<Asked>) {
        let info = TransactionInfo {
            connection_id: Some(self.client.connection().clone()),
            transaction_id: Some(transaction),
            transaction_type: what,
            ..TransactionInfo::default()
        };
        self.ask(info, asked);
    }

    // ---- consumers ------------------------------------------------------------------------------

    pub fn subscribe(&mut self, number: usize, source: &Source, _: AckMode, prefetch: u32) {
        let selector = source.selector.as_deref().map(Text::from);
        let subscription_name = source.durable.as_deref().map(Text::from);
        let exclusive = source.exclusive;
        let names: Vec<&str> =
            [&source.name].into_iter().chain(&source.others).map(String::as_str).collect();
        let source = destination(source.topic, &names.join(","));
        self.sources.push(source.clone());
        let info = ConsumerInfo {
            consumer_id: Some(self.consumer(number)),
            destination: Some(source),
            prefetch_size: prefetch as i32,
            selector,
            subscription_name,
            exclusive,
            ..ConsumerInfo::default()
        };
        self.ask(info, Some(Asked::Subscribe(number)));
    }

    pub fn forget(&mut self, number: usize, durable: &str) {
        let info = RemoveSubscriptionInfo {
            connection_id: Some(self.client.connection().clone()),
            subscription_name: Some(durable.into()),
            ..RemoveSubscriptionInfo::default()
        };
        self.ask(info, Some(Asked::Forget(number)));
    }

    fn consumer(&self, number: usize) -> ConsumerId {
        let value = number as i64 + 1;
        ConsumerId { connection: self.connection(), session: SESSION, value }
    }

    fn acknowledgement(&self, number: usize, ack_type: i8, handles: &[Handle]) -> MessageAck {
        let id = |handle: &Handle| WireId {
            text_view: Some(handle.name.clone()),
            broker_sequence: handle.place,
            ..WireId::default()
        };
        let is_failure = ack_type == ack_type::POISON;
        MessageAck {
            destination: self.sources.get(number).cloned(),
            consumer_id: Some(self.consumer(number)),
            ack_type,
            first_message_id: handles.first().map(id),
            last_message_id: handles.last().map(id),
            message_count: handles.len() as i32,
            poison_cause: is_failure.then(|| Throwable {
                class: Text::from_static("java.lang.Throwable"),
                message: Some(Text::from_static("it failed too often")),
            }),
            ..MessageAck::default()
        }
    }

    pub fn settle(&mut self, number: usize, how: How, handles: &[Handle], index: Option<u32>) {
        let ack_type = match how {
            How::Accept if handles.len() == 1 => ack_type::INDIVIDUAL,
            How::Accept => ack_type::STANDARD,
            How::Reject | How::Poison => ack_type::POISON,
        };
        let ack = self.acknowledgement(number, ack_type, handles);
        self.ask(ack, index.map(Asked::Settle));
    }

    pub fn settle_together(
        &mut self,
        deliveries: &[(usize, Handle)],
        up_to: bool,
        index: Option<u32>,
    ) {
        self.transactions += 1;
        // Those of messages count from 1.
        let (value, connection) = (-self.transactions, self.client.connection().clone());
        let branch = index.and_then(|_| self.branches.next());
        let is_branch = branch.is_some();
        let transaction = branch.unwrap_or(WireTransaction::Local { value, connection });
        self.transact(transaction.clone(), transaction_type::BEGIN, None);
        let acks: Vec<MessageAck> = if up_to {
            let handles: Vec<Handle> = deliveries.iter().map(|(_, it)| it.clone()).collect();
            vec![self.acknowledgement(deliveries[0].0, ack_type::STANDARD, &handles)]
        } else {
            let each = deliveries.iter();
            each.map(|(number, handle)| {
                let handles = std::slice::from_ref(handle);
                self.acknowledgement(*number, ack_type::INDIVIDUAL, handles)
            })
            .collect()
        };
        for ack in acks {
            let transaction_id = Some(transaction.clone());
            self.client.send(MessageAck { transaction_id, ..ack });
        }
        if let Some(index) = index.filter(|_| is_branch) {
            self.transact(transaction.clone(), transaction_type::END, None);
            let info = TransactionInfo {
                connection_id: Some(self.client.connection().clone()),
                transaction_id: Some(transaction.clone()),
                transaction_type: transaction_type::PREPARE,
                ..TransactionInfo::default()
            };
            let command = self.client.ask(info);
            self.asked.insert(command, Asked::Settle(index));
            self.voting.insert(command, transaction);
            return;
        }
        let end = match index {
            Some(_) => transaction_type::COMMIT_ONE_PHASE,
            None => transaction_type::ROLLBACK,
        };
        self.transact(transaction, end, index.map(Asked::Settle));
    }

    pub fn delivered(&mut self, number: usize, handles: &[Handle]) {
        let ack = self.acknowledgement(number, ack_type::DELIVERED, handles);
        self.client.send(ack);
    }

    pub fn pull(&mut self, number: usize, timeout: i64) {
        let consumer_id = Some(self.consumer(number));
        let destination = self.sources.get(number).cloned();
        self.client.send(MessagePull {
            consumer_id,
            destination,
            timeout,
            ..MessagePull::default()
        });
    }

    pub fn unsubscribe(&mut self, number: usize, seen: i64, index: Option<u32>) {
        let info = RemoveInfo {
            object_id: Some(ObjectId::Consumer(self.consumer(number))),
            // What nothing was delivered to has seen none.
            last_delivered_sequence_id: if seen == 0 { -1 } else { seen },
            ..RemoveInfo::default()
        };
        self.ask(info, index.map(Asked::Close));
    }

    // ---- branches -------------------------------------------------------------------------------

    pub fn begin_branch(&mut self, number: TransactionId) {
        self.branches.add(number);
        self.begin(number);
    }

    pub fn prepare(&mut self, number: TransactionId) {
        let id = wire_id(Branch::Messages(number));
        self.transact(id.clone(), transaction_type::END, None);
        self.transact(id, transaction_type::PREPARE, Some(Asked::Prepare(number)));
    }

    pub fn end_branch(&mut self, branch: Branch, commit: bool, asked: Asked) {
        let step =
            if commit { transaction_type::COMMIT_TWO_PHASE } else { transaction_type::ROLLBACK };
        self.transact(wire_id(branch), step, Some(asked));
    }

    pub fn recover(&mut self) {
        let info = TransactionInfo {
            connection_id: Some(self.client.connection().clone()),
            transaction_type: transaction_type::RECOVER,
            ..TransactionInfo::default()
        };
        self.ask(info, Some(Asked::Recover));
    }

    /// A branch was prepared, or had nothing to do. One of acknowledgements is committed at once: what is
    /// still to be heard of `asked`.
    fn voted(&mut self, command: i32, asked: Asked) -> Option<(Asked, Reply)> {
        let Some(branch) = self.voting.remove(&command) else { return Some((asked, Reply::Ok)) };
        self.transact(branch, transaction_type::COMMIT_TWO_PHASE, Some(asked));
        None
    }

    // ---- both -----------------------------------------------------------------------------------

    pub fn fall_silent(&mut self) {
        self.client.fall_silent();
    }

    pub async fn leave(&mut self) -> io::Result<()> {
        self.client.leave().await.map_err(in_words)
    }

    pub async fn receive(&mut self) -> io::Result<Said> {
        loop {
            let (command, reply) = match self.client.receive().await.map_err(in_words)? {
                Command::MessageDispatch(it) => return dispatched(it),
                Command::Response(it) => (it.correlation_id, Reply::Ok),
                Command::IntegerResponse(it) => {
                    let Some(asked) = self.asked.remove(&it.correlation_id) else {
                        return Ok(Said::Stray(format!("command {}", it.correlation_id)));
                    };
                    match self.voted(it.correlation_id, asked) {
                        Some((asked, reply)) => return Ok(Said::Answered(asked, reply, None)),
                        None => continue,
                    }
                }
                Command::DataArrayResponse(it) => {
                    return Ok(match self.asked.remove(&it.correlation_id) {
                        Some(Asked::Recover) => Said::Prepared(branches::listed(&it.data)),
                        _ => Said::Stray(format!("command {}", it.correlation_id)),
                    });
                }
                // What is not certain closes the connection.
                Command::ExceptionResponse(it) => {
                    let asked = self.asked.get(&it.correlation_id);
                    let reply = asked.map_or(Reply::Failed, |it_was| refused(*it_was, &it));
                    self.voting.remove(&it.correlation_id);
                    (it.correlation_id, reply)
                }
                Command::ConnectionControl(it) if it.rebalance_connection => {
                    return Err(io::Error::other("the node asks for going to another one"));
                }
                Command::ConnectionControl(_) => continue,
                other => return Err(in_words(Error::of(&other))),
            };
            return Ok(match self.asked.remove(&command) {
                Some(asked) => Said::Answered(asked, reply, None),
                None => Said::Stray(format!("command {command}")),
            });
        }
    }
}

fn destination(topic: bool, name: &str) -> Destination {
    let kind = if topic { DestinationKind::Topic } else { DestinationKind::Queue };
    Destination { kind, name: name.into() }
}

fn dispatched(dispatch: MessageDispatch) -> io::Result<Said> {
    let consumer = dispatch.consumer_id.map_or(0, |id| id.value);
    let number = usize::try_from(consumer - 1).ok();
    let Some(message) = dispatch.message else {
        return match number {
            Some(number) => Ok(Said::Nothing(number)),
            None => Ok(Said::Stray("no consumer".into())),
        };
    };
    let malformed = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let properties = match &message.marshalled_properties {
        Some(bytes) => primitives::read_map(bytes, PrimitiveLimits::default())
            .map_err(|fault| malformed(&format!("a property {fault}")))?,
        None => Vec::new(),
    };
    let text = |name: &str| {
        let found = properties.iter().find(|(key, _)| key.as_str() == name);
        found.and_then(|(_, value)| match value {
            Primitive::Text(text) => Some(text.as_str().to_owned()),
            _ => None,
        })
    };
    let id = message.message_id.as_ref().ok_or_else(|| malformed("a message without an id"))?;
    let broker_id = id_of(id);
    let to = message.destination.as_ref().map(|it| it.name.as_str().to_owned());
    Ok(Said::Message(Arrival {
        subscription: number,
        to: to.ok_or_else(|| malformed("a message without a destination"))?,
        sent_as: text(SENT_AS),
        handle: Some(Handle { name: broker_id.as_str().into(), place: id.broker_sequence }),
        broker_id,
        redelivered: message.redelivery_counter > 0,
        from: text(FROM).unwrap_or_default(),
        cause: text(CAUSE).unwrap_or_default(),
        body: message.content.unwrap_or_else(Bytes::new),
    }))
}

/// The id of a message as JMS writes it, which is also the broker's name of it.
fn id_of(id: &WireId) -> String {
    match (&id.text_view, &id.producer) {
        (Some(text), _) => text.as_str().to_owned(),
        (None, Some(producer)) => format!(
            "{}:{}:{}:{}",
            producer.connection, producer.session, producer.value, id.producer_sequence
        ),
        (None, None) => String::new(),
    }
}

/// An error in the words of a run's log.
fn in_words(error: Error) -> io::Error {
    match error {
        Error::Lost(lost) => told(lost),
        Error::Malformed(error) => io::Error::new(io::ErrorKind::InvalidData, error),
        Error::Server(_) | Error::Unexpected(_) => io::Error::other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dispatch(message: Option<Message>) -> MessageDispatch {
        let consumer_id = ConsumerId { connection: "ID:c1".into(), session: SESSION, value: 3 };
        MessageDispatch {
            consumer_id: Some(consumer_id),
            message: message.map(Box::new),
            ..MessageDispatch::default()
        }
    }

    #[test]
    fn a_dispatch_is_a_message_or_the_word_that_there_is_none() {
        assert!(matches!(dispatched(dispatch(None)), Ok(Said::Nothing(2))));

        let mut properties = BytesMut::new();
        let text = |text: &str| Primitive::Text(text.into());
        let entries = [(SENT_AS, "p0-1"), (FROM, "/queue/a"), (CAUSE, "no")];
        let entries = entries.map(|(name, value)| (Text::from(name), text(value)));
        primitives::write_map(&entries, &mut properties);
        let producer = ProducerId { connection: "ID:c9".into(), value: 1, session: SESSION };
        let message_id = WireId {
            producer: Some(producer),
            producer_sequence: 4,
            broker_sequence: 7,
            ..WireId::default()
        };
        let message = Message {
            message_id: Some(message_id),
            destination: Some(destination(false, "a")),
            redelivery_counter: 2,
            marshalled_properties: Some(properties.freeze()),
            content: Some("body".into()),
            ..Message::default()
        };
        let Ok(Said::Message(arrival)) = dispatched(dispatch(Some(message))) else {
            panic!("it is a message")
        };
        assert_eq!((arrival.subscription, &arrival.body[..]), (Some(2), &b"body"[..]));
        assert_eq!((arrival.broker_id.as_str(), arrival.to.as_str()), ("ID:c9:1:1:4", "a"));
        assert_eq!(arrival.handle.unwrap().place, 7);
        assert!(arrival.redelivered);
        assert_eq!(arrival.sent_as.as_deref(), Some("p0-1"));
        assert_eq!((arrival.from.as_str(), arrival.cause.as_str()), ("/queue/a", "no"));
    }

    #[test]
    fn a_message_of_another_protocol_keeps_its_name() {
        let id = WireId { text_view: Some("ID:n1-2:5".into()), ..WireId::default() };
        assert_eq!(id_of(&id), "ID:n1-2:5");
    }
}
