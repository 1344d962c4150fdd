//! What is compared: every strategy, and the flagship table by measured load and with splitting.

use std::{borrow::Cow, fmt, str::FromStr};

use paceline_placement::{
    NodeIndex, Nodes, Parameters, PlacementError, SlotCount, Split, Strategy, StrategyKind,
    strategies::Slots,
    theory::{self, Balance},
};
use paceline_reports::compare::StrategyInfo;
use serde::{Deserialize, Deserializer, de};

/// One line of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// A strategy as it is.
    Kind(StrategyKind),
    /// The table balanced by the load of each slot.
    SlotsByLoad,
    /// The same, with hot destinations in parts.
    SlotsSplit,
}

impl Entry {
    /// Everything there is.
    pub fn all() -> Vec<Entry> {
        let (first, others) = StrategyKind::ALL.split_first().expect("there are strategies");
        let mut all = vec![Entry::Kind(*first), Entry::SlotsByLoad, Entry::SlotsSplit];
        all.extend(others.iter().map(|kind| Entry::Kind(*kind)));
        all
    }

    /// The name in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Entry::Kind(kind) => kind.name(),
            Entry::SlotsByLoad => "slots-by-load",
            Entry::SlotsSplit => "slots-split",
        }
    }

    /// Whether unequal weights give unequal shares.
    pub fn honours_weights(self) -> bool {
        match self {
            Entry::Kind(kind) => kind.honours_weights(),
            Entry::SlotsByLoad | Entry::SlotsSplit => true,
        }
    }

    /// What a report says about it.
    pub fn info(self, nodes: &Nodes, parameters: &Parameters) -> StrategyInfo {
        StrategyInfo {
            name: self.name().to_owned(),
            about: self.about(nodes, parameters),
            baseline: matches!(
                self,
                Entry::Kind(StrategyKind::Random | StrategyKind::RoundRobin | StrategyKind::Modulo)
            ),
            gives_up: (self == Entry::SlotsSplit).then(|| {
                "the order between message groups of a split destination; a queue in strict order \
                 cannot be split"
                    .to_owned()
            }),
            outside_broker: self.outside_broker().map(str::to_owned),
        }
    }

    fn about(self, nodes: &Nodes, parameters: &Parameters) -> String {
        use StrategyKind as K;
        let points = self.points(nodes, parameters);
        let about = match self {
            Entry::SlotsByLoad => "an explicit table of slots, balanced by their measured load",
            Entry::SlotsSplit => {
                "the same, with destinations above half a node's share split into parts"
            }
            Entry::Kind(kind) => match kind {
                K::Slots => "an explicit table of slots, balanced by count and moved minimally",
                K::Modulo => "the plain H(x ⊕ s) mod n",
                K::Ring => return format!("a circle with {points} per node"),
                K::Ketama => {
                    return format!("the 32-bit circle of memcached clients, {points} per node");
                }
                K::KetamaNginx => {
                    return format!("the 32-bit circle of nginx, {points} per node");
                }
                K::Rendezvous => "the node with the highest score for the name",
                K::Straw2 => "the longest straw, as in Ceph's CRUSH",
                K::Jump => "jump consistent hash over numbered nodes",
                K::JumpBack => "JumpBackHash over numbered nodes",
                K::Flip => "FlipHash over numbered nodes",
                K::Maglev => "a table filled by the nodes in turns, as in Google's Maglev",
                K::MultiProbe => {
                    let probes = parameters.probes;
                    return format!(
                        "a circle with {points} per node, seen from {probes} positions"
                    );
                }
                K::Anchor => "AnchorHash: removed buckets lead to those that worked then",
                K::Dx => "DxHash: buckets tried in a pseudo-random order",
                K::Memento => "MementoHash: JumpBackHash with a memory of removed buckets",
                K::BoundedLoad => {
                    return format!(
                        "a circle on which no node takes more than {} times its share of slots",
                        parameters.load_factor
                    );
                }
                K::TwoChoice => "each slot on the emptier of two nodes",
                K::Random => "each slot on a random node, once and for all",
                K::RoundRobin => "slots dealt in turn, once and for all",
            },
        };
        about.to_owned()
    }

    /// How many points the nodes have, in words, for strategies with a circle that can be built.
    fn points(self, nodes: &Nodes, parameters: &Parameters) -> String {
        let Entry::Kind(kind) = self else { return String::new() };
        let points = kind.points(nodes, parameters).ok().flatten().unwrap_or_default();
        match (points.iter().min(), points.iter().max()) {
            (Some(1), Some(1)) => "one point".to_owned(),
            (Some(least), Some(most)) if least == most => format!("{most} points"),
            (Some(least), Some(most)) => format!("{least} to {most} points"),
            _ => "too many or too few points".to_owned(),
        }
    }

    /// Seconds that building it takes on a usual machine, roughly: to refuse what takes too long.
    pub fn rough_build_s(self, nodes: &Nodes, parameters: &Parameters) -> f64 {
        let Entry::Kind(kind) = self else { return 0.0 };
        let points = kind.points(nodes, parameters).ok().flatten().unwrap_or_default();
        let weights = nodes.scaled_weights();
        let turns = match kind {
            // All nodes have a turn for each entry that the heaviest takes.
            StrategyKind::Maglev => {
                let entries = f64::from(parameters.table).max(100.0 * nodes.count_up() as f64);
                let heaviest = weights.iter().copied().fold(0.0, f64::max);
                entries * heaviest / weights.iter().sum::<f64>() * nodes.count_up() as f64
            }
            _ => 0.0,
        };
        1.5e-7 * points.iter().sum::<u64>() as f64 + 2e-9 * turns
    }

    /// Nanoseconds that a look-up takes on a usual machine, roughly: to refuse what takes too long.
    pub fn rough_ns(self, nodes: usize) -> f64 {
        let n = nodes as f64;
        match self {
            Entry::Kind(StrategyKind::Rendezvous) => 2.0 * n,
            Entry::Kind(StrategyKind::Straw2) => 4.0 * n,
            Entry::Kind(StrategyKind::MultiProbe) => 150.0,
            _ => 30.0,
        }
    }

    /// The destinations as this entry places them: whole, or the hot ones in parts.
    pub fn items<'a>(self, whole: &'a Items<'a>, nodes: usize) -> Cow<'a, Items<'a>> {
        match self {
            Entry::SlotsSplit => Cow::Owned(whole.split(nodes)),
            _ => Cow::Borrowed(whole),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Entry::all().into_iter().find(|entry| entry.name() == name).ok_or_else(|| {
            let known: Vec<&str> = Entry::all().into_iter().map(Entry::name).collect();
            format!("there is no strategy `{name}`; known strategies are {}", known.join(", "))
        })
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Keys and their shares of the load.
#[derive(Clone)]
pub struct Items<'a> {
    /// What is placed.
    pub keys: Cow<'a, [u64]>,
    /// How much of the load it has.
    pub shares: Cow<'a, [f64]>,
}

