//! The page of one run.

use super::charts::{MEASURES, heat_map, latency, load_bars, load_cdf, lorenz, over_time};
use super::words::{Spread, explanation, lead};
use crate::balance::{Balance, Expected};
use crate::draw::page::Page;
use crate::draw::table::{Cell, Table};
use crate::draw::text::{and, bytes, count, number, percent};
use crate::result::{FaultMark, Finding, ReportError, RunResult, Verdict};

/// The most nodes that the page lists; the CSV holds them all.
const LISTED: usize = 1000;

/// The HTML page of one run: a single file with nothing outside it.
///
/// # Errors
/// [`ReportError::Invalid`] if the result holds impossible numbers, [`ReportError::Plot`] if a plot
/// cannot be drawn.
pub fn run_page(result: &RunResult) -> Result<String, ReportError> {
    result.validate()?;
    let spread = Spread::of(result);
    let mut page = Page::new(&result.identity.scenario);
    page.opening(
        "Run report",
        result.verdict.label(),
        result.verdict == Verdict::Passed,
        &lead(result, &spread),
        &result.identity.reproduce,
    );
    page.paragraph(&result.identity.about);
    facts(&mut page, result);
    findings(&mut page, result);
    expectations(&mut page, result);
    checks(&mut page, result);
    balance(&mut page, result, &spread)?;
    page.section("Load over time");
    let charts: Vec<_> = MEASURES.iter().filter_map(|m| over_time(result, m)).collect();
    if charts.is_empty() {
        page.paragraph("No load was sampled.");
    }
    page.charts(charts)?;
    latencies(&mut page, result)?;
    changes(&mut page, result);
    faults(&mut page, result);
    exits(&mut page, result);
    counters(&mut page, result);
    if let Some(scenario) = &result.expanded_scenario {
        page.section("Scenario");
        page.folded_text("The scenario as it ran, with everything random written out", scenario);
    }
    Ok(page.finish())
}

fn facts(page: &mut Page, result: &RunResult) {
    let identity = &result.identity;
    let speed = result.timing.speed().filter(|_| identity.world != "real");
    let speed = speed.map(|speed| format!("{} × real time", number(speed)));
    page.facts(&[
        ("World", identity.world.clone()),
        ("Seed", identity.seed.to_string()),
        ("Scenario hash", identity.scenario_hash.clone()),
        ("Commit", identity.commit.clone()),
        ("Time run", format!("{} s", number(result.timing.virtual_s))),
        ("Time waited", format!("{} s", number(result.timing.wall_s))),
        ("Speed", speed.unwrap_or_default()),
        ("Fingerprint", result.fingerprint.clone()),
    ]);
}

fn findings(page: &mut Page, result: &RunResult) {
    if result.findings.is_empty() {
        return;
    }
    page.section("Findings");
    let mut table = Table::new(["Check", "Second", "What was found"], 3);
    for finding in &result.findings {
        let at = finding.at_s.map_or("–".to_owned(), |at| format!("{at:.3}"));
        table.row(vec![
            Cell::from(finding.check.clone()),
            at.into(),
            Cell::words(finding.detail.clone()),
        ]);
    }
    page.table(&table);
    for finding in &result.findings {
        shards(page, &finding.check, &finding.shards);
        chain(page, finding);
    }
}

/// What became of the messages that a finding is about.
fn chain(page: &mut Page, finding: &Finding) {
    if finding.chain.is_empty() {
        return;
    }
    let mut table = Table::new([format!("What happened, {}", finding.check)], 1);
    finding.chain.iter().for_each(|line| table.row(vec![Cell::words(line.clone())]));
    page.table(&table);
}

/// What each shard that a finding or an expectation is about has to do with it.
fn shards(page: &mut Page, about: &str, shards: &[String]) {
    if shards.is_empty() {
        return;
    }
    let mut table = Table::new([format!("Shards, {about}")], 1);
    shards.iter().for_each(|shard| table.row(vec![shard.clone().into()]));
    page.table(&table);
}

/// What was looked at and what was not, where this world does not show all; what it has of its own.
fn checks(page: &mut Page, result: &RunResult) {
    if result.unchecked.is_empty() && result.given.is_empty() {
        return;
    }
    page.section("What was checked");
    if !result.unchecked.is_empty() {
        page.paragraph(&format!("Checked: {}.", result.checked.join(", ")));
        page.paragraph(&format!("Not checked in this world: {}.", result.unchecked.join(", ")));
    }
    for given in &result.given {
        page.paragraph(&format!("Given by this world, whatever the scenario says: {given}."));
    }
}

