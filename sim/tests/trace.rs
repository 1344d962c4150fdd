//! A run that is drawn by the program itself.
#![cfg(madsim)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use paceline_reports::trace::{ArrowKind, End, Kind, Trace};

fn sim(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paceline-sim"));
    command.current_dir(folder).args(args).output().expect("it starts")
}

/// The line of the output that begins with this.
fn line(output: &Output, begin: &str) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text.lines().find(|line| line.starts_with(begin));
    found.unwrap_or_else(|| panic!("no {begin} in {output:?}")).to_owned()
}

#[test]
fn what_is_drawn_is_the_run_that_nobody_looked_at() {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let smoke = include_str!("../../scenarios/smoke.toml").replace("300/s", "60/s");
    fs::write(folder.path().join("smoke.toml"), smoke).expect("there is room for a file");
    let plain = sim(folder.path(), &["run", "smoke.toml", "--seed", "3", "--no-report"]);
    let window = ["--from", "1.9s", "--to", "2.4s", "--report", "drawn"];
    let drawn =
        sim(folder.path(), &[&["trace", "smoke.toml", "--seed", "3"][..], &window].concat());
    assert!(drawn.status.success(), "{drawn:?}");
    assert_eq!(line(&plain, "fingerprint: "), line(&drawn, "fingerprint: "));
    assert!(line(&drawn, "picture: ").ends_with("drawn/trace.html"));
    assert!(line(&drawn, "shown: ").contains("1.900s to 2.400s"));

    let read = |name: &str| fs::read_to_string(folder.path().join("drawn").join(name)).unwrap();
    assert!(read("trace.html").len() < 500_000);
    let trace = Trace::from_json(&read("trace.json")).unwrap_or_else(|error| panic!("{error}"));
    for kind in
        [Kind::Sent, Kind::Dispatched, Kind::Delivered, Kind::Settled, Kind::Fault, Kind::Life]
    {
        assert!(trace.points.iter().any(|it| it.kind == kind), "{kind:?}");
    }
    // Whatever reached a consumer was given out by somebody who said so.
    let given: Vec<_> = trace.arrows.iter().filter(|it| it.kind == ArrowKind::Deliver).collect();
    let known = given.iter().filter(|it| matches!(it.from, End::Point(_))).count();
    assert!(given.len() >= 10 && known == given.len(), "{known} of {}", given.len());
}

#[test]
fn a_time_in_which_nothing_happens_is_refused() {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let smoke = include_str!("../../scenarios/smoke.toml").replace("300/s", "10/s");
    fs::write(folder.path().join("smoke.toml"), smoke).expect("there is room for a file");
    for (window, why) in [
        (["--from", "900s", "--to", "901s"], "nothing happens from 900.000s"),
        (["--from", "3s", "--to", "2s"], "nothing lies between --from 3s and --to 2s"),
    ] {
        let refused = sim(folder.path(), &[&["trace", "smoke.toml"][..], &window].concat());
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains(why), "{said}");
    }
}
