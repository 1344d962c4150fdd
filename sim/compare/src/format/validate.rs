//! What a comparison is refused for, with the key that is wrong.

use std::collections::BTreeSet;

use paceline_placement::{SlotCount, StrategyKind};
use paceline_scenario::{Problem, Step};

use super::{
    Choice, Comparison, DEFAULT_DESTINATIONS, Focus, MAX_ALL_POINTS, MAX_DESTINATIONS,
    MAX_IN_FLIGHT, MAX_LOAD_FACTOR, MAX_NODES, MAX_POINTS, MAX_SALTED, Names, Popularity,
    choice::twice,
};
use crate::entry::Entry;

impl Comparison {
    pub(super) fn validate(&self) -> Result<(), Problem> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.name.is_empty() || !self.name.chars().all(plain) {
            return Err(problem(["name"], "a name has letters, digits, `-` and `_` only"));
        }
        let c = &self.compare;
        let refuse = |key: &str, reason: String| Err(Problem { path: at(key), reason });
        self.validate_nodes()?;
        let numbers = &c.nodes.numbers;
        let least = numbers.iter().copied().min().unwrap_or(1);
        let most = numbers.iter().copied().max().unwrap_or(1);
        if c.replicas == 0 || c.replicas > least.min(16) {
            return refuse(
                "replicas",
                format!("between 1 and the number of nodes, {least} here, at most 16"),
            );
        }
        if let Some(Err(error)) = self.slots().map(|slots| SlotCount::new(slots, most)) {
            let place = if c.slots.is_some() { "compare" } else { "cluster" };
            return Err(problem([place, "slots"], &error.to_string()));
        }
        if let Some(index) = c.weights.iter().position(|w| !(w.is_finite() && *w > 0.0)) {
            let path = [at("weights"), vec![Step::Index(index)]].concat();
            let reason = format!("a weight must be finite and above 0, not {}", c.weights[index]);
            return Err(Problem { path, reason });
        }
        if let Some(points) = c.points_per_node {
            if !(1..=MAX_POINTS).contains(&points) {
                return refuse("points_per_node", format!("between 1 and {MAX_POINTS}"));
            }
            if u64::from(points) * most as u64 > MAX_ALL_POINTS {
                let limit = MAX_ALL_POINTS / most as u64;
                return refuse("points_per_node", format!("at most {limit} for {most} nodes"));
            }
            if c.simulate {
                let reason = "the rings of simulated brokers have the usual points; leave it out";
                return refuse("points_per_node", reason.into());
            }
        }
        self.validate_bounded_load(most)?;
        if c.zones > least {
            return refuse(
                "zones",
                format!("{} zones need as many nodes; there are {least}", c.zones),
            );
        }
        if c.salts.is_empty() {
            return refuse("salts", "list at least one salt; \"\" is none".into());
        }
        if let Some(twice) = twice(&c.salts) {
            return refuse("salts", format!("\"{twice}\" is listed twice"));
        }
        if let Some(twice) = c.strategies.twice() {
            return refuse("strategies", format!("`{twice}` is listed twice"));
        }
        if let Some(twice) = c.hashes.twice() {
            return refuse("hashes", format!("`{twice}` is listed twice"));
        }
        if matches!(&c.strategies, Choice::These(list) if list.is_empty()) {
            return refuse("strategies", "list at least one strategy, or write \"all\"".into());
        }
        if matches!(&c.hashes, Choice::These(list) if list.is_empty()) {
            return refuse("hashes", "list at least one hash function, or write \"all\"".into());
        }
        if c.salted_p_values > MAX_SALTED {
            return refuse("salted_p_values", format!("at most {MAX_SALTED}"));
        }
        if !(c.cell_limit_s.is_finite() && c.cell_limit_s > 0.0) {
            return refuse("cell_limit_s", "a number of seconds above 0".into());
        }
        self.validate_populations()?;
        self.validate_simulation()?;
        for (index, change) in c.changes.iter().enumerate() {
            let path = || [at("change"), vec![Step::Index(index)]].concat();
            change.validate(c, least).map_err(|reason| Problem { path: path(), reason })?;
        }
        for (index, course) in c.courses.iter().enumerate() {
            let path = || [at("course"), vec![Step::Index(index)]].concat();
            course
                .validate(self.focus_nodes())
                .map_err(|reason| Problem { path: path(), reason })?;
        }
        Ok(())
    }

    fn validate_nodes(&self) -> Result<(), Problem> {
        let nodes = &self.compare.nodes;
        let refuse = |reason: String| Err(Problem { path: at("nodes"), reason });
        if nodes.numbers.is_empty() || nodes.numbers.iter().any(|n| !(1..=MAX_NODES).contains(n)) {
            return refuse(format!("list numbers of nodes from 1 to {MAX_NODES}, or their names"));
        }
        if let Some(twice) = twice(&nodes.numbers) {
            return refuse(format!("{twice} is listed twice"));
        }
        let named = |index: usize, reason: String| {
            let path = [at("nodes"), vec![Step::Key("names".into()), Step::Index(index)]].concat();
            Err(Problem { path, reason })
        };
        if let Some(index) = nodes.names.iter().position(String::is_empty) {
            return named(index, "a node's name cannot be empty".into());
        }
        let mut seen = BTreeSet::new();
        match nodes.names.iter().position(|name| !seen.insert(name)) {
            Some(index) => named(index, format!("`{}` is listed twice", nodes.names[index])),
            None => Ok(()),
        }
    }

    fn validate_bounded_load(&self, most: usize) -> Result<(), Problem> {
        let c = &self.compare;
        let refuse = |key: &str, reason: String| Err(Problem { path: at(key), reason });
        let bounded = Entry::Kind(StrategyKind::BoundedLoad);
        for (key, given) in
            [("load_factor", c.load_factor.is_some()), ("in_flight", c.in_flight.is_some())]
        {
            if given && !c.strategies.of(&Entry::all()).contains(&bounded) {
                return refuse(key, "it concerns `bounded-load`, which is not compared".into());
            }
        }
        match (c.load_factor, c.in_flight) {
            (Some(factor), _) if !(factor > 1.0 && factor <= MAX_LOAD_FACTOR) => {
                refuse("load_factor", format!("above 1 and at most {MAX_LOAD_FACTOR}"))
            }
            (Some(_), _) if c.simulate => {
                let reason = "simulated brokers have the usual one, 1.25; leave it out";
                refuse("load_factor", reason.into())
            }
            (_, Some(messages)) if !(most..=MAX_IN_FLIGHT).contains(&messages) => {
                let reason = format!("between 1 per node, {most} here, and {MAX_IN_FLIGHT}");
                refuse("in_flight", reason)
            }
            _ => Ok(()),
        }
    }

    fn validate_populations(&self) -> Result<(), Problem> {
        let c = &self.compare;
        let mut names = BTreeSet::new();
        if c.populations.is_empty() {
            let reason = "list at least one [[compare.population]]".into();
            return Err(Problem { path: at("population"), reason });
        }
        for (index, population) in c.populations.iter().enumerate() {
            let refuse = |key: &str, reason: String| {
                let steps = vec![Step::Index(index), Step::Key(key.into())];
                Err(Problem { path: [at("population"), steps].concat(), reason })
            };
            if population.name.is_empty() || !names.insert(&population.name) {
                return refuse("name", "populations have different names, none empty".into());
            }
            if population.destinations.is_some_and(|d| !(1..=MAX_DESTINATIONS).contains(&d)) {
                return refuse("destinations", format!("between 1 and {MAX_DESTINATIONS}"));
            }
            match population.popularity {
                Popularity::Zipf(s) if !(s.is_finite() && (0.0..=10.0).contains(&s)) => {
                    return refuse("popularity", "an exponent is between 0 and 10".into());
                }
                Popularity::Measured if !matches!(population.names, Names::File { .. }) => {
                    let reason = "measured loads stand behind the names of a file: write names = \
                                  { file = \"loads.tsv\" }";
                    return refuse("popularity", reason.into());
                }
                Popularity::Hot { hot, share }
                    if hot == 0
                        || hot >= population.destinations.unwrap_or(DEFAULT_DESTINATIONS)
                        || !(0.0..=1.0).contains(&share) =>
                {
                    return refuse(
                        "popularity",
                        "`hot` is at least 1 and below the number of destinations, `share` between 0 and 1".into(),
                    );
                }
                _ => {}
            }
        }
        let refuse = |key: &str, reason: String| {
            let path = [at("focus"), vec![Step::Key(key.into())]].concat();
            Err(Problem { path, reason })
        };
        match &c.focus {
            Focus { population: Some(name), .. } if !names.contains(name) => {
                refuse("population", format!("there is no population `{name}`"))
            }
            Focus { nodes: Some(nodes), .. } if !c.nodes.numbers.contains(nodes) => {
                refuse("nodes", format!("{nodes} is not among the numbers of nodes compared"))
            }
            _ => Ok(()),
        }
    }

    fn validate_simulation(&self) -> Result<(), Problem> {
        let simulate = ["compare", "simulate"];
        if !self.compare.simulate {
            let given = [
                ("duration", self.duration.is_some()),
                ("cluster", self.cluster.is_some()),
                ("network", self.network.is_some()),
                ("disk", self.disk.is_some()),
                ("workload", !self.workloads.is_empty()),
                ("fault", !self.faults.is_empty()),
            ];
            return match given.iter().find(|(_, given)| *given) {
                Some((key, _)) => Err(problem([key], "only with `simulate = true` in [compare]")),
                None => Ok(()),
            };
        }
        let Some(scenario) = self.scenario(StrategyKind::Slots) else {
            let needs = "a simulation needs `duration`, [cluster] and [[workload]]";
            return Err(problem(simulate, needs));
        };
        scenario.validate()?;
        if !self.compare.nodes.names.is_empty() {
            let reason = "simulated nodes are called n1, n2 and so on; list their number";
            return Err(problem(["compare", "nodes", "names"], reason));
        }
        let nodes = scenario.cluster.nodes as usize;
        if !self.compare.nodes.numbers.contains(&nodes) {
            let reason = format!("the simulated cluster has {nodes} nodes; compare them too");
            return Err(problem(["compare", "nodes"], &reason));
        }
        Ok(())
    }
}

/// A key of the `[compare]` block.
fn at(key: &str) -> Vec<Step> {
    vec![Step::Key("compare".into()), Step::Key(key.into())]
}

fn problem<const N: usize>(path: [&str; N], reason: &str) -> Problem {
    Problem {
        path: path.into_iter().map(|key| Step::Key(key.into())).collect(),
        reason: reason.into(),
    }
}
