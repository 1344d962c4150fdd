//! Messages as OpenWire has them to the broker's own and back: the one place that maps the fields.
//!
//! | OpenWire | field |
//! |---|---|
//! | messageId | id, as JMS writes it: `ID:…:session:producer:sequence` |
//! | text, bytes, map, stream, object, plain | the body's kind; maps, streams and objects as they are encoded |
//! | properties | properties, with the widths of their types |
//! | JMSType, JMSXUserID, JMSXGroupID, JMSXGroupSeq | properties of these names, which JMS keeps for itself |
//! | the property `content-type` | content type, as ActiveMQ has it between STOMP and JMS |
//! | replyTo | reply-to, see [`super::destinations`] |
//!
//! A compressed message is stored and delivered as it is without compression, so that clients of
//! every protocol can read it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use paceline_wire::{
    openwire::{
        AnyStructure, Command, ConsumerParts, ContentParts, Destination as Wire, DestinationParts,
        DispatchParts, MessageDispatch, MessageId, MessageIdParts, MessageKind, ProducerId,
        ProducerParts, content,
        primitives::{self, Primitive, PrimitiveLimits},
    },
    text::Text,
};

use super::{
    answers::{Exception, Refused},
    destinations::{self, kept},
    subscriber::Subscriber,
};
use crate::{
    Body, Destination, Message, UnixMillis, Value,
    message::MAX_PRIORITY,
    operation::Delivery,
    session::{
        advisory::STRUCTURE,
        consumers::{Handed, Place},
    },
    shard::{GROUP_ID, GROUP_SEQUENCE, group_sequence},
};

const JMS_TYPE: &str = "JMSType";
const USER_ID: &str = "JMSXUserID";
const CONTENT_TYPE: &str = "content-type";

/// STOMP's name for the JMS type, which comes as a property from there.
const STOMP_TYPE: &str = "type";

/// The message that a client sends to `destination`. Its body may not take more than `max_bytes`.
pub(super) fn read(
    message: &paceline_wire::openwire::Message,
    destination: Destination,
    max_bytes: usize,
    now: UnixMillis,
) -> Result<Message, Refused> {
    let id = message.message_id.as_ref().ok_or_else(|| malformed("the message has no id"))?;
    let (properties, content_type) = properties(message)?;
    let millis = |at: i64| u64::try_from(at).ok().filter(|at| *at > 0).map(UnixMillis);
    Ok(Message {
        id: id_of(id).into(),
        persistent: message.persistent,
        destination,
        priority: message.priority.clamp(0, MAX_PRIORITY as i8) as u8,
        timestamp: millis(message.timestamp).unwrap_or(now),
        expires: millis(message.expiration),
        correlation_id: kept(message.correlation_id.as_ref()),
        reply_to: message.reply_to.as_ref().map(destinations::reply_to),
        content_type,
        properties,
        body: body(message, max_bytes)?,
    })
}

fn malformed(why: impl Into<String>) -> Refused {
    Refused::new(Exception::Jms, why)
}

/// How JMS writes the id of a message.
pub(super) fn id_of(id: &MessageId) -> String {
    match (&id.text_view, &id.producer) {
        (Some(text), _) => text.as_str().to_owned(),
        (None, Some(producer)) => format!(
            "{}:{}:{}:{}",
            producer.connection, producer.session, producer.value, id.producer_sequence
        ),
        (None, None) => id.producer_sequence.to_string(),
    }
}

/// Where a client of OpenWire finds the parts of an id. One of another protocol counts its messages at
/// the end as well, so that clients that watch for repetitions can tell them apart.
fn id_parts(id: &str, place: Place) -> MessageIdParts<'_> {
    let mut parts = id.rsplitn(4, ':');
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let (sequence, value, session) =
        (number(parts.next()), number(parts.next()), number(parts.next()));
    let broker_sequence = place.0 as i64 + 1;
    if let (Some(producer_sequence), Some(value), Some(session), Some(connection)) =
        (sequence, value, session, parts.next())
    {
        let producer = Some(ProducerParts { connection, value, session });
        return MessageIdParts { text_view: None, producer, producer_sequence, broker_sequence };
    }
    let (connection, producer_sequence) = match (id.rsplit_once(':'), sequence) {
        (Some((before, _)), Some(sequence)) => (before, sequence),
        _ => (id, 0),
    };
    let producer = Some(ProducerParts { connection, value: 0, session: 0 });
    MessageIdParts { text_view: Some(id), producer, producer_sequence, broker_sequence }
}

