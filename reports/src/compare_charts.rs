//! The charts of a comparison of placements.

use std::collections::BTreeMap;

use crate::balance::{Balance, P_BINS, p_histogram, uniformity};
use crate::compare::{
    BalanceCell, CompareResult, Course, FailoverCell, LoadProfile, SaltedPValues, SimulatedRun,
};
use crate::html::{Table, and, count, number, percent};
use crate::plot::theme::{DASH_THEORY, HUES, Paint};
use crate::plot::{Axis, Chart, Layer, Span, thinned};
use crate::recommend::Candidate;

/// The most strategies that get a line each.
const LINES: usize = HUES as usize;
/// The most bars that are drawn: more would be thinner than a line.
const BARS: usize = 250;
/// The most rows of a table behind a chart.
const ROWS: usize = 60;
/// Two-sided 95 % of a normal distribution, in standard deviations.
const Z95: f64 = 1.96;

/// One strategy per row with its figures, all under one hash where possible: the best of each.
pub(crate) type Rows<'a> = [&'a Candidate<'a>];

/// Peak of every strategy at the focus, lowest on top, beside its theory and the bound.
pub(crate) fn peaks(rows: &Rows, nodes: u64) -> Chart {
    let mut rows: Vec<&Candidate> = rows.to_vec();
    rows.sort_by(|a, b| a.peak().total_cmp(&b.peak()));
    let names: Vec<String> = rows.iter().map(|row| row.strategy.to_owned()).collect();
    let values: Vec<f64> = rows.iter().map(|row| row.peak()).collect();
    let expected: Vec<Option<f64>> = rows.iter().map(|row| row.expected_peak()).collect();
    let bound = rows.iter().map(|row| row.bound()).fold(1.0, f64::max);
    let top = values.iter().chain(expected.iter().flatten()).copied().fold(bound, f64::max);
    let mut chart = Chart::new(
        format!("Peak to average on {} nodes", count(nodes)),
        "times the fair share; 1 is perfectly even",
        Axis::linear_from(1.0, top, 5),
        Axis::rows(&names, 40),
    );
    chart.note = "The load of the busiest node. Shorter is better; the axis begins at 1.".into();
    chart.description = match (rows.first(), rows.last()) {
        (Some(best), Some(worst)) => format!(
            "Lowest: {} with {:.3}. Highest: {} with {:.3}.",
            best.strategy,
            best.peak(),
            worst.strategy,
            worst.peak()
        ),
        _ => String::new(),
    };
    let mut table = Table::new(["Strategy", "Peak", "Expected", "Bound"], 1);
    for row in &rows {
        table.row(vec![
            row.strategy.into(),
            number(row.peak()).into(),
            row.expected_peak().map_or("–".to_owned(), number).into(),
            number(row.bound()).into(),
        ]);
    }
    chart.table = Some(table);
    chart.layers = vec![
        bars("measured", values, 1.0),
        Layer::Ticks { name: "expected by theory".into(), values: expected, paint: Paint::High },
        Layer::Level { name: "least possible".into(), value: bound, paint: Paint::Theory },
    ];
    chart
}

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

