//! The mean peak of hashed destinations, popular ones included.

use statrs::distribution::{ContinuousCDF, DiscreteCDF, Gamma, Normal, Poisson};

/// How many standard deviations the largest of `n` normal loads lies above their mean, by Gumbel's
/// limit: `√(2 ln n) - (ln ln n + ln 4π) / (2 √(2 ln n)) + γ / √(2 ln n)`.
pub fn gumbel_factor(nodes: usize) -> f64 {
    if nodes < 2 {
        return 0.0;
    }
    let root = (2.0 * (nodes as f64).ln()).sqrt();
    let loglog = (nodes as f64).ln().ln();
    root - (loglog + (4.0 * std::f64::consts::PI).ln()) / (2.0 * root) + 0.577_215_664_9 / root
}

/// Destinations hashed independently onto equal nodes.
///
/// The loads of single nodes are all alike: each destination is there with probability `1/n`. The
/// few popular ones are followed one by one on a grid of loads; the many others together are
/// nearly normal, or, where a node has few of them, nearly a Poisson number of equal ones. The
/// mean peak is that of `n` such loads, taken as independent but for the two most popular
/// destinations, of which each is on exactly one node. That the loads sum to a constant makes them
/// vary less than independent ones that peak alike: the variance of both parts, what chance adds
/// and what the nodes' own shares do, is widened by `n / (n - 1)`.
///
/// Shares that vary do so as the arcs of a ring, which are gamma distributed (normalised, they are
/// Dirichlet's) and so lean towards large ones: the peak of a few nodes lies higher for it.
#[derive(Clone, Debug)]
pub struct Hashed {
    nodes: f64,
    /// Relative load that each popular destination adds, in descending order.
    popular: Vec<f64>,
    /// Mean and variance of the relative load that all others add.
    rest_mean: f64,
    rest_variance: f64,
    /// Skewness of that, where the nodes' own shares vary.
    rest_skewness: f64,
    cv: f64,
}

/// Below this skewness the load of the many is called normal.
const SKEWNESS: f64 = 0.01;

const GRID: usize = 4000;
const POPULAR: usize = 300;

impl Hashed {
    /// Destinations with these shares, in descending order, on `nodes` nodes whose own shares vary
    /// by `structural_cv` (0 where all are equally likely).
    pub fn new(shares: &[f64], nodes: usize, structural_cv: f64) -> Self {
        let n = nodes as f64;
        let squares: f64 = shares.iter().rev().map(|share| share * share).sum();
        // Only what stands out of the noise of all is worth a place on the grid.
        let noise = 0.3 * (n * squares).sqrt();
        let equal = shares.first().is_some_and(|first| first < &(shares[shares.len() - 1] * 1.5));
        let popular = if equal {
            Vec::new()
        } else {
            shares.iter().take(POPULAR).map(|share| n * share).filter(|l| *l > noise).collect()
        };
        let rest = &shares[popular.len()..];
        let rest_squares: f64 = rest.iter().rev().map(|share| share * share).sum();
        let widened = if nodes < 2 { 0.0 } else { structural_cv.powi(2) * n / (n - 1.0) };
        let rest_variance = n * rest_squares + widened;
        let rest_skewness = if widened > 0.0 {
            let rest_cubes: f64 = rest.iter().rev().map(|share| share.powi(3)).sum();
            // Third cumulants: of the numbers, of the shares, and of numbers that vary with shares.
            let crossed = 3.0 * widened * n * rest_squares;
            (n * n * rest_cubes + crossed + 2.0 * widened.powi(2)) / rest_variance.powf(1.5)
        } else {
            0.0
        };
        Self {
            nodes: n,
            popular,
            rest_mean: rest.iter().rev().sum(),
            rest_variance,
            rest_skewness,
            cv: ((n - 1.0) * squares + structural_cv.powi(2)).sqrt(),
        }
    }

    /// Coefficient of variation of the relative loads.
    pub fn cv(&self) -> f64 {
        self.cv
    }

