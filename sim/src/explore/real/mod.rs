//! `cargo real`: scenarios on real processes.

mod beside;
mod programs;
mod run;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use paceline_runtime::{output, say};
use std::path::PathBuf;

use super::{
    Exit,
    arguments::{BadInput, load_text},
    exit,
};

/// Runs scenarios on real paceline processes on this machine.
///
/// The workload, the faults' times, the history and its checks are those of the simulated world; every
/// link between nodes, and every client's connection, goes through a proxy that makes it late, slow or
/// cut. What processes cannot suffer is refused before anything starts.
#[derive(Debug, Parser)]
#[command(name = "cargo real", bin_name = "cargo real", version, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario once on real processes and write its report
    ///
    /// The nodes run the program `paceline` that lies beside this one (`cargo build --release` makes it),
    /// or the one that the environment variable PACELINE_BIN names. Their files are in a folder of the
    /// temporary directory (TMPDIR), which is kept, and named, if the run does not pass; PACELINE_LOG sets
    /// how much they log. Ctrl-C ends all of them.
    ///
    /// A real run is not deterministic. From the seed come the workload, the times and targets of faults,
    /// and how long each piece is under way; what processes and the operating system make of it does not.
    #[command(after_help = exit::HELP)]
    Run(RunArgs),
    /// Say of scenarios whether they can be run on real processes, and if not, why and where
    ///
    /// Everything that is refused is told. Ends with 2 if any cannot be run.
    Check(CheckArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The scenario
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The workload and the faults come from it [default: the scenario's own]
    #[arg(long)]
    seed: Option<u64>,
    /// Where result.json and report.html go [default: out/SCENARIO-SEED-real]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Write no report
    #[arg(long, conflicts_with_all = ["report", "compare"])]
    no_report: bool,
    /// Run it in the simulated world as well, and say where the two worlds differ, and by how much
    ///
    /// Needs the simulated build, which any `cargo sim` makes; PACELINE_SIM names another one. The reports
    /// of both are written.
    #[arg(long)]
    compare: bool,
    /// Keep the files of the nodes, however the run ends
    #[arg(long)]
    keep: bool,
    /// Write what clients saw into this file, event by event
    #[arg(long, value_name = "FILE")]
    event_log: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// The scenarios
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// The program: reads the command line, does what it says, and ends with the right code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return output::usage(error.print(), error.exit_code()),
    };
    let done = match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check(args),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::complain(format_args!("{error}"));
            Exit::BadInput.into()
        }
    }
}

fn check(args: &CheckArgs) -> Result<Exit, BadInput> {
    let mut worst = Exit::Passed;
    for file in &args.files {
        let (text, source) = match load_text(file) {
            Ok(loaded) => loaded,
            Err(error) => {
                worst = Exit::BadInput;
                say!("{error}");
                continue;
            }
        };
        let file = file.display().to_string();
        let refused = source.refused_by_processes(&file, &text);
        if refused.is_empty() {
            say!("{file}: can be run");
            continue;
        }
        worst = Exit::BadInput;
        for error in refused {
            say!("{}:{}:{}: {}", error.file, error.line, error.column, error.reason);
        }
    }
    Ok(worst)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
