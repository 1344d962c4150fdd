//! The load of the others when a node has failed and the second nodes of its rows serve.
//!
//! Two things make it uneven: how the strategy spreads the second nodes, which a table shows to the
//! last slot, and chance, which throws destinations onto pairs of a first and a second node. The
//! peak is that of the worst failure, the largest of n (n - 1) sums, for which there is no closed
//! formula; so the numbers of destinations of all pairs are drawn again and again.

use super::spread::normal_pair;
use crate::mix::nth;

/// The distribution of the peak after the worst failure of one node, nodes and destinations being
/// alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Failover {
    structural: f64,
    /// Peaks that chance gave, in ascending order.
    drawn: Vec<f64>,
}

const ROUNDS: u64 = 400;
/// Above this many nodes drawing takes too long.
const NODES: usize = 200;
/// Below this mean number of destinations per pair, the numbers are not nearly normal.
const DESTINATIONS: f64 = 10.0;

impl Failover {
    /// For `destinations` rows, of which the part `pairs[first * nodes + second]` begins with these
    /// two nodes. `None` where it cannot be worked out: with fewer than three or more than 200
    /// nodes, or fewer than ten destinations for each two of them.
    ///
    /// # Panics
    /// When there is not one part for each pair.
    pub fn new(pairs: &[f64], nodes: usize, destinations: u64) -> Option<Self> {
        assert_eq!(pairs.len(), nodes * nodes, "one part per pair");
        let mean = destinations as f64 / (nodes * nodes) as f64;
        if !(3..=NODES).contains(&nodes) || mean < DESTINATIONS {
            return None;
        }
        let mut counts = vec![0.0; pairs.len()];
        let mut drawn: Vec<f64> = (0..ROUNDS)
            .map(|round| {
                let seed = nth(0x6661_696c, round);
                for (at, two) in counts.chunks_mut(2).enumerate() {
                    let word = |number: usize| nth(seed, (2 * at + number) as u64);
                    let normal = normal_pair(word(0), word(1));
                    for (number, count) in two.iter_mut().enumerate() {
                        let expected = pairs[2 * at + number] * destinations as f64;
                        *count = (expected + expected.sqrt() * normal[number]).max(0.0);
                    }
                }
                worst(&counts, nodes)
            })
            .collect();
        drawn.sort_by(f64::total_cmp);
        Some(Self { structural: worst(pairs, nodes), drawn })
    }

    /// Pairs as a strategy has them that draws every two different nodes alike.
    pub fn even_pairs(nodes: usize) -> Vec<f64> {
        let part = 1.0 / (nodes * (nodes - 1)) as f64;
        (0..nodes * nodes).map(|at| if at / nodes == at % nodes { 0.0 } else { part }).collect()
    }

    /// The peak without chance: what the strategy's own spread of pairs gives.
    pub fn structural(&self) -> f64 {
        self.structural
    }

    /// The mean peak, with chance.
    pub fn expected(&self) -> f64 {
        self.drawn.iter().sum::<f64>() / self.drawn.len() as f64
    }

    /// Two-sided p-value of a measured peak; never below one in two hundred, for want of more
    /// draws.
    pub fn p_value(&self, peak: f64) -> f64 {
        let below = self.drawn.partition_point(|drawn| *drawn <= peak);
        let rarer = below.min(self.drawn.len() - below) + 1;
        (2.0 * rarer as f64 / (self.drawn.len() + 1) as f64).min(1.0)
    }
}

/// The largest load of a survivor, over all failures, relative to the mean of the survivors.
fn worst(pairs: &[f64], nodes: usize) -> f64 {
    let first: Vec<f64> = pairs.chunks_exact(nodes).map(|row| row.iter().sum()).collect();
    let total: f64 = first.iter().sum();
    let after = |dead: usize, at: usize| first[at] + pairs[dead * nodes + at];
    let each = (0..nodes * nodes).filter(|pair| pair / nodes != pair % nodes);
    let most = each.map(|pair| after(pair / nodes, pair % nodes)).fold(0.0, f64::max);
    most * (nodes - 1) as f64 / total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mix::reduce;

    #[test]
    fn structure_shows_without_chance() {
        let even = Failover::new(&Failover::even_pairs(10), 10, 1_000_000).unwrap();
        assert!((even.structural() - 1.0).abs() < 1e-12);
        let mut chained = vec![0.0; 100];
        (0..10).for_each(|node| chained[node * 10 + (node + 1) % 10] = 0.1);
        let chained = Failover::new(&chained, 10, 1_000_000).unwrap();
        assert!((chained.structural() - 1.8).abs() < 1e-12);
        assert!(chained.expected() > 1.8 && chained.expected() < 1.82);
        assert_eq!(Failover::new(&Failover::even_pairs(10), 10, 999), None);
        assert_eq!(Failover::new(&Failover::even_pairs(2), 2, 1_000_000), None);
    }

    #[test]
    fn p_values_of_thrown_destinations_are_uniform() {
        let (n, destinations, rounds) = (8u64, 5000u64, 300u64);
        let theory = Failover::new(&Failover::even_pairs(8), 8, destinations).unwrap();
        let throw = |round: u64| {
            let mut pairs = vec![0.0; 64];
            for ball in 0..destinations {
                let (first, other) =
                    (nth(nth(3, round), 2 * ball), nth(nth(3, round), 2 * ball + 1));
                let first = reduce(first, n);
                let second = (first + 1 + reduce(other, n - 1)) % n;
                pairs[(first * n + second) as usize] += 1.0;
            }
            theory.p_value(worst(&pairs, 8))
        };
        let p_values: Vec<f64> = (0..rounds).map(throw).collect();
        let below = |level: f64| p_values.iter().filter(|p| **p < level).count() as f64 / 300.0;
        assert!(below(0.01) < 0.04, "{}", below(0.01));
        assert!((0.4..0.6).contains(&below(0.5)), "{}", below(0.5));
    }
}
