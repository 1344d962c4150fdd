//! The result of a comparison of placements: strategies × hash functions × salts × node counts ×
//! populations × changes, every measured figure beside what theory expects.
//!
//! The tables are flat lists of cells, each with the names of what it belongs to, so that a
//! comparison can leave out combinations that make no sense (a strategy without weights under a
//! change of weights) and say so in [`CompareResult::refusals`]. Names must be spelled the same
//! everywhere: `strategy`, `hash` and `population` are keys. Shares and moved parts are fractions
//! of 1; loads are relative to the node's fair share.

mod change;
mod spill;

use std::collections::BTreeSet;

pub use change::{ChangedNode, FailoverCell, MovementCell, RestartCell};
use serde::{Deserialize, Serialize};
pub use spill::SpillCell;

use crate::result::{
    Identity, Percentiles, ReportError, check_version, fraction, invalid, optional, quantity,
};

/// The version of the [`CompareResult`] schema that this crate writes.
pub const COMPARE_VERSION: u32 = 1;

/// The most cells in one of the lists.
pub const MAX_CELLS: usize = 1_000_000;

/// Everything that one comparison found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompareResult {
    /// The schema version of this value; see [`COMPARE_VERSION`].
    pub schema_version: u32,
    /// What was compared, and how to do it again. `world` is `static` unless it was simulated.
    pub identity: Identity,
    /// Duration by the clock on the wall, in seconds.
    pub wall_s: f64,
    /// The workload that the recommendation is for.
    pub focus: Focus,
    /// Every strategy that was compared.
    pub strategies: Vec<StrategyInfo>,
    /// Every hash function that was compared, with what was found about it alone.
    pub hashes: Vec<HashInfo>,
    /// Every population of destinations that was placed.
    pub populations: Vec<Population>,
    /// How evenly each combination spreads the load.
    #[serde(default)]
    pub balance: Vec<BalanceCell>,
    /// What each combination moves when the cluster changes.
    #[serde(default)]
    pub movement: Vec<MovementCell>,
    /// The load of the others after the worst failure of one node, before anything is moved.
    #[serde(default)]
    pub failovers: Vec<FailoverCell>,
    /// What a restarted process places elsewhere when it remembers nothing.
    #[serde(default)]
    pub restarts: Vec<RestartCell>,
    /// What a bound on the messages in flight does, instead of one on slots.
    #[serde(default)]
    pub spilling: Vec<SpillCell>,
    /// What a lookup costs.
    #[serde(default)]
    pub cost: Vec<CostCell>,
    /// The loads themselves, for the combinations that are drawn.
    #[serde(default)]
    pub profiles: Vec<LoadProfile>,
    /// Loads over a course of changes: drift, flapping, a rolling restart.
    #[serde(default)]
    pub courses: Vec<Course>,
    /// p-values of many salts, to see whether a hash behaves as chance does.
    #[serde(default)]
    pub salted: Vec<SaltedPValues>,
    /// What the simulated cluster made of the same placements.
    #[serde(default)]
    pub simulated: Vec<SimulatedRun>,
    /// What could not be compared, and why.
    #[serde(default)]
    pub refusals: Vec<Refusal>,
}

/// The one workload, of all that were compared, that the user has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Focus {
    /// Name of the population.
    pub population: String,
    /// Number of nodes.
    pub nodes: u64,
}

/// One strategy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StrategyInfo {
    /// Its name, the key in the cells.
    pub name: String,
    /// What it does, in one sentence.
    #[serde(default)]
    pub about: String,
    /// Whether it is there to be compared against only, such as `random`: never recommended.
    #[serde(default)]
    pub baseline: bool,
    /// What it gives up that the others keep, if anything: then it is named beside a
    /// recommendation, but not recommended.
    #[serde(default)]
    pub gives_up: Option<String>,
    /// Why the broker does not run it as it was measured, if it does not: then it is named beside a
    /// recommendation, but not recommended.
    #[serde(default)]
    pub outside_broker: Option<String>,
}

