use super::*;

mod changes;

const SPLIT_BRAIN: &str = r#"
name     = "split-brain-under-load"
about    = "A five-node cluster is cut 2|3 while 40 producers publish."
seed     = 7
duration = "60s"

[cluster]
nodes = 5
replicas = 3
slots = 64
strategy = "slots"
hash = "md5"
salt = "paceline"

[network]
latency = { min = "0.2ms", mean = "0.5ms", p99 = "4ms" }
bandwidth = "1Gbit/s"

[disk]
sync = { mean = "0.4ms", p99 = "3ms" }

[[workload]]
protocol = "stomp"
destinations = { kind = "queue", count = 200, popularity = { zipf = 0.9 } }
producers = 40
consumers = 20
rate = "2000/s"
body = { mean = "230B" }

[[fault]]
at = "15s"
lasts = "10s"
partition = [["n1", "n2"], ["n3", "n4", "n5"]]

[[fault]]
between = ["30s", "45s"]
every = "3s"
power_cut = { any = 1, back_after = "2s" }

[expect]
acknowledged_lost = 0
drained_within = "20s"
peak_to_average = "<= 1.15"
"#;

/// Loads the scenario with one piece of its text replaced.
fn with(old: &str, new: &str) -> Result<Scenario, ScenarioError> {
    assert!(SPLIT_BRAIN.contains(old), "the test replaces what is there");
    Scenario::load("split.toml", &SPLIT_BRAIN.replacen(old, new, 1))
}

#[track_caller]
fn refused(old: &str, new: &str, line: usize, reason: &str) {
    let error = with(old, new).expect_err("this must be refused");
    assert!(error.reason.contains(reason), "{error}");
    assert_eq!(error.line, line, "{error}");
}

#[test]
fn the_example_of_the_design_is_read() {
    let scenario = Scenario::load("split.toml", SPLIT_BRAIN).unwrap();
    assert_eq!(scenario.cluster.nodes, 5);
    assert_eq!(scenario.workloads[0].rate.per_second, 2000.0);
    assert_eq!(scenario.faults.len(), 2);
    assert!(scenario.expect.peak_to_average.unwrap().holds(1.1));
}

