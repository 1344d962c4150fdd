//! Which node holds which slot, balanced by measured load. For rows of one node.

use std::collections::BTreeSet;

use super::{VACANT, Workspace};
use crate::{node::NodeIndex, theory};

/// A node with less than this part of its share is brought up to it. Above that, what a node lacks
/// is left to it: nobody is above his cap for it, and moving has its price.
const IDLE: f64 = 0.9;

/// A load in a set: ordered, with the places as tie-breakers.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Key(pub f64, pub usize);

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
    }
}

/// Loads of nodes while slots move.
pub(super) struct Balance<'a> {
    pub slot_loads: &'a [f64],
    pub weights: Vec<f64>,
    pub load: Vec<f64>,
    count: Vec<u32>,
    /// Nodes that are up by load per weight, then by number of slots per weight.
    order: BTreeSet<(Key, Key)>,
}

impl Balance<'_> {
    fn entry(&self, node: usize) -> (Key, Key) {
        let per_weight = |value: f64| value / self.weights[node];
        (Key(per_weight(self.load[node]), 0), Key(per_weight(f64::from(self.count[node])), node))
    }

    pub(super) fn add(&mut self, node: NodeIndex, slot: usize, sign: f64) {
        let at = node.get();
        self.order.remove(&self.entry(at));
        // A sum that went up and down again must not leave a speck below zero.
        self.load[at] = (self.load[at] + sign * self.slot_loads[slot]).max(0.0);
        self.count[at] = self.count[at].wrapping_add_signed(sign as i32);
        self.order.insert(self.entry(at));
    }

    /// The most even loads while the hottest slot of each node stays.
    pub(super) fn even(&self, hottest: &[f64]) -> Vec<f64> {
        theory::even_loads(self.slot_loads.iter().sum(), &self.weights, hottest)
    }

    /// The load per weight of the nodes that no single slot fills.
    pub(super) fn level(&self, even: &[f64]) -> f64 {
        let relative = even.iter().zip(&self.weights).filter(|(_, weight)| **weight > 0.0);
        relative.map(|(load, weight)| load / weight).fold(f64::INFINITY, f64::min)
    }

    /// The most that each node may have: so much per weight, or a single slot that is above it.
    pub(super) fn caps(&self, most: f64, hottest: &[f64]) -> Vec<f64> {
        self.weights.iter().zip(hottest).map(|(weight, hot)| (most * weight).max(*hot)).collect()
    }

    fn busiest_first(&self) -> Vec<usize> {
        self.order.iter().rev().map(|entry| entry.1.1).collect()
    }

    /// Nodes that are up, those with the least load per weight first.
    pub(super) fn idlest_first(&self) -> impl Iterator<Item = NodeIndex> {
        self.order.iter().map(|entry| NodeIndex(entry.1.1 as u32))
    }

    pub(super) fn least_loaded(&self) -> NodeIndex {
        self.idlest_first().next().expect("some node is up")
    }
}

/// The largest slot that is not more than the excess, or else the smallest above it, if there is
/// room for it. The one above goes first where all others are small beside the excess: they would
/// fill the room that only it needs, and of two hot slots on one node none could leave any more.
fn best_move(held: &BTreeSet<Key>, excess: f64, room: f64) -> Option<Key> {
    let carries = |key: &&Key| key.0 > 0.0 && key.0 <= room;
    let not_too_large = held.range(..=Key(excess.min(room), usize::MAX)).next_back();
    let not_too_large = not_too_large.filter(carries);
    let smallest_above = held.range(Key(excess, usize::MAX)..).next().filter(carries);
    match (not_too_large, smallest_above) {
        (Some(below), Some(above)) if below.0 < excess / 2.0 && above.0 <= excess * 2.0 => {
            Some(*above)
        }
        (below, above) => below.or(above).copied(),
    }
}

/// The exchange of a larger for a smaller slot that takes most of the excess away.
fn best_exchange(
    held: &BTreeSet<Key>,
    other: &BTreeSet<Key>,
    excess: f64,
    room: f64,
) -> Option<(Key, Key)> {
    let most = excess.min(room);
    let difference = |(there, back): &(Key, Key)| there.0 - back.0;
    held.iter()
        .rev()
        .filter_map(|there| {
            let back = other.range(Key((there.0 - most).max(0.0), 0)..).next()?;
            Some((*there, *back)).filter(|pair| difference(pair) > most * 1e-6)
        })
        .max_by(|a, b| difference(a).total_cmp(&difference(b)))
}