/// One hash function.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HashInfo {
    /// Its name, the key in the cells.
    pub name: String,
    /// Whether names that hash together cannot be chosen without knowing the salt. True for hashes
    /// that are keyed by it, such as siphash; not for a salt XORed into the name before an
    /// unkeyed hash.
    #[serde(default)]
    pub withstands_chosen_names: bool,
    /// Nanoseconds to hash one name of the focus population.
    #[serde(default)]
    pub ns_per_name: Option<f64>,
    /// Pairs of different names with the same 64-bit hash.
    #[serde(default)]
    pub collisions: Option<Collisions>,
}

/// Collisions of a hash function over a set of names.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Collisions {
    /// How many names were hashed.
    pub names: u64,
    /// Pairs that collided.
    pub measured: u64,
    /// Pairs that chance gives: `names^2 / 2^65` for 64 bits.
    pub expected: f64,
}

/// A set of destinations and how popular they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Population {
    /// Its name, the key in the cells.
    pub name: String,
    /// What it stands for, in one sentence.
    #[serde(default)]
    pub about: String,
    /// Number of destinations.
    pub destinations: u64,
    /// The exponent, if popularity follows Zipf's law (0 for uniform). Populations that have one
    /// form the plot of the peak against skew.
    #[serde(default)]
    pub skew: Option<f64>,
    /// The share of the most popular destination.
    pub largest_share: f64,
}

/// How evenly one combination spreads one population over some nodes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BalanceCell {
    /// Key of the strategy.
    pub strategy: String,
    /// Key of the hash function.
    pub hash: String,
    /// The salt.
    #[serde(default)]
    pub salt: String,
    /// Number of nodes.
    pub nodes: u64,
    /// Key of the population.
    pub population: String,
    /// Largest relative load: peak to average.
    pub peak: f64,
    /// Smallest relative load.
    pub least: f64,
    /// Coefficient of variation of the relative loads.
    pub cv: f64,
    /// Gini coefficient.
    pub gini: f64,
    /// Jain's fairness index.
    pub jain: f64,
    /// Kullback-Leibler divergence from the fair shares, in nats.
    #[serde(default)]
    pub kl: Option<f64>,
    /// What theory expects of this strategy here; `None` where there is no formula.
    #[serde(default)]
    pub expected: Option<ExpectedBalance>,
    /// The least peak that any placement of whole destinations can reach.
    #[serde(default = "one")]
    pub bound: f64,
    /// Two-sided p-value against the strategy's expectation, of chi-square for equally popular
    /// destinations and of the variation of the loads for others; `None` where there is no test.
    /// Near 0 either way: too uneven, or too even to be chance.
    #[serde(default)]
    pub p_value: Option<f64>,
}

/// What theory expects of a balance.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ExpectedBalance {
    /// Mean of the largest relative load.
    pub peak: f64,
    /// Coefficient of variation of the relative loads.
    pub cv: f64,
}

/// What a lookup costs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CostCell {
    /// Key of the strategy.
    pub strategy: String,
    /// Key of the hash function.
    pub hash: String,
    /// Number of nodes.
    pub nodes: u64,
    /// Nanoseconds from a name to its node, many independent lookups in a row.
    pub lookup_ns: f64,
    /// The same where each lookup waits for the one before.
    #[serde(default)]
    pub dependent_ns: Option<f64>,
    /// Microseconds to build the placement.
    #[serde(default)]
    pub build_us: Option<f64>,
    /// Microseconds to take in one node more.
    #[serde(default)]
    pub update_us: Option<f64>,
    /// Bytes of memory that the placement holds.
    pub bytes: f64,
}

/// The loads of one combination.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LoadProfile {
    /// Key of the strategy.
    pub strategy: String,
    /// Key of the hash function.
    pub hash: String,
    /// Key of the population.
    pub population: String,
    /// Relative load of each node, in any order. Its length is the number of nodes.
    pub relative_loads: Vec<f64>,
    /// Coefficient of variation that theory expects.
    #[serde(default)]
    pub expected_cv: Option<f64>,
}

/// Loads of every node over a course of changes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Course {
    /// What happens: `drift: 1 % of the destinations swap popularity in each step`.
    pub title: String,
    /// Key of the strategy.
    pub strategy: String,
    /// Key of the hash function.
    pub hash: String,
    /// Names of all nodes that take part at any time.
    pub nodes: Vec<String>,
    /// The steps, in order.
    pub steps: Vec<CourseStep>,
}

