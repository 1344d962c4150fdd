//! The result of one run: what is written to `result.json` and what the HTML page is drawn from.
//!
//! The schema is versioned ([`RESULT_VERSION`]). Fields may be added with a default without a new
//! version; a change of meaning needs one, and readers refuse what is newer than they are. Times
//! are seconds since the run began, in the run's own (virtual) time; latencies are milliseconds;
//! sizes are bytes. Every number must be finite and not negative: [`RunResult::validate`] refuses
//! the rest with the path of the field, because JSON would silently turn a NaN into `null`.

mod check;
mod latency;
mod load;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::check::ReportError;
pub(crate) use self::check::{check_version, fraction, invalid, optional, quantity};
pub use self::latency::{LatencySeries, LatencyWindow, Percentiles};
pub use self::load::{MAX_SAMPLES, NodeLoad, NodeSeries, NodeTotals};
use crate::exits::{ExitCounts, NodeExits};

/// The version of the [`RunResult`] schema that this crate writes.
pub const RESULT_VERSION: u32 = 1;

/// The most nodes a result may hold.
pub const MAX_NODES: usize = 100_000;

/// Everything that one run found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The schema version of this value; see [`RESULT_VERSION`].
    pub schema_version: u32,
    /// What was run, and how to run it again.
    pub identity: Identity,
    /// How it ended.
    pub verdict: Verdict,
    /// What the checks found, worst first. Empty when the run passed.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Hash of the run's full event log, in hexadecimal. Same identity, same fingerprint.
    pub fingerprint: String,
    /// How long the run took, by its own clock and by ours.
    pub timing: Timing,
    /// Distance between two samples of every node series, in seconds of run time.
    #[serde(default = "one_second")]
    pub sample_interval_s: f64,
    /// One entry per node, in the order in which the scenario names them.
    #[serde(default)]
    pub nodes: Vec<NodeLoad>,
    /// What placement theory needs to know about the workload; without it no band is drawn.
    #[serde(default)]
    pub workload: Option<WorkloadShape>,
    /// Latencies of each kind that was measured, such as `publish to receipt`.
    #[serde(default)]
    pub latencies: Vec<LatencySeries>,
    /// What was asked of the cluster itself, from when it was begun with until it was made.
    #[serde(default)]
    pub changes: Vec<FaultMark>,
    /// Faults as they happened, after expansion of everything random.
    #[serde(default)]
    pub faults: Vec<FaultMark>,
    /// Nodes that ended by themselves and were started again, by node and cause.
    #[serde(default)]
    pub exits: Vec<NodeExits>,
    /// The scenario's expectations, each with what was measured.
    #[serde(default)]
    pub expectations: Vec<Expectation>,
    /// What became of the messages.
    #[serde(default)]
    pub counters: Counters,
    /// The checks that were made, where not all could be; empty otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checked: Vec<String>,
    /// The checks that could not be made in this world. They have not passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchecked: Vec<String>,
    /// What the world has of its own, whatever the scenario says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<String>,
    /// The expanded scenario: a valid scenario file with everything random written out.
    #[serde(default)]
    pub expanded_scenario: Option<String>,
}

/// What was run: scenario hash, seed, commit and world together name a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Identity {
    /// The scenario's name.
    pub scenario: String,
    /// The scenario's own sentence about what it asks.
    #[serde(default)]
    pub about: String,
    /// Hash of the scenario file, in hexadecimal.
    pub scenario_hash: String,
    /// The seed that everything random was drawn from.
    pub seed: u64,
    /// The commit that was built, or `unknown`.
    pub commit: String,
    /// `simulated` or `real`.
    pub world: String,
    /// The full command line that makes this run again.
    pub reproduce: String,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every check held and every expectation was met.
    Passed,
    /// Every check held, but a figure lies outside what the scenario expects.
    ExpectationMissed,
    /// Something happened that must never happen.
    SafetyViolated,
    /// Something that must happen in the end did not within its bound.
    LivenessViolated,
    /// A process under test panicked or ended by itself.
    Crashed,
    /// Two runs of one identity differed.
    Nondeterministic,
}

impl Verdict {
    /// The verdict in words, as a report shows it.
    pub fn label(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::ExpectationMissed => "expectation missed",
            Verdict::SafetyViolated => "safety violated",
            Verdict::LivenessViolated => "liveness violated",
            Verdict::Crashed => "crashed",
            Verdict::Nondeterministic => "nondeterministic",
        }
    }
}

