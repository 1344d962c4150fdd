//! Which cluster a command is about, and how its nodes are asked.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Args;
use paceline_membership::NodeId;
use paceline_runtime::time;

use crate::{
    cluster::Definition,
    config::{Address, NodeConfig},
    link::{self, Identity, LinkError, Timings},
    operator,
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
    /// The cluster as one of its nodes knows it; if none answers, as its configuration begins it.
    pub(super) async fn load(&self) -> Result<Definition> {
        match (self.reach().await, &self.config, &self.address) {
            (Ok((definition, _)), ..) => Ok(definition),
            (Err(error), _, Some(_)) => Err(error),
            (Err(error), Some(file), _) => {
                let cluster = super::load(file).await?.cluster;
                if cluster.members.is_empty() {
                    Err(error)
                } else {
                    Ok(Definition::founded(&cluster)?)
                }
            }
            (Err(_), None, None) => {
                Ok(Definition::founded(&NodeConfig::dev(PathBuf::new()).cluster)?)
            }
        }
    }

    /// The cluster as the first of its nodes knows it that answers, and where that is.
    pub(super) async fn reach(&self) -> Result<(Definition, String)> {
        let config = match (&self.config, &self.address) {
            (_, Some(address)) => {
                let definition = discover(address.as_str())
                    .await
                    .with_context(|| format!("cannot ask {address} what the cluster is"))?;
                return Ok((definition, address.to_string()));
            }
            (Some(file), None) => super::load(file).await?,
            (None, None) => NodeConfig::dev(PathBuf::new()),
        };
        let cluster = &config.cluster;
        let members = cluster.members.iter().map(|member| &member.link);
        let mut answer = Err(anyhow::anyhow!("the configuration names no node"));
        for address in members.chain(&cluster.join) {
            answer = operator::definition(&cluster.name, address)
                .await
                .map(|definition| (definition, address.clone()))
                .with_context(|| format!("cannot ask {address} what the cluster is"));
            if answer.is_ok() {
                break;
            }
        }
        answer
    }
}

/// Asks a node what its cluster is.
async fn discover(address: &str) -> Result<Definition> {
    let node = link::who_is(address, &timings()).await?;
    let mut definition = operator::definition(&node.cluster, address).await?;
    // It may be known to the others by an address that only they can reach, or, alone, by one that
    // nobody can: 0.0.0.0.
    definition.view = definition.view.seen_from(NodeId(node.node), address);
    Ok(definition)
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
