//! Ketama, the 32-bit ring of memcached clients and of nginx.

use md5::{Digest, Md5};

use super::points::{check_total, negligible};
use crate::{
    error::PlacementError,
    hash::crc32,
    node::{Node, NodeIndex, Nodes},
    row::{RowFiller, Zones, shares_of},
    strategy::Strategy,
};

/// How a node's points on the ring are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuum {
    /// As libketama does: four points from each MD5 of `name-0`, `name-1` and so on, 160 for a node
    /// of average weight.
    Libketama,
    /// As nginx and Pingora do: a chain of CRC-32s over host, port and the previous point, 160 for
    /// each unit of weight.
    Nginx,
}

/// A ring of 2^32 positions; a key's position is the lower half of its 64 bits, which with MD5 is
/// libketama's own.
#[derive(Clone, Debug)]
pub struct Ketama {
    continuum: Continuum,
    points_per_node: u32,
    points: Vec<(u32, NodeIndex)>,
    zones: Zones,
}

impl Ketama {
    /// The points of libketama and of nginx.
    pub const POINTS: u32 = 160;

    /// The ring over the nodes that are up, with `points_per_node` points of a node of average
    /// weight ([`Continuum::Libketama`]) or of weight 1.
    ///
    /// # Errors
    /// When a node is too light for a point, or there are too many points.
    pub fn new(
        nodes: &Nodes,
        continuum: Continuum,
        points_per_node: u32,
    ) -> Result<Self, PlacementError> {
        let wanted = continuum.points(nodes, points_per_node)?;
        let mut points = Vec::with_capacity(wanted.iter().sum::<u64>() as usize);
        for ((index, node), wanted) in nodes.up().zip(wanted) {
            match continuum {
                Continuum::Libketama => libketama(node, wanted, |at| points.push((at, index))),
                Continuum::Nginx => nginx(node, wanted, |at| points.push((at, index))),
            }
        }
        points.sort_unstable();
        points.dedup_by_key(|(position, _)| *position);
        Ok(Self { continuum, points_per_node, points, zones: Zones::new(nodes) })
    }
}

impl Continuum {
    fn name(self) -> &'static str {
        match self {
            Self::Libketama => "ketama",
            Self::Nginx => "ketama-nginx",
        }
    }

    /// How many points each node that is up has.
    pub(crate) fn points(
        self,
        nodes: &Nodes,
        points_per_node: u32,
    ) -> Result<Vec<u64>, PlacementError> {
        if self == Self::Libketama && !points_per_node.is_multiple_of(4) {
            return Err(PlacementError::InvalidParameter {
                parameter: "points per node",
                given: points_per_node.to_string(),
                reason: "each MD5 gives four points, so it must be a multiple of 4",
            });
        }
        let per_node = f64::from(points_per_node);
        let weights = nodes.scaled_weights();
        let (total, count) = (weights.iter().sum::<f64>(), nodes.count_up() as f64);
        let mut points = Vec::with_capacity(nodes.count_up());
        for (index, node) in nodes.up() {
            let (wanted, comes_to) = match self {
                // Whole digests of four points, in single precision as ketama.c has it: of 61
                // equal nodes each has one digest less than of 60.
                Self::Libketama => {
                    let part = weights[index.get()] as f32 / total as f32;
                    let digests = f64::from((f64::from(part) * (per_node / 4.0) * count) as f32);
                    let comes_to = format!("{digests:.2e} digests of four points");
                    (4.0 * digests.floor(), comes_to)
                }
                Self::Nginx => {
                    let exact = per_node * node.weight;
                    let comes_to = format!("{exact:.2e} points, {per_node} for each unit of it");
                    (exact.round(), comes_to)
                }
            };
            if wanted < 1.0 {
                return Err(negligible(self.name(), node, comes_to));
            }
            points.push(wanted);
        }
        let remedy = match self {
            Self::Libketama => "set fewer points per node",
            Self::Nginx => "each unit of weight has its points, so divide all weights by a number",
        };
        check_total(self.name(), points.iter().sum(), remedy)?;
        Ok(points.into_iter().map(|wanted| wanted as u64).collect())
    }
}

fn libketama(node: &Node, wanted: u64, mut add: impl FnMut(u32)) {
    for number in 0..wanted / 4 {
        let mut name = node.name.clone();
        name.extend_from_slice(format!("-{number}").as_bytes());
        for point in Md5::digest(&name).chunks_exact(4) {
            add(u32::from_le_bytes(point.try_into().expect("chunks have 4 bytes")));
        }
    }
}

