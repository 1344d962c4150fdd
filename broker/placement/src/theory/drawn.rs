//! What chance gives destinations of any popularity where the share that a strategy gives each node
//! is known.

use super::spread::{POPULAR, ROUNDS, normal_pair, two_sided};
use crate::mix::{nth, unit};

/// Destinations thrown onto nodes that take known shares of them
/// ([`Strategy::shares`](crate::Strategy::shares)), whatever their weights.
///
/// The popular ones are thrown one by one, again and again. All others together are normal, with the
/// covariance that thrown ones have.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// Squared coefficients of variation of the relative loads, in ascending order.
    squares: Vec<f64>,
    peak: f64,
}

/// Above this many nodes drawing takes too long.
const NODES: usize = 10_000;

impl Drawn {
    /// For destinations with these shares of the load, in descending order, on nodes of these
    /// weights, which take these shares of the destinations. `None` with fewer than two nodes or
    /// destinations, where there is nothing to test, and with more than 10,000 nodes.
    ///
    /// # Panics
    /// When there is not one weight per share, or no share above 0.
    pub fn new(destinations: &[f64], shares: &[f64], weights: &[f64]) -> Option<Self> {
        assert_eq!(shares.len(), weights.len(), "one weight per share");
        let n = shares.len();
        if !(2..=NODES).contains(&n) || destinations.len() < 2 {
            return None;
        }
        // Where nodes have few of the many, these are not normal, and few enough to be thrown.
        let each = (10 * n).max(POPULAR);
        let thrown = if destinations.len() <= each { destinations.len() } else { POPULAR };
        let (popular, rest) = destinations.split_at(thrown);
        let rest_load: f64 = rest.iter().rev().sum();
        let rest_squares: f64 = rest.iter().rev().map(|f| f * f).sum();
        let total = rest_load + popular.iter().rev().sum::<f64>();
        let upto: Vec<f64> = shares
            .iter()
            .scan(0.0, |sum, share| {
                *sum += share;
                Some(*sum)
            })
            .collect();
        let whole = upto[n - 1];
        let per_weight = total / weights.iter().sum::<f64>();
        let mut loads = vec![0.0; n];
        let mut squares = Vec::with_capacity(ROUNDS as usize);
        let mut peaks = 0.0;
        for round in 0..ROUNDS {
            let seed = nth(0x64_7261_776e, round);
            let mut sum = 0.0;
            for (at, two) in loads.chunks_mut(2).enumerate() {
                let word = |number: usize| nth(seed, u64::MAX - (2 * at + number) as u64);
                let normal = normal_pair(word(0), word(1));
                for (number, load) in two.iter_mut().enumerate() {
                    *load = normal[number] * (rest_squares * shares[2 * at + number]).sqrt();
                    sum += *load;
                }
            }
            // What all have too much or too little together is nobody's.
            loads
                .iter_mut()
                .zip(shares)
                .for_each(|(load, share)| *load += share * (rest_load - sum));
            for (ball, share) in popular.iter().enumerate() {
                let at = unit(nth(seed, ball as u64)) * whole;
                loads[upto.partition_point(|end| *end <= at).min(n - 1)] += share;
            }
            let relative = || loads.iter().zip(weights).map(|(l, w)| l / (w * per_weight));
            let mean = relative().sum::<f64>() / n as f64;
            let variance = relative().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
            squares.push(variance / (mean * mean));
            peaks += relative().fold(0.0, f64::max);
        }
        squares.sort_by(f64::total_cmp);
        Some(Self { squares, peak: peaks / ROUNDS as f64 })
    }

    /// Mean of the largest relative load.
    pub fn peak(&self) -> f64 {
        self.peak
    }

    /// Coefficient of variation of the relative loads: the root of the mean square.
    pub fn cv(&self) -> f64 {
        (self.squares.iter().sum::<f64>() / self.squares.len() as f64).sqrt()
    }

    /// Two-sided p-value of a measured coefficient of variation, never below a thousandth.
    pub fn p_value(&self, cv: f64) -> f64 {
        two_sided(&self.squares, cv * cv)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::{Known, Spread, zipf_shares};

    #[test]
    fn known_cases_are_met() {
        let (shares, weights) = ([0.1, 0.2, 0.3, 0.05, 0.35], [1.0, 2.0, 3.0, 0.5, 3.5]);
        let even = Drawn::new(&zipf_shares(3000, 0.0), &shares, &weights).unwrap();
        let known = Known::new(3000, &shares, &weights).unwrap();
        assert!(
            (even.peak() - known.peak()).abs() < 0.03 * (known.peak() - 1.0),
            "{}",
            even.peak()
        );
        assert!((even.cv() / known.cv() - 1.0).abs() < 0.03, "{}", even.cv());
        let zipf = zipf_shares(3000, 0.9);
        let drawn = Drawn::new(&zipf, &[0.1; 10], &[1.0; 10]).unwrap();
        let spread = Spread::new(&zipf, 10, 0.0).unwrap();
        for cv in [0.15, 0.2, 0.25, 0.3, 0.35] {
            assert!((drawn.p_value(cv) - spread.p_value(cv)).abs() < 0.06, "{cv}");
        }
        assert_eq!(Drawn::new(&[1.0], &[0.5; 2], &[1.0; 2]), None);
        assert_eq!(Drawn::new(&zipf, &[1.0], &[1.0]), None);
    }
}
