//! Writes reports of made-up numbers, to look at the pages while working on them. Nothing in them
//! was measured.
//!
//! `cargo run -p paceline-reports --example synthetic_sample -- DIRECTORY`

use std::path::PathBuf;

use paceline_reports::compare::{
    BalanceCell, Collisions, CompareResult, CostCell, Course, CourseStep, ExpectedBalance, Focus,
    HashInfo, LoadProfile, MovementCell, Population, Refusal, SaltedPValues, SimulatedNode,
    SimulatedRun, StrategyInfo,
};
use paceline_reports::exits::ExitCounts;
use paceline_reports::result::{
    Counters, Expectation, FaultMark, Finding, Identity, LatencySeries, LatencyWindow, NodeLoad,
    Percentiles, RunResult, Timing, Verdict, WorkloadShape,
};
use paceline_reports::sweep::{
    CoveragePoint, SWEEP_VERSION, ScenarioSweep, SeedOutcome, SweepResult,
};
use paceline_reports::{write_compare, write_run, write_sweep};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir =
        std::env::args_os().nth(1).map_or_else(|| PathBuf::from("out/synthetic"), PathBuf::from);
    let runs = [
        ("run-5-nodes", run(5, 60, Verdict::Passed)),
        ("run-failed", run(3, 90, Verdict::SafetyViolated)),
        ("run-100-nodes", run(100, 600, Verdict::ExpectationMissed)),
        ("run-empty", RunResult::new(identity("empty"), Verdict::Crashed)),
    ];
    for (name, result) in &runs {
        println!("{}", write_run(&dir.join(name), result)?.display());
    }
    println!("{}", write_sweep(&dir.join("sweep"), &sweep())?.display());
    println!("{}", write_compare(&dir.join("compare"), &compare())?.display());
    Ok(())
}

/// A reproducible stream of numbers in 0..1 (SplitMix64).
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Nearly normal, mean 0, standard deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

fn identity(name: &str) -> Identity {
    Identity {
        scenario: format!("synthetic-sample-{name}"),
        about: "Synthetic sample: made-up numbers that show what a report looks like. Nothing here was measured."
            .into(),
        scenario_hash: "00112233445566778899aabbccddeeff".into(),
        seed: 7,
        commit: "none (synthetic sample)".into(),
        world: "simulated".into(),
        reproduce: "cargo run -p paceline-reports --example synthetic_sample".into(),
    }
}

