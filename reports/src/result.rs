//! The result of one run: what is written to `result.json` and what the HTML page is drawn from.
//!
//! The schema is versioned ([`RESULT_VERSION`]). Fields may be added with a default without a new
//! version; a change of meaning needs one, and readers refuse what is newer than they are. Times
//! are seconds since the run began, in the run's own (virtual) time; latencies are milliseconds;
//! sizes are bytes. Every number must be finite and not negative: [`RunResult::validate`] refuses
//! the rest with the path of the field, because JSON would silently turn a NaN into `null`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::exits::{ExitCounts, NodeExits};

/// The version of the [`RunResult`] schema that this crate writes.
pub const RESULT_VERSION: u32 = 1;

/// The most nodes a result may hold.
pub const MAX_NODES: usize = 100_000;

/// The most samples in one series: a week of seconds.
pub const MAX_SAMPLES: usize = 7 * 24 * 3600;

/// What can go wrong between a result and its report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A field holds what no run can have measured.
    #[error("result field {field}: {reason}")]
    Invalid {
        /// The path of the field, for example `nodes[2].series.messages_in[17]`.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The result was written by a newer version of this crate.
    #[error(
        "result has schema version {found}, this build reads up to {supported}; use the build that wrote it"
    )]
    TooNew {
        /// The version in the file.
        found: u32,
        /// The newest version this build reads.
        supported: u32,
    },
    /// The text is not a result.
    #[error("not a result: {0}")]
    Json(#[from] serde_json::Error),
    /// A plot could not be drawn.
    #[error("plot {plot}: {reason}")]
    Plot {
        /// The title of the plot.
        plot: String,
        /// What the plotting library said.
        reason: String,
    },
    /// A file of the report could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

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

/// The load of one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeLoad {
    /// The node's name.
    pub name: String,
    /// The node's capacity relative to the others; a share of load is fair if proportional to it.
    #[serde(default = "one")]
    pub weight: f64,
    /// The share of the messages that the placement predicts for this node, in 0..=1.
    #[serde(default)]
    pub predicted_share: Option<f64>,
    /// Samples over time.
    #[serde(default)]
    pub series: NodeSeries,
    /// Sums over the whole run.
    #[serde(default)]
    pub totals: NodeTotals,
    /// From publish to delivery, of the messages to destinations that the placement gives to this
    /// node first.
    #[serde(default)]
    pub latency: Option<Percentiles>,
}

/// What one node did, sample by sample; sample `i` covers the time from `i` to `i + 1` intervals.
/// A series may be empty (not measured); otherwise it should be as long as the others.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeSeries {
    /// Messages that the shards led by this node took in, per interval.
    pub messages_in: Vec<f64>,
    /// Messages that the shards led by this node handed to consumers, per interval.
    pub messages_out: Vec<f64>,
    /// Bytes that came in from the network, per interval.
    pub bytes_in: Vec<f64>,
    /// Bytes that went out to the network, per interval.
    pub bytes_out: Vec<f64>,
    /// Messages waiting in the shards led by this node at the end of the interval.
    pub queue_depth: Vec<f64>,
    /// Fraction of the node's processor time that was used, in 0..=1.
    pub cpu_busy: Vec<f64>,
}

/// What one node did in the whole run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeTotals {
    /// Messages taken in by the shards it led.
    pub messages_in: f64,
    /// Messages handed to consumers by the shards it led.
    pub messages_out: f64,
    /// Bytes received from the network.
    pub bytes_in: f64,
    /// Bytes sent to the network.
    pub bytes_out: f64,
    /// Processor time used, in seconds.
    pub cpu_s: f64,
    /// Number of slots led at the end, if known.
    pub slots_led: Option<u64>,
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

/// One kind of latency, over time and as a whole.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LatencySeries {
    /// From what to what, for example `publish to receipt`.
    pub name: String,
    /// Percentiles of the whole run.
    pub overall: Percentiles,
    /// Percentiles of windows of time, in order; windows without a message are left out.
    #[serde(default)]
    pub windows: Vec<LatencyWindow>,
}

/// The latencies of the messages that ended within one window of time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LatencyWindow {
    /// When the window begins.
    pub at_s: f64,
    /// The percentiles within it.
    #[serde(flatten)]
    pub percentiles: Percentiles,
}

/// Percentiles of a latency, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many messages were measured.
    pub count: u64,
    /// Half of the messages took no longer than this.
    pub p50_ms: f64,
    /// 90 % took no longer.
    pub p90_ms: f64,
    /// 99 % took no longer.
    pub p99_ms: f64,
    /// 99.9 % took no longer.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
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

