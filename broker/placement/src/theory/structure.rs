//! What circles add to chance by their own construction.

use super::ring_cv;
use crate::{Nodes, Parameters, StrategyKind};

/// With fewer points a node, a chain of CRCs spreads those of nodes with like names more evenly than
/// chance would.
const CHAIN: u64 = 16;

/// Coefficient of variation of the shares that a circle gives nodes of equal weight, over all names
/// that they may have. `None` for strategies without a circle, or with one whose variation nobody
/// has put into a formula, for nodes of unequal weight, and where it cannot be built.
pub fn circle_cv(kind: StrategyKind, nodes: &Nodes, with: &Parameters) -> Option<f64> {
    let mut weights = nodes.up().map(|(_, node)| node.weight);
    let first = weights.next()?;
    if !weights.all(|weight| weight == first) {
        return None;
    }
    let least = match kind {
        StrategyKind::Ring | StrategyKind::Ketama => 1,
        StrategyKind::KetamaNginx => CHAIN,
        _ => return None,
    };
    // All have as many as the first.
    let points = kind.points(nodes, with).ok()??[0];
    (points >= least).then(|| ring_cv(nodes.count_up(), points as f64))
}