#[test]
fn mistakes_are_refused_with_their_place_and_reason() {
    refused("replicas = 3", "replica = 3", 9, "unknown field `replica`");
    refused("replicas = 3", "replicas = 6", 9, "6 replicas do not fit on 5 nodes");
    refused("nodes = 5", "nodes = 0", 8, "0 nodes");
    refused("\"md5\"", "\"md6\"", 12, "md6");
    refused("\"slots\"", "\"rings\"", 11, "rings");
    refused("[network]", "[cluster.broker.limits]\nbodies = 5\n[network]", 15, "bodies");
    refused("[network]", "[cluster.broker.node]\n[network]", 15, "set by the scenario");
    refused("\"1Gbit/s\"", "\"1Gbit\"", 17, "not a bandwidth");
    refused("duration = \"60s\"", "duration = 60", 5, "length of time");
    refused("mean = \"0.5ms\"", "mean = \"0.1ms\"", 16, "below the least");
    refused("rate = \"2000/s\"", "rate = \"0/s\"", 27, "rate above 0");
    let select = |new, reason| refused("rate = \"2000/s\"", new, 28, reason);
    select("rate = \"2000/s\"\nselectors = 1", "two parts at least");
    select("rate = \"2000/s\"\nselectors = 3", "a consumer for each part, 600 in all");
    select("rate = \"2000/s\"\ndurable = true", "only topics have durable subscriptions");
    select("rate = \"2000/s\"\nrenew = 0.1", "only durable subscribers that `leave`");
    select("rate = \"2000/s\"\naway = \"1s\"", "nobody goes away without `leave`");
    select("rate = \"2000/s\"\ngroups = 0", "one group at least");
    let alone = "consumers = 200\ncomposite = true";
    refused("consumers = 20", alone, 27, "each consumer has one destination");
    refused(
        "rate = \"2000/s\"",
        "rate = \"2000/s\"\nexclusive = true\nselectors = 2",
        28,
        "would leave behind what is another one's",
    );
    refused("\"n2\"]", "\"n9\"]", 33, "no node `n9`");
    refused("\"n2\"]", "\"n3\"]", 33, "twice");
    refused("lasts = \"10s\"", "", 30, "needs `lasts`");
    refused("lasts = \"10s\"", "lasts = \"50s\"", 31, "the run ends at 60s");
    refused("at = \"15s\"", "", 30, "when?");
    refused("every = \"3s\"", "every = \"30s\"", 37, "does not fit");
    refused("any = 1,", "any = 1, all = true,", 38, "exactly one of");
    refused("any = 1,", "any = 6,", 38, "6 of 5 nodes");
    refused("power_cut = { any", "meteor = { any", 38, "unknown field `meteor`");
    refused(
        "power_cut = { any = 1,",
        "bit_rot = { any = 2,",
        38,
        "at most 1 nodes may lose records",
    );
    refused("any = 1,", "leaders = 6,", 38, "6 of 5 nodes");
    refused("any = 1,", "leaders = 1, any = 1,", 38, "exactly one of");
    refused("any = 1,", "leader_of = 64,", 38, "there is no slot 64; they are 0 to 63");
    let partition = "partition = [[\"n1\", \"n2\"], [\"n3\", \"n4\", \"n5\"]]";
    refused(partition, "partition = { leaders = 5 }", 33, "leave no two sides");
    refused(partition, "partition = { all = true }", 33, "leave no two sides");
    refused(partition, "partition = { node = \"n9\" }", 33, "no node `n9`");
    refused(partition, "partition = { one_way = true }", 33, "exactly one of");
    refused("power_cut = {", "bit_rot = { bytes = 0,", 38, "1 to 1000 bytes");
    refused("power_cut = { any = 1,", "lost_write = { any = 2,", 38, "at most 1 nodes may lose");
    refused("power_cut = { any", "lost_write = { writes = 0, any", 38, "1 to 1000 writes");
    refused(
        "power_cut = { any",
        "misdirected_write = { writes = 1001, any",
        38,
        "1 to 1000 writes",
    );
    refused("power_cut = {", "full_disk = {", 38, "unknown field `back_after`");
    refused("\"<= 1.15\"", "\"1.15\"", 43, "begins with none of");
}

/// A fault in place of the partition, which lasts.
fn refused_fault(fault: &str, reason: &str) {
    let partition = "partition = [[\"n1\", \"n2\"], [\"n3\", \"n4\", \"n5\"]]";
    refused(partition, fault, 33, reason);
}

#[test]
fn faults_of_links_clients_and_clocks_are_refused_where_they_make_no_sense() {
    refused_fault("flap = { any = 1, down = '1s' }", "`flap` needs `up`");
    refused_fault("flap = { any = 1, up = '1s' }", "`flap` needs `down`");
    refused_fault("flap = { any = 1, down = '1s', up = '0s' }", "at least 1ms");
    refused_fault("flap = { down = '1s', up = '1s' }", "exactly one of");
    refused_fault("flood = { any = 1, connections = 0 }", "1 to 100000 connections");
    refused_fault("clock_drift = { any = 1 }", "`clock_drift` needs `ppm`");
    refused_fault("clock_drift = { any = 1, ppm = 0.0 }", "not by 0");
    refused_fault("clock_drift = { any = 1, ppm = 1e6 }", "100000 millionths");
    refused_fault("slow_link = { any = 1, one_way = true }", "`latency` or `bandwidth`");
    let partition = "partition = [[\"n1\", \"n2\"], [\"n3\", \"n4\", \"n5\"]]";
    refused(
        partition,
        "reconnect_storm = { all = true }",
        32,
        "happens at once; it has no `lasts`",
    );
    let prefetch = "producers = 40\nprefetch = 4\nvanish = 0.95";
    refused("producers = 40", prefetch, 27, "`vanish` together leave");
}

