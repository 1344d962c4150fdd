//! The report of a sweep on disk: the result itself, its table as CSV, and the page.

use std::path::{Path, PathBuf};

use super::page::sweep_page;
use super::result::SweepResult;
use crate::draw::csv::Csv;
use crate::draw::files::write_files;
use crate::result::ReportError;

/// Writes `sweep.json`, `runs.csv` and `report.html` into `dir`, which is made if it does not
/// exist. Returns the path of the page.
///
/// # Errors
/// As [`crate::write_run`].
pub fn write_sweep(dir: &Path, sweep: &SweepResult) -> Result<PathBuf, ReportError> {
    let files = [
        ("sweep.json", sweep.to_json()?),
        ("runs.csv", runs_csv(sweep)),
        ("report.html", sweep_page(sweep)?),
    ];
    write_files(dir, &files)
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