fn expectations(page: &mut Page, result: &RunResult) {
    if result.expectations.is_empty() {
        return;
    }
    page.section("Expectations");
    let mut table = Table::new(["Expectation", "Wanted", "Measured", "Met"], 4);
    for expectation in &result.expectations {
        table.row(vec![
            expectation.name.clone().into(),
            expectation.wanted.clone().into(),
            expectation.measured.clone().into(),
            if expectation.met { Cell::good("✓ yes") } else { Cell::bad("✗ no") },
        ]);
    }
    page.table(&table);
    for expectation in &result.expectations {
        shards(page, &expectation.name, &expectation.shards);
    }
}

fn balance(page: &mut Page, result: &RunResult, spread: &Spread) -> Result<(), ReportError> {
    page.section("Balance");
    let Some(balance) = &spread.balance else {
        page.paragraph("No node took in a message, so there is no balance to speak of.");
        return Ok(());
    };
    let expected = spread.expected.as_ref();
    if let (Some(expected), Some(shape)) = (expected, &result.workload) {
        page.paragraph(&explanation(result, balance, expected, shape.destinations));
    }
    let mut table = Table::new(["Messages taken in", "Measured", "By chance alone", "Perfect"], 1);
    let n = result.nodes.len() as f64;
    for (name, measured, by_chance, perfect) in [
        (
            "Peak to average",
            balance.peak,
            expected.map(|e| e.peak),
            expected.map_or(1.0, |e| e.bound),
        ),
        ("Least to average", balance.least, None, 1.0),
        ("Coefficient of variation", balance.cv, expected.map(|e| e.cv), 0.0),
        ("Gini coefficient", balance.gini, expected.map(Expected::gini), 0.0),
        ("Jain's index", balance.jain, expected.map(Expected::jain), 1.0),
        ("Usable nodes", balance.effective_nodes(), expected.map(|e| n / e.peak), n),
    ] {
        let by_chance = by_chance.map_or("–".to_owned(), number);
        table.row(vec![
            name.into(),
            number(measured).into(),
            by_chance.into(),
            number(perfect).into(),
        ]);
    }
    page.table(&table);
    page.charts(
        [
            load_bars(result, balance, expected),
            lorenz(balance, expected),
            load_cdf(balance, expected),
        ]
        .into_iter()
        .chain(heat_map(result)),
    )?;
    let summary = match result.nodes.len() {
        n if n > LISTED => format!("The first {LISTED} nodes in total (nodes.csv has all)"),
        _ => "Every node in total".to_owned(),
    };
    page.folded_table(&summary, &nodes_table(result, balance));
    Ok(())
}

fn nodes_table(result: &RunResult, balance: &Balance) -> Table {
    let total: f64 = result.nodes.iter().map(|node| node.totals.messages_in).sum();
    let mut table = Table::new(
        [
            "Node",
            "Weight",
            "Messages in",
            "Share",
            "Predicted",
            "Against fair",
            "Messages out",
            "Bytes in",
            "Bytes out",
            "Processor",
            "Down",
            "Slots led",
        ],
        1,
    );
    for (node, relative) in result.nodes.iter().zip(&balance.relative).take(LISTED) {
        let totals = &node.totals;
        table.row(vec![
            node.name.clone().into(),
            number(node.weight).into(),
            number(totals.messages_in).into(),
            percent(totals.messages_in / total).into(),
            node.predicted_share.map_or("–".to_owned(), percent).into(),
            format!("{:+.1} %", (relative - 1.0) * 100.0).into(),
            number(totals.messages_out).into(),
            bytes(totals.bytes_in).into(),
            bytes(totals.bytes_out).into(),
            format!("{} s", number(totals.cpu_s)).into(),
            format!("{} s", number(totals.down_s)).into(),
            totals.slots_led.map_or("–".to_owned(), count).into(),
        ]);
    }
    table
}

fn latencies(page: &mut Page, result: &RunResult) -> Result<(), ReportError> {
    if result.latencies.is_empty() {
        return Ok(());
    }
    page.section("Latency");
    let mut table =
        Table::new(["Milliseconds", "Messages", "p50", "p90", "p99", "p99.9", "max"], 1);
    for latency in &result.latencies {
        let percentiles = latency.overall.named().map(|(_, value)| number(value).into());
        let head = [latency.name.clone().into(), count(latency.overall.count).into()];
        table.row(head.into_iter().chain(percentiles).collect());
    }
    page.table(&table);
    page.charts(result.latencies.iter().filter_map(|l| latency(result, l)))
}

fn changes(page: &mut Page, result: &RunResult) {
    if result.changes.is_empty() {
        return;
    }
    page.section("Changes of the cluster");
    page.paragraph("From when each was begun with until it was made.");
    page.table(&marks("Change", &result.changes));
}

