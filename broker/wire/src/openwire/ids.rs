//! What commands name: connections, sessions, consumers, producers, messages, transactions,
//! brokers and destinations.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    Fault,
    error::Located,
    field::{Field, Fields, Structure},
    macros::structures,
    reader::Reader,
};
use crate::text::Text;

structures! {
    #[derive(PartialOrd, Ord, Hash)]
    /// A connection, named by its client.
    120 ConnectionId {
        value: Text,
    }

    #[derive(PartialOrd, Ord, Hash)]
    /// A session of a connection.
    121 SessionId {
        connection: Text,
        value: i64,
    }

    #[derive(PartialOrd, Ord, Hash)]
    /// A consumer of a session.
    122 ConsumerId {
        connection: Text,
        session: i64,
        value: i64,
    }

    #[derive(PartialOrd, Ord, Hash)]
    /// A producer of a session.
    123 ProducerId {
        connection: Text,
        value: i64,
        session: i64,
    }

    #[derive(PartialOrd, Ord, Hash)]
    /// A broker.
    124 BrokerId {
        value: Text,
    }

    #[derive(PartialOrd, Ord, Hash)]
    /// A message, by its place in what its producer sent and in what the broker stored.
    110 MessageId {
        /// The id of a message that came by another protocol, in that protocol's words.
        text_view: Option<Text> [10..],
        producer: Option<ProducerId>,
        producer_sequence: i64,
        broker_sequence: i64,
    }
}

impl ConnectionId {
    /// The same id in memory of its own; see [`Text::detached`].
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { value: self.value.detached() }
    }
}

impl SessionId {
    /// The same id in memory of its own; see [`Text::detached`].
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { connection: self.connection.detached(), ..*self }
    }
}

impl ConsumerId {
    /// The same id in memory of its own; see [`Text::detached`].
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { connection: self.connection.detached(), ..*self }
    }
}

impl ProducerId {
    /// The same id in memory of its own; see [`Text::detached`].
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { connection: self.connection.detached(), ..*self }
    }
}

impl BrokerId {
    /// The same id in memory of its own; see [`Text::detached`].
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { value: self.value.detached() }
    }
}

impl MessageId {
    /// The same id in memory of its own; see [`Text::detached`].
    #[must_use]
    pub fn detached(&self) -> Self {
        Self {
            text_view: self.text_view.as_ref().map(Text::detached),
            producer: self.producer.as_ref().map(ProducerId::detached),
            ..*self
        }
    }
}

/// A transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionId {
    /// One of a single connection, which numbers its own.
    Local {
        /// Its number.
        value: i64,
        /// The connection that began it.
        connection: ConnectionId,
    },
    /// A branch of a distributed transaction (X/Open XA).
    Xa {
        /// The format of the two others.
        format: i32,
        /// The transaction.
        global: Bytes,
        /// The branch.
        branch: Bytes,
    },
}

impl TransactionId {
    /// The same id in memory of its own; see [`Text::detached`].
    #[must_use]
    pub fn detached(&self) -> Self {
        match self {
            Self::Local { value, connection } => {
                Self::Local { value: *value, connection: connection.detached() }
            }
            Self::Xa { format, global, branch } => Self::Xa {
                format: *format,
                global: Bytes::copy_from_slice(global),
                branch: Bytes::copy_from_slice(branch),
            },
        }
    }
}

impl Structure for TransactionId {
    const EXPECTED: &'static str = "a transaction id";

    fn code(&self) -> u8 {
        match self {
            Self::Local { .. } => 111,
            Self::Xa { .. } => 112,
        }
    }

    fn read_as(code: u8, reader: &mut Reader) -> Result<Self, Located> {
        match code {
            111 => {
                let value = Field::read(reader).map_err(|e| e.at("LocalTransactionId.value"))?;
                let connection = Option::read(reader)
                    .and_then(|connection| Ok(connection.ok_or(Fault::Null)?))
                    .map_err(|e| e.at("LocalTransactionId.connection"))?;
                Ok(Self::Local { value, connection })
            }
            112 => Ok(Self::Xa {
                format: Field::read(reader).map_err(|e| e.at("XATransactionId.format"))?,
                global: Field::read(reader).map_err(|e| e.at("XATransactionId.global"))?,
                branch: Field::read(reader).map_err(|e| e.at("XATransactionId.branch"))?,
            }),
            found => Err(Fault::WrongType { expected: Self::EXPECTED, found }.into()),
        }
    }

