//! How the load is spread.

use super::DRAWN;
use std::collections::BTreeSet;

use crate::compare::charts::{cdf, lorenz, peaks, sorted_loads};

use crate::compare::differing::differing;

use crate::compare::recommend::{Candidate, Recommendation, SIGNIFICANT};

use crate::compare::result::{BalanceCell, CompareResult, LoadProfile};

use crate::draw::page::Page;

use crate::draw::table::{Cell, Table};

use crate::draw::text::{and, count, number, p_text};

use crate::result::ReportError;

pub(super) fn balance(
    page: &mut Page,
    result: &CompareResult,
    all: &[Candidate],
    rows: &[&Candidate],
    found: Option<&Recommendation>,
) -> Result<(), ReportError> {
    page.section("Balance");
    if rows.is_empty() {
        page.paragraph("No balance was measured at the focus.");
        return Ok(());
    }
    let hashes: BTreeSet<&str> = rows.iter().map(|row| row.hash).collect();
    let hashes: Vec<String> = hashes.into_iter().map(str::to_owned).collect();
    page.paragraph(&format!(
        "{} on {} nodes, hashed by {}. Every figure stands beside what theory expects of the \
         strategy; p is the probability that chance gives a spread at least as far from it, over all \
         salts together.",
        result.focus.population,
        count(result.focus.nodes),
        and(&hashes)
    ));
    let shown =
        |p: &LoadProfile| rows.iter().any(|row| row.strategy == p.strategy && row.hash == p.hash);
    let profiles = drawn_profiles(result, found, shown);
    let strategies = [Some(peaks(rows, result.focus.nodes)), lorenz(&profiles), cdf(&profiles)];
    page.charts(
        strategies.into_iter().flatten().chain(profiles.iter().filter_map(|p| sorted_loads(p))),
    )?;
    page.table(&balance_table(rows.iter().copied()));
    page.folded_table("The same for every hash function", &balance_table(all));
    Ok(())
}

/// The loads that are drawn: the recommended ones, and of the others those that differ most.
pub(super) fn drawn_profiles<'a>(
    result: &'a CompareResult,
    found: Option<&Recommendation>,
    shown: impl Fn(&LoadProfile) -> bool,
) -> Vec<&'a LoadProfile> {
    // Of each strategy the one that the tables show, if it was kept.
    let any = result.profiles.iter().any(&shown);
    let other =
        |p: &LoadProfile| found.is_none_or(|f| f.strategy != p.strategy || f.hash != p.hash);
    let sorted = |p: &'a LoadProfile| {
        let mut loads = p.relative_loads.clone();
        loads.sort_by(f64::total_cmp);
        (p, loads)
    };
    let mut profiles: Vec<_> =
        result.profiles.iter().filter(|p| !any || shown(p)).map(sorted).collect();
    profiles.sort_by_key(|(p, _)| (other(p), p.population != result.focus.population));
    let distance = |(_, a): &(_, Vec<f64>), (_, b): &(_, Vec<f64>)| {
        let apart: f64 = a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum();
        apart + a.len().abs_diff(b.len()) as f64
    };
    differing(profiles, DRAWN, distance).into_iter().map(|(profile, _)| profile).collect()
}

pub(super) fn balance_table<'a>(all: impl IntoIterator<Item = &'a Candidate<'a>>) -> Table {
    let all: Vec<&Candidate> = all.into_iter().collect();
    // Columns that say nothing are left out, so that the rest fits.
    let hashed = all.iter().any(|candidate| candidate.hash != all[0].hash);
    let salted = all.iter().any(|candidate| candidate.cells.len() > 1);
    let tested = all.iter().any(|candidate| candidate.p_value().is_some());
    let columns = [
        ("Strategy", true),
        ("Hash", hashed),
        ("Salts", salted),
        ("Peak", true),
        ("Expected", true),
        ("Bound", true),
        ("Reading", tested),
        ("p", tested),
        ("Worst peak", salted),
        ("CV", true),
        ("Expected CV", true),
        ("Gini", true),
        ("Jain", true),
        ("Usable nodes", true),
    ];
    let words = 1 + usize::from(hashed);
    let mut table = Table::new(columns.iter().filter(|c| c.1).map(|c| c.0), words);
    for candidate in all {
        let cells = &candidate.cells;
        let n = cells.len() as f64;
        let mean = |of: fn(&BalanceCell) -> f64| cells.iter().map(|cell| of(cell)).sum::<f64>() / n;
        let cv = cells.iter().filter_map(|cell| Some(cell.expected?.cv)).next_back();
        let worst = cells.iter().map(|cell| cell.peak).fold(0.0, f64::max);
        let row: [Cell; 14] = [
            candidate.strategy.into(),
            candidate.hash.into(),
            cells.len().to_string().into(),
            number(candidate.peak()).into(),
            candidate.expected_peak().map_or("–".to_owned(), number).into(),
            number(candidate.bound()).into(),
            reading(candidate.p_value(), mean(|c| c.cv), cv),
            candidate.p_value().map_or("–".to_owned(), p_text).into(),
            number(worst).into(),
            number(mean(|c| c.cv)).into(),
            cv.map_or("–".to_owned(), number).into(),
            number(mean(|c| c.gini)).into(),
            number(mean(|c| c.jain)).into(),
            number(cells[0].nodes as f64 / candidate.peak()).into(),
        ];
        let shown = row.into_iter().zip(columns).filter(|(_, column)| column.1);
        table.row(shown.map(|(cell, _)| cell).collect());
    }
    table
}

/// What a p-value says.
pub(super) fn reading(p: Option<f64>, cv: f64, expected: Option<f64>) -> Cell {
    match (p, expected) {
        (None, _) => "–".into(),
        (Some(p), _) if p >= SIGNIFICANT => Cell::good("as theory"),
        (Some(_), Some(expected)) if cv < expected => Cell::bad("too even"),
        (Some(_), _) => Cell::bad("too uneven"),
    }
}
