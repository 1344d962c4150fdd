//! How evenly strategies and hash functions spread the load.

use super::{BARS, Candidate, Rows, Z95, bars};

use crate::balance::{Balance, P_BINS, p_histogram, uniformity};

use crate::compare::result::{LoadProfile, SaltedPValues};

use crate::draw::plot::{Axis, Chart, Layer, thinned};

use crate::draw::table::Table;

use crate::draw::text::{count, number, percent};

use crate::draw::theme::{DASH_THEORY, Paint};

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