/// `ngx_http_upstream_hash_module.c`: CRC-32 of HOST, a zero byte, PORT and the previous point.
fn nginx(node: &Node, wanted: u64, mut add: impl FnMut(u32)) {
    let name = &node.name[..];
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (host, port) = match name.len().checked_sub(digits + 1) {
        _ if name.len() >= 5 && name[..5].eq_ignore_ascii_case(b"unix:") => (&name[5..], &[][..]),
        Some(colon) if name[colon] == b':' => (&name[..colon], &name[colon + 1..]),
        _ => (name, &[][..]),
    };
    let base = crc32(crc32(crc32(!0, host), &[0]), port);
    let mut previous = 0u32;
    for _ in 0..wanted {
        previous = !crc32(base, &previous.to_le_bytes());
        add(previous);
    }
}

impl Strategy for Ketama {
    fn place(&self, key: u64, row: &mut [NodeIndex]) {
        let position = key as u32;
        let point = self.points.partition_point(|(at, _)| *at < position) % self.points.len();
        if let [only] = row {
            *only = self.points[point].1;
            return;
        }
        let mut filler = RowFiller::new(row, &self.zones);
        let (before, from) = self.points.split_at(point);
        let full = from.iter().chain(before).any(|(_, node)| filler.offer(*node));
        assert!(full, "the row is longer than the list of nodes");
    }

    fn update(&mut self, nodes: &Nodes) -> Result<(), PlacementError> {
        *self = Self::new(nodes, self.continuum, self.points_per_node)?;
        Ok(())
    }

    fn shares(&self, places: usize) -> Vec<f64> {
        let last = self.points[self.points.len() - 1].0;
        let before = std::iter::once(last).chain(self.points.iter().map(|(at, _)| *at));
        let whole = 1u64 << 32;
        let arc = |from: u32, to: u32| match to.wrapping_sub(from) {
            0 => whole as f64, // the only point
            arc => f64::from(arc),
        };
        let points = before.zip(&self.points);
        shares_of(points.map(|(from, (to, node))| (*node, arc(from, *to))), places)
    }

    fn bytes(&self) -> usize {
        size_of_val(self.points.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora_ketama::{Bucket, Continuum as Reference};

    #[test]
    fn the_nginx_ring_agrees_with_pingora() {
        let address = |number: usize| format!("10.1.2.{number}:{}", 6000 + number);
        let weight = |number: usize| 1 + number % 3;
        let nodes =
            Nodes::new((1..40).map(|n| Node::new(address(n)).with_weight(weight(n) as f64)));
        let nodes = nodes.unwrap();
        let buckets: Vec<Bucket> =
            (1..40).map(|n| Bucket::new(address(n).parse().unwrap(), weight(n) as u32)).collect();
        let (ours, reference) =
            (Ketama::new(&nodes, Continuum::Nginx, 160).unwrap(), Reference::new(&buckets));
        for number in 0..20_000 {
            let name = format!("key-{number}");
            let mut row = [NodeIndex::default()];
            ours.place(u64::from(!crc32(!0, name.as_bytes())), &mut row);
            let expected = reference.node(name.as_bytes()).unwrap().to_string();
            assert_eq!(nodes.get(row[0]).display_name(), expected, "{name}");
        }
    }

    /// The float arithmetic of ketama.c gives 39 digests for 61 equal servers; the number of points
    /// is that of a port of its loop to Python with `struct.pack("f", …)` for its floats.
    #[test]
    fn points_are_counted_in_single_precision() {
        let nodes = Nodes::numbered(61).unwrap();
        let ring = Ketama::new(&nodes, Continuum::Libketama, Ketama::POINTS).unwrap();
        assert_eq!(ring.points.len(), 61 * 156);
    }

    #[test]
    fn a_node_of_average_weight_has_the_points_asked_for() {
        let nodes = Nodes::numbered(7).unwrap();
        for points in [4, 160, 1000] {
            for continuum in [Continuum::Libketama, Continuum::Nginx] {
                let ring = Ketama::new(&nodes, continuum, points).unwrap();
                assert_eq!(ring.points.len(), 7 * points as usize, "{continuum:?}");
            }
        }
        let refused = Ketama::new(&nodes, Continuum::Libketama, 6).unwrap_err().to_string();
        assert!(refused.contains("multiple of 4"), "{refused}");
    }
}