/// The load of every node under one combination, sorted, with the band that chance gives.
pub(crate) fn sorted_loads(profile: &LoadProfile) -> Option<Chart> {
    let mut loads = profile.relative_loads.clone();
    loads.sort_by(|a, b| b.total_cmp(a));
    let n = loads.len();
    let (&most, &least) = (loads.first()?, loads.last()?);
    let shown: Vec<f64> = thinned(&loads, BARS).copied().collect();
    let band = profile.expected_cv.map(|cv| ((1.0 - Z95 * cv).max(0.0), 1.0 + Z95 * cv));
    let top = band.map_or(most, |band| band.1.max(most));
    let ranks: Vec<String> = (0..shown.len())
        .map(|i| (1 + i * (n - 1) / shown.len().saturating_sub(1).max(1)).to_string())
        .collect();
    let x = Axis::columns(&ranks, 40);
    let title = format!("{} with {}: every node", profile.strategy, profile.hash);
    let mut chart =
        Chart::new(title, "nodes, busiest first", x, Axis::linear(0.0, top.max(1.0), 5));
    chart.note =
        format!("Load against the fair share, {}, {} nodes.", profile.population, count(n as u64));
    chart.description =
        format!("The busiest node has {}, the least busy {}.", number(most), number(least));
    let mut measured = bars("measured", shown.clone(), 0.0);
    if let Layer::Bars { width, .. } = &mut measured {
        *width = if n > 60 { 1.0 } else { 0.7 };
    }
    chart.layers.push(measured);
    if let Some(band) = band {
        let bands = vec![band; shown.len()];
        let name = "95 % by theory".to_owned();
        chart.layers.push(Layer::BarBands { name, bands, paint: Paint::Theory });
    }
    chart.layers.push(Layer::Level { name: "fair share".into(), value: 1.0, paint: Paint::Theory });
    Some(chart)
}

/// Lorenz curves of all profiles of one population.
pub(crate) fn lorenz(profiles: &[&LoadProfile]) -> Option<Chart> {
    let percents = |axis: Axis| axis.labelled(|v| format!("{:.0} %", v * 100.0));
    let axis = || percents(Axis::linear(0.0, 1.0, 5));
    let mut chart = Chart::new("Lorenz curves", "of the nodes, least loaded first", axis(), axis());
    chart.note = "The part of the load that the least loaded part of the nodes carries; the straight line is even.".into();
    let points = vec![(0.0, 0.0), (1.0, 1.0)];
    chart.layers.push(Layer::Line {
        name: "even".into(),
        points,
        paint: Paint::Theory,
        dash: DASH_THEORY,
    });
    let mut table = Table::new(["Strategy", "Hash", "Gini", "Carried by the busiest tenth"], 2);
    for (i, profile) in profiles.iter().enumerate() {
        let Some(balance) = balance_of(profile) else { continue };
        let curve = balance.lorenz();
        let tenth = curve.iter().find(|p| p.0 >= 0.9).map_or(0.0, |p| 1.0 - p.1);
        table.row(vec![
            profile.strategy.clone().into(),
            profile.hash.clone().into(),
            number(balance.gini).into(),
            percent(tenth).into(),
        ]);
        chart.layers.push(Layer::Line {
            name: format!("{} (Gini {})", label(profile, profiles), number(balance.gini)),
            points: thinned(&curve, 400).copied().collect(),
            paint: Paint::Series(i as u8),
            dash: Paint::dash_of_series(i),
        });
    }
    chart.description =
        format!("{} combinations; the table has their Gini coefficients.", profiles.len());
    chart.table = Some(table);
    (chart.layers.len() > 1).then_some(chart)
}

/// The part of the nodes at or below each load, of all profiles.
pub(crate) fn cdf(profiles: &[&LoadProfile]) -> Option<Chart> {
    let loads = || profiles.iter().flat_map(|p| &p.relative_loads).copied();
    let (low, high) = loads().fold((f64::MAX, 1.0f64), |(low, high), v| (low.min(v), high.max(v)));
    if high < low {
        return None;
    }
    let x = Axis::linear(low.min(1.0), high, 5);
    let (low, high) = x.span();
    let y = Axis::linear(0.0, 1.0, 5).labelled(|v| format!("{:.0} %", v * 100.0));
    let mut chart = Chart::new("Nodes by load", "at most so many times the fair share", x, y);
    chart.note =
        "The part of the nodes that carry at most so much (cumulative). Steeper is more even."
            .into();
    let mut table = Table::new(["Strategy", "Hash", "Least", "10 %", "50 %", "90 %", "Peak"], 2);
    for (i, profile) in profiles.iter().enumerate() {
        let mut sorted = profile.relative_loads.clone();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        if n == 0 {
            continue;
        }
        let rank = |part: f64| number(sorted[((part * n as f64).ceil() as usize).clamp(1, n) - 1]);
        let ranks = [0.0, 0.1, 0.5, 0.9, 1.0].map(|part| rank(part).into());
        let names = [profile.strategy.clone().into(), profile.hash.clone().into()];
        table.row(names.into_iter().chain(ranks).collect());
        let mut points = vec![(low, 0.0)];
        let indices: Vec<usize> = (0..n).collect();
        for &at in thinned(&indices, 400) {
            points.extend([
                (sorted[at], at as f64 / n as f64),
                (sorted[at], (at + 1) as f64 / n as f64),
            ]);
        }
        points.push((high, 1.0));
        chart.layers.push(Layer::Line {
            name: label(profile, profiles),
            points,
            paint: Paint::Series(i as u8),
            dash: Paint::dash_of_series(i),
        });
    }
    chart.description = format!("{} combinations; the table has their quantiles.", profiles.len());
    chart.table = Some(table);
    (!chart.layers.is_empty()).then_some(chart)
}

