//! What one node of a run did.

use serde::{Deserialize, Serialize};

use super::check::{ReportError, fraction, invalid, quantity};
use super::latency::Percentiles;

/// The most samples in one series: a week of seconds.
pub const MAX_SAMPLES: usize = 7 * 24 * 3600;

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
    /// How long its process was not there, or not ready yet, after it had been, in seconds.
    pub down_s: f64,
    /// Number of slots led at the end, if known.
    pub slots_led: Option<u64>,
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

    pub(super) fn validate(&self, path: &str, samples: usize) -> Result<(), ReportError> {
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

fn one() -> f64 {
    1.0
}