fn one() -> f64 {
    1.0
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
            faults: Vec::new(),
            exits: Vec::new(),
            expectations: Vec::new(),
            counters: Counters::default(),
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
        for (i, fault) in self.faults.iter().enumerate() {
            quantity(&format!("faults[{i}].at_s"), fault.at_s)?;
            if let Some(until) = fault.until_s {
                quantity(&format!("faults[{i}].until_s"), until)?;
                if until < fault.at_s {
                    return Err(invalid(&format!("faults[{i}].until_s"), "before at_s"));
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

impl NodeLoad {
    /// A node of weight 1 with nothing measured yet.
    pub fn new(name: impl Into<String>) -> Self {
        NodeLoad {
            name: name.into(),
            weight: one(),
            predicted_share: None,
            series: NodeSeries::default(),
            totals: NodeTotals::default(),
            latency: None,
        }
    }

    /// Sets the totals that are sums of samples from the series.
    pub fn sum_up(&mut self, sample_interval_s: f64) {
        let sum = |values: &[f64]| values.iter().sum::<f64>();
        self.totals.messages_in = sum(&self.series.messages_in);
        self.totals.messages_out = sum(&self.series.messages_out);
        self.totals.bytes_in = sum(&self.series.bytes_in);
        self.totals.bytes_out = sum(&self.series.bytes_out);
        self.totals.cpu_s = sum(&self.series.cpu_busy) * sample_interval_s;
    }

    fn validate(&self, path: &str, samples: usize) -> Result<(), ReportError> {
        quantity(&format!("{path}.weight"), self.weight)?;
        if let Some(share) = self.predicted_share {
            fraction(&format!("{path}.predicted_share"), share)?;
        }
        if let Some(latency) = &self.latency {
            latency.validate(&format!("{path}.latency"))?;
        }
        if samples > MAX_SAMPLES {
            return Err(invalid(
                &format!("{path}.series"),
                &format!("more than {MAX_SAMPLES} samples"),
            ));
        }
        for (name, values) in self.series.named() {
            if !values.is_empty() && values.len() != samples {
                return Err(invalid(
                    &format!("{path}.series.{name}"),
                    &format!("{} samples where other series have {samples}", values.len()),
                ));
            }
            for (i, &value) in values.iter().enumerate() {
                quantity(&format!("{path}.series.{name}[{i}]"), value)?;
            }
        }
        for (i, &busy) in self.series.cpu_busy.iter().enumerate() {
            fraction(&format!("{path}.series.cpu_busy[{i}]"), busy)?;
        }
        for (name, value) in self.totals.named() {
            quantity(&format!("{path}.totals.{name}"), value)?;
        }
        Ok(())
    }
}

impl NodeSeries {
    /// Every series with its field name, in the order of the fields.
    pub fn named(&self) -> [(&'static str, &[f64]); 6] {
        [
            ("messages_in", &self.messages_in),
            ("messages_out", &self.messages_out),
            ("bytes_in", &self.bytes_in),
            ("bytes_out", &self.bytes_out),
            ("queue_depth", &self.queue_depth),
            ("cpu_busy", &self.cpu_busy),
        ]
    }
}

impl NodeTotals {
    /// Every sum with its field name, in the order of the fields.
    pub fn named(&self) -> [(&'static str, f64); 5] {
        [
            ("messages_in", self.messages_in),
            ("messages_out", self.messages_out),
            ("bytes_in", self.bytes_in),
            ("bytes_out", self.bytes_out),
            ("cpu_s", self.cpu_s),
        ]
    }
}

impl Percentiles {
    /// The percentiles of `samples_ms`, which is sorted in the process (nearest-rank method).
    /// Values that are not finite sort last and are refused by [`RunResult::validate`].
    pub fn from_samples(samples_ms: &mut [f64]) -> Self {
        samples_ms.sort_unstable_by(f64::total_cmp);
        let count = samples_ms.len();
        let rank = |quantile: f64| match count {
            0 => 0.0,
            _ => samples_ms[((quantile * count as f64).ceil() as usize).clamp(1, count) - 1],
        };
        Percentiles {
            count: count as u64,
            p50_ms: rank(0.5),
            p90_ms: rank(0.9),
            p99_ms: rank(0.99),
            p999_ms: rank(0.999),
            max_ms: rank(1.0),
        }
    }

    /// Every percentile with its label, lowest first.
    pub fn named(&self) -> [(&'static str, f64); 5] {
        [
            ("p50", self.p50_ms),
            ("p90", self.p90_ms),
            ("p99", self.p99_ms),
            ("p99.9", self.p999_ms),
            ("max", self.max_ms),
        ]
    }

    pub(crate) fn validate(&self, path: &str) -> Result<(), ReportError> {
        let mut lower = 0.0;
        for (name, value) in self.named() {
            quantity(&format!("{path}.{name}"), value)?;
            if value < lower {
                return Err(invalid(&format!("{path}.{name}"), "below the next lower percentile"));
            }
            lower = value;
        }
        Ok(())
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

/// Refuses JSON of a newer schema before its fields are looked at, so that the error is about the
/// version and not about a field.
pub(crate) fn check_version(text: &str, supported: u32) -> Result<(), ReportError> {
    #[derive(Deserialize)]
    struct Versioned {
        schema_version: u32,
    }
    let Versioned { schema_version: found } = serde_json::from_str(text)?;
    if found > supported { Err(ReportError::TooNew { found, supported }) } else { Ok(()) }
}

pub(crate) fn invalid(field: &str, reason: &str) -> ReportError {
    ReportError::Invalid { field: field.to_owned(), reason: reason.to_owned() }
}

/// A number that counts or measures something: finite and not negative.
pub(crate) fn quantity(field: &str, value: f64) -> Result<(), ReportError> {
    if value.is_finite() && value >= 0.0 {
        Ok(())
    } else {
        Err(invalid(field, &format!("{value} is not a finite number of at least 0")))
    }
}

/// Refuses what [`quantity`] refuses, if there is a value.
pub(crate) fn optional(field: &str, value: Option<f64>) -> Result<(), ReportError> {
    value.map_or(Ok(()), |value| quantity(field, value))
}

/// A part of a whole. Sums of rounded parts may exceed 1 by a little.
pub(crate) fn fraction(field: &str, value: f64) -> Result<(), ReportError> {
    quantity(field, value)?;
    if value <= 1.0 + 1e-6 {
        Ok(())
    } else {
        Err(invalid(field, &format!("{value} is above 1, but a fraction was wanted")))
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