/// The properties, without the content type, and that.
#[expect(clippy::type_complexity, reason = "two fields of a message")]
fn properties(
    message: &paceline_wire::openwire::Message,
) -> Result<(Vec<(Arc<str>, Value)>, Option<Arc<str>>), Refused> {
    let mut properties = Vec::new();
    let mut content_type = None;
    let mut text = |name: &str, value: Option<&Text>| {
        let value = kept(value).map(|value| (Arc::from(name), Value::Text(value)));
        properties.extend(value);
    };
    text(JMS_TYPE, message.jms_type.as_ref());
    text(USER_ID, message.user_id.as_ref());
    text(GROUP_ID, message.group_id.as_ref().filter(|group| !group.is_empty()));
    if message.group_id.is_some() && message.group_sequence != 0 {
        properties.push((GROUP_SEQUENCE.into(), Value::Int(message.group_sequence)));
    }
    let Some(marshalled) = &message.marshalled_properties else {
        return Ok((properties, content_type));
    };
    let map = primitives::read_map(marshalled, PrimitiveLimits::default())
        .map_err(|fault| malformed(format!("a property {fault}")))?;
    for (name, value) in map {
        let value = match value {
            // JMS tells no property from one that is null, but for its name in a list.
            Primitive::Null => continue,
            Primitive::Text(text) if name == CONTENT_TYPE => {
                content_type = Some(text.as_str().into());
                continue;
            }
            Primitive::Bool(value) => Value::Bool(value),
            Primitive::Byte(value) => Value::Byte(value),
            Primitive::Short(value) => Value::Short(value),
            Primitive::Int(value) => Value::Int(value),
            Primitive::Long(value) => Value::Long(value),
            Primitive::Float(value) => Value::Float(value),
            Primitive::Double(value) => Value::Double(value),
            Primitive::Text(text) => Value::Text(text.as_str().into()),
            Primitive::Char(unit) => Value::Text(String::from_utf16_lossy(&[unit]).into()),
            Primitive::Bytes(bytes) => Value::Bytes(Bytes::copy_from_slice(&bytes)),
            Primitive::Map(_) | Primitive::List(_) => {
                return Err(Refused::unsupported(&format!(
                    "maps and lists as properties (`{name}` is one)"
                )));
            }
        };
        properties.push((name.as_str().into(), value));
    }
    Ok((properties, content_type))
}

fn body(message: &paceline_wire::openwire::Message, max_bytes: usize) -> Result<Body, Refused> {
    let bytes = match &message.content {
        None => Bytes::new(),
        Some(content) if message.compressed => {
            content::inflate(message.kind, content, max_bytes)
                .map_err(|fault| malformed(format!("the compressed content {fault}")))?
        }
        // A copy, so as not to keep the receive buffer.
        Some(content) if message.kind != MessageKind::Text => Bytes::copy_from_slice(content),
        Some(content) => content.clone(),
    };
    Ok(match message.kind {
        MessageKind::Text if bytes.is_empty() => Body::Text(bytes),
        MessageKind::Text => {
            let text = content::read_text(&bytes)
                .map_err(|fault| malformed(format!("the text {fault}")))?;
            let text = text.as_ref().map_or("", Text::as_str);
            Body::Text(Bytes::copy_from_slice(text.as_bytes()))
        }
        MessageKind::Bytes => Body::Binary(bytes),
        MessageKind::Map => Body::Map(bytes),
        MessageKind::Stream => Body::Stream(bytes),
        MessageKind::Object => Body::Object(bytes),
        MessageKind::Plain => Body::Nothing,
        MessageKind::Blob => return Err(Refused::unsupported("blob messages")),
    })
}

/// Appends the MessageDispatch of a delivery.
pub(super) fn write(
    handed: &Handed<'_, Subscriber>,
    command_id: i32,
    version: i32,
    out: &mut BytesMut,
) {
    let Delivery { message, redelivered, redelivery_count, .. } = &handed.delivery;
    let consumer = &handed.label.id;
    let mut parts = DispatchParts {
        command_id,
        consumer: ConsumerParts {
            connection: &consumer.connection,
            session: consumer.session,
            value: consumer.value,
        },
        destination: destinations::write(&message.destination),
        message_id: id_parts(&message.id, handed.place),
        kind: MessageKind::Plain,
        original_destination: None,
        group_id: None,
        group_sequence: 0,
        correlation_id: message.correlation_id.as_deref(),
        persistent: message.persistent,
        expiration: message.expires.map_or(0, |at| at.0 as i64),
        priority: message.priority as i8,
        reply_to: message.reply_to.as_deref().map(destinations::parse_reply_to),
        timestamp: message.timestamp.0 as i64,
        jms_type: None,
        content: ContentParts::Null,
        marshalled_properties: None,
        compressed: false,
        // JMS has no flag but a count.
        redelivery_counter: (*redelivery_count).max((*redelivered).into()) as i32,
        arrival: 0,
        user_id: None,
        broker_in_time: 0,
        broker_out_time: 0,
        jmsx_group_first_for_consumer: handed.delivery.first_of_group,
    };
    (parts.kind, parts.content) = content_of(&message.body);
    let mut map = Vec::new();
    if let Some(content_type) = &message.content_type {
        map.push((Text::from_static(CONTENT_TYPE), Primitive::Text((&**content_type).into())));
    }
    for (name, value) in &message.properties {
        match (&**name, value) {
            (JMS_TYPE | STOMP_TYPE, Value::Text(text)) => parts.jms_type = Some(text),
            (USER_ID, Value::Text(text)) => parts.user_id = Some(text),
            (GROUP_ID, Value::Text(text)) => parts.group_id = Some(text),
            (GROUP_SEQUENCE, value) if let Some(number) = group_sequence(value) => {
                parts.group_sequence = number;
            }
            _ => map.push(((&**name).into(), primitive(value))),
        }
    }
    let mut marshalled = BytesMut::new();
    if !map.is_empty() {
        primitives::write_map(&map, &mut marshalled);
        parts.marshalled_properties = Some(&marshalled);
    }
    parts.encode(version, out);
}

