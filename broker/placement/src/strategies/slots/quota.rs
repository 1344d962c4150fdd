//! How many slots each node should have.

/// Splits `total` into whole parts in proportion to the weights, by largest remainder. No part is
/// above `limit`. Among equal remainders those come first that hold more than their whole share
/// already, so that nothing moves for the sake of a tie.
pub(super) fn apportion(total: usize, weights: &[f64], limit: f64, held: &[u32]) -> Vec<u32> {
    settle(total, &water_fill(total as f64, weights, limit), held)
}

/// The same with a limit per zone too: a zone's nodes together get at most `limit`.
pub(super) fn apportion_zoned(
    total: usize,
    weights: &[f64],
    zone: &[usize],
    limit: f64,
    held: &[u32],
) -> Vec<u32> {
    let zones = zone.iter().max().map_or(0, |zone| zone + 1);
    let mut of_zone = vec![0.0; zones];
    for (weight, zone) in weights.iter().zip(zone) {
        of_zone[*zone] += weight;
    }
    let shares = water_fill(total as f64, &of_zone, limit);
    let mut ideal = vec![0.0; weights.len()];
    for (number, share) in shares.iter().enumerate() {
        let inside: Vec<f64> =
            weights.iter().zip(zone).map(|(w, z)| if *z == number { *w } else { 0.0 }).collect();
        for (ideal, part) in ideal.iter_mut().zip(water_fill(*share, &inside, limit)) {
            *ideal += part;
        }
    }
    settle(total, &ideal, held)
}

/// Shares in proportion to the weights, none above `limit`: what is cut off goes to the others.
fn water_fill(total: f64, weights: &[f64], limit: f64) -> Vec<f64> {
    let mut shares = vec![0.0; weights.len()];
    let mut full = vec![false; weights.len()];
    loop {
        let taken = limit * full.iter().filter(|full| **full).count() as f64;
        let open: f64 = weights.iter().zip(&full).filter(|(_, full)| !**full).map(|(w, _)| w).sum();
        let mut grew = false;
        for ((share, weight), full) in shares.iter_mut().zip(weights).zip(&mut full) {
            if *full || *weight == 0.0 {
                continue;
            }
            *share = (total - taken) * weight / open;
            if *share > limit {
                *share = limit;
                *full = true;
                grew = true;
            }
        }
        if !grew {
            return shares;
        }
    }
}

fn settle(total: usize, ideal: &[f64], held: &[u32]) -> Vec<u32> {
    // A sum of rounding errors must not look like a remainder.
    let rounded = |ideal: f64| (ideal * 1e6).round() / 1e6;
    let mut quota: Vec<u32> = ideal.iter().map(|ideal| rounded(*ideal).floor() as u32).collect();
    let left = total.saturating_sub(quota.iter().map(|q| *q as usize).sum());
    let mut order: Vec<usize> = (0..ideal.len()).filter(|at| ideal[*at] > 0.0).collect();
    let remainder = |at: usize| ((rounded(ideal[at]) - f64::from(quota[at])) * 1e6).round() as i64;
    order.sort_by_key(|at| (-remainder(*at), held[*at] <= quota[*at], *at));
    for at in order.iter().cycle().take(left) {
        quota[*at] += 1;
    }
    quota
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_weights_and_add_up() {
        assert_eq!(apportion(10, &[1.0, 1.0, 2.0], 10.0, &[0; 3]), [3, 2, 5]);
        assert_eq!(apportion(10, &[1.0, 1.0, 0.0], 10.0, &[0; 3]), [5, 5, 0]);
        assert_eq!(apportion(16384, &[1.0; 100], 16384.0, &[0; 100]).iter().sum::<u32>(), 16384);
    }

    #[test]
    fn ties_go_to_those_that_hold_more() {
        assert_eq!(apportion(4, &[1.0; 3], 4.0, &[1, 1, 2]), [1, 1, 2]);
    }

    #[test]
    fn what_is_above_the_limit_goes_to_the_others() {
        assert_eq!(apportion(30, &[8.0, 1.0, 1.0], 10.0, &[0; 3]), [10, 10, 10]);
        assert_eq!(apportion(20, &[8.0, 1.0, 1.0], 10.0, &[0; 3]), [10, 5, 5]);
        let zoned = apportion_zoned(20, &[1.0; 5], &[0, 0, 0, 0, 1], 10.0, &[0; 5]);
        assert_eq!((zoned[..4].iter().sum::<u32>(), zoned[4]), (10, 10));
    }
}
