//! Where the slots of nodes that left go, by measured load.
//!
//! A slot cannot be divided. When a node of an evenly loaded cluster leaves, each of the others has
//! room for little more than its part of what the node had, and a slot that is larger than this
//! must go somewhere nevertheless. Whoever takes it gives up what is then too much, since otherwise
//! the peak would rise by nearly the whole slot. No choice of the taker avoids that, but a taker
//! with few small slots would have to give up a large one, and that one meets the same difficulty.

use std::collections::{BTreeSet, BinaryHeap};

use super::{
    VACANT, Workspace,
    load::{Balance, Key},
};
use crate::node::NodeIndex;

/// How many of the least loaded nodes are asked to take a slot that has room nowhere.
const CANDIDATES: usize = 4096;

/// What nodes could give up.
struct Holdings {
    /// The slots of each node that may move.
    slots: Vec<BTreeSet<Key>>,
    /// Slots up to this load find room elsewhere.
    small: f64,
    /// The load of the small slots of each node.
    small_load: Vec<f64>,
}

impl Holdings {
    fn new(slots: Vec<BTreeSet<Key>>, small: f64) -> Self {
        let small_of = |slots: &BTreeSet<Key>| {
            slots.iter().map(|key| key.0).take_while(|load| *load <= small).sum()
        };
        Self { small_load: slots.iter().map(small_of).collect(), slots, small }
    }

    fn insert(&mut self, node: NodeIndex, key: Key) {
        self.slots[node.get()].insert(key);
        if key.0 <= self.small {
            self.small_load[node.get()] += key.0;
        }
    }

    /// Takes slots lighter than `load` away from a node until it has lost so much of its load:
    /// small ones as long as there are any.
    fn displace(&mut self, node: NodeIndex, load: f64, excess: f64) -> Vec<Key> {
        let held = &mut self.slots[node.get()];
        let mut displaced = Vec::new();
        let mut left = excess;
        while left > excess * 1e-9 {
            let lighter = Key(load, 0);
            let most = |load: f64| lighter.min(Key(load, usize::MAX));
            let small = held.range(..most(left.min(self.small))).next_back();
            let small = small.filter(|key| key.0 > 0.0);
            let above = || held.range(Key(left.min(load), 0)..lighter).next();
            let rest = || above().filter(|key| key.0 <= self.small);
            let large = || held.range(..most(left)).next_back().filter(|key| key.0 > 0.0);
            let last = small.or_else(rest).or_else(large).or_else(above);
            let Some(key) = last.copied() else { break };
            held.remove(&key);
            if key.0 <= self.small {
                self.small_load[node.get()] -= key.0;
            }
            left -= key.0;
            displaced.push(key);
        }
        displaced
    }
}

impl Workspace<'_> {
    /// Places vacant slots, the heaviest first: each on the least loaded node if that has room, or
    /// else on the one that can best make room for it. What it gives up is placed in the same way.
    pub(super) fn refill(&mut self, balance: &mut Balance, vacant: &[usize], tolerance: f64) {
        let hottest = self.hottest(balance);
        let most = level_with(balance, hottest.clone(), vacant) * (1.0 + tolerance);
        let mut caps = balance.caps(most, &hottest);
        let mut pool: BinaryHeap<Key> =
            vacant.iter().map(|slot| Key(balance.slot_loads[*slot], *slot)).collect();
        let mut holdings: Option<Holdings> = None;
        // A slot displaces lighter ones only, so this ends; a bound keeps it short.
        let mut patience = self.rows.len();
        while let Some(key) = pool.pop() {
            let mut to = balance.least_loaded();
            let room = caps[to.get()] - balance.load[to.get()];
            if key.0 > room && patience > 0 {
                patience -= 1;
                let holdings = holdings
                    .get_or_insert_with(|| Holdings::new(self.holdings(balance), room.max(0.0)));
                to = taker(balance, holdings, &caps, most, key.0);
                let cap = &mut caps[to.get()];
                *cap = cap.max(key.0);
                let excess = balance.load[to.get()] + key.0 - *cap;
                for lighter in holdings.displace(to, key.0, excess) {
                    self.rows[lighter.1] = VACANT;
                    balance.add(to, lighter.1, -1.0);
                    pool.push(lighter);
                }
            }
            self.rows[key.1] = to;
            balance.add(to, key.1, 1.0);
            if let Some(holdings) = &mut holdings {
                holdings.insert(to, key);
            }
        }
    }
}

/// The node that can best make room for a slot of this load: one that is large enough for it, can
/// give up small slots instead, and has the least to give up.
fn taker(balance: &Balance, holdings: &Holdings, caps: &[f64], most: f64, load: f64) -> NodeIndex {
    let rank = |node: &NodeIndex| {
        let at = node.get();
        let overload = (load / (most * balance.weights[at])).max(1.0);
        let excess = (balance.load[at] + load - caps[at].max(load)).max(0.0);
        [overload, (excess - holdings.small_load[at]).max(0.0), excess]
    };
    let candidates = balance.idlest_first().take(CANDIDATES).map(|node| (rank(&node), node));
    let least = candidates.min_by(|(a, _), (b, _)| {
        let compare = |at: usize| a[at].total_cmp(&b[at]);
        compare(0).then_with(|| compare(1)).then_with(|| compare(2))
    });
    least.expect("some node is up").1
}

/// The level that the other nodes have once each vacant slot above it fills a node alone. Vacant
/// slots come heaviest first; `hottest` is the largest slot of each node.
fn level_with(balance: &Balance, mut hottest: Vec<f64>, vacant: &[usize]) -> f64 {
    let mut level = balance.level(&balance.even(&hottest));
    let weights = &balance.weights;
    let mut free: Vec<usize> = (0..weights.len())
        .filter(|at| weights[*at] > 0.0 && hottest[*at] <= level * weights[*at])
        .collect();
    free.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]).then(a.cmp(b)));
    let mut pairs = free.into_iter().zip(vacant.iter().map(|slot| balance.slot_loads[*slot]));
    let mut next = pairs.next();
    // Each slot with a node to itself lowers the level of the others.
    while let Some((node, load)) = next.filter(|(node, load)| *load > level * weights[*node]) {
        hottest[node] = load;
        next = pairs.next();
        if next.is_none_or(|(node, load)| load <= level * weights[node]) {
            level = balance.level(&balance.even(&hottest));
        }
    }
    level
}
