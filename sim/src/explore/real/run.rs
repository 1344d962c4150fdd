//! One run on real processes.

use std::path::PathBuf;

use paceline_reports::result::{Timing, Verdict};
use paceline_runtime::say;

use super::{
    super::{
        Exit,
        arguments::{BadInput, expanded, load_text},
        output,
        run::{open_event_log, write_report},
    },
    RunArgs, beside, programs,
};
use crate::{
    identity::Identity,
    observe::{Options, recorder::Recorder},
    result,
    world::real,
};

/// Runs a scenario on real processes, and beside it in the simulated world if that is asked for.
pub(super) fn run(args: &RunArgs) -> Result<Exit, BadInput> {
    let (text, source) = load_text(&args.file)?;
    let refused = source.refused_by_processes(&args.file.display().to_string(), &text);
    if !refused.is_empty() {
        let refused: Vec<String> = refused.iter().map(ToString::to_string).collect();
        return Err(BadInput(refused.join("\n")));
    }
    let program = programs::broker()?;
    let simulator = args.compare.then(programs::simulator).transpose()?;
    let seed = args.seed.unwrap_or(source.common().seed);
    let identity = Identity::of(&source, &args.file, seed).in_real_world();
    let (drawn, expansion) = expanded(&source, seed)?;
    output::head(&identity, &drawn.knobs, &expansion, false);
    say!("  the nodes run {}", program.display());
    let lasts = expansion.scenario.duration;
    say!(
        "  this takes {lasts} by the clock on the wall, and what starting, healing and draining take\n"
    );

    let options = Options {
        event_log: open_event_log(args.event_log.as_deref())?,
        deaf: !real::HEARS_NODES,
        ..Options::default()
    };
    let recorder = Recorder::shared(&expansion.scenario, options);
    let began = std::time::Instant::now();
    let (mut outcome, folder) = real::run(&expansion.scenario, recorder.clone(), &program)
        .map_err(|error| BadInput(format!("the real world: {error}")))?;
    outcome.take(&mut recorder.lock());
    let mut result = result::of(&identity, &expansion.scenario, &outcome);
    let wall_s = began.elapsed().as_secs_f64();
    result.timing = Timing { virtual_s: outcome.virtual_time.as_secs_f64(), wall_s };
    (result.checked, result.unchecked) = recorder.lock().checks.made();
    result.given = given(&expansion.scenario);

    let dir = args.report.clone();
    let dir = dir
        .unwrap_or_else(|| PathBuf::from("out").join(format!("{}-{seed}-real", identity.scenario)));
    let report = (!args.no_report).then(|| write_report(&dir, &result, &expansion)).transpose()?;
    output::verdict(&identity, &result, &outcome, report.as_deref());
    if args.keep || result.verdict != Verdict::Passed {
        say!("nodes' files: {} (the log of each is in its folder)", folder.keep().display());
    }
    if let Some(simulator) = simulator {
        beside::compare(&simulator, &args.file, seed, &dir.join("simulated"), &result)?;
    }
    Ok(result.verdict.into())
}

/// What the scenario says and this world has otherwise.
fn given(scenario: &paceline_scenario::Scenario) -> Vec<String> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let nodes = scenario.node_count();
    vec![
        format!("processors: {processors} for {nodes} nodes, the clients and the proxies together"),
        format!("disk: that of {}, for all nodes together", std::env::temp_dir().display()),
        "clock: this machine's, for all nodes".to_owned(),
    ]
}
