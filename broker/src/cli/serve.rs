//! `paceline serve`

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use anyhow::{Context, Result};
use clap::{ArgGroup, Args};
use paceline_runtime::{memory, output, task, time::Instant};

use crate::{
    config::{
        Address, ClusterConfig, DEFAULT_OPENWIRE_PORT, ListenSection, NodeConfig, NodeSection,
    },
    identity::ClaimError,
    node::{self, NodeError},
};

/// Run a node, until SIGTERM or SIGINT.
///
/// Then it takes no new clients, ends what they have begun, tells them, and exits with 0. It prints
/// a line when it is ready and another at its end, and goes on where nobody reads them.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).multiple(true)))]
pub(super) struct Serve {
    /// A cluster of one node for trying things out; needs no configuration.
    #[arg(long, group = "which", conflicts_with_all = ["config", "join"])]
    dev: bool,
    /// Run the node that this file describes. docs/node.example.toml explains every setting.
    #[arg(long, value_name = "FILE", group = "which")]
    config: Option<PathBuf>,
    /// Join the cluster of which a node serves the others at this `host:port`. With --config, in the
    /// place of the file's [cluster]; without it, --name says who this node is, and --data-dir, --stomp
    /// and --link where it keeps and serves.
    ///
    /// The node gets its share of the slots, with the messages in them. Started again, it is the same
    /// node; what it is told here counts at its first start only.
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', group = "which")]
    join: Vec<Address>,
    /// With --join and without --config: what the node is called, for ever.
    #[arg(long, value_name = "NAME", requires = "join", conflicts_with = "config")]
    name: Option<String>,
    /// Go on where most copies of a shard are lost, with what one node is left with.
    ///
    /// Messages that only the lost copies had are gone, though they were acknowledged. Without it such
    /// a shard stands still. For the nodes that have lost their disks or records, when all that hold
    /// the shard run; clients should be restarted then, too.
    #[arg(long)]
    accept_loss: bool,
    /// Without --config: where its data is kept.
    #[arg(long, value_name = "DIR", default_value = "paceline-data", conflicts_with = "config")]
    data_dir: PathBuf,
    /// Without --config: where STOMP clients are served.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value_t = ListenSection::default().stomp,
        conflicts_with = "config"
    )]
    stomp: Address,
    /// Without --config: where OpenWire clients are served, which are those of ActiveMQ; `none` for
    /// nowhere [default: 127.0.0.1:61616 with --dev, nowhere with --join]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "config")]
    openwire: Option<OpenWireAt>,
    /// Without --config: where the other nodes are served, and `paceline status` is answered.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value_t = ListenSection::default().link,
        conflicts_with = "config"
    )]
    link: Address,
}

/// Where OpenWire clients are served, if anywhere.
#[derive(Clone, Debug)]
struct OpenWireAt(Option<Address>);

impl FromStr for OpenWireAt {
    type Err = <Address as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self(None));
        }
        text.parse().map(|address| Self(Some(address)))
    }
}

fn addresses(join: &[Address]) -> Vec<String> {
    join.iter().map(Address::to_string).collect()
}

/// A node is there for its clients: it goes on where nobody reads what it prints.
fn announce(text: fmt::Arguments<'_>) {
    let _ = output::line(text);
}

/// The error with the flags of `serve --dev` in place of the settings that they stand for.
fn in_flags(mut error: NodeError) -> NodeError {
    if let NodeError::Listen { key, .. } | NodeError::Claim(ClaimError::InUse { key, .. }) =
        &mut error
    {
        *key = match *key {
            "listen.stomp" => "--stomp",
            "listen.openwire" => "--openwire",
            "listen.link" => "--link",
            "node.data_dir" => "--data-dir",
            other => other,
        };
    }
    error
}

impl Serve {
    pub(super) async fn run(self) -> Result<()> {
        let began = Instant::now();
        let mut config = match &self.config {
            Some(file) => super::load_and(file, |config| self.add_join(config)).await?,
            None if self.join.is_empty() => self.dev_config(),
            None => self.joining_config()?,
        };
        config.accept_loss = self.accept_loss;
        task::spawn(memory::give_back());
        let (name, data) = (config.node.name.clone(), config.node.data_dir.clone());
        node::run_with(config, move |ready| {
            announce(format_args!(
                "paceline is ready after {} ms: node {name}, STOMP on {}{}, links on {}, data in {}",
                began.elapsed().as_millis(),
                ready.stomp,
                ready.openwire.map(|at| format!(", OpenWire on {at}")).unwrap_or_default(),
                ready.link,
                data.display()
            ));
        })
        .await
        .map_err(|error| if self.dev { in_flags(error) } else { error })?;
        announce(format_args!("paceline has drained and stops"));
        Ok(())
    }

    fn add_join(&self, config: &mut NodeConfig) {
        if !self.join.is_empty() {
            config.cluster = ClusterConfig::to_join(&config.cluster.name, addresses(&self.join));
        }
    }

    fn joining_config(&self) -> Result<NodeConfig> {
        let name = self.name.as_deref().context("a node that joins needs --name, or --config")?;
        let mut config = self.dev_config();
        config.node = NodeSection::new(name, self.data_dir.clone());
        config.cluster = ClusterConfig::to_join("", addresses(&self.join));
        Ok(config)
    }

    fn dev_config(&self) -> NodeConfig {
        let mut config = NodeConfig::dev(self.data_dir.clone());
        config.listen.stomp = self.stomp.clone();
        config.listen.openwire = match &self.openwire {
            Some(OpenWireAt(at)) => at.clone(),
            None if self.dev => {
                Some(SocketAddr::from(([127, 0, 0, 1], DEFAULT_OPENWIRE_PORT)).into())
            }
            None => None,
        };
        config.listen.link = self.link.clone();
        config.cluster.members[0].link = self.link.to_string();
        config
    }
}
