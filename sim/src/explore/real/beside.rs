//! The same scenario and seed in both worlds, side by side: where they differ, and by how much.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use paceline_reports::{
    RunResult,
    result::{LatencySeries, NodeLoad, Percentiles},
};
use paceline_runtime::say;

use super::super::arguments::BadInput;

/// What differs by more than this factor is marked.
const MARKED: f64 = 1.25;

/// Runs the scenario in the simulated world, prints both results side by side, and leaves that beside
/// the simulated report as well.
pub(super) fn compare(
    simulator: &Path,
    file: &Path,
    seed: u64,
    dir: &Path,
    real: &RunResult,
) -> Result<(), BadInput> {
    say!("\nnow in the simulated world");
    let ended = Command::new(simulator)
        .arg("run")
        .arg(file)
        .args(["--seed", &seed.to_string(), "--report"])
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    let ended = ended
        .map_err(|error| BadInput(format!("cannot start {}: {error}", simulator.display())))?;
    let path = dir.join("result.json");
    let json = fs::read_to_string(&path).map_err(|error| {
        BadInput(format!(
            "the simulator ended with {ended} and left no {}: {error}",
            path.display()
        ))
    })?;
    let simulated = RunResult::from_json(&json)
        .map_err(|error| BadInput(format!("{}: {error}", path.display())))?;
    let text = in_words(&simulated, real);
    say!("{text}");
    let path = dir.with_file_name("compare.txt");
    fs::write(&path, format!("{text}\n"))
        .map_err(|error| BadInput(format!("cannot write {}: {error}", path.display())))?;
    say!("reports:     {} and of the real run as above", dir.join("report.html").display());
    say!("comparison:  {}", path.display());
    Ok(())
}

/// One figure of both worlds.
struct Line {
    what: String,
    simulated: String,
    real: String,
    /// The real one over the simulated one.
    factor: Option<f64>,
    differs: bool,
}

impl Line {
    fn words(what: &str, simulated: impl ToString, real: impl ToString) -> Self {
        let (simulated, real) = (simulated.to_string(), real.to_string());
        let differs = simulated != real;
        Self { what: what.to_owned(), simulated, real, factor: None, differs }
    }

    fn figure(what: impl Into<String>, decimals: usize, simulated: f64, real: f64) -> Self {
        let factor = (simulated > 0.0).then(|| real / simulated);
        let differs = match factor {
            Some(factor) => !(1.0 / MARKED..=MARKED).contains(&factor),
            None => real > 0.0,
        };
        let show = |figure: f64| format!("{figure:.decimals$}");
        Self { what: what.into(), simulated: show(simulated), real: show(real), factor, differs }
    }
}

