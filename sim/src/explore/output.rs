//! What runs print: the identity first, the identity and the way to do it again last.

use std::path::Path;

use paceline_reports::{RunResult, result::Verdict};
use paceline_runtime::say;
use paceline_scenario::{Expansion, fault::describe};

use super::SCENARIO_FILE;
use crate::identity::{Identity, REAL};
use crate::observe::Outcome;

/// The most findings printed.
const SHOWN: usize = 10;

/// Before the run: what it is, and what the seed made of the scenario.
pub(super) fn head(identity: &Identity, knobs: &[String], expansion: &Expansion, in_full: bool) {
    say!("{identity}");
    say!("  {}", identity.about.replace('\n', "\n  "));
    for knob in knobs {
        say!("  {knob}");
    }
    if in_full {
        say!("\n{}", expansion.scenario.to_toml());
    } else {
        for change in &expansion.scenario.changes {
            say!("  {}", change.describe());
        }
        for fault in &expansion.scenario.faults {
            say!("  {}", describe(fault));
        }
    }
    for note in &expansion.notes {
        say!("  note: {note}");
    }
    say!();
}

/// The last events of a run.
pub(super) fn tail(events: &[String]) {
    say!("the last {} events:", events.len());
    for event in events {
        say!("  {event}");
    }
    say!();
}

/// After the run: how it ended.
pub(super) fn verdict(
    identity: &Identity,
    result: &RunResult,
    outcome: &Outcome,
    report: Option<&Path>,
) {
    say!("verdict:     {}", verdict_line(result));
    for finding in result.findings.iter().take(SHOWN) {
        let at = finding.at_s.map_or(String::new(), |at| format!(" at {at:.6}s"));
        say!("  [{}]{at} {}", finding.check, finding.detail.replace('\n', "\n    "));
        finding.shards.iter().for_each(|shard| say!("    {shard}"));
        finding.chain.iter().for_each(|line| say!("    {line}"));
    }
    if result.findings.len() > SHOWN {
        say!("  and {} more in the report", result.findings.len() - SHOWN);
    }
    for expectation in &result.expectations {
        let mark = if expectation.met { "met" } else { "MISSED" };
        say!(
            "  {mark}: {} {} (measured {})",
            expectation.name,
            expectation.wanted,
            expectation.measured
        );
        expectation.shards.iter().for_each(|shard| say!("    {shard}"));
    }
    for change in &result.changes {
        let until = change.until_s.map_or(String::new(), |until| format!(" to {until:.3}s"));
        say!("change:      {:.3}s{until} {}", change.at_s, change.in_words());
    }
    for fault in result.faults.iter().filter(|fault| !fault.note.is_empty()) {
        say!("fault:       at {:.3}s {}", fault.at_s, fault.in_words());
    }
    let counters = &result.counters;
    say!(
        "messages:    {} acknowledged, {} failed, {} unknown; {} delivered ({} again), {} settled",
        counters.published_acknowledged,
        counters.published_failed,
        counters.published_unknown,
        counters.delivered,
        counters.redelivered,
        counters.settled
    );
    for latency in &result.latencies {
        say!(
            "latency:     {}: half within {:.1} ms, 99 % within {:.1} ms",
            latency.name,
            latency.overall.p50_ms,
            latency.overall.p99_ms
        );
    }
    if identity.world == REAL {
        say!("time:        {:.1} s", result.timing.virtual_s);
    } else if let Some(speed) = result.timing.speed() {
        say!(
            "time:        {:.1} simulated seconds in {:.1} s ({speed:.0} times as fast)",
            result.timing.virtual_s,
            result.timing.wall_s
        );
    }
    if !result.unchecked.is_empty() {
        say!("checked:     {}", result.checked.join(", "));
        say!("not checked in this world: {}", result.unchecked.join(", "));
    } else if result.verdict == Verdict::Passed && outcome.applied.values().any(|&count| count == 0)
    {
        say!("note: some checks had nothing to look at");
    }
    for given in &result.given {
        say!("given:       {given}");
    }
    foot(identity, &result.fingerprint, report);
    if result.verdict != Verdict::Passed {
        say!("picture:     {}", identity.draw());
    }
}

/// How a run ended, in one line; exits of nodes are part of it even if nothing is wrong with them.
fn verdict_line(result: &RunResult) -> String {
    let verdict = result.verdict.label().to_uppercase();
    match result.exit_counts().in_words() {
        Some(exits) => format!("{verdict}, {exits}"),
        None => verdict,
    }
}

/// Identity, fingerprint, the way to do it again, and where the report is.
pub(super) fn foot(identity: &Identity, fingerprint: &str, report: Option<&Path>) {
    say!("run:         {identity}");
    if identity.world == REAL {
        say!(
            "run again:   {} (not the same run: no seed decides what processes do)",
            identity.reproduce()
        );
    } else {
        say!("fingerprint: {fingerprint}");
        say!("reproduce:   {}", identity.reproduce());
    }
    if let Some(report) = report {
        say!("report:      {}", report.display());
        say!("scenario:    {}", report.with_file_name(SCENARIO_FILE).display());
    }
}

#[cfg(test)]
mod tests {
    use paceline_reports::exits::{ExitCause, NodeExits};

    use super::*;

    #[test]
    fn a_passed_run_does_not_hide_that_nodes_ended() {
        let identity = paceline_reports::result::Identity::default();
        let mut result = RunResult::new(identity, Verdict::Passed);
        assert_eq!(verdict_line(&result), "PASSED");
        result.exits.push(NodeExits {
            node: "n2".into(),
            cause: ExitCause::DiskFull,
            exits: 3,
            restarts: 3,
            first_s: 8.0,
            last_s: 11.0,
            said: "no space".into(),
        });
        assert_eq!(verdict_line(&result), "PASSED, 3 exits of nodes (disk full), 3 restarts");
    }
}
