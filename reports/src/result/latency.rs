//! Latencies: over a whole run, and over time.

use serde::{Deserialize, Serialize};

use super::check::{ReportError, invalid, quantity};

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

impl Percentiles {
    /// The percentiles of `samples_ms`, which is sorted in the process (nearest-rank method).
    /// Values that are not finite sort last and are refused by [`RunResult::validate`](super::RunResult::validate).
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
