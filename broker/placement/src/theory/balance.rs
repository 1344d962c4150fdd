//! How evenly a load is spread, and whether the difference from fair shares is chance.

use statrs::distribution::{ChiSquared, ContinuousCDF};

/// Spread of a load over nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Balance {
    /// Relative load of each node, in the order given.
    pub relative: Vec<f64>,
    /// The largest relative load.
    pub peak: f64,
    /// The smallest relative load.
    pub least: f64,
    /// Coefficient of variation of the relative loads.
    pub cv: f64,
    /// Gini coefficient: 0 even, towards 1 all on one node. About `cv / √π` for small noise.
    pub gini: f64,
    /// Jain's fairness index: 1 even, 1/n all on one node. It is `1 / (1 + cv²)`.
    pub jain: f64,
    /// Kullback-Leibler divergence from the fair shares, in nats. About `cv² / 2` for small noise.
    pub kl: f64,
    /// Usable capacity in nodes: `n / peak`. The cluster is full when its fullest node is.
    pub effective_nodes: f64,
}

impl Balance {
    /// The spread of `loads` over nodes with these weights. `None` without nodes, load or weight.
    ///
    /// # Panics
    /// When there is not one weight per load.
    pub fn of(loads: &[f64], weights: &[f64]) -> Option<Self> {
        assert_eq!(loads.len(), weights.len(), "one weight per node");
        let (total, weight): (f64, f64) = (loads.iter().sum(), weights.iter().sum());
        if !(total > 0.0 && weight > 0.0) {
            return None;
        }
        let relative: Vec<f64> =
            loads.iter().zip(weights).map(|(l, w)| (l / w) / (total / weight)).collect();
        let n = relative.len() as f64;
        let sum: f64 = relative.iter().sum();
        let mean = sum / n;
        let variance = relative.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let squares: f64 = relative.iter().map(|x| x * x).sum();
        let mut sorted = relative.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let ranked: f64 = sorted.iter().zip(1..).map(|(x, rank)| f64::from(rank) * x).sum();
        let divergence = |(load, weight_of): (&f64, &f64)| {
            let (p, q) = (load / total, weight_of / weight);
            if p > 0.0 { p * (p / q).ln() } else { 0.0 }
        };
        let (least, peak) = (sorted[0], sorted[sorted.len() - 1]);
        Some(Self {
            peak,
            least,
            cv: variance.sqrt() / mean,
            gini: (2.0 * ranked / (n * sum) - (n + 1.0) / n).max(0.0),
            jain: sum * sum / (n * squares),
            kl: loads.iter().zip(weights).map(divergence).sum::<f64>().max(0.0),
            effective_nodes: n / peak,
            relative,
        })
    }
}

/// Pearson's test of counts against expected counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChiSquare {
    /// The statistic.
    pub statistic: f64,
    /// Degrees of freedom.
    pub freedom: f64,
    /// Standard deviations from its mean: `(χ² - df) / √(2 df)`.
    pub z: f64,
    /// Two-sided p-value: near 0 when the counts are too uneven for chance, and also when they are
    /// too even for it.
    pub p_value: f64,
}

