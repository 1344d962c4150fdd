//! A node's configuration: what may stand in `node.toml`, its defaults, and what is wrong with it.
//!
//! `docs/node.example.toml` explains every setting to its reader; a test keeps the two together.
//! Unknown keys are refused, and every error names file, line and column.

mod address;
mod advertise;
mod cluster;
mod error;
mod policy;
mod sessions;
mod storage;
pub mod units;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use paceline_core::{
    session::{openwire::OpenWireConfig, stomp::StompConfig},
    shard::MAX_COMMANDS,
};
use paceline_membership::Policies;
use serde::{Deserialize, Serialize};

pub use address::Address;
pub use advertise::Advertise;
pub use cluster::{ClusterConfig, Member, ReplicationConfig};
pub use error::ConfigError;
pub use policy::{Policy, parse_policies, read_policies};
pub use storage::StorageSection;

/// Where STOMP clients are served unless the configuration says otherwise.
pub const DEFAULT_STOMP_PORT: u16 = 61613;

/// Where OpenWire clients are served by `serve --dev`: where ActiveMQ serves them.
pub const DEFAULT_OPENWIRE_PORT: u16 = 61616;

/// Where other nodes are served unless the configuration says otherwise.
pub const DEFAULT_LINK_PORT: u16 = 61620;

/// Everything a node is told at its start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Who it is.
    pub node: NodeSection,
    /// Where it listens.
    #[serde(default)]
    pub listen: ListenSection,
    /// Whom it works with.
    pub cluster: ClusterConfig,
    /// How it replicates.
    #[serde(default)]
    pub replication: ReplicationConfig,
    /// How it keeps what it stores.
    #[serde(default)]
    pub storage: StorageSection,
    /// How it serves STOMP clients.
    #[serde(default)]
    pub stomp: StompSection,
    /// How it serves OpenWire clients.
    #[serde(default)]
    pub openwire: OpenWireSection,
    /// How much it takes on.
    #[serde(default)]
    pub limits: LimitsSection,
    /// What the cluster begins with of policies, if this node begins it; the first entry that matches
    /// a destination counts.
    #[serde(default, rename = "policy", skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Policy>,
    /// Of a shard that most nodes have lost, what is left is to do. No setting: it is said at a start.
    #[serde(skip)]
    pub accept_loss: bool,
}

/// `[node]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSection {
    /// Unique in the cluster and the same for ever: its data belongs to this name.
    pub name: String,
    /// Its journal and identity. Made if it does not exist.
    pub data_dir: PathBuf,
    /// Of a node that joins: `host:port` at which the others reach its link listener, if that is not
    /// `listen.link`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Of a node that joins: nodes of one zone are expected to fail together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Of a node that joins: its share of the load relative to the others.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

fn is_one(weight: &f64) -> bool {
    *weight == 1.0
}

impl NodeSection {
    /// A node of this name and directory.
    pub fn new(name: &str, data_dir: PathBuf) -> Self {
        Self { name: name.into(), data_dir, link: None, zone: None, weight: 1.0 }
    }
}

/// `[listen]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListenSection {
    /// For STOMP clients.
    pub stomp: Address,
    /// For OpenWire clients, which are those of ActiveMQ; without it none are served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openwire: Option<Address>,
    /// For the other nodes and the `status` command. Not for clients: whoever reaches it can read
    /// and change everything.
    pub link: Address,
}

impl Default for ListenSection {
    fn default() -> Self {
        Self {
            stomp: SocketAddr::from(([127, 0, 0, 1], DEFAULT_STOMP_PORT)).into(),
            openwire: None,
            link: SocketAddr::from(([127, 0, 0, 1], DEFAULT_LINK_PORT)).into(),
        }
    }
}

/// `[stomp]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StompSection {
    /// How often the server is ready to send heart-beats; `0s` for never.
    #[serde(with = "units::duration")]
    pub heart_beat_send: Duration,
    /// How often the server would like to hear from a client that offers heart-beats; `0s` for no
    /// matter.
    #[serde(with = "units::duration")]
    pub heart_beat_expect: Duration,
    /// How long a client may take until its CONNECT frame has come.
    #[serde(with = "units::duration")]
    pub connect_timeout: Duration,
    /// Unsettled deliveries of a subscription without `activemq.prefetchSize`.
    pub prefetch: u32,
    /// The most a subscription may ask for.
    pub max_prefetch: u32,
}