/// One step of a course.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CourseStep {
    /// Relative load of each node, in the order of [`Course::nodes`]; `None` while it is away.
    pub relative_loads: Vec<Option<f64>>,
    /// Part of the load that moved in this step.
    pub moved: f64,
    /// The least part that had to move, if known.
    #[serde(default)]
    pub optimal: Option<f64>,
    /// What happened, if anything out of the ordinary: `n3 leaves`.
    #[serde(default)]
    pub label: Option<String>,
}

/// p-values of the same test under many salts. Uniform on 0..1 if hash and strategy behave as
/// chance does.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SaltedPValues {
    /// Key of the strategy.
    pub strategy: String,
    /// Key of the hash function.
    pub hash: String,
    /// Number of nodes.
    pub nodes: u64,
    /// Key of the population.
    pub population: String,
    /// One p-value per salt.
    pub p_values: Vec<f64>,
}

/// One placement as the simulated cluster ran it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SimulatedRun {
    /// Key of the strategy.
    pub strategy: String,
    /// Key of the hash function.
    pub hash: String,
    /// Predicted against measured, per node.
    pub nodes: Vec<SimulatedNode>,
    /// End-to-end latency of the whole run.
    pub latency: Percentiles,
    /// The command that makes this run alone.
    #[serde(default)]
    pub reproduce: String,
}

/// Predicted against measured, of one node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SimulatedNode {
    /// The node's name.
    pub name: String,
    /// The share of the messages that the placement predicts.
    pub predicted_share: f64,
    /// The share that it took in.
    pub measured_share: f64,
    /// End-to-end latency of the messages that it led.
    #[serde(default)]
    pub latency: Option<Percentiles>,
}

/// A combination that could not be compared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Refusal {
    /// Key of the strategy.
    pub strategy: String,
    /// What it was asked: `remove 1 node`.
    pub asked: String,
    /// Why it cannot.
    pub reason: String,
}

fn one() -> f64 {
    1.0
}