fn faults(page: &mut Page, result: &RunResult) {
    if result.faults.is_empty() {
        return;
    }
    page.section("Faults");
    page.paragraph("The numbers stand above the shaded stretches of the plots.");
    page.table(&marks("Fault", &result.faults));
}

fn marks(what: &'static str, marks: &[FaultMark]) -> Table {
    let mut table = Table::new(["No.", what, "Nodes", "From (s)", "Until (s)"], 3);
    for (i, mark) in marks.iter().enumerate() {
        table.row(vec![
            (i + 1).to_string().into(),
            Cell::words(mark.in_words()),
            and(&mark.nodes).into(),
            format!("{:.3}", mark.at_s).into(),
            mark.until_s.map_or("–".to_owned(), |until| format!("{until:.3}")).into(),
        ]);
    }
    table
}

fn exits(page: &mut Page, result: &RunResult) {
    if result.exits.is_empty() {
        return;
    }
    page.section("Exits of nodes");
    page.paragraph(
        "A node that cannot go on, because its disk is full or fails, says so and ends; it was \
         then started again, as an operating system does.",
    );
    let mut table = Table::new(
        ["Node", "Why", "What it said first", "Exits", "Restarts", "First (s)", "Last (s)"],
        3,
    );
    for exits in result.exits.iter().take(LISTED) {
        table.row(vec![
            exits.node.clone().into(),
            exits.cause.label().to_owned().into(),
            Cell::words(exits.said.clone()),
            count(exits.exits).into(),
            count(exits.restarts).into(),
            format!("{:.3}", exits.first_s).into(),
            format!("{:.3}", exits.last_s).into(),
        ]);
    }
    page.table(&table);
}

