//! One run: expand, simulate, judge, report.

use std::{
    fs,
    io::IsTerminal,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use paceline_reports::{
    RunResult,
    result::{Timing, Verdict},
    sweep::SeedOutcome,
};
use paceline_scenario::{Expansion, Scenario};

use super::{
    Exit, SCENARIO_FILE,
    arguments::{BadInput, RunArgs, expanded, load},
    determinism, output,
};
use crate::identity::Identity;
use crate::{
    observe::{
        Options, Outcome,
        recorder::{Recorder, SharedRecorder},
    },
    result,
};

/// `run`, or, with all that is known printed, `replay`.
pub(super) fn run(args: &RunArgs, verbose: bool) -> Result<Exit, BadInput> {
    let source = load(&args.file)?;
    let seed = args.seed.unwrap_or(source.common().seed);
    let identity = Identity::of(&source, &args.file, seed);
    if args.check_determinism {
        return determinism::check(&identity, &args.file);
    }
    let (drawn, expansion) = expanded(&source, seed)?;
    let quiet = args.outcome.is_some();
    if !quiet {
        output::head(&identity, &drawn.knobs, &expansion, verbose);
    }
    if let Some(level) = &args.log {
        start_log(level)?;
    }

    let event_log = open_event_log(args.event_log.as_deref())?;
    let options = Options { tail: verbose, event_log, ..Options::default() };
    let (outcome, wall) = simulate(&expansion, options)?;
    let mut result = result::of(&identity, &expansion.scenario, &outcome);
    result.timing =
        Timing { virtual_s: outcome.virtual_time.as_secs_f64(), wall_s: wall.as_secs_f64() };

    if let Some(path) = &args.outcome {
        let json = serde_json::to_string(&seed_outcome(&identity, &result))
            .expect("an outcome can be written as JSON");
        fs::write(path, json)
            .map_err(|error| BadInput(format!("cannot write {}: {error}", path.display())))?;
        return Ok(result.verdict.into());
    }

    let report = match (&args.report, args.no_report) {
        (_, true) => None,
        (Some(dir), false) => Some(write_report(dir, &result, &expansion)?),
        (None, false) => {
            let dir = PathBuf::from("out").join(format!("{}-{seed}", identity.scenario));
            Some(write_report(&dir, &result, &expansion)?)
        }
    };
    if verbose {
        output::tail(&outcome.tail);
    }
    output::verdict(&identity, &result, &outcome, report.as_deref());
    Ok(result.verdict.into())
}

/// What a sweep keeps of a run.
fn seed_outcome(identity: &Identity, result: &RunResult) -> SeedOutcome {
    let finding = result
        .findings
        .first()
        .map(|it| with_shards(format!("[{}] {}", it.check, it.detail), &it.shards))
        .or_else(|| {
            let it = result.expectations.iter().find(|expectation| !expectation.met)?;
            let missed = format!("{}: {}, wanted {}", it.name, it.measured, it.wanted);
            Some(with_shards(missed, &it.shards))
        });
    SeedOutcome {
        seed: identity.seed,
        verdict: result.verdict,
        finding: if result.verdict == Verdict::Passed {
            String::new()
        } else {
            finding.unwrap_or_default()
        },
        failed: failed(result),
        sent: result.counters.published_acknowledged
            + result.counters.published_failed
            + result.counters.published_unknown,
        exits: result.exit_counts(),
        fingerprint: result.fingerprint.clone(),
        reached: SeedOutcome::points_as_text(paceline_reached::seen().map(|it| it as usize)),
        virtual_s: result.timing.virtual_s,
        wall_s: result.timing.wall_s,
        reproduce: identity.reproduce(),
    }
}

/// The checks that did not hold, the worst first, and what was expected and missed; each once.
fn failed(result: &RunResult) -> Vec<String> {
    let missed = result.expectations.iter().filter(|it| !it.met).map(|it| &it.name);
    let mut failed: Vec<String> = Vec::new();
    for name in result.findings.iter().map(|it| &it.check).chain(missed) {
        if !failed.contains(name) {
            failed.push(name.clone());
        }
    }
    failed
}

/// A sweep shows one line a run: of the shards, it names those that come first.
fn with_shards(finding: String, shards: &[String]) -> String {
    const SHOWN: usize = 2;
    let more = shards.len().saturating_sub(SHOWN);
    let more = (more > 0).then(|| format!("{more} more lines in a replay"));
    let shown = shards.iter().take(SHOWN).cloned();
    std::iter::once(finding).chain(shown).chain(more).collect::<Vec<_>>().join(" / ")
}

/// Writes the report, and beside it the scenario without chance, which can be edited and run.
pub(super) fn write_report(
    dir: &Path,
    result: &RunResult,
    expansion: &Expansion,
) -> Result<PathBuf, BadInput> {
    let report =
        paceline_reports::write_run(dir, result).map_err(|error| BadInput(error.to_string()))?;
    let path = dir.join(SCENARIO_FILE);
    fs::write(&path, expansion.scenario.to_toml())
        .map_err(|error| BadInput(format!("cannot write {}: {error}", path.display())))?;
    Ok(report)
}

pub(super) fn open_event_log(path: Option<&Path>) -> Result<Option<fs::File>, BadInput> {
    path.map(|path| {
        fs::File::create(path)
            .map_err(|error| BadInput(format!("cannot write {}: {error}", path.display())))
    })
    .transpose()
}

fn start_log(level: &str) -> Result<(), BadInput> {
    let filter = tracing_subscriber::EnvFilter::try_new(level)
        .map_err(|error| BadInput(format!("--log {level}: {error}")))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .init();
    Ok(())
}

/// Runs the expanded scenario.
pub(super) fn simulate(
    expansion: &Expansion,
    options: Options,
) -> Result<(Outcome, Duration), BadInput> {
    let recorder = Recorder::shared(&expansion.scenario, options);
    let began = Instant::now();
    let mut outcome = in_world(&expansion.scenario, recorder.clone())?;
    let wall = began.elapsed();
    outcome.take(&mut recorder.lock());
    Ok((outcome, wall))
}

#[cfg(madsim)]
fn in_world(scenario: &Scenario, recorder: SharedRecorder) -> Result<Outcome, BadInput> {
    Ok(crate::world::simulated::run(scenario, recorder))
}

#[cfg(not(madsim))]
fn in_world(_: &Scenario, _: SharedRecorder) -> Result<Outcome, BadInput> {
    Err(BadInput(
        "this program was built natively and has no simulated world; run `cargo sim`, or `cargo real` for \
         processes"
            .to_owned(),
    ))
}
