//! The mean peak of equal destinations where the share that a strategy gives each node is known.

use std::collections::BTreeMap;

use statrs::distribution::{ContinuousCDF, DiscreteCDF, Normal, Poisson};

/// Equal destinations hashed onto nodes that take known shares of them
/// ([`Strategy::shares`](crate::Strategy::shares)), whatever their weights.
///
/// The numbers on the nodes are taken as independent Poisson numbers: that they sum to a constant
/// makes each vary less and the difference of two as much, and it is the differences that the peak
/// hangs on. Numbers of 200 and more are taken as normal.
#[derive(Clone, Debug)]
pub struct Known {
    /// Nodes that are alike, and how many they are.
    alike: Vec<(Load, f64)>,
    cv: f64,
}

/// The relative load of a node.
#[derive(Clone, Copy, Debug)]
struct Load {
    /// The mean number of destinations.
    count: f64,
    /// What each adds.
    unit: f64,
}

const GRID: usize = 4000;

impl Known {
    /// So many destinations on nodes of these weights, which take these shares of them. `None`
    /// without destinations or weight.
    ///
    /// # Panics
    /// When there is not one weight per share.
    pub fn new(destinations: u64, shares: &[f64], weights: &[f64]) -> Option<Self> {
        assert_eq!(shares.len(), weights.len(), "one weight per share");
        let (m, total) = (destinations as f64, weights.iter().sum::<f64>());
        if destinations == 0 || total <= 0.0 {
            return None;
        }
        let loads = || {
            let nodes = shares.iter().zip(weights).filter(|(_, weight)| **weight > 0.0);
            nodes.map(|(share, weight)| Load { count: m * share, unit: total / (m * weight) })
        };
        let count = loads().count() as f64;
        let mean = loads().map(|load| load.mean()).sum::<f64>() / count;
        let apart: f64 = loads().map(|load| (load.mean() - mean).powi(2)).sum();
        // Squares of numbers that sum to m, and of the mean of the relative loads, which varies
        // where weights differ.
        let independent: f64 = loads().map(|load| load.mean() * load.unit).sum();
        let summed: f64 = loads().map(|load| load.mean().powi(2) / m).sum();
        let of_mean = (independent - (count * mean).powi(2) / m) / (count * count);
        let variance = (apart + independent - summed) / count - of_mean;
        let mut alike: BTreeMap<(u64, u64), (Load, f64)> = BTreeMap::new();
        for load in loads() {
            // Nodes whose shares differ by a ten-thousandth are alike.
            let key = ((load.mean() * 1e4).round() as u64, load.unit.to_bits());
            alike.entry(key).or_insert((load, 0.0)).1 += 1.0;
        }
        Some(Self { alike: alike.into_values().collect(), cv: variance.max(0.0).sqrt() / mean })
    }

    /// Coefficient of variation of the relative loads.
    pub fn cv(&self) -> f64 {
        self.cv
    }

    /// Mean of the largest relative load.
    pub fn peak(&self) -> f64 {
        if let [(load, 1.0)] = self.alike[..] {
            return load.mean();
        }
        let top = self.alike.iter().map(|(load, _)| load.most()).fold(0.0, f64::max);
        let step = top / GRID as f64;
        // In the middle of each cell, since the integral takes the cell as a whole.
        let mut below = vec![1.0; GRID];
        for (load, nodes) in &self.alike {
            let distribution = load.distribution();
            for (at, below) in below.iter_mut().enumerate().filter(|(_, below)| **below > 0.0) {
                let here = (at as f64 + 0.5) * step;
                if here < load.most() {
                    *below *= distribution(here).powf(*nodes);
                }
            }
        }
        step * below.into_iter().map(|below| 1.0 - below).sum::<f64>()
    }
}

impl Load {
    fn mean(&self) -> f64 {
        self.count * self.unit
    }

    /// A load that is not reached.
    fn most(&self) -> f64 {
        (self.count + 9.0 * self.count.sqrt() + 20.0) * self.unit
    }

