//! When things happen, and for how long.

use std::time::Duration;

use super::{Cut, cuts, names, size::begin};
use crate::{
    Scenario,
    change::Change,
    fault::{Extent, Fault, Kind},
    units::TimeSpan,
};

/// What an earlier end is a multiple of, and no run is shorter than, in milliseconds.
const STEP_MS: u64 = 100;
/// So many lengths are tried of one fault at a time; what the last of them leaves is not worth runs.
const LENGTHS: usize = 3;

/// A run that ends earlier, and one in which less time passes before something happens.
pub(super) fn shorter(scenario: &Scenario) -> Vec<Cut<Scenario>> {
    let duration = millis(scenario.duration.0);
    let mut cuts = Vec::new();
    for steps in cuts::numbers(duration.div_ceil(STEP_MS), 1) {
        let end = Duration::from_millis(steps * STEP_MS);
        cuts.push(Cut {
            what: format!("the end at {}", TimeSpan(end)),
            left: until(scenario, end),
        });
    }
    cuts.push(Cut { what: "all in half the time".into(), left: squeezed(scenario) });
    for (from, wait) in waits(scenario) {
        for wait in [wait, wait / 2] {
            let what = format!("{} less to wait at {}", TimeSpan(wait), TimeSpan(from));
            cuts.push(Cut { what, left: earlier(scenario, from, wait) });
        }
    }
    cuts.retain(|cut| millis(cut.left.duration.0) >= STEP_MS);
    cuts
}

/// Faults that are over earlier.
pub(super) fn lengths(scenario: &Scenario) -> Vec<Cut<Scenario>> {
    let mut all = scenario.clone();
    for fault in &mut all.faults {
        if let Some(length) = length(fault) {
            lasting(fault, Duration::from_millis(millis(length).div_ceil(2)));
        }
    }
    let mut cuts = vec![Cut { what: "faults half as long".into(), left: all }];
    for (number, fault) in scenario.faults.iter().enumerate() {
        let Some(length) = length(fault) else { continue };
        for shorter in cuts::numbers(millis(length), 1).take(LENGTHS) {
            let shorter = Duration::from_millis(shorter);
            let mut left = scenario.clone();
            lasting(&mut left.faults[number], shorter);
            let what = format!("fault {} for {}", number + 1, TimeSpan(shorter));
            cuts.push(Cut { what, left });
        }
    }
    cuts
}

/// When something begins and how long nothing has begun then, the longest first.
fn waits(scenario: &Scenario) -> Vec<(Duration, Duration)> {
    let faults = scenario.faults.iter().map(begin);
    let changes = scenario.changes.iter().map(|change| change.span()[0].0);
    let mut begins: Vec<Duration> = faults.chain(changes).collect();
    begins.sort();
    begins.dedup();
    let before = std::iter::once(Duration::ZERO).chain(begins.iter().copied());
    let mut waits: Vec<_> = before.zip(&begins).map(|(before, at)| (*at, *at - before)).collect();
    waits.sort_by_key(|(at, wait)| (std::cmp::Reverse(*wait), *at));
    waits
}

/// Without what comes after the end; what would go on ends with it.
fn until(scenario: &Scenario, end: Duration) -> Scenario {
    let is_late = |number: usize| scenario.changes[number].span()[0].0 > end;
    let mut left = names::without_changes(scenario, is_late);
    left.duration = TimeSpan(end);
    for change in &mut left.changes {
        if let Some([from, to]) = &mut change.between {
            *to = (*to).min(TimeSpan(end));
            if from == to {
                (change.at, change.between) = (Some(*from), None);
            }
        }
    }
    left.faults.retain_mut(|fault| {
        if begin(fault) >= end {
            return false;
        }
        if let Some([_, to]) = &mut fault.between {
            *to = (*to).min(TimeSpan(end));
        }
        let latest = fault.at.or(fault.between.map(|it| it[1])).unwrap_or_default().0;
        let after = fault.after.map_or(Duration::ZERO, |after| after.most().0);
        let room = end.saturating_sub(latest + after);
        match length(fault) {
            Some(length) if length > room => {
                lasting(fault, room);
                millis(room) > 0
            }
            _ => latest + after <= end,
        }
    });
    left
}

/// Everything in half the time, except what faults last.
fn squeezed(scenario: &Scenario) -> Scenario {
    let half = |it: &mut TimeSpan| it.0 = Duration::from_millis(millis(it.0).div_ceil(2));
    let mut left = scenario.clone();
    half(&mut left.duration);
    instants(&mut left.faults, &mut left.changes, half);
    until(&left, left.duration.0)
}

/// What comes from then on comes earlier by so much.
fn earlier(scenario: &Scenario, from: Duration, by: Duration) -> Scenario {
    let by = Duration::from_millis(millis(by));
    let mut left = scenario.clone();
    left.duration.0 -= by;
    instants(&mut left.faults, &mut left.changes, |it| {
        if it.0 >= from {
            it.0 -= by;
        }
    });
    left
}

fn instants(faults: &mut [Fault], changes: &mut [Change], mut edit: impl FnMut(&mut TimeSpan)) {
    let of_faults =
        faults.iter_mut().flat_map(|it| it.at.iter_mut().chain(it.between.iter_mut().flatten()));
    of_faults.for_each(&mut edit);
    let of_changes =
        changes.iter_mut().flat_map(|it| it.at.iter_mut().chain(it.between.iter_mut().flatten()));
    of_changes.for_each(&mut edit);
}

/// How long a fault lasts at the longest, if it says so.
fn length(fault: &Fault) -> Option<Duration> {
    let back_after = fault.kinds().first().and_then(Kind::back_after).flatten();
    fault.lasts.or(back_after).map(|it| it.most().0)
}

fn lasting(fault: &mut Fault, length: Duration) {
    let length = Some(Extent::Fixed(TimeSpan(length)));
    match fault.lasts {
        Some(_) => fault.lasts = length,
        None => *fault = std::mem::take(fault).with_back_after(length),
    }
}

fn millis(span: Duration) -> u64 {
    span.as_millis() as u64
}