/// Both worlds in a table, and what it comes to.
fn in_words(simulated: &RunResult, real: &RunResult) -> String {
    let lines = lines(simulated, real);
    let width = lines.iter().map(|line| line.what.len()).max().unwrap_or_default();
    let mut text = format!("{:width$} {:>12} {:>12} {:>8}\n", "", "simulated", "real", "factor");
    for line in &lines {
        let factor = line.factor.map_or(String::new(), |factor| format!("{factor:.2}"));
        let mark = if line.differs { " *" } else { "" };
        let row = format!(
            "{:width$} {:>12} {:>12} {factor:>8}{mark}",
            line.what, line.simulated, line.real
        );
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text.push_str(&format!("* differs, figures by more than a factor of {MARKED}\n"));
    text.push_str(&costs(simulated, real));
    text
}

fn lines(simulated: &RunResult, real: &RunResult) -> Vec<Line> {
    let (one, other) = (&simulated.counters, &real.counters);
    let count = |what: &str, simulated: u64, real: u64| {
        Line::figure(what, 0, simulated as f64, real as f64)
    };
    let mut lines = vec![
        Line::words("verdict", simulated.verdict.label(), real.verdict.label()),
        Line::words("findings", simulated.findings.len(), real.findings.len()),
        count("acknowledged", one.published_acknowledged, other.published_acknowledged),
        count("failed", one.published_failed, other.published_failed),
        count("unknown", one.published_unknown, other.published_unknown),
        count("acknowledged and lost", one.acknowledged_lost, other.acknowledged_lost),
        count("delivered", one.delivered, other.delivered),
        count("delivered again", one.redelivered, other.redelivered),
        Line::figure("acknowledged a second", 1, rate(simulated), rate(real)),
    ];
    for here in &simulated.latencies {
        let Some(there) = real.latencies.iter().find(|it| it.name == here.name) else { continue };
        lines.extend(latency(here, there));
    }
    let shares = (shares(&simulated.nodes), shares(&real.nodes));
    for (at, (here, there)) in simulated.nodes.iter().zip(&real.nodes).enumerate() {
        let name = &here.name;
        let (one, other) = (&here.totals, &there.totals);
        lines.extend([
            Line::figure(format!("{name}: % of the load"), 1, shares.0[at], shares.1[at]),
            Line::figure(
                format!("{name}: MB in and out"),
                2,
                (one.bytes_in + one.bytes_out) / 1e6,
                (other.bytes_in + other.bytes_out) / 1e6,
            ),
            Line::figure(format!("{name}: processor, s"), 2, one.cpu_s, other.cpu_s),
            Line::figure(format!("{name}: down, s"), 1, one.down_s, other.down_s),
        ]);
    }
    lines
}

fn latency(here: &LatencySeries, there: &LatencySeries) -> impl Iterator<Item = Line> {
    type Of = fn(&Percentiles) -> f64;
    let percentiles: [(&str, Of); 4] = [
        ("50 %", |it| it.p50_ms),
        ("90 %", |it| it.p90_ms),
        ("99 %", |it| it.p99_ms),
        ("99.9 %", |it| it.p999_ms),
    ];
    percentiles.into_iter().map(move |(name, of)| {
        let what = format!("{}, {name} within ms", here.name);
        Line::figure(what, 2, of(&here.overall), of(&there.overall))
    })
}

/// The share of each node in all messages that went in and out, in per cent.
fn shares(nodes: &[NodeLoad]) -> Vec<f64> {
    let load = |node: &NodeLoad| node.totals.messages_in + node.totals.messages_out;
    let all: f64 = nodes.iter().map(load).sum();
    nodes.iter().map(|node| 100.0 * load(node) / all.max(1.0)).collect()
}

/// Messages acknowledged in each second that was sampled.
fn rate(result: &RunResult) -> f64 {
    let samples = result.nodes.iter().map(|node| node.series.cpu_busy.len()).max().unwrap_or(0);
    let seconds = samples as f64 * result.sample_interval_s;
    result.counters.published_acknowledged as f64 / seconds.max(1.0)
}

/// Processor time of all nodes for each message taken in or handed out, in microseconds.
fn cost(result: &RunResult) -> f64 {
    let seconds: f64 = result.nodes.iter().map(|node| node.totals.cpu_s).sum();
    let messages = result.counters.published_acknowledged + result.counters.delivered;
    1e6 * seconds / (messages as f64).max(1.0)
}

/// By how much the simulated costs are off.
fn costs(simulated: &RunResult, real: &RunResult) -> String {
    let (one, other) = (cost(simulated), cost(real));
    let (factor, off) = match other >= one {
        true => (other / one.max(f64::MIN_POSITIVE), "low"),
        false => (one / other.max(f64::MIN_POSITIVE), "high"),
    };
    format!(
        "processor time of all nodes for each message taken in or handed out: {one:.1} µs simulated, \
         {other:.1} µs real\nBy that the simulated costs (broker/src/costs.rs) are too {off} by a factor of \
         {factor:.1}. It includes what the\noperating system does for sockets and files, and what nodes do \
         while nothing happens."
    )
}

#[cfg(test)]
mod tests {
    use paceline_reports::result::{Identity, Verdict};

    use super::*;

    fn result(acknowledged: u64, cpu_s: f64, verdict: Verdict) -> RunResult {
        let mut result = RunResult::new(Identity::default(), verdict);
        result.counters.published_acknowledged = acknowledged;
        result.counters.delivered = acknowledged;
        let mut node = NodeLoad::new("n1");
        node.totals.cpu_s = cpu_s;
        node.totals.messages_in = acknowledged as f64;
        result.nodes.push(node);
        result
    }

    fn line<'a>(text: &'a str, what: &str) -> &'a str {
        text.lines().find(|line| line.starts_with(what)).unwrap_or_else(|| panic!("{what}: {text}"))
    }

    #[test]
    fn what_differs_is_marked_with_its_factor() {
        let simulated = result(1_000, 0.01, Verdict::Passed);
        let real = result(1_100, 0.11, Verdict::SafetyViolated);
        let text = in_words(&simulated, &real);
        assert!(line(&text, "verdict").ends_with('*'), "{text}");
        assert!(line(&text, "acknowledged ").ends_with("1.10"), "{text}");
        assert!(line(&text, "n1: processor, s").ends_with("11.00 *"), "{text}");
        assert!(text.contains("5.0 µs simulated, 50.0 µs real"), "{text}");
        assert!(text.contains("are too low by a factor of 10.0"), "{text}");
    }
}
