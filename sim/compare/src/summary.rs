//! What a comparison prints: one line per strategy for the focus.

use std::collections::BTreeSet;

use paceline_reports::{CompareResult, compare::MovementCell};

/// The table, ready to print.
pub(super) fn table(result: &CompareResult) -> String {
    let focus = &result.focus;
    let mut lines = vec![
        format!("{} on {} nodes", focus.population, focus.nodes),
        format!(
            "{:14} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9}",
            "strategy", "peak", "expected", "bound", "p", "moved/opt", "ns", "bytes"
        ),
    ];
    for strategy in &result.strategies {
        let here = |name: &str, nodes: u64, population: &str| {
            name == strategy.name && nodes == focus.nodes && population == focus.population
        };
        let Some(balance) =
            result.balance.iter().find(|c| here(&c.strategy, c.nodes, &c.population))
        else {
            continue;
        };
        let movement = result.movement.iter().find(|c| here(&c.strategy, c.nodes, &c.population));
        let cost = result.cost.iter().find(|c| here(&c.strategy, c.nodes, &focus.population));
        let figure = |value: Option<f64>, digits: usize| {
            value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
        };
        lines.push(format!(
            "{:14} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9}",
            strategy.name,
            figure(Some(balance.peak), 4),
            figure(balance.expected.map(|expected| expected.peak), 4),
            figure(Some(balance.bound), 4),
            figure(balance.p_value, 3),
            figure(movement.and_then(|cell| cell.ratio()), 3),
            figure(cost.map(|cell| cell.lookup_ns), 1),
            figure(cost.map(|cell| cell.bytes), 0),
        ));
    }
    if let Some(change) = result.movement.first().map(|cell| &cell.change) {
        lines.push(format!("moved/opt: {change}"));
    }
    lines.extend(changes(result));
    for cell in &result.failovers {
        if cell.nodes == focus.nodes && cell.population == focus.population {
            let expected = cell.expected.map_or(String::new(), |it| format!(", expected {it:.4}"));
            let left = cell.left.as_ref().map_or(String::new(), |left| format!(", {left} left"));
            lines.push(format!("failover: {:14} {:.4}{expected}{left}", cell.strategy, cell.peak));
        }
    }
    for cell in &result.spilling {
        if cell.nodes == focus.nodes && cell.population == focus.population {
            let hottest = match cell.hottest_on {
                0 => String::new(),
                1 => ", the hottest destination is on 1 node".to_owned(),
                many => format!(", the hottest destination is on {many} nodes"),
            };
            lines.push(format!(
                "{} by messages, {} in flight: peak {:.4} (without a bound {:.4}), {:.1} % spill \
                 (at least {:.1} %){hottest}",
                cell.strategy,
                cell.in_flight,
                cell.peak,
                cell.unbounded_peak,
                100.0 * cell.spilled,
                100.0 * cell.least_spilled,
            ));
        }
    }
    for refusal in &result.refusals {
        lines.push(format!(
            "not compared: {}, {}: {}",
            refusal.strategy, refusal.asked, refusal.reason
        ));
    }
    lines.join("\n")
}

/// Which nodes each change touched at the focus, and what single strategies make of it.
fn changes(result: &CompareResult) -> Vec<String> {
    let focus = &result.focus;
    let here =
        |cell: &&MovementCell| cell.nodes == focus.nodes && cell.population == focus.population;
    let mut told = BTreeSet::new();
    let mut lines = Vec::new();
    for cell in result.movement.iter().filter(here) {
        let who = cell.who();
        if !who.is_empty() && told.insert(&cell.change) {
            lines.push(format!("{}: {who}", cell.change));
        }
    }
    for cell in result.movement.iter().filter(here) {
        let note = cell.note.as_ref();
        lines.extend(note.map(|note| format!("{}, {}: {note}", cell.strategy, cell.change)));
    }
    lines
}
