//! What courses and simulated runs measured.

use super::{ROWS, bars};
use crate::compare::result::{Course, SimulatedRun};
use crate::draw::plot::{Axis, Chart, Layer, Span, thinned};
use crate::draw::table::Table;
use crate::draw::text::{number, percent};
use crate::draw::theme::Paint;

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