fn counters(page: &mut Page, result: &RunResult) {
    page.section("Messages");
    let mut table = Table::new(["What became of the messages", "Count"], 1);
    for (name, value) in result.counters.named() {
        let text = count(value);
        let lost = name == "acknowledged and lost" && value > 0;
        table.row(vec![name.into(), if lost { Cell::bad(text) } else { text.into() }]);
    }
    page.table(&table);
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::exits::{ExitCause, tests::exits_of};
    use crate::result::{
        Expectation, FaultMark, Finding, Identity, LatencySeries, LatencyWindow, NodeLoad,
        Percentiles, WorkloadShape,
    };

    pub(in crate::run) fn run(nodes: usize, seconds: usize) -> RunResult {
        let identity = Identity {
            scenario: "split-brain".into(),
            reproduce: "cargo sim replay split-brain.toml --seed 7".into(),
            ..Identity::default()
        };
        let mut result = RunResult::new(identity, Verdict::Passed);
        result.timing.virtual_s = seconds as f64;
        result.workload = Some(WorkloadShape::uniform(1000));
        for i in 0..nodes {
            let mut node = NodeLoad::new(format!("n{i}"));
            let series = &mut node.series;
            series.messages_in = (0..seconds).map(|s| 100.0 + ((s + i) % 7) as f64).collect();
            series.queue_depth = vec![3.0; seconds];
            series.cpu_busy = vec![0.4; seconds];
            node.predicted_share = Some(1.0 / nodes as f64);
            node.sum_up(1.0);
            result.nodes.push(node);
        }
        let percentiles = Percentiles::from_samples(&mut [1.0, 2.0, 9.0]);
        let windows = (0..seconds).map(|s| LatencyWindow { at_s: s as f64, percentiles });
        result.latencies.push(LatencySeries {
            name: "publish to receipt".into(),
            overall: percentiles,
            windows: windows.collect(),
        });
        result.faults.push(FaultMark {
            at_s: 1.0,
            until_s: None,
            label: "clock jump".into(),
            note: String::new(),
            nodes: vec!["n0".into()],
        });
        result.expectations.push(Expectation {
            name: "peak_to_average".into(),
            wanted: "<= 1.15".into(),
            measured: "1.02".into(),
            met: true,
            shards: Vec::new(),
        });
        result
    }

    /// Texts between `open` and `close`, in order.
    fn between<'a>(page: &'a str, open: &str, close: &str) -> Vec<&'a str> {
        page.split(open).skip(1).filter_map(|rest| rest.split(close).next()).collect()
    }

    #[test]
    fn a_page_has_its_parts_in_order() {
        let page = run_page(&run(5, 30)).unwrap();
        assert_eq!(
            between(&page, "<h2>", "</h2>"),
            ["Expectations", "Balance", "Load over time", "Latency", "Faults", "Messages"]
        );
        assert_eq!(
            between(&page, "<h3>", "</h3>"),
            [
                "Messages taken in by each node",
                "Lorenz curve",
                "Nodes by load",
                "Load of every node over time",
                "Messages taken in per second",
                "Messages waiting",
                "Processor time used",
                "Latency, publish to receipt, in milliseconds",
            ]
        );
        let (lead, command) = (page.find("class=\"lead\""), page.find("<span>replay</span>"));
        assert!(lead.unwrap() < command.unwrap() && command < page.find("<h2>"));
        assert_eq!(page.matches("<figure>").count(), page.matches("<title id=").count());
        assert_eq!(page.matches("<figure>").count(), page.matches("role=\"img\"").count());
    }

    #[test]
    fn a_page_fetches_nothing() {
        let page = run_page(&run(5, 30)).unwrap();
        for outside in
            ["http:", "https:", "//cdn", "src=", "href=", "@import", "url(", "<script", "<link"]
        {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn degenerate_runs_still_make_a_page() {
        let mut silent = run(4, 10);
        for node in &mut silent.nodes {
            node.totals = Default::default();
            node.series.messages_in = vec![0.0; 10];
        }
        let mut weightless = run(2, 10);
        weightless.nodes[0].weight = 0.0;
        let mut bare = RunResult::new(Identity::default(), Verdict::Crashed);
        bare.nodes.push(NodeLoad::new(""));
        for result in
            [run(0, 0), run(1, 1), run(2, 1), run(200, 2), run(3, 2000), silent, weightless, bare]
        {
            let page = run_page(&result).unwrap();
            assert!(page.ends_with("</html>\n"));
            assert!(!page.contains("NaN") && !page.contains("inf "), "{}", result.nodes.len());
        }
    }

    #[test]
    fn shards_and_chains_are_told_with_what_they_are_about() {
        let mut result = run(2, 3);
        let shards = vec!["slot 7 on n1: no leader known at n1".to_owned()];
        let (check, detail) = ("drain".to_owned(), "late".to_owned());
        let chain = vec!["p0-1 of q:".to_owned(), "  1.000000s sent by producer p0".to_owned()];
        result.findings.push(Finding { check, detail, at_s: None, shards, chain });
        result.expectations[0].shards = vec!["slot 3 on n2: led by n2".to_owned()];
        let page = run_page(&result).unwrap();
        for text in [
            "What happened, drain",
            "1.000000s sent by producer p0",
            "Shards, drain",
            "slot 7 on n1: no leader known at n1",
            "Shards, peak_to_average",
            "slot 3 on n2: led by n2",
        ] {
            assert!(page.contains(text), "{text}");
        }
    }

    #[test]
    fn what_was_not_checked_is_named() {
        let mut result = run(2, 3);
        assert!(!run_page(&result).unwrap().contains("What was checked"));
        result.checked = vec!["lost".into()];
        result.unchecked = vec!["credit".into(), "one-leader".into()];
        result.given = vec!["clock: one for all".into()];
        let page = run_page(&result).unwrap();
        assert!(page.contains("Every check that could be made held"), "no other has passed");
        assert!(page.contains("Checked: lost."));
        assert!(page.contains("Not checked in this world: credit, one-leader."));
        assert!(page.contains("clock: one for all."));
    }

    #[test]
    fn an_impossible_number_is_refused() {
        let mut result = run(2, 3);
        result.nodes[1].series.queue_depth[2] = f64::NAN;
        assert!(matches!(run_page(&result), Err(ReportError::Invalid { .. })));
    }

    #[test]
    fn everything_that_came_from_outside_is_escaped() {
        let evil = || "<script>alert(1)</script>\"'&".to_owned();
        let mut result = run(3, 5);
        result.identity = Identity {
            scenario: evil(),
            about: evil(),
            scenario_hash: evil(),
            seed: 1,
            commit: evil(),
            world: evil(),
            reproduce: evil(),
        };
        result.fingerprint = evil();
        result.nodes[0].name = evil();
        result.latencies[0].name = evil();
        result.faults[0].label = evil();
        result.faults[0].note = evil();
        result.faults[0].nodes = vec![evil()];
        let shards = vec![evil()];
        result.findings.push(Finding {
            check: evil(),
            detail: evil(),
            at_s: Some(1.0),
            shards: shards.clone(),
            chain: vec![evil()],
        });
        result.expectations[0] =
            Expectation { name: evil(), wanted: evil(), measured: evil(), met: false, shards };
        result.counters.other.insert(evil(), 1);
        result.exits.push(exits_of(&evil(), ExitCause::Other, 1));
        result.exits[0].said = evil();
        (result.checked, result.unchecked) = (vec![evil()], vec![evil()]);
        result.given = vec![evil()];
        result.expanded_scenario = Some(evil());
        result.verdict = Verdict::ExpectationMissed;
        let page = run_page(&result).unwrap();
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
    }
}
