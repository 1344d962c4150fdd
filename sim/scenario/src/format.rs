//! The tables of a scenario file, one type each, with their defaults.
//!
//! Everything is strict: an unknown key is an error, and so is a number without its unit. What
//! serde cannot see (a fault that names a node that does not exist, say) `validate` refuses. The
//! types also write themselves, which is how an expanded scenario is printed.

use std::{fmt, time::Duration};

use paceline_placement::{HashFunction, StrategyKind};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use super::delay::Delay;
use super::{
    change::Change,
    fault::Fault,
    units::{Bandwidth, Bound, Fraction, Rate, Size, TimeBound, TimeSpan},
};

/// A whole scenario: who runs, on what, doing what, hurt how, and what is expected of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Short, unique, of letters, digits, `-` and `_`; names the output directory.
    pub name: String,
    /// What it shows, in a sentence or a few, for whoever reads the report.
    pub about: String,
    /// The seed when the command line names none.
    #[serde(default)]
    pub seed: u64,
    /// How long the workload runs, in virtual time; healing and draining come after.
    pub duration: TimeSpan,
    /// The brokers.
    pub cluster: Cluster,
    /// What lies between all hosts.
    #[serde(default)]
    pub network: Network,
    /// What every node stores on.
    #[serde(default)]
    pub disk: Disk,
    /// How far the nodes' wall clocks are from the truth.
    #[serde(default)]
    pub clock: Clock,
    /// What clients do; several run side by side.
    #[serde(default, rename = "workload", skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<Workload>,
    /// What is asked of the cluster itself, and when.
    #[serde(default, rename = "change", skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// What goes wrong, and when.
    #[serde(default, rename = "fault", skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// What must hold beside safety, which always must.
    #[serde(default)]
    pub expect: Expect,
}

/// The brokers and how destinations are placed on them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// How many nodes, named n1, n2, … (1 to 200).
    pub nodes: u32,
    /// The zones that they are in, in turn: n1 in the first; default a zone of each one's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<String>,
    /// How many nodes hold each shard; default 3, or all where there are fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Buckets of destination names, one Raft group each; default 64.
    #[serde(default = "defaults::slots")]
    pub slots: u32,
    /// The placement strategy; default `slots`.
    #[serde(default = "defaults::strategy")]
    pub strategy: StrategyKind,
    /// The hash function over destination names; default `xxh3`.
    #[serde(default = "defaults::hash")]
    pub hash: HashFunction,
    /// XORed over the name before it is hashed; default `paceline`.
    #[serde(default = "defaults::salt")]
    pub salt: String,
    /// Simulated cores of each node; default 2.
    #[serde(default = "defaults::cores")]
    pub cores: u32,
    /// Settings of the nodes' own configuration (`docs/node.example.toml`) that differ from its
    /// defaults: the tables `replication`, `storage`, `stomp`, `openwire`, `limits` and `policy`.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub broker: toml::Table,
}

/// What every link is like while no fault changes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// One way; default 0.1 ms at least, 0.3 ms on average, 99 % below 2 ms.
    pub latency: Delay,
    /// Of each directed link; default 1 Gbit/s.
    pub bandwidth: Bandwidth,
    /// The share of segments that are lost and sent again after a timeout; default 0.
    pub loss: Fraction,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            latency: Delay { min: micros(100), mean: micros(300), p99: micros(2_000) },
            bandwidth: Bandwidth { bits: 1_000_000_000 },
            loss: Fraction(0.0),
        }
    }
}

/// What every node's disk is like while no fault changes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Disk {
    /// How long a sync takes; default 0.4 ms on average, 99 % below 3 ms.
    pub sync: Delay,
    /// Of reads and writes together; default 500 MB/s.
    pub bandwidth: Bandwidth,
    /// Default 16 GiB.
    pub capacity: Size,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            sync: Delay { min: micros(50), mean: micros(400), p99: micros(3_000) },
            bandwidth: Bandwidth { bits: 4_000_000_000 },
            capacity: Size { bytes: 16 << 30 },
        }
    }
}

