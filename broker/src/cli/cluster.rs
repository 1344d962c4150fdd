//! Which cluster a command is about, and how its nodes are asked.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Args;
use paceline_runtime::time;

use crate::{
    cluster::Cluster,
    config::{Address, ClusterConfig, NodeConfig},
    link::{self, Identity, LinkError, Timings},
    replication::protocol::Request,
};

/// How long a node may take to be connected to; twice that until it has answered.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Which cluster a command is about.
#[derive(Debug, Args)]
pub(super) struct ClusterArgs {
    /// The configuration of any of the cluster's nodes. Without it, and without --address: the node
    /// of `serve --dev`.
    #[arg(long, value_name = "FILE", conflicts_with = "address")]
    config: Option<PathBuf>,
    /// `host:port` at which any of the cluster's nodes serves the others (its `listen.link`, or
    /// `--link` of `serve --dev`); it is asked what the cluster is.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<Address>,
}

impl ClusterArgs {
    pub(super) async fn load(&self) -> Result<ClusterConfig> {
        match (&self.config, &self.address) {
            (Some(file), _) => Ok(super::load(file).await?.cluster),
            (None, Some(address)) => discover(address.as_str())
                .await
                .with_context(|| format!("cannot ask {address} what the cluster is")),
            (None, None) => Ok(NodeConfig::dev(PathBuf::new()).cluster),
        }
    }
}

/// Asks a node what its cluster is.
async fn discover(address: &str) -> Result<ClusterConfig> {
    let node = link::who_is(address, &timings()).await?;
    let answer = ask(node.node, address, &node.cluster, &Request::Cluster).await?;
    let json: String = postcard::from_bytes(&answer).context("its answer makes no sense")?;
    let mut config: ClusterConfig = serde_json::from_str(&json)
        .context("it runs by settings that this program does not know")?;
    // It may be known to the others by an address that only they can reach, or, alone, by one that
    // nobody can: 0.0.0.0.
    let cluster = Cluster::of(&config)?;
    let name = cluster.name_of(node.node).context("it is no member of its cluster")?;
    for member in config.members.iter_mut().filter(|member| member.name == name) {
        member.link = address.to_owned();
    }
    Ok(config)
}

/// Asks a node one thing, as somebody who is no node.
pub(super) async fn ask(
    node: u64,
    address: &str,
    cluster: &str,
    request: &Request,
) -> Result<Bytes, LinkError> {
    let identity = Identity::visitor(cluster);
    let timings = timings();
    let answer = link::ask(node, address, &identity, &timings, request);
    time::timeout(2 * TIMEOUT, answer).await.unwrap_or(Err(LinkError::Timeout))
}

fn timings() -> Timings {
    Timings { connect: TIMEOUT, ..Timings::default() }
}
