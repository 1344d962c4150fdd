//! Whom a fault strikes, decided when it begins: who leads then, and who is already stopped.

use paceline_scenario::fault::Target;
use rand::{Rng, seq::SliceRandom};

use crate::check::step::NodeId;

/// The nodes that are meant by `leader_of` or `leaders`, in order, of those that are `free`.
/// `leaders` says who serves each slot. Which of several that lead as many is drawn.
///
/// # Errors
///
/// Why there is none, in words that follow "left out:".
pub fn leading(
    target: &Target<'_>,
    leaders: &[Option<NodeId>],
    free: impl Fn(usize) -> bool,
    random: &mut impl Rng,
) -> Result<Vec<usize>, String> {
    if let Some(slot) = target.leader_of {
        return match leaders[slot as usize].map(|node| node as usize) {
            Some(node) if free(node) => Ok(vec![node]),
            Some(node) => Err(format!("n{}, which leads slot {slot}, was stopped", node + 1)),
            None => Err(format!("no node led slot {slot}")),
        };
    }
    let mut led: Vec<(usize, usize)> = Vec::new();
    for node in leaders.iter().flatten().map(|&node| node as usize).filter(|&node| free(node)) {
        match led.iter_mut().find(|(known, _)| *known == node) {
            Some((_, count)) => *count += 1,
            None => led.push((node, 1)),
        }
    }
    if led.is_empty() {
        return Err("no node led any slot".to_owned());
    }
    led.shuffle(random);
    led.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    led.truncate(target.leaders.unwrap_or(1) as usize);
    let mut nodes: Vec<usize> = led.into_iter().map(|(node, _)| node).collect();
    nodes.sort_unstable();
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use paceline_scenario::{
        expand::stream,
        fault::{Crash, Pause},
    };

    /// n3 leads three slots, n1 and n2 one each; nobody leads the last.
    const LED: [Option<NodeId>; 6] = [Some(2), Some(0), Some(2), Some(1), Some(2), None];

    fn most(count: u32, seed: u64, free: impl Fn(usize) -> bool) -> Result<Vec<usize>, String> {
        let fault = Pause { leaders: Some(count), ..Pause::default() };
        leading(&fault.target(), &LED, free, &mut stream(seed, "test"))
    }

    #[test]
    fn those_that_lead_most_are_chosen_and_ties_are_drawn() {
        let mut seconds = std::collections::BTreeSet::new();
        for seed in 0..20 {
            assert_eq!(most(1, seed, |_| true).unwrap(), [2]);
            let two = most(2, seed, |_| true).unwrap();
            assert_eq!(most(2, seed, |_| true).unwrap(), two, "a seed chooses alike");
            assert!(two.contains(&2));
            seconds.insert(two[0]);
        }
        assert_eq!(seconds, [0, 1].into());
        assert_eq!(most(6, 0, |_| true).unwrap(), [0, 1, 2], "there are no more that lead");
        assert_eq!(most(1, 0, |node| node == 0).unwrap(), [0], "the others are stopped");
        assert!(most(1, 0, |_| false).is_err());
    }

    #[test]
    fn the_leader_of_a_slot_is_the_one_that_serves_it() {
        let of = |slot, free: fn(usize) -> bool| {
            let fault = Crash { leader_of: Some(slot), ..Crash::default() };
            leading(&fault.target(), &LED, free, &mut stream(0, "test"))
        };
        assert_eq!(of(3, |_| true).unwrap(), [1]);
        assert_eq!(of(5, |_| true).unwrap_err(), "no node led slot 5");
        assert_eq!(of(3, |_| false).unwrap_err(), "n2, which leads slot 3, was stopped");
    }
}
