//! What changes of the cluster do, as the page tells it: movement, failover and restart.

use std::collections::BTreeSet;

use crate::{
    compare::charts::{failover_peaks, movement, pareto},
    compare::recommend::{Candidate, Recommendation, SIGNIFICANT},
    compare::result::CompareResult,
    draw::{
        page::Page,
        table::{Cell, Table},
        text::{number, p_text, percent},
    },
    result::ReportError,
};

pub(super) fn moves(
    page: &mut Page,
    all: &[Candidate],
    rows: &[&Candidate],
    found: Option<&Recommendation>,
) -> Result<(), ReportError> {
    let Some(chart) = movement(rows) else { return Ok(()) };
    page.section("Movement");
    page.paragraph(
        "What a change of the cluster moves, against the least that must move for the new shares to \
         be fair: a part of the destinations for strategies that do not know their load, and a part \
         of the load for those that do, with what slots of a lost node displace that are larger than \
         the room of any other. Collateral is load that moves between two nodes which the \
         change did not touch.",
    );
    page.charts(
        [Some(chart), pareto(rows, found.map(|f| f.strategy.as_str()))].into_iter().flatten(),
    )?;
    who(page, rows);
    let mut table = Table::new(
        [
            "Strategy",
            "Hash",
            "Change",
            "Load moved",
            "Destinations",
            "Least possible",
            "Ratio",
            "Expected",
            "Collateral",
            "Peak after",
            "Bound after",
        ],
        3,
    );
    let mut told = BTreeSet::new();
    let cells = all.iter().flat_map(|candidate| &candidate.moves);
    for cell in cells.filter(|c| told.insert((&c.strategy, &c.hash, &c.change))) {
        let collateral = percent(cell.collateral);
        table.row(vec![
            cell.strategy.clone().into(),
            cell.hash.clone().into(),
            cell.change.clone().into(),
            percent(cell.moved).into(),
            cell.moved_count.map_or("–".to_owned(), percent).into(),
            percent(cell.optimal).into(),
            cell.ratio().map_or("–".to_owned(), |ratio| format!("{ratio:.3}")).into(),
            cell.expected.map_or("–".to_owned(), percent).into(),
            if cell.collateral > 0.0 { Cell::bad(collateral) } else { collateral.into() },
            cell.peak_after.map_or("–".to_owned(), number).into(),
            cell.bound_after.map_or("–".to_owned(), number).into(),
        ]);
    }
    page.folded_table("Every change in numbers", &table);
    Ok(())
}

/// Which nodes each change touched, and what that means to single strategies.
fn who(page: &mut Page, rows: &[&Candidate]) {
    let cells = || rows.iter().flat_map(|row| &row.moves);
    let mut table = Table::new(["Change", "Who"], 2);
    let mut told = BTreeSet::new();
    for cell in cells().filter(|cell| !cell.who().is_empty() && told.insert(&cell.change)) {
        table.row(vec![cell.change.clone().into(), Cell::words(cell.who())]);
    }
    if !told.is_empty() {
        page.table(&table);
    }
    let notes = cells().filter_map(|cell| {
        cell.note.as_ref().map(|note| format!("{}, {}: {note}", cell.strategy, cell.change))
    });
    page.list(&notes.collect::<Vec<_>>());
}

pub(super) fn failures(
    page: &mut Page,
    result: &CompareResult,
    rows: &[&Candidate],
) -> Result<(), ReportError> {
    let Some(chart) = failover_peaks(rows, result.focus.nodes) else { return Ok(()) };
    page.section("Failover");
    page.paragraph(
        "One node fails and, before anything is moved, the second nodes of its rows serve. The peak \
         is that of the busiest survivor after the worst failure of all. It has two causes: how the \
         strategy spreads the second nodes, and chance, which throws the destinations onto pairs of \
         nodes.",
    );
    page.charts([chart])?;
    let mut table = Table::new(
        ["Strategy", "Peak", "After", "Without chance", "Expected", "Bound", "Reading", "p"],
        1,
    );
    for (row, cell) in rows.iter().filter_map(|row| Some((row, row.failover?))) {
        let optional = |value: Option<f64>| value.map_or("–".to_owned(), number);
        let reading = match (cell.p_value, cell.expected) {
            (Some(p), _) if p >= SIGNIFICANT => Cell::good("as theory"),
            (Some(_), Some(expected)) if cell.peak < expected => Cell::bad("lower"),
            (Some(_), _) => Cell::bad("higher"),
            (None, _) => "–".into(),
        };
        table.row(vec![
            row.strategy.into(),
            number(cell.peak).into(),
            cell.left.as_ref().map_or("–".to_owned(), |left| format!("{left} left")).into(),
            optional(cell.structural).into(),
            optional(cell.expected).into(),
            number(cell.bound).into(),
            reading,
            cell.p_value.map_or("–".to_owned(), p_text).into(),
        ]);
    }
    page.table(&table);
    Ok(())
}

pub(super) fn restarts(page: &mut Page, rows: &[&Candidate]) {
    if rows.iter().all(|row| row.restart.is_none()) {
        return;
    }
    page.section("Restart");
    let left = rows.iter().find_map(|row| row.restart?.left.as_deref());
    page.paragraph(&format!(
        "{} has left and come back. Then a process starts again, remembers nothing, and makes its \
         placement from the list of nodes alone. Whatever it places elsewhere than the others do is \
         lost to them until it has read the table.",
        left.unwrap_or("A node")
    ));
    let mut table = Table::new(["Strategy", "Elsewhere", "Must remember"], 1);
    for (row, cell) in rows.iter().filter_map(|row| Some((row, row.restart?))) {
        let remembers =
            if cell.elsewhere > 0.0 { "its table".into() } else { Cell::good("nothing") };
        table.row(vec![row.strategy.into(), percent(cell.elsewhere).into(), remembers]);
    }
    page.table(&table);
}
