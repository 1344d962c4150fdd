//! Loads over a course of changes.

use std::borrow::Cow;

use paceline_placement::{
    HashFunction, Node, NodeIndex, NodeState, Nodes, PlacementError, strategies::Slots, theory,
};
use paceline_reports::compare::{Course, CourseStep};

use super::{
    balance::Labels,
    entry::{Entry, Items, Placed, Setting, balance_of_up, loads, loads_and_even, moved, weights},
    format::CourseSpec,
};

impl CourseSpec {
    /// What happens, in words.
    pub(super) fn describe(self) -> String {
        match self {
            CourseSpec::Drift { swap, .. } => {
                format!(
                    "drift: {:.0} % of the destinations swap popularity in each step",
                    100.0 * swap
                )
            }
            CourseSpec::Flapping { .. } => "flapping: a node leaves and comes back".into(),
            CourseSpec::RollingRestart { .. } => {
                "rolling restart: each node leaves and comes back".into()
            }
            CourseSpec::Growth { from } => format!("growth: from {from} nodes, one at a time"),
            CourseSpec::Idle { .. } => "idle: nothing changes, the balancer runs again".into(),
        }
    }
}

/// A node to take away or bring back before a step, with what to say about it.
struct Event {
    node: Node,
    joins: bool,
}

/// Runs a course. `Err` says why this strategy cannot be asked.
pub(super) fn measure(
    labels: Labels,
    course: CourseSpec,
    whole: &Items,
    nodes: &Nodes,
    setting: &Setting,
    seed: u64,
) -> Result<Course, String> {
    let refused = |error: PlacementError| error.to_string();
    let entry = labels.entry;
    let setting = Setting { replicas: 1, ..setting.clone() };
    let most = nodes.len();
    let all: Vec<Node> = nodes.iter().map(|(_, node)| node.clone()).collect();
    let (mut nodes, events) = match course {
        CourseSpec::Drift { steps, .. } | CourseSpec::Idle { steps } => {
            (nodes.clone(), (0..steps).map(|_| None).collect())
        }
        CourseSpec::Flapping { steps } => {
            let event = |step: usize| Some(Event { node: all[0].clone(), joins: step % 2 == 1 });
            (nodes.clone(), (0..steps).map(event).collect())
        }
        CourseSpec::RollingRestart { nodes: restarted } => {
            let both =
                |node: &Node| [false, true].map(|joins| Some(Event { node: node.clone(), joins }));
            (nodes.clone(), all.iter().take(restarted).flat_map(both).collect::<Vec<_>>())
        }
        CourseSpec::Growth { from } => {
            let joins = |node: &Node| Some(Event { node: node.clone(), joins: true });
            let all = in_order_of_growth(nodes, all);
            let few = Nodes::in_order(all[..from].to_vec()).map_err(refused)?;
            (few, all[from..].iter().map(joins).collect())
        }
    };
    // As many parts as the full number of nodes needs; those that are away come back.
    let items = entry.items(whole, most);
    let mut shares: Cow<[f64]> = Cow::Borrowed(&whole.shares);
    let mut placed = Placed::new(entry, &nodes, &items, &setting).map_err(refused)?;
    let mut before = placed.assign(&items);
    let mut steps = vec![step(&nodes, &before, &items.shares, 0.0, None, None)];
    for (number, event) in events.into_iter().enumerate() {
        let weights_before = weights(&nodes);
        let label = match &event {
            Some(Event { node, joins: true }) => {
                nodes.join(node.clone()).map_err(refused)?;
                Some(format!("{} joins", node.display_name()))
            }
            Some(Event { node, joins: false }) => {
                nodes.set_state(&node.name, NodeState::Gone).map_err(refused)?;
                Some(format!("{} leaves", node.display_name()))
            }
            None => None,
        };
        let shares_before = shares.clone();
        if let CourseSpec::Drift { swap, .. } = course {
            swap_popularity(shares.to_mut(), swap, seed ^ number as u64);
        }
        let now = Items { keys: Cow::Borrowed(&whole.keys), shares: Cow::Borrowed(&shares) };
        let now = entry.items(&now, most);
        let optimal = match (course, entry) {
            (CourseSpec::Drift { .. }, Entry::SlotsByLoad) => {
                let (loads, even) = loads_and_even(&before, &before, &shares, &weights(&nodes));
                let caps = even.iter().map(|load| load * (1.0 + Slots::TOLERANCE));
                Some(loads.iter().zip(caps).map(|(load, cap)| (load - cap).max(0.0)).sum())
            }
            // The parts are others than before; what each of them must move nobody has worked out.
            (CourseSpec::Drift { .. }, Entry::SlotsSplit) => None,
            (CourseSpec::Drift { .. }, _) => Some(0.0),
            _ => Some(theory::least_moved(&weights_before, &weights(&nodes))),
        };
        placed.follow(&nodes, &now).map_err(refused)?;
        let after = placed.assign(&now);
        let moved = moved(entry, most, (&before, &shares_before), (&after, &shares));
        steps.push(step(&nodes, &after, &now.shares, moved, optimal, label));
        before = after;
    }
    let names: Vec<String> = nodes.iter().map(|(_, node)| node.display_name()).collect();
    for step in &mut steps {
        step.relative_loads.resize(names.len(), None);
    }
    Ok(Course {
        title: course.describe(),
        strategy: entry.name().to_owned(),
        hash: labels.hash.to_owned(),
        nodes: names,
        steps,
    })
}

/// Nodes in the order of the numbers in their names, or of the list of their names.
fn in_order_of_growth(nodes: &Nodes, mut all: Vec<Node>) -> Vec<Node> {
    let numbered = (1..=all.len()).all(|n| nodes.find(format!("n{n}").as_bytes()).is_some());
    if numbered {
        all.sort_by(|a, b| a.name.len().cmp(&b.name.len()).then(a.name.cmp(&b.name)));
    }
    all
}

fn step(
    nodes: &Nodes,
    assigned: &[NodeIndex],
    shares: &[f64],
    moved: f64,
    optimal: Option<f64>,
    label: Option<String>,
) -> CourseStep {
    let relative = balance_of_up(&loads(assigned, shares, nodes.len()), nodes).relative;
    let mut relative_loads = vec![None; nodes.len()];
    for ((index, _), load) in nodes.up().zip(relative) {
        relative_loads[index.get()] = Some(load);
    }
    CourseStep { relative_loads, moved: moved.min(1.0), optimal, label }
}

/// Swaps the shares of some destinations with those of others, drawn from the seed.
fn swap_popularity(shares: &mut [f64], part: f64, seed: u64) {
    let count = shares.len() as u64;
    let swaps = (part * count as f64 / 2.0).ceil() as u64;
    let draw = |number: u64| {
        let bytes = [seed.to_le_bytes(), number.to_le_bytes()].concat();
        (HashFunction::Blake3.hash(&bytes) % count) as usize
    };
    for swap in 0..swaps {
        shares.swap(draw(2 * swap), draw(2 * swap + 1));
    }
}
