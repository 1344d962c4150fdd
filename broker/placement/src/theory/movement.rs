//! The least that must move when shares change.

/// The least part of the load that must move to get from these loads to shares in proportion to
/// the weights after a change: the total variation between the two. Loads and weights of nodes that
/// are not there are 0.
pub fn least_moved(shares_before: &[f64], shares_after: &[f64]) -> f64 {
    let longest = shares_before.len().max(shares_after.len());
    let (total_before, total_after) =
        (shares_before.iter().sum::<f64>(), shares_after.iter().sum::<f64>());
    let share =
        |shares: &[f64], total: f64, at: usize| shares.get(at).copied().unwrap_or(0.0) / total;
    (0..longest)
        .map(|at| share(shares_after, total_after, at) - share(shares_before, total_before, at))
        .map(|more| more.max(0.0))
        .sum()
}

/// The least load that must leave nodes so that none is above `cap` times its fair share:
/// `Σ max(0, L_i - cap_i)`, in the units of the loads.
pub fn least_load_to_move(loads: &[f64], weights: &[f64], cap: f64) -> f64 {
    let fair = loads.iter().sum::<f64>() / weights.iter().sum::<f64>();
    loads.iter().zip(weights).map(|(load, weight)| (load - cap * fair * weight).max(0.0)).sum()
}

/// The most even loads over nodes with these weights when `indivisible[i]` cannot leave node `i`:
/// a node whose indivisible load is above its share has that alone, the others share the rest by
/// weight. Nodes of weight 0 have nothing.
///
/// # Panics
/// When there is not one indivisible load per weight, or no weight above 0.
pub fn even_loads(total: f64, weights: &[f64], indivisible: &[f64]) -> Vec<f64> {
    assert_eq!(weights.len(), indivisible.len(), "one per node");
    let (mut rest, mut capacity) = (total, weights.iter().sum::<f64>());
    assert!(capacity > 0.0, "some node can carry load");
    let relative = |at: usize| indivisible[at] / weights[at];
    let mut order: Vec<usize> = (0..weights.len()).filter(|at| weights[*at] > 0.0).collect();
    order.sort_by(|a, b| relative(*b).total_cmp(&relative(*a)).then(a.cmp(b)));
    let mut full = vec![false; weights.len()];
    for at in order {
        let others = capacity - weights[at];
        if others <= 0.0 || relative(at) <= rest / capacity {
            break;
        }
        rest -= indivisible[at];
        capacity = others;
        full[at] = true;
    }
    let load = |at: usize| if full[at] { indivisible[at] } else { rest / capacity * weights[at] };
    (0..weights.len()).map(load).collect()
}

/// The least load that nodes must give up when each of these indivisible loads goes to one of
/// them: `Σ min_i max(0, L_i + h - max(C_i, h))`, in the units of the loads. A node may have `C_i`,
/// or an indivisible load above it alone. Nodes that take no part have a cap of 0.
///
/// It is a lower bound: that several may need the room of the same node, and that what is given up
/// is indivisible too, is left out.
///
/// # Panics
/// When there is not one cap per load.
pub fn least_displaced(indivisible: &[f64], loads: &[f64], caps: &[f64]) -> f64 {
    assert_eq!(loads.len(), caps.len(), "one per node");
    let mut order: Vec<usize> = (0..caps.len()).filter(|at| caps[*at] > 0.0).collect();
    order.sort_by(|a, b| caps[*b].total_cmp(&caps[*a]));
    // The most room among the nodes with the largest caps, and the least load among the others.
    let most_room: Vec<f64> = order
        .iter()
        .scan(f64::NEG_INFINITY, |most, at| {
            *most = most.max(caps[*at] - loads[*at]);
            Some(*most)
        })
        .collect();
    let mut least_load = vec![f64::INFINITY; order.len() + 1];
    for (rank, at) in order.iter().enumerate().rev() {
        least_load[rank] = least_load[rank + 1].min(loads[*at]);
    }
    let displaced = |load: &f64| {
        let large = order.partition_point(|at| caps[*at] >= *load);
        let beside = large.checked_sub(1).map_or(f64::INFINITY, |last| load - most_room[last]);
        beside.min(least_load[large]).max(0.0)
    };
    indivisible.iter().map(displaced).filter(|load| load.is_finite()).sum()
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
        // A time that grew with the square of the number of nodes would be noticed here.
        near(least_moved(&vec![1.0; 100_000], &vec![1.0; 100_001]), 1.0 / 100_001.0);
        assert_eq!(least_load_to_move(&[3.0, 1.0], &[1.0, 1.0], 1.0), 1.0);
        assert_eq!(least_load_to_move(&[3.0, 1.0], &[3.0, 1.0], 1.0), 0.0);
    }

    #[test]
    fn what_cannot_be_divided_stays_and_the_rest_is_even() {
        assert_eq!(even_loads(12.0, &[1.0, 1.0, 2.0], &[0.0; 3]), [3.0, 3.0, 6.0]);
        assert_eq!(even_loads(12.0, &[1.0, 1.0, 1.0], &[8.0, 1.0, 0.0]), [8.0, 2.0, 2.0]);
        assert_eq!(even_loads(12.0, &[1.0, 0.0, 1.0], &[1.0, 0.0, 7.0]), [5.0, 0.0, 7.0]);
        assert_eq!(even_loads(12.0, &[1.0], &[20.0]), [12.0], "the only node has everything");
    }

    #[test]
    fn what_finds_no_room_displaces_the_rest_of_it() {
        let near = |value: f64, known: f64| assert!((value - known).abs() < 1e-12, "{value}");
        near(least_displaced(&[1.0, 2.0], &[8.0, 9.0], &[10.0; 2]), 0.0);
        near(least_displaced(&[5.0, 3.0], &[8.0, 9.0], &[10.0; 2]), 3.0 + 1.0);
        // What is above every cap fills a node alone, or stands beside one that is hotter still.
        near(least_displaced(&[50.0], &[8.0, 9.0], &[10.0; 2]), 8.0);
        near(least_displaced(&[50.0], &[8.0, 53.0], &[10.0, 100.0]), 3.0);
        near(least_displaced(&[5.0], &[0.0, 9.0], &[0.0, 10.0]), 4.0);
    }
}
