//! Whether a measured spread is what chance gives, for destinations of any popularity.
//!
//! Chi-square tests counts of equal destinations. With unequal ones `cv² = n Σ_i L_i² - 1` has no
//! known distribution: a few popular destinations decide it by whether they meet. So these few are
//! thrown onto the nodes again and again, while the many others together are normal, which makes
//! the sum of their squares chi-square and what they add to the popular ones normal.

use crate::mix::{nth, reduce, unit};

/// The distribution of the squared coefficient of variation of hashed loads.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// Values that chance gave, in ascending order.
    drawn: Vec<f64>,
}

/// Destinations that are thrown one by one.
pub(super) const POPULAR: usize = 500;
pub(super) const ROUNDS: u64 = 2000;

impl Spread {
    /// For destinations with these shares, in descending order, which sum to 1, on `nodes` equal
    /// nodes whose own shares vary by `structural_cv`. `None` with fewer than two nodes or
    /// destinations, where there is nothing to test.
    pub fn new(shares: &[f64], nodes: usize, structural_cv: f64) -> Option<Self> {
        if nodes < 2 || shares.len() < 2 {
            return None;
        }
        let (popular, rest) = shares.split_at(shares.len().min(POPULAR));
        let n = nodes as f64;
        // From the smallest up, so that small ones are not lost in a large sum.
        let rest_load: f64 = rest.iter().rev().sum();
        let rest_squares: f64 = rest.iter().rev().map(|f| f * f).sum();
        // What all but the popular ones add to the variance of a relative load, for one degree of
        // freedom.
        let noise = rest_squares + structural_cv * structural_cv / (n - 1.0);
        let popular_load: f64 = popular.iter().rev().sum();
        let mut loads = vec![0.0; nodes];
        let mut drawn: Vec<f64> = (0..ROUNDS)
            .map(|round| {
                let seed = nth(0x7370_7265_6164, round);
                let node = |ball: usize| reduce(nth(seed, ball as u64), nodes as u64) as usize;
                popular.iter().enumerate().for_each(|(ball, share)| loads[node(ball)] += share);
                let mut squares = 0.0;
                for ball in 0..popular.len() {
                    let load = std::mem::take(&mut loads[node(ball)]);
                    squares += load * load;
                }
                let uneven = (squares - popular_load * popular_load / n).max(0.0);
                let [along, across] = normal_pair(nth(seed, u64::MAX), nth(seed, u64::MAX - 1));
                let crossed = 2.0 * n * (noise / n * uneven).sqrt() * along;
                let total = popular_load + rest_load;
                n * squares + 2.0 * popular_load * rest_load + rest_load * rest_load - total * total
                    + crossed
                    + noise * chi_square(n - 1.0, across)
            })
            .collect();
        drawn.sort_by(f64::total_cmp);
        Some(Self { drawn })
    }

    /// Two-sided p-value of a measured coefficient of variation: near 0 when the loads are too
    /// uneven for chance, and also when they are too even for it. It is never below a thousandth,
    /// for want of more draws.
    pub fn p_value(&self, cv: f64) -> f64 {
        two_sided(&self.drawn, cv * cv)
    }
}

/// Two-sided p-value among values that chance gave, in ascending order.
pub(super) fn two_sided(drawn: &[f64], value: f64) -> f64 {
    let below = drawn.partition_point(|drawn| *drawn <= value);
    let rarer = below.min(drawn.len() - below) + 1;
    (2.0 * rarer as f64 / (drawn.len() + 1) as f64).min(1.0)
}

/// Two independent normal variates from two uniform words, by Box and Muller.
pub(super) fn normal_pair(a: u64, b: u64) -> [f64; 2] {
    let (radius, angle) = ((-2.0 * unit(a).ln()).sqrt(), std::f64::consts::TAU * unit(b));
    [radius * angle.cos(), radius * angle.sin()]
}

/// The quantile of chi-square at that of a normal variate, by Wilson and Hilferty.
fn chi_square(freedom: f64, normal: f64) -> f64 {
    let ninth = 2.0 / (9.0 * freedom);
    freedom * (1.0 - ninth + normal * ninth.sqrt()).max(0.0).powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::{Balance, zipf_shares};

    #[test]
    fn p_values_of_chance_are_uniform_whatever_the_popularity() {
        const ROUNDS: u64 = 500;
        for (m, n, exponent) in [
            (1500, 10, 0.0),
            (1500, 10, 0.6),
            (1500, 100, 0.9),
            (1500, 10, 0.9),
            (1000, 30, 1.2),
            (300, 20, 0.9),
        ] {
            let shares = zipf_shares(m, exponent);
            let spread = Spread::new(&shares, n, 0.0).unwrap();
            let p_value = |round: u64| {
                let mut loads = vec![0.0; n];
                let node = |ball: usize| reduce(nth(nth(9, round), ball as u64), n as u64);
                let each = shares.iter().enumerate();
                each.for_each(|(ball, share)| loads[node(ball) as usize] += share);
                spread.p_value(Balance::of(&loads, &vec![1.0; n]).unwrap().cv)
            };
            let p_values: Vec<f64> = (0..ROUNDS).map(p_value).collect();
            let below =
                |level: f64| p_values.iter().filter(|p| **p < level).count() as f64 / ROUNDS as f64;
            let [few, some, half] = [0.01, 0.1, 0.5].map(below);
            let told = format!("{m} on {n}, {exponent}: {few} {some} {half}");
            assert!(few < 0.03 && (0.06..0.15).contains(&some), "{told}");
            assert!((0.42..0.58).contains(&half), "{told}");
        }
    }

    #[test]
    fn equal_destinations_are_judged_as_by_chi_square() {
        let (m, n) = (100_000, 50);
        let spread = Spread::new(&zipf_shares(m, 0.0), n, 0.0).unwrap();
        for chi_square in [30.0, 40.0, 50.0, 60.0, 75.0] {
            let exact = 2.0 * {
                use statrs::distribution::{ChiSquared, ContinuousCDF};
                let below = ChiSquared::new(49.0).unwrap().cdf(chi_square);
                below.min(1.0 - below)
            };
            let p = spread.p_value((chi_square / m as f64).sqrt());
            assert!((p - exact).abs() < 0.05, "{chi_square}: {p} instead of {exact}");
        }
    }

    #[test]
    fn too_even_and_too_uneven_are_told() {
        let shares = zipf_shares(10_000, 0.9);
        let spread = Spread::new(&shares, 20, 0.0).unwrap();
        let usual = spread.drawn[spread.drawn.len() / 2].sqrt();
        assert!(spread.p_value(usual) > 0.9);
        assert!(spread.p_value(usual * 2.0) < 0.01 && spread.p_value(usual * 0.3) < 0.01);
        assert_eq!(Spread::new(&[1.0], 20, 0.0), None);
        assert_eq!(Spread::new(&shares, 1, 0.0), None);
        let ring = Spread::new(&shares, 20, 0.5).unwrap();
        assert!(ring.p_value((usual * usual + 0.25).sqrt()) > 0.3);
    }
}
