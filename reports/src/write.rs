//! Reports on disk: the result itself, its tables as CSV, and the page, in one directory.

use std::fs;
use std::path::{Path, PathBuf};

use crate::compare::CompareResult;
use crate::compare_page::compare_page;
use crate::csv::Csv;
use crate::exits::ExitCounts;
use crate::result::{ReportError, RunResult};
use crate::run_page::run_page;
use crate::sweep::SweepResult;
use crate::sweep_page::sweep_page;

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

/// Writes `sweep.json`, `runs.csv` and `report.html` into `dir`, which is made if it does not
/// exist. Returns the path of the page.
///
/// # Errors
/// As [`write_run`].
pub fn write_sweep(dir: &Path, sweep: &SweepResult) -> Result<PathBuf, ReportError> {
    let files = [
        ("sweep.json", sweep.to_json()?),
        ("runs.csv", runs_csv(sweep)),
        ("report.html", sweep_page(sweep)?),
    ];
    write_files(dir, &files)
}

/// Writes `result.json`, `balance.csv`, `movement.csv`, `cost.csv` and `report.html` into `dir`,
/// which is made if it does not exist. Returns the path of the page.
///
/// # Errors
/// As [`write_run`].
pub fn write_compare(dir: &Path, result: &CompareResult) -> Result<PathBuf, ReportError> {
    let files = [
        ("result.json", result.to_json()?),
        ("balance.csv", balance_csv(result)),
        ("movement.csv", movement_csv(result)),
        ("cost.csv", cost_csv(result)),
        ("report.html", compare_page(result)?),
    ];
    write_files(dir, &files)
}

/// Writes the files in order and returns the path of the last. Everything has been drawn before
/// the first is written, so that a result that cannot be drawn leaves no half of a report.
fn write_files(dir: &Path, files: &[(&str, String)]) -> Result<PathBuf, ReportError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| ReportError::Write { path, source }
    };
    fs::create_dir_all(dir).map_err(failed(dir))?;
    let mut last = dir.to_path_buf();
    for (name, content) in files {
        last = dir.join(name);
        fs::write(&last, content).map_err(failed(&last))?;
    }
    Ok(last)
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

fn runs_csv(sweep: &SweepResult) -> String {
    let mut csv = Csv::new(&[
        "scenario",
        "seed",
        "verdict",
        "finding",
        "exits",
        "restarts",
        "fingerprint",
        "virtual_s",
        "wall_s",
        "reproduce",
    ]);
    for scenario in &sweep.scenarios {
        for run in &scenario.runs {
            csv.row([
                scenario.scenario.clone(),
                run.seed.to_string(),
                run.verdict.label().to_owned(),
                run.finding.clone(),
                run.exits.total().to_string(),
                run.exits.restarts.to_string(),
                run.fingerprint.clone(),
                run.virtual_s.to_string(),
                run.wall_s.to_string(),
                run.reproduce.clone(),
            ]);
        }
    }
    csv.finish()
}

fn balance_csv(result: &CompareResult) -> String {
    let mut csv = Csv::new(&[
        "strategy",
        "hash",
        "salt",
        "nodes",
        "population",
        "peak",
        "least",
        "cv",
        "gini",
        "jain",
        "kl",
        "expected_peak",
        "expected_cv",
        "bound",
        "p_value",
    ]);
    for cell in &result.balance {
        csv.row([
            cell.strategy.clone(),
            cell.hash.clone(),
            cell.salt.clone(),
            cell.nodes.to_string(),
            cell.population.clone(),
            cell.peak.to_string(),
            cell.least.to_string(),
            cell.cv.to_string(),
            cell.gini.to_string(),
            cell.jain.to_string(),
            optional(cell.kl),
            optional(cell.expected.map(|expected| expected.peak)),
            optional(cell.expected.map(|expected| expected.cv)),
            cell.bound.to_string(),
            optional(cell.p_value),
        ]);
    }
    csv.finish()
}

