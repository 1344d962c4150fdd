//! A circle of 2^64 positions with nodes at some of them; what `ring`, `multi-probe` and
//! `bounded-load` share.

use crate::node::NodeIndex;

/// Points in ascending order, with an index over their upper bits so that finding the next point
/// reads one or two cache lines instead of halving the whole list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Circle {
    positions: Vec<u64>,
    owners: Vec<NodeIndex>,
    /// For each value of the upper bits: the first point at or behind its beginning.
    starts: Vec<u32>,
    shift: u32,
}

impl Circle {
    /// A circle with these points. Of two at one position the lower node's stays.
    pub(crate) fn new(points: impl Iterator<Item = (u64, NodeIndex)>) -> Self {
        let mut points: Vec<(u64, NodeIndex)> = points.collect();
        points.sort_unstable();
        points.dedup_by_key(|(position, _)| *position);
        let bits = points.len().next_power_of_two().ilog2().max(1);
        let shift = 64 - bits;
        let mut starts = vec![0; 1 << bits];
        let mut next = 0;
        for (bucket, start) in starts.iter_mut().enumerate() {
            while points.get(next).is_some_and(|(position, _)| position >> shift < bucket as u64) {
                next += 1;
            }
            *start = next as u32;
        }
        let (positions, owners) = points.into_iter().unzip();
        Self { positions, owners, starts, shift }
    }

    /// The first point at or behind a position, around the circle.
    #[inline]
    pub(crate) fn next(&self, position: u64) -> usize {
        let mut at = self.starts[(position >> self.shift) as usize] as usize;
        while at < self.positions.len() && self.positions[at] < position {
            at += 1;
        }
        if at == self.positions.len() { 0 } else { at }
    }

    /// The way from a position to a point, around the circle.
    #[inline]
    pub(crate) fn distance(&self, position: u64, point: usize) -> u64 {
        self.positions[point].wrapping_sub(position)
    }

    /// The node at a point.
    #[inline]
    pub(crate) fn owner(&self, point: usize) -> NodeIndex {
        self.owners[point]
    }

    /// The nodes at this point and all that follow, once around.
    pub(crate) fn from(&self, point: usize) -> impl Iterator<Item = NodeIndex> {
        let (before, from) = self.owners.split_at(point);
        from.iter().chain(before).copied()
    }

    /// Every point's owner with the part of the circle from the point before to it.
    pub(crate) fn arcs(&self) -> impl Iterator<Item = (NodeIndex, f64)> {
        let last = self.positions.last().copied().into_iter();
        let before = last.chain(self.positions.iter().copied());
        let whole = 2f64.powi(64);
        let arc = move |from: u64, to: u64| match to.wrapping_sub(from) {
            0 => 1.0, // the only point
            arc => arc as f64 / whole,
        };
        let points = self.positions.iter().zip(&self.owners);
        before.zip(points).map(move |(from, (to, owner))| (*owner, arc(from, *to)))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.positions.len() * (size_of::<u64>() + size_of::<NodeIndex>())
            + size_of_val(self.starts.as_slice())
    }
}