/// Load of every node at every step of a course.
pub(crate) fn course(course: &Course) -> Option<Chart> {
    let steps = course.steps.len();
    if steps == 0 || course.nodes.is_empty() {
        return None;
    }
    // Where there are more nodes or steps than can be seen, a few of them, evenly chosen.
    let mut all: Vec<usize> = (0..course.nodes.len()).collect();
    // n2 before n10.
    all.sort_by_key(|&node| (course.nodes[node].len(), &course.nodes[node]));
    let rows: Vec<usize> = thinned(&all, 48).copied().collect();
    let all: Vec<usize> = (0..steps).collect();
    let columns: Vec<usize> = thinned(&all, 120).copied().collect();
    let mut sizes: Vec<f64> = course
        .steps
        .iter()
        .flat_map(|s| &s.relative_loads)
        .flatten()
        .map(|x| (x - 1.0).abs())
        .collect();
    sizes.sort_by(f64::total_cmp);
    let full =
        sizes.get(sizes.len().saturating_sub(1) * 98 / 100).copied().unwrap_or(0.0).clamp(0.1, 1.0);
    let mut cells = Vec::new();
    for (row, &node) in rows.iter().enumerate() {
        for (i, &step) in columns.iter().enumerate() {
            let to = columns.get(i + 1).copied().unwrap_or(steps);
            let load = course.steps[step].relative_loads[node];
            let shade = load.map(|x| ((x - 1.0) / full).clamp(-1.0, 1.0));
            cells.push((row, step as f64, to as f64, shade));
        }
    }
    let names: Vec<String> = rows.iter().map(|&node| course.nodes[node].clone()).collect();
    let title = format!("{} with {}: {}", course.strategy, course.hash, course.title);
    let x = Axis::time(steps as f64, 8);
    let mut chart = Chart::new(title, "step", x, Axis::rows(&names, 24));
    let moved: f64 = course.steps.iter().map(|step| step.moved).sum();
    let optimal: Option<f64> = course.steps.iter().map(|step| step.optimal).sum();
    let against = optimal.filter(|optimal| *optimal > 0.0).map_or(String::new(), |optimal| {
        format!(", {} times the least possible", number(moved / optimal))
    });
    chart.note = format!(
        "Load against the fair share: blue less, orange more, grey away; full colour is {} and \
         beyond. Moved in all: {} times the whole load{against}.",
        percent(full),
        number(moved)
    );
    chart.description = format!("A heat map of {} nodes over {steps} steps.", course.nodes.len());
    let mut table = Table::new(["Step", "What happened", "Peak", "Moved", "Least possible"], 2);
    let spans = |(at, step): (usize, &crate::compare::CourseStep)| {
        step.label.as_ref()?;
        Some(Span { from: at as f64, to: at as f64, label: at.to_string() })
    };
    for (at, step) in thinned(&course.steps.iter().enumerate().collect::<Vec<_>>(), ROWS) {
        let peak = step.relative_loads.iter().flatten().copied().fold(0.0, f64::max);
        table.row(vec![
            at.to_string().into(),
            step.label.clone().unwrap_or_default().into(),
            number(peak).into(),
            percent(step.moved).into(),
            step.optimal.map_or("–".to_owned(), percent).into(),
        ]);
    }
    chart.table = Some(table);
    chart.layers.push(Layer::Cells { cells });
    let spans = course.steps.iter().enumerate().filter_map(spans).collect();
    chart.layers.push(Layer::Spans { name: "change, by its step".into(), spans });
    Some(chart)
}

