//! The file of a comparison: a scenario's name, purpose and seed, and its `[compare]` block.
//!
//! It is as strict as a scenario: unknown keys and impossible values are refused with their place
//! and the reason.

use std::{
    collections::BTreeSet,
    fmt,
    marker::PhantomData,
    path::{Path, PathBuf},
};

use paceline_placement::{HashFunction, SlotCount, StrategyKind};
use serde::{Deserialize, Deserializer, de};

use super::entry::Entry;
use crate::scenario::{
    Problem, Scenario, ScenarioError, Step,
    fault::Fault,
    format::{Cluster, Disk, Network, Workload},
    locate, position,
    units::TimeSpan,
};

/// The most destinations of one population.
pub const MAX_DESTINATIONS: usize = 10_000_000;
/// The most nodes.
pub const MAX_NODES: usize = 100_000;
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
    /// How many nodes; several numbers are compared one after the other.
    pub nodes: Vec<usize>,
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

/// The one workload, of all that are compared, that the user has.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Focus {
    /// The name of a population.
    pub population: Option<String>,
    /// One of the numbers of nodes.
    pub nodes: Option<usize>,
}

/// A set of destinations.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PopulationSpec {
    /// Its name in tables.
    pub name: String,
    /// What it stands for; default said by its settings.
    #[serde(default)]
    pub about: String,
    /// How many; default 100,000, or all names of the file.
    pub destinations: Option<usize>,
    /// How the load spreads over them; default evenly.
    #[serde(default)]
    pub popularity: Popularity,
    /// What they are called; default numbered.
    #[serde(default)]
    pub names: Names,
}

/// How the load spreads: `"uniform"`, `{ zipf = 0.9 }`, `{ hot = 8, share = 0.8 }` or
/// `{ preset = "wikipedia" }`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Popularity {
    /// Each is as popular.
    #[default]
    Uniform,
    /// The k-th in proportion to k to the minus this power.
    Zipf(f64),
    /// The first `hot` ones share `share` of the load evenly, the others the rest.
    Hot {
        /// How many are hot.
        hot: usize,
        /// Their part of the load.
        share: f64,
    },
    /// A Zipf law fitted to a published trace.
    Preset(Preset),
}

/// Published traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The Yahoo! cloud serving benchmark's Zipf constant, 0.99.
    Ycsb,
    /// Page views of Wikipedia: the hottest page has 9.32 % (partial key grouping, 2015).
    Wikipedia,
    /// Words of tweets: the hottest has 2.67 % (the same).
    Twitter,
    /// Cashtags of tweets: the hottest has 3.29 % (the same).
    Cashtags,
    /// Links of LiveJournal: the hottest node has 0.29 % (the same).
    Livejournal,
}

/// What destinations are called: `"numbered"`, `"sequential"`, `"uuid"`, `"paths"`,
/// `{ prefix = "load1." }` or `{ file = "names.txt" }`, one name per line, any bytes but the line
/// feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// `queue-000017`
    #[default]
    Numbered,
    /// `q17`
    Sequential,
    /// Random UUIDs in text form.
    Uuid,
    /// `tenant-17.orders.eu.created`
    Paths,
    /// The prefix and a number, as a simulated workload calls its destinations.
    Prefix(String),
    /// The lines of a file, the most popular first; its path starts where the comparison's file
    /// lies.
    File(String),
}

/// A change of the cluster. Exactly one key of a `[[compare.change]]`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// So many nodes join.
    Add(usize),
    /// So many nodes leave, drawn from the seed.
    Remove(usize),
    /// So many nodes that had left come back.
    Restore(usize),
    /// The weight of so many nodes is multiplied.
    Weight {
        /// How many nodes.
        nodes: usize,
        /// By how much.
        factor: f64,
    },
    /// All nodes of one zone leave.
    ZoneLoss(bool),
    /// One node fails and the second nodes of its rows take over, before anything is moved. The
    /// worst of all nodes is shown.
    Failover(bool),
    /// A process starts again and makes its placement from the list of nodes alone, after a node
    /// had left and come back.
    Restart(bool),
}

