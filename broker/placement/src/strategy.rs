//! What every strategy does, and how one is found by its name.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    error::PlacementError,
    node::{NodeIndex, Nodes},
    slot::SlotCount,
    strategies,
};

/// A rule that gives every key an ordered row of distinct nodes.
///
/// A strategy is a value that was built from a list of nodes and follows the changes of that list.
/// Some have a history: two of them that saw the same changes in the same order agree, two that
/// were built at different times may not.
pub trait Strategy: fmt::Debug + Send + Sync {
    /// Fills `row` with distinct nodes for this key, the one to serve it first, the others to hold
    /// its copies. No two are in one zone as long as there are zones that are not in the row yet.
    ///
    /// # Panics
    /// When the row is longer than the strategy was built for.
    fn place(&self, key: u64, row: &mut [NodeIndex]);

    /// The first node of the row of each key.
    fn place_all(&self, keys: &[u64], first: &mut [NodeIndex]) {
        for (key, node) in keys.iter().zip(first) {
            self.place(*key, std::slice::from_mut(node));
        }
    }

    /// Follows a change of the list: nodes that joined, left, or changed their weight.
    ///
    /// The list must be the one the strategy was built from, or one that it became.
    fn update(&mut self, nodes: &Nodes) -> Result<(), PlacementError>;

    /// Bytes of memory that look-ups read.
    fn bytes(&self) -> usize;
}

/// The strategies, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StrategyKind {
    /// [`strategies::Modulo`]
    Modulo,
    /// [`strategies::Slots`]
    Slots,
}

impl StrategyKind {
    /// Every strategy.
    pub const ALL: [Self; 2] = [Self::Modulo, Self::Slots];

    /// The name used in scenarios, configurations and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Modulo => "modulo",
            Self::Slots => "slots",
        }
    }

    /// All names, comma-separated, for messages.
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Builds the strategy for keys that fall into `slots` slots and rows of `replicas` nodes.
    pub fn build(
        self,
        nodes: &Nodes,
        slots: SlotCount,
        replicas: usize,
    ) -> Result<Box<dyn Strategy>, PlacementError> {
        nodes.check_replicas(replicas)?;
        SlotCount::new(u64::from(slots.get()), nodes.count_up())?;
        Ok(match self {
            Self::Modulo => Box::new(strategies::Modulo::new(nodes, slots)?),
            Self::Slots => Box::new(strategies::Slots::new(nodes, slots, replicas)?),
        })
    }

    /// The key that stands for a whole slot when slots are placed instead of names.
    pub(crate) fn slot_key(self, slot: u32) -> u64 {
        match self {
            Self::Modulo | Self::Slots => u64::from(slot),
        }
    }
}

impl fmt::Display for StrategyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for StrategyKind {
    type Err = PlacementError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            PlacementError::UnknownStrategy { given: name.to_owned(), known: Self::names() }
        })
    }
}
