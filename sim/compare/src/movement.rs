//! What each combination moves when the cluster changes, beside the least that must move.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use paceline_placement::{
    HashFunction, Node, NodeIndex, NodeState, Nodes, PlacementError, SlotCount, StrategyKind,
    strategies::Slots, theory,
};
use paceline_reports::compare::{ChangedNode, MovementCell, RestartCell};

use super::{
    balance::{Labels, bound},
    cluster::newcomers,
    entry::{Entry, Items, Placed, Setting, balance_of_up, loads, loads_and_even, weights},
    format::{Change, Joining, Reweighted, Which},
};

impl Change {
    /// The change in words, the same for every strategy.
    pub(super) fn describe(&self) -> String {
        match self {
            Change::Add(joining) => {
                let weights: Vec<String> = joining.weights.iter().map(f64::to_string).collect();
                let who = match &joining.names[..] {
                    [] => counted(joining.nodes),
                    names => names.join(", "),
                };
                match &weights[..] {
                    [] => format!("add {who}"),
                    [weight] => format!("add {who} of weight {weight}"),
                    weights => format!("add {who} of weights {}", weights.join(", ")),
                }
            }
            Change::Remove(which) => format!("remove {which}"),
            Change::Restore(which) => format!("restore {which}"),
            Change::Weight(Reweighted { which, factor }) => format!("weight of {which} × {factor}"),
            Change::ZoneLoss(_) => "lose 1 zone".into(),
            Change::Failover(_) => "1 node fails, copies take over".into(),
            Change::Restart(_) => "restart with nothing remembered".into(),
        }
    }

    /// Makes the change, and tells which nodes it touches.
    fn apply(&self, nodes: &mut Nodes, seed: u64) -> Result<BTreeSet<NodeIndex>, PlacementError> {
        match self {
            Change::Add(joining) => {
                joining.nodes(nodes).into_iter().map(|node| nodes.join(node)).collect()
            }
            Change::Remove(which) => {
                let leaving = which.of(nodes, seed);
                set_state(nodes, &leaving, NodeState::Gone)?;
                Ok(leaving)
            }
            Change::Restore(which) => {
                let returning = which.of(nodes, seed);
                set_state(nodes, &returning, NodeState::Up)?;
                Ok(returning)
            }
            Change::Weight(Reweighted { which, factor }) => {
                let reweighted = which.of(nodes, seed);
                for index in &reweighted {
                    let (name, weight) = (nodes.get(*index).name.clone(), nodes.get(*index).weight);
                    nodes.set_weight(&name, weight * factor)?;
                }
                Ok(reweighted)
            }
            Change::ZoneLoss(_) => {
                let in_zone = |(_, node): &(_, &Node)| node.zone.as_deref() == Some("z1");
                let lost = nodes.iter().filter(in_zone).map(|(index, _)| index).collect();
                set_state(nodes, &lost, NodeState::Gone)?;
                Ok(lost)
            }
            // Nodes stay as they are.
            Change::Failover(_) | Change::Restart(_) => Ok(BTreeSet::new()),
        }
    }
}

fn counted(nodes: usize) -> String {
    if nodes == 1 { "1 node".into() } else { format!("{nodes} nodes") }
}

impl Joining {
    /// The nodes that join `others`.
    fn nodes(&self, others: &Nodes) -> Vec<Node> {
        let mut joining = newcomers(others, self.nodes);
        for (node, name) in joining.iter_mut().zip(&self.names) {
            node.name = name.clone().into_bytes();
        }
        for (node, weight) in joining.iter_mut().zip(self.weights.iter().cycle()) {
            node.weight = *weight;
        }
        joining
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::Drawn(count) => f.write_str(&counted(*count)),
            Which::Last(1) => f.write_str("the last node"),
            Which::Last(count) => write!(f, "the last {count} nodes"),
            Which::Named(names) => f.write_str(&names.join(", ")),
        }
    }
}