impl Items<'_> {
    /// The same load with destinations above half a node's share in parts, which stand where the
    /// whole destination stood.
    fn split(&self, nodes: usize) -> Items<'static> {
        let (mut keys, mut shares) = (Vec::new(), Vec::new());
        for (key, share) in self.keys.iter().zip(self.shares.iter()) {
            let split = Split::new(parts(*share, nodes)).expect("between 1 and the limit");
            keys.extend((0..split.parts()).map(|part| split.part_key(*key, part)));
            shares.resize(keys.len(), share / f64::from(split.parts()));
        }
        Items { keys: keys.into(), shares: shares.into() }
    }

    /// The load of each slot.
    pub fn slot_loads(&self, slots: SlotCount) -> Vec<f64> {
        let mut loads = vec![0.0; slots.get() as usize];
        for (key, share) in self.keys.iter().zip(self.shares.iter()) {
            loads[slots.slot(*key).0 as usize] += share;
        }
        loads
    }
}

/// Into how many parts a destination is split.
fn parts(share: f64, nodes: usize) -> u32 {
    if share > 0.5 / nodes as f64 { theory::parts_needed(share, nodes).min(Split::MAX) } else { 1 }
}

/// The part of the load that is on another node than before, for destinations that were placed as
/// `entry` places them: whole, or in parts whose number follows the shares.
pub fn moved(
    entry: Entry,
    nodes: usize,
    before: (&[NodeIndex], &[f64]),
    after: (&[NodeIndex], &[f64]),
) -> f64 {
    let parts_of = |share: f64| match entry {
        Entry::SlotsSplit => parts(share, nodes) as usize,
        _ => 1,
    };
    let (mut from, mut to) = (0, 0);
    let mut moved = 0.0;
    for (share_before, share) in before.1.iter().zip(after.1) {
        let old = &before.0[from..from + parts_of(*share_before)];
        let new = &after.0[to..to + parts_of(*share)];
        (from, to) = (from + old.len(), to + new.len());
        if old == new {
            continue;
        }
        let part_on = |parts: &[NodeIndex], node: &NodeIndex| {
            parts.iter().filter(|part| *part == node).count() as f64 / parts.len() as f64
        };
        let distinct: std::collections::BTreeSet<&NodeIndex> = new.iter().collect();
        let arrived = distinct.into_iter().map(|node| part_on(new, node) - part_on(old, node));
        moved += share * arrived.map(|part| part.max(0.0)).sum::<f64>();
    }
    moved
}

