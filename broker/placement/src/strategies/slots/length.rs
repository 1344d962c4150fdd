//! Rows made longer or shorter, when every slot is to have another number of copies.

use super::VACANT;
use crate::{
    node::{NodeIndex, Nodes},
    row::Zones,
};

/// Rows of `from` nodes each, made rows of `to`: longer ones end with vacancies, shorter ones lack
/// who holds most for its weight. The first node of a row stays, since it leads and has the data.
pub(super) fn changed(nodes: &Nodes, rows: &[NodeIndex], from: usize, to: usize) -> Vec<NodeIndex> {
    let mut shortened = Shortening::new(nodes, rows, from);
    for _ in to..from {
        shortened.drop_one_each();
    }
    shortened.even_out(to);
    let row = |mut row: Vec<NodeIndex>| {
        row.resize(to, VACANT);
        row
    };
    shortened.rows.into_iter().flat_map(row).collect()
}

struct Shortening {
    rows: Vec<Vec<NodeIndex>>,
    /// Who was in each row before.
    dropped: Vec<Vec<NodeIndex>>,
    held: Vec<u32>,
    weights: Vec<f64>,
    zones: Zones,
}

impl Shortening {
    fn new(nodes: &Nodes, rows: &[NodeIndex], length: usize) -> Self {
        let rows: Vec<Vec<NodeIndex>> = rows.chunks_exact(length).map(<[_]>::to_vec).collect();
        let mut held = vec![0; nodes.len()];
        rows.iter().flatten().for_each(|node| held[node.get()] += 1);
        let dropped = vec![Vec::new(); rows.len()];
        Self { rows, dropped, held, weights: nodes.scaled_weights(), zones: Zones::new(nodes) }
    }

    /// How full a node is that holds `more` than it does. Of one that is not up the weight is 0: it is
    /// fuller than any other.
    fn filled(&self, node: NodeIndex, more: u32) -> f64 {
        f64::from(self.held[node.get()] + more) / self.weights[node.get()]
    }

    /// Takes a node out of every row: behind the first, one of a zone that is in the row once more if
    /// there is one, and of those the fullest.
    fn drop_one_each(&mut self) {
        for slot in 0..self.rows.len() {
            let row = &self.rows[slot];
            let is_alone = |node: &NodeIndex| {
                row.iter().all(|other| other == node || !self.zones.share(*other, *node))
            };
            let (at, node) = (1..row.len())
                .map(|at| (at, row[at]))
                .max_by(|(_, a), (_, b)| {
                    let fuller = self.filled(*a, 0).total_cmp(&self.filled(*b, 0));
                    is_alone(b).cmp(&is_alone(a)).then(fuller)
                })
                .expect("one is left in every row");
            self.rows[slot].remove(at);
            self.dropped[slot].push(node);
            self.held[node.get()] -= 1;
        }
    }

    /// Takes those back who are less full now than one that was left in their row, until nobody is.
    fn even_out(&mut self, length: usize) {
        let mut is_even = false;
        while !is_even {
            is_even = true;
            for slot in 0..self.rows.len() {
                let fullest = (1..self.rows[slot].len())
                    .map(|at| (self.filled(self.rows[slot][at], 0), at))
                    .max_by(|(a, _), (b, _)| a.total_cmp(b));
                let Some((filled, goes)) = fullest else { continue };
                let mut others = self.rows[slot].clone();
                others.remove(goes);
                let comes = (0..self.dropped[slot].len())
                    .map(|at| (self.filled(self.dropped[slot][at], 1), at))
                    .filter(|(_, at)| self.zones.fits(self.dropped[slot][*at], &others, length))
                    .min_by(|(a, _), (b, _)| a.total_cmp(b))
                    .filter(|(less, _)| *less < filled);
                if let Some((_, comes)) = comes {
                    let (kept, back) = (&mut self.rows[slot][goes], &mut self.dropped[slot][comes]);
                    self.held[kept.get()] -= 1;
                    self.held[back.get()] += 1;
                    std::mem::swap(kept, back);
                    is_even = false;
                }
            }
        }
    }
}
