//! Random durations with a given least value, mean and 99th percentile: what links of the simulated
//! world, and of whoever imitates one before real processes, are like.

use rand::Rng;
use std::sync::Arc;
use std::time::Duration;

/// A distribution of durations: `min` plus a log-normal part chosen so that the whole has the
/// given mean and 99th percentile.
///
/// With m = mean - min and q = p99 - min, the log-normal's sigma is the smaller root of
/// ln(q/m) = 2.3263 sigma - sigma²/2, and its mu = ln m - sigma²/2. Where q/m is too large for any
/// log-normal (more than e^2.7), sigma = 2.3263 and the 99th percentile is as large as it can be.
///
/// Samples come from a table of quantiles: cheap, and free of the platform's `exp` and `ln` once
/// the table stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Latency {
    /// Nanoseconds at evenly spaced quantiles: one table, however many links have this latency.
    quantiles: Arc<[u64]>,
    mean: u64,
}

const STEPS: usize = 512;
const Z99: f64 = 2.326_347_874_040_841;

impl Latency {
    /// Always exactly `duration`.
    pub fn constant(duration: Duration) -> Latency {
        let nanos = duration.as_nanos() as u64;
        Latency { quantiles: [nanos].into(), mean: nanos }
    }

    /// Never less than `min`, on average `mean`, in 99 of 100 cases at most `p99`.
    ///
    /// # Panics
    ///
    /// Unless `min <= mean <= p99`.
    pub fn new(min: Duration, mean: Duration, p99: Duration) -> Latency {
        assert!(min <= mean && mean <= p99, "latency needs min <= mean <= p99");
        let (min, mean, p99) =
            (min.as_nanos() as f64, mean.as_nanos() as f64, p99.as_nanos() as f64);
        if mean <= min || p99 <= mean {
            return Latency::constant(Duration::from_nanos(mean as u64));
        }
        let (m, q) = (mean - min, p99 - min);
        let discriminant = Z99 * Z99 - 2.0 * (q / m).ln();
        let sigma = Z99 - discriminant.max(0.0).sqrt();
        let mu = m.ln() - sigma * sigma / 2.0;
        let quantiles = (0..STEPS)
            .map(|step| (step as f64 + 0.5) / STEPS as f64)
            .map(|p| (min + (mu + sigma * normal_quantile(p)).exp()) as u64)
            .collect();
        Latency { quantiles, mean: mean as u64 }
    }

    /// The mean in nanoseconds.
    pub fn mean_nanos(&self) -> u64 {
        self.mean
    }

    /// One draw, in nanoseconds.
    pub fn sample(&self, rng: &mut impl Rng) -> u64 {
        if let [constant] = self.quantiles[..] {
            return constant;
        }
        // Between two neighbouring quantiles the draw is uniform.
        let draw = rng.next_u64();
        let index = (draw >> 32) as usize % (STEPS - 1);
        let (low, high) = (self.quantiles[index], self.quantiles[index + 1]);
        low + (((high - low) as u128 * (draw as u32) as u128) >> 32) as u64
    }
}

/// The standard normal distribution's quantile function, by P. J. Acklam's rational approximation
/// (relative error below 1.2e-9).
#[allow(clippy::excessive_precision)] // As published.
fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e+01,
        2.209460984245205e+02,
        -2.759285104469687e+02,
        1.383577518672690e+02,
        -3.066479806614716e+01,
        2.506628277459239e+00,
    ];
    const B: [f64; 5] = [
        -5.447609879822406e+01,
        1.615858368580409e+02,
        -1.556989798598866e+02,
        6.680131188771972e+01,
        -1.328068155288572e+01,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-03,
        -3.223964580411365e-01,
        -2.400758277161838e+00,
        -2.549732539343734e+00,
        4.374664141464968e+00,
        2.938163982698783e+00,
    ];
    const D: [f64; 4] = [
        7.784695709041462e-03,
        3.224671290700398e-01,
        2.445134137142996e+00,
        3.754408661907416e+00,
    ];
    let tail = |q: f64| {
        (((((C[0] * q + C[1]) * q + C[2]) * q + C[3]) * q + C[4]) * q + C[5])
            / ((((D[0] * q + D[1]) * q + D[2]) * q + D[3]) * q + 1.0)
    };
    if p < 0.02425 {
        return tail((-2.0 * p.ln()).sqrt());
    }
    if p > 1.0 - 0.02425 {
        return -tail((-2.0 * (1.0 - p).ln()).sqrt());
    }
    let q = p - 0.5;
    let r = q * q;
    (((((A[0] * r + A[1]) * r + A[2]) * r + A[3]) * r + A[4]) * r + A[5]) * q
        / (((((B[0] * r + B[1]) * r + B[2]) * r + B[3]) * r + B[4]) * r + 1.0)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn samples_match_the_figures_asked_for() {
        let micros = |us| Duration::from_micros(us);
        let latency = Latency::new(micros(200), micros(500), micros(4_000));
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut samples: Vec<u64> = (0..100_000).map(|_| latency.sample(&mut rng)).collect();
        samples.sort_unstable();
        let mean = samples.iter().sum::<u64>() as f64 / samples.len() as f64;
        assert!(samples[0] >= 200_000, "min {}", samples[0]);
        assert!((mean / 500_000.0 - 1.0).abs() < 0.15, "mean {mean}");
        let p99 = samples[99_000] as f64;
        assert!((p99 / 4_000_000.0 - 1.0).abs() < 0.15, "p99 {p99}");
    }
}
