//! Who hears nothing of whom.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::nodes::LongPartition;

/// Groups of hosts, or some nodes against all the others. Hosts in no group keep all their links, so
/// leaving some out makes a partial partition. `clients` stands for all clients.
#[derive(Clone, Debug, PartialEq)]
pub enum Partition {
    /// `[["n1"], ["n2", "n3"]]`
    Groups(Vec<Vec<String>>),
    /// `{ groups = …, one_way = true }` or `{ any = 2 }`
    Long(LongPartition),
}

impl Partition {
    /// The groups, once they are known.
    pub fn groups(&self) -> Option<&[Vec<String>]> {
        match self {
            Partition::Groups(groups) => Some(groups),
            Partition::Long(long) => long.groups.as_deref(),
        }
    }

    /// Whether only what the first group sends is lost.
    pub fn one_way(&self) -> bool {
        matches!(self, Partition::Long(LongPartition { one_way: Some(true), .. }))
    }
}

impl Serialize for Partition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Partition::Groups(groups) => groups.serialize(serializer),
            Partition::Long(long) => long.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Partition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = Partition;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("groups such as [[\"n1\"], [\"n2\", \"n3\"]], or { any = 1 }")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Partition, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(Partition::Groups)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Partition, A::Error> {
                LongPartition::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(Partition::Long)
            }
        }
        deserializer.deserialize_any(Either)
    }
}
