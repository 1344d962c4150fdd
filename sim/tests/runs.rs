//! Whole runs of small scenarios, and what their results say. Only a simulated build has a world to
//! run them in.
#![cfg(madsim)]

use std::path::Path;

use paceline_reports::{RunResult, exits::ExitCause, result::Verdict};
use paceline_sim::{
    explore::Identity,
    recorder::Recorder,
    result,
    scenario::{Scenario, expand},
    world::{Options, simulated},
};

const SEED: u64 = 1;

fn run(text: &str) -> RunResult {
    let scenario = Scenario::load("test.toml", text).unwrap_or_else(|error| panic!("{error}"));
    let identity = Identity::simulated(&scenario, Path::new("test.toml"), SEED);
    let scenario = expand(&scenario, SEED).scenario;
    let recorder = Recorder::shared(&scenario, Options::default());
    let mut outcome = simulated::run(&scenario, recorder.clone());
    outcome.take(&mut recorder.lock());
    result::of(&identity, &scenario, &outcome)
}

#[test]
fn nodes_that_end_for_want_of_disk_space_are_counted() {
    let result = run(include_str!("../../scenarios/faults/full-disk.toml"));
    assert_eq!(result.verdict, Verdict::Passed, "{:?}", result.findings);
    let nodes: Vec<&str> = result.exits.iter().map(|exits| exits.node.as_str()).collect();
    assert_eq!(nodes, ["n1", "n2", "n3"]);
    for exits in &result.exits {
        assert_eq!(exits.cause, ExitCause::DiskFull);
        assert!(exits.exits >= 2 && exits.restarts == exits.exits, "{exits:?}");
        assert!(exits.said.contains("No space left on device"), "{exits:?}");
        assert!(exits.first_s >= 8.0 && exits.last_s < 13.0, "{exits:?}");
    }
}

#[test]
fn the_report_names_the_leaders_that_were_struck() {
    let result = run(r#"
name = "leaders"
about = "The leaders are cut off, then the leader of one slot dies while it is cut off."
duration = "20s"
[cluster]
nodes = 3
slots = 4
[[workload]]
destinations = { count = 8 }
producers = 2
consumers = 2
rate = "50/s"
[[fault]]
at = "3s"
lasts = "2s"
partition = { leaders = 1 }
[[fault]]
at = "8s"
crash = { leader_of = 2, back_after = "4s" }
[[fault]]
at = "9s"
lasts = "1s"
pause = { all = true }
"#);
    assert_eq!(result.verdict, Verdict::Passed, "{:?}", result.findings);
    let labels: Vec<&str> = result.faults.iter().map(|fault| fault.label.as_str()).collect();
    let [cut, died, paused] = labels.as_slice() else { panic!("{labels:?}") };
    assert!(
        cut.starts_with("partition n") && cut.ends_with(" (the node that leads most)"),
        "{cut}"
    );
    assert!(died.ends_with(" (the leader of slot 2)"), "{died}");
    let [dead] = result.faults[1].nodes.as_slice() else { panic!("{labels:?}") };
    assert_eq!(
        died.strip_prefix("crash "),
        Some(format!("{dead} (the leader of slot 2)").as_str())
    );
    assert!(!paused.contains(dead.as_str()), "{paused}: {dead} was dead");
}
