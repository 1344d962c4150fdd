//! What a look-up costs in time and memory.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use paceline_placement::{HashFunction, theory};
use paceline_placement::{NameHasher, Node, NodeIndex, Nodes, SlotCount};
use paceline_reports::compare::{Collisions, CostCell, HashInfo};

use super::{
    entry::{Entry, Items, Placed},
    population::Population,
};

/// Names one after the other in memory, as requests bring them.
pub(super) struct NameList {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl NameList {
    /// At most `limit` of the population's names, evenly picked.
    pub fn new(population: &Population, limit: usize) -> Self {
        let count = population.len().min(limit);
        let (mut bytes, mut ends, mut name) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..count {
            population.write_name(number * population.len() / count, &mut name);
            bytes.extend_from_slice(&name);
            ends.push(bytes.len());
        }
        Self { bytes, ends }
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let name = &self.bytes[start..*end];
            start = *end;
            name
        })
    }
}

/// The shortest of many short runs, in nanoseconds per item: the machine has other things to do,
/// and a short run is more often left alone.
fn best(items: usize, mut run: impl FnMut()) -> f64 {
    let begun = Instant::now();
    let mut best = f64::INFINITY;
    for number in 0.. {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_nanos() as f64);
        if number >= 2 && begun.elapsed() > BUDGET {
            break;
        }
    }
    best / items as f64
}

const BUDGET: Duration = Duration::from_millis(15);
/// How long one run should take, roughly.
const RUN_NS: f64 = 300_000.0;

/// Measures one strategy on some nodes.
pub(super) fn measure(
    entry: Entry,
    hasher: &NameHasher,
    names: &NameList,
    items: &Items,
    nodes: &Nodes,
    slots: SlotCount,
) -> Option<CostCell> {
    let begun = Instant::now();
    let mut placed = Placed::new(entry, nodes, items, slots, 1).ok()?;
    let mut build = begun.elapsed();
    if build < BUDGET {
        let begun = Instant::now();
        black_box(Placed::new(entry, nodes, items, slots, 1).ok()?);
        build = build.min(begun.elapsed());
    }
    let bytes = placed.strategy().bytes() as f64;
    let count = (RUN_NS / entry.rough_ns(nodes.len())) as usize;
    let count = count.max(100).min(names.ends.len());
    let lookup_ns = best(count, || {
        let mut keys = [0; 256];
        let mut rows = [NodeIndex::default(); 256];
        let mut names = names.iter().take(count);
        loop {
            let mut filled = 0;
            for (key, name) in keys.iter_mut().zip(&mut names) {
                *key = hasher.key(name);
                filled += 1;
            }
            placed.strategy().place_all(&keys[..filled], &mut rows[..filled]);
            black_box(&rows);
            if filled < keys.len() {
                break;
            }
        }
    });
    let dependent_ns = best(count, || {
        let mut last = [NodeIndex::default()];
        let strategy = placed.strategy();
        for name in names.iter().take(count) {
            // The next key cannot be known before this node is.
            strategy.place(hasher.key(name).wrapping_add(u64::from(last[0].0)), &mut last);
        }
        black_box(last);
    });
    let mut larger = nodes.clone();
    larger.join(Node::new("new1")).ok()?;
    let begun = Instant::now();
    placed.update(&larger).ok()?;
    let update = begun.elapsed();
    Some(CostCell {
        strategy: entry.name().to_owned(),
        hash: hasher.function().name().to_owned(),
        nodes: nodes.len() as u64,
        lookup_ns,
        dependent_ns: Some(dependent_ns),
        build_us: Some(build.as_secs_f64() * 1e6),
        update_us: Some(update.as_secs_f64() * 1e6),
        bytes,
    })
}

/// The most names that are sorted to find collisions.
const COLLISION_NAMES: usize = 2_000_000;

/// What is found about a hash function alone.
pub(super) fn hash_info(
    function: HashFunction,
    salt: &str,
    names: Option<&NameList>,
    keys: &[u64],
) -> HashInfo {
    let hasher = NameHasher::new(function, salt);
    let mut sorted: Vec<u64> = keys.iter().copied().take(COLLISION_NAMES).collect();
    sorted.sort_unstable();
    let runs = sorted.chunk_by(|a, b| a == b).map(|run| run.len() as u64);
    let ns_per_name = names.map(|names| {
        let count = names.ends.len().min(2000);
        best(count, || {
            let sum =
                names.iter().take(count).fold(0u64, |sum, name| sum.wrapping_add(hasher.key(name)));
            black_box(sum);
        })
    });
    HashInfo {
        name: function.name().to_owned(),
        withstands_chosen_names: function == HashFunction::Siphash13,
        ns_per_name,
        collisions: Some(Collisions {
            names: sorted.len() as u64,
            measured: runs.map(|length| length * (length - 1) / 2).sum(),
            expected: theory::expected_collisions(sorted.len() as u64),
        }),
    }
}
