//! `paceline serve`

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Result;
use clap::{ArgGroup, Args};
use paceline_runtime::{memory, task, time::Instant};

use crate::{
    config::{DEFAULT_LINK_PORT, NodeConfig},
    node,
};

/// Run a node, until SIGTERM or SIGINT.
///
/// Then it takes no new clients, ends what they have begun, tells them, and exits with 0.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true)))]
pub(super) struct Serve {
    /// A cluster of one node for trying things out; needs no configuration.
    #[arg(long, group = "which")]
    dev: bool,
    /// Run the node that this file describes. docs/node.example.toml explains every setting.
    #[arg(long, value_name = "FILE", group = "which")]
    config: Option<PathBuf>,
    /// With --dev: where its data is kept.
    #[arg(long, value_name = "DIR", default_value = "paceline-data", requires = "dev")]
    data_dir: PathBuf,
    /// With --dev: where STOMP clients are served.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:61613", requires = "dev")]
    stomp: SocketAddr,
    /// With --dev: where `paceline status` is answered.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value_t = SocketAddr::from(([127, 0, 0, 1], DEFAULT_LINK_PORT)),
        requires = "dev"
    )]
    link: SocketAddr,
}

impl Serve {
    pub(super) async fn run(self) -> Result<()> {
        let began = Instant::now();
        let config = match &self.config {
            Some(file) => super::load(file).await?,
            None => self.dev_config(),
        };
        task::spawn(memory::give_back());
        let (name, data) = (config.node.name.clone(), config.node.data_dir.clone());
        node::run_with(config, move |ready| {
            println!(
                "paceline is ready after {} ms: node {name}, STOMP on {}, data in {}",
                began.elapsed().as_millis(),
                ready.stomp,
                data.display()
            );
        })
        .await?;
        println!("paceline has drained and stops");
        Ok(())
    }

    fn dev_config(&self) -> NodeConfig {
        let mut config = NodeConfig::dev(self.data_dir.clone());
        config.listen.stomp = self.stomp;
        config.listen.link = self.link;
        config.cluster.members[0].link = self.link.to_string();
        config
    }
}
