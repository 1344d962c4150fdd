//! The names and values of a map message as text, in XML and in JSON, as ActiveMQ writes them for STOMP
//! clients (`transformation:jms-map-xml`, `jms-map-json`): by XStream, whose JSON is Jettison's "mapped"
//! form of the same elements.
//!
//! ```text
//! <map>                              {"map":{"entry":[
//!   <entry>                            {"string":["city","Belgrade"]},
//!     <string>city</string>            {"string":"area","int":360}
//!     <string>Belgrade</string>      ]}}
//!   </entry>
//!   <entry>
//!     <string>area</string>
//!     <int>360</int>
//!   </entry>
//! </map>
//! ```
//!
//! An element says by its name of which Java type its text is. JSON groups elements of one name, so that
//! a list of several types loses its order there, and one entry alone stands without an array.

mod json;
#[cfg(test)]
mod tests;
mod xml;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use thiserror::Error;

use crate::{
    openwire::primitives::{Primitive, PrimitiveLimits},
    text::Text,
};

/// How a map is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// Elements.
    Xml,
    /// Objects.
    Json,
}

/// Why a text is no map.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoMap {
    /// It is not well-formed.
    #[error("{0}")]
    Malformed(String),
    /// It means something else.
    #[error("`{0}` is not what is expected: {1}")]
    Unexpected(String, &'static str),
    /// The text of an element is not of its type.
    #[error("`{1}` is no {0}")]
    NotOf(String, String),
    /// It is too much.
    #[error("more than {0} values")]
    TooMany(usize),
    /// Elements stand in each other too deep.
    #[error("more than {0} maps and lists in each other")]
    TooDeep(usize),
}

/// One element: a name, and a text or what stands in it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

/// Writes the names and values of a map message.
pub fn write(map: &[(Text, Primitive)], notation: Notation) -> String {
    let map = map_element(map);
    match notation {
        Notation::Xml => xml::write(&map),
        Notation::Json => json::write(&map),
    }
}

/// Reads what [`write()`] writes, and XStream.
///
/// # Errors
///
/// What is wrong with the text, or exceeds a limit.
pub fn read(
    text: &str,
    notation: Notation,
    limits: PrimitiveLimits,
) -> Result<Vec<(Text, Primitive)>, NoMap> {
    // Each map has an element for each entry, and each element in JSON an object.
    let depth = 2 * (limits.max_depth + 1) + 1;
    let root = match notation {
        Notation::Xml => xml::read(text, depth),
        Notation::Json => json::read(text, depth),
    }?;
    let mut reader = Reader { limits, left: limits.max_entries };
    match reader.value(root, 0)? {
        Primitive::Map(map) => Ok(map),
        _ => Err(NoMap::Unexpected(
            text.chars().take(40).collect(),
            "the outermost element is `map`",
        )),
    }
}

fn map_element(map: &[(Text, Primitive)]) -> Element {
    let entry = |(name, value): &(Text, Primitive)| Element {
        name: "entry".into(),
        children: vec![leaf("string", name.as_str()), element(value)],
        ..Element::default()
    };
    Element { name: "map".into(), children: map.iter().map(entry).collect(), ..Element::default() }
}

fn leaf(name: &str, text: impl Into<String>) -> Element {
    Element { name: name.into(), text: text.into(), children: Vec::new() }
}

fn element(value: &Primitive) -> Element {
    match value {
        Primitive::Null => leaf("null", ""),
        Primitive::Bool(value) => leaf("boolean", value.to_string()),
        Primitive::Byte(value) => leaf("byte", value.to_string()),
        Primitive::Char(unit) => leaf("char", String::from_utf16_lossy(&[*unit])),
        Primitive::Short(value) => leaf("short", value.to_string()),
        Primitive::Int(value) => leaf("int", value.to_string()),
        Primitive::Long(value) => leaf("long", value.to_string()),
        Primitive::Double(value) => leaf("double", floating(*value, value.to_string())),
        Primitive::Float(value) => leaf("float", floating(f64::from(*value), value.to_string())),
        Primitive::Text(text) => leaf("string", text.as_str()),
        Primitive::Bytes(bytes) => leaf("byte-array", BASE64.encode(bytes)),
        Primitive::Map(map) => map_element(map),
        Primitive::List(list) => Element {
            name: "list".into(),
            children: list.iter().map(element).collect(),
            ..Element::default()
        },
    }
}

