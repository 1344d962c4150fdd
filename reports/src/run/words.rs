//! What the page of a run says in sentences.

use crate::balance::{Balance, Expected};
use crate::draw::text::{and, capitalised, count, number, percent};
use crate::result::{FaultMark, RunResult, Verdict};

/// Below this a spread that chance explains is that rare, and is called significant.
const SIGNIFICANT: f64 = 0.01;

/// How the note of a fault begins that did not come to pass.
const LEFT_OUT: &str = "left out";

/// Nodes that are named where there are more.
const NAMED: usize = 5;

/// The spread of the messages taken in, and what chance would give.
pub(super) struct Spread {
    pub(super) balance: Option<Balance>,
    pub(super) expected: Option<Expected>,
}

impl Spread {
    pub(super) fn of(result: &RunResult) -> Spread {
        let weights: Vec<f64> = result.nodes.iter().map(|node| node.weight).collect();
        let loads: Vec<f64> = result.nodes.iter().map(|node| node.totals.messages_in).collect();
        let messages: f64 = loads.iter().sum();
        Spread {
            balance: Balance::of(&loads, &weights),
            expected: result.workload.and_then(|shape| Expected::of(&shape, messages, &weights)),
        }
    }
}

/// The sentence the page opens with.
pub(super) fn lead(result: &RunResult, spread: &Spread) -> String {
    let what = match result.verdict {
        Verdict::Passed => {
            let met = match result.expectations.len() {
                0 => String::new(),
                1 => ", and the one expectation was met".to_owned(),
                n => format!(", and all {n} expectations were met"),
            };
            let exits = result.exit_counts().in_words();
            let exits = exits.map_or(String::new(), |exits| format!("; there were {exits}"));
            let seconds = number(result.timing.virtual_s);
            let every = match result.unchecked.is_empty() {
                true => "Every check held",
                false => "Every check that could be made held",
            };
            format!("{every} over {seconds} seconds{}{met}{exits}", faults(result))
        }
        verdict => {
            let found = result.findings.first().map(|finding| finding.detail.clone());
            let missed = result.expectations.iter().find(|e| !e.met);
            let missed =
                missed.map(|e| format!("{} was {}, wanted {}", e.name, e.measured, e.wanted));
            let why = if verdict == Verdict::ExpectationMissed {
                missed.or(found)
            } else {
                found.or(missed)
            };
            let why = why.unwrap_or_else(|| "the run names no finding".to_owned());
            format!("{}: {}", capitalised(verdict.label()), why.trim_end_matches('.'))
        }
    };
    let what = format!("{what}.{}", slowest(result));
    match &spread.balance {
        Some(balance) if result.nodes.len() > 1 => {
            let busiest = &result.nodes[balance.busiest()].name;
            let chance = spread.expected.as_ref().map_or(String::new(), |expected| {
                format!(", where chance alone gives {:.2}", expected.peak)
            });
            format!(
                "{what} The busiest of {} nodes, {busiest}, took {:.2} times its fair share of the messages{chance}{}.",
                result.nodes.len(),
                balance.peak,
                match result.nodes.iter().filter(|node| node.totals.down_s > 0.0).count() {
                    0 => "",
                    _ => ", and nodes were down meanwhile",
                }
            )
        }
        _ => what,
    }
}

/// How many faults struck, to be read behind a time.
fn faults(result: &RunResult) -> String {
    let struck = |mark: &&FaultMark| !mark.note.starts_with(LEFT_OUT);
    match result.faults.iter().filter(struck).count() {
        0 => String::new(),
        1 => " and one fault".into(),
        faults => format!(" and {} faults", count(faults as u64)),
    }
}

/// The longest that a message took, of the last kind of latency: the whole way, if that was measured.
fn slowest(result: &RunResult) -> String {
    let latency = result.latencies.last().filter(|latency| latency.overall.count > 0);
    latency.map_or(String::new(), |latency| {
        let took = match latency.overall.max_ms {
            ms if ms < 1000.0 => format!("{} ms", number(ms)),
            ms => format!("{} s", number(ms / 1000.0)),
        };
        format!(" The slowest took {took} from {}.", latency.name.replace(" to ", " until "))
    })
}