    fn write(&self, version: i32, out: &mut BytesMut) {
        match self {
            Self::Local { value, connection } => {
                Field::write(value, version, out);
                out.put_u8(1);
                out.put_u8(connection.code());
                Structure::write(connection, version, out);
            }
            Self::Xa { format, global, branch } => {
                format.write(version, out);
                global.write(version, out);
                branch.write(version, out);
            }
        }
    }
}

/// What a [`super::RemoveInfo`] ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectId {
    /// A connection.
    Connection(ConnectionId),
    /// A session.
    Session(SessionId),
    /// A consumer.
    Consumer(ConsumerId),
    /// A producer.
    Producer(ProducerId),
}

impl ObjectId {
    /// The same id in memory of its own; see [`Text::detached`].
    #[must_use]
    pub fn detached(&self) -> Self {
        match self {
            Self::Connection(id) => Self::Connection(id.detached()),
            Self::Session(id) => Self::Session(id.detached()),
            Self::Consumer(id) => Self::Consumer(id.detached()),
            Self::Producer(id) => Self::Producer(id.detached()),
        }
    }
}

impl Structure for ObjectId {
    const EXPECTED: &'static str = "the id of a connection, session, consumer or producer";

    fn code(&self) -> u8 {
        match self {
            Self::Connection(id) => id.code(),
            Self::Session(id) => id.code(),
            Self::Consumer(id) => id.code(),
            Self::Producer(id) => id.code(),
        }
    }

    fn read_as(code: u8, reader: &mut Reader) -> Result<Self, Located> {
        match code {
            ConnectionId::CODE => Fields::read_fields(reader).map(Self::Connection),
            SessionId::CODE => Fields::read_fields(reader).map(Self::Session),
            ConsumerId::CODE => Fields::read_fields(reader).map(Self::Consumer),
            ProducerId::CODE => Fields::read_fields(reader).map(Self::Producer),
            found => Err(Fault::WrongType { expected: Self::EXPECTED, found }.into()),
        }
    }

    fn write(&self, version: i32, out: &mut BytesMut) {
        match self {
            Self::Connection(id) => Fields::write_fields(id, version, out),
            Self::Session(id) => Fields::write_fields(id, version, out),
            Self::Consumer(id) => Fields::write_fields(id, version, out),
            Self::Producer(id) => Fields::write_fields(id, version, out),
        }
    }
}

/// What kind of destination a name belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DestinationKind {
    /// Each message goes to one consumer.
    Queue,
    /// Each message goes to every subscriber.
    Topic,
    /// A queue that ends with the connection that created it.
    TempQueue,
    /// A topic that ends with the connection that created it.
    TempTopic,
}

/// A destination. The name may be composite, have wildcards or options, as ActiveMQ has them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// The kind of it; that of the first one if it is composite.
    pub kind: DestinationKind,
    /// ActiveMQ's `physicalName`, without a prefix such as `queue://`.
    pub name: Text,
}

impl Destination {
    /// The same destination in memory of its own; see [`Text::detached`].
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { kind: self.kind, name: self.name.detached() }
    }
}

impl DestinationKind {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Queue => 100,
            Self::Topic => 101,
            Self::TempQueue => 102,
            Self::TempTopic => 103,
        }
    }
}

impl Structure for Destination {
    const EXPECTED: &'static str = "a destination";

    fn code(&self) -> u8 {
        self.kind.code()
    }

    fn read_as(code: u8, reader: &mut Reader) -> Result<Self, Located> {
        let kind = match code {
            100 => DestinationKind::Queue,
            101 => DestinationKind::Topic,
            102 => DestinationKind::TempQueue,
            103 => DestinationKind::TempTopic,
            found => return Err(Fault::WrongType { expected: Self::EXPECTED, found }.into()),
        };
        let name = Field::read(reader).map_err(|error| error.at("Destination.name"))?;
        Ok(Self { kind, name })
    }

    fn write(&self, version: i32, out: &mut BytesMut) {
        Field::write(&self.name, version, out);
    }
}
