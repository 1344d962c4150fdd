//! Whole runs of small scenarios, and what their results say. Only a simulated build has a world to
//! run them in.
#![cfg(madsim)]

use std::path::Path;

use paceline_reports::{
    RunResult,
    exits::ExitCause,
    result::{FaultMark, Verdict},
};
use paceline_scenario::{Scenario, expand};
use paceline_sim::{
    identity::Identity,
    observe::{Options, Outcome, recorder::Recorder},
    result,
    world::simulated,
};

const SEED: u64 = 1;

fn run(text: &str) -> RunResult {
    carry_out(text, Options::default()).0
}

fn carry_out(text: &str, options: Options) -> (RunResult, Outcome) {
    let scenario = Scenario::load("test.toml", text).unwrap_or_else(|error| panic!("{error}"));
    let identity = Identity::simulated(&scenario, Path::new("test.toml"), SEED);
    let scenario = expand(&scenario, SEED).scenario;
    let recorder = Recorder::shared(&scenario, options);
    let mut outcome = simulated::run(&scenario, recorder.clone());
    outcome.take(&mut recorder.lock());
    (result::of(&identity, &scenario, &outcome), outcome)
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
    let told: Vec<String> = result.faults.iter().map(FaultMark::in_words).collect();
    let [cut, died, paused] = result.faults.as_slice() else { panic!("{told:?}") };
    assert!(cut.label.starts_with("partition n"), "{cut:?}");
    assert_eq!(cut.note, "the node that leads most");
    let [dead] = died.nodes.as_slice() else { panic!("{told:?}") };
    assert_eq!(told[1], format!("crash {dead} (the leader of slot 2)"));
    assert_eq!(paused.note, format!("another fault had stopped {dead}"));
    assert!(paused.nodes.len() == 2 && !paused.nodes.contains(dead), "{paused:?}");
}

/// What a small cluster under load does under these faults: outcome and event log.
fn under(name: &str, workload: &str, faults: &str) -> (RunResult, Outcome, String) {
    let text = format!(
        r#"
name = "{name}"
about = "A fault of the kind that it is called after."
duration = "12s"
[cluster]
nodes = 3
slots = 5
[cluster.broker.storage]
segment = "32KiB"
[[workload]]
destinations = {{ count = 4 }}
producers = 2
consumers = 4
rate = "60/s"
{workload}
{faults}
"#
    );
    let file = format!("paceline-runs-{name}-{}", std::process::id());
    let file = std::env::temp_dir().join(file);
    let event_log = Some(std::fs::File::create(&file).unwrap());
    let (result, outcome) = carry_out(&text, Options { event_log, ..Options::default() });
    let log = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(result.verdict, Verdict::Passed, "{name} {:?}", result.findings);
    (result, outcome, log)
}

/// Lines of an event log that contain all of these.
fn lines<'a>(log: &'a str, words: &[&str]) -> Vec<&'a str> {
    log.lines().filter(|line| words.iter().all(|word| line.contains(word))).collect()
}

#[test]
fn writes_that_are_lost_or_go_astray_are_found_and_repaired() {
    for (name, fault) in [
        ("tail", "bit_rot = { tail = true,"),
        ("lost", "lost_write = {"),
        ("misdirected", "misdirected_write = {"),
        ("empty", "empty_disk = {"),
    ] {
        let fault = format!("[[fault]]\nat = '6s'\n{fault} node = 'n2', back_after = '500ms' }}");
        let (result, _, log) = under(name, "", &fault);
        assert_eq!(result.faults[0].nodes, ["n2"], "{name}");
        assert!(!lines(&log, &["n2#", " repair_begin "]).is_empty(), "{name}");
        assert!(lines(&log, &["n1#", " repair_begin "]).is_empty(), "{name}");
    }
}

#[test]
fn a_flapping_link_goes_down_and_up_until_it_ends() {
    let fault = "[[fault]]\nat = '4s'\nlasts = '1s'\n\
                 flap = { node = 'n1', down = '150ms', up = '100ms' }";
    let (result, _, log) = under("flap", "", fault);
    assert_eq!(result.faults[0].until_s, Some(5.0));
    // Down at 0, 250, 500 and 750 ms; both ways each.
    assert_eq!(lines(&log, &[" partition id="]).len(), 8);
    assert_eq!(lines(&log, &[" heal id="]).len(), 8);
}

