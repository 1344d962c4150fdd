//! Elements as JSON: an object whose members are elements, several of one name as an array, and what has
//! no elements as its text.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor},
    ser::SerializeMap,
};

use super::{Element, NoMap};

pub(super) fn write(root: &Element) -> String {
    let members = Members(std::slice::from_ref(root));
    serde_json::to_string(&members).expect("keys are texts, and memory does not fail")
}

/// What stands in an element.
struct Members<'a>(&'a [Element]);

/// An element without its name.
struct Content<'a>(&'a Element);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut names: Vec<(&str, Vec<Content<'_>>)> = Vec::new();
        for element in self.0 {
            match names.iter_mut().find(|(name, _)| *name == element.name) {
                Some((_, all)) => all.push(Content(element)),
                None => names.push((&element.name, vec![Content(element)])),
            }
        }
        let mut object = serializer.serialize_map(Some(names.len()))?;
        for (name, all) in names {
            match &all[..] {
                [one] => object.serialize_entry(name, one)?,
                several => object.serialize_entry(name, several)?,
            }
        }
        object.end()
    }
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Element { name, text, children } = self.0;
        if !children.is_empty() {
            return Members(children).serialize(serializer);
        }
        match name.as_str() {
            "boolean" => serializer.serialize_bool(text == "true"),
            "byte" | "short" | "int" | "long" => match text.parse::<i64>() {
                Ok(number) => serializer.serialize_i64(number),
                Err(_) => serializer.serialize_str(text),
            },
            "float" | "double" => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => serializer.serialize_f64(number),
                _ => serializer.serialize_str(text),
            },
            _ => serializer.serialize_str(text),
        }
    }
}

pub(super) fn read(text: &str, max_depth: usize) -> Result<Element, NoMap> {
    let json: Json =
        serde_json::from_str(text).map_err(|error| NoMap::Malformed(error.to_string()))?;
    let mut roots = elements(json, max_depth)?;
    match (roots.pop(), roots.is_empty()) {
        (Some(root), true) => Ok(root),
        _ => Err(NoMap::Malformed("it is not an object with one member".into())),
    }
}

/// The members of an object, one after the other; none of a text.
fn elements(json: Json, depth: usize) -> Result<Vec<Element>, NoMap> {
    let members = match json {
        Json::Object(members) => members,
        Json::Text(_) => return Ok(Vec::new()),
        Json::Array(_) => return Err(NoMap::Malformed("an array stands without a name".into())),
    };
    let depth = depth.checked_sub(1).ok_or(NoMap::TooDeep(depth))?;
    let mut all = Vec::new();
    for (name, value) in members {
        let values = match value {
            Json::Array(values) => values,
            one => vec![one],
        };
        for value in values {
            let text = if let Json::Text(text) = &value { text.clone() } else { String::new() };
            let children = elements(value, depth)?;
            all.push(Element { name: name.clone(), text, children });
        }
    }
    Ok(all)
}

/// A value, whose members are in their order and whose numbers are what is written.
enum Json {
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Text(String::new()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Text(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
                Ok(Json::Text(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                Ok(Json::Text(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
                Ok(Json::Text(value.to_string()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Json, E> {
                Ok(Json::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Json, A::Error> {
                let mut all = Vec::new();
                while let Some(value) = values.next_element()? {
                    all.push(value);
                }
                Ok(Json::Array(all))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
                let mut all = Vec::new();
                while let Some(member) = members.next_entry()? {
                    all.push(member);
                }
                Ok(Json::Object(all))
            }
        }

        deserializer.deserialize_any(Any)
    }
}
