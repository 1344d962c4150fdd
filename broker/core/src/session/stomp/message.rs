//! SEND frames to messages and deliveries to MESSAGE frames: the one place that maps STOMP headers
//! to a message's fields and back.
//!
//! | header | field | SEND without it |
//! |---|---|---|
//! | `persistent` | persistent | `false`, as ActiveMQ has it |
//! | `priority` | priority, cut to 0..=9 | 4 |
//! | `expires` | expires, milliseconds since 1970; 0 for never | never |
//! | `timestamp` | timestamp, milliseconds since 1970 | when the frame was read |
//! | `correlation-id` | correlation id | none |
//! | `reply-to` | reply-to, word for word but for temporary destinations | none |
//! | `content-type` | content type | none |
//! | `content-length` | a body with it is binary, one without it text | |
//! | `amq-msg-type` | `text` or `bytes` overrules the former | |
//! | `transformation` | a body that is the text of a map is a map; `transformation-error` says why it is none | |
//! | `type` (the JMS type) and any other | a property, in order | |
//!
//! A MESSAGE carries them all back, `content-length` only where the body is not text or holds a NUL,
//! which is how ActiveMQ's clients tell text from bytes, and besides: `subscription`, `message-id`, `ack`
//! (1.2), and, where the message was delivered before, `redelivered:true` and `JMSXDeliveryCount`. A map
//! goes as text, as its subscriber wants it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use paceline_wire::{
    stomp::{Command, Frame, FrameWriter, Text, Version, header},
    xstream::Notation,
};

use super::{destinations, maps};
use crate::{
    Body, Destination, Message, UnixMillis, Value,
    message::{DEFAULT_PRIORITY, MAX_PRIORITY},
    operation::{ConsumerId, Delivery},
    session::consumers::Place,
};

/// Up to this size a body is copied out of the receive buffer: a queued message must not keep a
/// buffer alive that is many times larger than itself.
const COPY_UP_TO_BYTES: usize = 4 * 1024;

/// The message that a SEND frame carries to `destination`. An error says what is wrong with it.
pub(super) fn read(
    frame: &Frame,
    destination: Destination,
    id: Arc<str>,
    now: UnixMillis,
) -> Result<Message, String> {
    let text = |name| frame.header(name).map(|value| Arc::from(value.as_str()));
    let content_length = frame.header(header::CONTENT_LENGTH).is_some();
    let is_text = match frame.header(header::AMQ_MESSAGE_TYPE).map(Text::as_str) {
        Some("text") => true,
        Some("bytes") => false,
        _ => !content_length,
    };
    let mut properties = properties(frame);
    let body = match maps::read(frame) {
        Some(Ok(map)) => map,
        asked => {
            if let Some(Err(why)) = asked {
                properties.push((header::TRANSFORMATION_ERROR.into(), Value::Text(why.into())));
            }
            let body = match frame.body.len() {
                0..=COPY_UP_TO_BYTES => Bytes::copy_from_slice(&frame.body),
                _ => frame.body.clone(),
            };
            match is_text && std::str::from_utf8(&body).is_ok() {
                true => Body::Text(body),
                false => Body::Binary(body),
            }
        }
    };
    Ok(Message {
        id,
        destination,
        persistent: match frame.header(header::PERSISTENT) {
            None => false,
            Some(value) if value.eq_ignore_ascii_case("true") => true,
            Some(value) if value.eq_ignore_ascii_case("false") => false,
            Some(value) => return Err(format!("`persistent` is true or false, not `{value}`")),
        },
        priority: match frame.header(header::PRIORITY) {
            None => DEFAULT_PRIORITY,
            Some(value) => match value.trim().parse::<i64>() {
                Ok(priority) => priority.clamp(0, i64::from(MAX_PRIORITY)) as u8,
                Err(_) => return Err(format!("`priority` is a number, not `{value}`")),
            },
        },
        timestamp: instant(frame, header::TIMESTAMP)?.unwrap_or(now),
        expires: instant(frame, header::EXPIRES)?.filter(|at| at.0 != 0),
        correlation_id: text(header::CORRELATION_ID),
        reply_to: text(header::REPLY_TO),
        content_type: text(header::CONTENT_TYPE),
        properties,
        body,
    })
}

fn instant(frame: &Frame, name: &str) -> Result<Option<UnixMillis>, String> {
    match frame.header(name) {
        None => Ok(None),
        Some(value) => match value.trim().parse() {
            Ok(millis) => Ok(Some(UnixMillis(millis))),
            Err(_) => Err(format!(
                "`{name}` is a number of milliseconds since 1970-01-01 UTC, not `{value}`"
            )),
        },
    }
}

