//! The report of a run on disk: the result itself, its tables as CSV, and the page.

use std::path::{Path, PathBuf};

use super::page::run_page;
use crate::draw::csv::{Csv, optional};
use crate::draw::files::write_files;
use crate::exits::ExitCounts;
use crate::result::{ReportError, RunResult};

/// Writes `result.json`, `nodes.csv`, `series.csv`, `latency.csv` and `report.html` into `dir`,
/// which is made if it does not exist. Returns the path of the page.
///
/// # Errors
/// [`ReportError::Invalid`] if the result holds impossible numbers, in which case nothing is
/// written; [`ReportError::Write`] if the disk refuses.
pub fn write_run(dir: &Path, result: &RunResult) -> Result<PathBuf, ReportError> {
    let files = [
        ("result.json", result.to_json()?),
        ("nodes.csv", nodes_csv(result)),
        ("series.csv", series_csv(result)),
        ("latency.csv", latency_csv(result)),
        ("report.html", run_page(result)?),
    ];
    write_files(dir, &files)
}

fn nodes_csv(result: &RunResult) -> String {
    let mut csv = Csv::new(&[
        "node",
        "weight",
        "predicted_share",
        "messages_in",
        "messages_out",
        "bytes_in",
        "bytes_out",
        "cpu_s",
        "slots_led",
        "exits",
        "restarts",
    ]);
    for node in &result.nodes {
        let share = optional(node.predicted_share);
        let slots = node.totals.slots_led.map(|slots| slots.to_string()).unwrap_or_default();
        let totals = node.totals.named().map(|(_, value)| value.to_string());
        let fields = [node.name.clone(), node.weight.to_string(), share];
        let own = result.exits.iter().filter(|exits| exits.node == node.name);
        let exits: ExitCounts = own.collect();
        let exits = [exits.total().to_string(), exits.restarts.to_string()];
        csv.row(fields.into_iter().chain(totals).chain([slots]).chain(exits));
    }
    csv.finish()
}

fn series_csv(result: &RunResult) -> String {
    let mut csv = Csv::new(&[
        "at_s",
        "node",
        "messages_in",
        "messages_out",
        "bytes_in",
        "bytes_out",
        "queue_depth",
        "cpu_busy",
    ]);
    for sample in 0..result.samples() {
        for node in &result.nodes {
            let at = (sample as f64 * result.sample_interval_s).to_string();
            let values = node.series.named().map(|(_, values)| {
                values.get(sample).map(|value| value.to_string()).unwrap_or_default()
            });
            csv.row([at, node.name.clone()].into_iter().chain(values));
        }
    }
    csv.finish()
}

fn latency_csv(result: &RunResult) -> String {
    let mut csv =
        Csv::new(&["latency", "at_s", "count", "p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms"]);
    for latency in &result.latencies {
        let whole = [("all".to_owned(), &latency.overall)].into_iter();
        let windows = latency.windows.iter().map(|w| (w.at_s.to_string(), &w.percentiles));
        for (at, percentiles) in whole.chain(windows) {
            let fields = [latency.name.clone(), at, percentiles.count.to_string()];
            let values = percentiles.named().map(|(_, value)| value.to_string());
            csv.row(fields.into_iter().chain(values));
        }
    }
    csv.finish()
}