/// Appends the MessageDispatch of an advisory, which is about something.
pub(super) fn write_advisory(
    handed: &Handed<'_, Subscriber>,
    about: Command,
    command_id: i32,
    version: i32,
    out: &mut BytesMut,
) {
    let message = &handed.delivery.message;
    let DestinationParts { kind, name } = destinations::write(&message.destination);
    let destination = Some(Wire { kind, name: name.into() });
    let parts = id_parts(&message.id, handed.place);
    let producer = parts.producer.map(|it| ProducerId {
        connection: it.connection.into(),
        value: it.value,
        session: it.session,
    });
    let mut jms_type = None;
    let mut map = Vec::new();
    for (name, value) in &message.properties {
        match (&**name, value) {
            (STRUCTURE, _) => {}
            (STOMP_TYPE, Value::Text(text)) => jms_type = Some((&**text).into()),
            _ => map.push(((&**name).into(), primitive(value))),
        }
    }
    let mut properties = BytesMut::new();
    primitives::write_map(&map, &mut properties);
    let sent = paceline_wire::openwire::Message {
        destination: destination.clone(),
        producer_id: producer.clone(),
        message_id: Some(MessageId {
            text_view: parts.text_view.map(Into::into),
            producer,
            producer_sequence: parts.producer_sequence,
            broker_sequence: parts.broker_sequence,
        }),
        priority: message.priority as i8,
        timestamp: message.timestamp.0 as i64,
        jms_type,
        marshalled_properties: Some(properties.freeze()),
        data_structure: Some(AnyStructure::Command(Box::new(about))),
        ..Default::default()
    };
    let dispatch = MessageDispatch {
        command_id,
        consumer_id: Some(handed.label.id.clone()),
        destination,
        message: Some(Box::new(sent)),
        ..MessageDispatch::default()
    };
    Command::from(dispatch).encode(version, out);
}

fn content_of(body: &Body) -> (MessageKind, ContentParts<'_>) {
    fn encoded(bytes: &[u8]) -> ContentParts<'_> {
        match bytes {
            b"" => ContentParts::Null,
            bytes => ContentParts::Bytes(bytes),
        }
    }
    match body {
        Body::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => (MessageKind::Text, ContentParts::Text(text)),
            Err(_) => (MessageKind::Bytes, encoded(bytes)),
        },
        Body::Binary(bytes) => (MessageKind::Bytes, encoded(bytes)),
        Body::Map(bytes) => (MessageKind::Map, encoded(bytes)),
        Body::Stream(bytes) => (MessageKind::Stream, encoded(bytes)),
        Body::Object(bytes) => (MessageKind::Object, encoded(bytes)),
        Body::Nothing => (MessageKind::Plain, ContentParts::Null),
    }
}

fn primitive(value: &Value) -> Primitive {
    match value {
        Value::Bool(value) => Primitive::Bool(*value),
        Value::Byte(value) => Primitive::Byte(*value),
        Value::Short(value) => Primitive::Short(*value),
        Value::Int(value) => Primitive::Int(*value),
        Value::Long(value) => Primitive::Long(*value),
        Value::Float(value) => Primitive::Float(*value),
        Value::Double(value) => Primitive::Double(*value),
        Value::Text(text) => Primitive::Text((&**text).into()),
        Value::Bytes(bytes) => Primitive::Bytes(bytes.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_jms_message_is_taken_apart_and_put_together() {
        let text = "ID:host-37741-1520-0:1:2:3:44";
        let parts = id_parts(text, Place(6));
        let producer = parts.producer.unwrap();
        assert_eq!(producer.connection, "ID:host-37741-1520-0:1");
        assert_eq!((producer.session, producer.value), (2, 3));
        assert_eq!((parts.producer_sequence, parts.broker_sequence), (44, 7));
        assert_eq!(parts.text_view, None);
        let id = MessageId {
            text_view: None,
            producer: Some(paceline_wire::openwire::ProducerId {
                connection: producer.connection.into(),
                value: producer.value,
                session: producer.session,
            }),
            producer_sequence: parts.producer_sequence,
            broker_sequence: parts.broker_sequence,
        };
        assert_eq!(id_of(&id), text);
    }

    #[test]
    fn the_id_of_another_protocols_message_keeps_its_text_and_its_count() {
        let parts = id_parts("ID:n1-4-7:12", Place(0));
        assert_eq!(parts.text_view, Some("ID:n1-4-7:12"));
        assert_eq!(
            (parts.producer.unwrap().connection, parts.producer_sequence),
            ("ID:n1-4-7", 12)
        );
        let parts = id_parts("odd", Place(0));
        assert_eq!((parts.text_view, parts.producer_sequence), (Some("odd"), 0));
    }
}
