//! One run as a picture: the run itself is that of `replay`, to the byte; what its nodes say is kept.

use std::path::PathBuf;

use paceline_reports::{trace::Trace, write_trace};
use paceline_runtime::say;

use super::{
    Exit,
    arguments::{BadInput, TraceArgs, expanded, load},
    output, run,
};
use crate::{
    diagram::{self, Wanted},
    identity::Identity,
    observe::Options,
    result,
};

/// What `--help` says beside the options.
pub(super) const HELP: &str = "\
Examples:
  cargo sim trace out/mixed-7-shrunk.toml
  cargo sim trace scenarios/smoke.toml --from 1.9s --to 2.3s
  cargo sim trace scenarios/faults/partition.toml --seed 7 --last 500ms

The exit code is that of the run, as `cargo sim replay --help` lists them.";

/// `trace`.
pub(super) fn trace(args: &TraceArgs) -> Result<Exit, BadInput> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from.0 >= to.0
    {
        return Err(BadInput(format!("nothing lies between --from {from} and --to {to}")));
    }
    let source = load(&args.file)?;
    let seed = args.seed.unwrap_or(source.common().seed);
    let identity = Identity::of(&source, &args.file, seed);
    let (_, expansion) = expanded(&source, seed)?;
    say!("{identity}");

    let options = Options { heard: true, ..Options::default() };
    let (outcome, _) = run::simulate(&expansion, options)?;
    let result = result::of(&identity, &expansion.scenario, &outcome);
    let time = |it: Option<paceline_scenario::units::TimeSpan>| it.map(|it| it.0);
    let wanted = Wanted { from: time(args.from), to: time(args.to), last: time(args.last) };
    let drawn = diagram::of(&expansion.scenario, &result, &outcome, wanted);
    if drawn.points.is_empty() {
        let window = drawn.window;
        return Err(BadInput(format!(
            "nothing happens from {:.3}s to {:.3}s; the run ends at {:.3}s",
            window.from_s, window.to_s, window.run_s
        )));
    }
    let folder = PathBuf::from("out").join(format!("{}-{seed}", identity.scenario));
    let folder = args.report.clone().unwrap_or(folder);
    let page = write_trace(&folder, &drawn).map_err(|error| BadInput(error.to_string()))?;
    say!("verdict:     {}", result.verdict.label().to_uppercase());
    if let Some(finding) = result.findings.first() {
        say!("  [{}] {}", finding.check, finding.detail.replace('\n', "\n    "));
    }
    say!("shown:       {}", summary(&drawn));
    output::foot(&identity, &result.fingerprint, None);
    say!("picture:     {}", page.display());
    Ok(result.verdict.into())
}

/// What a diagram shows, in one line.
fn summary(trace: &Trace) -> String {
    let window = trace.window;
    let convicting = trace.points.iter().filter(|it| it.convicts).count();
    let mut line = format!(
        "{} events and {} arrows on {} lines, {:.3}s to {:.3}s of {:.1}s",
        trace.points.len(),
        trace.arrows.len(),
        trace.lanes.len(),
        window.from_s,
        window.to_s,
        window.run_s
    );
    if convicting > 0 {
        line.push_str(&format!("; {convicting} convict"));
    }
    if trace.left_out() > 0 {
        line.push_str(&format!("; {} of that time are left out", trace.left_out()));
    }
    line
}
