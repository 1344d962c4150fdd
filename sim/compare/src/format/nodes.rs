//! The nodes of a comparison: how many, or which.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// The nodes that are compared: `[5, 10]`, numbers of nodes called `n1`, `n2` and so on, or
/// `{ names = ["10.0.0.1:11211", "10.0.0.2:11211"] }`, these and no others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSets {
    /// Numbers of nodes, compared one after the other; with names, how many there are.
    pub numbers: Vec<usize>,
    /// What the nodes are called, in the order in which strategies that number nodes do so. Empty
    /// where they are called by their numbers.
    pub names: Vec<String>,
}

impl NodeSets {
    /// What the nodes of a set of `count` are called.
    pub fn names_of(&self, count: usize) -> Vec<String> {
        if self.names.is_empty() {
            (1..=count).map(|number| format!("n{number}")).collect()
        } else {
            self.names.clone()
        }
    }
}

impl<'de> Deserialize<'de> for NodeSets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            names: Vec<String>,
        }
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = NodeSets;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("numbers of nodes such as [5, 10], or { names = [\"a\", \"b\"] }")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<NodeSets, A::Error> {
                let numbers = Vec::deserialize(de::value::SeqAccessDeserializer::new(list))?;
                Ok(NodeSets { numbers, names: Vec::new() })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<NodeSets, A::Error> {
                let Keys { names } = Keys::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(NodeSets { numbers: vec![names.len()], names })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
