//! The simulator in a pipeline whose reader has gone: it ends quietly, with what a shell reports of
//! SIGPIPE.

use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
};

const BROKEN_PIPE: Option<i32> = Some(141);

const SCENARIO: &str = r#"
name     = "short"
about    = "A moment of one node."
duration = "1s"
[cluster]
nodes    = 1
replicas = 1
slots    = 1
[[workload]]
destinations = { kind = "queue", count = 1 }
producers    = 1
consumers    = 1
rate         = "10/s"
"#;

const COMPARISON: &str = r#"
name  = "small"
about = "One strategy on two nodes."
[compare]
strategies = ["slots"]
hashes     = ["xxh3"]
nodes      = [2]
focus      = { population = "even", nodes = 2 }
[[compare.population]]
name         = "even"
destinations = 100
"#;

/// Runs the simulator in `folder`, its output unread; its exit code and what it complains of.
fn unread(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let (reader, writer) = io::pipe().expect("there are descriptors");
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_paceline-sim"));
    command.current_dir(folder).args(args).stdin(Stdio::null());
    let child = command.stdout(writer).stderr(Stdio::piped()).spawn().expect("it starts");
    // It holds the pipe's other end.
    drop(command);
    let output = child.wait_with_output().expect("it is our child");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn ends_quietly(folder: &Path, args: &[&str]) {
    assert_eq!(unread(folder, args), (BROKEN_PIPE, String::new()), "{args:?}");
}

/// A folder with the files that the tests run.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let missed = format!("{SCENARIO}[expect]\ndelivered = \">= 1000000\"\n");
    for (name, text) in
        [("short.toml", SCENARIO), ("missed.toml", &missed), ("small.toml", COMPARISON)]
    {
        fs::write(folder.path().join(name), text).expect("there is room for a file");
    }
    folder
}

#[test]
fn every_command_ends_quietly() {
    let folder = folder();
    for args in [
        &["--help"][..],
        &["run", "--help"],
        &["run", "short.toml"],
        &["replay", "short.toml"],
        &["expand", "short.toml"],
        &["compare", "small.toml"],
    ] {
        ends_quietly(folder.path(), args);
    }
}

#[cfg(madsim)]
#[test]
fn simulations_end_quietly() {
    let folder = folder();
    ends_quietly(folder.path(), &["run", "short.toml", "--check-determinism"]);
    ends_quietly(folder.path(), &["sweep", "short.toml", "--seeds", "1"]);
    assert!(folder.path().join("out/sweep/report.html").exists(), "its report is there");
    ends_quietly(folder.path(), &["shrink", "missed.toml", "--budget", "200"]);
    // At its first failure already: it does not get as far as its report.
    let args = ["sweep", "missed.toml", "--seeds", "200", "--jobs", "2", "--report", "never"];
    ends_quietly(folder.path(), &args);
    assert!(!folder.path().join("never").exists(), "it went on");
}
