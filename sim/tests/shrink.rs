//! A scenario that fails, made small by the program itself.
#![cfg(madsim)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use paceline_scenario::{Scenario, shrink::Size};

/// Misses what it expects for as long as two messages a second are sent.
const SCENARIO: &str = r#"
name     = "slow"
about    = "More messages than are expected."
duration = "4s"
[cluster]
nodes    = 3
slots    = 6
[disk.sync]
mean     = "1ms"
p99      = "4ms"
[[workload]]
destinations = { count = 4 }
producers    = 3
consumers    = 2
rate         = "20/s"
nack         = 0.1
[[workload]]
destinations = { kind = "topic", count = 2 }
producers    = 1
consumers    = 2
rate         = "5/s"
[[fault]]
between = ["1s", "3s"]
every   = "1s"
crash   = { any = 1, back_after = "200ms" }
[expect]
delivered = "<= 3"
"#;

fn sim(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paceline-sim"));
    command.current_dir(folder).args(args).output().expect("it starts")
}

#[test]
fn what_is_left_fails_in_the_same_way_whatever_runs_at_once() {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    fs::write(folder.path().join("slow.toml"), SCENARIO).expect("there is room for a file");
    let shrink = |jobs: &str, out: &str| {
        let args = ["shrink", "slow.toml", "--seed", "5", "--budget", "400", "--seeds", "2"];
        let output = sim(folder.path(), &[&args[..], &["--jobs", jobs, "--out", out]].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{output:?}");
        (fs::read_to_string(folder.path().join(out)).expect("it has written it"), text)
    };
    let (left, told) = shrink("1", "one.toml");
    assert_eq!(shrink("3", "three.toml").0, left, "{told}");

    let before = Scenario::load("slow.toml", SCENARIO).expect("it is valid");
    let after = Scenario::load("one.toml", &left).expect("it is valid");
    assert!(Size::of(&after).is_below(&Size::of(&before)), "{left}");
    let size = Size::of(&after);
    assert_eq!((size.nodes, size.faults, size.workloads), (1, 0, 1), "{left}");
    assert!(after.expect.delivered.is_some(), "{left}");
    assert!(told.contains("cargo sim replay one.toml --seed"), "{told}");
    let again = sim(folder.path(), &["run", "one.toml", "--no-report"]);
    assert_eq!(again.status.code(), Some(10), "{again:?}");
}

#[test]
fn what_does_not_fail_is_refused() {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let passing = SCENARIO.replace("<= 3", ">= 1");
    for (name, text) in [("slow.toml", SCENARIO), ("fine.toml", &passing)] {
        fs::write(folder.path().join(name), text).expect("there is room for a file");
    }
    let refused = |args: &[&str]| {
        let output = sim(folder.path(), args);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let why = refused(&["shrink", "fine.toml"]);
    assert!(why.contains("passes with seed 0") && why.contains("cargo sim sweep"), "{why}");
    let why = refused(&["shrink", "slow.toml", "--check", "lost"]);
    assert!(why.contains("`lost` holds") && why.contains("what fails is delivered"), "{why}");
}
