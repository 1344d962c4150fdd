//! The command line.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use paceline_compare::{self as compare, CompareArgs};
use paceline_runtime::{output, say};

use super::{
    Exit,
    arguments::{BadInput, MutantsArgs, RunArgs, ShrinkArgs, SweepArgs, TraceArgs, expanded, load},
    exit, mutants, run, shrink, sweep, trace,
};
use crate::identity::COMMIT;

/// Runs the broker's own code in a simulated world that one seed reproduces to the byte.
#[derive(Debug, Parser)]
#[command(name = "cargo sim", bin_name = "cargo sim", version, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario once and write its report
    #[command(after_help = exit::HELP)]
    Run(RunArgs),
    /// Run a scenario again with a seed, and print what the seed made of it and how it ended
    #[command(after_help = exit::HELP)]
    Replay(RunArgs),
    /// Run scenarios with many seeds, each in a process of its own
    ///
    /// Every scenario is run once. From then on those come first whose runs cost little and come by
    /// coverage points that few runs reach; in the end all have been run with the same seeds. The
    /// table says what a run cost, which share of the time a scenario took, and how many coverage
    /// points no other scenario reached.
    #[command(after_help = exit::HELP)]
    Sweep(SweepArgs),
    /// Make a scenario that fails as small as it can be and still fails in the same way
    ///
    /// What the seed makes of the scenario is reduced step by step, together and in parallel: workloads,
    /// faults and changes are left out, there are fewer nodes, replicas, slots, destinations, clients and
    /// messages, less time passes, faults are shorter, and settings go back to their defaults. A step is
    /// kept as long as the run ends with the same verdict and the same check does not hold. A smaller
    /// scenario draws another course of events from the same seed, so when no step is left with the seed
    /// that failed last, each is tried with seeds that follow the given one as well: 4, 16 and so on
    /// (--seeds).
    ///
    /// The smallest scenario is a file with its seed in it, written anew at each step, so that a search
    /// may be broken off. At the end stands what was before and is after, and the command to replay it.
    #[command(after_help = shrink::HELP)]
    Shrink(ShrinkArgs),
    /// Draw a run, or its last moments, as a space-time diagram
    ///
    /// One HTML page that needs no network: a line for each node and client, time from top to bottom,
    /// messages as arrows. Elections, copies, faults and dead nodes are marked, and in red the events
    /// that convict, which the sentence at the top links to. One can search, follow one message or
    /// destination, zoom, and go from event to event by keys.
    ///
    /// The run is the one that `replay` makes, with the same fingerprint. Unless a time is asked for, a
    /// small run is shown from when its workload begins, and of others some hundred events up to the
    /// first violation, or to the end. What finds no room is counted on the page by its kind.
    #[command(after_help = trace::HELP)]
    Trace(TraceArgs),
    /// Plant bugs in the broker, one at a time, and say how soon a sweep finds each
    ///
    /// The bugs are patch files in sim/mutants, each after a fault of a real broker. Each is applied to a
    /// copy of the sources under target/mutants, built there, and swept until a run fails. A build takes a
    /// minute or two, so all of them take hours: begin with --only. Run it at the top of the workspace. It
    /// ends with 0 if all were found, and with 10 if not.
    Mutants(MutantsArgs),
    /// Compare placement strategies, hash functions and salts, without a cluster
    Compare(CompareArgs),
    /// Print what a seed makes of a scenario: a scenario in which nothing is left to chance
    Expand(ExpandArgs),
}

#[derive(Debug, Args)]
struct ExpandArgs {
    /// The scenario
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The seed that decides [default: the scenario's own]
    #[arg(long)]
    seed: Option<u64>,
}

/// The program: reads the command line, does what it says, and ends with the right code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return output::usage(error.print(), error.exit_code()),
    };
    let done = match &cli.command {
        Command::Run(args) => run::run(args, false),
        Command::Replay(args) => run::run(args, true),
        Command::Sweep(args) => sweep::sweep(args),
        Command::Shrink(args) => shrink::shrink(args),
        Command::Trace(args) => trace::trace(args),
        Command::Mutants(args) => mutants::mutants(args),
        Command::Compare(args) => {
            compare::compare(args, COMMIT).map(|()| Exit::Passed).map_err(BadInput)
        }
        Command::Expand(args) => expand(args),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::complain(format_args!("{error}"));
            Exit::BadInput.into()
        }
    }
}

fn expand(args: &ExpandArgs) -> Result<Exit, BadInput> {
    let source = load(&args.file)?;
    let (_, expansion) = expanded(&source, args.seed.unwrap_or(source.common().seed))?;
    for note in &expansion.notes {
        say!("# {note}");
    }
    say!("{}", expansion.scenario.to_toml().trim_end());
    Ok(Exit::Passed)
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