#[test]
fn a_workload_does_what_its_protocol_knows() {
    for protocol in ["openwire", "mixed"] {
        let auto = format!("protocol = \"{protocol}\"\nack = \"auto\"");
        refused("protocol = \"stomp\"", &auto, 24, "acknowledge all");
    }
    for protocol in ["stomp", "mixed"] {
        let without = format!("protocol = \"{protocol}\"\nprefetch = 0");
        refused("protocol = \"stomp\"", &without, 24, "1 to ");
    }
    let asking = with("protocol = \"stomp\"", "protocol = \"openwire\"\nprefetch = 0").unwrap();
    assert_eq!(asking.workloads[0].protocol, format::Protocol::OpenWire);
}

#[test]
fn labels_say_what_is_special_about_a_fault() {
    let faults = r#"[[fault]]
at = "46s"
lasts = "2s"
slow_link = { node = "n2", latency = { min = "1ms", mean = "2ms", p99 = "3ms" }, one_way = true }

[[fault]]
at = "48s"
bit_rot = { node = "n3", tail = true, back_after = "1s" }

[[fault]]
at = "50s"
reconnect_storm = { all = true }

[[fault]]
between = ["50s", "51s"]
lasts = ["1s", "2s"]
flap = { any = 1, down = "100ms", up = "200ms" }

[expect]"#;
    let expanded = expand(&with("[expect]", faults).unwrap(), 5).scenario;
    let labels: Vec<String> = expanded.faults.iter().map(fault::label).collect();
    let first = labels.len() - 4;
    assert_eq!(labels[first], "one-way slow link n2");
    assert_eq!(labels[first + 1], "tail bit rot n3");
    assert!(labels[first + 2..].contains(&"reconnect storm n1 n2 n3 n4 n5".to_owned()));
    let flap = expanded.faults.iter().find(|fault| fault.flap.is_some()).unwrap();
    assert!(matches!(flap.lasts, Some(fault::Extent::Fixed(_))), "it is drawn");
    assert_eq!(fault::nodes(flap).len(), 1);
    let read = Scenario::load("expanded.toml", &expanded.to_toml()).unwrap();
    assert_eq!(expand(&read, 5).scenario, expanded);
}

#[test]
fn nonsense_about_events_is_refused() {
    let fault = |new: &'static str, line, reason| refused("every = \"3s\"", new, line, reason);
    fault("on = \"votes\"", 37, "unknown variant `votes`, expected one of `vote`, `follow`, ");
    fault("on = \"vote\"\nby = \"n9\"", 38, "no node `n9`");
    fault("on = \"vote\"\nslot = 64", 38, "there is no slot 64; they are 0 to 63");
    fault("on = \"node_ready\"\nslot = 6", 38, "`node_ready` is of a whole node");
    fault("on = \"vote\"\nnth = 0", 38, "counted from 1 to 1000");
    fault("on = \"vote\"\nnth = [1, 1001]", 38, "counted from 1 to 1000");
    fault("on = \"vote\"\nnth = [3, 2]", 38, "3 is more than 2");
    fault("on = \"vote\"\nnth = -1", 38, "-1");
    fault("on = \"vote\"\nafter = [\"2s\", \"13.5s\"]", 36, "may go on until 60.5s");
    fault("on = \"vote\"\nevery = \"30s\"", 38, "does not fit");
    for key in ["by = \"n1\"", "slot = 1", "nth = 2", "after = \"1ms\""] {
        let name = key.split(' ').next().unwrap();
        refused("every = \"3s\"", key, 37, &format!("`{name}` goes with `on`"));
    }
    refused("any = 1,", "emitter = true,", 38, "`emitter` goes with `on`");
    let crash = "lasts = \"10s\"\npartition = [[\"n1\", \"n2\"], [\"n3\", \"n4\", \"n5\"]]";
    refused(crash, "on = \"vote\"\ncrash = { emitter = true }", 32, "not with `at`");
    let never = "at = \"15s\"\nlasts = \"10s\"";
    refused(never, "on = \"vote\"\nlasts = \"10s\"", 31, "`on` goes with `between`");
    let both = "any = 1, emitter = true,";
    refused(
        "every = \"3s\"\npower_cut = { any = 1,",
        &format!("on = \"vote\"\npower_cut = {{ {both}"),
        38,
        "exactly one of",
    );
    let partition = "partition = [[\"n1\", \"n2\"], [\"n3\", \"n4\", \"n5\"]]";
    refused(partition, "partition = { emitter = true }", 33, "`emitter` goes with `on`");
}

