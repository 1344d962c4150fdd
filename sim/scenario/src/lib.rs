//! Scenarios: the file that says what runs, on what, doing what, hurt how, and what must hold.
//!
//! [`Scenario::load`] is strict: what the file says is either carried out or refused with its
//! place and the reason; nothing is skipped in silence. [`mod@expand`] turns what is left to chance
//! into plain statements, so that the expansion of a scenario with a seed is a scenario itself.

pub mod change;
mod cluster;
mod delay;
pub mod event;
pub mod expand;
pub mod fault;
pub mod format;
pub mod processes;
pub mod shrink;
pub mod swarm;
pub mod units;
mod validate;

use std::fmt;

use change::Change;
use toml::de::{DeTable, DeValue};

pub use cluster::{LINK_PORT, NAME, OPENWIRE_PORT, Prediction, STOMP_PORT, link_of};
pub use expand::{Expansion, expand};
pub use format::Scenario;
pub use swarm::Source;

/// One step on the way to a value in a TOML document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into a table.
    Key(String),
    /// Into an array.
    Index(usize),
}

/// What is wrong with a scenario, before its place in the text is known.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Where.
    pub path: Vec<Step>,
    /// Why.
    pub reason: String,
}

/// A scenario that was refused: where and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// As given to [`Scenario::load`].
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub reason: String,
    /// The line of the file itself.
    pub excerpt: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, reason, excerpt } = self;
        writeln!(f, "{file}:{line}:{column}: {reason}")?;
        let margin = line.to_string().len();
        writeln!(f, "{:margin$} |", "")?;
        writeln!(f, "{line} | {excerpt}")?;
        write!(f, "{:margin$} | {:indent$}^", "", "", indent = column - 1)
    }
}

impl std::error::Error for ScenarioError {}

impl Scenario {
    /// Reads the text of a scenario. `file` names it in errors.
    pub fn load(file: &str, text: &str) -> Result<Self, ScenarioError> {
        let scenario: Scenario = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            locate(file, text, at, error.message().trim().to_owned())
        })?;
        scenario.validate().map_err(|problem| {
            let at = position(text, &problem.path);
            locate(file, text, at, problem.reason)
        })?;
        Ok(scenario)
    }

    /// Refuses what cannot be carried out as written.
    pub fn validate(&self) -> Result<(), Problem> {
        validate::validate(self)
    }

    /// The text of a file that says the same.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every scenario can be written as TOML")
    }

    /// Names what the scenario says, whatever its comments, order of keys and default seed: 16
    /// hexadecimal digits.
    pub fn hash(&self) -> String {
        let canonical = Scenario { seed: 0, ..self.clone() };
        blake3::hash(canonical.to_toml().as_bytes()).to_hex()[..16].to_owned()
    }

    /// The names of the nodes that the cluster begins with, in order.
    pub fn founders(&self) -> Vec<String> {
        (1..=self.cluster.nodes).map(node_name).collect()
    }

    /// How many nodes there are, those that join included.
    pub fn node_count(&self) -> u32 {
        let newcomers = self.changes.iter().flat_map(Change::kinds).map(|it| it.newcomers());
        newcomers.fold(self.cluster.nodes, u32::saturating_add)
    }

    /// How few and how many replicas every shard is to have in the course of a run.
    pub fn replicas(&self) -> (u32, u32) {
        let later = self.changes.iter().filter_map(|change| change.replicas);
        later.fold((self.cluster.replicas(), self.cluster.replicas()), |(least, most), replicas| {
            (least.min(replicas), most.max(replicas))
        })
    }

    /// How many nodes may have lost records at once so that every shard can still be repaired, as long
    /// as it has as few replicas as it is ever to have.
    pub fn most_rotten(&self) -> u32 {
        let (least, most) = self.replicas();
        (least..=most).map(fault::most_rotten).min().expect("it is a range")
    }

    /// The names of all nodes, in order: the founders, then those that join.
    pub fn node_names(&self) -> Vec<String> {
        (1..=self.node_count()).map(node_name).collect()
    }
}

impl format::Cluster {
    /// How many nodes hold each shard.
    pub fn replicas(&self) -> u32 {
        self.replicas.unwrap_or(3.min(self.nodes))
    }
}

fn node_name(number: u32) -> String {
    format!("n{number}")
}

/// The byte at which the value at `path` stands, or the nearest value around it that is written.
pub fn position(text: &str, path: &[Step]) -> usize {
    let Ok(document) = DeTable::parse(text) else { return 0 };
    let mut at = document.span().start;
    let mut table = Some(document.get_ref());
    let mut array = None;
    for step in path {
        let value = match step {
            Step::Key(key) => table.and_then(|table| {
                table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
            }),
            Step::Index(index) => array.and_then(|array: &toml::de::DeArray<'_>| array.get(*index)),
        };
        let Some(value) = value else { break };
        at = value.span().start;
        table = match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => None,
        };
        array = match value.get_ref() {
            DeValue::Array(array) => Some(array),
            _ => None,
        };
    }
    at
}

/// The refusal of what stands at this byte of the text.
pub fn locate(file: &str, text: &str, at: usize, reason: String) -> ScenarioError {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    ScenarioError {
        file: file.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        reason,
        excerpt: text[line_start..].lines().next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests;
