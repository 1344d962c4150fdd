//! From what a run left behind to what its report says: verdict, expectations, figures.

use std::time::Duration;

use paceline_reports::{
    RunResult,
    result::{
        Counters, Expectation, Finding, LatencySeries, LatencyWindow, Percentiles, Verdict,
        WorkloadShape,
    },
};
use paceline_scenario::{
    Scenario,
    format::{MovesExpectation, PlacementExpectation},
};

use crate::{
    check::{Balance, Severity},
    identity::Identity,
    observe::{Outcome, missed, movement::Moves},
    workload::operation::Reply,
};

/// The result of a run of the expanded scenario.
pub fn of(identity: &Identity, scenario: &Scenario, outcome: &Outcome) -> RunResult {
    let expectations = expectations(scenario, outcome);
    let mut findings: Vec<Finding> = outcome
        .crashed
        .iter()
        .map(|message| Finding {
            check: "crash".into(),
            detail: message.clone(),
            at_s: None,
            shards: Vec::new(),
            chain: Vec::new(),
        })
        .collect();
    let mut violations: Vec<_> = outcome.violations.iter().zip(&outcome.chains).collect();
    violations.sort_by_key(|(violation, _)| std::cmp::Reverse(violation.severity));
    findings.extend(violations.iter().map(|(violation, chain)| Finding {
        check: violation.check.to_owned(),
        detail: violation.detail.clone(),
        at_s: violation.at.map(|at| at.as_secs_f64()),
        shards: violation.shards.clone(),
        chain: (*chain).clone(),
    }));

    let worst = violations.first().map(|(violation, _)| violation.severity);
    let verdict = match worst {
        _ if outcome.crashed.is_some() => Verdict::Crashed,
        Some(Severity::Safety) => Verdict::SafetyViolated,
        Some(Severity::Liveness) => Verdict::LivenessViolated,
        Some(Severity::Expectation) => Verdict::ExpectationMissed,
        None if expectations.iter().any(|expectation| !expectation.met) => {
            Verdict::ExpectationMissed
        }
        None => Verdict::Passed,
    };

    let mut result = RunResult::new(identity.for_report(), verdict);
    result.findings = findings;
    result.fingerprint = outcome.fingerprint.clone();
    result.nodes = outcome.nodes.clone();
    for (node, mut took) in result.nodes.iter_mut().zip(latencies_by_node(scenario, outcome)) {
        node.latency = (!took.is_empty()).then(|| Percentiles::from_samples(&mut took));
    }
    let shares: Vec<f64> = outcome.history.destinations.iter().map(|it| it.share).collect();
    result.workload = (!shares.is_empty()).then(|| WorkloadShape {
        structural_cv: scenario.prediction().unevenness(),
        ..WorkloadShape::from_rates(&shares)
    });
    result.latencies = vec![
        series("publish to receipt", publish_latencies(outcome)),
        series("publish to delivery", delivery_latencies(outcome)),
    ];
    result.faults = outcome.faults.clone();
    result.changes = outcome.changes.clone();
    result.exits = outcome.exits.clone();
    result.expectations = expectations;
    result.counters = counters(outcome);
    result.expanded_scenario = Some(scenario.to_toml());
    result
}

/// When each measured thing ended, and how long it had taken.
type Latencies = Vec<(Duration, Duration)>;

fn publish_latencies(outcome: &Outcome) -> Latencies {
    let publishes = outcome.history.all_publishes();
    publishes
        .filter_map(|(_, publish)| match publish.reply {
            Some((at, Reply::Ok)) => Some((at, at.saturating_sub(publish.sent))),
            _ => None,
        })
        .collect()
}

fn delivery_latencies(outcome: &Outcome) -> Latencies {
    let deliveries = outcome.history.deliveries.iter();
    deliveries
        .filter(|delivery| !delivery.redelivered)
        .filter_map(|delivery| {
            let publish = outcome.history.publish(delivery.id)?;
            Some((delivery.at, delivery.at.saturating_sub(publish.sent)))
        })
        .collect()
}