/// One thing that a check found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The check that found it.
    pub check: String,
    /// What it found, in one sentence.
    pub detail: String,
    /// When, if it happened at one moment.
    #[serde(default)]
    pub at_s: Option<f64>,
    /// The shards it is about, one line each: who leads them, as the nodes see it, and what they
    /// wait for.
    #[serde(default)]
    pub shards: Vec<String>,
    /// What became of the messages it is about, in lines: each message, and below it, indented, one
    /// event a line.
    #[serde(default)]
    pub chain: Vec<String>,
}

/// How long a run took.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Timing {
    /// Duration by the run's own clock (in the real world the same as `wall_s`).
    pub virtual_s: f64,
    /// Duration by the clock on the wall.
    pub wall_s: f64,
}

impl Timing {
    /// Simulated seconds per second of wall time; `None` if the wall clock did not move.
    pub fn speed(&self) -> Option<f64> {
        (self.wall_s > 0.0).then(|| self.virtual_s / self.wall_s)
    }
}

/// What the theory of balls and bins needs to know about a workload.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WorkloadShape {
    /// Number of destinations that messages were sent to.
    pub destinations: u64,
    /// Sum of the squares of the destinations' shares of the load: `1 / destinations` when all
    /// are equally popular, more when some are hot.
    pub sum_of_squared_shares: f64,
    /// The share of the most popular destination.
    pub largest_share: f64,
    /// Imbalance of the strategy itself, as coefficient of variation of the nodes' shares of the
    /// hash space: 0 for most strategies, about `1 / sqrt(points per node)` for a ring.
    #[serde(default)]
    pub structural_cv: f64,
}

impl WorkloadShape {
    /// `destinations` that are all equally popular.
    pub fn uniform(destinations: u64) -> Self {
        let share = if destinations == 0 { 0.0 } else { 1.0 / destinations as f64 };
        WorkloadShape {
            destinations,
            sum_of_squared_shares: share,
            largest_share: share,
            structural_cv: 0.0,
        }
    }

    /// Destinations of the given relative popularity (any unit; zeros are counted).
    pub fn from_rates(rates: &[f64]) -> Self {
        let sum: f64 = rates.iter().sum();
        let share = |rate: &f64| if sum > 0.0 { rate / sum } else { 0.0 };
        WorkloadShape {
            destinations: rates.len() as u64,
            sum_of_squared_shares: rates.iter().map(share).map(|f| f * f).sum(),
            largest_share: rates.iter().map(share).fold(0.0, f64::max),
            structural_cv: 0.0,
        }
    }
}

/// One fault, as it happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultMark {
    /// When it began.
    pub at_s: f64,
    /// When it was undone; `None` for what takes no time, such as a clock jump. A fault that was
    /// never undone ends with the run.
    #[serde(default)]
    pub until_s: Option<f64>,
    /// What happened, in a few words: `power cut n3`.
    pub label: String,
    /// What was known only when it began: `the leader of slot 7`, or why it was left out. Empty if
    /// it happened as it was planned.
    #[serde(default)]
    pub note: String,
    /// The nodes it struck; empty if it struck none in particular.
    #[serde(default)]
    pub nodes: Vec<String>,
}

impl FaultMark {
    /// The label, and the note if there is one: `crash n2 (the leader of slot 7)`.
    pub fn in_words(&self) -> String {
        let Self { label, note, .. } = self;
        if note.is_empty() { label.clone() } else { format!("{label} ({note})") }
    }
}

/// One expectation of the scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// The key in the scenario's `[expect]` table.
    pub name: String,
    /// What the scenario wants, as it words it: `<= 1.15`.
    pub wanted: String,
    /// What was measured, with its unit.
    pub measured: String,
    /// Whether that is met.
    pub met: bool,
    /// If it is not met: the shards that had most to do with it, one line each.
    #[serde(default)]
    pub shards: Vec<String>,
}

/// What became of the messages of a run, seen from the clients.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Publishes that the cluster acknowledged.
    pub published_acknowledged: u64,
    /// Publishes that the cluster refused.
    pub published_failed: u64,
    /// Publishes whose reply never came: they may or may not be stored.
    pub published_unknown: u64,
    /// Deliveries to consumers, redeliveries included.
    pub delivered: u64,
    /// Deliveries that were marked as redelivered.
    pub redelivered: u64,
    /// Messages that were settled by a consumer.
    pub settled: u64,
    /// Messages that went to a dead letter queue.
    pub dead_lettered: u64,
    /// Messages that expired.
    pub expired: u64,
    /// Messages still in the cluster at the end.
    pub resident: u64,
    /// Acknowledged messages that are nowhere: must be 0.
    pub acknowledged_lost: u64,
    /// Anything else worth counting, by name.
    pub other: BTreeMap<String, u64>,
}

fn one_second() -> f64 {
    1.0
}

