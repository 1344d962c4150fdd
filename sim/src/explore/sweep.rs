//! Many seeds, each in a process of its own.

use std::{
    collections::VecDeque,
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use paceline_reached::Point;
use paceline_reports::{
    SweepResult,
    result::Verdict,
    sweep::{CoveragePoint, SWEEP_VERSION, ScenarioSweep, SeedOutcome},
};
use paceline_runtime::{output, say};
use paceline_scenario::Source;

use super::{
    Exit,
    arguments::{BadInput, SweepArgs, load},
    determinism,
    order::Queue,
    process::{Process, Scratch, Stop, at_once, crashed},
};
use crate::identity::{COMMIT, Identity};

/// How often a sweep says where it stands when there is no terminal to draw a bar on.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// So many failures are told at once; the rest is in the report.
const FAILURES_SHOWN: u64 = 5;

/// One run to be made.
struct Job {
    scenario: usize,
    identity: Identity,
}

/// One run under way.
struct Running {
    job: Job,
    process: Process,
}

/// `sweep`.
pub(super) fn sweep(args: &SweepArgs) -> Result<Exit, BadInput> {
    let scenarios = args.files.iter().map(|file| load(file)).collect::<Result<Vec<Source>, _>>()?;
    if cfg!(not(madsim)) {
        return Err(BadInput("this program was built natively; build me with `cargo sim`".into()));
    }
    let jobs = jobs(args, &scenarios);
    let scratch = Scratch::or_refuse("sweep")?;

    let began = Instant::now();
    let mut result = empty_result(args, &scenarios);
    let done = carry_out(args, jobs, at_once(args.jobs), &scratch, &mut result);
    result.wall_s = began.elapsed().as_secs_f64();
    // Also where the process ends here.
    drop(scratch);
    match done {
        Ok(()) => {}
        Err(Stop::Input(error)) => return Err(error),
        Err(Stop::Output(error)) => output::leave(&error),
    }

    let dir = args.report.clone().unwrap_or_else(|| PathBuf::from("out/sweep"));
    let report = paceline_reports::write_sweep(&dir, &result);
    print_table(&result);
    print_coverage(&result);
    let report = report.map_err(|error| BadInput(error.to_string()))?;
    say!("reproduce:   {}", result.reproduce);
    say!("report:      {}", report.display());
    let runs = result.scenarios.iter().flat_map(|scenario| &scenario.runs);
    let worst = runs.map(|run| Exit::from(run.verdict)).max().unwrap_or(Exit::Passed);
    let is_incomplete = result.coverage().iter().any(|point| point.runs == 0);
    Ok(if args.every_point && is_incomplete { worst.max(Exit::ExpectationMissed) } else { worst })
}

/// Every run of this part of the sweep.
fn jobs(args: &SweepArgs, scenarios: &[Source]) -> Queue<Job> {
    let (part, parts) = args.shard.unwrap_or((1, 1));
    let all = (args.start..args.start.saturating_add(args.seeds)).flat_map(|seed| {
        scenarios.iter().enumerate().map(move |(index, scenario)| (seed, index, scenario))
    });
    let mut jobs: Vec<VecDeque<Job>> = scenarios.iter().map(|_| VecDeque::new()).collect();
    for ((seed, index, scenario), _) in all.zip(0..).filter(|(_, it)| it % parts == part - 1) {
        let identity = Identity::of(scenario, &args.files[index], seed);
        jobs[index].push_back(Job { scenario: index, identity });
    }
    Queue::new(jobs)
}

fn empty_result(args: &SweepArgs, scenarios: &[Source]) -> SweepResult {
    let mut reproduce = String::from("cargo sim sweep");
    for file in &args.files {
        reproduce.push_str(&format!(" {}", file.display()));
    }
    reproduce.push_str(&format!(" --seeds {} --start {}", args.seeds, args.start));
    if let Some((part, parts)) = args.shard {
        reproduce.push_str(&format!(" --shard {part}/{parts}"));
    }
    if args.every_point {
        reproduce.push_str(" --every-point");
    }
    if args.check_determinism {
        reproduce.push_str(" --check-determinism");
    }
    SweepResult {
        schema_version: SWEEP_VERSION,
        commit: COMMIT.to_owned(),
        world: "simulated".to_owned(),
        reproduce,
        wall_s: 0.0,
        points: Point::ALL
            .iter()
            .map(|point| CoveragePoint {
                name: point.name().to_owned(),
                about: point.about().to_owned(),
            })
            .collect(),
        scenarios: scenarios
            .iter()
            .map(|scenario| ScenarioSweep {
                scenario: scenario.common().name.clone(),
                about: scenario.common().about.trim().to_owned(),
                scenario_hash: scenario.hash(),
                runs: Vec::new(),
            })
            .collect(),
    }
}

fn carry_out(
    args: &SweepArgs,
    mut waiting: Queue<Job>,
    at_once: usize,
    scratch: &Scratch,
    result: &mut SweepResult,
) -> Result<(), Stop> {
    let style = "{bar:30} {pos}/{len} runs, {msg}, {elapsed} gone, about {eta} left";
    let bar = ProgressBar::new(waiting.len() as u64)
        .with_style(ProgressStyle::with_template(style).expect("the template is right"))
        .with_message("0 failed");
    bar.tick();
    let limit = Duration::from_secs(args.wall_limit);
    let mut next_line = Instant::now() + LINE_EVERY;
    let mut running: Vec<Running> = Vec::new();
    let mut failed = 0;
    while !waiting.is_empty() || !running.is_empty() {
        while running.len() < at_once
            && !(args.stop_on_failure && failed > 0)
            && let Some(job) = waiting.take()
        {
            if args.check_determinism {
                // Runs its two processes at once, and waits for them.
                let outcome = determinism::outcome(&job.identity, &args.files[job.scenario])
                    .unwrap_or_else(|error| crashed(&job.identity, error.to_string(), 0.0));
                waiting.ended(job.scenario, outcome.wall_s, outcome.points());
                failed += finish(&bar, &job, outcome, failed, result)?;
                continue;
            }
            running.push(start(job, args, scratch)?);
        }
        if args.stop_on_failure && failed > 0 {
            waiting.clear();
        }
        let mut still = Vec::new();
        for mut run in running {
            match run.process.ended(limit) {
                Some(outcome) => {
                    waiting.ended(run.job.scenario, outcome.wall_s, outcome.points());
                    failed += finish(&bar, &run.job, outcome, failed, result)?;
                }
                None => still.push(run),
            }
        }
        running = still;
        if !running.is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        bar.tick();
        if bar.is_hidden() && Instant::now() >= next_line {
            next_line += LINE_EVERY;
            let (done, all) = (bar.position(), bar.length().unwrap_or(0));
            // By the average, which a run that takes long does not upset.
            let left = bar.elapsed().as_secs_f64() / done.max(1) as f64 * (all - done) as f64;
            output::line(format_args!(
                "{done}/{all} runs, {failed} failed, about {left:.0} s left"
            ))?;
        }
    }
    bar.finish();
    Ok(())
}

fn start(job: Job, args: &SweepArgs, scratch: &Scratch) -> Result<Running, BadInput> {
    let name = format!("{}-{}", job.identity.scenario, job.identity.seed);
    let file = &args.files[job.scenario];
    let process = Process::start(job.identity.clone(), file, scratch, &name)?;
    Ok(Running { job, process })
}

/// Books an outcome; returns 1 for a failure.
fn finish(
    bar: &ProgressBar,
    job: &Job,
    outcome: SeedOutcome,
    failed_before: u64,
    result: &mut SweepResult,
) -> io::Result<u64> {
    let failed = u64::from(outcome.verdict != Verdict::Passed);
    if failed == 1 {
        if failed_before < FAILURES_SHOWN {
            let what = outcome.verdict.label();
            bar.suspend(|| {
                output::line(format_args!(
                    "failure: {} ({what}): {}\n  {}",
                    job.identity, outcome.finding, outcome.reproduce
                ))
            })?;
        }
        bar.set_message(format!("{} failed", failed_before + 1));
    }
    result.scenarios[job.scenario].runs.push(outcome);
    bar.inc(1);
    Ok(failed)
}

/// What no run has reached, and, if all was, what only few did.
fn print_coverage(result: &SweepResult) {
    let coverage = result.coverage();
    let never: Vec<_> = coverage.iter().filter(|it| it.runs == 0).collect();
    say!("reached:     {} of {} coverage points", coverage.len() - never.len(), coverage.len());
    for it in never {
        say!("  never: {}, {}", it.point.name, it.point.about);
    }
}

fn print_table(result: &SweepResult) {
    let width = result.scenarios.iter().map(|it| it.scenario.len()).max().unwrap_or(0).max(8);
    say!(
        "{:width$} {:>6} {:>7} {:>7} {:>7} {:>7} {:>9} {:>9} {:>7} {:>6} {:>6}",
        "scenario",
        "runs",
        "passed",
        "missed",
        "unsafe",
        "stuck",
        "crashed",
        "speed",
        "s/run",
        "time",
        "only"
    );
    let all_s: f64 = result.scenarios.iter().map(ScenarioSweep::cost_s).sum();
    let only = result.only_reached();
    for (number, scenario) in result.scenarios.iter().enumerate() {
        let verdicts = scenario.verdicts();
        let count = |verdict| verdicts.get(&verdict).copied().unwrap_or(0);
        let virtual_s: f64 = scenario.runs.iter().map(|run| run.virtual_s).sum();
        let wall_s = scenario.cost_s();
        let speed = if wall_s > 0.0 { format!("{:.0} x", virtual_s / wall_s) } else { "-".into() };
        say!(
            "{:width$} {:>6} {:>7} {:>7} {:>7} {:>7} {:>9} {:>9} {:>7.2} {:>5.0}% {:>6}",
            scenario.scenario,
            scenario.runs.len(),
            count(Verdict::Passed),
            count(Verdict::ExpectationMissed),
            count(Verdict::SafetyViolated),
            count(Verdict::LivenessViolated),
            count(Verdict::Crashed) + count(Verdict::Nondeterministic),
            speed,
            wall_s / scenario.runs.len().max(1) as f64,
            100.0 * scenario.cost_s() / all_s.max(f64::MIN_POSITIVE),
            only[number].len()
        );
    }
    for (scenario, points) in result.scenarios.iter().zip(&only) {
        if !points.is_empty() {
            let names: Vec<&str> = points.iter().map(|point| point.name.as_str()).collect();
            say!("only {} reached: {}", scenario.scenario, names.join(", "));
        }
    }
    for scenario in &result.scenarios {
        if let Some(exits) = scenario.exit_counts().in_words() {
            say!("{}: {exits}", scenario.scenario);
        }
        for run in scenario.failures().into_iter().take(5) {
            let what = run.verdict.label();
            say!("{} seed {}: {what}: {}", scenario.scenario, run.seed, run.finding);
            say!("  {}", run.reproduce);
        }
    }
}
