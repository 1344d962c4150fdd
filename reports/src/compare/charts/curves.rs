//! Lines of many strategies in one chart.

use std::collections::BTreeMap;

use crate::compare::result::{BalanceCell, CompareResult};
use crate::draw::plot::{Axis, Chart, Layer};
use crate::draw::table::Table;
use crate::draw::text::{and, number};
use crate::draw::theme::{DASH_THEORY, HUES, Paint};

/// The most strategies that get a line each.
const LINES: usize = HUES as usize;

/// Points of one strategy over some quantity.
pub(crate) struct Curve {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// How [`curves`] draws.
pub(crate) struct CurveStyle {
    pub title: String,
    pub x_label: &'static str,
    pub y_label: &'static str,
    pub log_x: bool,
    /// Curves from theory, drawn as such.
    pub theory: Vec<Curve>,
}

/// One line per strategy on a logarithmic scale. Where there are more than can be told apart, those
/// that differ most are drawn and the note says which of them each of the others is like.
pub(crate) fn curves(style: CurveStyle, mut all: Vec<Curve>, first: Option<&str>) -> Option<Chart> {
    for curve in &mut all {
        curve.points.retain(|p| p.1 > 0.0 && (!style.log_x || p.0 > 0.0));
        curve.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    all.retain(|curve| !curve.points.is_empty());
    let theory: Vec<&Curve> =
        style.theory.iter().filter(|curve| !curve.points.is_empty()).collect();
    let points = || all.iter().flat_map(|c| &c.points).chain(theory.iter().flat_map(|c| &c.points));
    let ends = |of: fn(&(f64, f64)) -> f64| {
        points().map(of).fold((f64::MAX, 0.0f64), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (x, y) = (ends(|p| p.0), ends(|p| p.1));
    if all.is_empty() || x.0 == x.1 {
        return None;
    }
    let (drawn, like) = distinct(&all, LINES, first);
    let x = if style.log_x { Axis::log(x.0, x.1, 6) } else { Axis::linear(x.0, x.1, 6) };
    let mut chart = Chart::new(style.title, style.x_label, x, Axis::log(y.0, y.1, 6));
    let scale = if style.log_x { "Both axes logarithmic." } else { "Logarithmic upwards." };
    chart.note = if like.is_empty() {
        scale.to_owned()
    } else {
        format!("{scale} Not drawn, being alike: {like}.")
    };
    chart.description = format!("{} for {} strategies.", chart.title, all.len());
    for (i, &at) in drawn.iter().enumerate() {
        chart.layers.push(Layer::Line {
            name: all[at].name.clone(),
            points: all[at].points.clone(),
            paint: Paint::Series(i as u8),
            dash: Paint::dash_of_series(i),
        });
    }
    for (i, curve) in theory.iter().enumerate() {
        chart.layers.push(Layer::Line {
            name: curve.name.clone(),
            points: curve.points.clone(),
            paint: if i == 0 { Paint::Theory } else { Paint::Ink },
            dash: if i == 0 { DASH_THEORY } else { 2 },
        });
    }
    chart.table = Some(curve_table(&all, style.x_label, style.y_label));
    Some(chart)
}

fn curve_table(all: &[Curve], x_label: &str, y_label: &str) -> Table {
    let mut xs: Vec<f64> = all.iter().flat_map(|c| c.points.iter().map(|p| p.0)).collect();
    xs.sort_by(f64::total_cmp);
    xs.dedup();
    let head = format!("{y_label} at {x_label} =");
    let columns = xs.iter().map(|x| number(*x));
    let mut table = Table::new([head].into_iter().chain(columns), 1);
    for curve in all {
        let value = |x: &f64| {
            curve.points.iter().find(|p| p.0 == *x).map_or("–".to_owned(), |p| number(p.1))
        };
        let cells = xs.iter().map(|x| value(x).into());
        table.row([curve.name.clone().into()].into_iter().chain(cells).collect());
    }
    table
}

/// The indices of at most `most` curves that differ most, `first` always among them, and in words
/// which of them the others are like.
fn distinct(all: &[Curve], most: usize, first: Option<&str>) -> (Vec<usize>, String) {
    let start = first.and_then(|name| all.iter().position(|c| c.name == name)).unwrap_or(0);
    let mut chosen = vec![start];
    let nearest = |i: usize, chosen: &[usize]| {
        let by_distance = chosen.iter().map(|&j| (distance(&all[i], &all[j]), j));
        by_distance.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, start))
    };
    while chosen.len() < most.min(all.len()) {
        let rest = (0..all.len()).filter(|i| !chosen.contains(i));
        let Some(next) =
            rest.max_by(|&a, &b| nearest(a, &chosen).0.total_cmp(&nearest(b, &chosen).0))
        else {
            break;
        };
        chosen.push(next);
    }
    let mut like: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for i in (0..all.len()).filter(|i| !chosen.contains(i)) {
        like.entry(nearest(i, &chosen).1).or_default().push(all[i].name.clone());
    }
    let phrases: Vec<String> = like
        .into_iter()
        .map(|(j, names)| format!("{} (like {})", and(&names), all[j].name))
        .collect();
    (chosen, phrases.join("; "))
}

/// Mean ratio between two curves where both have points, as a logarithm.
fn distance(a: &Curve, b: &Curve) -> f64 {
    let pairs = a.points.iter().filter_map(|p| {
        let other = b.points.iter().find(|q| q.0 == p.0)?;
        Some((p.1 / other.1).ln().abs())
    });
    let (sum, n) = pairs.fold((0.0, 0.0f64), |(sum, n), d| (sum + d, n + 1.0));
    if n == 0.0 { f64::MAX } else { sum / n }
}

/// Curves of the peak over whatever `x` takes from the cells that it accepts, with the mean over
/// salts; and the bound and plain chance over the same.
pub(crate) fn peak_curves(
    result: &CompareResult,
    hashes: &BTreeMap<&str, &str>,
    x: impl Fn(&BalanceCell) -> Option<f64>,
) -> (Vec<Curve>, Vec<Curve>) {
    let mut peaks: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    let (mut bound, mut chance) = (Vec::new(), Vec::new());
    for cell in &result.balance {
        if hashes.get(cell.strategy.as_str()) != Some(&cell.hash.as_str()) {
            continue;
        }
        let Some(at) = x(cell) else { continue };
        peaks.entry(&cell.strategy).or_default().push((at, cell.peak));
        bound.push((at, cell.bound));
        if let Some(expected) = cell.expected.filter(|_| cell.strategy == "modulo") {
            chance.push((at, expected.peak));
        }
    }
    let order = result.strategies.iter();
    let curves = order.filter_map(|s| {
        Some(Curve { name: s.name.clone(), points: means(peaks.remove(s.name.as_str())?) })
    });
    let theory = [("chance alone", chance), ("least possible", bound)];
    let theory = theory.map(|(name, points)| Curve { name: name.into(), points: means(points) });
    (curves.collect(), theory.into())
}

/// The mean of all values at each position, in order.
fn means(mut points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
        .chunk_by(|a, b| a.0 == b.0)
        .map(|same| (same[0].0, same.iter().map(|p| p.1).sum::<f64>() / same.len() as f64))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(name: &str, values: &[f64]) -> Curve {
        let points = values.iter().enumerate().map(|(i, &v)| (i as f64, v)).collect();
        Curve { name: name.into(), points }
    }

    #[test]
    fn of_many_curves_the_ones_that_differ_are_drawn() {
        let all = [
            curve("a", &[1.0, 1.0]),
            curve("a2", &[1.01, 1.0]),
            curve("far", &[9.0, 9.0]),
            curve("b", &[2.0, 2.0]),
            curve("b2", &[2.0, 2.01]),
        ];
        let (drawn, like) = distinct(&all, 3, Some("b"));
        assert_eq!(drawn, [3, 2, 0]);
        assert_eq!(like, "a2 (like a); b2 (like b)");
    }

    #[test]
    fn salts_are_averaged_where_they_stand_at_one_place() {
        assert_eq!(means(vec![(2.0, 4.0), (1.0, 1.0), (2.0, 6.0)]), [(1.0, 1.0), (2.0, 5.0)]);
    }
}
