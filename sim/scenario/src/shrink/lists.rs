//! What stands in lists: workloads, faults and changes.

use std::ops::Range;

use super::{Cut, cuts, names};
use crate::Scenario;

/// Without some of the workloads.
pub(super) fn workloads(scenario: &Scenario) -> Vec<Cut<Scenario>> {
    // What destinations are called must not depend on how many workloads there are: their slots would.
    let mut all = scenario.workloads.clone();
    for (number, it) in all.iter_mut().enumerate() {
        it.destinations.prefix = Some(it.prefix(number));
    }
    let left = |part: &Range<usize>| {
        let mut workloads = cuts::without(&all, part);
        for (number, it) in workloads.iter_mut().enumerate() {
            if it.destinations.prefix == Some(format!("load{}", number + 1)) {
                it.destinations.prefix = None;
            }
        }
        Scenario { workloads, ..scenario.clone() }
    };
    cut("workload", all.len(), left)
}

/// Without some of the faults.
pub(super) fn faults(scenario: &Scenario) -> Vec<Cut<Scenario>> {
    let left = |part: &Range<usize>| {
        let faults = cuts::without(&scenario.faults, part);
        Scenario { faults, ..scenario.clone() }
    };
    cut("fault", scenario.faults.len(), left)
}

/// Without some of the changes, and without what others were to do to nodes that have not joined then.
pub(super) fn changes(scenario: &Scenario) -> Vec<Cut<Scenario>> {
    let left = |part: &Range<usize>| {
        let mut left = names::without_changes(scenario, |number| part.contains(&number));
        if left.changes.is_empty() {
            // They go with changes.
            left.expect.settled_within = None;
            left.expect.moves = None;
        }
        left
    };
    cut("change", scenario.changes.len(), left)
}

fn cut(noun: &str, length: usize, left: impl Fn(&Range<usize>) -> Scenario) -> Vec<Cut<Scenario>> {
    let what = |part: &Range<usize>| match part.len() {
        1 => format!("{noun} {} left out", part.end),
        _ => format!("{noun}s {} to {} left out", part.start + 1, part.end),
    };
    let parts = cuts::parts(length);
    parts.iter().map(|part| Cut { what: what(part), left: left(part) }).collect()
}
