//! How evenly a load is spread, and what chance alone would give.
//!
//! Loads are compared as *relative* loads: a node's load divided by its fair share, so that 1 is
//! fair whatever its weight. Expectations follow from balls into bins: with destinations of shares
//! `f` hashed onto `n` nodes and `M` messages drawn from them, the squared coefficient of variation
//! is `(n - 1) (sum f^2 + 1 / M)`, and the largest of n nearly normal loads lies `k(n)` standard
//! deviations above the mean (Gumbel's limit, see [`expected_peak`]).

use statrs::distribution::Continuous;
use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};

use crate::result::WorkloadShape;

/// Spread of a load over nodes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Balance {
    /// Relative load of each node, in the order of the nodes.
    pub relative: Vec<f64>,
    /// The largest relative load: peak to average.
    pub peak: f64,
    /// The smallest relative load.
    pub least: f64,
    /// Standard deviation of the relative loads.
    pub cv: f64,
    /// Gini coefficient: 0 even, towards 1 all on one node.
    pub gini: f64,
    /// Jain's fairness index: 1 even, 1/n all on one node.
    pub jain: f64,
}

impl Balance {
    /// The spread of `loads` over nodes of the given weights; `None` without any load.
    pub(crate) fn of(loads: &[f64], weights: &[f64]) -> Option<Balance> {
        assert_eq!(loads.len(), weights.len(), "one weight per node");
        let (total, weight): (f64, f64) = (loads.iter().sum(), weights.iter().sum());
        if total <= 0.0 || weight <= 0.0 {
            return None;
        }
        let relative: Vec<f64> = loads
            .iter()
            .zip(weights)
            .map(|(&load, &w)| if w > 0.0 { (load / w) / (total / weight) } else { 0.0 })
            .collect();
        let n = relative.len() as f64;
        let sum: f64 = relative.iter().sum();
        let squares: f64 = relative.iter().map(|x| x * x).sum();
        let mean = sum / n;
        let variance = relative.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let mut sorted = relative.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let ranked: f64 = sorted.iter().enumerate().map(|(i, x)| (i + 1) as f64 * x).sum();
        Some(Balance {
            peak: sorted[sorted.len() - 1],
            least: sorted[0],
            cv: variance.sqrt(),
            gini: (2.0 * ranked / (n * sum) - (n + 1.0) / n).max(0.0),
            jain: sum * sum / (n * squares),
            relative,
        })
    }

    /// The index of the node with the largest relative load.
    pub(crate) fn busiest(&self) -> usize {
        let loads = self.relative.iter().enumerate();
        loads.max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(node, _)| node)
    }

    /// The usable part of the cluster, in nodes: n / peak.
    pub(crate) fn effective_nodes(&self) -> f64 {
        self.relative.len() as f64 / self.peak
    }

    /// The Lorenz curve: the part of the load that the least loaded part of the nodes carries.
    pub(crate) fn lorenz(&self) -> Vec<(f64, f64)> {
        let mut sorted = self.relative.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let (n, sum): (f64, f64) = (sorted.len() as f64, sorted.iter().sum());
        let mut carried = 0.0;
        let mut points = vec![(0.0, 0.0)];
        for (i, x) in sorted.iter().enumerate() {
            carried += x;
            points.push(((i + 1) as f64 / n, (carried / sum).min(1.0)));
        }
        points
    }
}

/// What chance alone gives for one workload on one set of nodes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expected {
    /// Coefficient of variation of the relative loads.
    pub cv: f64,
    /// Mean of the largest relative load.
    pub peak: f64,
    /// The least peak that any placement of unsplit destinations could reach.
    pub bound: f64,
    /// Standard deviation of each node's relative load.
    pub deviations: Vec<f64>,
    /// Whether the sum over destinations is near enough to normal for a test of significance: no
    /// destination makes up most of the variance.
    pub normal: bool,
}

impl Expected {
    /// The expectation for `messages` of this workload over nodes of the given weights.
    pub(crate) fn of(shape: &WorkloadShape, messages: f64, weights: &[f64]) -> Option<Expected> {
        let weight: f64 = weights.iter().sum();
        let n = weights.len() as f64;
        if weight <= 0.0 || messages <= 0.0 || shape.destinations == 0 {
            return None;
        }
        let concentration = shape.sum_of_squared_shares + 1.0 / messages;
        let deviations: Vec<f64> = weights
            .iter()
            .map(|&w| w / weight)
            .map(|q| {
                let odds = if q > 0.0 { (1.0 - q) / q } else { 0.0 };
                (odds * concentration + shape.structural_cv.powi(2)).sqrt()
            })
            .collect();
        let cv = (deviations.iter().map(|d| d * d).sum::<f64>() / n).sqrt();
        let bound = (n * shape.largest_share).max(1.0);
        let hottest = shape.largest_share.powi(2);
        Some(Expected {
            cv,
            peak: expected_peak(weights.len(), cv).max(bound),
            bound,
            deviations,
            normal: hottest <= 0.1 * shape.sum_of_squared_shares,
        })
    }