/// How wrong the wall clocks of the nodes are. Monotonic time is the same everywhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clock {
    /// Each node's clock starts off by up to this, either way, drawn from the seed; default none.
    pub offset: TimeSpan,
}

/// A population of clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// What the clients speak; default `stomp`.
    #[serde(default)]
    pub protocol: Protocol,
    /// Where they send and from where they receive.
    pub destinations: Destinations,
    /// How many clients send.
    pub producers: u32,
    /// How many clients receive; each destination has at least one of them.
    pub consumers: u32,
    /// Messages sent by all producers together.
    pub rate: Rate,
    /// How large the bodies are; default 230 B on average.
    #[serde(default)]
    pub body: BodySize,
    /// The share of messages sent as persistent; default all.
    #[serde(default = "defaults::all")]
    pub persistent: Fraction,
    /// How receipt of a message is confirmed; default `client-individual`.
    #[serde(default)]
    pub ack: AckMode,
    /// The most deliveries a subscription may hold unsettled; default 32. With 0, which is OpenWire's
    /// alone, consumers ask for each message.
    #[serde(default = "defaults::prefetch")]
    pub prefetch: u32,
    /// How long a consumer works on each message; default not at all.
    #[serde(default)]
    pub handling: TimeSpan,
    /// The most publishes a producer has unanswered before it waits; default 64.
    #[serde(default = "defaults::window")]
    pub window: u32,
    /// The share of publishes that are sent inside transactions; default none.
    #[serde(default)]
    pub transactions: Fraction,
    /// Publishes in one transaction; default 5.
    #[serde(default = "defaults::transaction_size")]
    pub transaction_size: u32,
    /// The share of transactions that are aborted, of producers as of consumers, who do it again
    /// then; default none.
    #[serde(default)]
    pub aborts: Fraction,
    /// The share of transactions of OpenWire clients that are branches of distributed ones, prepared before
    /// they are committed; default none.
    #[serde(default)]
    pub distributed: Fraction,
    /// The share of deliveries that the consumer refuses (NACK); default none.
    #[serde(default)]
    pub nack: Fraction,
    /// The share of deliveries at which the consumer drops its connection instead of settling;
    /// default none.
    #[serde(default)]
    pub drop: Fraction,
    /// The share of acknowledgements that are sent in transactions; default none. A refusal always
    /// travels alone.
    #[serde(default)]
    pub ack_transactions: Fraction,
    /// The share of acknowledgements and refusals for which the consumer asks for a receipt, and so
    /// waits; default all. One in a transaction always does.
    #[serde(default = "defaults::all")]
    pub ack_receipts: Fraction,
    /// The share of deliveries at which the consumer takes its leave in good order, with what it
    /// has in hand unsettled, and comes back; default none.
    #[serde(default)]
    pub leave: Fraction,
    /// The share of deliveries at which the consumer falls silent without closing its connection, as
    /// if its machine had gone, and connects anew; default none.
    #[serde(default)]
    pub vanish: Fraction,
    /// The priorities of messages, from the first to the last with the same chance; default none
    /// is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priorities: Option<[u8; 2]>,
    /// Messages fall into so many parts by a property, and each consumer selects those of one;
    /// default none is selected. Each queue needs a consumer for each part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selectors: Option<u32>,
    /// Messages are in so many groups of each queue, each of which one consumer has at a time; default
    /// none is in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<u32>,
    /// Whether each consumer of a queue wants it for itself; default no.
    #[serde(default)]
    pub exclusive: bool,
    /// Whether a consumer that has several destinations subscribes to all of them at once; default no.
    #[serde(default)]
    pub composite: bool,
    /// Messages that expire; default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Expiry>,
    /// Messages that are not to be delivered at once; default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<PutOff>,
    /// Which nodes the clients connect to; default each to the next in turn.
    #[serde(default)]
    pub connect: Connect,
    /// How long a consumer stays away after it took its leave, at most; default not at all.
    #[serde(default)]
    pub away: TimeSpan,
    /// Whether consumers of topics subscribe durably, each with a client id of its own; default not.
    #[serde(default)]
    pub durable: bool,
    /// The share of leaves at which a durable subscriber deletes its subscriptions, or comes back with
    /// another selector, which replaces them; default none.
    #[serde(default)]
    pub renew: Fraction,
}

