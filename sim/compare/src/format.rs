//! The file of a comparison: a scenario's name, purpose and seed, and its `[compare]` block.
//!
//! It is as strict as a scenario: unknown keys and impossible values are refused with their place
//! and the reason.

mod change;
mod choice;
mod nodes;
mod population;
#[cfg(test)]
mod tests;
mod validate;

use std::path::{Path, PathBuf};

use paceline_placement::{HashFunction, Parameters, StrategyKind};
use paceline_scenario::{
    Scenario, ScenarioError,
    fault::Fault,
    format::{Cluster, Disk, Network, Workload},
    locate, position,
    units::TimeSpan,
};
use serde::Deserialize;

pub use self::{
    change::{Change, CourseSpec, Joining, Reweighted, Which},
    choice::Choice,
    nodes::NodeSets,
    population::{DEFAULT_DESTINATIONS, Names, Popularity, PopulationSpec, Preset},
};
use super::entry::Entry;

/// The most destinations of one population.
pub const MAX_DESTINATIONS: usize = 10_000_000;
/// The most nodes.
pub const MAX_NODES: usize = 100_000;
/// The most points of one node on a circle.
pub const MAX_POINTS: u32 = 1 << 16;
/// The most points of all nodes on a circle, when the file says how many each has.
pub const MAX_ALL_POINTS: u64 = 1 << 25;
/// The largest factor of bounded loads.
pub const MAX_LOAD_FACTOR: f64 = 1000.0;
/// The most messages in flight.
pub const MAX_IN_FLIGHT: usize = 1_000_000;
/// The most salts of the p-value histogram.
pub const MAX_SALTED: usize = 10_000;

/// A whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Short, unique, of letters, digits, `-` and `_`; names the output directory.
    pub name: String,
    /// What it shows, in a sentence or a few, for whoever reads the report.
    pub about: String,
    /// Which nodes are lost and which destinations swap their popularity comes from it.
    #[serde(default)]
    pub seed: u64,
    /// What is compared.
    pub compare: Compare,
    /// With `simulate = true`: how long the simulated workload runs. This and what follows is as in
    /// a scenario; the strategy of the cluster is each of those compared in turn.
    pub duration: Option<TimeSpan>,
    /// The simulated brokers.
    pub cluster: Option<Cluster>,
    /// What lies between them.
    pub network: Option<Network>,
    /// What they store on.
    pub disk: Option<Disk>,
    /// What clients do.
    #[serde(default, rename = "workload")]
    pub workloads: Vec<Workload>,
    /// What goes wrong, and when.
    #[serde(default, rename = "fault")]
    pub faults: Vec<Fault>,
    /// Where the file lies; files that it names are sought from there.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// The `[compare]` block.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// Which strategies; default `"all"`.
    #[serde(default)]
    pub strategies: Choice<Entry>,
    /// Which hash functions; default `["xxh3"]`. The first one is used where one is enough.
    #[serde(default = "default_hashes")]
    pub hashes: Choice<HashFunction>,
    /// Which salts; default `["paceline"]`. The first one is used where one is enough.
    #[serde(default = "default_salts")]
    pub salts: Vec<String>,
    /// How many nodes, or which.
    pub nodes: NodeSets,
    /// Points of a node of weight 1 on each circle that has several; default those that each of
    /// them is known for.
    pub points_per_node: Option<u32>,
    /// How far above its share a node goes under `bounded-load`, by slots and by messages; default
    /// 1.25.
    pub load_factor: Option<f64>,
    /// Messages in flight where `bounded-load` bounds them; default 100 per node, or, on more than
    /// 1000 nodes, 100,000 but at least 10 per node.
    pub in_flight: Option<usize>,
    /// Slots; default the power of two from 160 per node, at least 2^14 and at most 2^21, or those
    /// of the simulated cluster.
    pub slots: Option<u64>,
    /// Nodes in each row; default 1. Changes and balance concern the first node of a row.
    #[serde(default = "one")]
    pub replicas: usize,
    /// Weights of the nodes, repeated over them; default all equal.
    #[serde(default)]
    pub weights: Vec<f64>,
    /// The nodes are dealt to this many zones; default none.
    #[serde(default)]
    pub zones: usize,
    /// The workload that the recommendation is for; default the first population on the first
    /// number of nodes. Courses and costs are measured for it.
    #[serde(default)]
    pub focus: Focus,
    /// How many salts the p-value histogram has; default 0, no histogram.
    #[serde(default)]
    pub salted_p_values: usize,
    /// Whether look-ups are timed; default yes.
    #[serde(default = "yes")]
    pub timing: bool,
    /// Whether the same strategies run in the simulated cluster too; default no.
    #[serde(default)]
    pub simulate: bool,
    /// A combination whose placement would take longer is refused, in seconds; default 30.
    #[serde(default = "default_limit")]
    pub cell_limit_s: f64,
    /// Sets of destinations.
    #[serde(rename = "population")]
    pub populations: Vec<PopulationSpec>,
    /// Changes whose movement is measured.
    #[serde(default, rename = "change")]
    pub changes: Vec<Change>,
    /// Courses of changes whose loads are drawn.
    #[serde(default, rename = "course")]
    pub courses: Vec<CourseSpec>,
}