/// Who was down and for how long: `n3 was down for 2.1 s and n5 for 800 ms`; nothing if nobody was.
fn down(result: &RunResult) -> Option<String> {
    let mut nodes: Vec<_> = result.nodes.iter().filter(|node| node.totals.down_s > 0.0).collect();
    nodes.sort_by(|a, b| b.totals.down_s.total_cmp(&a.totals.down_s));
    let times = nodes.iter().take(NAMED).enumerate().map(|(at, node)| {
        let was = if at == 0 { " was down" } else { "" };
        format!("{}{was} for {:.1} s", node.name, node.totals.down_s.max(0.1))
    });
    let more = nodes.len().saturating_sub(NAMED);
    let more = (more > 0).then(|| format!("{} more for less", count(more as u64)));
    let words: Vec<String> = times.chain(more).collect();
    (!words.is_empty()).then(|| and(&words))
}

/// What the spread means, in words.
pub(super) fn explanation(
    result: &RunResult,
    balance: &Balance,
    expected: &Expected,
    destinations: u64,
) -> String {
    let base = format!(
        "Hashing {} destinations onto {} nodes spreads the load by {} (one standard deviation) if nothing but chance is at work.",
        count(destinations),
        balance.relative.len(),
        percent(expected.cv)
    );
    let verdict = match expected.p_value(balance) {
        None => String::new(),
        Some(_) if let Some(down) = down(result) => format!(
            " That is not all here: of {} s {down}, and others took in what was theirs. The measured \
             spread is {}.",
            number(result.timing.virtual_s),
            percent(balance.cv)
        ),
        Some(p) if p >= SIGNIFICANT => {
            format!(" The measured {} is within that (p = {p:.2}).", percent(balance.cv))
        }
        Some(p) => {
            let than = if balance.cv > expected.cv { "more uneven" } else { "more even" };
            let p = if p < 1e-4 { "p < 0.0001".to_owned() } else { format!("p = {p:.4}") };
            format!(
                " The measured {} is {than} than chance: something else is at work ({p}).",
                percent(balance.cv)
            )
        }
    };
    let bound = if expected.bound > 1.0 {
        format!(
            " The hottest destination alone is worth {} nodes' fair share; no placement of whole destinations has a lower peak.",
            number(expected.bound)
        )
    } else {
        String::new()
    };
    base + &verdict + &bound
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exits::{ExitCause, tests::exits_of};
    use crate::result::Finding;
    use crate::run::page::tests::run;

    fn opening(result: &RunResult) -> String {
        lead(result, &Spread::of(result))
    }

    #[test]
    fn the_opening_says_what_was_found() {
        let mut result = run(2, 10);
        let expected = "Every check held over 10 seconds and one fault, and the one expectation was \
                        met. The slowest took 9 ms from publish until receipt. The busiest of 2 nodes, ";
        assert!(opening(&result).starts_with(expected), "{}", opening(&result));
        result.faults[0].note = "left out: nobody leads".into();
        assert!(opening(&result).starts_with("Every check held over 10 seconds, and the one"));
        result.latencies[0].overall.max_ms = 1234.0;
        assert!(opening(&result).contains("The slowest took 1.234 s from publish until receipt."));
        result.exits.push(exits_of("n1", ExitCause::DiskFull, 3));
        assert!(
            opening(&result).contains("met; there were 3 exits of nodes (disk full), 3 restarts.")
        );
        result.verdict = Verdict::ExpectationMissed;
        result.expectations[0].met = false;
        assert!(
            opening(&result)
                .starts_with("Expectation missed: peak_to_average was 1.02, wanted <= 1.15. The")
        );
        result.verdict = Verdict::SafetyViolated;
        let detail = "Message 7 is nowhere.".to_owned();
        let check = "lost".into();
        let (shards, chain) = (Vec::new(), Vec::new());
        result.findings.push(Finding { check, detail, at_s: None, shards, chain });
        assert!(opening(&result).starts_with("Safety violated: Message 7 is nowhere. The slowest"));
    }

    #[test]
    fn a_spread_is_not_held_against_chance_where_nodes_were_down() {
        let mut result = run(8, 30);
        let explained = |result: &RunResult| {
            let spread = Spread::of(result);
            explanation(result, &spread.balance.unwrap(), &spread.expected.unwrap(), 1000)
        };
        assert!(explained(&result).contains("chance"));
        assert!(!explained(&result).contains("down"));
        result.nodes[2].totals.down_s = 2.04;
        result.nodes[4].totals.down_s = 12.0;
        let said = explained(&result);
        assert!(said.contains("of 30 s n4 was down for 12.0 s and n2 for 2.0 s"), "{said}");
        assert!(!said.contains("within that") && !said.contains("something else"), "{said}");
        assert!(opening(&result).ends_with(", and nodes were down meanwhile."));
        result.nodes.iter_mut().for_each(|node| node.totals.down_s = 1.0);
        assert!(
            explained(&result).contains("n4 for 1.0 s and 3 more for less,"),
            "{}",
            explained(&result)
        );
    }
}