/// The latencies of deliveries, in milliseconds, of the destinations that the placement gives to
/// each node first.
fn latencies_by_node(scenario: &Scenario, outcome: &Outcome) -> Vec<Vec<f64>> {
    let prediction = scenario.prediction();
    let node_of = |name: &str| prediction.row(prediction.slot(name))[0] as usize;
    let destinations = &outcome.history.destinations;
    let nodes: Vec<usize> = destinations.iter().map(|it| node_of(&it.name)).collect();
    let mut by_node = vec![Vec::new(); scenario.node_count() as usize];
    for delivery in outcome.history.deliveries.iter().filter(|it| !it.redelivered) {
        if let Some(publish) = outcome.history.publish(delivery.id) {
            let took = millis(delivery.at.saturating_sub(publish.sent));
            by_node[nodes[publish.destination.0 as usize]].push(took);
        }
    }
    by_node
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

fn series(name: &str, mut latencies: Latencies) -> LatencySeries {
    latencies.sort_unstable();
    let mut all: Vec<f64> = latencies.iter().map(|(_, took)| millis(*took)).collect();
    let windows = latencies
        .chunk_by(|(one, _), (other, _)| one.as_secs() == other.as_secs())
        .map(|window| {
            let mut took: Vec<f64> = window.iter().map(|(_, took)| millis(*took)).collect();
            LatencyWindow {
                at_s: window[0].0.as_secs() as f64,
                percentiles: Percentiles::from_samples(&mut took),
            }
        })
        .collect();
    LatencySeries { name: name.to_owned(), overall: Percentiles::from_samples(&mut all), windows }
}

fn p99(latencies: &Latencies) -> Option<Duration> {
    let mut took: Vec<Duration> = latencies.iter().map(|(_, took)| *took).collect();
    took.sort_unstable();
    let rank = (took.len() * 99).div_ceil(100);
    rank.checked_sub(1).map(|index| took[index])
}

fn counters(outcome: &Outcome) -> Counters {
    let history = &outcome.history;
    let mut counters = Counters::default();
    for (id, publish) in history.all_publishes() {
        match publish.fate() {
            Some(Reply::Ok) => counters.published_acknowledged += 1,
            Some(Reply::Failed) => counters.published_failed += 1,
            Some(Reply::Unknown) | None => counters.published_unknown += 1,
        }
        if publish.expires.is_some_and(|expires| expires <= outcome.end.at)
            && history.deliveries_of(id).next().is_none()
            && publish.is_acknowledged()
        {
            counters.expired += 1;
        }
    }
    counters.delivered = history.deliveries.len() as u64;
    counters.redelivered = history.deliveries.iter().filter(|it| it.redelivered).count() as u64;
    counters.settled = history.deliveries.iter().filter(|it| it.accepted.is_some()).count() as u64;
    counters.dead_lettered =
        history.deliveries.iter().filter(|it| it.destination.is_none()).count() as u64;
    counters.resident = outcome.end.resident();
    counters.acknowledged_lost = outcome.end.lost(history).len() as u64;
    counters.other.insert("connections lost".into(), history.closed.len() as u64);
    counters.other.insert("transactions".into(), history.transactions.len() as u64);
    counters
}

fn expectations(scenario: &Scenario, outcome: &Outcome) -> Vec<Expectation> {
    let expect = &scenario.expect;
    let mut list = Vec::new();
    let mut add = |name: &str, wanted: String, measured: String, met: bool| {
        let shards = if met { Vec::new() } else { to_do_with(name, scenario, outcome) };
        list.push(Expectation { name: name.to_owned(), wanted, measured, met, shards });
    };

    let lost = outcome.end.lost(&outcome.history).len() as u64;
    let allowed = expect.acknowledged_lost;
    if outcome.end.drained {
        add("acknowledged_lost", format!("{allowed}"), format!("{lost}"), lost <= allowed);
    }
    if let Some(after) = outcome.drained_after {
        let wanted = expect.drained_within;
        let measured = format!("{:.2}s", after.as_secs_f64());
        add("drained_within", wanted.to_string(), measured, after <= wanted.0);
    }
    if let Some(after) = outcome.settled_after {
        let wanted = expect.settled_within.unwrap_or(expect.drained_within);
        let measured = format!("{:.2}s", after.as_secs_f64());
        add("settled_within", wanted.to_string(), measured, after <= wanted.0);
    }
    if let (Some(MovesExpectation::Plan), Some(moves)) = (expect.moves, &outcome.moves) {
        let Moves { added, least, most, .. } = moves;
        let measured = match least == most {
            true => format!("{added} copies were filled, {most} were asked for"),
            false => format!("{added} copies were filled, {least} to {most} were asked for"),
        };
        add("moves", "plan".into(), measured, moves.are_as_planned());
    }
    if let Some(bound) = expect.snapshot_bytes {
        let bytes = outcome.snapshot_bytes;
        add("snapshot_bytes", bound.to_string(), bytes.to_string(), bound.holds(bytes as f64));
    }
    if let Some(bound) = expect.peak_to_average {
        let measured = Balance::of(&outcome.loads).map(|balance| balance.peak_to_average);
        let met = measured.is_some_and(|measured| bound.holds(measured));
        let measured = measured.map_or("no load".into(), |measured| format!("{measured:.3}"));
        add("peak_to_average", bound.to_string(), measured, met);
    }
    if let Some(placement) = expect.placement {
        let [first, row, elsewhere] = outcome.placed.iter().fold([0; 3], |sum, placed| {
            [sum[0] + placed[0], sum[1] + placed[1], sum[2] + placed[2]]
        });
        let measured = format!(
            "{first} messages from the first node of their row, {row} from another, {elsewhere} \
             from elsewhere"
        );
        let (wanted, met) = match placement {
            PlacementExpectation::Exact => ("exact", row + elsewhere == 0),
            PlacementExpectation::Row => ("row", elsewhere == 0),
        };
        add("placement", wanted.into(), measured, met && first + row > 0);
    }
    for (name, bound, latencies) in [
        ("publish_p99", expect.publish_p99, publish_latencies(outcome)),
        ("delivery_p99", expect.delivery_p99, delivery_latencies(outcome)),
    ] {
        if let Some(bound) = bound {
            let measured = p99(&latencies);
            let met = measured.is_some_and(|measured| bound.holds(measured));
            let measured = measured.map_or("nothing".into(), |it| format!("{:.1}ms", millis(it)));
            add(name, bound.to_string(), measured, met);
        }
    }
    if let Some(bound) = expect.delivered {
        let measured = outcome.history.delivered.len();
        add("delivered", bound.to_string(), measured.to_string(), bound.holds(measured as f64));
    }
    list
}

/// The shards that had most to do with an expectation that was missed.
fn to_do_with(name: &str, scenario: &Scenario, outcome: &Outcome) -> Vec<String> {
    let expect = &scenario.expect;
    match name {
        "acknowledged_lost" => missed::lost(outcome),
        "moves" => outcome.moves.as_ref().map_or_else(Vec::new, |it| it.unasked.clone()),
        "delivered" => missed::delivered(outcome),
        "peak_to_average" => missed::peak(outcome),
        "placement" => {
            missed::misplaced(outcome, expect.placement == Some(PlacementExpectation::Exact))
        }
        "publish_p99" => {
            expect.publish_p99.map_or_else(Vec::new, |it| missed::published_late(outcome, it))
        }
        "delivery_p99" => {
            expect.delivery_p99.map_or_else(Vec::new, |it| missed::delivered_late(outcome, it))
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::ids::DestinationInfo;

    /// A ring gives nodes uneven shares of the slots, which is no fault of the hash function.
    #[test]
    fn the_placements_own_unevenness_is_expected() {
        let told = |strategy: &str| {
            let text = format!(
                "name = \"uneven\"\nabout = \"x\"\nduration = \"1s\"\n[cluster]\nnodes = 5\n\
                 slots = 64\nstrategy = \"{strategy}\"\n[[workload]]\n\
                 protocol = \"stomp\"\ndestinations = {{ kind = \"queue\", count = 9 }}\n\
                 producers = 1\nconsumers = 1\nrate = \"9/s\"\nbody = {{ mean = \"9B\" }}\n"
            );
            let scenario = Scenario::load("uneven.toml", &text).unwrap();
            let mut outcome = Outcome::default();
            let queue = DestinationInfo {
                name: "q".into(),
                topic: false,
                kept: false,
                consumers: 1,
                auto_ack: false,
                prefetch: 1,
                delayed: false,
                distributed: false,
                parts: 1,
                grouped: false,
                exclusive: false,
                share: 1.0,
            };
            outcome.history.destinations.push(queue);
            let identity = Identity::simulated(&scenario, "uneven.toml".as_ref(), 1);
            of(&identity, &scenario, &outcome).workload.unwrap().structural_cv
        };
        // 13, 13, 13, 13 and 12 slots.
        assert!((told("slots") - 4f64.sqrt() / 64.0).abs() < 1e-12, "{}", told("slots"));
        assert!((0.1..0.9).contains(&told("ring")), "{}", told("ring"));
    }

    #[test]
    fn the_99th_of_a_hundred() {
        let latencies: Latencies =
            (1..=100).map(|n| (Duration::ZERO, Duration::from_millis(n))).collect();
        assert_eq!(p99(&latencies), Some(Duration::from_millis(99)));
        assert_eq!(p99(&Vec::new()), None);
    }
}