#[test]
fn everybody_reconnects_in_a_storm_and_clocks_drift_for_a_while() {
    let faults = "[[fault]]\nat = '4s'\nreconnect_storm = { all = true }\n\
                  [[fault]]\nat = '6s'\nreconnect_storm = { node = 'n1' }\n\
                  [[fault]]\nat = '5s'\nlasts = '2s'\nclock_drift = { node = 'n2', ppm = -2000.0 }";
    let (result, _, log) = under("storm", "", faults);
    let dropped = lines(&log, &["client_failure", "drops its connection with all the others"]);
    let time = |line: &str| line.split(' ').next().unwrap().parse::<f64>().unwrap();
    let (first, second): (Vec<&str>, Vec<&str>) =
        dropped.iter().partition(|line| time(line) < time(dropped[0]) + 1.0);
    // Two producers, four consumers, and the one that takes the dead letters.
    assert_eq!(first.len(), 7, "{dropped:?}");
    assert!(!second.is_empty() && second.len() < 7, "those of n1 only: {dropped:?}");
    assert!(second.iter().all(|line| line.contains("node=n1")), "{dropped:?}");
    assert_eq!(result.faults.iter().filter(|fault| fault.until_s.is_none()).count(), 2);
    let drifts = lines(&log, &["fault_drift"]);
    assert_eq!(drifts.len(), 2);
    assert!(
        drifts[0].ends_with("amount=-2000000") && drifts[1].ends_with("amount=0"),
        "{drifts:?}"
    );
}

#[test]
fn what_vanished_clients_held_comes_back_to_others() {
    let (_, outcome, log) = under("vanish", "vanish = 0.02", "");
    assert!(outcome.history.deliveries.iter().any(|delivery| delivery.redelivered));
    assert!(lines(&log, &["client_failure"]).is_empty(), "nobody dropped a connection");
}