impl Default for StompSection {
    fn default() -> Self {
        let session = StompConfig::default();
        Self {
            heart_beat_send: session.heart_beat_send,
            heart_beat_expect: session.heart_beat_expect,
            connect_timeout: session.connect_timeout,
            prefetch: session.operations.default_prefetch,
            max_prefetch: session.operations.max_prefetch,
        }
    }
}

/// `[openwire]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OpenWireSection {
    /// A client from which nothing has come for so long is dead; `0s` for never. The client's own
    /// `maxInactivityDuration` counts where it is shorter.
    #[serde(with = "units::duration")]
    pub max_inactivity: Duration,
    /// How long a client may take until it has opened its connection.
    #[serde(with = "units::duration")]
    pub connect_timeout: Duration,
    /// The most unsettled deliveries that a consumer may ask for.
    pub max_prefetch: u32,
    /// `host:port` at which all nodes tell their clients to reach this one.
    pub advertise: Advertise,
}

impl Default for OpenWireSection {
    fn default() -> Self {
        let session = OpenWireConfig::default();
        Self {
            max_inactivity: session.max_inactivity,
            connect_timeout: session.connect_timeout,
            max_prefetch: session.operations.max_prefetch,
            advertise: Advertise::Automatic,
        }
    }
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    /// Clients connected at a time; further ones are turned away.
    pub connections: usize,
    /// Headers of one frame.
    pub headers: usize,
    /// Bytes of one header's line.
    #[serde(with = "units::size")]
    pub header_line: u64,
    /// Bytes of one message's body.
    #[serde(with = "units::size")]
    pub body: u64,
    /// Subscriptions of one connection.
    pub subscriptions: usize,
    /// Open transactions of one connection.
    pub transactions: usize,
    /// Messages and acknowledgements of one transaction.
    pub transaction_entries: usize,
    /// Bytes of the messages of one transaction.
    #[serde(with = "units::size")]
    pub transaction_bytes: u64,
    /// Messages of one connection that wait to be stored before its socket is read on.
    pub unanswered: usize,
    /// Their bytes.
    #[serde(with = "units::size")]
    pub unanswered_bytes: u64,
    /// Bytes of unfinished large frames, over all connections.
    #[serde(with = "units::size")]
    pub receiving: u64,
    /// Bytes of what clients have sent and shards have not answered yet, all clients together. What
    /// comes beyond it is refused; a shard without a leader may take half of it.
    #[serde(with = "units::size")]
    pub waiting: u64,
    /// Memory that messages take on a node, all shards together. Bodies of stored messages beyond it
    /// are read from the journal when they are delivered; of those that are not stored, further ones
    /// are refused, or push others out at a topic's subscribers.
    #[serde(with = "units::size")]
    pub memory: u64,
}

impl Default for LimitsSection {
    fn default() -> Self {
        let StompConfig { frames, operations, .. } = StompConfig::default();
        Self {
            connections: 10_000,
            headers: frames.max_headers,
            header_line: frames.max_line_bytes as u64,
            body: frames.max_body_bytes as u64,
            subscriptions: operations.max_consumers,
            transactions: operations.max_transactions,
            transaction_entries: operations.max_transaction_entries,
            transaction_bytes: operations.max_transaction_bytes as u64,
            unanswered: operations.max_outstanding,
            unanswered_bytes: operations.max_outstanding_bytes as u64,
            receiving: 256 << 20,
            waiting: 256 << 20,
            memory: 1 << 30,
        }
    }
}

impl NodeConfig {
    /// A cluster of one node on loopback that needs no file: what `serve --dev` runs.
    pub fn dev(data_dir: PathBuf) -> Self {
        let listen = ListenSection::default();
        let name = "dev".to_owned();
        let member =
            Member { name: name.clone(), link: listen.link.to_string(), zone: None, weight: 1.0 };
        Self {
            node: NodeSection::new(&name, data_dir),
            listen,
            cluster: ClusterConfig { slots: 16, ..ClusterConfig::new("dev", vec![member]) },
            replication: ReplicationConfig::default(),
            storage: StorageSection::default(),
            stomp: StompSection::default(),
            openwire: OpenWireSection::default(),
            limits: LimitsSection::default(),
            policies: Vec::new(),
            accept_loss: false,
        }
    }