impl Workspace<'_> {
    /// Places vacant slots, the heaviest first, each on the least loaded node where there is room;
    /// then moves slots away from nodes that are above their cap.
    pub(super) fn balance_load(&mut self, loads: &[f64], tolerance: f64) {
        assert_eq!(self.replicas, 1);
        let weights = self.weights();
        let mut balance = Balance {
            slot_loads: loads,
            load: vec![0.0; weights.len()],
            count: vec![0; weights.len()],
            order: BTreeSet::new(),
            weights,
        };
        let mut vacant = Vec::new();
        for (slot, node) in self.rows.iter().enumerate() {
            if *node == VACANT {
                vacant.push(slot);
            } else {
                balance.load[node.get()] += loads[slot];
                balance.count[node.get()] += 1;
            }
        }
        balance.order = self.nodes.up().map(|(node, _)| balance.entry(node.get())).collect();
        let fresh = vacant.len() == self.rows.len();
        vacant.sort_unstable_by(|a, b| loads[*b].total_cmp(&loads[*a]).then(a.cmp(b)));
        if fresh {
            for slot in vacant {
                let node = balance.least_loaded();
                self.rows[slot] = node;
                balance.add(node, slot, 1.0);
            }
        } else {
            self.refill(&mut balance, &vacant, tolerance);
            self.shed_load(&mut balance, tolerance);
        }
    }

    /// Moves slots from nodes above their cap to the least loaded ones, of each the largest slot
    /// that is not more than it has to lose, so that little more is moved than must be. Then brings
    /// nodes that are nearly idle up to their share.
    fn shed_load(&mut self, balance: &mut Balance, tolerance: f64) {
        let hottest = self.hottest(balance);
        let even = balance.even(&hottest);
        let level = balance.level(&even);
        let caps = balance.caps(level * (1.0 + tolerance), &hottest);
        let is_over = |at: usize| balance.load[at] > caps[at] * (1.0 + 1e-12);
        let over: Vec<usize> = (0..caps.len()).filter(|at| is_over(*at)).collect();
        if over.is_empty() && !(0..even.len()).any(|at| balance.load[at] < even[at] * IDLE) {
            return;
        }
        let mut holdings = self.holdings(balance);
        let mut give =
            |balance: &mut Balance, holdings: &mut [BTreeSet<Key>], from, to, key: Key| {
                holdings[NodeIndex::get(from)].remove(&key);
                holdings[NodeIndex::get(to)].insert(key);
                balance.add(from, key.1, -1.0);
                balance.add(to, key.1, 1.0);
                self.rows[key.1] = to;
            };
        for from in over {
            loop {
                let excess = balance.load[from] - caps[from];
                let to = balance.least_loaded();
                if excess <= caps[from] * 1e-12 || to.get() == from {
                    break;
                }
                let room = caps[to.get()] - balance.load[to.get()];
                let node = NodeIndex(from as u32);
                if let Some(key) = best_move(&holdings[from], excess, room) {
                    give(balance, &mut holdings, node, to, key);
                } else if let Some((there, back)) =
                    best_exchange(&holdings[from], &holdings[to.get()], excess, room)
                {
                    give(balance, &mut holdings, node, to, there);
                    give(balance, &mut holdings, to, node, back);
                } else {
                    break;
                }
            }
        }
        // In a large cluster a new node's share is less than the tolerance of all others, so that
        // none of them is above its cap, and the new node would stay idle for ever.
        for to in 0..even.len() {
            if balance.load[to] >= even[to] * IDLE {
                continue;
            }
            for from in balance.busiest_first() {
                loop {
                    let need = even[to] - balance.load[to];
                    let spare = balance.load[from] - even[from] * (1.0 - tolerance);
                    let most = Key(need.min(spare), usize::MAX);
                    let fits = holdings[from].range(..=most).next_back().copied();
                    let Some(key) = fits.filter(|key| key.0 > 0.0 && from != to) else { break };
                    let [from, to] = [from, to].map(|at| NodeIndex(at as u32));
                    give(balance, &mut holdings, from, to, key);
                }
            }
        }
    }

    /// The largest slot of each node.
    pub(super) fn hottest(&self, balance: &Balance) -> Vec<f64> {
        let mut hottest = vec![0.0f64; balance.weights.len()];
        for (node, load) in self.rows.iter().zip(balance.slot_loads) {
            if *node != VACANT {
                hottest[node.get()] = hottest[node.get()].max(*load);
            }
        }
        hottest
    }

    /// The slots of each node that may move.
    pub(super) fn holdings(&self, balance: &Balance) -> Vec<BTreeSet<Key>> {
        let mut holdings = vec![BTreeSet::new(); balance.weights.len()];
        for (slot, node) in self.rows.iter().enumerate() {
            if *node != VACANT && self.pinned(slot).is_none() {
                holdings[node.get()].insert(Key(balance.slot_loads[slot], slot));
            }
        }
        holdings
    }
}