    /// The Gini coefficient of normal noise of this size: `cv / sqrt(pi)`.
    pub(crate) fn gini(&self) -> f64 {
        self.cv / std::f64::consts::PI.sqrt()
    }

    /// Jain's index for this coefficient of variation: `1 / (1 + cv^2)`.
    pub(crate) fn jain(&self) -> f64 {
        1.0 / (1.0 + self.cv * self.cv)
    }

    /// The Lorenz curve of normal noise of this size: `p - cv * phi(Phi^-1(p))`.
    pub(crate) fn lorenz(&self) -> Vec<(f64, f64)> {
        let normal = Normal::standard();
        let point = |i: u32| {
            let p = f64::from(i) / 100.0;
            let below = if i == 0 || i == 100 { 0.0 } else { normal.pdf(normal.inverse_cdf(p)) };
            (p, (p - self.cv * below).max(0.0))
        };
        (0..=100).map(point).collect()
    }

    /// The part of the nodes whose relative load chance keeps at or below `x`.
    pub(crate) fn part_below(&self, x: f64) -> f64 {
        let normal = Normal::standard();
        let below = self.deviations.iter().map(|&deviation| match deviation {
            d if d > 0.0 => normal.cdf((x - 1.0) / d),
            _ => f64::from(u8::from(x >= 1.0)),
        });
        below.sum::<f64>() / self.deviations.len() as f64
    }

    /// Two-sided p-value of the measured spread, by chi-square with n - 1 degrees of freedom: small
    /// if the loads are more uneven than chance, or more even. `None` where the test says nothing:
    /// one node, or a workload that one hot destination decides.
    pub(crate) fn p_value(&self, balance: &Balance) -> Option<f64> {
        let n = balance.relative.len();
        if n < 2 || !self.normal || self.cv <= 0.0 {
            return None;
        }
        let freedom = (n - 1) as f64;
        let sum: f64 = balance
            .relative
            .iter()
            .zip(&self.deviations)
            .map(|(x, deviation)| ((x - 1.0) / deviation).powi(2))
            .sum();
        let statistic = sum * freedom / n as f64;
        let below = ChiSquared::new(freedom).ok()?.cdf(statistic);
        Some((2.0 * below.min(1.0 - below)).clamp(0.0, 1.0))
    }
}

/// Number of bins of a histogram of p-values.
pub(crate) const P_BINS: usize = 20;

/// How many p-values fall into each of [`P_BINS`] bins of equal width.
pub(crate) fn p_histogram(p_values: &[f64]) -> Vec<usize> {
    let mut bins = vec![0; P_BINS];
    for p in p_values {
        bins[((p * P_BINS as f64) as usize).min(P_BINS - 1)] += 1;
    }
    bins
}

/// The probability of p-values at least as far from uniform, by chi-square over [`P_BINS`] bins.
/// `None` with fewer than five per bin, where the test says nothing.
pub(crate) fn uniformity(p_values: &[f64]) -> Option<f64> {
    if p_values.len() < 5 * P_BINS {
        return None;
    }
    let expected = p_values.len() as f64 / P_BINS as f64;
    let distance = |bin: usize| (bin as f64 - expected).powi(2) / expected;
    let statistic: f64 = p_histogram(p_values).into_iter().map(distance).sum();
    Some(ChiSquared::new((P_BINS - 1) as f64).ok()?.sf(statistic))
}

/// Mean of the largest of `n` relative loads of coefficient of variation `cv`: `1 + k(n) cv`, with
/// `k(n) = b - (ln ln n + ln 4 pi) / (2 b) + gamma / b` and `b = sqrt(2 ln n)`. For few nodes, where
/// that limit is poor, it is the mean of the largest of n normal loads that add up.
pub(crate) fn expected_peak(n: usize, cv: f64) -> f64 {
    const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;
    let k = match n {
        0 | 1 => 0.0,
        2..10 => largest_of(n),
        _ => {
            let ln_n = (n as f64).ln();
            let b = (2.0 * ln_n).sqrt();
            b - (ln_n.ln() + (4.0 * std::f64::consts::PI).ln()) / (2.0 * b) + EULER_GAMMA / b
        }
    };
    1.0 + k * cv
}