/// As Java writes and reads it.
fn floating(value: f64, shortest: String) -> String {
    match value {
        value if value.is_nan() => "NaN".into(),
        value if value.is_infinite() => if value > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        value if value == value.trunc() && !shortest.contains(['.', 'e']) => shortest + ".0",
        _ => shortest,
    }
}

struct Reader {
    limits: PrimitiveLimits,
    /// So many values may come yet.
    left: usize,
}

impl Reader {
    fn value(&mut self, element: Element, depth: usize) -> Result<Primitive, NoMap> {
        self.left = self.left.checked_sub(1).ok_or(NoMap::TooMany(self.limits.max_entries))?;
        let Element { name, text, children } = element;
        match name.as_str() {
            "map" | "linked-hash-map" | "tree-map" => {
                self.check(depth)?;
                let entries = children.into_iter().map(|entry| self.entry(entry, depth));
                return Ok(Primitive::Map(entries.collect::<Result<_, _>>()?));
            }
            "list" | "linked-list" => {
                self.check(depth)?;
                let values = children.into_iter().map(|value| self.value(value, depth + 1));
                return Ok(Primitive::List(values.collect::<Result<_, _>>()?));
            }
            _ => {}
        }
        if let Some(child) = children.first() {
            return Err(NoMap::Unexpected(child.name.clone(), "only maps and lists hold elements"));
        }
        let number = text.trim();
        let value = match name.as_str() {
            "null" => Some(Primitive::Null),
            "boolean" => match number {
                "true" => Some(Primitive::Bool(true)),
                "false" => Some(Primitive::Bool(false)),
                _ => None,
            },
            "byte" => number.parse().ok().map(Primitive::Byte),
            "short" => number.parse().ok().map(Primitive::Short),
            "int" => number.parse().ok().map(Primitive::Int),
            "long" => number.parse().ok().map(Primitive::Long),
            "float" => number.parse().ok().map(Primitive::Float),
            "double" => number.parse().ok().map(Primitive::Double),
            "char" => {
                let mut units = text.encode_utf16();
                units.next().filter(|_| units.next().is_none()).map(Primitive::Char)
            }
            "string" => Some(Primitive::Text(text.as_str().into())),
            "byte-array" => {
                let text: String = text.split_ascii_whitespace().collect();
                BASE64.decode(text).ok().map(|bytes| Primitive::Bytes(Bytes::from(bytes)))
            }
            _ => return Err(NoMap::Unexpected(name, "it names no type of a map's values")),
        };
        value.ok_or(NoMap::NotOf(name, text))
    }

    fn check(&self, depth: usize) -> Result<(), NoMap> {
        let max = self.limits.max_depth;
        if depth > max { Err(NoMap::TooDeep(max)) } else { Ok(()) }
    }

    /// A name, which is a string, and a value; in JSON they may come in either order.
    fn entry(&mut self, entry: Element, depth: usize) -> Result<(Text, Primitive), NoMap> {
        const NEEDS: &str = "an entry has a string, its name, and a value";
        let Element { name, mut children, .. } = entry;
        if name != "entry" || children.len() != 2 {
            return Err(NoMap::Unexpected(name, NEEDS));
        }
        let at = children.iter().position(|child| child.name == "string");
        let key = children.remove(at.ok_or(NoMap::Unexpected(name, NEEDS))?);
        let value = children.pop().expect("there were two");
        Ok((Text::from(key.text), self.value(value, depth + 1)?))
    }
}