impl RunResult {
    /// A result of the current schema version with nothing measured yet.
    pub fn new(identity: Identity, verdict: Verdict) -> Self {
        RunResult {
            schema_version: RESULT_VERSION,
            identity,
            verdict,
            findings: Vec::new(),
            fingerprint: String::new(),
            timing: Timing::default(),
            sample_interval_s: one_second(),
            nodes: Vec::new(),
            workload: None,
            latencies: Vec::new(),
            changes: Vec::new(),
            faults: Vec::new(),
            exits: Vec::new(),
            expectations: Vec::new(),
            counters: Counters::default(),
            checked: Vec::new(),
            unchecked: Vec::new(),
            given: Vec::new(),
            expanded_scenario: None,
        }
    }

    /// The result as pretty-printed JSON.
    ///
    /// # Errors
    /// [`ReportError::Invalid`] if [`RunResult::validate`] refuses it.
    pub fn to_json(&self) -> Result<String, ReportError> {
        self.validate()?;
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// Reads a result back and validates it.
    ///
    /// # Errors
    /// [`ReportError::Json`] if the text is no result, [`ReportError::TooNew`] if its schema
    /// version is unknown to this build, [`ReportError::Invalid`] if a number in it is impossible.
    pub fn from_json(text: &str) -> Result<Self, ReportError> {
        check_version(text, RESULT_VERSION)?;
        let result: RunResult = serde_json::from_str(text)?;
        result.validate()?;
        Ok(result)
    }

    /// Refuses what no run can have measured: numbers that are negative, infinite or NaN,
    /// fractions above 1, series of different lengths, and lengths beyond the bounds.
    ///
    /// # Errors
    /// [`ReportError::Invalid`] with the path of the first such field.
    pub fn validate(&self) -> Result<(), ReportError> {
        quantity("timing.virtual_s", self.timing.virtual_s)?;
        quantity("timing.wall_s", self.timing.wall_s)?;
        quantity("sample_interval_s", self.sample_interval_s)?;
        if self.sample_interval_s <= 0.0 {
            return Err(invalid("sample_interval_s", "must be above 0"));
        }
        if self.nodes.len() > MAX_NODES {
            return Err(invalid("nodes", &format!("more than {MAX_NODES} nodes")));
        }
        let samples = self.samples();
        for (i, node) in self.nodes.iter().enumerate() {
            node.validate(&format!("nodes[{i}]"), samples)?;
        }
        if let Some(shape) = &self.workload {
            fraction("workload.sum_of_squared_shares", shape.sum_of_squared_shares)?;
            fraction("workload.largest_share", shape.largest_share)?;
            quantity("workload.structural_cv", shape.structural_cv)?;
        }
        for (i, latency) in self.latencies.iter().enumerate() {
            latency.overall.validate(&format!("latencies[{i}].overall"))?;
            for (j, window) in latency.windows.iter().enumerate() {
                let path = format!("latencies[{i}].windows[{j}]");
                quantity(&format!("{path}.at_s"), window.at_s)?;
                window.percentiles.validate(&path)?;
            }
        }
        for (list, marks) in [("changes", &self.changes), ("faults", &self.faults)] {
            for (i, mark) in marks.iter().enumerate() {
                quantity(&format!("{list}[{i}].at_s"), mark.at_s)?;
                if let Some(until) = mark.until_s {
                    quantity(&format!("{list}[{i}].until_s"), until)?;
                    if until < mark.at_s {
                        return Err(invalid(&format!("{list}[{i}].until_s"), "before at_s"));
                    }
                }
            }
        }
        for (i, exits) in self.exits.iter().enumerate() {
            quantity(&format!("exits[{i}].first_s"), exits.first_s)?;
            quantity(&format!("exits[{i}].last_s"), exits.last_s)?;
        }
        for (i, finding) in self.findings.iter().enumerate() {
            if let Some(at) = finding.at_s {
                quantity(&format!("findings[{i}].at_s"), at)?;
            }
        }
        Ok(())
    }

    /// The exits of all nodes together.
    pub fn exit_counts(&self) -> ExitCounts {
        self.exits.iter().collect()
    }

    /// The number of samples in the longest series of any node.
    pub fn samples(&self) -> usize {
        let series = self.nodes.iter().flat_map(|node| node.series.named());
        series.map(|(_, values)| values.len()).max().unwrap_or(0)
    }
}

impl Counters {
    /// Every counter with its name in words, in the order of the fields, `other` last.
    pub fn named(&self) -> Vec<(&str, u64)> {
        let mut named = vec![
            ("published, acknowledged", self.published_acknowledged),
            ("published, refused", self.published_failed),
            ("published, reply unknown", self.published_unknown),
            ("delivered", self.delivered),
            ("redelivered", self.redelivered),
            ("settled", self.settled),
            ("dead-lettered", self.dead_lettered),
            ("expired", self.expired),
            ("resident at the end", self.resident),
            ("acknowledged and lost", self.acknowledged_lost),
        ];
        named.extend(self.other.iter().map(|(name, &value)| (name.as_str(), value)));
        named
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exits::ExitCause;

    fn sample() -> RunResult {
        let identity = Identity {
            scenario: "smoke".into(),
            seed: u64::MAX,
            world: "simulated".into(),
            ..Identity::default()
        };
        let mut result = RunResult::new(identity, Verdict::ExpectationMissed);
        let mut node = NodeLoad::new("n1");
        node.series.messages_in = vec![1.0, 2.5];
        node.series.cpu_busy = vec![0.5, 1.0];
        node.predicted_share = Some(1.0);
        result.nodes.push(node);
        result.workload = Some(WorkloadShape::uniform(10));
        let percentiles = Percentiles::from_samples(&mut [3.0, 1.0, 2.0]);
        result.latencies.push(LatencySeries {
            name: "publish to receipt".into(),
            overall: percentiles,
            windows: vec![LatencyWindow { at_s: 1.0, percentiles }],
        });
        result.faults.push(FaultMark {
            at_s: 1.0,
            until_s: Some(2.0),
            label: "crash n1".into(),
            note: String::new(),
            nodes: vec!["n1".into()],
        });
        result.counters.other.insert("gaps".into(), 3);
        result.exits.push(crate::exits::tests::exits_of("n1", ExitCause::DiskFull, 3));
        result
    }

    #[test]
    fn json_round_trip_keeps_everything() {
        let result = sample();
        assert_eq!(RunResult::from_json(&result.to_json().unwrap()).unwrap(), result);
    }

    #[test]
    fn optional_fields_may_be_absent() {
        let text = r#"{"schema_version":1,"verdict":"passed","fingerprint":"00",
            "identity":{"scenario":"s","scenario_hash":"h","seed":1,"commit":"c","world":"real","reproduce":"r"},
            "timing":{"virtual_s":1,"wall_s":0}}"#;
        let result = RunResult::from_json(text).unwrap();
        assert_eq!(result.sample_interval_s, 1.0);
        assert_eq!(result.timing.speed(), None);
    }