impl Workload {
    /// What the names of its destinations begin with; it is the scenario's workload of this number,
    /// from 0.
    pub fn prefix(&self, number: usize) -> String {
        self.destinations.prefix.clone().unwrap_or_else(|| format!("load{}", number + 1))
    }
}

/// The protocol of a workload's clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// STOMP 1.2.
    #[default]
    Stomp,
    /// OpenWire 12.
    OpenWire,
    /// One client the one, the next the other; of the consumers of a destination likewise.
    Mixed,
}

/// The destinations of a workload: `<prefix>.0`, `<prefix>.1`, …
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destinations {
    /// Queues or topics; default queues.
    #[serde(default)]
    pub kind: Kind,
    /// How many.
    pub count: u32,
    /// What their names begin with; default `load` and the workload's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// How the messages spread over them; default evenly.
    #[serde(default)]
    pub popularity: Popularity,
}

/// Queue or topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Each message goes to one consumer.
    #[default]
    Queue,
    /// Each message goes to every subscriber.
    Topic,
    /// Each message goes to the queue that each consumer has of a virtual topic.
    #[serde(rename = "virtual-topic")]
    VirtualTopic,
}

/// How messages spread over destinations: `"uniform"` or `{ zipf = 0.9 }`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Popularity {
    /// Each is as likely.
    #[default]
    Uniform,
    /// The k-th is chosen in proportion to k to the minus this power.
    Zipf(f64),
}

/// How large bodies are: `{ mean = "230B" }` (exponential) or `{ exactly = "1KiB" }`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BodySize {
    /// Exponentially distributed with this average, at most 20 times it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Size>,
    /// All alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exactly: Option<Size>,
}

impl Default for BodySize {
    fn default() -> Self {
        Self { mean: Some(Size { bytes: 230 }), exactly: None }
    }
}

/// How a consumer confirms, as STOMP names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AckMode {
    /// Sending is enough.
    Auto,
    /// An ACK covers everything delivered before it on the subscription.
    Client,
    /// An ACK covers one message.
    #[default]
    ClientIndividual,
}

/// Messages with a limited life.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expiry {
    /// The share of messages that expire.
    pub share: Fraction,
    /// How long after it is sent.
    pub after: TimeSpan,
}

/// Messages that are delivered later.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutOff {
    /// The share of messages that are.
    pub share: Fraction,
    /// How long after they are sent, from the one to the other with the same chance.
    pub after: [TimeSpan; 2],
    /// How often each of them is delivered again after that; default never.
    #[serde(default)]
    pub repeat: u32,
    /// The time between two deliveries of one of them; for those that are delivered again.
    #[serde(default)]
    pub period: TimeSpan,
}

/// Which nodes clients connect to: `"round-robin"`, `"random"`, or `["n1", "n2"]` in turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Connect {
    /// Client i starts at node i modulo n, and goes to the next after a failure.
    #[default]
    RoundRobin,
    /// Each connection goes to a node drawn from the seed.
    Random,
    /// Only these, in turn.
    Nodes(Vec<String>),
}