const ON_EVENTS: &str = r#"[[fault]]
between = ["10s", "40s"]
every = "10s"
on = "vote"
slot = 7
nth = [2, 5]
after = ["0ms", "2ms"]
power_cut = { emitter = true, back_after = ["20ms", "100ms"] }

[[fault]]
between = ["10s", "40s"]
on = "hand_over"
by = "n2"
lasts = ["1s", "3s"]
partition = { emitter = true, one_way = true }

[[fault]]
between = ["10s", "40s"]
on = "segment_begin"
crash = { any = 2 }

[expect]"#;

#[test]
fn what_waits_for_an_event_waits_for_it_in_the_expansion() {
    let scenario = with("[expect]", ON_EVENTS).unwrap();
    let mut drawn = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let expanded = expand(&scenario, seed).scenario;
        let read = Scenario::load("expanded.toml", &expanded.to_toml()).unwrap();
        assert_eq!(read, expanded);
        assert_eq!(expand(&read, seed + 1).scenario.faults, expanded.faults, "all is decided");
        let waiting: Vec<&fault::Fault> =
            expanded.faults.iter().filter(|fault| fault.on.is_some()).collect();
        assert_eq!(waiting.len(), 5, "one of the first for each ten seconds");
        for (fault, from) in waiting.iter().filter(|it| it.slot.is_some()).zip([10, 20, 30]) {
            let Some(event::Nth::Fixed(nth)) = fault.nth else { panic!("{fault:?}") };
            let Some(fault::Extent::Fixed(after)) = fault.after else { panic!("{fault:?}") };
            assert!((2..=5).contains(&nth) && after.0.as_millis() <= 2);
            assert_eq!(fault.between.unwrap().map(|at| at.0.as_secs()), [from, from + 10]);
            assert!(fault.at.is_none() && fault.every.is_none());
            assert_eq!(fault::label(fault), "power cut the emitter");
            drawn.insert((nth, after));
        }
        let crash = waiting.iter().find(|fault| fault.crash.is_some()).unwrap();
        assert_eq!(fault::nodes(crash).len(), 2);
    }
    assert!(drawn.len() > 100, "every part draws its own");
}

#[test]
fn what_waits_for_an_event_is_described() {
    let described: Vec<String> = expand(&with("[expect]", ON_EVENTS).unwrap(), 3)
        .scenario
        .faults
        .iter()
        .map(fault::describe)
        .collect();
    let cut = described.iter().find(|it| it.contains("hand_over")).unwrap();
    assert!(
        cut.starts_with("10s to 40s, at hand_over of n2: partition the emitter -| the others for ")
    );
    let vote = described.iter().find(|it| it.starts_with("20s to 30s, ")).unwrap();
    assert!(vote.contains("us after vote ") || vote.contains("ms after vote "), "{vote}");
    assert!(vote.contains(" in slot 7: power cut the emitter, back after "), "{vote}");
}

#[test]
fn columns_point_at_the_value() {
    let error = with("\"n2\"]", "\"n9\"]").unwrap_err();
    assert_eq!(error.column, 21, "{error}");
    assert!(error.to_string().starts_with("split.toml:33:21: there is no node"), "{error}");
}

