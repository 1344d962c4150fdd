//! The commands of the `paceline` binary.

mod client;
mod cluster;
mod consume;
mod histogram;
mod manual;
mod members;
mod policy;
mod produce;
mod progress;
mod reached;
mod route;
mod serve;
mod status;
mod survey;
mod table;
mod transactions;

use std::{fmt::Display, path::Path, process::ExitCode, str::FromStr};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use paceline_client::stomp::Client;
use paceline_runtime::{
    disk::{File, OpenOptions},
    output,
};

use crate::config::{Address, ConfigError, NodeConfig};

/// A clustered message broker. Destinations are hashed to shards, shards are replicated by Raft,
/// clients speak STOMP to any node.
///
/// The shortest way to a running broker:
///
///   paceline serve --dev
///
/// and then, in another terminal,
///
///   paceline produce --destination /queue/test --count 1000 --persistent
///   paceline consume --destination /queue/test --count 1000
///
/// PACELINE_LOG sets what is logged to stderr, for example PACELINE_LOG=paceline=info or
/// PACELINE_LOG=paceline::link=debug. Without it: what an operator wants to know of a
/// node, and of other commands warnings only.
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

// A doc comment on a variant would take the place of the command's own, longer one in its help.
#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Produce(produce::Produce),
    Consume(consume::Consume),
    Status(status::Status),
    Cluster(members::Cluster),
    Policy(policy::PolicyCommand),
    Route(route::Route),
    Transactions(transactions::Transactions),
    Completions(manual::Completions),
    Man(manual::Man),
}

impl Cli {
    /// What is logged unless `PACELINE_LOG` says otherwise.
    pub fn default_log(&self) -> &'static str {
        match self.command {
            Command::Serve(_) => "paceline=info,warn",
            // These print what they have to say.
            _ => "warn",
        }
    }

    /// Runs the command. An error is printed; the exit code is 0 for success, 1 for a failure and 2
    /// for a bad command line or configuration. Where nobody reads what it prints, the process ends
    /// with 141, as a shell reports SIGPIPE.
    pub async fn run(self) -> ExitCode {
        let result = match self.command {
            Command::Serve(command) => command.run().await,
            Command::Produce(command) => command.run().await,
            Command::Consume(command) => command.run().await,
            Command::Status(command) => command.run().await,
            Command::Cluster(command) => command.run().await,
            Command::Policy(command) => command.run().await,
            Command::Route(command) => command.run().await,
            Command::Transactions(command) => command.run().await,
            Command::Completions(command) => command.run(),
            Command::Man(command) => command.run(),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                output::complain(format_args!("{error:#}"));
                ExitCode::from(if error.is::<ConfigError>() { 2 } else { 1 })
            }
        }
    }
}

/// A configuration is a page of text.
const MAX_CONFIG_BYTES: u64 = 4 * 1024 * 1024;

async fn load(path: &Path) -> Result<NodeConfig, ConfigError> {
    load_and(path, |_| {}).await
}

/// A file to which the command line adds something.
async fn load_and(
    path: &Path,
    add: impl FnOnce(&mut NodeConfig),
) -> Result<NodeConfig, ConfigError> {
    NodeConfig::parse_and(&path.display().to_string(), &read(path).await?, add)
}

/// The text of a file of configuration.
async fn read(path: &Path) -> Result<String, ConfigError> {
    let read = async {
        let options = OpenOptions { read: true, ..OpenOptions::default() };
        let file = File::open(path, &options).await?;
        let len = file.len().await?.min(MAX_CONFIG_BYTES);
        let bytes = file.read_at(0, len as usize).await?;
        String::from_utf8(bytes.into()).map_err(|_| std::io::Error::other("it is not UTF-8"))
    };
    let name = path.display();
    read.await.map_err(|error| ConfigError::unreadable(&name.to_string(), &error))
}

/// Reads a number of which there must be one at least.
fn at_least_one<T: FromStr<Err: Display> + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    let number: T = text.parse().map_err(|error: T::Err| error.to_string())?;
    if number < T::from(1) {
        return Err("it must be at least 1".into());
    }
    Ok(number)
}

/// What `produce` and `consume` have in common.
#[derive(Debug, Args)]
struct ClientArgs {
    /// `host:port` of one or more nodes, with commas between them; connections are spread over them.
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', default_value = "127.0.0.1:61613")]
    address: Vec<Address>,
    /// /queue/NAME or /topic/NAME.
    #[arg(long, value_name = "NAME", default_value = "/queue/test")]
    destination: String,
    /// Spread over so many destinations, NAME.0, NAME.1 and so on.
    #[arg(long, value_name = "N", value_parser = at_least_one::<u64>)]
    destinations: Option<u64>,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

impl ClientArgs {
    /// The destination of the client or message of that number.
    fn destination(&self, number: u64) -> String {
        match self.destinations {
            None => self.destination.clone(),
            Some(count) => format!("{}.{}", self.destination, number % count),
        }
    }

    async fn connect(&self, number: u64) -> Result<Client> {
        let address = &self.address[number as usize % self.address.len()];
        client::connect(address).await.with_context(|| format!("cannot connect to {address}"))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_help_of_each_command_says_more_than_its_summary() {
        for command in Cli::command().get_subcommands() {
            let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
            assert!(long.lines().count() > 1, "{}: `{long}`", command.get_name());
        }
    }

    #[test]
    fn the_help_of_route_has_the_formula() {
        let command = Cli::command();
        let route = command.find_subcommand("route").expect("there is `paceline route`");
        let help = route.clone().render_long_help().to_string();
        for part in ["mod slots", "little-endian", "docs/slots.md"] {
            assert!(help.contains(part), "no `{part}` in {help}");
        }
    }
}
