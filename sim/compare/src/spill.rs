//! Bounded load message by message: each message goes to the first node of its destination's row
//! that is not above its bound at that moment.
//!
//! The strategy `bounded-load` bounds the slots of a node, so a hot destination still fills one.
//! Load balancers bound what is in flight instead, as HAProxy's `hash-balance-factor` and Envoy's
//! `hash_balance_factor` do, and give up that a destination is on one node.

use std::collections::{BTreeSet, VecDeque};

use paceline_placement::{HashFunction, Node, NodeIndex, Nodes, StrategyKind};
use paceline_reports::compare::SpillCell;

use super::{
    balance::Labels,
    entry::{Entry, Items, Placed, Setting, loads, weights},
};

/// Seconds that this takes on a usual machine, roughly: each message waits for the memory a few
/// times.
pub(super) fn rough_seconds(in_flight: usize) -> f64 {
    (in_flight + messages(in_flight)) as f64 * 1e-6
}

/// How many messages are followed.
fn messages(in_flight: usize) -> usize {
    (4 * in_flight).max(100_000)
}

/// Sends messages, drawn by the popularity of their destinations, until each of the first ones has
/// long been served, and measures the nodes from when so many as wanted are in flight. All take the
/// same time. `Err` says why it cannot be measured.
pub(super) fn measure(
    labels: Labels,
    items: &Items,
    nodes: &Nodes,
    setting: &Setting,
    in_flight: usize,
    seed: u64,
) -> Result<SpillCell, String> {
    // Clockwise, whatever zones the next nodes are in.
    let unzoned = nodes.iter().map(|(_, node)| Node { zone: None, ..node.clone() });
    let unzoned = Nodes::in_order(unzoned).map_err(|error| error.to_string())?;
    let setting = Setting { replicas: nodes.count_up(), ..setting.clone() };
    let ring = Placed::new(Entry::Kind(StrategyKind::Ring), &unzoned, items, &setting)
        .map_err(|error| error.to_string())?;
    let factor = setting.parameters.load_factor;
    let mut bounded = Bounded::new(weights(nodes), factor);
    let mut serving = VecDeque::with_capacity(in_flight);
    let cumulative = cumulative(&items.shares);
    let mut row = vec![NodeIndex::default(); nodes.count_up()];
    let mut taken = vec![0u64; nodes.len()];
    let (mut spilled, mut peak) = (0u64, 0.0f64);
    let mut hottest_on = BTreeSet::new();
    let followed = messages(in_flight);
    for number in 0..in_flight + followed {
        let steady = number >= in_flight;
        if steady && let Some(served) = serving.pop_front() {
            bounded.serve(served);
        }
        let item = drawn(&cumulative, seed, number as u64);
        let (node, first) = bounded.take(&ring, items.keys[item], &mut row);
        serving.push_back(node);
        if steady {
            taken[node.get()] += 1;
            spilled += u64::from(!first);
            peak = peak.max(bounded.relative(node));
            if item == 0 {
                hottest_on.insert(node);
            }
        }
    }
    let home = loads(&ring.assign(items), &items.shares, nodes.len());
    let relative = |load: f64, node: usize| load / bounded.fair[node];
    let largest = |loads: &[f64]| {
        loads.iter().enumerate().map(|(node, load)| relative(*load, node)).fold(0.0, f64::max)
    };
    let part = |count: u64| count as f64 / followed as f64;
    let taken: Vec<f64> = taken.into_iter().map(part).collect();
    // A bound is a whole number of messages.
    let over = home.iter().enumerate().map(|(node, load)| {
        (load - bounded.bound(node, in_flight) as f64 / in_flight as f64).max(0.0)
    });
    Ok(SpillCell {
        strategy: labels.entry.name().to_owned(),
        hash: labels.hash.to_owned(),
        nodes: nodes.count_up() as u64,
        population: labels.population.name.clone(),
        factor,
        in_flight: in_flight as u64,
        messages: followed as u64,
        peak,
        share_peak: largest(&taken),
        unbounded_peak: largest(&home),
        spilled: part(spilled),
        least_spilled: over.sum::<f64>().min(1.0),
        hottest_on: hottest_on.len() as u64,
    })
}

/// Messages in flight on every node, none above its bound when it takes one.
struct Bounded {
    factor: f64,
    /// The part of all messages that each node should have.
    fair: Vec<f64>,
    in_flight: Vec<usize>,
    total: usize,
}

impl Bounded {
    fn new(weights: Vec<f64>, factor: f64) -> Self {
        let total: f64 = weights.iter().sum();
        let fair: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
        Self { factor, in_flight: vec![0; fair.len()], fair, total: 0 }
    }

    /// The most messages that a node may have while there are so many in all: the bound of Mirrokni,
    /// Thorup and Zadimoghaddam, rounded up.
    fn bound(&self, node: usize, total: usize) -> usize {
        // The product is a whole number where it should be one.
        (self.factor * self.fair[node] * total as f64 - 1e-9).ceil() as usize
    }

    /// Gives a message to the first node of its row that has room for it, and tells whether that is
    /// the first of all. `row` has room for all nodes.
    fn take(&mut self, ring: &Placed, key: u64, row: &mut [NodeIndex]) -> (NodeIndex, bool) {
        let total = self.total + 1;
        let has_room =
            |node: &NodeIndex| self.in_flight[node.get()] < self.bound(node.get(), total);
        // Rows are long only where they must be: their cost grows with the square of their length.
        let all = row.len();
        let mut lengths =
            std::iter::successors(Some(1), |length| (*length < all).then(|| all.min(8 * length)));
        let found = lengths.find_map(|length| {
            ring.strategy().place(key, &mut row[..length]);
            row[..length].iter().copied().find(has_room).map(|node| (node, node == row[0]))
        });
        // Bounds add up to more than there are messages, so some node has room.
        let (node, first) = found.unwrap_or((row[0], true));
        self.in_flight[node.get()] += 1;
        self.total = total;
        (node, first)
    }

    fn serve(&mut self, node: NodeIndex) {
        self.in_flight[node.get()] -= 1;
        self.total -= 1;
    }

    /// What a node has in flight relative to its fair part.
    fn relative(&self, node: NodeIndex) -> f64 {
        let fair = self.fair[node.get()] * self.total as f64;
        self.in_flight[node.get()] as f64 / fair
    }
}

fn cumulative(shares: &[f64]) -> Vec<f64> {
    let sums = shares.iter().scan(0.0, |sum, share| {
        *sum += share;
        Some(*sum)
    });
    sums.collect()
}

/// The destination of a message, by popularity.
fn drawn(cumulative: &[f64], seed: u64, number: u64) -> usize {
    let bytes = [seed.to_le_bytes(), number.to_le_bytes()].concat();
    let part = (HashFunction::Xxh3.hash(&bytes) >> 11) as f64 / (1u64 << 53) as f64;
    let total = cumulative.last().copied().unwrap_or_default();
    cumulative.partition_point(|sum| *sum <= part * total).min(cumulative.len() - 1)
}