/// Mean of the largest of `n` normal variates of variance 1 that sum to 0. That makes each vary less
/// than independent ones that peak alike, by `n / (n - 1)`.
fn largest_of(n: usize) -> f64 {
    const STEP: f64 = 0.01;
    let normal = Normal::standard();
    // The mean of a variate from its distribution F: the integral of 1 - F above 0, less F below.
    let mean: f64 = (0..800)
        .map(|step| (f64::from(step) + 0.5) * STEP)
        .map(|x| 1.0 - normal.cdf(x).powi(n as i32) - normal.cdf(-x).powi(n as i32))
        .sum();
    let n = n as f64;
    STEP * mean * (n / (n - 1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance, "{a} is not {b} within {tolerance}");
    }

    #[test]
    fn measures_of_known_loads() {
        let even = Balance::of(&[5.0; 4], &[1.0; 4]).unwrap();
        assert_eq!((even.peak, even.cv, even.gini, even.jain), (1.0, 0.0, 0.0, 1.0));
        let one = Balance::of(&[0.0, 0.0, 0.0, 8.0], &[1.0; 4]).unwrap();
        assert_eq!((one.peak, one.gini, one.jain), (4.0, 0.75, 0.25));
        assert_eq!(one.effective_nodes(), 1.0);
        assert_eq!(one.lorenz(), [(0.0, 0.0), (0.25, 0.0), (0.5, 0.0), (0.75, 0.0), (1.0, 1.0)]);
        let weighted = Balance::of(&[10.0, 20.0], &[1.0, 2.0]).unwrap();
        assert_eq!(weighted.relative, [1.0, 1.0]);
    }

    #[test]
    fn nothing_measured_is_no_balance() {
        assert_eq!(Balance::of(&[], &[]), None);
        assert_eq!(Balance::of(&[0.0], &[1.0]), None);
        assert_eq!(Balance::of(&[1.0], &[0.0]), None);
        assert_eq!(Expected::of(&WorkloadShape::uniform(0), 10.0, &[1.0]), None);
    }

    #[test]
    fn expected_peaks_agree_with_simulated_balls_into_bins() {
        // (destinations, nodes, mean of the simulated peak)
        for (m, n, peak) in
            [(1e4, 10, 1.0492), (1e4, 100, 1.260), (1e5, 100, 1.0804), (1e6, 1000, 1.1043)]
        {
            close(expected_peak(n, ((n - 1) as f64 / m).sqrt()), peak, 0.007);
        }
    }

    /// Few nodes, as most clusters have, thrown at by a generator that has nothing to do with the
    /// formula.
    #[test]
    fn expected_peaks_of_few_nodes_agree_with_thrown_destinations() {
        let mut state = 7u64;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((state >> 33) * below) >> 31
        };
        close(expected_peak(2, 1.0), 1.0 + (2.0 / std::f64::consts::PI).sqrt(), 1e-4);
        for n in [2u64, 3, 5, 9] {
            const ROUNDS: u32 = 4000;
            const DESTINATIONS: u32 = 600;
            let mut peaks = 0.0;
            for _ in 0..ROUNDS {
                let mut counts = vec![0u32; n as usize];
                (0..DESTINATIONS).for_each(|_| counts[draw(n) as usize] += 1);
                peaks += f64::from(*counts.iter().max().unwrap());
            }
            let mean = peaks * n as f64 / f64::from(ROUNDS * DESTINATIONS);
            let theory = expected_peak(n as usize, ((n - 1) as f64 / 600.0).sqrt());
            let off = (theory - 1.0) / (mean - 1.0);
            assert!((0.965..1.035).contains(&off), "{n}: {theory}, thrown {mean}");
        }
    }

    #[test]
    fn expectation_takes_the_hot_destination_as_its_bound() {
        let shape = WorkloadShape::from_rates(&[50.0, 25.0, 25.0]);
        let expected = Expected::of(&shape, 1e9, &[1.0; 4]).unwrap();
        assert_eq!(expected.bound, 2.0);
        assert!(expected.peak >= 2.0 && !expected.normal);
    }

    #[test]
    fn p_value_tells_noise_from_skew_and_from_too_even() {
        let expected = Expected::of(&WorkloadShape::uniform(1000), 1e9, &[1.0; 5]).unwrap();
        close(expected.cv, (4.0f64 / 1000.0).sqrt(), 1e-6);
        let p = |loads: &[f64]| expected.p_value(&Balance::of(loads, &[1.0; 5]).unwrap()).unwrap();
        assert!(p(&[195.0, 190.0, 205.0, 212.0, 198.0]) > 0.2);
        assert!(p(&[400.0, 150.0, 150.0, 150.0, 150.0]) < 1e-6);
        assert!(p(&[200.0; 5]) < 1e-6);
    }

    #[test]
    fn uniformity_tells_spread_p_values_from_heaped_ones() {
        let spread: Vec<f64> = (0..1000).map(|i| (f64::from(i) * 0.618_034).fract()).collect();
        assert!(uniformity(&spread).unwrap() > 0.5);
        let heaped: Vec<f64> = spread.iter().map(|p| p * p).collect();
        assert!(uniformity(&heaped).unwrap() < 1e-9);
        assert_eq!(uniformity(&spread[..99]), None);
        assert_eq!(p_histogram(&[0.0, 0.049, 1.0])[0], 2);
    }

    #[test]
    fn lorenz_of_noise_meets_its_gini() {
        let expected = Expected::of(&WorkloadShape::uniform(100), 1e9, &[1.0; 10]).unwrap();
        let curve = expected.lorenz();
        let area: f64 = curve.windows(2).map(|w| (w[1].0 - w[0].0) * (w[0].1 + w[1].1) / 2.0).sum();
        close(1.0 - 2.0 * area, expected.gini(), 0.002);
    }
}
