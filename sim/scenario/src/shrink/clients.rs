//! How many clients do how much, where.

use super::{Cut, cuts};
use crate::{Scenario, format::Workload};

/// A number of a workload that may be less.
struct Number {
    name: &'static str,
    of: fn(&Workload) -> u64,
    set: fn(&mut Workload, u64),
}

const NUMBERS: [Number; 4] = [
    Number {
        name: "messages a second",
        of: |it| it.rate.per_second.ceil() as u64,
        set: |it, to| it.rate.per_second = to as f64,
    },
    Number {
        name: "destinations",
        of: |it| it.destinations.count.into(),
        set: |it, to| it.destinations.count = to as u32,
    },
    Number {
        name: "producers",
        of: |it| it.producers.into(),
        set: |it, to| it.producers = to as u32,
    },
    Number {
        name: "consumers",
        of: |it| it.consumers.into(),
        set: |it, to| it.consumers = to as u32,
    },
];

/// Fewer clients that send less to fewer destinations: of all workloads, of each, and each number by
/// itself.
pub(super) fn clients(scenario: &Scenario) -> Vec<Cut<Scenario>> {
    let all = 0..scenario.workloads.len();
    let mut cuts = Vec::new();
    // One client of each kind that sends now and then shows most of what can be wrong.
    for share in [u64::MAX, 4, 2] {
        cuts.push(together(scenario, all.clone(), share));
    }
    for workload in all.clone() {
        cuts.push(together(scenario, workload..workload + 1, u64::MAX));
    }
    for workload in all {
        for number in &NUMBERS {
            let now = (number.of)(&scenario.workloads[workload]);
            for less in cuts::numbers(now, 1) {
                let mut left = scenario.clone();
                (number.set)(&mut left.workloads[workload], less);
                let what = format!("{less} of {now} {} in workload {}", number.name, workload + 1);
                cuts.push(Cut { what, left });
            }
        }
    }
    cuts
}

/// Every number of these workloads divided by `share`, and at least one.
fn together(scenario: &Scenario, these: std::ops::Range<usize>, share: u64) -> Cut<Scenario> {
    let what = match share {
        u64::MAX => match these.len() {
            1 => format!("one of everything in workload {}", these.end),
            _ => "one of everything in each workload".into(),
        },
        _ => format!("one in {share} of all clients, destinations and messages"),
    };
    let mut left = scenario.clone();
    for it in &mut left.workloads[these] {
        for number in &NUMBERS {
            let now = (number.of)(it);
            let less = (now / share).max(1);
            if less < now {
                (number.set)(it, less);
            }
        }
    }
    Cut { what, left }
}
