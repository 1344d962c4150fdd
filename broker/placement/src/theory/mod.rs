//! What theory expects of a balance, to be set beside what was measured.
//!
//! Words: `m` destinations with shares `f_1 >= f_2 >= …` of the load, which sum to 1, on `n` nodes.
//! A *relative* load is a node's load divided by its fair share, so that 1 is fair whatever its
//! weight. The *peak* is the largest relative load.

mod balance;
mod drawn;
mod failover;
mod known;
mod movement;
mod peak;
mod spread;

pub use balance::{Balance, ChiSquare, chi_square};
pub use drawn::Drawn;
pub use failover::Failover;
pub use known::Known;
pub use movement::{even_loads, least_displaced, least_load_to_move, least_moved};
pub use peak::{Hashed, gumbel_factor};
pub use spread::Spread;

/// Coefficient of variation of the relative loads when destinations with this sum of squared
/// shares are hashed onto `n` equal nodes: `sqrt((n - 1) Σ f²)`. For `m` equal ones `Σ f² = 1/m`.
pub fn hashed_cv(nodes: usize, squared_shares: f64) -> f64 {
    ((nodes as f64 - 1.0) * squared_shares).sqrt()
}

/// Coefficient of variation of the arcs of `n` nodes with `points` each on a circle:
/// `sqrt((n - 1) / (n V + 1))`, from the Dirichlet distribution of the arcs.
pub fn ring_cv(nodes: usize, points: f64) -> f64 {
    let n = nodes as f64;
    ((n - 1.0) / (n * points + 1.0)).sqrt()
}

/// Peak of a table of `entries` that are dealt out evenly: `⌈entries / n⌉ n / entries`.
pub fn table_peak(entries: u64, nodes: usize) -> f64 {
    let n = nodes as u64;
    (entries.div_ceil(n) * n) as f64 / entries as f64
}

/// An upper bound of the mean peak of `m` equal destinations that each go to the emptier of `d`
/// nodes: `1 + (n / m) (ln ln n / ln d + 1)` (Azar et al. 1994; the last 1 stands for O(1)).
pub fn choices_peak(destinations: u64, nodes: usize, choices: u32) -> f64 {
    let n = nodes.max(3) as f64;
    1.0 + n / destinations as f64 * (n.ln().ln() / f64::from(choices).ln() + 1.0)
}

/// The least peak that any placement of whole destinations on equal nodes can reach. `shares` are
/// in descending order. By the pigeonhole principle: of `kn + 1` destinations some node has `k + 1`.
pub fn atomic_bound(shares: &[f64], nodes: usize) -> f64 {
    let mut bound: f64 = 1.0;
    let mut k = 0;
    while let Some(end) = (k * nodes).checked_add(1).filter(|end| *end <= shares.len()) {
        let smallest = shares[..end].iter().rev().take(k + 1).sum::<f64>();
        bound = bound.max(nodes as f64 * smallest);
        k += 1;
        // Later groups come from ever smaller destinations; with k of them the bound tends to 1.
        if k > 64 {
            break;
        }
    }
    bound
}

/// The least peak when the most popular destination may be split into `parts`:
/// `max(1, n f_1 / parts)`.
pub fn split_bound(largest_share: f64, nodes: usize, parts: u32) -> f64 {
    (nodes as f64 * largest_share / f64::from(parts)).max(1.0)
}

/// Into how many parts a destination must be split so that no part is above half a node's share:
/// `⌈2 n f⌉`, and 1 for a destination that is not above it as a whole.
pub fn parts_needed(share: f64, nodes: usize) -> u32 {
    ((2.0 * nodes as f64 * share).ceil() as u32).max(1)
}

/// The last number of nodes that still helps while the most popular destination is whole: `1/f_1`.
pub fn useful_nodes(largest_share: f64) -> f64 {
    1.0 / largest_share
}

/// How many pairs of `names` different names share a 64-bit value by chance: `names² / 2^65`.
pub fn expected_collisions(names: u64) -> f64 {
    let names = names as f64;
    names * (names - 1.0) / 2.0 / 18_446_744_073_709_551_616.0
}

/// Shares of `m` destinations by Zipf's law: `f_i ~ i^-s`, in descending order. `s = 0`: equal.
pub fn zipf_shares(destinations: usize, exponent: f64) -> Vec<f64> {
    let mut shares: Vec<f64> =
        (1..=destinations).map(|rank| (rank as f64).powf(-exponent)).collect();
    // From the smallest up, so that small ones are not lost in a large sum.
    let total: f64 = shares.iter().rev().sum();
    shares.iter_mut().for_each(|share| *share /= total);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_counts_pigeons() {
        let shares = zipf_shares(10_000, 1.0);
        assert!((atomic_bound(&shares, 10) - 1.022).abs() < 0.001, "1/H(10^4) on ten nodes");
        assert_eq!(atomic_bound(&[0.3, 0.3, 0.2, 0.2], 3), 3.0 * 0.4, "0.2 joins 0.2");
        assert_eq!(atomic_bound(&[0.25; 4], 4), 1.0);
        assert_eq!(atomic_bound(&[0.25; 4], 8), 2.0, "four nodes stay idle");
        assert_eq!(split_bound(0.5, 10, 5), 1.0);
        assert_eq!((parts_needed(0.083, 100), parts_needed(0.001, 100)), (17, 1));
        assert!((useful_nodes(0.0932) - 10.7).abs() < 0.1, "Wikipedia's hottest page, PKG paper");
    }

    #[test]
    fn tables_peak_at_the_rounded_up_share() {
        assert_eq!(table_peak(16_384, 10), 16_390.0 / 16_384.0);
        assert_eq!(table_peak(100, 100), 1.0);
    }
}
