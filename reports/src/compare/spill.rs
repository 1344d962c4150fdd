//! What spilling message by message does to a bounded load.

use serde::{Deserialize, Serialize};

use crate::result::{ReportError, fraction, quantity};

/// Messages of one population over some nodes, each taken by the first node of its row that is not
/// above its bound at that moment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SpillCell {
    /// Key of the strategy.
    pub strategy: String,
    /// Key of the hash function.
    pub hash: String,
    /// Number of nodes.
    pub nodes: u64,
    /// Key of the population.
    pub population: String,
    /// The bound: so many times its fair part of what is in flight.
    pub factor: f64,
    /// Messages that are in flight at any moment.
    pub in_flight: u64,
    /// Messages that were followed.
    pub messages: u64,
    /// The most that a node ever had in flight, relative to its fair part.
    pub peak: f64,
    /// The most that a node took of all messages, relative to its fair part.
    pub share_peak: f64,
    /// The same without a bound, when each takes all that is placed on it.
    pub unbounded_peak: f64,
    /// Part of the messages that another node than the first of the row took.
    pub spilled: f64,
    /// The least part that must: what is placed on nodes above their bounds.
    pub least_spilled: f64,
    /// On how many nodes messages of the most popular destination were.
    pub hottest_on: u64,
}

impl SpillCell {
    pub(super) fn validate(&self, path: &str) -> Result<(), ReportError> {
        for (name, value) in [
            ("factor", self.factor),
            ("peak", self.peak),
            ("share_peak", self.share_peak),
            ("unbounded_peak", self.unbounded_peak),
        ] {
            quantity(&format!("{path}.{name}"), value)?;
        }
        fraction(&format!("{path}.spilled"), self.spilled)?;
        fraction(&format!("{path}.least_spilled"), self.least_spilled)
    }
}