fn run(nodes: usize, seconds: usize, verdict: Verdict) -> RunResult {
    let mut noise = Noise(nodes as u64);
    let mut result = RunResult::new(identity(&format!("{nodes}-nodes")), verdict);
    result.fingerprint = "5f0c3aa1d2b94e7786aa10cc42f9e37d00c1f2a9b8e74d6655443322110f0e0d".into();
    result.timing = Timing { virtual_s: seconds as f64, wall_s: 2.25 };
    let destinations = if nodes > 50 { 20_000 } else { 1000 };
    result.workload = Some(WorkloadShape::uniform(destinations));
    let spread = ((nodes - 1) as f64 / destinations as f64).sqrt();
    let crash = (seconds / 4, seconds / 4 + 8);
    let cut = (seconds * 3 / 5, seconds * 3 / 5 + 6);
    for i in 0..nodes {
        let name =
            if nodes > 50 { format!("node{i:03}.zone-{}", i % 3) } else { format!("n{}", i + 1) };
        let mut node = NodeLoad::new(name);
        let share = 1.0 + spread * noise.normal();
        node.predicted_share = Some(share / nodes as f64);
        let rate = 400.0 * share;
        let mut depth = 4.0f64;
        for second in 0..seconds {
            let down = i == 2 && (crash.0..crash.1).contains(&second);
            let helped = !down && (crash.0..crash.1).contains(&second) && nodes < 50;
            let stuck = (cut.0..cut.1).contains(&second) && i < 2;
            let factor = if down {
                0.0
            } else if helped {
                1.0 + 1.0 / (nodes - 1) as f64
            } else {
                1.0
            };
            let messages_in = (rate * factor + noise.normal() * rate.sqrt()).max(0.0)
                * f64::from(u8::from(!down));
            let messages_out = if stuck {
                messages_in * 0.3
            } else {
                (messages_in + depth - 4.0).min(rate * 1.6).max(0.0)
            };
            depth = (depth + messages_in - messages_out).max(2.0 + 4.0 * noise.uniform());
            let series = &mut node.series;
            series.messages_in.push(messages_in.round());
            series.messages_out.push(messages_out.round());
            series.bytes_in.push((messages_in * 310.0 * 2.2).round());
            series.bytes_out.push((messages_out * 320.0 * 2.4).round());
            series.queue_depth.push(depth.round());
            let busy = messages_in / 1400.0 + 0.02 * noise.uniform();
            series.cpu_busy.push(if down { 0.0 } else { busy.clamp(0.0, 1.0) });
        }
        node.sum_up(result.sample_interval_s);
        node.totals.slots_led = Some(64 / nodes as u64);
        result.nodes.push(node);
    }
    for (name, base) in [("publish to receipt", 1.3), ("publish to delivery", 2.1)] {
        let mut all = Vec::new();
        let mut windows = Vec::new();
        for second in 0..seconds {
            let slow = if (crash.0..crash.0 + 2).contains(&second) { 300.0 } else { 1.0 };
            let mut samples: Vec<f64> = (0..500)
                .map(|_| {
                    let tail = if noise.uniform() < 0.01 { slow * 3.0 } else { 1.0 };
                    base * tail * (0.35 * noise.normal()).exp()
                })
                .collect();
            all.extend_from_slice(&samples);
            let percentiles = Percentiles::from_samples(&mut samples);
            windows.push(LatencyWindow { at_s: second as f64 + 0.5, percentiles });
        }
        let overall = Percentiles::from_samples(&mut all);
        result.latencies.push(LatencySeries { name: name.into(), overall, windows });
    }
    result.faults = vec![
        FaultMark {
            at_s: crash.0 as f64,
            until_s: Some(crash.1 as f64),
            label: "power cut of one node, back after 8 s".into(),
            note: String::new(),
            nodes: vec!["n3".into()],
        },
        FaultMark {
            at_s: cut.0 as f64,
            until_s: Some(cut.1 as f64),
            label: "partition {n1, n2} | rest".into(),
            note: String::new(),
            nodes: vec!["n1".into(), "n2".into()],
        },
        FaultMark {
            at_s: cut.1 as f64 + 4.0,
            until_s: None,
            label: "clock of n1 jumps by 30 s".into(),
            note: String::new(),
            nodes: vec!["n1".into()],
        },
    ];
    let met = verdict == Verdict::Passed;
    result.expectations = vec![
        expectation(
            "acknowledged_lost",
            "0",
            if verdict == Verdict::SafetyViolated { "2" } else { "0" },
            verdict != Verdict::SafetyViolated,
        ),
        expectation("drained_within", "20s", "3.418s", true),
        expectation("peak_to_average", "<= 1.15", if met { "1.08" } else { "1.21" }, met),
    ];
    if verdict == Verdict::SafetyViolated {
        for (at_s, message) in [(23.412, "q.orders.17 #4711"), (23.418, "q.orders.17 #4712")] {
            result.findings.push(Finding {
                check: "nothing acknowledged is lost".into(),
                detail: format!(
                    "Message {message} was acknowledged to producer p12 but is in no queue, was never delivered and did not expire."
                ),
                at_s: Some(at_s),
                shards: Vec::new(),
                chain: vec![
                    format!("{message}:"),
                    "  23.401000s sent by producer p12 through n3, connection 12".into(),
                    "  23.404000s acknowledged to its producer".into(),
                ],
            });
        }
    }
    result.counters = Counters {
        published_acknowledged: 119_842,
        published_unknown: 31,
        delivered: 120_116,
        redelivered: 243,
        settled: 119_873,
        acknowledged_lost: if verdict == Verdict::SafetyViolated { 2 } else { 0 },
        ..Counters::default()
    };
    result.counters.other.insert("leader changes".into(), 23);
    result.expanded_scenario = Some(
        "name = \"synthetic-sample\"\nseed = 7\n\n[cluster]\nnodes = 5\nreplicas = 3\n".into(),
    );
    result
}