    /// Mean of the largest relative load.
    pub fn peak(&self) -> f64 {
        if self.nodes < 2.0 {
            return 1.0;
        }
        let deviation = self.rest_variance.sqrt();
        let hottest: f64 = self.popular.iter().take(4).sum();
        let top = self.rest_mean + 10.0 * deviation + hottest + self.rest_variance;
        let step = top / GRID as f64;
        let (fixed, others) = self.popular.split_at(self.popular.len().min(2));
        let popular = self.popular_distribution(others, step);
        let rest = self.rest_distribution(step);
        // The distribution function of a node's load without the two most popular destinations.
        let below: Vec<f64> = (0..GRID)
            .map(|at| {
                let parts = popular.iter().enumerate().take(at + 1).filter(|(_, p)| **p > 0.0);
                parts.map(|(offset, p)| p * rest[at - offset]).sum::<f64>().min(1.0)
            })
            .collect();
        let n = self.nodes;
        let all_below = |at: usize| {
            let with = |load: f64| {
                at.checked_sub((load / step).round() as usize).map_or(0.0, |less| below[less])
            };
            match *fixed {
                [a, b] => {
                    let together = with(a + b) * below[at].powf(n - 1.0) / n;
                    let apart = with(a) * with(b) * below[at].powf(n - 2.0) * (1.0 - 1.0 / n);
                    together + apart
                }
                [a] => with(a) * below[at].powf(n - 1.0),
                _ => below[at].powf(n),
            }
        };
        (0..GRID).map(|at| step * (1.0 - all_below(at))).sum()
    }

    /// Probability of each load on the grid that these destinations make up on one node.
    fn popular_distribution(&self, loads: &[f64], step: f64) -> Vec<f64> {
        let mut probabilities = vec![0.0; GRID];
        probabilities[0] = 1.0;
        let q = 1.0 / self.nodes;
        for load in loads {
            let offset = (load / step).round() as usize;
            for at in (0..GRID).rev() {
                let from_below = at.checked_sub(offset).map_or(0.0, |below| probabilities[below]);
                probabilities[at] = (1.0 - q) * probabilities[at] + q * from_below;
            }
        }
        // Specks cost time and add nothing.
        probabilities.iter_mut().filter(|p| **p < 1e-15).for_each(|p| *p = 0.0);
        probabilities
    }