    /// The probability that the load is at most so much.
    fn distribution(self) -> Box<dyn Fn(f64) -> f64> {
        if self.count <= 0.0 {
            return Box::new(|_| 1.0);
        }
        if self.count < 200.0 {
            let poisson = Poisson::new(self.count).expect("the mean count is positive");
            return Box::new(move |load| poisson.cdf((load / self.unit) as u64));
        }
        let normal = Normal::new(self.count, self.count.sqrt()).expect("the count is positive");
        Box::new(move |load| normal.cdf(load / self.unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        mix::{nth, unit},
        theory::{Balance, Hashed},
    };

    /// Mean peak, its standard error, and the root of the mean squared variation of destinations
    /// that are thrown.
    fn thrown(destinations: u64, shares: &[f64], weights: &[f64]) -> (f64, f64, f64) {
        const ROUNDS: u64 = 400;
        let upto: Vec<f64> = shares
            .iter()
            .scan(0.0, |sum, share| {
                *sum += share;
                Some(*sum)
            })
            .collect();
        let balance = |round: u64| {
            let mut loads = vec![0.0; shares.len()];
            for ball in 0..destinations {
                let at = unit(nth(nth(11, round), ball)) * upto[upto.len() - 1];
                loads[upto.partition_point(|end| *end <= at)] += 1.0;
            }
            Balance::of(&loads, weights).unwrap()
        };
        let balances: Vec<Balance> = (0..ROUNDS).map(balance).collect();
        let rounds = ROUNDS as f64;
        let mean = balances.iter().map(|b| b.peak).sum::<f64>() / rounds;
        let squares: f64 = balances.iter().map(|b| (b.peak - mean).powi(2)).sum();
        let cv = (balances.iter().map(|b| b.cv * b.cv).sum::<f64>() / rounds).sqrt();
        (mean, (squares / (rounds * (rounds - 1.0))).sqrt(), cv)
    }

    #[test]
    fn peaks_are_those_of_a_simulation() {
        let uneven = [0.21, 0.19, 0.2, 0.18, 0.22];
        let weights = [1.0, 2.0, 3.0, 0.5, 3.5];
        let by_weight: Vec<f64> = weights.iter().map(|weight| weight / 10.0).collect();
        let cases: [(u64, &[f64], &[f64]); 7] = [
            (3000, &uneven, &[1.0; 5]),
            (60, &uneven, &[1.0; 5]),
            (3000, &by_weight, &weights),
            (100, &by_weight, &weights),
            (3000, &uneven, &[1.0, 1.0, 1.1, 0.9, 1.0]),
            (2000, &[0.05; 20], &[1.0; 20]),
            (500, &[0.5; 2], &[1.0; 2]),
        ];
        for (destinations, shares, weights) in cases {
            let theory = Known::new(destinations, shares, weights).unwrap();
            let (peak, error, cv) = thrown(destinations, shares, weights);
            let told = format!(
                "{destinations} on {shares:?} of {weights:?}: {} and {}, simulated {peak} and {cv}",
                theory.peak(),
                theory.cv()
            );
            assert!((theory.peak() - peak).abs() < 3.5 * error + 0.02 * (peak - 1.0), "{told}");
            assert!((theory.cv() / cv - 1.0).abs() < 0.05, "{told}");
        }
    }

    #[test]
    fn equal_shares_are_hashed_ones() {
        for (destinations, nodes) in [(20_000, 8), (300, 10), (100_000, 100)] {
            let shares = vec![1.0 / nodes as f64; nodes];
            let known = Known::new(destinations, &shares, &vec![2.0; nodes]).unwrap();
            let each = vec![1.0 / destinations as f64; destinations as usize];
            let hashed = Hashed::new(&each, nodes, 0.0);
            assert!((known.peak() / hashed.peak() - 1.0).abs() < 1e-3, "{destinations} on {nodes}");
            assert!((known.cv() / hashed.cv() - 1.0).abs() < 1e-9);
        }
        assert_eq!(Known::new(7, &[1.0, 0.0], &[1.0, 0.0]).unwrap().peak(), 1.0);
        assert!(Known::new(0, &[1.0], &[1.0]).is_none() && Known::new(1, &[], &[]).is_none());
    }
}
