//! The settings that all nodes of a cluster share: who is in it, what is placed where, and the
//! timings and batches of replication.

use std::time::Duration;

use paceline_placement::{
    HashFunction, NameHasher, Node, Nodes, Placement, PlacementError, SlotCount, StrategyKind,
};
use serde::{Deserialize, Serialize};

use super::units;

/// `[cluster]`: the same on every node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterConfig {
    /// Nodes of another cluster's name refuse to talk to this one.
    pub name: String,
    /// Copies of every shard, its leader's included. Without it three, or as many as there are
    /// members.
    #[serde(default)]
    pub replicas: Option<usize>,
    /// Buckets of destination names, each one Raft group.
    #[serde(default = "default_slots")]
    pub slots: u32,
    /// How slots are placed on nodes.
    #[serde(default = "default_strategy")]
    pub strategy: StrategyKind,
    /// The function that maps a name to its slot.
    #[serde(default = "default_hash")]
    pub hash: HashFunction,
    /// Mixed into every name before it is hashed.
    #[serde(default = "default_salt")]
    pub salt: String,
    /// Every node that the cluster begins with, this one included.
    #[serde(default)]
    pub members: Vec<Member>,
    /// Of a node that comes to a cluster which there is: `host:port` of one or more of its nodes, as
    /// they are reached by others. Everything else of the cluster it learns from them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub join: Vec<String>,
}

/// One node of the cluster, as the others see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its `node.name`.
    pub name: String,
    /// `host:port` at which the other nodes reach its link listener.
    pub link: String,
    /// Nodes of one zone are expected to fail together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Its share of the load relative to the others.
    #[serde(default = "default_weight")]
    pub weight: f64,
}

fn default_slots() -> u32 {
    64
}

fn default_strategy() -> StrategyKind {
    StrategyKind::Slots
}

fn default_hash() -> HashFunction {
    HashFunction::Xxh3
}

fn default_salt() -> String {
    "paceline".into()
}

fn default_weight() -> f64 {
    1.0
}

impl ClusterConfig {
    /// A cluster of these members with every other setting at its default.
    pub fn new(name: &str, members: Vec<Member>) -> Self {
        Self {
            name: name.into(),
            replicas: None,
            slots: default_slots(),
            strategy: default_strategy(),
            hash: default_hash(),
            salt: default_salt(),
            members,
            join: Vec::new(),
        }
    }

    /// A cluster of this name that there is already, whose nodes are reached at these addresses.
    pub fn to_join(name: &str, addresses: Vec<String>) -> Self {
        Self { join: addresses, ..Self::new(name, Vec::new()) }
    }

    /// Copies of every shard, at least 1.
    pub fn replicas(&self) -> usize {
        self.replicas.unwrap_or(self.members.len().min(3))
    }

    /// The members as a placement sees them, ordered by name.
    pub fn nodes(&self) -> Result<Nodes, PlacementError> {
        Nodes::new(self.members.iter().map(|member| {
            let node = Node::new(member.name.as_bytes()).with_weight(member.weight);
            match &member.zone {
                Some(zone) => node.in_zone(zone.as_str()),
                None => node,
            }
        }))
    }

    /// Which members hold each slot.
    pub fn placement(&self) -> Result<Placement, PlacementError> {
        let nodes = self.nodes()?;
        let slots = SlotCount::new(self.slots.into(), nodes.count_up())?;
        Placement::new(self.strategy, &nodes, slots, self.replicas())
    }

    /// Everything that decides on which nodes a message is: two nodes that differ in it must not work
    /// on the same data, nor with each other.
    pub fn placement_in_words(&self) -> String {
        let mut members: Vec<_> = self
            .members
            .iter()
            .map(|member| {
                let zone = member.zone.as_deref().unwrap_or("");
                format!("{}/{zone}/{}", member.name, member.weight)
            })
            .collect();
        members.sort();
        format!(
            "replicas={} slots={} strategy={} hash={} salt={:?} members={}",
            self.replicas(),
            self.slots,
            self.strategy,
            self.hash.name(),
            self.salt,
            members.join(",")
        )
    }

    /// Maps a name to the key whose remainder is its slot.
    pub fn hasher(&self) -> NameHasher {
        NameHasher::new(self.hash, self.salt.as_bytes())
    }

    /// The member of that name.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }
}

/// `[replication]`: timings and batches. They may differ between nodes, but should not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReplicationConfig {
    /// How often a leader lets its followers hear from it.
    #[serde(with = "units::duration")]
    pub heartbeat: Duration,
    /// A follower that hears nothing for a time between this and `election_max` stands for leader.
    #[serde(with = "units::duration")]
    pub election_min: Duration,
    /// See `election_min`.
    #[serde(with = "units::duration")]
    pub election_max: Duration,
    /// How long after a majority's last acknowledgement a leader goes on serving. Longer than
    /// two heartbeats, so that it is not missed, and shorter than `election_min`, so that an
    /// isolated leader stops before another can begin.
    #[serde(with = "units::duration")]
    pub lease: Duration,
    /// How long an operation may wait for its shard before its client is told that its outcome is
    /// unknown.
    #[serde(with = "units::duration")]
    pub operation_timeout: Duration,
    /// How long connecting to another node may take.
    #[serde(with = "units::duration")]
    pub connect_timeout: Duration,
    /// How long the acknowledgement of a message may wait for others to share a Raft entry with,
    /// where the consumer neither waits for it nor is about to run out of its prefetch.
    #[serde(with = "units::duration")]
    pub settle_within: Duration,
    /// Of the shards that a node leads, at most so many get a new copy at a time, when nodes join or
    /// leave.
    pub moves: usize,
    /// Bytes a second at most of the snapshots with which a node fills others.
    #[serde(with = "units::size")]
    pub move_bandwidth: u64,
    /// Commands of one Raft entry at most.
    pub batch_commands: usize,
    /// Bytes of one Raft entry, about.
    #[serde(with = "units::size")]
    pub batch_bytes: u64,
}

impl Default for ReplicationConfig {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(150),
            election_min: Duration::from_millis(400),
            election_max: Duration::from_millis(800),
            lease: Duration::from_millis(350),
            operation_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(2),
            settle_within: Duration::from_millis(50),
            moves: 4,
            move_bandwidth: 64 << 20,
            batch_commands: 512,
            batch_bytes: 1 << 20,
        }
    }
}