    /// Probability that the load of the other destinations is at most that of each grid point.
    fn rest_distribution(&self, step: f64) -> Vec<f64> {
        let (mean, variance) = (self.rest_mean, self.rest_variance);
        // In the middle of the grid cell, since the integral takes the cell as a whole.
        let load = |at: usize| (at as f64 + 0.5) * step;
        if variance <= 0.0 || mean <= 0.0 {
            return (0..GRID).map(|at| f64::from(u8::from(load(at) >= mean))).collect();
        }
        if self.rest_skewness > SKEWNESS {
            // The gamma distribution with these three moments, which begins at `least`.
            let shape = 4.0 / self.rest_skewness.powi(2);
            let scale = variance.sqrt() * self.rest_skewness / 2.0;
            let least = mean - shape * scale;
            let gamma = Gamma::new(shape, 1.0 / scale).expect("shape and scale are positive");
            return (0..GRID).map(|at| gamma.cdf((load(at) - least).max(0.0))).collect();
        }
        let (unit, count) = (variance / mean, mean * mean / variance);
        if count < 200.0 {
            let poisson = Poisson::new(count).expect("the mean count is positive");
            (0..GRID).map(|at| poisson.cdf((load(at) / unit) as u64)).collect()
        } else {
            let normal = Normal::new(mean, variance.sqrt()).expect("the variance is positive");
            (0..GRID).map(|at| normal.cdf(load(at))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mix::{nth, reduce};
    use crate::theory::{hashed_cv, ring_cv, zipf_shares};

    /// Mean peak over some rounds of throwing destinations onto nodes.
    fn simulated(shares: &[f64], nodes: usize, rounds: u64) -> f64 {
        let peak = |round: u64| {
            let mut loads = vec![0.0; nodes];
            let node = |ball: usize| reduce(nth(nth(3, round), ball as u64), nodes as u64) as usize;
            shares.iter().enumerate().for_each(|(ball, share)| loads[node(ball)] += share);
            loads.into_iter().fold(0.0, f64::max) * nodes as f64
        };
        (0..rounds).map(peak).sum::<f64>() / rounds as f64
    }

    #[test]
    fn equal_destinations_peak_as_in_a_simulation() {
        for (m, n) in [(10_000, 10), (10_000, 100), (1000, 100), (100, 100), (300, 10)] {
            let shares = zipf_shares(m, 0.0);
            let (theory, measured) =
                (Hashed::new(&shares, n, 0.0).peak(), simulated(&shares, n, 60));
            let relative = (theory - 1.0) / (measured - 1.0);
            assert!((0.9..1.1).contains(&relative), "{m} on {n}: {theory}, simulated {measured}");
        }
        let large = 1.0 + gumbel_factor(1000) * hashed_cv(1000, 1e-6);
        assert!((Hashed::new(&vec![1e-6; 1_000_000], 1000, 0.0).peak() - large).abs() < 0.003);
    }

    #[test]
    fn popular_destinations_peak_as_in_a_simulation() {
        for (m, n, s) in
            [(10_000, 10, 0.9), (10_000, 10, 1.0), (10_000, 100, 0.6), (10_000, 100, 0.9)]
        {
            let shares = zipf_shares(m, s);
            let (theory, measured) = (Hashed::new(&shares, n, 0.0), simulated(&shares, n, 100));
            let relative = theory.peak() / measured;
            assert!(
                (0.95..1.05).contains(&relative),
                "{m} on {n}, {s}: {} {measured}",
                theory.peak()
            );
        }
    }

    /// Mean and standard error of the peak of nodes that stand at random points of a circle, with
    /// equal destinations thrown onto it: each belongs to the next point, whatever the strategies
    /// do.
    fn simulated_ring(nodes: usize, points: usize, keys: u64, rounds: u64) -> (f64, f64) {
        let peak = |round: u64| {
            let (on_circle, thrown) = (nth(nth(5, round), 1), nth(nth(5, round), 2));
            let mut circle: Vec<(u64, usize)> =
                (0..nodes * points).map(|at| (nth(on_circle, at as u64), at % nodes)).collect();
            circle.sort_unstable();
            let mut loads = vec![0u64; nodes];
            for key in 0..keys {
                let next = circle.partition_point(|(point, _)| *point < nth(thrown, key));
                loads[circle[next % circle.len()].1] += 1;
            }
            *loads.iter().max().expect("there are nodes") as f64 * nodes as f64 / keys as f64
        };
        let peaks: Vec<f64> = (0..rounds).map(peak).collect();
        let mean = peaks.iter().sum::<f64>() / rounds as f64;
        let variance =
            peaks.iter().map(|peak| (peak - mean).powi(2)).sum::<f64>() / (rounds - 1) as f64;
        (mean, (variance / rounds as f64).sqrt())
    }

    #[test]
    fn rings_peak_as_in_a_simulation() {
        for (nodes, points, keys) in [
            (2, 100, 5000),
            (3, 100, 5000),
            (8, 100, 20_000),
            (8, 100, 500),
            (8, 10, 5000),
            (20, 50, 20_000),
            (50, 160, 20_000),
            (60, 20, 1200),
        ] {
            let shares = vec![1.0 / keys as f64; keys as usize];
            let theory = Hashed::new(&shares, nodes, ring_cv(nodes, points as f64)).peak();
            let (measured, error) = simulated_ring(nodes, points, keys, 400);
            // What theory leaves out, that loads that sum to a constant are not independent, is at
            // most a fiftieth of what the peak is above 1.
            let allowed = 3.5 * error + 0.02 * (measured - 1.0);
            assert!(
                (theory - measured).abs() < allowed,
                "{nodes} nodes of {points} points, {keys} keys: {theory}, simulated {measured}"
            );
        }
    }

    #[test]
    fn rings_peak_as_measured() {
        // Facts from a benchmark over 10^6 keys: 100 nodes of 100 points peak at 1.270, 100 nodes
        // of 160 points at 1.209.
        for (points, measured) in [(100.0, 1.270), (160.0, 1.209)] {
            let theory = Hashed::new(&vec![1e-6; 1_000_000], 100, ring_cv(100, points)).peak();
            assert!((theory - measured).abs() < 0.03, "{theory} instead of {measured}");
        }
    }
}
