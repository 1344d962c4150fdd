//! What changes of the cluster do: cells of movement, failover and restart.

use serde::{Deserialize, Serialize};

use crate::result::{ReportError, fraction, optional, quantity};

/// A node that a change touches.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ChangedNode {
    /// Its name.
    pub name: String,
    /// Its weight.
    pub weight: f64,
}

/// What one combination moves under one change.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct MovementCell {
    /// Key of the strategy.
    pub strategy: String,
    /// Key of the hash function.
    pub hash: String,
    /// Number of nodes before the change.
    pub nodes: u64,
    /// Key of the population.
    pub population: String,
    /// The change in words, the same for every strategy: `add 1 node`.
    pub change: String,
    /// The nodes that left.
    #[serde(default)]
    pub left: Vec<ChangedNode>,
    /// The nodes that joined or came back.
    #[serde(default)]
    pub joined: Vec<ChangedNode>,
    /// The nodes that stayed with another weight, which is the one they have now.
    #[serde(default)]
    pub reweighted: Vec<ChangedNode>,
    /// What has to be known of this strategy to read the figures, if anything.
    #[serde(default)]
    pub note: Option<String>,
    /// Part of the load that moved.
    pub moved: f64,
    /// Part of the destinations that moved, whatever their popularity: what a strategy that does
    /// not know loads is judged by. `None` for one that moves load.
    #[serde(default)]
    pub moved_count: Option<f64>,
    /// The least part that must move for the new shares to be fair.
    pub optimal: f64,
    /// What theory expects this strategy to move; `None` where there is no formula.
    #[serde(default)]
    pub expected: Option<f64>,
    /// Part of the load that moved between two nodes that the change did not touch.
    #[serde(default)]
    pub collateral: f64,
    /// Peak after the change.
    #[serde(default)]
    pub peak_after: Option<f64>,
    /// The least peak that any placement can reach after the change.
    #[serde(default)]
    pub bound_after: Option<f64>,
}

/// The worst failure of one node, when the second nodes of its rows serve in its place.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FailoverCell {
    /// Key of the strategy.
    pub strategy: String,
    /// Key of the hash function.
    pub hash: String,
    /// Number of nodes before the failure.
    pub nodes: u64,
    /// Key of the population.
    pub population: String,
    /// The largest load of a survivor, over all failures, relative to its fair share.
    pub peak: f64,
    /// The node whose failure gives that load.
    #[serde(default)]
    pub left: Option<String>,
    /// The peak that the strategy's spread of second nodes gives without chance.
    #[serde(default)]
    pub structural: Option<f64>,
    /// The peak that theory expects, with chance; `None` where it is not known.
    #[serde(default)]
    pub expected: Option<f64>,
    /// Probability that chance gives a peak at least as far from the expected one.
    #[serde(default)]
    pub p_value: Option<f64>,
    /// The least peak that any placement of whole destinations reaches on the survivors.
    pub bound: f64,
}

/// A process that starts again after a node had left and come back, and makes its placement from
/// the list of nodes alone.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RestartCell {
    /// Key of the strategy.
    pub strategy: String,
    /// Key of the hash function.
    pub hash: String,
    /// Number of nodes.
    pub nodes: u64,
    /// Key of the population.
    pub population: String,
    /// The node that had left and come back.
    #[serde(default)]
    pub left: Option<String>,
    /// Part of the load that it places elsewhere than those that were not restarted.
    pub elsewhere: f64,
}

impl MovementCell {
    /// Moved against the least that must move, by destinations where they are counted and else by
    /// load; `None` if nothing must move.
    pub fn ratio(&self) -> Option<f64> {
        (self.optimal > 0.0).then(|| self.moved_count.unwrap_or(self.moved) / self.optimal)
    }

    /// Who left, joined or changed its weight, in words; empty if nobody did.
    pub fn who(&self) -> String {
        let weighted = |node: &ChangedNode| format!("{} (weight {})", node.name, node.weight);
        let plain = |node: &ChangedNode| node.name.clone();
        let said = [
            listed(&self.left, plain).map(|who| format!("{who} left")),
            listed(&self.joined, weighted).map(|who| format!("{who} joined")),
            listed(&self.reweighted, weighted).map(|who| format!("{who} stayed")),
        ];
        said.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    pub(super) fn validate(&self, path: &str) -> Result<(), ReportError> {
        let lists =
            [("left", &self.left), ("joined", &self.joined), ("reweighted", &self.reweighted)];
        for (list, nodes) in lists {
            for (i, node) in nodes.iter().enumerate() {
                quantity(&format!("{path}.{list}[{i}].weight"), node.weight)?;
            }
        }
        fraction(&format!("{path}.moved"), self.moved)?;
        fraction(&format!("{path}.moved_count"), self.moved_count.unwrap_or_default())?;
        fraction(&format!("{path}.optimal"), self.optimal)?;
        fraction(&format!("{path}.collateral"), self.collateral)?;
        optional(&format!("{path}.expected"), self.expected)?;
        optional(&format!("{path}.peak_after"), self.peak_after)?;
        optional(&format!("{path}.bound_after"), self.bound_after)
    }
}

/// The first few nodes in words; `None` if there are none.
fn listed(nodes: &[ChangedNode], word: impl Fn(&ChangedNode) -> String) -> Option<String> {
    const SHOWN: usize = 8;
    let mut words: Vec<String> = nodes.iter().take(SHOWN).map(word).collect();
    if nodes.len() > SHOWN {
        words.push(format!("{} more", nodes.len() - SHOWN));
    }
    (!words.is_empty()).then(|| words.join(", "))
}
