//! The destinations of a comparison: what they are called and how popular they are.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// A set of destinations.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PopulationSpec {
    /// Its name in tables.
    pub name: String,
    /// What it stands for; default said by its settings.
    #[serde(default)]
    pub about: String,
    /// How many; default 100,000, or all names of the file.
    pub destinations: Option<usize>,
    /// How the load spreads over them; default evenly.
    #[serde(default)]
    pub popularity: Popularity,
    /// What they are called; default numbered.
    #[serde(default)]
    pub names: Names,
}

/// How the load spreads: `"uniform"`, `{ zipf = 0.9 }`, `{ hot = 8, share = 0.8 }`,
/// `{ preset = "wikipedia" }` or `"measured"`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Popularity {
    /// Each is as popular.
    #[default]
    Uniform,
    /// The k-th in proportion to k to the minus this power.
    Zipf(f64),
    /// The first `hot` ones share `share` of the load evenly, the others the rest.
    Hot {
        /// How many are hot.
        hot: usize,
        /// Their part of the load.
        share: f64,
    },
    /// A Zipf law fitted to a published trace.
    Preset(Preset),
    /// As the file of names says behind each of them.
    Measured,
}

/// Published traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The Yahoo! cloud serving benchmark's Zipf constant, 0.99.
    Ycsb,
    /// Page views of Wikipedia: the hottest page has 9.32 % (partial key grouping, 2015).
    Wikipedia,
    /// Words of tweets: the hottest has 2.67 % (the same).
    Twitter,
    /// Cashtags of tweets: the hottest has 3.29 % (the same).
    Cashtags,
    /// Links of LiveJournal: the hottest node has 0.29 % (the same).
    Livejournal,
}

/// What destinations are called: `"numbered"`, `"sequential"`, `"uuid"`, `"paths"`,
/// `{ prefix = "load1." }` or `{ file = "names.txt" }`, one name per line, any bytes but the line
/// feed; with `hash_tags = true` beside it they are hashed by their tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// `queue-000017`
    #[default]
    Numbered,
    /// `q17`
    Sequential,
    /// Random UUIDs in text form.
    Uuid,
    /// `tenant-17.orders.eu.created`
    Paths,
    /// The prefix and a number, as a simulated workload calls its destinations.
    Prefix(String),
    /// The lines of a file, the most popular first, or in any order each with a tab and its load,
    /// of which popularity is measured. Its path starts where the comparison's file lies.
    File {
        /// The path.
        path: String,
        /// Whether names with one tag in braces stay together, as Redis Cluster has it.
        hash_tags: bool,
    },
}

impl<'de> Deserialize<'de> for Popularity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            zipf: Option<f64>,
            hot: Option<usize>,
            share: Option<f64>,
            preset: Option<Preset>,
        }
        struct Visitor;
        const WANTED: &str = "\"uniform\", { zipf = 0.9 }, { hot = 8, share = 0.8 }, { preset = \"wikipedia\" } or \"measured\"";
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Popularity;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(WANTED)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Popularity, E> {
                match text {
                    "uniform" => Ok(Popularity::Uniform),
                    "measured" => Ok(Popularity::Measured),
                    other => Err(E::custom(format!("`{other}` is no popularity; write {WANTED}"))),
                }
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Popularity, A::Error> {
                let keys = Keys::deserialize(de::value::MapAccessDeserializer::new(map))?;
                match keys {
                    Keys { zipf: Some(zipf), hot: None, share: None, preset: None } => {
                        Ok(Popularity::Zipf(zipf))
                    }
                    Keys { zipf: None, hot: Some(hot), share: Some(share), preset: None } => {
                        Ok(Popularity::Hot { hot, share })
                    }
                    Keys { zipf: None, hot: None, share: None, preset: Some(preset) } => {
                        Ok(Popularity::Preset(preset))
                    }
                    _ => Err(de::Error::custom(format!("write {WANTED}"))),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            prefix: Option<String>,
            file: Option<String>,
            hash_tags: Option<bool>,
        }
        struct Visitor;
        const WANTED: &str = "\"numbered\", \"sequential\", \"uuid\", \"paths\", { prefix = \"load1.\" } or { file = \"names.txt\" }";
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Names;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(WANTED)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Names, E> {
                match text {
                    "numbered" => Ok(Names::Numbered),
                    "sequential" => Ok(Names::Sequential),
                    "uuid" => Ok(Names::Uuid),
                    "paths" => Ok(Names::Paths),
                    other => {
                        Err(E::custom(format!("`{other}` is no kind of name; write {WANTED}")))
                    }
                }
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Names, A::Error> {
                match Keys::deserialize(de::value::MapAccessDeserializer::new(map))? {
                    Keys { prefix: Some(prefix), file: None, hash_tags: None } => {
                        Ok(Names::Prefix(prefix))
                    }
                    Keys { prefix: None, file: Some(path), hash_tags } => {
                        Ok(Names::File { path, hash_tags: hash_tags.unwrap_or_default() })
                    }
                    Keys { hash_tags: Some(_), .. } => Err(de::Error::custom(
                        "`hash_tags` are those of a file: { file = \"names.txt\", hash_tags = true }",
                    )),
                    _ => Err(de::Error::custom(format!("write {WANTED}"))),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Destinations of a population that does not say how many it has.
pub const DEFAULT_DESTINATIONS: usize = 100_000;
