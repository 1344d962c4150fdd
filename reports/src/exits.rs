//! Exits: nodes whose process ended by itself, without a panic, and was started again.
//!
//! A node that cannot go on, because its disk is full or fails, says so and ends; whoever runs it
//! starts it again. That is as it should be, so a run may pass with exits. No report hides them.

use std::{collections::BTreeMap, ops::AddAssign};

use serde::{Deserialize, Serialize};

/// Why a node ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitCause {
    /// Its disk had no space left.
    DiskFull,
    /// Its disk refused for another reason, such as an input/output error.
    DiskFailure,
    /// Anything else; [`NodeExits::said`] tells.
    Other,
}

impl ExitCause {
    /// The cause in words.
    pub fn label(self) -> &'static str {
        match self {
            ExitCause::DiskFull => "disk full",
            ExitCause::DiskFailure => "disk failure",
            ExitCause::Other => "other reasons",
        }
    }
}

/// How often one node ended by itself for one cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeExits {
    /// The node's name.
    pub node: String,
    /// Why it ended.
    pub cause: ExitCause,
    /// How often it ended.
    pub exits: u64,
    /// How often it was started again afterwards.
    pub restarts: u64,
    /// When it first ended.
    pub first_s: f64,
    /// When it last ended.
    pub last_s: f64,
    /// What it said when it first ended.
    pub said: String,
}

/// Exits of several nodes, or of several runs, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitCounts {
    /// How many exits each cause had.
    pub exits: BTreeMap<ExitCause, u64>,
    /// How many of them a restart followed.
    pub restarts: u64,
}

impl ExitCounts {
    /// Of all causes.
    pub fn total(&self) -> u64 {
        self.exits.values().sum()
    }

    /// In words, such as `3 exits of nodes (disk full), 3 restarts`; `None` if there were none.
    pub fn in_words(&self) -> Option<String> {
        let total = self.total();
        let causes: Vec<String> = match self.exits.len() {
            1 => self.exits.keys().map(|cause| cause.label().to_owned()).collect(),
            _ => self.exits.iter().map(|(cause, n)| format!("{n} {}", cause.label())).collect(),
        };
        let exits = match total {
            1 => "1 exit of a node".to_owned(),
            n => format!("{n} exits of nodes"),
        };
        let restarts = match self.restarts {
            0 => "no restart".to_owned(),
            1 => "1 restart".to_owned(),
            n => format!("{n} restarts"),
        };
        (total > 0).then(|| format!("{exits} ({}), {restarts}", causes.join(", ")))
    }
}

impl<'a> FromIterator<&'a NodeExits> for ExitCounts {
    fn from_iter<I: IntoIterator<Item = &'a NodeExits>>(exits: I) -> Self {
        let mut counts = ExitCounts::default();
        for it in exits {
            *counts.exits.entry(it.cause).or_default() += it.exits;
            counts.restarts += it.restarts;
        }
        counts
    }
}

impl AddAssign<&ExitCounts> for ExitCounts {
    fn add_assign(&mut self, other: &ExitCounts) {
        for (&cause, n) in &other.exits {
            *self.exits.entry(cause).or_default() += n;
        }
        self.restarts += other.restarts;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn exits_of(node: &str, cause: ExitCause, exits: u64) -> NodeExits {
        NodeExits {
            node: node.into(),
            cause,
            exits,
            restarts: exits,
            first_s: 1.0,
            last_s: 2.0,
            said: "No space left on device".into(),
        }
    }

    #[test]
    fn exits_are_told_by_their_cause() {
        let full = exits_of("n1", ExitCause::DiskFull, 2);
        let failing = exits_of("n2", ExitCause::DiskFailure, 1);
        let words = |exits: &[&NodeExits]| exits.iter().copied().collect::<ExitCounts>().in_words();
        assert_eq!(words(&[]), None);
        assert_eq!(words(&[&full]).unwrap(), "2 exits of nodes (disk full), 2 restarts");
        assert_eq!(words(&[&failing]).unwrap(), "1 exit of a node (disk failure), 1 restart");
        assert_eq!(
            words(&[&failing, &full]).unwrap(),
            "3 exits of nodes (2 disk full, 1 disk failure), 3 restarts"
        );
    }

    #[test]
    fn counts_of_runs_add_up() {
        let one: ExitCounts = [&exits_of("n1", ExitCause::DiskFull, 2)].into_iter().collect();
        let mut all = one.clone();
        all += &one;
        assert_eq!((all.total(), all.restarts), (4, 4));
    }
}
