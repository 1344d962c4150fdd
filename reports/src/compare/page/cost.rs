//! Balance over the number of nodes, and what a strategy costs.

use std::collections::BTreeMap;

use crate::compare::charts::{Curve, CurveStyle, curves, peak_curves};
use crate::compare::recommend::{Candidate, Recommendation};
use crate::compare::result::{BalanceCell, CompareResult};
use crate::draw::page::Page;
use crate::draw::table::Table;
use crate::draw::text::{bytes, count, number};
use crate::result::ReportError;

pub(super) fn sizes(
    page: &mut Page,
    result: &CompareResult,
    rows: &[&Candidate],
    found: Option<&Recommendation>,
) -> Result<(), ReportError> {
    let hash_of: BTreeMap<&str, &str> = rows.iter().map(|row| (row.strategy, row.hash)).collect();
    let first = found.map(|f| f.strategy.as_str());
    let at_focus = |cell: &BalanceCell| cell.population == result.focus.population;
    let (over_n, theory) =
        peak_curves(result, &hash_of, |cell| at_focus(cell).then_some(cell.nodes as f64));
    let style = CurveStyle {
        title: "Peak against the number of nodes".into(),
        x_label: "nodes",
        y_label: "Peak",
        log_x: true,
        theory,
    };
    let over_n = curves(style, over_n, first);
    let skews: BTreeMap<&str, f64> =
        result.populations.iter().filter_map(|p| Some((p.name.as_str(), p.skew?))).collect();
    let (over_skew, theory) = peak_curves(result, &hash_of, |cell| {
        let at_focus = cell.nodes == result.focus.nodes;
        at_focus.then(|| skews.get(cell.population.as_str()).copied()).flatten()
    });
    let style = CurveStyle {
        title: "Peak against skew".into(),
        x_label: "exponent of Zipf's law",
        y_label: "Peak",
        log_x: false,
        theory,
    };
    let charts: Vec<_> = [over_n, curves(style, over_skew, first)].into_iter().flatten().collect();
    if !charts.is_empty() {
        page.section("More nodes, more skew");
        page.charts(charts)?;
    }
    Ok(())
}

pub(super) fn cost(
    page: &mut Page,
    result: &CompareResult,
    rows: &[&Candidate],
    found: Option<&Recommendation>,
) -> Result<(), ReportError> {
    if result.cost.is_empty() {
        return Ok(());
    }
    page.section("Cost");
    // All under one hash: the recommended one, if it was timed.
    let timed = |hash: &str| result.cost.iter().any(|c| c.hash == hash);
    let hash = found.map(|f| f.hash.as_str()).filter(|hash| timed(hash));
    let hash = hash.unwrap_or(&result.cost[0].hash);
    page.paragraph(&format!("From a name to its node, hashed by {hash}, salt included."));
    let curves_of = |of: fn(&crate::compare::CostCell) -> f64| -> Vec<Curve> {
        let points = |row: &&Candidate| {
            let cells = result.cost.iter().filter(|c| c.strategy == row.strategy && c.hash == hash);
            Curve {
                name: row.strategy.to_owned(),
                points: cells.map(|c| (c.nodes as f64, of(c))).collect(),
            }
        };
        rows.iter().map(points).collect()
    };
    let style = |title: &str, y_label: &'static str| CurveStyle {
        title: title.into(),
        x_label: "nodes",
        y_label,
        log_x: true,
        theory: Vec::new(),
    };
    let first = found.map(|f| f.strategy.as_str());
    let time = style("Nanoseconds from a name to its node", "Nanoseconds");
    let memory = style("Bytes that the placement holds", "Bytes");
    let charts = [
        curves(time, curves_of(|c| c.lookup_ns), first),
        curves(memory, curves_of(|c| c.bytes), first),
    ];
    page.charts(charts.into_iter().flatten())?;
    let mut table = Table::new(
        [
            "Strategy",
            "Hash",
            "Nodes",
            "Lookup ns",
            "Dependent ns",
            "Build µs",
            "Update µs",
            "Memory",
        ],
        2,
    );
    for cell in &result.cost {
        let optional = |value: Option<f64>| value.map_or("–".to_owned(), number);
        table.row(vec![
            cell.strategy.clone().into(),
            cell.hash.clone().into(),
            count(cell.nodes).into(),
            number(cell.lookup_ns).into(),
            optional(cell.dependent_ns).into(),
            optional(cell.build_us).into(),
            optional(cell.update_us).into(),
            bytes(cell.bytes).into(),
        ]);
    }
    page.folded_table("Every cost in numbers", &table);
    Ok(())
}