/// The headers that are the client's own; of repeated ones the first (STOMP 1.2 "Repeated Header
/// Entries").
fn properties(frame: &Frame) -> Vec<(Arc<str>, Value)> {
    let mut properties = Vec::new();
    for (at, (name, value)) in frame.headers.iter().enumerate() {
        let repeated = || frame.headers[..at].iter().any(|(earlier, _)| earlier == name);
        if !is_reserved(name) && !repeated() {
            let value = Value::Text(Arc::from(value.as_str()));
            properties.push((Arc::from(name.as_str()), value));
        }
    }
    properties
}

/// Headers that say how a frame travels, or that a MESSAGE gets from the broker: a sender must not
/// be able to put its own in their place.
fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        header::DESTINATION
            | header::RECEIPT
            | header::TRANSACTION
            | header::CONTENT_LENGTH
            | header::CONTENT_TYPE
            | header::PERSISTENT
            | header::PRIORITY
            | header::EXPIRES
            | header::TIMESTAMP
            | header::CORRELATION_ID
            | header::REPLY_TO
            | header::AMQ_MESSAGE_TYPE
            | header::MESSAGE_ID
            | header::SUBSCRIPTION
            | header::ACK
            | header::REDELIVERED
            | header::DELIVERY_COUNT
            | header::BROWSER
            | header::USER_ID
    )
}

/// What a MESSAGE frame says of the subscription it goes to.
pub(super) struct Recipient<'a> {
    /// The session's name.
    pub session: &'a str,
    /// The `subscription` header; a 1.0 client may have given none.
    pub subscription: Option<&'a str>,
    /// The `ack` header, where the version and the subscription's mode call for one.
    pub ack: Option<(ConsumerId, Place)>,
    /// How map messages are written.
    pub maps: Notation,
}

/// Appends the MESSAGE frame of a delivery.
pub(super) fn write(
    delivery: &Delivery,
    recipient: &Recipient<'_>,
    version: Version,
    out: &mut BytesMut,
) {
    let message = &*delivery.message;
    let mut frame = FrameWriter::begin(out, version, Command::Message);
    if let Some(subscription) = recipient.subscription {
        frame.header(header::SUBSCRIPTION, subscription);
    }
    frame.header(header::MESSAGE_ID, &message.id);
    let destination = destinations::write(&message.destination, recipient.session);
    frame.header_parts(header::DESTINATION, &destination);
    if let Some(ack) = recipient.ack {
        frame.header(header::ACK, &ack_id(ack));
    }
    if delivery.redelivered || delivery.redelivery_count > 0 {
        frame.header(header::REDELIVERED, "true");
        frame.number(header::DELIVERY_COUNT, u64::from(delivery.redelivery_count) + 1);
    }
    frame.number(header::PRIORITY, message.priority.into());
    frame.number(header::EXPIRES, message.expires.map_or(0, |at| at.0));
    frame.number(header::TIMESTAMP, message.timestamp.0);
    if message.persistent {
        frame.header(header::PERSISTENT, "true");
    }
    for (name, value) in [
        (header::CORRELATION_ID, &message.correlation_id),
        (header::REPLY_TO, &message.reply_to),
        (header::CONTENT_TYPE, &message.content_type),
    ] {
        if let Some(value) = value {
            frame.header(name, value);
        }
    }
    let map = match &message.body {
        Body::Map(map) => Some(maps::write(map, recipient.maps)),
        Body::Object(_) => Some(Err(maps::NO_OBJECTS.into())),
        _ => None,
    };
    match &map {
        Some(Ok((_, how))) => frame.header(header::TRANSFORMATION, how),
        Some(Err(why)) => frame.header(header::TRANSFORMATION_ERROR, why),
        None => {}
    }
    for (name, value) in &message.properties {
        if map.is_some() && (**name == *header::TRANSFORMATION) {
            continue;
        }
        // What is not text is left out: STOMP headers are nothing else.
        if let Some(text) = value.to_text() {
            frame.header(name, &text);
        }
    }
    if let Some(Ok((text, _))) = &map {
        return frame.finish_as_text(text);
    }
    match &message.body {
        Body::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => frame.finish_as_text(text),
            _ => frame.finish(bytes),
        },
        body => frame.finish_as_bytes(body.bytes()),
    }
}

/// The `ack` header of one delivery.
fn ack_id((consumer, place): (ConsumerId, Place)) -> String {
    format!("{}-{}", consumer.0, place.0)
}

/// Reads what [`ack_id`] wrote.
pub(super) fn parse_ack_id(text: &str) -> Option<(ConsumerId, Place)> {
    let (consumer, place) = text.split_once('-')?;
    Some((ConsumerId(consumer.parse().ok()?), Place(place.parse().ok()?)))
}