/// How placements are made, whatever the strategy.
#[derive(Clone, Debug)]
pub struct Setting {
    /// How many slots there are.
    pub slots: SlotCount,
    /// Nodes in each row.
    pub replicas: usize,
    /// What can be set about strategies.
    pub parameters: Parameters,
}

/// An entry at work on some nodes.
pub enum Placed {
    /// Any strategy.
    Plain(Box<dyn Strategy>),
    /// A table that follows loads.
    Loaded(Box<Slots>, SlotCount),
}

impl Placed {
    /// Builds what an entry asks for.
    ///
    /// # Errors
    /// When nodes, slots and replicas do not go together.
    pub fn new(
        entry: Entry,
        nodes: &Nodes,
        items: &Items,
        setting: &Setting,
    ) -> Result<Self, PlacementError> {
        let Setting { slots, replicas, ref parameters } = *setting;
        Ok(match entry {
            Entry::Kind(kind) => {
                Placed::Plain(kind.build_with(nodes, slots, replicas, parameters)?)
            }
            Entry::SlotsByLoad | Entry::SlotsSplit => {
                let loads = items.slot_loads(slots);
                Placed::Loaded(Box::new(Slots::by_load(nodes, slots, replicas, &loads)?), slots)
            }
        })
    }

    /// The strategy itself.
    pub fn strategy(&self) -> &dyn Strategy {
        match self {
            Placed::Plain(strategy) => &**strategy,
            Placed::Loaded(slots, _) => &**slots,
        }
    }

    /// The node of each item.
    pub fn assign(&self, items: &Items) -> Vec<NodeIndex> {
        let mut first = vec![NodeIndex::default(); items.keys.len()];
        self.strategy().place_all(&items.keys, &mut first);
        first
    }

    /// Follows a change of the nodes.
    ///
    /// # Errors
    /// When the strategy cannot.
    pub fn update(&mut self, nodes: &Nodes) -> Result<(), PlacementError> {
        match self {
            Placed::Plain(strategy) => strategy.update(nodes),
            Placed::Loaded(slots, _) => slots.update(nodes),
        }
    }

    /// Follows a change of the loads, if it follows any.
    ///
    /// # Errors
    /// When the strategy cannot.
    pub fn follow(&mut self, nodes: &Nodes, items: &Items) -> Result<(), PlacementError> {
        match self {
            Placed::Plain(strategy) => strategy.update(nodes),
            Placed::Loaded(table, slots) => table.follow_load(nodes, &items.slot_loads(*slots)),
        }
    }
}

/// The load of every node.
pub fn loads(assigned: &[NodeIndex], shares: &[f64], nodes: usize) -> Vec<f64> {
    let mut loads = vec![0.0; nodes];
    for (node, share) in assigned.iter().zip(shares) {
        loads[node.get()] += share;
    }
    loads
}

/// The loads, and the most even ones that the same destinations can give while the largest one of
/// each node stays. Destinations on nodes of weight 0 are taken to be where `after` has them.
pub fn loads_and_even(
    before: &[NodeIndex],
    after: &[NodeIndex],
    shares: &[f64],
    weights: &[f64],
) -> (Vec<f64>, Vec<f64>) {
    let mut largest = vec![0.0f64; weights.len()];
    for ((before, after), share) in before.iter().zip(after).zip(shares) {
        let node = if weights[before.get()] > 0.0 { before } else { after };
        largest[node.get()] = largest[node.get()].max(*share);
    }
    let loads = loads(before, shares, weights.len());
    let even = theory::even_loads(loads.iter().sum(), weights, &largest);
    (loads, even)
}

/// Weights of the nodes that are up, and 0 for the others, in a unit in which they have a sum.
pub fn weights(nodes: &Nodes) -> Vec<f64> {
    nodes.scaled_weights()
}

/// The balance of the nodes that are up.
pub fn balance_of_up(loads: &[f64], nodes: &Nodes) -> Balance {
    let loads: Vec<f64> = nodes.up().map(|(index, _)| loads[index.get()]).collect();
    let all = weights(nodes);
    let weights: Vec<f64> = nodes.up().map(|(index, _)| all[index.get()]).collect();
    Balance::of(&loads, &weights).expect("some node is up, and all load is on such nodes")
}

/// The slots for a number of nodes when the file names none: 160 per node, so that counts are even
/// to a percent and a failure spreads evenly, but no more than 8 MiB of them: look-ups in a larger
/// table wait for the memory.
pub fn default_slots(nodes: usize) -> u64 {
    (160 * nodes as u64).next_power_of_two().clamp(1 << 14, 1 << 21)
}
