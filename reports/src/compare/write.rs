//! The report of a comparison on disk: the result itself, its tables as CSV, and the page.

use std::path::{Path, PathBuf};

use super::page::compare_page;
use super::result::CompareResult;
use crate::draw::csv::{Csv, optional};
use crate::draw::files::write_files;
use crate::result::ReportError;

/// Writes `result.json`, `balance.csv`, `movement.csv`, `cost.csv` and `report.html` into `dir`,
/// which is made if it does not exist. Returns the path of the page.
///
/// # Errors
/// As [`crate::write_run`].
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
