use std::collections::BTreeSet;

use super::*;
use crate::{expand, fault::Kind, format::AckMode};

const SWARM: &str = r#"
name     = "drawn"
about    = "Few nodes, or many."
duration = "20s"

[swarm]
phases = { range = [1, 3] }
quiet  = "2s"

[[swarm.fault]]
chance = 0.5
crash  = { any = 1, back_after = ["100ms", "30s"] }

[[swarm.fault]]
clock_jump = { all = true, by = { one_of = ["-1s", "+1s"] } }

[cluster]
nodes    = { range = [3, 6] }
replicas = { one_of = [3, 5] }

[cluster.broker.storage]
segment = { range = ["4KiB", "1MiB"], chance = 0.5 }

[network]
latency = { mean = { range = ["300us", "20ms"] }, p99 = "50ms" }

[[workload]]
destinations = { count = { range = [1, 20] } }
producers    = 2
consumers    = 2
rate         = { range = ["10/s", "100/s"] }
persistent   = { range = [0.0, 1.0] }
ack          = { one_of = ["client", "auto"] }

[[workload]]
chance       = 0.3
destinations = { count = 2, kind = "topic" }
producers    = 1
consumers    = 3
rate         = "5/s"
"#;

fn source(text: &str) -> Result<Source, ScenarioError> {
    Source::load("swarm.toml", text)
}

#[track_caller]
fn refused(old: &str, new: &str, place: &str, reason: &str) {
    assert!(SWARM.contains(old), "the test replaces what is there");
    let error = source(&SWARM.replacen(old, new, 1)).expect_err("this must be refused");
    let told = error.to_string();
    assert!(told.starts_with(place) && told.contains(reason), "{told}");
}

#[test]
fn every_seed_is_another_scenario_and_the_same_again() {
    let swarm = source(SWARM).unwrap();
    let drawn: Vec<Drawn> = (0..200).map(|seed| swarm.drawn(seed).unwrap()).collect();
    for (seed, it) in (0..).zip(&drawn) {
        assert_eq!(*it, swarm.drawn(seed).unwrap());
    }
    let all = |field: &dyn Fn(&Scenario) -> String| -> BTreeSet<String> {
        drawn.iter().map(|it| field(&it.scenario)).collect()
    };
    assert_eq!(all(&|it| it.cluster.nodes.to_string()).len(), 4);
    assert_eq!(all(&|it| format!("{:?}", it.cluster.replicas)).len(), 2);
    assert_eq!(all(&|it| it.workloads.len().to_string()).len(), 2);
    assert!(all(&|it| it.workloads[0].rate.to_string()).len() > 100);
    let modes = all(&|it| format!("{:?}", it.workloads[0].ack));
    assert_eq!(modes, [AckMode::Auto, AckMode::Client].map(|it| format!("{it:?}")).into());
    let with_segment = |it: &&Drawn| it.scenario.cluster.broker["storage"].get("segment").is_some();
    assert!((60..140).contains(&drawn.iter().filter(with_segment).count()));
    for it in &drawn {
        let Scenario { cluster, workloads, .. } = &it.scenario;
        assert!(cluster.replicas.is_some_and(|replicas| replicas <= cluster.nodes), "{cluster:?}");
        assert!((1..=20).contains(&workloads[0].destinations.count));
        assert!((10.0..=100.0).contains(&workloads[0].rate.per_second));
        let nodes = format!("cluster.nodes = {}", cluster.nodes);
        assert!(it.knobs.contains(&nodes), "{:?}", it.knobs);
    }
}

#[test]
fn what_is_drawn_reads_back_and_expands_alike() {
    let swarm = source(SWARM).unwrap();
    for seed in 0..50 {
        let expanded = expand(&swarm.drawn(seed).unwrap().scenario, seed).scenario;
        let saved = source(&expanded.to_toml()).unwrap();
        assert!(matches!(saved, Source::Scenario(_)));
        assert_eq!(saved.common().seed, seed);
        assert_eq!(expand(&saved.drawn(seed).unwrap().scenario, seed).scenario, expanded);
    }
}

#[test]
fn phases_begin_quiet_and_end_with_their_faults() {
    let swarm = source(SWARM).unwrap();
    let mut crashes = 0;
    for seed in 0..100 {
        let drawn = swarm.drawn(seed).unwrap();
        let phases = drawn.knobs.iter().find_map(|it| it.strip_prefix("swarm.phases = "));
        let phases: u32 = phases.expect("it is drawn").parse().unwrap();
        let length = drawn.scenario.duration.0.as_secs_f64() / f64::from(phases);
        let faults = expand(&drawn.scenario, seed).scenario.faults;
        let jumps = faults.iter().filter(|it| it.clock_jump.is_some()).count();
        assert_eq!(jumps as u32, phases);
        for fault in &faults {
            let at = fault.at.unwrap().0.as_secs_f64();
            assert!(at % length >= 2.0 - 1e-3, "{at} of phases of {length}");
            if let [Kind::Crash(crash)] = fault.kinds()[..] {
                crashes += 1;
                let end = at + crash.back_after.unwrap().most().0.as_secs_f64();
                assert!(end <= (at / length).floor() * length + length + 1e-3, "{end}");
            }
        }
    }
    assert!(crashes > 50);
}

#[test]
fn mistakes_are_refused_with_their_place_and_reason() {
    refused("phases = { range = [1, 3] }", "phases = 0", "swarm.toml:7:10", "1 to 50 phases");
    refused("quiet  = \"2s\"", "quiet = 2", "swarm.toml:8:9", "a time such as");
    refused("quiet  = \"2s\"", "quiet = \"20s\"", "swarm.toml:8:9", "leave nothing of a phase");
    refused("quiet ", "still ", "swarm.toml:8:10", "unknown key `still`");
    refused("crash  = {", "at = \"3s\"\ncrash  = {", "swarm.toml:10:1", "no `at`");
    refused(", back_after = [\"100ms\", \"30s\"]", "", "swarm.toml:10:1", "`back_after`");
    refused("chance = 0.5", "chance = 50", "swarm.toml:10:1", "a share from 0 to 1");
    refused("[3, 6]", "[6, 3]", "swarm.toml:18:12", "the smaller end first");
    refused("[3, 6]", "[3, 4, 5]", "swarm.toml:18:12", "`range` is a pair");
    refused("[3, 6]", "[\"3s\", \"4KiB\"]", "swarm.toml:18:12", "numbers, times, sizes");
    refused("one_of = [3, 5]", "one_of = []", "swarm.toml:19:12", "a list of what may stand");
    refused("one_of = [3, 5]", "one_of = [3], least = 1", "swarm.toml:19:12", "`least` beside");
    refused(
        "name     = \"drawn\"",
        "name = { one_of = [\"a\"] }",
        "swarm.toml:2:8",
        "the same for",
    );
    // What is wrong with a value that is drawn stands in what is drawn.
    refused("\"client\", \"auto\"", "\"clients\"", "swarm.toml, as seed 0 draws it:", "clients");
    refused("[3, 6]", "[1, 1]", "swarm.toml, as seed 0 draws it:", "none is possible");
}

#[test]
fn the_hash_names_what_is_said() {
    let hash = |text: &str| source(text).unwrap().hash();
    assert_eq!(hash(SWARM), hash(&format!("# a remark\nseed = 9{SWARM}")));
    assert_ne!(hash(SWARM), hash(&SWARM.replace("[3, 6]", "[3, 7]")));
    assert_ne!(hash(SWARM), hash(&SWARM.replace("quiet  = \"2s\"", "quiet  = \"3s\"")));
}
