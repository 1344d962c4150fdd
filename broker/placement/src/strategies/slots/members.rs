//! Which nodes hold which slot, balanced by count and moved minimally.

use std::collections::VecDeque;

use super::{
    VACANT, Workspace,
    quota::{apportion, apportion_zoned},
};
use crate::node::NodeIndex;

impl Workspace<'_> {
    /// Gives every node its quota of copies: nodes above it give the difference away, and no slot
    /// moves for any other reason.
    pub(super) fn balance_count(&mut self) {
        let mut held = self.held();
        let quota = self.quotas(&held);
        let wanting: Vec<u32> =
            quota.iter().zip(&held).map(|(quota, held)| quota.saturating_sub(*held)).collect();
        if self.rows.contains(&VACANT) {
            self.deal(&wanting);
            held = self.held();
        }
        self.hand_over(&mut held, &quota);
    }

    /// How many copies each node holds.
    fn held(&self) -> Vec<u32> {
        let mut held = vec![0; self.nodes.len()];
        self.rows.iter().filter(|node| **node != VACANT).for_each(|node| held[node.get()] += 1);
        held
    }

    fn quotas(&self, held: &[u32]) -> Vec<u32> {
        let weights = self.weights();
        // A node is in a row at most once, and so is a zone while there are enough of them.
        let limit = self.slots() as f64;
        if self.replicas > 1 && self.zones.matter() && self.zones.count() >= self.replicas {
            let zone: Vec<usize> =
                (0..held.len()).map(|at| self.zones.of(NodeIndex(at as u32)) as usize).collect();
            apportion_zoned(self.rows.len(), &weights, &zone, limit, held)
        } else {
            apportion(self.rows.len(), &weights, limit, held)
        }
    }

    /// Moves copies from nodes above their quota to nodes below theirs. What a node gives away is
    /// evenly spread over what it holds, so that what a newcomer takes over comes from everywhere.
    fn hand_over(&mut self, held: &mut [u32], quota: &[u32]) {
        let surplus = |held: &[u32], at: usize| held[at].saturating_sub(quota[at]) as usize;
        let mut takers: VecDeque<NodeIndex> = (0..held.len())
            .filter(|at| held[*at] < quota[*at])
            .map(|at| NodeIndex(at as u32))
            .collect();
        if takers.is_empty() {
            return;
        }
        let movable = self.movable(held, quota);
        let leaving: Vec<usize> =
            (0..held.len()).map(|at| surplus(held, at).min(movable[at] as usize)).collect();
        let mut left = leaving.clone();
        let mut seen = vec![0usize; held.len()];
        // First every k-th of a node's positions, and those in between only where zones refused
        // some.
        for spaced in [true, false] {
            for position in 0..self.rows.len() {
                let node = self.rows[position];
                let at = node.get();
                if left[at] == 0 || self.is_pinned(position) {
                    continue;
                }
                if spaced {
                    seen[at] += 1;
                    let due = seen[at] * leaving[at] / movable[at] as usize;
                    if due <= (seen[at] - 1) * leaving[at] / movable[at] as usize {
                        continue;
                    }
                }
                let Some(number) = self.taker(position, &takers) else { continue };
                let taker = takers.remove(number).expect("it was just found");
                self.rows[position] = taker;
                held[at] -= 1;
                left[at] -= 1;
                held[taker.get()] += 1;
                if held[taker.get()] < quota[taker.get()] {
                    takers.push_back(taker);
                }
                if takers.is_empty() {
                    return;
                }
            }
        }
    }

    /// How many copies of each node above its quota may leave it.
    fn movable(&self, held: &[u32], quota: &[u32]) -> Vec<u32> {
        let mut movable = held.to_vec();
        if !self.pins.is_empty() {
            for position in (0..self.rows.len()).filter(|position| self.is_pinned(*position)) {
                movable[self.rows[position].get()] -= 1;
            }
        }
        movable.iter_mut().zip(held.iter().zip(quota)).for_each(|(movable, (held, quota))| {
            if held <= quota {
                *movable = 0;
            }
        });
        movable
    }

    fn is_pinned(&self, position: usize) -> bool {
        !self.pins.is_empty() && self.pinned(position / self.replicas) == Some(self.rows[position])
    }

    /// The first of the takers that may have the copy at this position. Looking at some of them is
    /// enough: only zones can make a difference.
    fn taker(&self, position: usize, takers: &VecDeque<NodeIndex>) -> Option<usize> {
        if self.replicas == 1 {
            return Some(0);
        }
        let others = self.others(position / self.replicas, position % self.replicas);
        let fits = |taker: &NodeIndex| self.zones.fits(*taker, &others, self.replicas);
        takers.iter().take(256).position(fits)
    }

    /// Fills all vacancies. The nodes stand in a queue in which each comes as often as it wants
    /// slots, evenly spaced, and slots with the same first node come one after the other: so the
    /// second nodes of one node's slots are all the others in turn, which is what spreads the load
    /// of a failed node evenly.
    fn deal(&mut self, wanting: &[u32]) {
        let mut queue = spaced(wanting);
        if self.replicas == 1 {
            // Anyone fits, and quotas sum to the number of slots.
            for node in self.rows.iter_mut().filter(|node| **node == VACANT) {
                *node = queue.pop_front().expect("as many are wanted as are vacant");
            }
            return;
        }
        let mut dealt = Vec::new();
        for position in 0..self.replicas {
            let mut slots: Vec<usize> = (0..self.slots())
                .filter(|slot| self.rows[slot * self.replicas + position] == VACANT)
                .collect();
            if position > 0 {
                slots.sort_by_key(|slot| (self.rows[slot * self.replicas], *slot));
            }
            let mut followers = Followers::new(self.weights());
            for slot in slots {
                let at = slot * self.replicas + position;
                let others = self.others(slot, position);
                if let [first, ..] = others[..] {
                    followers.of(first, || self.rows.iter().step_by(self.replicas));
                }
                let fits = |node: &NodeIndex| self.zones.fits(*node, &others, self.replicas);
                let fitting = queue
                    .iter()
                    .take(2 * wanting.len())
                    .position(|node| fits(node) && followers.has_room(*node))
                    .or_else(|| queue.iter().position(fits));
                self.rows[at] = match fitting {
                    // Taking the first leaves those it passed in front, in their order.
                    Some(place) => queue.remove(place).expect("it was just found"),
                    None => match self.exchange(&mut queue, &others, &dealt) {
                        Some(node) => node,
                        None => self.least_filled(&others),
                    },
                };
                followers.count(self.rows[at]);
                dealt.push(at);
            }
        }
    }

    /// Where nobody in the queue fits: lets someone in the queue replace a node dealt before that
    /// fits here.
    fn exchange(
        &mut self,
        queue: &mut VecDeque<NodeIndex>,
        others: &[NodeIndex],
        dealt: &[usize],
    ) -> Option<NodeIndex> {
        let candidate = *queue.front()?;
        for position in dealt.iter().rev() {
            let node = self.rows[*position];
            let (slot, at) = (position / self.replicas, position % self.replicas);
            let rest = self.others(slot, at);
            if self.zones.fits(node, others, self.replicas)
                && self.zones.fits(candidate, &rest, self.replicas)
            {
                queue.pop_front();
                self.rows[*position] = candidate;
                return Some(node);
            }
        }
        None
    }

    /// The fitting node that holds least for its weight; used where zones make quotas impossible.
    fn least_filled(&self, others: &[NodeIndex]) -> NodeIndex {
        let held = self.held();
        let weights = self.weights();
        let filled = |node: NodeIndex| f64::from(held[node.get()] + 1) / weights[node.get()];
        self.nodes
            .up()
            .filter(|(node, _)| self.zones.fits(*node, others, self.replicas))
            .map(|(node, _)| (filled(node), node))
            .min_by(|a, b| a.partial_cmp(b).expect("weights are positive numbers"))
            .expect("there are at least as many nodes up as replicas")
            .1
    }
}

