//! From what a run left behind to a space-time diagram of it: values in, a value out.
//!
//! `course` is the whole run as events on lanes and what went from one to another: `nodes` fills it
//! with what the nodes said, `clients` with what the clients did and were told, after `names` has
//! found out which message each of these is about. `select` takes the part that is to be shown.

mod clients;
mod course;
mod names;
mod nodes;
mod select;
#[cfg(test)]
mod tests;

use std::time::Duration;

use paceline_reports::{RunResult, trace::Trace};
use paceline_scenario::Scenario;

use crate::{check::About, observe::Outcome, workload::Population};
use course::Course;
use names::Names;

/// The part of a run that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// From then on.
    pub from: Option<Duration>,
    /// Until then.
    pub to: Option<Duration>,
    /// So much before the end, which is the first violation's moment if there is one.
    pub last: Option<Duration>,
}

/// The messages of a violation that are followed.
const FOLLOWED: usize = 3;

/// The diagram of a run whose recorder was asked to keep what it heard.
pub fn of(scenario: &Scenario, result: &RunResult, outcome: &Outcome, wanted: Wanted) -> Trace {
    let population = Population::of(scenario);
    let mut names = Names::of(outcome);
    let mut convicted: Vec<Vec<usize>> = Vec::new();
    for about in &outcome.about {
        let messages = about.iter().take(FOLLOWED).filter_map(|it| named(it, &mut names));
        convicted.push(messages.collect());
    }
    let mut course = Course::new(outcome, &convicted);
    nodes::fill(&mut course, outcome, &names);
    clients::fill(&mut course, outcome, &population, &mut names);
    course.marks(outcome);
    let findings = course.verdicts(result, outcome, &convicted);
    course.messages = names.messages;
    course.sort();
    select::select(&course, &findings, scenario, result, outcome, wanted)
}

fn named(about: &About, names: &mut Names) -> Option<usize> {
    match about {
        About::Sent(id) => Some(names.message(&id.to_string())),
        About::Named(name) => Some(names.of_broker(name)),
        About::Placed { shard, message } => names.placed(*shard, message),
    }
}
