//! The order within rows: who leads, and who takes over. Changing it moves no data.

use std::collections::BTreeMap;

use super::{Workspace, quota::apportion};
use crate::node::NodeIndex;

impl Workspace<'_> {
    /// Makes every node the first of its share of rows, as far as the rows it is in allow.
    pub(super) fn balance_leaders(&mut self) {
        let mut leads = vec![0u32; self.nodes.len()];
        for slot in 0..self.slots() {
            leads[self.row(slot)[0].get()] += 1;
        }
        let quota = apportion(self.slots(), &self.weights(), self.slots() as f64, &leads);
        for at in 0..leads.len() {
            while leads[at] > quota[at] {
                let Some((path, last)) = self
                    .path_to(NodeIndex(at as u32), |node| leads[node.get()] < quota[node.get()])
                else {
                    break;
                };
                for (slot, position) in path {
                    self.row_mut(slot).swap(0, position);
                }
                leads[at] -= 1;
                leads[last.get()] += 1;
            }
        }
    }

    /// The shortest chain of swaps that lets `from` lead one slot less and a node that `wants` it
    /// one more: in each slot on the way another member becomes the first.
    fn path_to(
        &self,
        from: NodeIndex,
        wants: impl Fn(NodeIndex) -> bool,
    ) -> Option<(Vec<(usize, usize)>, NodeIndex)> {
        let mut led = vec![Vec::new(); self.nodes.len()];
        for slot in 0..self.slots() {
            if self.pinned(slot).is_none() {
                led[self.row(slot)[0].get()].push(slot);
            }
        }
        // For each node reached: the swap that makes it the first, and whom it displaces.
        let mut reached: BTreeMap<NodeIndex, Option<(usize, usize)>> =
            BTreeMap::from([(from, None)]);
        let mut frontier = vec![from];
        while !frontier.is_empty() {
            let mut next = Vec::new();
            for node in frontier {
                for slot in &led[node.get()] {
                    for (position, other) in self.row(*slot).iter().enumerate().skip(1) {
                        if reached.contains_key(other) {
                            continue;
                        }
                        reached.insert(*other, Some((*slot, position)));
                        if wants(*other) {
                            return Some((self.trace(&reached, *other), *other));
                        }
                        next.push(*other);
                    }
                }
            }
            frontier = next;
        }
        None
    }

    fn trace(
        &self,
        reached: &BTreeMap<NodeIndex, Option<(usize, usize)>>,
        last: NodeIndex,
    ) -> Vec<(usize, usize)> {
        let mut path = Vec::new();
        let mut node = last;
        while let Some((slot, position)) = reached[&node] {
            path.push((slot, position));
            node = self.row(slot)[0];
        }
        path
    }

    /// Lets members lead in place of nodes whose load is above their share.
    pub(super) fn balance_leaders_by_load(&mut self, loads: &[f64], tolerance: f64) {
        let weights = self.weights();
        let total: f64 = loads.iter().sum();
        let per_weight = total / weights.iter().sum::<f64>();
        let mut load = vec![0.0; weights.len()];
        for (slot, slot_load) in loads.iter().enumerate() {
            load[self.row(slot)[0].get()] += slot_load;
        }
        let relative = |load: &[f64], at: NodeIndex| load[at.get()] / weights[at.get()];
        let mut order: Vec<usize> =
            (0..loads.len()).filter(|slot| self.pinned(*slot).is_none()).collect();
        order.sort_by(|a, b| loads[*b].total_cmp(&loads[*a]).then(a.cmp(b)));
        // Each pass lowers the peak of some pair of nodes, so this ends; a bound keeps it short.
        for _ in 0..16 {
            let mut changed = false;
            for slot in &order {
                let (first, moved) = (self.row(*slot)[0], loads[*slot]);
                if relative(&load, first) <= per_weight * (1.0 + tolerance) {
                    continue;
                }
                let after = |node: NodeIndex| (load[node.get()] + moved) / weights[node.get()];
                let Some(position) = (1..self.replicas).min_by(|a, b| {
                    after(self.row(*slot)[*a]).total_cmp(&after(self.row(*slot)[*b]))
                }) else {
                    continue;
                };
                let other = self.row(*slot)[position];
                if after(other) < relative(&load, first) * (1.0 - 1e-9) {
                    load[first.get()] -= moved;
                    load[other.get()] += moved;
                    self.row_mut(*slot).swap(0, position);
                    changed = true;
                }
            }
            if !changed {
                return;
            }
        }
    }

    /// Spreads the second nodes of each node's rows, so that its failure burdens all others alike.
    pub(super) fn disperse_failover(&mut self) {
        if self.replicas < 3 {
            return;
        }
        let mut follows: BTreeMap<(NodeIndex, NodeIndex), u32> = BTreeMap::new();
        for slot in 0..self.slots() {
            *follows.entry((self.row(slot)[0], self.row(slot)[1])).or_default() += 1;
        }
        for _ in 0..16 {
            let mut changed = false;
            for slot in 0..self.slots() {
                let row = self.row(slot);
                let count = |node: NodeIndex| follows.get(&(row[0], node)).copied().unwrap_or(0);
                let rarest = (2..self.replicas)
                    .min_by_key(|at| (count(row[*at]), *at))
                    .expect("there is a third node");
                if count(row[rarest]) + 1 < count(row[1]) {
                    let (first, second, third) = (row[0], row[1], row[rarest]);
                    *follows.get_mut(&(first, second)).expect("it was counted") -= 1;
                    *follows.entry((first, third)).or_default() += 1;
                    self.row_mut(slot).swap(1, rarest);
                    changed = true;
                }
            }
            if !changed {
                return;
            }
        }
    }
}