#[test]
fn what_outlasts_the_faults_leaves_a_majority() {
    let at =
        "at = \"15s\"\nlasts = \"10s\"\npartition = [[\"n1\", \"n2\"], [\"n3\", \"n4\", \"n5\"]]";
    let crash = "between = [\"40s\", \"60s\"]\noutlasts = true\ncrash = { any = 1 }";
    let scenario = with(at, crash).unwrap();
    let faults = expand(&scenario, 1).scenario.faults;
    let fault = faults.iter().find(|fault| fault.outlasts).unwrap();
    assert!(super::fault::nodes(fault).len() == 1, "{fault:?}");
    let wrong = |old: &str, new: &str| crash.replacen(old, new, 1);
    refused(at, &wrong("any = 1", "any = 2"), 32, "2 nodes that stay away");
    refused(at, &wrong("any = 1", "any = 1, back_after = \"1s\""), 33, "ends when all is drained");
    refused(at, &wrong("crash", "lasts = \"1s\"\ncrash"), 33, "ends when all is drained");
    refused(at, &wrong("crash", "partition"), 32, "`partition` ends with the other faults");
}

#[test]
fn the_same_seed_expands_alike_and_others_do_not() {
    let scenario = Scenario::load("split.toml", SPLIT_BRAIN).unwrap();
    let once = expand(&scenario, 11);
    assert_eq!(once, expand(&scenario, 11));
    assert_ne!(once.scenario.faults, expand(&scenario, 12).scenario.faults);
    // One partition, and one power cut in each three of the fifteen seconds.
    assert_eq!(once.scenario.faults.len(), 6);
}