/// What must hold beside safety.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Acknowledged persistent messages that may be missing at the end; default, and the only
    /// honest value, 0.
    pub acknowledged_lost: u64,
    /// After the last fault has ended, everything is delivered and all replicas agree within this;
    /// default 60 s.
    pub drained_within: TimeSpan,
    /// After the last fault has ended, every change is made and every shard's replicas are where the
    /// cluster wants them within this; default as `drained_within`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled_within: Option<TimeSpan>,
    /// Whether who begins to listen to advisories at the end is told of exactly the consumers there
    /// are; default not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub consumers_told: bool,
    /// How many copies of shards are filled because of the changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moves: Option<MovesExpectation>,
    /// How many bytes of snapshots come to nodes, state and messages together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_bytes: Option<Bound>,
    /// Load of the busiest node over the mean, by messages that passed each node's shards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_to_average: Option<Bound>,
    /// Where messages must have been served from, as the placement predicts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<PlacementExpectation>,
    /// From send to receipt, 99th percentile over the whole run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish_p99: Option<TimeBound>,
    /// From send to delivery, 99th percentile over the whole run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_p99: Option<TimeBound>,
    /// How many messages are delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered: Option<Bound>,
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            acknowledged_lost: 0,
            drained_within: TimeSpan(Duration::from_secs(60)),
            settled_within: None,
            consumers_told: false,
            moves: None,
            snapshot_bytes: None,
            peak_to_average: None,
            placement: None,
            publish_p99: None,
            delivery_p99: None,
            delivered: None,
        }
    }
}

/// How many copies of shards may be filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MovesExpectation {
    /// As many as the cluster's views have asked for, one after the other.
    Plan,
}

/// How exactly the measured placement must match the predicted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlacementExpectation {
    /// Every message is served by the first node of its destination's row.
    Exact,
    /// Every message is served by one of the nodes of its destination's row.
    Row,
}

pub(super) mod defaults {
    use super::{Fraction, HashFunction, StrategyKind};

    pub fn slots() -> u32 {
        64
    }
    pub fn strategy() -> StrategyKind {
        StrategyKind::Slots
    }
    pub fn hash() -> HashFunction {
        HashFunction::Xxh3
    }
    pub fn salt() -> String {
        "paceline".into()
    }
    pub fn cores() -> u32 {
        2
    }
    pub fn all() -> Fraction {
        Fraction(1.0)
    }
    pub fn prefetch() -> u32 {
        32
    }
    pub fn window() -> u32 {
        64
    }
    pub fn transaction_size() -> u32 {
        5
    }
}

const fn micros(micros: u64) -> TimeSpan {
    TimeSpan(Duration::from_micros(micros))
}

impl Serialize for Popularity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Popularity::Uniform => serializer.serialize_str("uniform"),
            Popularity::Zipf(zipf) => Zipf { zipf: *zipf }.serialize(serializer),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Zipf {
    zipf: f64,
}

impl<'de> Deserialize<'de> for Popularity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = Popularity;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"uniform\" or { zipf = 0.9 }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Popularity, E> {
                match text {
                    "uniform" => Ok(Popularity::Uniform),
                    other => Err(E::custom(format!(
                        "`{other}` is no popularity; write \"uniform\" or {{ zipf = 0.9 }}"
                    ))),
                }
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Popularity, A::Error> {
                let Zipf { zipf } = Zipf::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Popularity::Zipf(zipf))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Serialize for Connect {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Connect::RoundRobin => serializer.serialize_str("round-robin"),
            Connect::Random => serializer.serialize_str("random"),
            Connect::Nodes(nodes) => nodes.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Connect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = Connect;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"round-robin\", \"random\" or a list of nodes")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Connect, E> {
                match text {
                    "round-robin" => Ok(Connect::RoundRobin),
                    "random" => Ok(Connect::Random),
                    other => Err(E::custom(format!(
                        "`{other}` is no way to connect; write \"round-robin\", \"random\" or a \
                         list of nodes"
                    ))),
                }
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Connect, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(Connect::Nodes)
            }
        }
        deserializer.deserialize_any(Either)
    }
}
