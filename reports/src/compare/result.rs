//! The result of a comparison of placements: strategies × hash functions × salts × node counts ×
//! populations × changes, every measured figure beside what theory expects.
//!
//! The tables are flat lists of cells, each with the names of what it belongs to, so that a
//! comparison can leave out combinations that make no sense (a strategy without weights under a
//! change of weights) and say so in [`CompareResult::refusals`]. Names must be spelled the same
//! everywhere: `strategy`, `hash` and `population` are keys. Shares and moved parts are fractions
//! of 1; loads are relative to the node's fair share.

use serde::{Deserialize, Serialize};

use super::change::{FailoverCell, MovementCell, RestartCell};
use super::spill::SpillCell;
use crate::result::{Identity, Percentiles, ReportError, check_version};

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
}
