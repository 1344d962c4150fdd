//! The charts of a run: load per node in total and over time, and latency over time.

use crate::balance::{Balance, Expected};
use crate::draw::plot::axis::shortened;
use crate::draw::plot::{Axis, Chart, Layer, Span, thinned, windows};
use crate::draw::table::Table;
use crate::draw::text::{bytes, number, percent};
use crate::draw::theme::{DASH_THEORY, Paint};
use crate::result::{FaultMark, LatencySeries, LatencyWindow, NodeLoad, NodeSeries, RunResult};

/// The most windows of time that a line or a heat map shows.
const WINDOWS: usize = 240;
/// The most nodes that get a line each; beyond, the range and the mean are drawn.
const LINES: usize = 8;
/// The most rows of a heat map and rows of a table of times.
const ROWS: usize = 48;
/// The most bars that are drawn: more would be thinner than a line.
const BARS: usize = 250;
/// Nodes are sorted by load where they are too many to be looked up by name.
const SORTED_ABOVE: usize = 24;
/// Two-sided 95 % of a normal distribution, in standard deviations.
const Z95: f64 = 1.96;

/// One kind of load over time.
pub(crate) struct Measure {
    pub title: &'static str,
    pub of: fn(&NodeSeries) -> &[f64],
    /// Whether samples are amounts per interval, to be shown per second.
    pub rate: bool,
    /// Whether the largest value in a window of samples is shown, and not the mean.
    pub largest: bool,
    pub format: fn(f64) -> String,
}

/// What is drawn over time, in the order in which it is shown.
pub(crate) const MEASURES: [Measure; 6] = [
    Measure {
        title: "Messages taken in per second",
        of: |s| &s.messages_in,
        rate: true,
        largest: false,
        format: number,
    },
    Measure {
        title: "Messages handed out per second",
        of: |s| &s.messages_out,
        rate: true,
        largest: false,
        format: number,
    },
    Measure {
        title: "Bytes received per second",
        of: |s| &s.bytes_in,
        rate: true,
        largest: false,
        format: bytes,
    },
    Measure {
        title: "Bytes sent per second",
        of: |s| &s.bytes_out,
        rate: true,
        largest: false,
        format: bytes,
    },
    Measure {
        title: "Messages waiting",
        of: |s| &s.queue_depth,
        rate: false,
        largest: true,
        format: number,
    },
    Measure {
        title: "Processor time used",
        of: |s| &s.cpu_busy,
        rate: false,
        largest: false,
        format: percent,
    },
];

