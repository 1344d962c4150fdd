//! Writes reports of made-up numbers, to look at the pages while working on them. Nothing in them
//! was measured.
//!
//! `cargo run -p paceline-reports --example synthetic_sample -- DIRECTORY`

use std::path::{Path, PathBuf};

use paceline_reports::result::{
    Counters, Expectation, FaultMark, Finding, Identity, LatencySeries, LatencyWindow, NodeLoad,
    Percentiles, RunResult, Timing, Verdict, WorkloadShape,
};
use paceline_reports::sweep::{SWEEP_VERSION, ScenarioSweep, SeedOutcome, SweepResult};
use paceline_reports::{write_run, write_sweep};

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
    more(&dir)
}

fn more(_dir: &Path) -> Result<(), Box<dyn std::error::Error>> {
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
            nodes: vec!["n3".into()],
        },
        FaultMark {
            at_s: cut.0 as f64,
            until_s: Some(cut.1 as f64),
            label: "partition {n1, n2} | rest".into(),
            nodes: vec!["n1".into(), "n2".into()],
        },
        FaultMark {
            at_s: cut.1 as f64 + 4.0,
            until_s: None,
            label: "clock of n1 jumps by 30 s".into(),
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
    Expectation { name: name.into(), wanted: wanted.into(), measured: measured.into(), met }
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
                    fingerprint: format!("{:016x}", (noise.uniform() * 1e18) as u64),
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
        scenarios: vec![
            scenario("partition", 0.02),
            scenario("rolling-crash", 0.01),
            scenario("smoke", 1e-9),
        ],
    }
}
