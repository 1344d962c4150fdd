//! Map messages as text, by the header `transformation` as ActiveMQ has it.

use bytes::{Bytes, BytesMut};
use paceline_wire::{
    openwire::primitives::{self, PrimitiveLimits},
    stomp::{Frame, Text, header},
    xstream::{self, Notation},
};

use crate::Body;

/// Why an object message is not written as text.
pub(super) const NO_OBJECTS: &str = "Java objects are not read here";

/// How a subscription wants its map messages, by its SUBSCRIBE frame.
pub(super) fn wanted(frame: &Frame) -> Result<Notation, String> {
    match frame.header(header::TRANSFORMATION).map(Text::as_str) {
        None => Ok(Notation::Json),
        Some(asked) => notation(asked).ok_or_else(|| {
            format!(
                "`transformation` is jms-map-xml, jms-map-json, jms-xml or jms-json, not `{asked}`; \
                 {NO_OBJECTS}"
            )
        }),
    }
}

fn notation(transformation: &str) -> Option<Notation> {
    match transformation {
        "jms-map-xml" | "jms-xml" => Some(Notation::Xml),
        "jms-map-json" | "jms-json" => Some(Notation::Json),
        _ => None,
    }
}

/// The map that a SEND frame asks to make of its text; an error says why it is none, and a text it
/// stays. `None` where it does not ask.
pub(super) fn read(frame: &Frame) -> Option<Result<Body, String>> {
    // As ActiveMQ has it, bytes stay what they are.
    let asked = frame.header(header::TRANSFORMATION)?;
    if frame.header(header::CONTENT_LENGTH).is_some() {
        return None;
    }
    if asked.starts_with("jms-object-") {
        return Some(Err(NO_OBJECTS.into()));
    }
    let notation = notation(asked)?;
    Some(std::str::from_utf8(&frame.body).map_err(|error| error.to_string()).and_then(|text| {
        let map = xstream::read(text, notation, PrimitiveLimits::default())
            .map_err(|error| error.to_string())?;
        let mut bytes = BytesMut::new();
        primitives::write_map(&map, &mut bytes);
        Ok(Body::Map(bytes.freeze()))
    }))
}

/// A map message's body as text, and what the header `transformation` then says.
pub(super) fn write(map: &Bytes, notation: Notation) -> Result<(String, &'static str), String> {
    // JMS clients write nothing where nothing was set.
    let map = match &map[..] {
        b"" => Vec::new(),
        _ => primitives::read_map(map, PrimitiveLimits::default())
            .map_err(|fault| format!("the map {fault}"))?,
    };
    let name = match notation {
        Notation::Xml => "jms-map-xml",
        Notation::Json => "jms-map-json",
    };
    Ok((xstream::write(&map, notation), name))
}