/// A course of changes. Exactly one key of a `[[compare.course]]`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CourseSpec {
    /// Destinations swap their popularity.
    Drift {
        /// The part of the destinations that swaps with another in each step.
        swap: f64,
        /// How many steps.
        steps: usize,
    },
    /// A node leaves and comes back again and again.
    Flapping {
        /// How many steps; each is a leave or a return.
        steps: usize,
    },
    /// Each node in turn leaves and comes back.
    RollingRestart {
        /// How many nodes are restarted.
        nodes: usize,
    },
    /// The nodes grow from few to the number compared, one at a time.
    Growth {
        /// How many nodes there are at first.
        from: usize,
    },
    /// Nothing changes, and the balancer runs again and again.
    Idle {
        /// How many times.
        steps: usize,
    },
}

/// `"all"`, or a list.
#[derive(Clone, Debug, Default)]
pub enum Choice<T> {
    /// Everything there is.
    #[default]
    All,
    /// Only these.
    These(Vec<T>),
}

impl<T: Clone> Choice<T> {
    /// The chosen ones, `all` being given.
    pub fn of(&self, all: &[T]) -> Vec<T> {
        match self {
            Choice::All => all.to_vec(),
            Choice::These(these) => these.clone(),
        }
    }
}

impl<T: PartialEq> Choice<T> {
    /// What is listed a second time.
    fn twice(&self) -> Option<&T> {
        match self {
            Choice::All => None,
            Choice::These(these) => twice(these),
        }
    }
}