impl Which {
    /// The places of the nodes that are meant.
    fn of(&self, nodes: &Nodes, seed: u64) -> BTreeSet<NodeIndex> {
        match self {
            Which::Drawn(count) => draw(nodes, *count, seed),
            Which::Last(count) => {
                let last = nodes.len().saturating_sub(*count);
                nodes.iter().skip(last).map(|(index, _)| index).collect()
            }
            Which::Named(names) => names.iter().filter_map(|n| nodes.find(n.as_bytes())).collect(),
        }
    }
}

pub(super) fn set_state(
    nodes: &mut Nodes,
    which: &BTreeSet<NodeIndex>,
    state: NodeState,
) -> Result<(), PlacementError> {
    for index in which {
        let name = nodes.get(*index).name.clone();
        nodes.set_state(&name, state)?;
    }
    Ok(())
}

/// Some nodes, drawn from the seed.
fn draw(nodes: &Nodes, count: usize, seed: u64) -> BTreeSet<NodeIndex> {
    let mut order: Vec<(u64, NodeIndex)> = nodes
        .iter()
        .map(|(index, node)| {
            let bytes = [&seed.to_le_bytes(), &node.name[..]].concat();
            (HashFunction::Blake3.hash(&bytes), index)
        })
        .collect();
    order.sort_unstable();
    order.into_iter().take(count).map(|(_, index)| index).collect()
}

/// Makes one change and measures what moves. `Err` says why this strategy cannot be asked.
pub(super) fn measure(
    labels: Labels,
    change: &Change,
    items: &Items,
    mut nodes: Nodes,
    setting: &Setting,
    seed: u64,
) -> Result<MovementCell, String> {
    let Labels { entry, hash, population, .. } = labels;
    let count = nodes.count_up();
    if matches!(change, Change::Weight { .. }) && !entry.honours_weights() {
        return Err("it does not know weights".into());
    }
    let refused = |error: PlacementError| error.to_string();
    let mut placed = Placed::new(entry, &nodes, items, setting).map_err(refused)?;
    if let Change::Restore(which) = change {
        let away = which.of(&nodes, seed);
        set_state(&mut nodes, &away, NodeState::Gone).map_err(refused)?;
        placed.update(&nodes).map_err(refused)?;
    }
    let weights_before = weights(&nodes);
    let nodes_before = nodes.clone();
    let before = placed.assign(items);
    let touched = change.apply(&mut nodes, seed).map_err(refused)?;
    let owners_before = slot_owners(entry, &placed, setting.slots);
    placed.update(&nodes).map_err(refused)?;
    let owners_after = slot_owners(entry, &placed, setting.slots);
    let after = placed.assign(items);
    let weights_after = weights(&nodes);

    let (mut moved, mut count_moved, mut collateral) = (0.0, 0u64, 0.0);
    for ((from, to), share) in before.iter().zip(&after).zip(items.shares.iter()) {
        if from != to {
            moved += share;
            count_moved += 1;
            if !touched.contains(from) && !touched.contains(to) {
                collateral += share;
            }
        }
    }
    let peak_after = balance_of_up(&loads(&after, &items.shares, nodes.len()), &nodes).peak;
    let (optimal, moved_count) = match entry {
        Entry::Kind(_) => {
            let optimal = theory::least_moved(&weights_before, &weights_after);
            (optimal, Some(count_moved as f64 / before.len() as f64))
        }
        // What they move is load, and popular destinations stay where they are as long as they can.
        Entry::SlotsByLoad | Entry::SlotsSplit => {
            let even = least_to_even(&before, &after, items, &weights_after);
            let of_lost = match setting.replicas {
                1 => {
                    let loads = items.slot_loads(setting.slots);
                    least_of_loss(&owners_before, &owners_after, &loads, &weights_after)
                }
                // With more, a slot may go to the nodes of its row only.
                _ => 0.0,
            };
            (even.max(of_lost), None)
        }
    };
    let expected = match entry {
        Entry::Kind(kind) if kind.works_on_slots() => {
            let pairs = owners_before.iter().zip(&owners_after);
            Some(pairs.filter(|(a, b)| a != b).count() as f64 / owners_before.len() as f64)
        }
        _ if others_points_change(entry, &nodes_before, &nodes, &touched, setting) => None,
        _ => expected(entry, change, count, optimal, touched.iter().any(|n| n.get() + 1 < count)),
    };
    let [left, joined, reweighted] = who(&nodes_before, &nodes);
    Ok(MovementCell {
        strategy: entry.name().to_owned(),
        hash: hash.to_owned(),
        nodes: count as u64,
        population: population.name.clone(),
        change: change.describe(),
        note: renumbering(entry, &nodes_before, &nodes),
        left,
        joined,
        reweighted,
        moved: moved.min(1.0),
        moved_count,
        optimal: optimal.min(1.0),
        expected,
        collateral: collateral.min(1.0),
        peak_after: Some(peak_after),
        bound_after: Some(bound(&population.shares, &nodes)),
    })
}