/// Tests counts of equally popular destinations against what chance gives each node: the share of
/// the keys that the strategy has it take
/// ([`Strategy::shares`](crate::Strategy::shares)), times their number.
///
/// Nodes that expect less than one, and far less than the others, are counted as one: the test
/// holds for numbers that are nearly normal. `None` where that leaves fewer than two.
///
/// # Panics
/// When there is not one expected count for each.
pub fn chi_square(counts: &[u64], expected: &[f64]) -> Option<ChiSquare> {
    assert_eq!(counts.len(), expected.len(), "one expected count each");
    let small = (0.2 * expected.iter().sum::<f64>() / expected.len() as f64).min(1.0);
    let mut pooled = (0.0, 0.0);
    let mut cells = Vec::with_capacity(counts.len() + 1);
    for (count, expected) in counts.iter().zip(expected) {
        let count = *count as f64;
        if *expected < small {
            pooled = (pooled.0 + count, pooled.1 + expected);
        } else {
            cells.push((count, *expected));
        }
    }
    if pooled.0 > 0.0 || pooled.1 >= small {
        cells.push(pooled);
    }
    let freedom = cells.len().checked_sub(1).filter(|freedom| *freedom > 0)? as f64;
    let statistic: f64 = cells.iter().map(|(count, e)| (count - e).powi(2) / e).sum();
    let distribution = ChiSquared::new(freedom).ok()?;
    let upper = distribution.sf(statistic);
    let lower = distribution.cdf(statistic);
    Some(ChiSquare {
        statistic,
        freedom,
        z: (statistic - freedom) / (2.0 * freedom).sqrt(),
        p_value: (2.0 * upper.min(lower)).min(1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mix::{nth, reduce};

    #[test]
    fn measures_of_a_known_balance() {
        let even = Balance::of(&[2.0, 2.0, 4.0], &[1.0, 1.0, 2.0]).unwrap();
        assert_eq!((even.peak, even.least, even.cv, even.gini, even.kl), (1.0, 1.0, 0.0, 0.0, 0.0));
        assert_eq!((even.jain, even.effective_nodes), (1.0, 3.0));
        let all_on_one = Balance::of(&[1.0, 0.0, 0.0, 0.0], &[1.0; 4]).unwrap();
        assert_eq!((all_on_one.peak, all_on_one.jain, all_on_one.gini), (4.0, 0.25, 0.75));
        assert!((all_on_one.kl - 4f64.ln()).abs() < 1e-12);
        assert_eq!(all_on_one.effective_nodes, 1.0);
        assert_eq!(Balance::of(&[0.0], &[1.0]), None);
        assert_eq!(Balance::of(&[], &[]), None);
    }

    #[test]
    fn p_values_of_chance_are_uniform_and_others_are_small() {
        let counts_of = |seed: u64| {
            let mut counts = [0u64; 20];
            (0..2000).for_each(|ball| counts[reduce(nth(nth(1, seed), ball), 20) as usize] += 1);
            counts
        };
        let p = |counts: &[u64]| chi_square(counts, &[100.0; 20]).unwrap().p_value;
        let below =
            |limit: f64| (0..2000).filter(|seed| p(&counts_of(*seed)) < limit).count() as f64;
        assert!((below(0.5) / 2000.0 - 0.5).abs() < 0.05);
        assert!((below(0.05) / 2000.0 - 0.05).abs() < 0.02);
        assert!(p(&[100; 20]) < 1e-6, "too even to be chance");
        let mut uneven = [95; 20];
        uneven[0] = 195;
        assert!(p(&uneven) < 1e-6, "too uneven to be chance");
    }

    #[test]
    fn nodes_that_expect_next_to_nothing_count_as_one() {
        let test = |counts: &[u64], expected: &[f64]| chi_square(counts, expected);
        let pooled = test(&[90, 110, 1, 0], &[99.5, 99.5, 0.5, 0.5]).unwrap();
        assert_eq!(pooled.freedom, 2.0);
        assert!((pooled.statistic - (9.5f64.powi(2) + 10.5f64.powi(2)) / 99.5).abs() < 1e-9);
        assert_eq!(test(&[90, 110, 0], &[100.0, 100.0, 1e-9]).unwrap().freedom, 1.0);
        assert!(test(&[90, 110, 1], &[100.0, 100.0, 0.0]).unwrap().p_value < 1e-6);
        assert_eq!(test(&[5, 5, 5], &[0.5; 3]).unwrap().freedom, 2.0, "all expect little");
        assert_eq!(test(&[10, 0], &[10.0, 0.0]), None);
        assert_eq!(test(&[10], &[10.0]), None);
    }
}