    #[test]
    fn a_newer_schema_is_refused_by_its_version() {
        let error = RunResult::from_json(r#"{"schema_version":99,"shape":"unknown"}"#).unwrap_err();
        assert!(matches!(error, ReportError::TooNew { found: 99, .. }), "{error}");
    }

    #[test]
    fn impossible_numbers_are_refused_with_their_path() {
        let refused = |change: fn(&mut RunResult), field: &str| {
            let mut result = sample();
            change(&mut result);
            let error = result.to_json().unwrap_err().to_string();
            assert!(error.contains(field), "{error} should name {field}");
        };
        refused(|r| r.nodes[0].series.messages_in[1] = f64::NAN, "nodes[0].series.messages_in[1]");
        refused(|r| r.nodes[0].series.cpu_busy[0] = 1.5, "nodes[0].series.cpu_busy[0]");
        refused(|r| r.nodes[0].series.messages_out = vec![1.0], "nodes[0].series.messages_out");
        refused(|r| r.nodes[0].totals.bytes_in = f64::INFINITY, "nodes[0].totals.bytes_in");
        refused(|r| r.nodes[0].predicted_share = Some(-0.1), "nodes[0].predicted_share");
        refused(|r| r.timing.wall_s = -1.0, "timing.wall_s");
        refused(|r| r.sample_interval_s = 0.0, "sample_interval_s");
        refused(|r| r.faults[0].until_s = Some(0.5), "faults[0].until_s");
        refused(|r| r.latencies[0].overall.p99_ms = 0.0, "latencies[0].overall.p99");
        refused(|r| r.latencies[0].windows[0].at_s = f64::NAN, "latencies[0].windows[0].at_s");
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let mut samples: Vec<f64> = (1..=1000).rev().map(f64::from).collect();
        let percentiles = Percentiles::from_samples(&mut samples);
        assert_eq!(
            percentiles.named().map(|(_, value)| value),
            [500.0, 900.0, 990.0, 999.0, 1000.0]
        );
        assert_eq!(Percentiles::from_samples(&mut []), Percentiles::default());
    }

    #[test]
    fn a_uniform_workload_is_one_of_equal_rates() {
        let uniform = WorkloadShape::uniform(8);
        assert_eq!(uniform, WorkloadShape::from_rates(&[2.0; 8]));
        assert_eq!(WorkloadShape::uniform(0).largest_share, 0.0);
    }
}