/// Relative load of every node, with what chance and the prediction give.
pub(crate) fn load_bars(
    result: &RunResult,
    balance: &Balance,
    expected: Option<&Expected>,
) -> Chart {
    let n = result.nodes.len();
    let mut order: Vec<usize> = (0..n).collect();
    if n > SORTED_ABOVE {
        order.sort_by(|&a, &b| balance.relative[b].total_cmp(&balance.relative[a]));
    }
    let busiest = balance.busiest();
    let ranks: Vec<usize> = (0..n).collect();
    let ranks: Vec<usize> = thinned(&ranks, BARS).copied().collect();
    let order: Vec<usize> = ranks.iter().map(|&rank| order[rank]).collect();
    let weights: f64 = result.nodes.iter().map(|node| node.weight).sum();
    let names: Vec<String> = order.iter().map(|&i| result.nodes[i].name.clone()).collect();
    let bars: Vec<f64> = order.iter().map(|&i| balance.relative[i]).collect();
    let predicted: Vec<Option<f64>> = order
        .iter()
        .map(|&i| &result.nodes[i])
        .map(|node| Some(node.predicted_share? / (node.weight / weights)).filter(|x| x.is_finite()))
        .collect();
    let bands: Option<Vec<(f64, f64)>> = expected.map(|expected| {
        let deviation = |i: &usize| expected.deviations[*i];
        order.iter().map(deviation).map(|d| ((1.0 - Z95 * d).max(0.0), 1.0 + Z95 * d)).collect()
    });
    let highest = |values: &mut dyn Iterator<Item = f64>| values.fold(1.0, f64::max);
    let top = highest(&mut bars.iter().copied())
        .max(highest(&mut predicted.iter().flatten().copied()))
        .max(highest(&mut bands.iter().flatten().map(|band| band.1)));
    let sorted = n > SORTED_ABOVE;
    let ranks: Vec<String> = ranks.iter().map(|rank| (rank + 1).to_string()).collect();
    let x = Axis::columns(if sorted { &ranks } else { &names }, 46);
    let x_label = if sorted { "nodes, busiest first" } else { "" };
    let mut chart =
        Chart::new("Messages taken in by each node", x_label, x, Axis::linear(0.0, top, 6));
    chart.note = "As a multiple of the node's fair share (by its weight).".into();
    chart.description = format!(
        "Bars of the relative load of {n} nodes. The busiest, {}, has {}; the least busy has {}.{}",
        result.nodes[busiest].name,
        number(balance.peak),
        number(balance.least),
        expected.map_or(String::new(), |e| format!(
            " Chance alone keeps 95 % of nodes within {} of 1.",
            number(Z95 * e.cv)
        ))
    );
    let mut table = Table::new(["Node", "Measured", "Predicted", "95 % by chance"], 1);
    for (at, name) in names.iter().enumerate() {
        let band = bands.as_ref().map(|bands| bands[at]);
        table.row(vec![
            name.clone().into(),
            number(bars[at]).into(),
            predicted[at].map_or("–".into(), number).into(),
            band.map_or("–".into(), |(low, high)| format!("{low:.3} to {high:.3}")).into(),
        ]);
    }
    chart.table = Some(table);
    let width = if n > 60 { 1.0 } else { 0.62 };
    chart.layers.push(Layer::Bars {
        name: "measured".into(),
        values: bars,
        base: 0.0,
        paint: Paint::Series(0),
        width,
    });
    if let Some(bands) = bands {
        chart.layers.push(Layer::BarBands {
            name: "95 % by chance alone".into(),
            bands,
            paint: Paint::Theory,
        });
    }
    chart.layers.push(Layer::Level { name: "fair share".into(), value: 1.0, paint: Paint::Theory });
    if predicted.iter().any(Option::is_some) {
        chart.layers.push(Layer::Ticks {
            name: "predicted by the placement".into(),
            values: predicted,
            paint: Paint::High,
        });
    }
    chart
}

/// The Lorenz curve beside equality and chance.
pub(crate) fn lorenz(balance: &Balance, expected: Option<&Expected>) -> Chart {
    let percents = |axis: Axis| axis.labelled(|v| format!("{:.0} %", v * 100.0));
    let x = percents(Axis::linear(0.0, 1.0, 5));
    let y = percents(Axis::linear(0.0, 1.0, 5));
    let mut chart = Chart::new("Lorenz curve", "of the nodes, least loaded first", x, y);
    chart.note = "The part of the messages that the least loaded part of the nodes carries.".into();
    chart.description = format!(
        "Gini coefficient {}: the area between the curve and the line of equality, doubled.",
        number(balance.gini)
    );
    chart.layers.push(Layer::Line {
        name: "perfectly even".into(),
        points: vec![(0.0, 0.0), (1.0, 1.0)],
        paint: Paint::Muted,
        dash: 2,
    });
    if let Some(expected) = expected {
        chart.layers.push(Layer::Line {
            name: format!("chance alone (Gini {})", number(expected.gini())),
            points: expected.lorenz(),
            paint: Paint::Theory,
            dash: DASH_THEORY,
        });
    }
    let points = balance.lorenz();
    let mut table = Table::new(["Least loaded part of the nodes", "Part of the messages"], 1);
    for &(p, share) in thinned(&points, ROWS) {
        table.row(vec![percent(p).into(), percent(share).into()]);
    }
    chart.table = Some(table);
    chart.layers.push(Layer::Line {
        name: format!("measured (Gini {})", number(balance.gini)),
        points,
        paint: Paint::Series(0),
        dash: 0,
    });
    chart
}

