//! How a change names nodes: in short where that says all, in a table otherwise.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, value},
};

/// Nodes that are there: `"n2"`, `["n2", "n3"]` or `{ any = 1 }`.
#[derive(Clone, Debug, PartialEq)]
pub enum Chosen {
    /// These.
    Names(Vec<String>),
    /// So many, drawn from those that are members then and that no other change names.
    Any(u32),
}

/// Nodes that are not there yet: `"n4"`, `["n4", "n5"]`, or how many.
#[derive(Clone, Debug, PartialEq)]
pub enum Newcomers {
    /// These.
    Names(Vec<String>),
    /// So many; they get the next names that are free.
    Count(u32),
}

/// Nodes that join: as [`Newcomers`], or `{ nodes = 2, zone = "b", weight = 2.0 }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// Who.
    pub nodes: Newcomers,
    /// Where they are; default a zone of each one's own.
    pub zone: Option<String>,
    /// Their share of the load relative to the others; default 1.
    pub weight: Option<f64>,
}

/// Nodes that are replaced: as [`Chosen`], or `{ nodes = "n3", by = "n6" }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Replace {
    /// Whose processes die for good.
    pub nodes: Chosen,
    /// Who comes instead, each in the zone and with the weight of the one whose place it takes;
    /// default the next names that are free.
    pub by: Option<Vec<String>>,
    /// Whether they join as any node does and the dead are removed, which moves more than what these
    /// had. Default: each takes over what one of the dead had.
    pub removal: bool,
}

/// `{ nodes = "n1", weight = 2.0 }` or `{ any = 1, weight = 2.0 }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// Who.
    pub nodes: Chosen,
    /// Their share of the load relative to the others.
    pub weight: f64,
}

/// `{ all = true, broker = { … } }`, or with `nodes` or `any`.
#[derive(Clone, Debug, PartialEq)]
pub struct Restart {
    /// Who, one after the other; none for all that are members then.
    pub nodes: Option<Chosen>,
    /// What is set otherwise than in `cluster.broker` from then on; default nothing.
    pub broker: toml::Table,
}

impl Chosen {
    /// How many.
    pub fn count(&self) -> u32 {
        match self {
            Chosen::Names(names) => names.len() as u32,
            Chosen::Any(any) => *any,
        }
    }

    /// Who, as far as the file says so.
    pub fn names(&self) -> &[String] {
        match self {
            Chosen::Names(names) => names,
            Chosen::Any(_) => &[],
        }
    }
}

impl Newcomers {
    /// How many.
    pub fn count(&self) -> u32 {
        match self {
            Newcomers::Names(names) => names.len() as u32,
            Newcomers::Count(count) => *count,
        }
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Chosen::Names(names) => f.write_str(&names.join(" ")),
            Chosen::Any(any) => write!(f, "any {any}"),
        }
    }
}

impl fmt::Display for Newcomers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Newcomers::Names(names) => f.write_str(&names.join(" ")),
            Newcomers::Count(count) => write!(f, "{count}"),
        }
    }
}

/// One name as a string, several as a list.
struct Names(Vec<String>);