fn expectation(name: &str, wanted: &str, measured: &str, met: bool) -> Expectation {
    Expectation {
        name: name.into(),
        wanted: wanted.into(),
        measured: measured.into(),
        met,
        shards: Vec::new(),
    }
}

fn sweep() -> SweepResult {
    let mut noise = Noise(1);
    let mut scenario = |name: &str, failing: f64| ScenarioSweep {
        scenario: name.into(),
        about: "Synthetic sample: made-up outcomes.".into(),
        scenario_hash: "00112233".into(),
        runs: (1..=200)
            .map(|seed| {
                let verdict = match noise.uniform() / failing {
                    x if x < 0.5 => Verdict::SafetyViolated,
                    x if x < 1.0 => Verdict::LivenessViolated,
                    _ => Verdict::Passed,
                };
                SeedOutcome {
                    seed,
                    verdict,
                    finding: match verdict {
                        Verdict::Passed => String::new(),
                        _ => {
                            "Queue q.17 still held 3 messages 20 s after the last fault was undone."
                                .into()
                        }
                    },
                    failed: Vec::new(),
                    sent: 12_000,
                    exits: ExitCounts::default(),
                    fingerprint: format!("{:016x}", (noise.uniform() * 1e18) as u64),
                    reached: format!("{:x}", 1 + 2 * u8::from(noise.uniform() < 0.05)),
                    virtual_s: 60.0,
                    wall_s: 2.1,
                    reproduce: format!(
                        "cargo sim replay scenarios/faults/{name}.toml --seed {seed}"
                    ),
                }
            })
            .collect(),
    };
    SweepResult {
        schema_version: SWEEP_VERSION,
        commit: "none (synthetic sample)".into(),
        world: "simulated".into(),
        reproduce: "cargo sim sweep scenarios/faults --seeds 200 --jobs 2".into(),
        wall_s: 214.0,
        points: [
            ("MadeUpOften", "what happens in every run"),
            ("MadeUpSeldom", "what happens in few runs"),
            ("MadeUpNever", "what happens in no run"),
        ]
        .map(|(name, about)| CoveragePoint { name: name.into(), about: about.into() })
        .into(),
        scenarios: vec![
            scenario("partition", 0.02),
            scenario("rolling-crash", 0.01),
            scenario("smoke", 1e-9),
        ],
    }
}

/// Made-up properties of a strategy: structural variation, moved against optimal, nanoseconds at 10
/// nodes and growth per decade, bytes per node.
const STRATEGIES: [(&str, f64, f64, f64, f64, f64); 12] = [
    ("modulo", 0.0, 90.0, 3.0, 1.0, 0.0),
    ("ring", 0.1, 1.0, 12.0, 2.2, 1200.0),
    ("ketama", 0.08, 1.02, 14.0, 2.2, 2000.0),
    ("rendezvous", 0.0, 1.0, 14.0, 9.5, 8.0),
    ("jump", 0.0, 1.0, 20.0, 1.4, 0.0),
    ("jumpback", 0.0, 1.0, 12.0, 0.95, 0.0),
    ("maglev", 0.003, 1.4, 3.6, 1.5, 262.0),
    ("multi-probe", 0.13, 1.0, 106.0, 1.15, 14.0),
    ("anchor", 0.0, 1.0, 3.5, 1.6, 16.0),
    ("bounded-load", -1.0, 1.6, 16.0, 2.0, 1300.0),
    ("random", 0.0, 80.0, 2.0, 1.0, 0.0),
    ("slots", -2.0, 1.0, 3.4, 1.15, 330.0),
];