/// The part of the nodes whose relative load is at most so much, beside what chance gives.
pub(crate) fn load_cdf(balance: &Balance, expected: Option<&Expected>) -> Chart {
    let mut sorted = balance.relative.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let reach = expected.map_or(0.0, |e| 3.0 * e.cv);
    let (low, high) = ((1.0 - reach).min(balance.least).max(0.0), (1.0 + reach).max(balance.peak));
    let x = Axis::linear(low, high, 5);
    let (low, high) = x.span();
    let y = Axis::linear(0.0, 1.0, 5).labelled(|v| format!("{:.0} %", v * 100.0));
    let mut chart = Chart::new("Nodes by load", "at most so many times the fair share", x, y);
    chart.note = "The part of the nodes that take in at most so much (cumulative).".into();
    let at_most_fair = sorted.iter().filter(|&&x| x <= 1.0).count() as f64 / n;
    chart.description =
        format!("{} of the nodes take in no more than their fair share.", percent(at_most_fair));
    if let Some(expected) = expected.filter(|e| e.normal && e.cv > 0.0) {
        let at = |i: u32| low + (high - low) * f64::from(i) / 100.0;
        chart.layers.push(Layer::Line {
            name: "chance alone".into(),
            points: (0..=100).map(at).map(|x| (x, expected.part_below(x))).collect(),
            paint: Paint::Theory,
            dash: DASH_THEORY,
        });
    }
    let mut points = vec![(low, 0.0)];
    for (i, &x) in sorted.iter().enumerate() {
        points.extend([(x, i as f64 / n), (x, (i + 1) as f64 / n)]);
    }
    points.push((high, 1.0));
    chart.layers.push(Layer::Line {
        name: "measured".into(),
        points,
        paint: Paint::Series(0),
        dash: 0,
    });
    let mut table = Table::new(["Part of the nodes", "Take in at most"], 0);
    let indices: Vec<usize> = (0..sorted.len()).collect();
    for &i in thinned(&indices, ROWS) {
        table.row(vec![percent((i + 1) as f64 / n).into(), number(sorted[i]).into()]);
    }
    chart.table = Some(table);
    chart
}

/// One measure of every node over time; `None` if no node has it.
pub(crate) fn over_time(result: &RunResult, measure: &Measure) -> Option<Chart> {
    let interval = result.sample_interval_s;
    let scale = if measure.rate { 1.0 / interval } else { 1.0 };
    let lines: Vec<(&str, Vec<(f64, f64)>)> = result
        .nodes
        .iter()
        .map(|node| (node.name.as_str(), windows((measure.of)(&node.series), WINDOWS)))
        .filter(|(_, line)| !line.is_empty())
        .map(|(name, line)| {
            let value = |mean: f64, most: f64| if measure.largest { most } else { mean };
            let point =
                |(at, mean, most): (f64, f64, f64)| (at * interval, value(mean, most) * scale);
            (name, line.into_iter().map(point).collect())
        })
        .collect();
    let (first, rest) = lines.split_first()?;
    let most = lines.iter().flat_map(|(_, line)| line).map(|p| p.1).fold(0.0, f64::max);
    let mut y = Axis::linear(0.0, most, 5);
    if measure.title == MEASURES[5].title {
        y = Axis::linear(0.0, most.max(0.01), 5).labelled(|v| format!("{:.0} %", v * 100.0));
    }
    let mut chart = Chart::new(measure.title, "seconds", time_axis(result), y);
    let per_window = result.samples().div_ceil(WINDOWS).max(1);
    if per_window > 1 {
        let what = if measure.largest { "largest" } else { "mean" };
        chart.note = format!("The {what} of each {} s.", number(per_window as f64 * interval));
    }
    chart.description = format!(
        "{} of {} nodes over {} seconds; the highest value is {}.",
        measure.title,
        lines.len(),
        number(result.samples() as f64 * interval),
        (measure.format)(most)
    );
    chart.layers.push(fault_spans(result));
    if lines.len() <= LINES {
        for (i, (name, line)) in lines.iter().enumerate() {
            chart.layers.push(Layer::Line {
                name: (*name).to_owned(),
                points: line.clone(),
                paint: Paint::Series(i as u8),
                dash: Paint::dash_of_series(i),
            });
        }
    } else {
        let at = |i: usize| lines.iter().map(move |(_, line)| line[i].1);
        let band =
            |i: usize| (first.1[i].0, at(i).fold(f64::MAX, f64::min), at(i).fold(0.0, f64::max));
        let mean = |i: usize| (first.1[i].0, at(i).sum::<f64>() / lines.len() as f64);
        let count = rest.iter().map(|(_, line)| line.len()).fold(first.1.len(), usize::min);
        let sum = |line: &[(f64, f64)]| line.iter().map(|p| p.1).sum::<f64>();
        let busiest = lines.iter().max_by(|a, b| sum(&a.1).total_cmp(&sum(&b.1)))?;
        chart.layers.push(Layer::Band {
            name: format!("range of all {} nodes", lines.len()),
            points: (0..count).map(band).collect(),
            paint: Paint::Series(0),
        });
        chart.layers.push(Layer::Line {
            name: "mean".into(),
            points: (0..count).map(mean).collect(),
            paint: Paint::Series(0),
            dash: 0,
        });
        chart.layers.push(Layer::Line {
            name: format!("busiest: {}", busiest.0),
            points: busiest.1.clone(),
            paint: Paint::Series(1),
            dash: 1,
        });
    }
    chart.table = Some(time_table(&lines, measure.format));
    Some(chart)
}