    /// Reads and checks a configuration. `file` is named in errors.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        Self::parse_and(file, text, |_| {})
    }

    /// As [`NodeConfig::parse`], of a file to which the command line adds something.
    pub fn parse_and(
        file: &str,
        text: &str,
        add: impl FnOnce(&mut Self),
    ) -> Result<Self, ConfigError> {
        let mut config: Self =
            toml::from_str(text).map_err(|error| ConfigError::from_toml(file, text, &error))?;
        add(&mut config);
        match config.check() {
            Ok(()) => Ok(config),
            Err(wrong) => Err(ConfigError::at_key(file, text, &wrong.key, wrong.reason)),
        }
    }

    /// What no single value shows to be wrong. Names the key that is to be changed.
    pub fn check(&self) -> Result<(), Wrong> {
        check_name("node.name", &self.node.name)?;
        // A node that joins may leave it to the cluster what that is called.
        if self.cluster.join.is_empty() || !self.cluster.name.is_empty() {
            check_name("cluster.name", &self.cluster.name)?;
        }
        match self.cluster.join.is_empty() {
            true => self.check_founders()?,
            false => self.check_joining()?,
        }
        self.check_replication()?;
        self.storage.check()?;
        self.check_limits()?;
        self.policies().map(drop)
    }

    /// The `[[policy]]` entries as a cluster has them.
    ///
    /// # Errors
    /// Which key of which entry is wrong, and why.
    pub fn policies(&self) -> Result<Policies, Wrong> {
        read_policies(&self.policies)
    }

    /// Of a node that comes to a cluster which there is.
    fn check_joining(&self) -> Result<(), Wrong> {
        let cluster = &self.cluster;
        if !cluster.members.is_empty() {
            let reason = "a node either begins a cluster with these members or joins one; leave \
                          `cluster.members` or `cluster.join` out";
            return Err(wrong("cluster.members", reason));
        }
        for (at, address) in cluster.join.iter().enumerate() {
            if let Err(reason) = address.parse::<Address>() {
                return Err(wrong(&format!("cluster.join.{at}"), reason));
            }
        }
        if !(self.node.weight.is_finite() && self.node.weight > 0.0) {
            return Err(wrong("node.weight", "a weight is a number above 0"));
        }
        let link = self.link();
        if let Err(reason) = link.parse::<Address>() {
            return Err(wrong("node.link", reason));
        }
        let (host, port) = link.rsplit_once(':').unwrap_or((&link, ""));
        if port == "0" || matches!(host, "0.0.0.0" | "[::]") {
            let reason =
                format!("nobody can reach this node at {link}; name an address that others can");
            return Err(wrong("node.link", reason));
        }
        Ok(())
    }

    /// Where the other nodes reach this one, if it joins.
    pub fn link(&self) -> String {
        self.node.link.clone().unwrap_or_else(|| self.listen.link.to_string())
    }

    /// Of a node that a cluster begins with.
    fn check_founders(&self) -> Result<(), Wrong> {
        let cluster = &self.cluster;
        if cluster.members.is_empty() {
            let reason = "there is no member; list at least this node, or name nodes to join";
            return Err(wrong("cluster.members", reason));
        }
        for (at, member) in cluster.members.iter().enumerate() {
            let key = |field: &str| format!("cluster.members.{at}.{field}");
            check_name(&key("name"), &member.name)?;
            if let Err(reason) = member.link.parse::<Address>() {
                return Err(wrong(&key("link"), reason));
            }
            if !(member.weight.is_finite() && member.weight > 0.0) {
                return Err(wrong(&key("weight"), "a weight is a number above 0"));
            }
            if cluster.members[..at].iter().any(|earlier| earlier.name == member.name) {
                let reason = format!("`{}` is listed twice", member.name);
                return Err(wrong(&key("name"), reason));
            }
        }
        if cluster.member(&self.node.name).is_none() {
            let names: Vec<_> = cluster.members.iter().map(|member| member.name.as_str()).collect();
            let reason = format!(
                "`{}` is not among the cluster's members ({})",
                self.node.name,
                names.join(", ")
            );
            return Err(wrong("node.name", reason));
        }
        if cluster.replicas() == 0 || cluster.replicas() > cluster.members.len() {
            let (replicas, members) = (cluster.replicas(), cluster.members.len());
            let reason = format!(
                "{replicas} copies cannot be spread over {members} members; 1 to {members} can"
            );
            return Err(wrong("cluster.replicas", reason));
        }
        if cluster.slots == 0 || cluster.slots > MAX_SLOTS {
            let reason = format!("{} slots; 1 to {MAX_SLOTS} are possible", cluster.slots);
            return Err(wrong("cluster.slots", reason));
        }
        if let Err(error) = cluster.placement() {
            return Err(wrong("cluster.slots", error.to_string()));
        }
        Ok(())
    }

    fn check_replication(&self) -> Result<(), Wrong> {
        let timing = &self.replication;
        let key = |field: &str| format!("replication.{field}");
        let above = |field, value: Duration, least: Duration, name| {
            if value > least {
                return Ok(());
            }
            let (value, least) = (units::show_duration(value), units::show_duration(least));
            Err(wrong(&key(field), format!("{value} is not longer than {name}, {least}")))
        };
        above("heartbeat", timing.heartbeat, Duration::ZERO, "nothing")?;
        // A follower hears of its leader only after one and a half of them, if it was told
        // something just before a heartbeat that said no more than that.
        above("lease", timing.lease, timing.heartbeat * 2, "two of `heartbeat`")?;
        above("election_min", timing.election_min, timing.lease, "`lease`")?;
        above("election_max", timing.election_max, timing.election_min, "`election_min`")?;
        above("operation_timeout", timing.operation_timeout, Duration::ZERO, "nothing")?;
        above("connect_timeout", timing.connect_timeout, Duration::ZERO, "nothing")?;
        if timing.move_bandwidth == 0 {
            return Err(wrong(&key("move_bandwidth"), "must be above 0: nothing could be sent"));
        }
        if timing.moves == 0 {
            return Err(wrong(&key("moves"), "must be above 0: no shard could move"));
        }
        if !(1..=MAX_COMMANDS).contains(&timing.batch_commands) {
            let reason = format!("a batch holds 1 to {MAX_COMMANDS} commands");
            return Err(wrong(&key("batch_commands"), reason));
        }
        if !(1..=MAX_BODY_BYTES).contains(&timing.batch_bytes) {
            let reason = format!("a batch holds 1B to {}", units::show_size(MAX_BODY_BYTES));
            return Err(wrong(&key("batch_bytes"), reason));
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), Wrong> {
        let limits = &self.limits;
        for (key, value) in [
            ("limits.connections", limits.connections as u64),
            ("limits.headers", limits.headers as u64),
            ("limits.header_line", limits.header_line),
            ("limits.body", limits.body),
            ("limits.unanswered", limits.unanswered as u64),
            ("limits.unanswered_bytes", limits.unanswered_bytes),
            ("limits.receiving", limits.receiving),
            ("limits.waiting", limits.waiting),
            ("limits.memory", limits.memory),
            ("stomp.prefetch", self.stomp.prefetch.into()),
            ("stomp.max_prefetch", self.stomp.max_prefetch.into()),
            ("openwire.max_prefetch", self.openwire.max_prefetch.into()),
        ] {
            if value == 0 {
                return Err(wrong(key, "must be above 0"));
            }
        }
        if limits.body > MAX_BODY_BYTES {
            let max = units::show_size(MAX_BODY_BYTES);
            return Err(wrong("limits.body", format!("at most {max} are possible")));
        }
        if limits.receiving < limits.body {
            let body = units::show_size(limits.body);
            let reason = format!("one frame of `limits.body`, {body}, does not fit in");
            return Err(wrong("limits.receiving", reason));
        }
        let largest = limits.body.max(limits.transaction_bytes);
        if limits.waiting < 2 * largest {
            let largest = units::show_size(largest);
            let reason = format!("two messages or transactions of {largest} do not fit in");
            return Err(wrong("limits.waiting", reason));
        }
        if limits.transaction_bytes > MAX_BODY_BYTES {
            let max = units::show_size(MAX_BODY_BYTES);
            return Err(wrong("limits.transaction_bytes", format!("at most {max} are possible")));
        }
        Ok(())
    }
}

/// Slots of a cluster: each is a Raft group, and every one costs its nodes a little all the time.
pub const MAX_SLOTS: u32 = 4096;

/// The largest body, and the most a transaction holds: what one Raft entry and one link frame can
/// carry.
const MAX_BODY_BYTES: u64 = 32 << 20;

/// A value that does not go with the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The key to change, its parts joined by dots.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

fn wrong(key: &str, reason: impl Into<String>) -> Wrong {
    Wrong { key: key.into(), reason: reason.into() }
}

/// Names appear in file names, message ids, logs and reports.
fn check_name(key: &str, name: &str) -> Result<(), Wrong> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=64).contains(&name.len()) && name.chars().all(fits) {
        return Ok(());
    }
    Err(wrong(key, format!("`{name}` is not a name: 1 to 64 letters, digits, `-`, `_` or `.`")))
}

#[cfg(test)]
mod tests;
