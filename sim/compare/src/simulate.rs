//! The same strategies in the simulated cluster: predicted against measured, per node.
//!
//! Each strategy runs in a process of its own, this program with `run`, so that it is the same run
//! as anybody makes from the scenario file that stays beside the report.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use paceline_reports::{
    RunResult,
    compare::{SimulatedNode, SimulatedRun},
};

use super::{entry::Entry, format::Comparison};

/// Runs one strategy. The inner error says why this one cannot be run or did not pass.
///
/// # Errors
/// When no simulation can be run at all.
pub(super) fn run(
    comparison: &Comparison,
    entry: Entry,
    directory: &Path,
) -> Result<Result<SimulatedRun, String>, String> {
    if cfg!(not(madsim)) {
        return Err("this program was built natively; build me with `cargo sim`".into());
    }
    let Entry::Kind(kind) = entry else {
        return Ok(Err("the broker balances slots by count".into()));
    };
    let scenario = comparison.scenario(kind).expect("what it needs has been checked");
    let directory = directory.join("simulated").join(kind.name());
    let file = directory.join("scenario.toml");
    let failed = |what: &Path, error: std::io::Error| format!("{}: {error}", what.display());
    fs::create_dir_all(&directory).map_err(|error| failed(&directory, error))?;
    fs::write(&file, scenario.to_toml()).map_err(|error| failed(&file, error))?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(&program)
        .arg("run")
        .arg(&file)
        .arg("--report")
        .arg(&directory)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(&program, error))?;
    let path = directory.join("result.json");
    // A run that left no result is this strategy's failure; the others may well have one.
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            let said = String::from_utf8_lossy(&output.stderr);
            return Ok(Err(format!("{}\n{}", failed(&path, error), said.trim())));
        }
    };
    let result = match RunResult::from_json(&text) {
        Ok(result) => result,
        Err(error) => return Ok(Err(error.to_string())),
    };
    if !output.status.success() {
        let label = result.verdict.label();
        return Ok(Err(format!("{label}; see {}", directory.join("report.html").display())));
    }
    Ok(Ok(simulated(entry, comparison, &result, &file)))
}

fn simulated(
    entry: Entry,
    comparison: &Comparison,
    result: &RunResult,
    file: &Path,
) -> SimulatedRun {
    let taken: f64 = result.nodes.iter().map(|node| node.totals.messages_in).sum();
    let nodes = result.nodes.iter().map(|node| SimulatedNode {
        name: node.name.clone(),
        predicted_share: node.predicted_share.unwrap_or_default(),
        measured_share: if taken > 0.0 { node.totals.messages_in / taken } else { 0.0 },
        latency: node.latency,
    });
    let delivery = result.latencies.iter().find(|series| series.name == "publish to delivery");
    let hash = comparison.cluster.as_ref().map(|cluster| cluster.hash.name());
    SimulatedRun {
        strategy: entry.name().to_owned(),
        hash: hash.unwrap_or_default().to_owned(),
        nodes: nodes.collect(),
        latency: delivery.map(|series| series.overall).unwrap_or_default(),
        reproduce: format!("cargo sim replay {} --seed {}", file.display(), comparison.seed),
    }
}
