//! The changes of an expansion: when each is due, whom it is about, and who is a member when.

use std::time::Duration;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{draw_time, stream};
use crate::{
    Scenario,
    change::{Change, Chosen, Join, Kind, Newcomers, Replace, Restart, Weight},
    units::TimeSpan,
};

/// Who is a member from when until when, if every change is made as soon as it is due.
pub(super) struct Members {
    /// The founders, then those that join.
    names: Vec<String>,
    since: Vec<Option<Duration>>,
    until: Vec<Option<Duration>>,
}

impl Members {
    fn of(scenario: &Scenario) -> Self {
        let names = scenario.node_names();
        let founders = scenario.cluster.nodes as usize;
        let since = (0..names.len()).map(|node| (node < founders).then_some(Duration::ZERO));
        Self { since: since.collect(), until: vec![None; names.len()], names }
    }

    /// Whether the node is one then.
    pub fn has(&self, node: usize, at: Duration) -> bool {
        self.since[node].is_some_and(|since| since <= at)
            && self.until[node].is_none_or(|until| until > at)
    }

    fn index(&self, name: &String) -> usize {
        self.names.iter().position(|known| known == name).expect("validated: the node exists")
    }
}

/// Decides the changes of a scenario, in the order in which they are due.
pub(super) fn decide(scenario: &Scenario, seed: u64) -> (Vec<Change>, Members) {
    let mut due: Vec<(Duration, usize, &Change)> = Vec::new();
    for (number, change) in scenario.changes.iter().enumerate() {
        let [from, to] = change.span();
        let mut random = stream(seed, &format!("change {number} when"));
        let at = if from == to { from.0 } else { draw_time(from.0, to.0, &mut random) };
        due.push((at, number, change));
    }
    due.sort_by_key(|(at, number, _)| (*at, *number));

    let mut members = Members::of(scenario);
    let named = scenario.changes.iter().flat_map(|it| it.kind().newcomers_by_name().to_vec());
    let named: Vec<String> = named.collect();
    let mut free: Vec<String> = members.names[scenario.cluster.nodes as usize..].to_vec();
    free.retain(|name| !named.contains(name));
    let mut free = free.into_iter();
    // Whom one change names no other one draws, nor whom another has drawn to hold nothing.
    let chosen = scenario.changes.iter().filter_map(|it| it.kind().chosen().cloned());
    let mut taken: Vec<String> = chosen.flat_map(|it| it.names().to_vec()).collect();

    let mut decided = Vec::new();
    for (at, number, change) in due {
        let mut random = stream(seed, &format!("change {number} what"));
        let mut next = |named: &[String], count: u32| -> Vec<String> {
            match named {
                [] => free.by_ref().take(count as usize).collect(),
                named => named.to_vec(),
            }
        };
        let kind = change.kind();
        let mut decision = Change { at: Some(TimeSpan(at)), between: None, ..change.clone() };
        let chosen = kind.chosen().map(|it| members.draw(it, at, &taken, &mut random));
        let newcomers = next(kind.newcomers_by_name(), kind.newcomers());
        for name in &newcomers {
            let node = members.index(name);
            members.since[node] = Some(at);
        }
        if let Some(names) = &chosen {
            if kind.empties() {
                taken.extend(names.iter().cloned());
            }
            for node in names.iter().map(|name| members.index(name)).collect::<Vec<_>>() {
                if kind.takes_away() {
                    members.until[node] = Some(at);
                }
            }
        }
        let names = |names: Option<Vec<String>>| Chosen::Names(names.unwrap_or_default());
        match kind {
            // They say all that there is to say.
            Kind::Rebalance | Kind::Replicas(_) | Kind::SetPolicy(_) | Kind::RemovePolicy(_) => {}
            Kind::Join(join) => {
                let nodes = Newcomers::Names(newcomers);
                decision.join = Some(Join { nodes, ..join.clone() });
            }
            Kind::Drain(_) => decision.drain = Some(names(chosen)),
            Kind::Remove(_) => decision.remove = Some(names(chosen)),
            Kind::Replace(replace) => {
                let by = Some(newcomers);
                decision.replace = Some(Replace { nodes: names(chosen), by, ..replace.clone() });
            }
            Kind::Weight(weight) => {
                decision.weight = Some(Weight { nodes: names(chosen), weight: weight.weight });
            }
            Kind::Restart(restart) => {
                let nodes = Some(Chosen::Names(chosen.unwrap_or_else(|| members.all(at))));
                decision.restart = Some(Restart { nodes, ..restart.clone() });
            }
        }
        decided.push(decision);
    }
    (decided, members)
}

impl Members {
    /// The names of all that are members then.
    fn all(&self, at: Duration) -> Vec<String> {
        let all = (0..self.names.len()).filter(|&node| self.has(node, at));
        all.map(|node| self.names[node].clone()).collect()
    }

    /// The names of the chosen nodes, in order.
    fn draw(
        &self,
        chosen: &Chosen,
        at: Duration,
        taken: &[String],
        random: &mut ChaCha8Rng,
    ) -> Vec<String> {
        let any = match chosen {
            Chosen::Names(names) => return names.clone(),
            Chosen::Any(any) => *any as usize,
        };
        let mut nodes: Vec<usize> = (0..self.names.len())
            .filter(|&node| self.has(node, at) && !taken.contains(&self.names[node]))
            .collect();
        nodes.shuffle(random);
        nodes.truncate(any);
        nodes.sort_unstable();
        nodes.into_iter().map(|node| self.names[node].clone()).collect()
    }
}
