//! The least that must move when shares change.

/// The least part of the load that must move to get from these loads to shares in proportion to
/// the weights after a change: the total variation between the two. Loads and weights of nodes that
/// are not there are 0.
pub fn least_moved(shares_before: &[f64], shares_after: &[f64]) -> f64 {
    let longest = shares_before.len().max(shares_after.len());
    let share = |shares: &[f64], at: usize| {
        shares.get(at).copied().unwrap_or(0.0) / shares.iter().sum::<f64>()
    };
    (0..longest).map(|at| (share(shares_after, at) - share(shares_before, at)).max(0.0)).sum()
}

/// The least load that must leave nodes so that none is above `cap` times its fair share:
/// `Σ max(0, L_i - cap_i)`, in the units of the loads.
pub fn least_load_to_move(loads: &[f64], weights: &[f64], cap: f64) -> f64 {
    let fair = loads.iter().sum::<f64>() / weights.iter().sum::<f64>();
    loads.iter().zip(weights).map(|(load, weight)| (load - cap * fair * weight).max(0.0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_changes() {
        let near = |value: f64, known: f64| assert!((value - known).abs() < 1e-12, "{value}");
        near(least_moved(&[1.0; 4], &[1.0; 5]), 0.2);
        near(least_moved(&[1.0; 4], &[1.0, 1.0, 1.0, 0.0]), 0.25);
        near(least_moved(&[1.0; 2], &[1.0, 3.0]), 0.25);
        assert_eq!(least_load_to_move(&[3.0, 1.0], &[1.0, 1.0], 1.0), 1.0);
        assert_eq!(least_load_to_move(&[3.0, 1.0], &[3.0, 1.0], 1.0), 0.0);
    }
}