/// The nodes that left, those that joined, and those that stayed with another weight.
fn who(before: &Nodes, after: &Nodes) -> [Vec<ChangedNode>; 3] {
    let [mut left, mut joined, mut reweighted] = [const { Vec::new() }; 3];
    let up = |node: &&Node| node.state == NodeState::Up;
    for (index, now) in after.iter() {
        // Places stay the same, and those that joined are behind the others.
        let was = (index.get() < before.len()).then(|| before.get(index)).filter(up);
        let changed = || ChangedNode { name: now.display_name(), weight: now.weight };
        match (was, now.state == NodeState::Up) {
            (Some(_), false) => left.push(changed()),
            (None, true) => joined.push(changed()),
            (Some(was), true) if was.weight != now.weight => reweighted.push(changed()),
            _ => {}
        }
    }
    [left, joined, reweighted]
}

/// What a strategy that numbers its nodes has to do where others than the last ones leave.
fn renumbering(entry: Entry, before: &Nodes, after: &Nodes) -> Option<String> {
    use StrategyKind as K;
    let Entry::Kind(K::Jump | K::JumpBack | K::Flip) = entry else { return None };
    let stays = |index: NodeIndex| after.get(index).state == NodeState::Up;
    let numbered: Vec<(bool, String)> =
        before.up().map(|(index, node)| (stays(index), node.display_name())).collect();
    let leaving = numbered.iter().filter(|(stays, _)| !stays).count();
    let (_, last) = numbered.split_at(numbered.len() - leaving);
    let moved_up: Vec<&str> =
        last.iter().filter(|(stays, _)| *stays).map(|(_, name)| name.as_str()).collect();
    let which = if leaving == 1 { "the last node" } else { "the last nodes" };
    let numbers = if moved_up.len() == 1 { "takes the number" } else { "take the numbers" };
    (!moved_up.is_empty()).then(|| {
        format!(
            "only {which} can leave without a move between others; {} {numbers} of what left",
            moved_up.join(", ")
        )
    })
}

/// The least load that must move for the loads to be as even as whole destinations allow, each
/// node's most popular one staying where it is.
fn least_to_even(before: &[NodeIndex], after: &[NodeIndex], items: &Items, weights: &[f64]) -> f64 {
    let (loads, even) = loads_and_even(before, after, &items.shares, weights);
    even.iter().zip(&loads).map(|(even, load)| (even - load).max(0.0)).sum()
}

/// The least load that moves because nodes left: what they had, and what those that stay must give
/// up, since slots of the others are larger than the room of any of them and no node is to be
/// further above its share than the table allows.
fn least_of_loss(
    before: &[NodeIndex],
    after: &[NodeIndex],
    slot_loads: &[f64],
    weights: &[f64],
) -> f64 {
    let left = |node: &NodeIndex| weights[node.get()] == 0.0;
    let homeless: Vec<f64> =
        before.iter().zip(slot_loads).filter(|(node, _)| left(node)).map(|(_, l)| *l).collect();
    let (had, even) = loads_and_even(before, after, slot_loads, weights);
    // The table lets a node be so far above the others' level, or have one hot slot alone.
    let up = || even.iter().zip(weights).filter(|(_, weight)| **weight > 0.0);
    let level = up().map(|(even, weight)| even / weight).fold(f64::INFINITY, f64::min);
    let most = level * (1.0 + Slots::TOLERANCE);
    let caps: Vec<f64> = even.iter().zip(weights).map(|(even, w)| even.max(most * w)).collect();
    homeless.iter().sum::<f64>() + theory::least_displaced(&homeless, &had, &caps)
}