fn movement_csv(result: &CompareResult) -> String {
    let mut csv = Csv::new(&[
        "strategy",
        "hash",
        "nodes",
        "population",
        "change",
        "moved",
        "moved_count",
        "optimal",
        "expected",
        "collateral",
        "peak_after",
        "bound_after",
        "who",
    ]);
    for cell in &result.movement {
        csv.row([
            cell.strategy.clone(),
            cell.hash.clone(),
            cell.nodes.to_string(),
            cell.population.clone(),
            cell.change.clone(),
            cell.moved.to_string(),
            optional(cell.moved_count),
            cell.optimal.to_string(),
            optional(cell.expected),
            cell.collateral.to_string(),
            optional(cell.peak_after),
            optional(cell.bound_after),
            cell.who(),
        ]);
    }
    csv.finish()
}

fn cost_csv(result: &CompareResult) -> String {
    let mut csv = Csv::new(&[
        "strategy",
        "hash",
        "nodes",
        "lookup_ns",
        "dependent_ns",
        "build_us",
        "update_us",
        "bytes",
    ]);
    for cell in &result.cost {
        csv.row([
            cell.strategy.clone(),
            cell.hash.clone(),
            cell.nodes.to_string(),
            cell.lookup_ns.to_string(),
            optional(cell.dependent_ns),
            optional(cell.build_us),
            optional(cell.update_us),
            cell.bytes.to_string(),
        ]);
    }
    csv.finish()
}

/// An empty field for what was not measured.
fn optional(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exits::{ExitCause, tests::exits_of};
    use crate::result::{Identity, NodeLoad, Verdict};

    fn names_in(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_report_is_a_directory_of_its_files() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("a/b");
        let mut result = RunResult::new(Identity::default(), Verdict::Passed);
        let mut node = NodeLoad::new("n,1");
        node.series.messages_in = vec![1.0, 2.0];
        result.nodes.push(node);
        result.exits.push(exits_of("n,1", ExitCause::DiskFull, 3));
        let page = write_run(&dir, &result).unwrap();
        assert_eq!(page, dir.join("report.html"));
        assert_eq!(
            names_in(&dir),
            ["latency.csv", "nodes.csv", "report.html", "result.json", "series.csv"]
        );
        let json = fs::read_to_string(dir.join("result.json")).unwrap();
        assert_eq!(RunResult::from_json(&json).unwrap(), result);
        let nodes = fs::read_to_string(dir.join("nodes.csv")).unwrap();
        assert!(nodes.ends_with(",3,3\r\n"), "{nodes}");
        let series = fs::read_to_string(dir.join("series.csv")).unwrap();
        assert!(series.ends_with("1,\"n,1\",2,,,,,\r\n"), "{series}");
    }

    #[test]
    fn a_comparison_and_a_sweep_are_written_whole() {
        let root = tempfile::tempdir().unwrap();
        let result = crate::compare::tests::sample();
        let page = write_compare(&root.path().join("compare"), &result).unwrap();
        let dir = page.parent().unwrap();
        let json = fs::read_to_string(dir.join("result.json")).unwrap();
        assert_eq!(CompareResult::from_json(&json).unwrap(), result);
        assert_eq!(
            names_in(dir),
            ["balance.csv", "cost.csv", "movement.csv", "report.html", "result.json"]
        );
        let movement = fs::read_to_string(dir.join("movement.csv")).unwrap();
        assert!(movement.contains("\r\nslots,xxh3,2,uniform,add 1 node,0.34,,0.333"), "{movement}");
        assert!(movement.ends_with(",n3 (weight 2) joined\r\n"), "{movement}");
        let sweep = crate::sweep::tests::sweep_of(&[(1, Verdict::Passed)]);
        let page = write_sweep(&root.path().join("sweep"), &sweep).unwrap();
        let runs = fs::read_to_string(page.with_file_name("runs.csv")).unwrap();
        assert!(runs.contains("\r\nsmoke,1,passed,"), "{runs}");
    }

    #[test]
    fn an_impossible_result_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("report");
        let mut result = RunResult::new(Identity::default(), Verdict::Passed);
        result.timing.virtual_s = f64::NAN;
        assert!(matches!(write_run(&dir, &result), Err(ReportError::Invalid { .. })));
        assert!(!dir.exists());
    }

    #[test]
    fn a_disk_that_refuses_is_named() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("taken");
        fs::write(&file, "").unwrap();
        let result = RunResult::new(Identity::default(), Verdict::Passed);
        let error = write_run(&file, &result).unwrap_err().to_string();
        assert!(error.contains("taken"), "{error}");
    }
}