impl CompareResult {
    /// A comparison of the current schema version with nothing measured yet.
    pub fn new(identity: Identity, focus: Focus) -> Self {
        CompareResult {
            schema_version: COMPARE_VERSION,
            identity,
            wall_s: 0.0,
            focus,
            strategies: Vec::new(),
            hashes: Vec::new(),
            populations: Vec::new(),
            balance: Vec::new(),
            movement: Vec::new(),
            failovers: Vec::new(),
            restarts: Vec::new(),
            spilling: Vec::new(),
            cost: Vec::new(),
            profiles: Vec::new(),
            courses: Vec::new(),
            salted: Vec::new(),
            simulated: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// The comparison as pretty-printed JSON.
    ///
    /// # Errors
    /// [`ReportError::Invalid`] if [`CompareResult::validate`] refuses it.
    pub fn to_json(&self) -> Result<String, ReportError> {
        self.validate()?;
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// Reads a comparison back and validates it.
    ///
    /// # Errors
    /// As [`crate::RunResult::from_json`].
    pub fn from_json(text: &str) -> Result<Self, ReportError> {
        check_version(text, COMPARE_VERSION)?;
        let result: CompareResult = serde_json::from_str(text)?;
        result.validate()?;
        Ok(result)
    }

    /// Refuses numbers that are negative, infinite or NaN, probabilities and shares above 1, and
    /// cells that name a strategy, a hash or a population which is not listed.
    ///
    /// # Errors
    /// [`ReportError::Invalid`] with the path of the first such field.
    pub fn validate(&self) -> Result<(), ReportError> {
        quantity("wall_s", self.wall_s)?;
        let keys = Keys::of(self)?;
        for (i, hash) in self.hashes.iter().enumerate() {
            let path = format!("hashes[{i}]");
            optional(&format!("{path}.ns_per_name"), hash.ns_per_name)?;
            optional(&format!("{path}.collisions.expected"), hash.collisions.map(|c| c.expected))?;
        }
        for (i, population) in self.populations.iter().enumerate() {
            let path = format!("populations[{i}]");
            optional(&format!("{path}.skew"), population.skew)?;
            fraction(&format!("{path}.largest_share"), population.largest_share)?;
        }
        for (i, cell) in self.balance.iter().enumerate() {
            keys.check(&format!("balance[{i}]"), &cell.strategy, &cell.hash, &cell.population)?;
            cell.validate(&format!("balance[{i}]"))?;
        }
        for (i, cell) in self.movement.iter().enumerate() {
            keys.check(&format!("movement[{i}]"), &cell.strategy, &cell.hash, &cell.population)?;
            cell.validate(&format!("movement[{i}]"))?;
        }
        for (i, cell) in self.failovers.iter().enumerate() {
            let path = format!("failovers[{i}]");
            keys.check(&path, &cell.strategy, &cell.hash, &cell.population)?;
            quantity(&format!("{path}.peak"), cell.peak)?;
            quantity(&format!("{path}.bound"), cell.bound)?;
            optional(&format!("{path}.structural"), cell.structural)?;
            optional(&format!("{path}.expected"), cell.expected)?;
            fraction(&format!("{path}.p_value"), cell.p_value.unwrap_or_default())?;
        }
        for (i, cell) in self.restarts.iter().enumerate() {
            let path = format!("restarts[{i}]");
            keys.check(&path, &cell.strategy, &cell.hash, &cell.population)?;
            fraction(&format!("{path}.elsewhere"), cell.elsewhere)?;
        }
        for (i, cell) in self.spilling.iter().enumerate() {
            let path = format!("spilling[{i}]");
            keys.check(&path, &cell.strategy, &cell.hash, &cell.population)?;
            cell.validate(&path)?;
        }
        for (i, cell) in self.cost.iter().enumerate() {
            let path = format!("cost[{i}]");
            keys.check(&path, &cell.strategy, &cell.hash, &self.focus.population)?;
            quantity(&format!("{path}.lookup_ns"), cell.lookup_ns)?;
            quantity(&format!("{path}.bytes"), cell.bytes)?;
            optional(&format!("{path}.dependent_ns"), cell.dependent_ns)?;
            optional(&format!("{path}.build_us"), cell.build_us)?;
            optional(&format!("{path}.update_us"), cell.update_us)?;
        }
        for (i, profile) in self.profiles.iter().enumerate() {
            let path = format!("profiles[{i}]");
            keys.check(&path, &profile.strategy, &profile.hash, &profile.population)?;
            optional(&format!("{path}.expected_cv"), profile.expected_cv)?;
            for (j, &load) in profile.relative_loads.iter().enumerate() {
                quantity(&format!("{path}.relative_loads[{j}]"), load)?;
            }
        }
        for (i, course) in self.courses.iter().enumerate() {
            let path = format!("courses[{i}]");
            keys.check(&path, &course.strategy, &course.hash, &self.focus.population)?;
            course.validate(&path)?;
        }
        for (i, salted) in self.salted.iter().enumerate() {
            let path = format!("salted[{i}]");
            keys.check(&path, &salted.strategy, &salted.hash, &salted.population)?;
            for (j, &p) in salted.p_values.iter().enumerate() {
                fraction(&format!("{path}.p_values[{j}]"), p)?;
            }
        }
        for (i, run) in self.simulated.iter().enumerate() {
            let path = format!("simulated[{i}]");
            keys.check(&path, &run.strategy, &run.hash, &self.focus.population)?;
            run.latency.validate(&format!("{path}.latency"))?;
            for (j, node) in run.nodes.iter().enumerate() {
                let path = format!("{path}.nodes[{j}]");
                fraction(&format!("{path}.predicted_share"), node.predicted_share)?;
                fraction(&format!("{path}.measured_share"), node.measured_share)?;
                if let Some(latency) = &node.latency {
                    latency.validate(&format!("{path}.latency"))?;
                }
            }
        }
        Ok(())
    }
}

impl BalanceCell {
    fn validate(&self, path: &str) -> Result<(), ReportError> {
        for (name, value) in [
            ("peak", self.peak),
            ("least", self.least),
            ("cv", self.cv),
            ("gini", self.gini),
            ("bound", self.bound),
        ] {
            quantity(&format!("{path}.{name}"), value)?;
        }
        for (name, value) in [("peak", self.peak), ("bound", self.bound)] {
            if value < 1.0 - 1e-6 {
                let reason = "the largest of loads relative to their mean cannot be below 1";
                return Err(invalid(&format!("{path}.{name}"), reason));
            }
        }
        if self.nodes == 0 {
            return Err(invalid(&format!("{path}.nodes"), "must be above 0"));
        }
        fraction(&format!("{path}.jain"), self.jain)?;
        optional(&format!("{path}.kl"), self.kl)?;
        if let Some(expected) = self.expected {
            quantity(&format!("{path}.expected.peak"), expected.peak)?;
            quantity(&format!("{path}.expected.cv"), expected.cv)?;
        }
        if let Some(p) = self.p_value {
            fraction(&format!("{path}.p_value"), p)?;
        }
        Ok(())
    }
}

impl Course {
    fn validate(&self, path: &str) -> Result<(), ReportError> {
        for (i, step) in self.steps.iter().enumerate() {
            let path = format!("{path}.steps[{i}]");
            if step.relative_loads.len() != self.nodes.len() {
                let reason =
                    format!("{} loads for {} nodes", step.relative_loads.len(), self.nodes.len());
                return Err(invalid(&format!("{path}.relative_loads"), &reason));
            }
            for (j, &load) in step.relative_loads.iter().enumerate() {
                optional(&format!("{path}.relative_loads[{j}]"), load)?;
            }
            fraction(&format!("{path}.moved"), step.moved)?;
            optional(&format!("{path}.optimal"), step.optimal)?;
        }
        Ok(())
    }
}

/// The names that cells may refer to.
struct Keys<'a> {
    strategies: BTreeSet<&'a str>,
    hashes: BTreeSet<&'a str>,
    populations: BTreeSet<&'a str>,
}

impl<'a> Keys<'a> {
    fn of(result: &'a CompareResult) -> Result<Keys<'a>, ReportError> {
        let lists = [
            ("balance", result.balance.len()),
            ("movement", result.movement.len()),
            ("failovers", result.failovers.len()),
            ("restarts", result.restarts.len()),
            ("spilling", result.spilling.len()),
            ("cost", result.cost.len()),
            ("salted", result.salted.len()),
        ];
        if let Some((name, _)) = lists.iter().find(|(_, length)| *length > MAX_CELLS) {
            return Err(invalid(name, &format!("more than {MAX_CELLS} cells")));
        }
        let unique = |field: &str, names: Vec<&'a str>| {
            let set: BTreeSet<&str> = names.iter().copied().collect();
            match names.len() == set.len() {
                true => Ok(set),
                false => Err(invalid(field, "a name is listed twice")),
            }
        };
        Ok(Keys {
            strategies: unique("strategies", result.strategies.iter().map(|s| &*s.name).collect())?,
            hashes: unique("hashes", result.hashes.iter().map(|h| &*h.name).collect())?,
            populations: unique(
                "populations",
                result.populations.iter().map(|p| &*p.name).collect(),
            )?,
        })
    }

    fn check(
        &self,
        path: &str,
        strategy: &str,
        hash: &str,
        population: &str,
    ) -> Result<(), ReportError> {
        for (field, name, known) in [
            ("strategy", strategy, &self.strategies),
            ("hash", hash, &self.hashes),
            ("population", population, &self.populations),
        ] {
            if !known.contains(name) {
                return Err(invalid(
                    &format!("{path}.{field}"),
                    &format!("{name:?} is not listed"),
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One cell of everything.
    pub(crate) fn sample() -> CompareResult {
        let focus = Focus { population: "uniform".into(), nodes: 2 };
        let mut result = CompareResult::new(Identity::default(), focus);
        result.strategies = vec![StrategyInfo { name: "slots".into(), ..Default::default() }];
        result.hashes = vec![HashInfo { name: "xxh3".into(), ..Default::default() }];
        result.populations = vec![Population {
            name: "uniform".into(),
            destinations: 1000,
            skew: Some(0.0),
            largest_share: 0.001,
            ..Default::default()
        }];
        let (strategy, hash, population) =
            ("slots".to_owned(), "xxh3".to_owned(), "uniform".to_owned());
        result.balance.push(BalanceCell {
            strategy: strategy.clone(),
            hash: hash.clone(),
            population: population.clone(),
            nodes: 2,
            peak: 1.01,
            least: 0.99,
            cv: 0.01,
            gini: 0.005,
            jain: 0.9999,
            bound: 1.0,
            expected: Some(ExpectedBalance { peak: 1.01, cv: 0.01 }),
            p_value: Some(0.5),
            ..Default::default()
        });
        result.movement.push(MovementCell {
            strategy: strategy.clone(),
            hash: hash.clone(),
            population: population.clone(),
            nodes: 2,
            change: "add 1 node".into(),
            joined: vec![ChangedNode { name: "n3".into(), weight: 2.0 }],
            note: Some("n3 is new".into()),
            moved: 0.34,
            optimal: 1.0 / 3.0,
            ..Default::default()
        });
        result.spilling.push(SpillCell {
            strategy: strategy.clone(),
            hash: hash.clone(),
            population: population.clone(),
            nodes: 2,
            factor: 1.25,
            in_flight: 200,
            messages: 4000,
            peak: 1.25,
            share_peak: 1.2,
            unbounded_peak: 1.5,
            spilled: 0.13,
            least_spilled: 0.125,
            hottest_on: 2,
        });
        result.cost.push(CostCell {
            strategy: strategy.clone(),
            hash: hash.clone(),
            nodes: 2,
            lookup_ns: 4.0,
            bytes: 32768.0,
            ..Default::default()
        });
        result.profiles.push(LoadProfile {
            strategy: strategy.clone(),
            hash: hash.clone(),
            population: population.clone(),
            relative_loads: vec![0.99, 1.01],
            expected_cv: Some(0.01),
        });
        result.courses.push(Course {
            title: "flapping".into(),
            strategy: strategy.clone(),
            hash: hash.clone(),
            nodes: vec!["n1".into(), "n2".into()],
            steps: vec![CourseStep {
                relative_loads: vec![Some(1.0), None],
                moved: 0.5,
                optimal: Some(0.5),
                label: Some("n2 leaves".into()),
            }],
        });
        result.salted.push(SaltedPValues {
            strategy: strategy.clone(),
            hash: hash.clone(),
            population,
            nodes: 2,
            p_values: vec![0.25, 0.75],
        });
        result.simulated.push(SimulatedRun {
            strategy,
            hash,
            nodes: vec![SimulatedNode {
                name: "n1".into(),
                predicted_share: 0.5,
                measured_share: 0.49,
                latency: None,
            }],
            ..Default::default()
        });
        result
    }

    #[test]
    fn json_round_trip_keeps_everything() {
        let result = sample();
        assert_eq!(CompareResult::from_json(&result.to_json().unwrap()).unwrap(), result);
    }

    #[test]
    fn impossible_cells_are_refused_with_their_path() {
        let refused = |change: fn(&mut CompareResult), field: &str| {
            let mut result = sample();
            change(&mut result);
            let error = result.to_json().unwrap_err().to_string();
            assert!(error.contains(field), "{error} should name {field}");
        };
        refused(|r| r.balance[0].strategy = "slot".into(), "balance[0].strategy: \"slot\"");
        refused(|r| r.balance[0].peak = f64::NAN, "balance[0].peak");
        refused(|r| r.balance[0].bound = 0.5, "balance[0].bound");
        refused(|r| r.balance[0].p_value = Some(2.0), "balance[0].p_value");
        refused(|r| r.movement[0].moved = -0.1, "movement[0].moved");
        refused(|r| r.movement[0].population = "?".into(), "movement[0].population");
        refused(|r| r.movement[0].joined[0].weight = -1.0, "movement[0].joined[0].weight");
        refused(|r| r.spilling[0].spilled = 1.1, "spilling[0].spilled");
        refused(|r| r.spilling[0].peak = f64::NAN, "spilling[0].peak");
        refused(|r| r.cost[0].lookup_ns = f64::INFINITY, "cost[0].lookup_ns");
        refused(|r| r.profiles[0].relative_loads[1] = f64::NAN, "profiles[0].relative_loads[1]");
        refused(|r| r.courses[0].steps[0].relative_loads.clear(), "courses[0].steps[0]");
        refused(|r| r.salted[0].p_values[0] = 1.5, "salted[0].p_values[0]");
        refused(|r| r.simulated[0].nodes[0].measured_share = 3.0, "simulated[0].nodes[0]");
        refused(|r| r.hashes.push(r.hashes[0].clone()), "hashes: a name is listed twice");
    }
}
