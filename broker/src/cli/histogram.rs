//! Latencies in constant memory, to about 1.6 %.

use std::time::Duration;

/// Each power of two of microseconds is split into so many buckets.
const STEPS: u64 = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// A log-linear histogram of durations, in microseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

fn bucket(micros: u64) -> usize {
    if micros < STEPS {
        return micros as usize;
    }
    let exponent = micros.ilog2();
    let step = (micros >> (exponent - STEP_BITS)) & (STEPS - 1);
    (u64::from(exponent - STEP_BITS + 1) * STEPS + step) as usize
}

/// The smallest value of a bucket.
fn floor(bucket: usize) -> u64 {
    let (octave, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    match octave {
        0 => step,
        octave => (STEPS + step) << (octave - 1),
    }
}

impl Histogram {
    pub(super) fn add(&mut self, value: Duration) {
        let micros = value.as_micros().try_into().unwrap_or(u64::MAX);
        let bucket = bucket(micros);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
        self.max = self.max.max(micros);
    }

    pub(super) fn merge(&mut self, other: &Histogram) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// The value that the given share of all values does not exceed; `None` where there are none.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = ((self.total as f64 * share).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        // A bucket's values are below the next one's.
        Some(Duration::from_micros((floor(found + 1) - 1).min(self.max)))
    }

    /// `p50 1.2 ms  p90 …`, or `none`.
    pub(super) fn show(&self) -> String {
        let parts: Vec<_> = PERCENTILES
            .iter()
            .filter_map(|(name, share)| Some(format!("{name} {}", millis(self.quantile(*share)?))))
            .collect();
        if parts.is_empty() { "none".into() } else { parts.join("  ") }
    }

    /// Milliseconds by percentile.
    pub(super) fn json(&self) -> serde_json::Value {
        let value = |share| {
            self.quantile(share).map_or(serde_json::Value::Null, |value| {
                serde_json::json!(value.as_secs_f64() * 1e3)
            })
        };
        PERCENTILES.iter().map(|(name, share)| ((*name).to_owned(), value(*share))).collect()
    }
}

const PERCENTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

fn millis(value: Duration) -> String {
    let millis = value.as_secs_f64() * 1e3;
    match millis {
        _ if millis < 10.0 => format!("{millis:.2} ms"),
        _ if millis < 1_000.0 => format!("{millis:.0} ms"),
        _ => format!("{:.2} s", millis / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_one_another_and_hold_their_floor() {
        for index in 0..2_000 {
            assert_eq!(bucket(floor(index)), index);
            assert_eq!(bucket(floor(index + 1) - 1), index);
        }
        assert!(bucket(u64::MAX) < 64 * 64);
    }

    #[test]
    fn quantiles_are_within_two_percent() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for millis in 1..=1_000 {
            histogram.add(Duration::from_millis(millis));
        }
        for (share, expected) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0)] {
            let found = histogram.quantile(share).unwrap().as_secs_f64() * 1e3;
            assert!((found / expected - 1.0).abs() < 0.02, "{share}: {found}");
        }
        assert_eq!(histogram.quantile(1.0), Some(Duration::from_secs(1)));
        let mut twice = histogram.clone();
        twice.merge(&histogram);
        assert_eq!(twice.quantile(0.5), histogram.quantile(0.5));
    }
}