impl Compare {
    /// What is set about strategies.
    pub fn parameters(&self) -> Parameters {
        let mut parameters = Parameters::default();
        if let Some(points) = self.points_per_node {
            parameters.points_per_node = points;
            parameters.ketama_points = points;
        }
        parameters.load_factor = self.load_factor.unwrap_or(parameters.load_factor);
        parameters
    }

    /// How many messages are in flight on so many nodes.
    pub fn in_flight(&self, nodes: usize) -> usize {
        self.in_flight.unwrap_or_else(|| (100 * nodes).min(100_000.max(10 * nodes)))
    }
}

/// The one workload, of all that are compared, that the user has.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Focus {
    /// The name of a population.
    pub population: Option<String>,
    /// One of the numbers of nodes.
    pub nodes: Option<usize>,
}

impl Comparison {
    /// Reads the text of a comparison. `file` is its path: it names the comparison in errors, and
    /// files that the text names are sought beside it.
    ///
    /// # Errors
    /// Where and why it was refused.
    pub fn load(file: &str, text: &str) -> Result<Self, ScenarioError> {
        let mut comparison: Comparison = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            locate(file, text, at, error.message().trim().to_owned())
        })?;
        comparison
            .validate()
            .map_err(|problem| locate(file, text, position(text, &problem.path), problem.reason))?;
        comparison.folder = Path::new(file).parent().unwrap_or(Path::new("")).to_owned();
        Ok(comparison)
    }

    /// Whether a file is a comparison: whether it has a `[compare]` block.
    pub fn is_in(text: &str) -> bool {
        text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("compare"))
    }

    /// How many slots the file sets, if it does: with a simulation those of its cluster, unless
    /// `slots` says otherwise.
    pub fn slots(&self) -> Option<u64> {
        let cluster = self.cluster.as_ref().filter(|_| self.compare.simulate);
        self.compare.slots.or(cluster.map(|cluster| u64::from(cluster.slots)))
    }

    /// The scenario that runs one strategy in the simulated cluster. `None` where the file lacks
    /// what it needs.
    pub fn scenario(&self, strategy: StrategyKind) -> Option<Scenario> {
        let cluster = self.cluster.clone()?;
        Some(Scenario {
            name: format!("{}-{strategy}", self.name),
            about: self.about.clone(),
            seed: self.seed,
            duration: self.duration?,
            cluster: Cluster { strategy, ..cluster },
            network: self.network.clone().unwrap_or_default(),
            disk: self.disk.clone().unwrap_or_default(),
            clock: Default::default(),
            workloads: (!self.workloads.is_empty()).then(|| self.workloads.clone())?,
            changes: Vec::new(),
            faults: self.faults.clone(),
            expect: Default::default(),
        })
    }

    /// The number of nodes of the focus.
    pub fn focus_nodes(&self) -> usize {
        self.compare.focus.nodes.unwrap_or(self.compare.nodes.numbers[0])
    }

    /// The population of the focus, by its place in the list.
    pub fn focus_population(&self) -> usize {
        let wanted = self.compare.focus.population.as_ref();
        wanted
            .and_then(|name| self.compare.populations.iter().position(|p| p.name == *name))
            .unwrap_or(0)
    }
}

fn default_hashes() -> Choice<HashFunction> {
    Choice::These(vec![HashFunction::Xxh3])
}

fn default_salts() -> Vec<String> {
    vec!["paceline".into()]
}

fn default_limit() -> f64 {
    30.0
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}
