//! The command that is written most, straight from what the broker has of a message.

use bytes::{BufMut, BytesMut};

use super::{
    ConsumerId, DestinationKind, MessageDispatch, MessageId, MessageKind, ProducerId, encode_frame,
    field::{put_bytes, put_length, put_name, put_string},
    modified_utf8,
};

/// A [`MessageDispatch`] and its message in parts that are borrowed. What is not named here is
/// null, zero or false.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the fields are those of MessageDispatch and Message")]
pub struct DispatchParts<'a> {
    pub command_id: i32,
    pub consumer: ConsumerParts<'a>,
    pub destination: DestinationParts<'a>,
    pub message_id: MessageIdParts<'a>,
    pub kind: MessageKind,
    pub original_destination: Option<DestinationParts<'a>>,
    pub group_id: Option<&'a str>,
    pub group_sequence: i32,
    pub correlation_id: Option<&'a str>,
    pub persistent: bool,
    pub expiration: i64,
    pub priority: i8,
    pub reply_to: Option<DestinationParts<'a>>,
    pub timestamp: i64,
    pub jms_type: Option<&'a str>,
    pub content: ContentParts<'a>,
    pub marshalled_properties: Option<&'a [u8]>,
    pub compressed: bool,
    /// Of the dispatch and of the message.
    pub redelivery_counter: i32,
    pub arrival: i64,
    pub user_id: Option<&'a str>,
    pub broker_in_time: i64,
    pub broker_out_time: i64,
    pub jmsx_group_first_for_consumer: bool,
}

/// A [`ConsumerId`] in parts.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the fields are those of ConsumerId")]
pub struct ConsumerParts<'a> {
    pub connection: &'a str,
    pub session: i64,
    pub value: i64,
}

/// A [`ProducerId`] in parts.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the fields are those of ProducerId")]
pub struct ProducerParts<'a> {
    pub connection: &'a str,
    pub value: i64,
    pub session: i64,
}

/// A [`MessageId`] in parts. Its producer is written as the message's producer too.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the fields are those of MessageId")]
pub struct MessageIdParts<'a> {
    pub text_view: Option<&'a str>,
    pub producer: Option<ProducerParts<'a>>,
    pub producer_sequence: i64,
    pub broker_sequence: i64,
}

/// A [`super::Destination`] in parts.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the fields are those of Destination")]
pub struct DestinationParts<'a> {
    pub kind: DestinationKind,
    pub name: &'a str,
}

/// What becomes the content.
#[derive(Clone, Copy, Debug)]
pub enum ContentParts<'a> {
    /// Nothing.
    Null,
    /// The content as it stands.
    Bytes(&'a [u8]),
    /// Text, written as [`super::content::write_text`] does.
    Text(&'a str),
}

impl DispatchParts<'_> {
    /// Appends the frame, byte by byte what [`super::Command::encode`] makes of the same command.
    pub fn encode(&self, version: i32, out: &mut BytesMut) {
        let bulk = match self.content {
            ContentParts::Null => 0,
            ContentParts::Bytes(content) => content.len(),
            ContentParts::Text(text) => text.len(),
        };
        out.reserve(bulk + self.marshalled_properties.map_or(0, <[u8]>::len) + 512);
        encode_frame(MessageDispatch::CODE, out, |out| {
            out.put_i32(self.command_id);
            out.put_u8(0);
            self.consumer.put(out);
            Some(self.destination).put(out);
            out.put_slice(&[1, self.kind.code()]);
            self.put_message(version, out);
            out.put_i32(self.redelivery_counter);
        });
    }

    /// The fields of [`super::Message`].
    fn put_message(&self, version: i32, out: &mut BytesMut) {
        out.put_i32(0);
        out.put_u8(0);
        self.message_id.producer.put(out);
        Some(self.destination).put(out);
        out.put_u8(0);
        self.original_destination.put(out);
        self.message_id.put(version, out);
        out.put_u8(0);
        put_string(self.group_id, out);
        out.put_i32(self.group_sequence);
        put_string(self.correlation_id, out);
        out.put_u8(u8::from(self.persistent));
        out.put_i64(self.expiration);
        out.put_i8(self.priority);
        self.reply_to.put(out);
        out.put_i64(self.timestamp);
        put_string(self.jms_type, out);
        self.content.put(out);
        put_bytes(self.marshalled_properties, out);
        out.put_slice(&[0, 0, u8::from(self.compressed)]);
        out.put_i32(self.redelivery_counter);
        out.put_u8(0);
        out.put_i64(self.arrival);
        put_string(self.user_id, out);
        out.put_slice(&[0, 0, 0]);
        out.put_i64(self.broker_in_time);
        out.put_i64(self.broker_out_time);
        if version >= 10 {
            out.put_u8(u8::from(self.jmsx_group_first_for_consumer));
        }
        if self.kind == MessageKind::Blob {
            out.put_slice(&[0, 0, 0]);
        }
    }
}

impl ConsumerParts<'_> {
    fn put(self, out: &mut BytesMut) {
        out.put_slice(&[1, ConsumerId::CODE]);
        put_name(self.connection, out);
        out.put_i64(self.session);
        out.put_i64(self.value);
    }
}

impl MessageIdParts<'_> {
    fn put(self, version: i32, out: &mut BytesMut) {
        out.put_slice(&[1, MessageId::CODE]);
        if version >= 10 {
            put_string(self.text_view, out);
        }
        self.producer.put(out);
        out.put_i64(self.producer_sequence);
        out.put_i64(self.broker_sequence);
    }
}

impl ContentParts<'_> {
    fn put(self, out: &mut BytesMut) {
        match self {
            ContentParts::Null => out.put_u8(0),
            ContentParts::Bytes(content) => put_bytes(Some(content), out),
            ContentParts::Text(text) => {
                out.put_u8(1);
                let length = modified_utf8::length(text);
                put_length(length + 4, out);
                put_length(length, out);
                modified_utf8::encode(text, out);
            }
        }
    }
}

/// What is written as a nested structure, or as null.
trait Put {
    fn put(self, out: &mut BytesMut);
}

impl Put for Option<ProducerParts<'_>> {
    fn put(self, out: &mut BytesMut) {
        let Some(producer) = self else { return out.put_u8(0) };
        out.put_slice(&[1, ProducerId::CODE]);
        put_name(producer.connection, out);
        out.put_i64(producer.value);
        out.put_i64(producer.session);
    }
}

impl Put for Option<DestinationParts<'_>> {
    fn put(self, out: &mut BytesMut) {
        let Some(destination) = self else { return out.put_u8(0) };
        out.put_slice(&[1, destination.kind.code()]);
        put_name(destination.name, out);
    }
}
