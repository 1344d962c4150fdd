//! What a change of the nodes costs.

use super::{Candidate, Rows, bars};
use std::collections::BTreeMap;

use crate::compare::change::FailoverCell;
use crate::draw::plot::{Axis, Chart, Layer};
use crate::draw::table::Table;
use crate::draw::text::{and, count, number};
use crate::draw::theme::{DASH_THEORY, Paint};

/// The peak after the worst failure of one node; `None` where no failure was measured.
pub(crate) fn failover_peaks(rows: &Rows, nodes: u64) -> Option<Chart> {
    let mut rows: Vec<(&str, &FailoverCell)> =
        rows.iter().filter_map(|row| Some((row.strategy, row.failover?))).collect();
    rows.sort_by(|a, b| a.1.peak.total_cmp(&b.1.peak));
    let (best, worst) = (*rows.first()?, *rows.last()?);
    let names: Vec<String> = rows.iter().map(|row| row.0.to_owned()).collect();
    let expected: Vec<Option<f64>> = rows.iter().map(|row| row.1.expected).collect();
    let bound = rows.iter().map(|row| row.1.bound).fold(1.0, f64::max);
    let values: Vec<f64> = rows.iter().map(|row| row.1.peak).collect();
    let top = values.iter().chain(expected.iter().flatten()).copied().fold(bound, f64::max);
    let mut chart = Chart::new(
        format!("Peak when one of {} nodes has failed", count(nodes)),
        "times the fair share of a survivor",
        Axis::linear_from(1.0, top, 5),
        Axis::rows(&names, 40),
    );
    chart.note =
        "The busiest survivor after the worst failure. Shorter is better; the axis begins \
                  at 1."
            .into();
    chart.description = format!(
        "Lowest: {} with {:.3}. Highest: {} with {:.3}.",
        best.0, best.1.peak, worst.0, worst.1.peak
    );
    chart.layers = vec![
        bars("measured", values, 1.0),
        Layer::Ticks { name: "expected by theory".into(), values: expected, paint: Paint::High },
        Layer::Level { name: "least possible".into(), value: bound, paint: Paint::Theory },
    ];
    Some(chart)
}

/// Moved ÷ optimal of every strategy and change; `None` without movement.
pub(crate) fn movement(rows: &Rows) -> Option<Chart> {
    let mut rows: Vec<&Candidate> =
        rows.iter().copied().filter(|row| row.moved_ratio().is_some()).collect();
    rows.sort_by(|a, b| a.moved_ratio().unwrap_or(0.0).total_cmp(&b.moved_ratio().unwrap_or(0.0)));
    let names: Vec<String> = rows.iter().map(|row| row.strategy.to_owned()).collect();
    let mut changes: BTreeMap<&str, Vec<(f64, f64, String)>> = BTreeMap::new();
    let (mut least, mut most) = (1.0f64, 1.0f64);
    for (at, row) in rows.iter().enumerate() {
        for cell in &row.moves {
            let Some(ratio) = cell.ratio().filter(|ratio| *ratio > 0.0) else { continue };
            (least, most) = (least.min(ratio), most.max(ratio));
            changes.entry(&cell.change).or_default().push((ratio, at as f64, String::new()));
        }
    }
    if changes.is_empty() {
        return None;
    }
    let mut chart = Chart::new(
        "Moved by a change, against the least possible",
        "times the least possible",
        Axis::log(least.max(0.01), most, 5).padded(),
        Axis::rows(&names, 40),
    );
    chart.note =
        "Logarithmic. A dot per change; at 1, only what must move moves. By the number of \
                  destinations, and by load for strategies that know it."
            .into();
    chart.description =
        format!("Between {} and {} times the least possible.", number(least), number(most));
    chart.layers.push(Layer::Level {
        name: "least possible".into(),
        value: 1.0,
        paint: Paint::Theory,
    });
    // Dots of one row are set apart, so that equal ones are all seen.
    let kinds = changes.len();
    for (i, (change, mut points)) in changes.into_iter().enumerate() {
        let shift = if kinds > 1 { (i as f64 / (kinds - 1) as f64 - 0.5) * 0.6 } else { 0.0 };
        for point in &mut points {
            point.1 += shift;
        }
        chart.layers.push(Layer::Dots {
            name: change.into(),
            points,
            paint: Paint::Series(i as u8),
        });
    }
    Some(chart)
}

/// Peak against movement: what is low in one is often high in the other.
pub(crate) fn pareto(rows: &Rows, recommended: Option<&str>) -> Option<Chart> {
    let points: Vec<(f64, f64, &str)> = rows
        .iter()
        .filter_map(|row| Some((row.moved_ratio()?.max(0.01), row.peak(), row.strategy)))
        .collect();
    let ends = |of: fn(&(f64, f64, &str)) -> f64| {
        points.iter().map(of).fold((f64::MAX, 0.0f64), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (x, y) = (ends(|p| p.0), ends(|p| p.1));
    if points.len() < 2 || y.0 <= 0.0 {
        return None;
    }
    let mut chart = Chart::new(
        "Peak against movement",
        "moved, times the least possible",
        Axis::log(x.0.min(1.0), x.1, 5).padded(),
        Axis::log(y.0.min(1.0), y.1, 5).padded(),
    );
    chart.note = "Both logarithmic; the lower left is best. The line joins those that no other beats in both, those left out that are there to compare against only."
        .into();
    let baseline = |name: &str| rows.iter().any(|row| row.strategy == name && row.baseline);
    let mut front: Vec<(f64, f64)> = points
        .iter()
        .filter(|p| !baseline(p.2))
        .filter(|p| {
            !points
                .iter()
                .any(|q| !baseline(q.2) && q.0 <= p.0 && q.1 <= p.1 && (q.0 < p.0 || q.1 < p.1))
        })
        .map(|p| (p.0, p.1))
        .collect();
    front.sort_by(|a, b| a.0.total_cmp(&b.0));
    let unbeaten: Vec<String> =
        points.iter().filter(|p| front.contains(&(p.0, p.1))).map(|p| p.2.to_owned()).collect();
    chart.description = format!("Unbeaten in both: {}.", and(&unbeaten));
    if front.len() > 1 {
        let paint = Paint::Theory;
        chart.layers.push(Layer::Line {
            name: "unbeaten".into(),
            points: front,
            paint,
            dash: DASH_THEORY,
        });
    }
    let mut table = Table::new(["Strategy", "Moved ÷ optimal", "Peak"], 1);
    for point in &points {
        table.row(vec![point.2.into(), number(point.0).into(), number(point.1).into()]);
    }
    chart.table = Some(table);
    let (ours, others): (Vec<_>, Vec<_>) =
        points.iter().copied().partition(|p: &(f64, f64, &str)| Some(p.2) == recommended);
    for (name, points, paint) in
        [("recommended", ours, Paint::High), ("others", others, Paint::Series(0))]
    {
        if !points.is_empty() {
            let points = points.into_iter().map(|p| (p.0, p.1, p.2.to_owned())).collect();
            chart.layers.push(Layer::Dots { name: name.into(), points, paint });
        }
    }
    Some(chart)
}
