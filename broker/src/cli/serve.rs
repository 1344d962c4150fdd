//! `paceline serve`

use std::{fmt, path::PathBuf};

use anyhow::Result;
use clap::{ArgGroup, Args};
use paceline_runtime::{memory, output, task, time::Instant};

use crate::{
    config::{Address, ListenSection, NodeConfig},
    identity::ClaimError,
    node::{self, NodeError},
};

/// Run a node, until SIGTERM or SIGINT.
///
/// Then it takes no new clients, ends what they have begun, tells them, and exits with 0. It prints
/// a line when it is ready and another at its end, and goes on where nobody reads them.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true)))]
pub(super) struct Serve {
    /// A cluster of one node for trying things out; needs no configuration.
    #[arg(long, group = "which")]
    dev: bool,
    /// Run the node that this file describes. docs/node.example.toml explains every setting.
    #[arg(long, value_name = "FILE", group = "which")]
    config: Option<PathBuf>,
    /// Go on where most copies of a shard are lost, with what one node is left with.
    ///
    /// Messages that only the lost copies had are gone, though they were acknowledged. Without it such
    /// a shard stands still. For the nodes that have lost their disks or records, when all that hold
    /// the shard run; clients should be restarted then, too.
    #[arg(long)]
    accept_loss: bool,
    /// With --dev: where its data is kept.
    #[arg(long, value_name = "DIR", default_value = "paceline-data", requires = "dev")]
    data_dir: PathBuf,
    /// With --dev: where STOMP clients are served.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value_t = ListenSection::default().stomp,
        requires = "dev"
    )]
    stomp: Address,
    /// With --dev: where `paceline status` is answered.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value_t = ListenSection::default().link,
        requires = "dev"
    )]
    link: Address,
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
            Some(file) => super::load(file).await?,
            None => self.dev_config(),
        };
        config.accept_loss = self.accept_loss;
        task::spawn(memory::give_back());
        let (name, data) = (config.node.name.clone(), config.node.data_dir.clone());
        node::run_with(config, move |ready| {
            announce(format_args!(
                "paceline is ready after {} ms: node {name}, STOMP on {}, links on {}, data in {}",
                began.elapsed().as_millis(),
                ready.stomp,
                ready.link,
                data.display()
            ));
        })
        .await
        .map_err(|error| if self.dev { in_flags(error) } else { error })?;
        announce(format_args!("paceline has drained and stops"));
        Ok(())
    }

    fn dev_config(&self) -> NodeConfig {
        let mut config = NodeConfig::dev(self.data_dir.clone());
        config.listen.stomp = self.stomp.clone();
        config.listen.link = self.link.clone();
        config.cluster.members[0].link = self.link.to_string();
        config
    }
}