/// The owner of every slot, for strategies that have slots.
fn slot_owners(entry: Entry, placed: &Placed, slots: SlotCount) -> Vec<NodeIndex> {
    if matches!(entry, Entry::Kind(kind) if !kind.works_on_slots()) {
        return Vec::new();
    }
    let keys: Vec<u64> = slots.iter().map(|slot| u64::from(slot.0)).collect();
    let mut owners = vec![NodeIndex::default(); keys.len()];
    placed.strategy().place_all(&keys, &mut owners);
    owners
}

/// Whether a change gives other nodes than those it touches more or fewer points: libketama counts
/// them by the average weight. How much that moves nobody has worked out.
fn others_points_change(
    entry: Entry,
    before: &Nodes,
    after: &Nodes,
    touched: &BTreeSet<NodeIndex>,
    setting: &Setting,
) -> bool {
    let Entry::Kind(kind @ StrategyKind::Ketama) = entry else { return false };
    let points = |nodes: &Nodes| -> BTreeMap<NodeIndex, u64> {
        let points = kind.points(nodes, &setting.parameters).ok().flatten().unwrap_or_default();
        let others = nodes.up().map(|(index, _)| index).zip(points);
        others.filter(|(index, _)| !touched.contains(index)).collect()
    };
    points(before) != points(after)
}

/// What theory expects to move, for strategies that place keys by themselves.
fn expected(
    entry: Entry,
    change: &Change,
    nodes: usize,
    optimal: f64,
    not_the_last: bool,
) -> Option<f64> {
    let Entry::Kind(kind) = entry else { return None };
    match kind {
        StrategyKind::Maglev => None,
        // The last node takes the number of the lost one: both their keys move, but for those that
        // land on the last node again.
        StrategyKind::Jump | StrategyKind::JumpBack | StrategyKind::Flip => match change {
            Change::Add(_) => Some(optimal),
            Change::Remove(which) if which.count() == 1 && not_the_last => {
                let n = nodes as f64;
                Some(2.0 / n - 1.0 / (n * (n - 1.0)))
            }
            Change::Remove(which) if which.count() == 1 => Some(optimal),
            _ => None,
        },
        _ => Some(optimal),
    }
}

/// What becomes of a placement that a restarted process makes from the list of nodes alone, after a
/// node had left and come back: how much of it is elsewhere than where the others have it.
pub(super) fn restart(
    labels: Labels,
    items: &Items,
    mut nodes: Nodes,
    setting: &Setting,
    seed: u64,
) -> Result<RestartCell, String> {
    let refused = |error: PlacementError| error.to_string();
    let mut placed = Placed::new(labels.entry, &nodes, items, setting).map_err(refused)?;
    let away = draw(&nodes, 1, seed);
    for state in [NodeState::Gone, NodeState::Up] {
        set_state(&mut nodes, &away, state).map_err(refused)?;
        placed.update(&nodes).map_err(refused)?;
    }
    // There is no other state than the list of nodes, as it was at first.
    let list = nodes.iter().map(|(_, node)| node.clone());
    let again = Nodes::in_order(list).map_err(refused)?;
    let anew = Placed::new(labels.entry, &again, items, setting).map_err(refused)?;
    let pairs = placed.assign(items).into_iter().zip(anew.assign(items));
    let elsewhere = pairs
        .zip(items.shares.iter())
        .filter(|((old, new), _)| nodes.get(*old).name != again.get(*new).name)
        .map(|(_, share)| share);
    Ok(RestartCell {
        strategy: labels.entry.name().to_owned(),
        hash: labels.hash.to_owned(),
        nodes: nodes.len() as u64,
        population: labels.population.name.clone(),
        left: away.first().map(|index| nodes.get(*index).display_name()),
        // The sum of nothing would be -0.
        elsewhere: elsewhere.fold(0.0, |sum, share| sum + share).min(1.0),
    })
}
