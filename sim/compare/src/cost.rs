//! What a look-up costs in time and memory.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use paceline_placement::{HashFunction, theory};
use paceline_placement::{NameHasher, NodeIndex, Nodes};
use paceline_reports::compare::{Collisions, CostCell, HashInfo};

use super::{
    cluster::newcomers,
    entry::{Entry, Items, Placed, Setting},
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
fn best(items: usize, budget: Duration, mut run: impl FnMut()) -> f64 {
    let begun = Instant::now();
    let mut best = f64::INFINITY;
    loop {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_nanos() as f64);
        if begun.elapsed() > budget {
            break;
        }
    }
    best / items as f64
}

/// Strategies are measured in turn so many times: where something else keeps the machine busy for a
/// while, it meets all of them alike.
const ROUNDS: u32 = 6;
/// How long one kind of look-up of one strategy is measured in a round.
const BUDGET: Duration = Duration::from_millis(4);
/// How long one run should take, roughly.
const RUN_NS: f64 = 200_000.0;

/// One strategy while it is measured.
struct Subject {
    placed: Placed,
    /// How many names one run looks up.
    count: usize,
    cell: CostCell,
}

/// Measures strategies on some nodes. Those that cannot be built are left out. `done` is told of
/// each that is built.
pub(super) fn measure(
    entries: &[Entry],
    hasher: &NameHasher,
    names: &NameList,
    whole: &Items,
    nodes: &Nodes,
    setting: &Setting,
    done: impl Fn(Entry),
) -> Vec<CostCell> {
    let setting = Setting { replicas: 1, ..setting.clone() };
    let mut subjects: Vec<Subject> = entries
        .iter()
        .filter_map(|entry| {
            let subject = build(*entry, hasher, names, whole, nodes, &setting);
            done(*entry);
            subject
        })
        .collect();
    for _ in 0..ROUNDS {
        for Subject { placed, count, cell } in &mut subjects {
            let took = independent(placed, hasher, names, *count);
            cell.lookup_ns = cell.lookup_ns.min(took);
            let took = dependent(placed, hasher, names, *count);
            cell.dependent_ns = cell.dependent_ns.map(|before| before.min(took));
        }
    }
    let mut larger = nodes.clone();
    for node in newcomers(nodes, 1) {
        larger.join(node).expect("no node is called so");
    }
    for Subject { placed, cell, .. } in &mut subjects {
        let begun = Instant::now();
        let update = placed.update(&larger).ok().map(|()| begun.elapsed());
        cell.update_us = update.map(|update| update.as_secs_f64() * 1e6);
    }
    subjects.into_iter().map(|subject| subject.cell).collect()
}

fn build(
    entry: Entry,
    hasher: &NameHasher,
    names: &NameList,
    whole: &Items,
    nodes: &Nodes,
    setting: &Setting,
) -> Option<Subject> {
    let items = entry.items(whole, nodes.len());
    let begun = Instant::now();
    let placed = Placed::new(entry, nodes, &items, setting).ok()?;
    let mut build = begun.elapsed();
    if build < Duration::from_millis(15) {
        let begun = Instant::now();
        black_box(Placed::new(entry, nodes, &items, setting).ok()?);
        build = build.min(begun.elapsed());
    }
    let count = (RUN_NS / entry.rough_ns(nodes.len())) as usize;
    let cell = CostCell {
        strategy: entry.name().to_owned(),
        hash: hasher.function().name().to_owned(),
        nodes: nodes.len() as u64,
        lookup_ns: f64::MAX,
        dependent_ns: Some(f64::MAX),
        build_us: Some(build.as_secs_f64() * 1e6),
        update_us: None,
        bytes: placed.strategy().bytes() as f64,
    };
    Some(Subject { placed, count: count.max(100).min(names.ends.len()), cell })
}

/// Nanoseconds from a name to its node, many look-ups in a row.
fn independent(placed: &Placed, hasher: &NameHasher, names: &NameList, count: usize) -> f64 {
    best(count, BUDGET, || {
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
    })
}

/// The same where each look-up waits for the one before.
fn dependent(placed: &Placed, hasher: &NameHasher, names: &NameList, count: usize) -> f64 {
    best(count, BUDGET, || {
        let mut last = [NodeIndex::default()];
        let strategy = placed.strategy();
        for name in names.iter().take(count) {
            // The next key cannot be known before this node is.
            strategy.place(hasher.key(name).wrapping_add(u64::from(last[0].0)), &mut last);
        }
        black_box(last);
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
        best(count, BUDGET * ROUNDS, || {
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