/// Histogram of the p-values of many salts, with the band that uniform ones stay in.
pub(crate) fn p_values(salted: &SaltedPValues) -> Option<Chart> {
    if salted.p_values.is_empty() {
        return None;
    }
    let bins = p_histogram(&salted.p_values);
    let (n, part) = (salted.p_values.len() as f64, 1.0 / P_BINS as f64);
    let (mean, deviation) = (n * part, (n * part * (1.0 - part)).sqrt());
    let band = ((mean - Z95 * deviation).max(0.0), mean + Z95 * deviation);
    let most = bins.iter().map(|&bin| bin as f64).fold(band.1, f64::max);
    let edges: Vec<String> = (0..P_BINS).map(|i| format!("{:.2}", i as f64 * part)).collect();
    let title =
        format!("p-values of {}, {} with {}", salted.p_values.len(), salted.strategy, salted.hash);
    let title = title.replacen(", ", " salts: ", 1);
    let x = Axis::columns(&edges, 40);
    let mut chart = Chart::new(title, "p-value", x, Axis::linear(0.0, most, 5));
    let verdict = match uniformity(&salted.p_values) {
        None => "Too few salts to judge.".to_owned(),
        Some(p) if p < 0.001 => "Not uniform (p < 0.001): this is not chance.".to_owned(),
        Some(p) if p < 0.01 => format!("Doubtful: p = {p:.4} for being uniform."),
        Some(p) => format!("Uniform, as chance gives (p = {p:.2})."),
    };
    chart.note = format!("{} nodes, {}. {verdict}", count(salted.nodes), salted.population);
    chart.description = format!("A histogram in {P_BINS} bins; {mean:.0} of each are expected.");
    let mut table = Table::new(["p-value from", "Salts", "Expected"], 0);
    for (edge, bin) in edges.iter().zip(&bins) {
        table.row(vec![edge.clone().into(), bin.to_string().into(), number(mean).into()]);
    }
    chart.table = Some(table);
    let mut salts = bars("salts", bins.iter().map(|&bin| bin as f64).collect(), 0.0);
    if let Layer::Bars { width, .. } = &mut salts {
        *width = 0.92;
    }
    chart.layers = vec![
        salts,
        Layer::BarBands {
            name: "95 % if uniform".into(),
            bands: vec![band; P_BINS],
            paint: Paint::Theory,
        },
        Layer::Level { name: "expected".into(), value: mean, paint: Paint::Theory },
    ];
    Some(chart)
}

