//! Messages: one type for the seven that differ in what their content holds.

use bytes::{Bytes, BytesMut};

use super::{
    BrokerId, ConsumerId, Destination, Fault, MessageId, ProducerId, TransactionId,
    error::Located,
    field::{Fields, Structure},
    macros::fields,
    reader::Reader,
    structure::AnyStructure,
};
use crate::text::Text;

fields! {
    /// A message.
    Message {
        /// The sender's number of the command.
        command_id: i32,
        /// Whether the receiver is to answer.
        response_required: bool,
        producer_id: Option<ProducerId>,
        destination: Option<Destination>,
        transaction_id: Option<TransactionId>,
        original_destination: Option<Destination>,
        message_id: Option<MessageId>,
        original_transaction_id: Option<TransactionId>,
        group_id: Option<Text>,
        group_sequence: i32,
        correlation_id: Option<Text>,
        persistent: bool,
        /// When it expires, in milliseconds since 1970; 0 for never.
        expiration: i64,
        priority: i8,
        reply_to: Option<Destination>,
        /// When it was sent, in milliseconds since 1970.
        timestamp: i64,
        /// `JMSType`.
        jms_type: Option<Text>,
        /// What it holds depends on the kind: see [`super::content`] and [`super::primitives`].
        content: Option<Bytes>,
        /// The properties as a map of primitive values: see [`super::primitives`].
        marshalled_properties: Option<Bytes>,
        /// What an advisory is about.
        data_structure: Option<AnyStructure>,
        target_consumer_id: Option<ConsumerId>,
        /// Whether the content is deflated: see [`super::content`].
        compressed: bool,
        redelivery_counter: i32,
        broker_path: Vec<BrokerId>,
        /// When the broker received it, in milliseconds since 1970.
        arrival: i64,
        /// `JMSXUserID`.
        user_id: Option<Text>,
        received_by_df_bridge: bool,
        droppable: bool,
        cluster: Vec<BrokerId>,
        broker_in_time: i64,
        broker_out_time: i64,
        jmsx_group_first_for_consumer: bool [10..],
    }
    besides {
        /// Which of the seven messages it is.
        kind: MessageKind,
        /// Where the content is, of a [`MessageKind::Blob`]; of all others nothing.
        blob: BlobReference,
    }
}

/// What the content of a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageKind {
    /// There is none.
    #[default]
    Plain,
    /// Bytes.
    Bytes,
    /// A map of primitive values.
    Map,
    /// A serialized Java object.
    Object,
    /// A sequence of primitive values.
    Stream,
    /// Text.
    Text,
    /// It lies outside of the broker, at a URL.
    Blob,
}

impl MessageKind {
    /// Every kind.
    pub const ALL: [MessageKind; 7] =
        [Self::Plain, Self::Bytes, Self::Map, Self::Object, Self::Stream, Self::Text, Self::Blob];

    pub(super) fn code(self) -> u8 {
        23 + self as u8
    }

    pub(super) fn of(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// What ActiveMQ calls a message of this kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "ActiveMQMessage",
            Self::Bytes => "ActiveMQBytesMessage",
            Self::Map => "ActiveMQMapMessage",
            Self::Object => "ActiveMQObjectMessage",
            Self::Stream => "ActiveMQStreamMessage",
            Self::Text => "ActiveMQTextMessage",
            Self::Blob => "ActiveMQBlobMessage",
        }
    }
}

fields! {
    /// Where the content of a blob message is.
    BlobReference {
        remote_blob_url: Option<Text>,
        mime_type: Option<Text>,
        deleted_by_broker: bool,
    }
}

impl Message {
    pub(super) fn read_kind(kind: MessageKind, reader: &mut Reader) -> Result<Self, Located> {
        let mut message = Self { kind, ..Self::read_fields(reader)? };
        if kind == MessageKind::Blob {
            message.blob = BlobReference::read_fields(reader)?;
        }
        Ok(message)
    }
}

impl Structure for Message {
    const EXPECTED: &'static str = "a message";

    fn code(&self) -> u8 {
        self.kind.code()
    }

    fn read_as(code: u8, reader: &mut Reader) -> Result<Self, Located> {
        match MessageKind::of(code) {
            Some(kind) => Self::read_kind(kind, reader),
            None => Err(Fault::WrongType { expected: Self::EXPECTED, found: code }.into()),
        }
    }

    fn write(&self, version: i32, out: &mut BytesMut) {
        self.write_fields(version, out);
        if self.kind == MessageKind::Blob {
            self.blob.write_fields(version, out);
        }
    }
}