#[test]
fn faults_strike_at_the_events_that_they_wait_for() {
    let result = run(r#"
name = "events"
about = "Each leader of slot 2 dies as it begins to lead, and a node is paused that never is asked."
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
crash = { leader_of = 2, back_after = "9s" }
[[fault]]
between = ["2s", "9s"]
on = "serve_begin"
slot = 2
crash = { emitter = true, back_after = "500ms" }
[[fault]]
between = ["2s", "9s"]
on = "serve_begin"
slot = 2
nth = 2
after = "70ms"
lasts = "1s"
partition = { emitter = true }
[[fault]]
between = ["2s", "9s"]
on = "repair_end"
lasts = "1s"
pause = { emitter = true }
"#);
    assert_eq!(result.verdict, Verdict::Passed, "{:?}", result.findings);
    let told: Vec<String> = result.faults.iter().map(FaultMark::in_words).collect();
    let [killed, cut, never, _] = result.faults.as_slice() else { panic!("{told:?}") };
    let [node] = killed.nodes.as_slice() else { panic!("{told:?}") };
    assert!(killed.at_s > 3.0 && killed.at_s < 9.0, "{killed:?}");
    assert_eq!(told[0], format!("crash {node} (serve_begin of {node} in slot 2)"));
    assert!(cut.at_s > killed.at_s + 0.07 && cut.at_s < 9.0, "{cut:?}");
    assert!(cut.label.starts_with("partition n") && cut.note.starts_with("serve_begin of n"));
    assert_eq!(told[2], "pause the emitter (left out: no repair_end came)");
    assert!(never.nodes.is_empty() && never.at_s == 9.0, "{never:?}");
}

/// The first violation's sentence and its shards.
fn stuck(result: &RunResult) -> (&str, &[String]) {
    assert_eq!(result.verdict, Verdict::LivenessViolated, "{:?}", result.findings);
    let finding = &result.findings[0];
    (&finding.detail, &finding.shards)
}

#[test]
fn shards_without_a_leader_are_named_with_what_they_wait_for() {
    let result = run(r#"
name = "leaderless"
about = "All nodes die and come back when the faults end, but elections take longer than may be waited."
duration = "6s"
[cluster]
nodes = 3
slots = 3
[cluster.broker.replication]
heartbeat = "3s"
lease = "7s"
election_min = "15s"
election_max = "20s"
[[workload]]
destinations = { count = 4 }
producers = 2
consumers = 2
rate = "50/s"
[[fault]]
at = "3s"
crash = { all = true }
[expect]
drained_within = "3s"
"#);
    let (detail, shards) = stuck(&result);
    assert!(detail.starts_with("3s after the faults "), "{detail}");
    assert_eq!(shards.len(), 3, "{shards:#?}");
    assert!(
        shards[0].starts_with("slot 0 on n1 n2 n3: no leader known at n1 n2 n3; "),
        "{shards:#?}"
    );
    assert!(shards[0].contains("n1 n2 n3 have applied 0 of "), "{shards:#?}");
    assert!(shards[1].contains("waits for its subscription to load1."), "{shards:#?}");
}

#[test]
fn a_queue_that_is_worked_off_too_slowly_is_named_with_its_consumers() {
    let result = run(r#"
name = "slow-consumers"
about = "Consumers take ten seconds a message, and may wait for three."
duration = "4s"
[cluster]
nodes = 3
slots = 3
[[workload]]
destinations = { count = 2, prefix = "slow" }
producers = 1
consumers = 2
rate = "10/s"
prefetch = 2
handling = "10s"
[expect]
drained_within = "3s"
"#);
    let (detail, shards) = stuck(&result);
    assert!(detail.contains("messages are left in slow."), "{detail}");
    let [shard] = shards else { panic!("both queues are in one slot: {shards:#?}") };
    assert!(shard.starts_with("slot 1 on n2 n1 n3: led by n2; "), "{shard}");
    for text in [
        " messages of slow.0 not delivered; ",
        " messages in slow.1; ",
        "; consumer c0 on n2 is subscribed to slow.0",
    ] {
        assert!(shard.contains(text), "{text}: {shard}");
    }
}

#[test]
fn a_cluster_that_never_gets_ready_says_who_is_silent() {
    let result = run(r#"
name = "deaf"
about = "Almost everything is lost on the way."
duration = "1s"
[cluster]
nodes = 3
slots = 3
[network]
loss = 0.995
[[workload]]
destinations = { count = 2 }
producers = 1
consumers = 2
rate = "10/s"
"#);
    let (detail, shards) = stuck(&result);
    assert!(detail.starts_with("60s after the start not every shard has a leader"), "{detail}");
    assert_eq!(shards[2], "n3 says nothing: no answer in time");
    let slot = "slot 1 on n2 n1 n3: no leader known, n1 n2 n3 say nothing; consumer c0 of load1.0";
    assert!(shards[4].starts_with(slot), "{shards:#?}");
}

#[test]
fn an_expectation_that_is_missed_names_the_shards() {
    let result = run(r#"
name = "impatient"
about = "Nobody is as fast as this asks."
duration = "4s"
[cluster]
nodes = 3
slots = 4
[[workload]]
destinations = { count = 8 }
producers = 2
consumers = 2
rate = "50/s"
[[fault]]
at = "1s"
crash = { leader_of = 2, back_after = "1s" }
[expect]
publish_p99 = "<= 1us"
placement = "exact"
"#);
    assert_eq!(result.verdict, Verdict::ExpectationMissed, "{:?}", result.findings);
    let [.., placement, publishes] = result.expectations.as_slice() else {
        panic!("there are two")
    };
    assert_eq!(placement.shards.len(), 1, "one slot's leader died: {placement:?}");
    let slot = "slot 2 on n3 n2 n1: led by n";
    assert!(placement.shards[0].starts_with(slot), "{placement:?}");
    assert_eq!(publishes.shards.len(), 3, "no message goes to slot 0: {publishes:?}");
    assert!(publishes.shards.iter().any(|it| it.starts_with(slot)), "{publishes:?}");
    assert!(publishes.shards[0].contains(" were not <= 1us, the longest took "), "{publishes:?}");
}

#[test]
fn the_rest_drains_without_a_node_that_stays_away() {
    let result = run(r#"
name = "away"
about = "A node dies and stays away until all else is done."
duration = "10s"
[cluster]
nodes = 3
slots = 4
[[workload]]
destinations = { count = 8 }
producers = 2
consumers = 3
rate = "50/s"
[[fault]]
at = "4s"
outlasts = true
crash = { node = "n2" }
[[fault]]
at = "8s"
bit_rot = { node = "n3", back_after = "500ms" }
"#);
    assert_eq!(result.verdict, Verdict::Passed, "{:?}", result.findings);
    let [away, rot] = result.faults.as_slice() else { panic!("{:?}", result.faults) };
    assert!(away.until_s.is_some_and(|until| until > 10.0), "{away:?}");
    assert_eq!(rot.note, "left out: n2 away, whom a repair needs");
}

#[test]
fn the_operator_changes_the_cluster_and_faults_know_who_is_there() {
    let workload = "leave = 0.02";
    let changes = "[[change]]\nat = '2s'\njoin = 2\n\
                   [[change]]\nat = '4s'\ndrain = 'n1'\n\
                   [[change]]\nat = '5s'\nremove = 'n2'\n\
                   [[fault]]\nat = '3s'\ncrash = { node = 'n4', back_after = '300ms' }\n\
                   [[fault]]\nat = '9s'\ncrash = { node = 'n2', back_after = '300ms' }\n\
                   [[fault]]\nat = '10s'\nlasts = '100ms'\npause = { all = true }";
    let (result, outcome, log) = under("changes", workload, changes);
    let told: Vec<&str> = result.changes.iter().map(|it| it.label.as_str()).collect();
    assert_eq!(told, ["join n4 n5", "drain n1", "remove n2"]);
    for (change, due) in result.changes.iter().zip([2.0, 4.0, 5.0]) {
        let until = change.until_s.unwrap();
        assert!(change.at_s >= due && until > change.at_s && until < 9.0, "{change:?}");
    }
    let told: Vec<String> = result.faults.iter().map(FaultMark::in_words).collect();
    assert_eq!(told[0], "crash n4");
    assert_eq!(told[1], "crash n2 (left out: n2 was no member then)");
    assert_eq!(result.faults[2].nodes, ["n1", "n3", "n4", "n5"]);
    // n1 stays and holds nothing, n2 has ended in good order.
    for (node, event) in
        [("n1#", "replica_dropped"), ("n2#", "replica_dropped"), ("n2#", "node_exit")]
    {
        assert!(!lines(&log, &[node, event]).is_empty(), "{node} {event}");
    }
    assert!(outcome.end.replicas.iter().all(|it| it.node > 1), "{:?}", outcome.end.replicas);
    let (first, moves) = (outcome.placed.len() as u32, outcome.moves.unwrap());
    assert!(moves.added >= first, "each shard has moved: {moves:?}");
    let reached: Vec<&str> = outcome.history.nodes.values().map(|node| &**node).collect();
    assert!(reached.contains(&"n4") && reached.contains(&"n5"), "clients go to those that join");
}

#[test]
fn a_change_that_the_cluster_refuses_is_named_with_its_reason() {
    let result = run(r#"
name = "refused"
about = "All that are left would be in one zone."
duration = "6s"
[cluster]
nodes = 3
zones = ["a", "b"]
replicas = 2
slots = 3
[[change]]
at = "2s"
drain = "n2"
[expect]
settled_within = "3s"
"#);
    let (detail, _) = stuck(&result);
    assert!(
        detail.starts_with("3s after the faults the change `drain n2` is not made: "),
        "{detail}"
    );
    assert!(detail.contains("the last active member outside zone `a`"), "{detail}");
    assert!(result.changes[0].note.contains("answers missing or refusing it"), "{result:?}");
}

#[test]
fn groups_that_are_not_where_they_belong_are_named() {
    let result = run(r#"
name = "unsettled"
about = "A node joins as the run ends, and its links are too slow to fill its copies at once."
duration = "6s"
[cluster]
nodes = 3
slots = 30
[cluster.broker.replication]
moves = 1
[network]
latency = { min = "20ms", mean = "30ms", p99 = "40ms" }
[[workload]]
destinations = { count = 4 }
producers = 2
consumers = 2
rate = "50/s"
[[change]]
at = "5900ms"
join = 1
[expect]
settled_within = "1s"
"#);
    let (detail, groups) = stuck(&result);
    assert!(detail.ends_with(" groups are not where they belong"), "{detail}");
    assert!(
        groups.iter().any(|it| it.starts_with("slot ") && it.contains(": to be on n")),
        "{groups:?}"
    );
}