fn compare() -> CompareResult {
    let mut noise = Noise(99);
    let focus = Focus { population: "zipf-0.6".into(), nodes: 100 };
    let mut result = CompareResult::new(identity("compare"), focus);
    result.identity.world = "static".into();
    result.wall_s = 41.7;
    for (name, ..) in STRATEGIES {
        result.strategies.push(StrategyInfo {
            name: name.into(),
            about: "Made-up figures under a real name.".into(),
            baseline: name == "random",
            ..Default::default()
        });
    }
    for (name, keyed, ns) in
        [("rapidhash", false, 3.0), ("siphash13", true, 15.0), ("crc32c", false, 5.0)]
    {
        result.hashes.push(HashInfo {
            name: name.into(),
            withstands_chosen_names: keyed,
            ns_per_name: Some(ns),
            collisions: Some(Collisions { names: 10_000_000, measured: 0, expected: 2.7e-6 }),
        });
    }
    let skews = [0.0, 0.3, 0.6, 0.9, 1.2, 1.5];
    for skew in skews {
        let weights =
            |power: f64| (1..=100_000).map(|rank| f64::from(rank).powf(-power)).sum::<f64>();
        result.populations.push(Population {
            name: format!("zipf-{skew}"),
            about: "Synthetic sample".into(),
            destinations: 100_000,
            skew: Some(skew),
            largest_share: 1.0 / weights(skew),
        });
    }
    for (name, structure, ratio, ns, growth, per_node) in STRATEGIES {
        for hash in ["rapidhash", "siphash13", "crc32c"] {
            for nodes in [10u64, 100, 1000, 10_000] {
                for (i, skew) in skews.into_iter().enumerate() {
                    if nodes != 100 && skew != 0.6 {
                        continue;
                    }
                    let hottest = result.populations[i].largest_share;
                    for salt in ["a", "b", "c"] {
                        let cell =
                            cell(&mut noise, (name, structure), hash, salt, nodes, skew, hottest);
                        result.balance.push(cell);
                    }
                }
                let hash_ns = if hash == "siphash13" { 12.0 } else { 0.0 };
                result.cost.push(CostCell {
                    strategy: name.into(),
                    hash: hash.into(),
                    nodes,
                    lookup_ns: hash_ns + ns * growth.powf((nodes as f64 / 10.0).log10()),
                    dependent_ns: Some(hash_ns + 2.0 * ns),
                    build_us: Some(nodes as f64 * 0.8),
                    update_us: None,
                    bytes: 16.0 + per_node * nodes as f64,
                });
            }
            for (change, optimal) in [
                ("add 1 node", 1.0 / 101.0),
                ("remove 1 node", 0.01),
                ("double a weight", 0.0098),
                ("lose a zone", 1.0 / 3.0),
            ] {
                if name == "jump" && change == "remove 1 node"
                    || name == "maglev" && change == "double a weight"
                {
                    continue;
                }
                let moved = (optimal * ratio * (1.0 + 0.02 * noise.uniform())).min(0.99);
                result.movement.push(MovementCell {
                    strategy: name.into(),
                    hash: hash.into(),
                    nodes: 100,
                    population: "zipf-0.6".into(),
                    change: change.into(),
                    moved,
                    moved_count: None,
                    optimal,
                    expected: None,
                    collateral: if ratio > 1.1 { moved - optimal } else { 0.0 },
                    peak_after: Some(1.3),
                    bound_after: Some(1.0),
                    ..Default::default()
                });
            }
        }
    }
    for (strategy, asked, reason) in [
        (
            "jump",
            "remove any node but the last",
            "its nodes are numbers from 0 to n - 1 without gaps",
        ),
        ("maglev", "double a weight", "it has no weights here"),
    ] {
        result.refusals.push(Refusal {
            strategy: strategy.into(),
            asked: asked.into(),
            reason: reason.into(),
        });
    }
    for (strategy, cv) in
        [("slots", 0.004), ("rendezvous", 0.09), ("ring", 0.135), ("multi-probe", 0.16)]
    {
        result.profiles.push(LoadProfile {
            strategy: strategy.into(),
            hash: "rapidhash".into(),
            population: "zipf-0.6".into(),
            relative_loads: (0..100).map(|_| 1.0 + cv * noise.normal()).collect(),
            expected_cv: Some(cv),
        });
    }
    for (strategy, size) in [("slots", 0.02), ("ring", 0.12)] {
        result.courses.push(flapping(&mut noise, strategy, size));
    }
    for (hash, power) in [("rapidhash", 1.0), ("siphash13", 1.0), ("crc32c", 3.0)] {
        result.salted.push(SaltedPValues {
            strategy: "modulo".into(),
            hash: hash.into(),
            nodes: 100,
            population: "zipf-0".into(),
            p_values: (0..1000).map(|_| noise.uniform().powf(power)).collect(),
        });
    }
    for strategy in ["slots", "rendezvous"] {
        let mut samples: Vec<f64> = (0..2000).map(|_| 1.4 * (0.4 * noise.normal()).exp()).collect();
        result.simulated.push(SimulatedRun {
            strategy: strategy.into(),
            hash: "rapidhash".into(),
            nodes: (1..=5)
                .map(|i| SimulatedNode {
                    name: format!("n{i}"),
                    predicted_share: 0.2,
                    measured_share: 0.2 + 0.004 * noise.normal(),
                    latency: None,
                })
                .collect(),
            latency: Percentiles::from_samples(&mut samples),
            reproduce: "cargo sim run scenarios/hashing/synthetic.toml --seed 7".into(),
        });
    }
    result
}

