//! Ketama, the 32-bit ring of memcached clients and of nginx.

use md5::{Digest, Md5};

use super::points::{check_total, negligible};
use crate::{
    error::PlacementError,
    node::{Node, NodeIndex, Nodes},
    row::{RowFiller, Zones},
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
    points: Vec<(u32, NodeIndex)>,
    zones: Zones,
}

const POINTS: f64 = 160.0;

impl Ketama {
    /// The ring over the nodes that are up.
    ///
    /// # Errors
    /// When a node is too light for a point, or there are too many points.
    pub fn new(nodes: &Nodes, continuum: Continuum) -> Result<Self, PlacementError> {
        let wanted = Self::points(nodes, continuum)?;
        let mut points = Vec::with_capacity(wanted.iter().sum::<u64>() as usize);
        for ((index, node), wanted) in nodes.up().zip(wanted) {
            match continuum {
                Continuum::Libketama => libketama(node, wanted, |at| points.push((at, index))),
                Continuum::Nginx => nginx(node, wanted, |at| points.push((at, index))),
            }
        }
        points.sort_unstable();
        points.dedup_by_key(|(position, _)| *position);
        Ok(Self { continuum, points, zones: Zones::new(nodes) })
    }

    /// How many points each node that is up has.
    pub(crate) fn points(nodes: &Nodes, continuum: Continuum) -> Result<Vec<u64>, PlacementError> {
        let weights = nodes.scaled_weights();
        let average = weights.iter().sum::<f64>() / nodes.count_up() as f64;
        let exact = |(index, node): (NodeIndex, &Node)| match continuum {
            // The summand keeps 39.999… from becoming 39.
            Continuum::Libketama => 40.0 * weights[index.get()] / average + 1e-9,
            Continuum::Nginx => POINTS * node.weight,
        };
        let mut points = Vec::with_capacity(nodes.count_up());
        for (index, node) in nodes.up() {
            let exact = exact((index, node));
            let (name, wanted) = match continuum {
                // Whole digests of four points.
                Continuum::Libketama => ("ketama", 4.0 * exact.floor()),
                Continuum::Nginx => ("ketama-nginx", exact.round()),
            };
            if wanted < 1.0 {
                let what = match continuum {
                    Continuum::Libketama => "of the 40 digests for an average weight",
                    Continuum::Nginx => "points, 160 for each unit of weight",
                };
                return Err(negligible(name, node, format!("{exact:.2e} {what}")));
            }
            points.push(wanted);
        }
        let remedy = "nginx sets 160 for each unit of weight, so divide all weights by one number";
        check_total("ketama-nginx", points.iter().sum(), remedy)?;
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
    let digits = node.name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (host, port) = match node.name.len().checked_sub(digits + 1) {
        Some(colon) if node.name[colon] == b':' => (&node.name[..colon], &node.name[colon + 1..]),
        _ => (&node.name[..], &[][..]),
    };
    let base = crc32(crc32(crc32(!0, host), &[0]), port);
    let mut previous = 0u32;
    for _ in 0..wanted {
        previous = !crc32(base, &previous.to_le_bytes());
        add(previous);
    }
}

/// CRC-32 as in IEEE 802.3, continued from `crc` and not yet inverted at the end.
fn crc32(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
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
        *self = Self::new(nodes, self.continuum)?;
        Ok(())
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
            (Ketama::new(&nodes, Continuum::Nginx).unwrap(), Reference::new(&buckets));
        for number in 0..20_000 {
            let name = format!("key-{number}");
            let mut row = [NodeIndex::default()];
            ours.place(u64::from(!crc32(!0, name.as_bytes())), &mut row);
            let expected = reference.node(name.as_bytes()).unwrap().to_string();
            assert_eq!(nodes.get(row[0]).display_name(), expected, "{name}");
        }
    }

    #[test]
    fn a_node_of_average_weight_has_160_points() {
        let nodes = Nodes::numbered(7).unwrap();
        let ketama = Ketama::new(&nodes, Continuum::Libketama).unwrap();
        assert_eq!(ketama.points.len(), 7 * 160);
    }
}