/// The numbers behind lines over time: one row per window, one column per node.
fn time_table(lines: &[(&str, Vec<(f64, f64)>)], format: fn(f64) -> String) -> Table {
    let shown = &lines[..lines.len().min(ROWS)];
    let columns = ["Second".to_owned()].into_iter();
    let mut table = Table::new(columns.chain(shown.iter().map(|(name, _)| (*name).to_owned())), 0);
    let indices: Vec<usize> =
        (0..shown.iter().map(|(_, line)| line.len()).min().unwrap_or(0)).collect();
    for &i in thinned(&indices, ROWS) {
        let at = format!("{:.1}", shown[0].1[i].0);
        let cells = shown.iter().map(|(_, line)| format(line[i].1).into());
        table.row([at.into()].into_iter().chain(cells).collect());
    }
    table
}

/// Messages of every node and moment against the mean of that moment; `None` without samples.
pub(crate) fn heat_map(result: &RunResult) -> Option<Chart> {
    let interval = result.sample_interval_s;
    let sampled = |node: &&NodeLoad| !node.series.messages_in.is_empty();
    let mut nodes: Vec<&NodeLoad> = result.nodes.iter().filter(sampled).collect();
    let sorted = nodes.len() > SORTED_ABOVE;
    if sorted {
        nodes.sort_by(|a, b| b.totals.messages_in.total_cmp(&a.totals.messages_in));
    }
    if nodes.len() < 2 {
        return None;
    }
    // Where there are more nodes than rows, a row is the mean of neighbours in the order of load.
    let per_row = nodes.len().div_ceil(ROWS);
    let columns = (6000 / nodes.len().min(ROWS)).min(WINDOWS / 2);
    let weights: f64 = nodes.iter().map(|node| node.weight).sum();
    let series: Vec<Vec<(f64, f64, f64)>> =
        nodes.iter().map(|node| windows(&node.series.messages_in, columns)).collect();
    let count = series[0].len();
    let total = |at: usize| series.iter().map(|line| line[at].1).sum::<f64>();
    let totals: Vec<f64> = (0..count).map(total).collect();
    let relative = |node: usize, at: usize| {
        let fair = totals[at] * nodes[node].weight / weights;
        if fair > 0.0 { series[node][at].1 / fair - 1.0 } else { 0.0 }
    };
    let mut names = Vec::new();
    let mut deviations: Vec<Vec<f64>> = Vec::new();
    for (row, group) in nodes.chunks(per_row).enumerate() {
        let members = row * per_row..row * per_row + group.len();
        let mean = |at: usize| {
            members.clone().map(|node| relative(node, at)).sum::<f64>() / members.len() as f64
        };
        deviations.push((0..count).map(mean).collect());
        names.push(shortened(&group[0].name, 16));
    }
    let mut sizes: Vec<f64> = deviations.iter().flatten().map(|d| d.abs()).collect();
    sizes.sort_unstable_by(f64::total_cmp);
    let full = sizes[(sizes.len() - 1) * 98 / 100].clamp(0.1, 1.0);
    let width = result.samples().div_ceil(columns).max(1) as f64 * interval;
    let end = result.samples() as f64 * interval;
    let mut cells: Vec<(usize, f64, f64, Option<f64>)> = Vec::new();
    for (row, line) in deviations.iter().enumerate() {
        for (at, deviation) in line.iter().enumerate() {
            // Sixteen shades are all an eye tells apart; equal neighbours are drawn as one.
            let shade = Some(((deviation / full).clamp(-1.0, 1.0) * 16.0).round() / 16.0);
            let (from, to) = (at as f64 * width, ((at + 1) as f64 * width).min(end));
            match cells.last_mut() {
                Some(last) if last.0 == row && last.3 == shade => last.2 = to,
                _ => cells.push((row, from, to, shade)),
            }
        }
    }
    let rows = Axis::rows(&names, 24);
    let mut chart = Chart::new("Load of every node over time", "seconds", time_axis(result), rows);
    chart.note = format!(
        "Messages taken in against the node's fair share of that moment: blue is less, orange is \
         more, the page's own colour is fair; full colour is {} and beyond.{}{}",
        percent(full),
        if sorted { " Busiest node on top." } else { "" },
        if per_row > 1 {
            format!(" Each row is the mean of {per_row} nodes.")
        } else {
            String::new()
        }
    );
    chart.description =
        format!("A heat map of {} nodes over {} seconds.", nodes.len(), number(end));
    chart.layers.push(Layer::Cells { cells });
    chart.layers.push(fault_spans(result));
    Some(chart)
}