/// The latency of every node of every simulated run against its load. `None` where no node has one.
pub(crate) fn latency_against_load(runs: &[SimulatedRun]) -> Option<Chart> {
    let mut series = Vec::new();
    let mut table =
        Table::new(["Strategy", "Node", "Load", "p50 ms", "p99 ms", "p99.9 ms", "max ms"], 2);
    for run in runs {
        let fair = 1.0 / run.nodes.len().max(1) as f64;
        let mut points: Vec<(f64, f64, String)> = Vec::new();
        for node in &run.nodes {
            let Some(latency) = node.latency.filter(|latency| latency.p99_ms > 0.0) else {
                continue;
            };
            let load = node.measured_share / fair;
            points.push((load, latency.p99_ms, String::new()));
            let times = [latency.p50_ms, latency.p99_ms, latency.p999_ms, latency.max_ms];
            let words = [run.strategy.clone().into(), node.name.clone().into()];
            let numbers = [load].into_iter().chain(times).map(|value| number(value).into());
            table.row(words.into_iter().chain(numbers).collect());
        }
        series.push((run.strategy.clone(), points));
    }
    let all = || series.iter().flat_map(|(_, points)| points);
    let load = all().map(|p| p.0).fold(1.0, f64::max);
    let latency = all().map(|p| p.1).max_by(f64::total_cmp)?;
    let mut chart = Chart::new(
        "Latency against load, a dot per node",
        "times the fair share of the messages",
        Axis::linear(0.0, load, 5),
        Axis::linear(0.0, latency, 5).labelled(|ms| format!("{ms} ms")),
    );
    chart.note =
        "From publish to delivery, the 99th percentile of the messages that the node led. \
                  An uneven strategy has dots far to the right."
            .into();
    chart.description =
        format!("{} nodes of {} runs; the table has them.", all().count(), runs.len());
    chart.table = Some(table);
    for (i, (name, points)) in series.into_iter().enumerate() {
        let paint = Paint::Series(i as u8);
        chart.layers.push(Layer::Dots { name, points, paint });
    }
    Some(chart)
}

/// Predicted against measured share of every node of a simulated run.
pub(crate) fn simulated(run: &SimulatedRun) -> Option<Chart> {
    let names: Vec<String> = run.nodes.iter().map(|node| node.name.clone()).collect();
    let measured: Vec<f64> = run.nodes.iter().map(|node| node.measured_share).collect();
    let predicted: Vec<Option<f64>> =
        run.nodes.iter().map(|node| Some(node.predicted_share)).collect();
    let top = measured.iter().chain(predicted.iter().flatten()).copied().fold(0.0, f64::max);
    if top <= 0.0 {
        return None;
    }
    let y = Axis::linear(0.0, top, 5).labelled(|v| format!("{:.1} %", v * 100.0));
    let title = format!("{} with {}: predicted and measured", run.strategy, run.hash);
    let mut chart = Chart::new(title, "", Axis::columns(&names, 40), y);
    let worst = run
        .nodes
        .iter()
        .map(|node| (node.measured_share - node.predicted_share).abs())
        .fold(0.0, f64::max);
    chart.note = format!(
        "Share of the messages in the simulated cluster; largest difference {}.",
        percent(worst)
    );
    chart.description = chart.note.clone();
    let mut table = Table::new(["Node", "Predicted", "Measured", "p50 ms", "p99 ms"], 1);
    for node in &run.nodes {
        let latency = |of: fn(&crate::result::Percentiles) -> f64| {
            node.latency.as_ref().map_or("–".to_owned(), |latency| number(of(latency)))
        };
        table.row(vec![
            node.name.clone().into(),
            percent(node.predicted_share).into(),
            percent(node.measured_share).into(),
            latency(|p| p.p50_ms).into(),
            latency(|p| p.p99_ms).into(),
        ]);
    }
    chart.table = Some(table);
    chart.layers.push(bars("measured", measured, 0.0));
    chart.layers.push(Layer::Ticks {
        name: "predicted".into(),
        values: predicted,
        paint: Paint::High,
    });
    Some(chart)
}

fn bars(name: &str, values: Vec<f64>, base: f64) -> Layer {
    Layer::Bars { name: name.into(), values, base, paint: Paint::Series(0), width: 0.62 }
}

fn balance_of(profile: &LoadProfile) -> Option<Balance> {
    Balance::of(&profile.relative_loads, &vec![1.0; profile.relative_loads.len()])
}

/// What tells a profile from the others: its strategy, and its hash where that differs.
fn label(profile: &LoadProfile, all: &[&LoadProfile]) -> String {
    if all.iter().all(|other| other.hash == profile.hash) {
        profile.strategy.clone()
    } else {
        format!("{}, {}", profile.strategy, profile.hash)
    }
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