/// The first item that stands in the list before.
fn twice<T: PartialEq>(list: &[T]) -> Option<&T> {
    list.iter().enumerate().find(|(at, item)| list[..*at].contains(item)).map(|(_, item)| item)
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Choice<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = Choice<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"all\" or a list of names")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Choice<T>, E> {
                match text {
                    "all" => Ok(Choice::All),
                    other => Err(E::custom(format!("write \"all\" or [\"{other}\"]"))),
                }
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Choice<T>, A::Error> {
                let mut these = Vec::new();
                while let Some(name) = list.next_element()? {
                    these.push(name);
                }
                Ok(Choice::These(these))
            }
        }
        deserializer.deserialize_any(Visitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Popularity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            zipf: Option<f64>,
            hot: Option<usize>,
            share: Option<f64>,
            preset: Option<Preset>,
        }
        struct Visitor;
        const WANTED: &str =
            "\"uniform\", { zipf = 0.9 }, { hot = 8, share = 0.8 } or { preset = \"wikipedia\" }";
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Popularity;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(WANTED)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Popularity, E> {
                match text {
                    "uniform" => Ok(Popularity::Uniform),
                    other => Err(E::custom(format!("`{other}` is no popularity; write {WANTED}"))),
                }
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Popularity, A::Error> {
                let keys = Keys::deserialize(de::value::MapAccessDeserializer::new(map))?;
                match keys {
                    Keys { zipf: Some(zipf), hot: None, share: None, preset: None } => {
                        Ok(Popularity::Zipf(zipf))
                    }
                    Keys { zipf: None, hot: Some(hot), share: Some(share), preset: None } => {
                        Ok(Popularity::Hot { hot, share })
                    }
                    Keys { zipf: None, hot: None, share: None, preset: Some(preset) } => {
                        Ok(Popularity::Preset(preset))
                    }
                    _ => Err(de::Error::custom(format!("write {WANTED}"))),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            prefix: Option<String>,
            file: Option<String>,
        }
        struct Visitor;
        const WANTED: &str = "\"numbered\", \"sequential\", \"uuid\", \"paths\", { prefix = \"load1.\" } or { file = \"names.txt\" }";
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Names;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(WANTED)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Names, E> {
                match text {
                    "numbered" => Ok(Names::Numbered),
                    "sequential" => Ok(Names::Sequential),
                    "uuid" => Ok(Names::Uuid),
                    "paths" => Ok(Names::Paths),
                    other => {
                        Err(E::custom(format!("`{other}` is no kind of name; write {WANTED}")))
                    }
                }
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Names, A::Error> {
                match Keys::deserialize(de::value::MapAccessDeserializer::new(map))? {
                    Keys { prefix: Some(prefix), file: None } => Ok(Names::Prefix(prefix)),
                    Keys { prefix: None, file: Some(file) } => Ok(Names::File(file)),
                    _ => Err(de::Error::custom(format!("write {WANTED}"))),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
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

    fn validate(&self) -> Result<(), Problem> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.name.is_empty() || !self.name.chars().all(plain) {
            return Err(problem(["name"], "a name has letters, digits, `-` and `_` only"));
        }
        let c = &self.compare;
        let refuse = |key: &str, reason: String| Err(Problem { path: at(key), reason });
        if c.nodes.is_empty() || c.nodes.iter().any(|n| !(1..=MAX_NODES).contains(n)) {
            return refuse("nodes", format!("list numbers of nodes from 1 to {MAX_NODES}"));
        }
        if let Some(twice) = twice(&c.nodes) {
            return refuse("nodes", format!("{twice} is listed twice"));
        }
        let least = c.nodes.iter().copied().min().unwrap_or(1);
        let most = c.nodes.iter().copied().max().unwrap_or(1);
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
            Focus { nodes: Some(nodes), .. } if !c.nodes.contains(nodes) => {
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
        let nodes = scenario.cluster.nodes as usize;
        if !self.compare.nodes.contains(&nodes) {
            let reason = format!("the simulated cluster has {nodes} nodes; compare them too");
            return Err(problem(["compare", "nodes"], &reason));
        }
        Ok(())
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
            faults: self.faults.clone(),
            expect: Default::default(),
        })
    }

    /// The number of nodes of the focus.
    pub fn focus_nodes(&self) -> usize {
        self.compare.focus.nodes.unwrap_or(self.compare.nodes[0])
    }

    /// The population of the focus, by its place in the list.
    pub fn focus_population(&self) -> usize {
        let wanted = self.compare.focus.population.as_ref();
        wanted
            .and_then(|name| self.compare.populations.iter().position(|p| p.name == *name))
            .unwrap_or(0)
    }
}

impl Change {
    fn validate(&self, compare: &Compare, least: usize) -> Result<(), String> {
        match *self {
            Change::Add(0) | Change::Remove(0) | Change::Restore(0) => {
                Err("at least one node".into())
            }
            Change::Add(count) if count > MAX_NODES => Err(format!("at most {MAX_NODES}")),
            Change::Remove(count) | Change::Restore(count) if count >= least => {
                Err(format!("one of the {least} nodes must stay"))
            }
            Change::Weight { nodes, factor }
                if nodes == 0 || nodes > least || !(factor.is_finite() && factor > 0.0) =>
            {
                Err(format!("`nodes` is between 1 and {least}, `factor` finite and above 0"))
            }
            Change::ZoneLoss(_) if compare.zones < 2 => Err("set `zones` to 2 or more".into()),
            Change::Failover(_) if compare.replicas < 2 => {
                Err("set `replicas` to 2 or more".into())
            }
            Change::Restart(_) if least < 2 => Err("a node must stay while another is away".into()),
            Change::ZoneLoss(false) | Change::Failover(false) | Change::Restart(false) => {
                Err("write true, or leave it out".into())
            }
            _ => Ok(()),
        }
    }
}

/// The most nodes of a course: their loads are drawn step by step.
const MAX_COURSE_NODES: usize = 200;
const MAX_STEPS: usize = 1000;

impl CourseSpec {
    fn validate(&self, nodes: usize) -> Result<(), String> {
        if nodes > MAX_COURSE_NODES {
            return Err(format!(
                "a course is drawn for at most {MAX_COURSE_NODES} nodes; the focus has {nodes}"
            ));
        }
        match *self {
            CourseSpec::Drift { swap, steps } => {
                if !(swap > 0.0 && swap <= 1.0) {
                    return Err("`swap` is above 0 and at most 1".into());
                }
                steps_are_possible(steps)
            }
            CourseSpec::Flapping { .. } | CourseSpec::RollingRestart { .. } if nodes < 2 => {
                Err("a node can only leave where another one stays".into())
            }
            CourseSpec::Flapping { steps } | CourseSpec::Idle { steps } => {
                steps_are_possible(steps)
            }
            CourseSpec::RollingRestart { nodes: restarted } => {
                if restarted == 0 || restarted > nodes {
                    return Err(format!("between 1 and {nodes} nodes can be restarted"));
                }
                Ok(())
            }
            CourseSpec::Growth { from } => {
                if from == 0 || from >= nodes {
                    return Err(format!("grow from at least 1 node to {nodes}"));
                }
                Ok(())
            }
        }
    }
}

fn steps_are_possible(steps: usize) -> Result<(), String> {
    if (1..=MAX_STEPS).contains(&steps) { Ok(()) } else { Err(format!("1 to {MAX_STEPS} steps")) }
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

/// Destinations of a population that does not say how many it has.
pub const DEFAULT_DESTINATIONS: usize = 100_000;

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

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"c\"\nabout = \"x\"\n[compare]\nnodes = [10]\n[[compare.population]]\nname = \"u\"\n";

    #[test]
    fn a_short_file_is_enough() {
        let comparison = Comparison::load("c.toml", GOOD).unwrap();
        assert_eq!(comparison.focus_nodes(), 10);
        assert!(Comparison::is_in(GOOD) && !Comparison::is_in("name = \"c\""));
    }

    #[test]
    fn mistakes_are_refused_with_their_place() {
        let refused = |from: &str, to: &str, line: usize, reason: &str| {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD);
            let error = Comparison::load("c.toml", &text).unwrap_err();
            assert_eq!(error.line, line, "{error}");
            assert!(error.to_string().contains(reason), "{error}");
        };
        refused("nodes = [10]", "nodes = [10]\nnodez = 3", 5, "nodez");
        refused("[10]", "[0]", 4, "from 1 to");
        refused("[10]", "[10]\nstrategies = [\"rings\"]", 5, "`rings`");
        refused("[10]", "[10]\nstrategies = \"ring\"", 5, "[\"ring\"]");
        refused("[10]", "[10]\nstrategies = [\"dx\", \"dx\"]", 5, "`dx` is listed twice");
        refused("[10]", "[10]\nsalts = [\"a\", \"b\", \"a\"]", 5, "twice");
        refused("[10]", "[10]\nhashes = [\"md4\"]", 5, "md4");
        refused("[10]", "[10]\nreplicas = 11", 5, "between 1 and");
        refused("[10]", "[10]\nslots = 9", 5, "at least one slot per node");
        refused("[10]", "[10, 10]", 4, "twice");
        refused("[10]", "[10]\nweights = [1.0,\n0.0]", 6, "above 0");
        refused("[10]", "[10]\nweights = [inf]", 5, "not inf");
        refused("[10]", "[10]\nfocus = { nodes = 11 }", 5, "11");
        refused("[10]", "[10]\nfocus = { population = \"v\" }", 5, "`v`");
        refused("\"u\"\n", "\"u\"\ndestinations = 0\n", 7, "between 1");
        refused("\"u\"\n", "\"u\"\npopularity = { zipf = -1.0 }\n", 7, "exponent");
        refused("\"u\"\n", "\"u\"\npopularity = { zipf = 1.0, hot = 3 }\n", 7, "write \"uniform\"");
        refused("\"u\"\n", "\"u\"\nnames = \"guid\"\n", 7, "guid");
        refused("\"u\"\n", "\"u\"\n[[compare.change]]\nremove = 10\n", 7, "must stay");
        refused("\"u\"\n", "\"u\"\n[[compare.change]]\nzone_loss = true\n", 7, "`zones`");
        refused("\"u\"\n", "\"u\"\n[[compare.change]]\nmove = 1\n", 8, "move");
        refused("\"u\"\n", "\"u\"\n[[compare.course]]\nflapping = { steps = 0 }\n", 7, "steps");
        refused("name = \"c\"", "name = \"a b\"", 1, "letters");
        refused("about = \"x\"", "about = \"x\"\nduration = \"5s\"", 3, "simulate = true");
        refused("[10]", "[10]\nsimulate = true", 5, "needs `duration`");
    }

    #[test]
    fn mistakes_in_the_simulated_part_are_refused_with_their_place() {
        let good = GOOD
            .replace("\"x\"", "\"x\"\nduration = \"5s\"")
            .replace("[10]", "[5, 10]\nsimulate = true")
            + "[cluster]\nnodes = 5\nslots = 64\n[[workload]]\nproducers = 1\nconsumers = 1\n\
               destinations = { kind = \"queue\", count = 9 }\nrate = \"10/s\"\n";
        assert_eq!(Comparison::load("c.toml", &good).unwrap().slots(), Some(64));
        let refused = |from: &str, to: &str, line: usize, reason: &str| {
            let error = Comparison::load("c.toml", &good.replace(from, to)).unwrap_err();
            assert_eq!(error.line, line, "{error}");
            assert!(error.to_string().contains(reason), "{error}");
        };
        refused("slots = 64", "slots = 9", 11, "at least one slot per node");
        refused("nodes = 5", "nodes = 7", 5, "has 7 nodes");
        refused("nodes = 5", "nodes = 0", 10, "nodes");
        refused("\"10/s\"", "\"0/s\"", 16, "rate");
    }
}
