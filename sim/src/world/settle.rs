//! After the faults: every change must be made, every replica be where the cluster wants it and nowhere
//! else, and all members know the cluster alike, within the scenario's bound.

use std::time::Duration;

use paceline::operator::Survey;
use paceline_membership::{NodeId, View};
use paceline_runtime::time;

use super::Run;
use crate::clients::{Phase, Shared};

/// How often it is looked whether all is settled.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The most groups that are told.
const TOLD: usize = 8;

impl Run<'_> {
    /// Waits until the cluster is as it was asked to be; producers finish meanwhile. How long that took,
    /// if it did not take too long. Without changes there is nothing to wait for.
    pub(super) async fn until_settled(&self, shared: &Shared) -> Option<Duration> {
        self.phase.send_replace(Phase::Drain);
        if self.scenario.changes.is_empty() {
            return Some(Duration::ZERO);
        }
        let began = time::Instant::now();
        let expect = &self.scenario.expect;
        let bound = expect.settled_within.unwrap_or(expect.drained_within).0;
        let mut next_sample = began + Duration::from_secs(1);
        loop {
            let (missing, groups) = match self.operator.pending() {
                Some(pending) => (pending, Vec::new()),
                None => match self.unsettled().await {
                    Some(missing) => missing,
                    None => return Some(time::Instant::now() - began),
                },
            };
            let now = time::Instant::now();
            if self.is_unsafe() {
                return None;
            }
            if now - began > bound {
                let detail = format!("{}s after the faults {missing}", bound.as_secs_f64());
                self.stuck_with("settle", detail, groups, shared).await;
                return None;
            }
            if now >= next_sample {
                self.sample();
                next_sample += Duration::from_secs(1);
            }
            time::sleep(LOOK_EVERY).await;
        }
    }

    /// What is not settled, and which groups, if any.
    async fn unsettled(&self) -> Option<(String, Vec<String>)> {
        let survey = match self.operator.look().await {
            Ok(survey) => survey,
            Err(why) => return Some((why, Vec::new())),
        };
        if !survey.unreachable.is_empty() {
            let silent = survey.unreachable.join(" ");
            return Some((format!("{silent} do not tell what they hold"), Vec::new()));
        }
        if !survey.is_settled() {
            let (groups, nodes) = (astray(&survey), lingering(&survey));
            let what = match groups.len() {
                0 => "nodes have copies that they should not have".to_owned(),
                count => format!("{count} groups are not where they belong"),
            };
            return Some((what, told(groups).into_iter().chain(nodes).collect()));
        }
        let agree = self.operator.views_agree(&survey.view).await;
        agree.err().map(|why| (why, Vec::new()))
    }
}

/// The groups that are not where the view wants them, a line each.
fn astray(survey: &Survey) -> Vec<String> {
    let view = &survey.view;
    let mut lines = Vec::new();
    for group in 0..view.groups() {
        let row = names(view, view.row(group));
        let label =
            if group == view.metadata() { "metadata".to_owned() } else { format!("slot {group}") };
        match survey.holdings.iter().rfind(|it| it.group == group) {
            None => lines.push(format!("{label}: to be on {row}; nobody says that it leads it")),
            Some(it) => {
                let (voters, learners) = (names(view, &it.voters), names(view, &it.learners));
                let at_home = it.learners.is_empty()
                    && it.voters.len() == view.row(group).len()
                    && view.row(group).iter().all(|node| it.voters.contains(node));
                if !at_home {
                    let and = if learners.is_empty() { "" } else { ", learning: " };
                    lines.push(format!("{label}: to be on {row}; voting: {voters}{and}{learners}"));
                }
            }
        }
    }
    lines
}

/// The nodes that hold what they should not, a line each.
fn lingering(survey: &Survey) -> Vec<String> {
    let line = |(node, count)| {
        let name = names(&survey.view, [node]);
        format!("{name} has copies of {count} groups that it should not have")
    };
    survey.lingering.iter().map(line).collect()
}

fn names<'a>(view: &View, nodes: impl IntoIterator<Item = &'a NodeId>) -> String {
    let name = |id| view.member(id).map_or_else(|| format!("node {id}"), |it| it.name.clone());
    nodes.into_iter().map(|id| name(*id)).collect::<Vec<_>>().join(" ")
}

/// The first few, and how many more there are.
fn told(mut lines: Vec<String>) -> Vec<String> {
    let rest = lines.split_off(lines.len().min(TOLD)).len();
    if rest > 0 {
        lines.push(format!("and {rest} more"));
    }
    lines
}
