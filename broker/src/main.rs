//! The `paceline` command. Everything it does is in the library, so that a simulated node runs the
//! same code.

use std::{io::IsTerminal, process::ExitCode};

use clap::Parser;
use paceline::cli::Cli;
use paceline_runtime::output;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return output::usage(error.print(), error.exit_code()),
    };
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("PACELINE_LOG")
                .unwrap_or_else(|_| cli.default_log().into()),
        )
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    paceline_runtime::block_on(cli.run())
}