/// How often each node was dealt to the slots of one first node, and how often is fair.
struct Followers {
    weights: Vec<f64>,
    total: f64,
    /// How many slots each node is the first of; filled when it is first needed.
    leads: Vec<u32>,
    first: Option<NodeIndex>,
    counts: Vec<u32>,
    touched: Vec<NodeIndex>,
}

impl Followers {
    fn new(weights: Vec<f64>) -> Self {
        let (total, counts) = (weights.iter().sum(), vec![0; weights.len()]);
        Self { weights, total, leads: Vec::new(), first: None, counts, touched: Vec::new() }
    }

    /// Says whose slots come next.
    fn of<'a, I: Iterator<Item = &'a NodeIndex>>(
        &mut self,
        first: NodeIndex,
        firsts: impl FnOnce() -> I,
    ) {
        if self.leads.is_empty() {
            self.leads = vec![0; self.weights.len()];
            firsts().filter(|node| **node != VACANT).for_each(|n| self.leads[n.get()] += 1);
        }
        if self.first != Some(first) {
            self.first = Some(first);
            self.touched.drain(..).for_each(|node| self.counts[node.get()] = 0);
        }
    }

    /// Whether a node may follow once more without following more often than is fair.
    fn has_room(&self, node: NodeIndex) -> bool {
        let Some(first) = self.first else { return true };
        let others = self.total - self.weights[first.get()];
        let fair = f64::from(self.leads[first.get()]) * self.weights[node.get()] / others;
        self.counts[node.get()] < fair.ceil() as u32
    }

    fn count(&mut self, node: NodeIndex) {
        if self.counts[node.get()] == 0 {
            self.touched.push(node);
        }
        self.counts[node.get()] += 1;
    }
}

/// Every node as often as it wants, evenly spaced.
fn spaced(wanting: &[u32]) -> VecDeque<NodeIndex> {
    let wanting_nodes = || wanting.iter().zip(0..).filter(|(count, _)| **count > 0);
    let most = wanting.iter().copied().max().unwrap_or(0);
    let least = wanting_nodes().map(|(count, _)| *count).min().unwrap_or(0);
    if most - least <= 1 {
        return (0..most)
            .flat_map(|round| {
                wanting_nodes().filter(move |(count, _)| **count > round).map(|(_, n)| NodeIndex(n))
            })
            .collect();
    }
    let mut entries: Vec<(f64, NodeIndex)> = wanting_nodes()
        .flat_map(|(count, node)| {
            let step = 1.0 / f64::from(*count);
            (0..*count).map(move |number| ((f64::from(number) + 0.5) * step, NodeIndex(node)))
        })
        .collect();
    entries.sort_unstable_by(|a, b| a.partial_cmp(b).expect("positions are numbers"));
    entries.into_iter().map(|(_, node)| node).collect()
}