fn cell(
    noise: &mut Noise,
    (strategy, structure): (&str, f64),
    hash: &str,
    salt: &str,
    nodes: u64,
    skew: f64,
    hottest: f64,
) -> BalanceCell {
    let n = nodes as f64;
    let concentration = 1e-5 + hottest * hottest * 1.4;
    let chance = (n * concentration).sqrt();
    let cv = match structure {
        s if s <= -2.0 => 0.001,
        s if s < 0.0 => 0.08f64.min(chance),
        s => (chance.powi(2) + s * s).sqrt(),
    };
    let reach = (2.0 * n.ln()).sqrt() - 0.4;
    let bound = (n * hottest).max(1.0);
    let uneven = if hash == "crc32c" { 1.6 } else { 1.0 };
    let measured = cv * uneven * (1.0 + 0.04 * noise.normal());
    BalanceCell {
        strategy: strategy.into(),
        hash: hash.into(),
        salt: salt.into(),
        nodes,
        population: format!("zipf-{skew}"),
        peak: (1.0 + reach * measured).max(bound * (1.0 + 0.001 * noise.uniform())),
        least: (1.0 - reach * measured).max(0.0),
        cv: measured,
        gini: (measured * 0.564).min(1.0),
        jain: 1.0 / (1.0 + measured * measured),
        kl: Some(measured * measured / 2.0),
        expected: (structure >= 0.0)
            .then_some(ExpectedBalance { peak: (1.0 + reach * cv).max(bound), cv }),
        bound,
        p_value: (structure >= 0.0).then(|| if hash == "crc32c" { 1e-12 } else { noise.uniform() }),
    }
}

fn flapping(noise: &mut Noise, strategy: &str, size: f64) -> Course {
    let nodes: Vec<String> = (1..=12).map(|i| format!("n{i}")).collect();
    let fixed: Vec<f64> = nodes.iter().map(|_| 1.0 + size * noise.normal()).collect();
    let steps = (0..60).map(|step| {
        let away = step % 20 >= 12;
        let load = |i: usize| fixed[i] * (1.0 + 0.2 * size * noise.normal());
        let mut relative_loads: Vec<Option<f64>> = (0..nodes.len()).map(load).map(Some).collect();
        if away {
            relative_loads[4] = None;
        }
        let turn = step > 0 && (step % 20 == 12 || step % 20 == 0);
        CourseStep {
            relative_loads,
            moved: if turn { 0.085 } else { 0.0 },
            optimal: Some(if turn { 0.083 } else { 0.0 }),
            label: turn.then(|| if away { "n5 leaves".into() } else { "n5 comes back".into() }),
        }
    });
    let steps = steps.collect();
    Course {
        title: "flapping".into(),
        strategy: strategy.into(),
        hash: "rapidhash".into(),
        nodes,
        steps,
    }
}
