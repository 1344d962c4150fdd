//! `cargo suite`: every check of the project, one after the other, with what it could not test.
//!
//! The steps are ordered so that the cheapest failure comes first. What a step needs beyond a Rust
//! toolchain it sets up under `target/`; what cannot be set up is skipped loudly, never silently.

mod steps;

use std::{process::ExitCode, time::Instant};

use clap::Parser;
use steps::{Outcome, STEPS};

/// Runs every check of the project: format, lints, docs, tests of both builds, determinism,
/// scenarios and real clients.
#[derive(Parser)]
#[command(name = "cargo suite")]
struct Args {
    /// Run only these steps, by name (see --list); may be given several times.
    #[arg(long = "only", value_name = "STEP")]
    only: Vec<String>,
    /// List the steps and stop.
    #[arg(long)]
    list: bool,
    /// Treat a step that could not run as failed, as the continuous-integration gate does.
    #[arg(long)]
    strict: bool,
    /// How many seeds each scenario is run with in the `scenarios` step.
    #[arg(long, default_value_t = 6)]
    seeds: u32,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.list {
        for step in STEPS {
            println!("{:<12} {}", step.name, step.about);
        }
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = args.only.iter().find(|name| STEPS.iter().all(|s| s.name != **name)) {
        eprintln!("there is no step `{unknown}`; `cargo suite --list` names them all");
        return ExitCode::from(2);
    }

    let context = steps::Context::new(args.seeds);
    let mut results = Vec::new();
    for step in STEPS {
        if !args.only.is_empty() && !args.only.iter().any(|name| name == step.name) {
            continue;
        }
        println!("\n==> {}: {}", step.name, step.about);
        let begun = Instant::now();
        let outcome = (step.run)(&context);
        let seconds = begun.elapsed().as_secs_f64();
        match &outcome {
            Outcome::Passed => println!("<== {}: passed in {seconds:.1} s", step.name),
            Outcome::Failed(why) => println!("<== {}: FAILED in {seconds:.1} s: {why}", step.name),
            Outcome::Skipped(why) => println!("<== {}: NOT RUN: {why}", step.name),
        }
        results.push((step.name, outcome, seconds));
    }

    println!("\n{:<12} {:>8}  result", "step", "seconds");
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (name, outcome, seconds) in &results {
        let text = match outcome {
            Outcome::Passed => {
                passed += 1;
                "passed".to_owned()
            }
            Outcome::Failed(why) => {
                failed += 1;
                format!("FAILED: {why}")
            }
            Outcome::Skipped(why) => {
                skipped += 1;
                format!("NOT RUN: {why}")
            }
        };
        println!("{name:<12} {seconds:>8.1}  {text}");
    }
    println!("\n{passed} passed, {failed} failed, {skipped} skipped");
    if failed > 0 || (args.strict && skipped > 0) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
