//! What commands are told, and the scenarios that they read.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use clap::Args;
use paceline_scenario::{self as scenario, Expansion, Source, swarm::Drawn, units::TimeSpan};

/// `run` and `replay`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The scenario
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Everything random comes from it [default: the scenario's own]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Where result.json and report.html go [default: out/SCENARIO-SEED]
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Write no report
    #[arg(long, conflicts_with = "report")]
    pub no_report: bool,
    /// Run twice, in two processes, and compare the event logs
    #[arg(long)]
    pub check_determinism: bool,
    /// Write the full event log into this file
    #[arg(long, value_name = "FILE")]
    pub event_log: Option<PathBuf>,
    /// Print the log of the nodes as well, at this level
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
    /// Write the outcome as JSON into this file, for the sweep that started this run
    #[arg(long, value_name = "FILE", hide = true)]
    pub outcome: Option<PathBuf>,
}

/// `trace`.
#[derive(Debug, Args)]
pub(super) struct TraceArgs {
    /// The scenario
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Everything random comes from it [default: the scenario's own]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Show what happened from then on, since the workload began
    #[arg(long, value_name = "TIME", conflicts_with = "last")]
    pub from: Option<TimeSpan>,
    /// Show what happened until then
    #[arg(long, value_name = "TIME")]
    pub to: Option<TimeSpan>,
    /// Show so much time before the first violation, the end of the run, or --to
    #[arg(long, value_name = "TIME")]
    pub last: Option<TimeSpan>,
    /// Where trace.html goes [default: out/SCENARIO-SEED]
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
}

/// `sweep`.
#[derive(Debug, Args)]
pub(super) struct SweepArgs {
    /// The scenarios
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// How many seeds of each scenario
    #[arg(long, default_value_t = 100)]
    pub seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    pub start: u64,
    /// How many runs at a time [default: the number of processors]
    #[arg(long)]
    pub jobs: Option<usize>,
    /// Start no further run after the first failure
    #[arg(long)]
    pub stop_on_failure: bool,
    /// Of n equal parts of the sweep run only part i, from 1
    #[arg(long, value_name = "i/n", value_parser = shard)]
    pub shard: Option<(u64, u64)>,
    /// Run each seed twice and compare the event logs
    #[arg(long)]
    pub check_determinism: bool,
    /// Fail unless every coverage point of the broker is reached by some run
    #[arg(long)]
    pub every_point: bool,
    /// End a run that takes longer than this many seconds of real time, as crashed
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub wall_limit: u64,
    /// Where sweep.json, runs.csv and report.html go [default: out/sweep]
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
}

/// `shrink`.
#[derive(Debug, Args)]
pub(super) struct ShrinkArgs {
    /// The scenario that fails
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The seed with which it does [default: the scenario's own]
    #[arg(long)]
    pub seed: Option<u64>,
    /// The check that is to fail still [default: the worst that fails]
    #[arg(long, value_name = "NAME")]
    pub check: Option<String>,
    /// Stop after this time, such as 60s or 10min, or after so many runs
    #[arg(long, value_name = "TIME|RUNS", default_value = "5min")]
    pub budget: Budget,
    /// With how many seeds at most, from the given one on, a smaller scenario is tried
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub seeds: u64,
    /// How many runs at a time [default: the number of processors]
    #[arg(long)]
    pub jobs: Option<usize>,
    /// Where the smallest scenario goes [default: out/SCENARIO-SEED-shrunk.toml]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `mutants`.
#[derive(Debug, Args)]
pub(super) struct MutantsArgs {
    /// The scenarios that are swept [default: all shipped ones]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Only this one, by name; may be given several times
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// List them and stop
    #[arg(long)]
    pub list: bool,
    /// Only see whether each patch still fits the sources
    #[arg(long, conflicts_with = "list")]
    pub check: bool,
    /// With how many seeds each scenario is run before a mutant counts as not found
    #[arg(long, default_value_t = 5)]
    pub seeds: u64,
    /// How many runs at a time [default: the number of processors]
    #[arg(long)]
    pub jobs: Option<usize>,
    /// Where mutants.md and the reports of the sweeps go
    #[arg(long, value_name = "DIR", default_value = "out/mutants")]
    pub report: PathBuf,
}

/// How much a search may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Budget {
    /// By the clock on the wall.
    Time(Duration),
    /// So many runs, that of the scenario itself included.
    Runs(u64),
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let budget = match text.parse() {
            Ok(runs) => Budget::Runs(runs),
            Err(_) => Budget::Time(
                text.parse::<TimeSpan>()
                    .map_err(|error| format!("{error}; or write a number of runs, such as 200"))?
                    .0,
            ),
        };
        match budget {
            Budget::Runs(0) | Budget::Time(Duration::ZERO) => Err("nothing can be run then".into()),
            budget => Ok(budget),
        }
    }
}

/// Reads `i/n`.
fn shard(text: &str) -> Result<(u64, u64), String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match parts {
        Some((i, n)) if (1..=n).contains(&i) => Ok((i, n)),
        _ => Err("write i/n with i from 1 to n, such as 2/8".into()),
    }
}

/// Why a command did not get to run anything.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadInput(pub String);

/// Reads and checks a scenario file.
pub(super) fn load(file: &Path) -> Result<Source, BadInput> {
    load_text(file).map(|(_, source)| source)
}

/// The same, with the text of the file.
pub(super) fn load_text(file: &Path) -> Result<(String, Source), BadInput> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| BadInput(format!("cannot read {}: {error}", file.display())))?;
    let source = Source::load(&file.display().to_string(), &text);
    source.map(|source| (text, source)).map_err(|error| BadInput(error.to_string()))
}

/// What a seed makes of a scenario or a swarm.
pub(super) fn expanded(source: &Source, seed: u64) -> Result<(Drawn, Expansion), BadInput> {
    let drawn = source.drawn(seed).map_err(|error| BadInput(error.to_string()))?;
    let expansion = scenario::expand(&drawn.scenario, seed);
    Ok((drawn, expansion))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_time_or_a_number_of_runs() {
        assert_eq!("90s".parse(), Ok(Budget::Time(Duration::from_secs(90))));
        assert_eq!("200".parse(), Ok(Budget::Runs(200)));
        for wrong in ["0", "0s", "soon", "-3", "5 runs"] {
            assert!(wrong.parse::<Budget>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn parts_of_a_sweep_are_counted_from_one() {
        assert_eq!(shard("2/8"), Ok((2, 8)));
        for wrong in ["0/8", "9/8", "8", "1/0", "a/b"] {
            assert!(shard(wrong).is_err(), "{wrong}");
        }
    }
}