#[test]
fn an_expansion_is_a_scenario_that_expands_to_itself() {
    let scenario = Scenario::load("split.toml", SPLIT_BRAIN).unwrap();
    for seed in 0..200 {
        let expanded = expand(&scenario, seed).scenario;
        let text = expanded.to_toml();
        let read = Scenario::load("expanded.toml", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(read, expanded);
        assert_eq!(expand(&read, seed).scenario, expanded);
    }
}

#[test]
fn who_leads_is_left_to_the_run() {
    let leaders = r#"[[fault]]
at = "46s"
lasts = ["1s", "3s"]
partition = { leaders = 2, one_way = true }

[[fault]]
at = "50s"
crash = { leader_of = 3, back_after = "1s" }

[expect]"#;
    let expanded = expand(&with("[expect]", leaders).unwrap(), 5).scenario;
    let labels: Vec<String> = expanded.faults.iter().map(fault::label).collect();
    let two = &labels[labels.len() - 2..];
    let of_leaders = "partition the 2 nodes that lead most -| the others";
    assert_eq!(two, [of_leaders, "crash the leader of slot 3"]);
    let read = Scenario::load("expanded.toml", &expanded.to_toml()).unwrap();
    assert_eq!(expand(&read, 5).scenario, expanded);

    let names = expanded.node_names();
    let partition = expanded.faults[labels.len() - 2].of(vec!["n2".into(), "n4".into()], &names);
    assert_eq!(fault::label(&partition), "partition n2 n4 -| n1 n3 n5");
    let crash = expanded.faults[labels.len() - 1].of(vec!["n2".into()], &names);
    assert_eq!(fault::label(&crash), "crash n2");
}

#[test]
fn nodes_against_all_the_others_are_a_partition() {
    let partition = "partition = [[\"n1\", \"n2\"], [\"n3\", \"n4\", \"n5\"]]";
    let scenario = with(partition, "partition = { nodes = [\"n4\", \"n1\"] }").unwrap();
    let first = &expand(&scenario, 1).scenario.faults[0];
    assert_eq!(fault::label(first), "partition n1 n4 | n2 n3 n5");
}

#[test]
fn a_node_that_is_down_is_not_stopped_again() {
    let crashes = r#"[[fault]]
between = ["10s", "40s"]
every = "1s"
crash = { any = 2, back_after = ["1s", "5s"] }

[expect]"#;
    let scenario = with("[expect]", crashes).unwrap();
    for seed in 0..50 {
        let mut down_until = std::collections::BTreeMap::new();
        for fault in expand(&scenario, seed).scenario.faults {
            let kinds = fault.kinds();
            let Some(target) = kinds[0].target() else { continue };
            let at = fault.at.unwrap();
            let back = kinds[0].back_after().unwrap().unwrap().most();
            for node in target.nodes.as_ref().unwrap() {
                let until = down_until.insert(node.clone(), at.0 + back.0);
                assert!(until.is_none_or(|until| until <= at.0), "{node} was down at {at}");
            }
        }
    }
}

#[test]
fn the_hash_names_what_is_said_not_how() {
    let hash = |text: &str| Scenario::load("x.toml", text).unwrap().hash();
    let plain = hash(SPLIT_BRAIN);
    assert_eq!(plain, hash(&format!("# a remark\n{}", SPLIT_BRAIN.replace("seed     = 7", ""))));
    assert_ne!(plain, hash(&SPLIT_BRAIN.replace("nodes = 5", "nodes = 6")));
}

/// Two clocks are apart by how far one has been ahead and the other behind, whatever the jumps sum up
/// to.
#[test]
fn clocks_differ_by_where_jumps_have_put_them() {
    let jump = |at: u32, target: &str, by: &str| {
        format!("[[fault]]\nat = \"{at}s\"\nclock_jump = {{ {target}, by = \"{by}\" }}\n")
    };
    let error = |jumps: &[String]| {
        let scenario = with("[expect]", &format!("{}[expect]", jumps.concat())).unwrap();
        expand(&scenario, 1).scenario.clock_error().as_millis()
    };
    assert_eq!(error(&[]), 1);
    let n1 = [(5, "-2s"), (1, "2s"), (9, "1500ms")].map(|(at, by)| jump(at, "node = \"n1\"", by));
    assert_eq!(error(&n1), 2_001);
    let all = [n1.concat(), jump(3, "nodes = [\"n2\"]", "-1s")];
    assert_eq!(error(&all), 3_001);
    // Who leads may be hit by both, by one or by none.
    let leaders = ["1s", "-1s", "1s"].map(|by| jump(2, "leaders = 1", by));
    assert_eq!(error(&leaders), 3_001);
}

const REFERENCE: &str = include_str!("../../../docs/scenarios.md");

#[test]
fn the_examples_of_the_reference_are_scenarios() {
    let examples: Vec<&str> = REFERENCE
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("a split has a first part"))
        .collect();
    assert!(examples.len() >= 2);
    for example in examples {
        let source = Source::load("docs/scenarios.md", example).unwrap();
        (0..20).for_each(|seed| assert!(source.drawn(seed).is_ok(), "seed {seed}"));
    }
}

/// The keys of every table of these sources, read from the fields of their types.
#[test]
fn the_reference_names_every_key() {
    for event in event::Event::ALL {
        let name = format!("| `{event}` |");
        assert!(REFERENCE.contains(&name), "docs/scenarios.md does not name `{event}`");
    }
    let sources = [
        include_str!("format.rs"),
        include_str!("delay.rs"),
        include_str!("change/mod.rs"),
        include_str!("change/forms.rs"),
        include_str!("fault/mod.rs"),
        include_str!("fault/nodes.rs"),
    ];
    let fields = sources.iter().flat_map(|source| source.lines()).filter_map(|line| {
        let field = line.trim_start().strip_prefix("pub ").unwrap_or(line.trim_start());
        let (name, rest) = field.split_once(": ")?;
        let is_field = rest.ends_with(',')
            && line.starts_with("    ")
            && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        is_field.then_some(match name {
            "workloads" => "workload",
            "changes" => "change",
            "faults" => "fault",
            other => other,
        })
    });
    let fields: Vec<&str> = fields.collect();
    assert!(fields.contains(&"back_after") && fields.contains(&"publish_p99"));
    for field in fields {
        assert!(REFERENCE.contains(field), "docs/scenarios.md does not name `{field}`");
    }
}
