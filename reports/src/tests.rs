//! Reports as directories.

use std::{fs, path::Path};

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
    let sweep = crate::sweep::result::tests::sweep_of(&[(1, Verdict::Passed)]);
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