/// Percentiles of one latency over time, on a logarithmic scale.
pub(crate) fn latency(result: &RunResult, latency: &LatencySeries) -> Option<Chart> {
    let values = latency.windows.iter().flat_map(|w| w.percentiles.named()).map(|(_, v)| v);
    let (least, most) = values
        .filter(|&v| v > 0.0)
        .fold((f64::MAX, 0.0f64), |(least, most), v| (least.min(v), most.max(v)));
    if most <= 0.0 {
        return None;
    }
    let y = Axis::log(least, most, 6);
    let mut chart = Chart::new(
        format!("Latency, {}, in milliseconds", latency.name),
        "seconds",
        time_axis(result),
        y,
    );
    chart.note = "Logarithmic: each gap upwards is a multiple.".into();
    chart.description = format!(
        "Percentiles of {} messages: half within {} ms, 99 % within {} ms, the slowest {} ms.",
        latency.overall.count,
        number(latency.overall.p50_ms),
        number(latency.overall.p99_ms),
        number(latency.overall.max_ms)
    );
    chart.layers.push(fault_spans(result));
    let names = latency.overall.named().map(|(name, _)| name);
    for (i, name) in names.into_iter().enumerate() {
        let point = |w: &LatencyWindow| (w.at_s, w.percentiles.named()[i].1.max(least));
        chart.layers.push(Layer::Line {
            name: name.to_owned(),
            points: thinned(&latency.windows, 2 * WINDOWS).map(point).collect(),
            paint: Paint::Series(i as u8),
            dash: Paint::dash_of_series(i),
        });
    }
    let mut table = Table::new(["Second", "Messages", "p50", "p90", "p99", "p99.9", "max"], 0);
    for window in thinned(&latency.windows, ROWS) {
        let percentiles = window.percentiles.named().map(|(_, value)| number(value).into());
        let head =
            [format!("{:.1}", window.at_s).into(), window.percentiles.count.to_string().into()];
        table.row(head.into_iter().chain(percentiles).collect());
    }
    chart.table = Some(table);
    Some(chart)
}

fn time_axis(result: &RunResult) -> Axis {
    let sampled = result.samples() as f64 * result.sample_interval_s;
    Axis::time(sampled.max(result.timing.virtual_s), 8)
}

fn fault_spans(result: &RunResult) -> Layer {
    let (_, end) = time_axis(result).span();
    let span = |(i, fault): (usize, &FaultMark)| Span {
        from: fault.at_s,
        to: fault.until_s.unwrap_or(fault.at_s).min(end),
        label: (i + 1).to_string(),
    };
    Layer::Spans {
        name: "fault, by its number".into(),
        spans: result.faults.iter().enumerate().map(span).collect(),
    }
}