impl Serialize for Names {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [name] => serializer.serialize_str(name),
            names => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = Names;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a node such as \"n4\", or several such as [\"n4\", \"n5\"]")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Names, E> {
                Ok(Names(vec![name.to_owned()]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Names, A::Error> {
                Vec::deserialize(value::SeqAccessDeserializer::new(seq)).map(Names)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Any {
    any: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LongJoin {
    nodes: Newcomers,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LongReplace {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nodes: Option<Names>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    any: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<Names>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    removal: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LongWeight {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nodes: Option<Names>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    any: Option<u32>,
    weight: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LongRestart {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nodes: Option<Names>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    any: Option<u32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    all: bool,
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    broker: toml::Table,
}

/// The nodes of a table that names them by one of two keys.
fn chosen<E: de::Error>(nodes: Option<Names>, any: Option<u32>) -> Result<Chosen, E> {
    match (nodes, any) {
        (Some(Names(names)), None) => Ok(Chosen::Names(names)),
        (None, Some(any)) => Ok(Chosen::Any(any)),
        _ => Err(E::custom("name the nodes by either `nodes` or `any`")),
    }
}

/// The keys of such a table.
fn keys(nodes: &Chosen) -> (Option<Names>, Option<u32>) {
    match nodes {
        Chosen::Names(names) => (Some(Names(names.clone())), None),
        Chosen::Any(any) => (None, Some(*any)),
    }
}

impl Serialize for Chosen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Chosen::Names(names) => Names(names.clone()).serialize(serializer),
            Chosen::Any(any) => Any { any: *any }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Chosen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = Chosen;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a node such as \"n2\", several such as [\"n2\", \"n3\"], or { any = 1 }",
                )
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Chosen, E> {
                Ok(Chosen::Names(vec![name.to_owned()]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Chosen, A::Error> {
                Vec::deserialize(value::SeqAccessDeserializer::new(seq)).map(Chosen::Names)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Chosen, A::Error> {
                let Any { any } = Any::deserialize(value::MapAccessDeserializer::new(map))?;
                Ok(Chosen::Any(any))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Serialize for Newcomers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Newcomers::Names(names) => Names(names.clone()).serialize(serializer),
            Newcomers::Count(count) => count.serialize(serializer),
        }
    }
}

/// Reads [`Newcomers`] from anything but a table.
struct ShortJoin;

impl<'de> de::Visitor<'de> for ShortJoin {
    type Value = Newcomers;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node such as \"n4\", several such as [\"n4\", \"n5\"], or how many")
    }
    fn visit_str<E: de::Error>(self, name: &str) -> Result<Newcomers, E> {
        Ok(Newcomers::Names(vec![name.to_owned()]))
    }
    fn visit_i64<E: de::Error>(self, count: i64) -> Result<Newcomers, E> {
        let unexpected = || E::invalid_value(de::Unexpected::Signed(count), &self);
        u32::try_from(count).map(Newcomers::Count).map_err(|_| unexpected())
    }
    fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Newcomers, A::Error> {
        Vec::deserialize(value::SeqAccessDeserializer::new(seq)).map(Newcomers::Names)
    }
}

impl<'de> Deserialize<'de> for Newcomers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShortJoin)
    }
}

impl Serialize for Join {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { nodes, zone, weight } = self.clone();
        match (&zone, weight) {
            (None, None) => nodes.serialize(serializer),
            _ => LongJoin { nodes, zone, weight }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Join {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = Join;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                ShortJoin.expecting(f)?;
                f.write_str(", or { nodes = 2, zone = \"a\", weight = 2.0 }")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Join, E> {
                ShortJoin.visit_str(name).map(Join::from)
            }
            fn visit_i64<E: de::Error>(self, count: i64) -> Result<Join, E> {
                ShortJoin.visit_i64(count).map(Join::from)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Join, A::Error> {
                ShortJoin.visit_seq(seq).map(Join::from)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Join, A::Error> {
                let long = LongJoin::deserialize(value::MapAccessDeserializer::new(map))?;
                let LongJoin { nodes, zone, weight } = long;
                Ok(Join { nodes, zone, weight })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl From<Newcomers> for Join {
    fn from(nodes: Newcomers) -> Self {
        Self { nodes, zone: None, weight: None }
    }
}

impl From<Vec<String>> for Replace {
    fn from(names: Vec<String>) -> Self {
        Self { nodes: Chosen::Names(names), by: None, removal: false }
    }
}

impl Serialize for Replace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { nodes, by, removal } = self.clone();
        if by.is_none() && !removal {
            return nodes.serialize(serializer);
        }
        let (nodes, any) = keys(&nodes);
        LongReplace { nodes, any, by: by.map(Names), removal }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Replace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = Replace;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a node such as \"n2\", several such as [\"n2\", \"n3\"], { any = 1 }, or \
                     { nodes = \"n2\", by = \"n4\" }",
                )
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Replace, E> {
                Ok(Replace::from(vec![name.to_owned()]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Replace, A::Error> {
                let names = Vec::deserialize(value::SeqAccessDeserializer::new(seq))?;
                Ok(Replace::from(names))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Replace, A::Error> {
                let long = LongReplace::deserialize(value::MapAccessDeserializer::new(map))?;
                let nodes = chosen(long.nodes, long.any)?;
                let by = long.by.map(|Names(names)| names);
                Ok(Replace { nodes, by, removal: long.removal })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Serialize for Weight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (nodes, any) = keys(&self.nodes);
        LongWeight { nodes, any, weight: self.weight }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let long = LongWeight::deserialize(deserializer)?;
        Ok(Self { nodes: chosen(long.nodes, long.any)?, weight: long.weight })
    }
}

impl Serialize for Restart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (nodes, any) = self.nodes.as_ref().map_or((None, None), keys);
        let (all, broker) = (self.nodes.is_none(), self.broker.clone());
        LongRestart { nodes, any, all, broker }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Restart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let LongRestart { nodes, any, all, broker } = LongRestart::deserialize(deserializer)?;
        let nodes = match (all, &nodes, any) {
            (true, None, None) => None,
            (true, ..) => return Err(de::Error::custom("either `all` or names, not both")),
            (false, ..) => Some(chosen(nodes, any)?),
        };
        Ok(Self { nodes, broker })
    }
}
