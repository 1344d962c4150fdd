//! What the failure of a node costs before anything is moved, beside what theory expects.

use std::collections::BTreeMap;

use paceline_placement::{NodeIndex, NodeState, Nodes, PlacementError, StrategyKind, theory};
use paceline_reports::compare::FailoverCell;

use super::{
    balance::{Labels, bound},
    entry::{Entry, Items, Placed, Setting, weights},
};

/// The worst failure: that of the node whose loss gives some survivor the most. `Err` says why this
/// strategy cannot be asked.
pub(super) fn measure(
    labels: Labels,
    items: &Items,
    nodes: &Nodes,
    setting: &Setting,
) -> Result<FailoverCell, String> {
    let refused = |error: PlacementError| error.to_string();
    let placed = Placed::new(labels.entry, nodes, items, setting).map_err(refused)?;
    let theory = expected(labels, &placed, items, nodes, setting);
    let (peak, dead) = worst(&placed, items, nodes, setting.replicas);
    let mut survivors = nodes.clone();
    let first = nodes.get(NodeIndex(0)).name.clone();
    survivors.set_state(&first, NodeState::Gone).map_err(refused)?;
    Ok(FailoverCell {
        strategy: labels.entry.name().to_owned(),
        hash: labels.hash.to_owned(),
        nodes: nodes.len() as u64,
        population: labels.population.name.clone(),
        peak,
        left: Some(nodes.get(dead).display_name()),
        structural: theory.as_ref().map(theory::Failover::structural),
        expected: theory.as_ref().map(theory::Failover::expected),
        p_value: theory.as_ref().map(|theory| theory.p_value(peak)),
        bound: bound(&labels.population.shares, &survivors),
    })
}

/// The largest load of a survivor over all failures, and the node whose failure gives it.
fn worst(placed: &Placed, items: &Items, nodes: &Nodes, replicas: usize) -> (f64, NodeIndex) {
    let weights = weights(nodes);
    let mut primary = vec![0.0; nodes.len()];
    let mut takes_over = BTreeMap::<(NodeIndex, NodeIndex), f64>::new();
    let mut row = vec![NodeIndex::default(); replicas];
    for (key, share) in items.keys.iter().zip(items.shares.iter()) {
        placed.strategy().place(*key, &mut row);
        primary[row[0].get()] += share;
        *takes_over.entry((row[0], row[1])).or_default() += share;
    }
    let total: f64 = weights.iter().sum();
    let after = |dead: usize| {
        let takes_over = &takes_over;
        let (primary, weights) = (&primary, &weights);
        (0..nodes.len()).filter(move |at| *at != dead).map(move |at| {
            let pair = (NodeIndex(dead as u32), NodeIndex(at as u32));
            let more = takes_over.get(&pair).copied().unwrap_or(0.0);
            ((primary[at] + more) * (total - weights[dead]) / weights[at], pair.0)
        })
    };
    let worst = (0..nodes.len()).flat_map(after).max_by(|(a, _), (b, _)| a.total_cmp(b));
    worst.unwrap_or_default()
}

/// What chance gives equal destinations on equal nodes: by the table where there is one, and else
/// for strategies that draw the second node as they draw the first.
fn expected(
    labels: Labels,
    placed: &Placed,
    items: &Items,
    nodes: &Nodes,
    setting: &Setting,
) -> Option<theory::Failover> {
    let Entry::Kind(kind) = labels.entry else { return None };
    let Setting { slots, replicas, .. } = *setting;
    let (n, weights) = (nodes.len(), weights(nodes));
    if !labels.population.is_uniform() || weights.iter().any(|weight| *weight != weights[0]) {
        return None;
    }
    let zoned = nodes.iter().any(|(_, node)| node.zone.is_some());
    let pairs = match kind {
        kind if kind.works_on_slots() => {
            let mut pairs = vec![0.0; n * n];
            let mut row = vec![NodeIndex::default(); replicas];
            for slot in slots.iter() {
                placed.strategy().place(u64::from(slot.0), &mut row);
                pairs[row[0].get() * n + row[1].get()] += 1.0 / f64::from(slots.get());
            }
            pairs
        }
        StrategyKind::Rendezvous
        | StrategyKind::Straw2
        | StrategyKind::Jump
        | StrategyKind::JumpBack
        | StrategyKind::Flip
        | StrategyKind::Anchor
        | StrategyKind::Dx
        | StrategyKind::Memento
            if !zoned && n > 1 =>
        {
            theory::Failover::even_pairs(n)
        }
        _ => return None,
    };
    theory::Failover::new(&pairs, n, items.keys.len() as u64)
}
