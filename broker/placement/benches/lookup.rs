//! From a name to its node: every strategy, and the crates that do the same, each through its own
//! interface. `cargo bench -p paceline-placement -- 'name/1000'` measures one number of nodes.
//!
//! The names are of mixed kinds, 6 to 66 bytes and 31 on average.

use std::{hint::black_box, time::Duration};

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use paceline_placement::{
    HashFunction, NameHasher, Node, NodeIndex, Nodes, SlotCount, Strategy, StrategyKind,
    strategies::Slots,
};
use rand_core_05::RngCore;

const NAMES: usize = 4000;

fn names() -> Vec<String> {
    (0..NAMES)
        .map(|number| match number % 5 {
            0 => format!("q{number:05}"),
            1 => format!("queue-{number:06}"),
            2 => format!("orders.eu.{number:06}.created"),
            3 => format!("tenant-{number:04}.orders.eu.invoices.created"),
            _ => format!("{number:032x}.a-tenant-with-a-rather-long-name"),
        })
        .collect()
}

fn slots(nodes: usize) -> SlotCount {
    let slots = (160 * nodes as u64).next_power_of_two().clamp(1 << 14, 1 << 21);
    SlotCount::new(slots, nodes).unwrap()
}

fn settings(criterion: &mut Criterion, name: String) -> BenchmarkGroup<'_, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20);
    group.warm_up_time(Duration::from_millis(100));
    group.measurement_time(Duration::from_millis(400));
    group
}

/// Runs `look_up` over all names.
fn over_names<R>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    label: &str,
    names: &[String],
    mut look_up: impl FnMut(&str) -> R,
) {
    group.throughput(Throughput::Elements(names.len() as u64));
    group.bench_function(label, |bencher| {
        bencher.iter(|| names.iter().for_each(|name| drop(black_box(look_up(name)))));
    });
}

fn hashes(criterion: &mut Criterion) {
    let names = names();
    let mut group = settings(criterion, "hash".into());
    for function in HashFunction::ALL {
        let hasher = NameHasher::new(function, "paceline");
        over_names(&mut group, function.name(), &names, |name| hasher.key(name.as_bytes()));
    }
}

fn ours(criterion: &mut Criterion) {
    let names = names();
    let hasher = NameHasher::new(HashFunction::Rapidhash, "paceline");
    for count in [10, 100, 1000, 100_000] {
        let nodes = Nodes::numbered(count).unwrap();
        let mut group = settings(criterion, format!("name/{count}"));
        let table = Slots::new(&nodes, slots(count), 1).unwrap();
        over_names(&mut group, "slots, static call", &names, |name| {
            let mut row = [NodeIndex::default()];
            table.place(hasher.key(name.as_bytes()), &mut row);
            row
        });
        for kind in StrategyKind::ALL {
            let linear = matches!(kind, StrategyKind::Rendezvous | StrategyKind::Straw2);
            if linear && count > 1000 {
                continue; // a tenth of a millisecond each
            }
            let strategy = kind.build(&nodes, slots(count), 1).unwrap();
            over_names(&mut group, kind.name(), &names, |name| {
                let mut row = [NodeIndex::default()];
                strategy.place(hasher.key(name.as_bytes()), &mut row);
                row
            });
        }
    }
}

fn rows(criterion: &mut Criterion) {
    let names = names();
    let hasher = NameHasher::new(HashFunction::Rapidhash, "paceline");
    let nodes = Nodes::numbered(1000).unwrap();
    let mut group = settings(criterion, "row of 3/1000".into());
    for kind in [StrategyKind::Slots, StrategyKind::Ring, StrategyKind::JumpBack] {
        let strategy = kind.build(&nodes, slots(1000), 3).unwrap();
        over_names(&mut group, kind.name(), &names, |name| {
            let mut row = [NodeIndex::default(); 3];
            strategy.place(hasher.key(name.as_bytes()), &mut row);
            row
        });
    }
}

/// The generator that jump-back-hash draws from.
struct SplitMix64(u64);

impl RngCore for SplitMix64 {
    fn next_u32(&mut self) -> u32 {
        self.next_u64() as u32
    }
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn fill_bytes(&mut self, _: &mut [u8]) {
        unreachable!("the algorithm draws whole words")
    }
    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), rand_core_05::Error> {
        unreachable!("the algorithm draws whole words")
    }
}

fn peers(criterion: &mut Criterion) {
    let names = names();
    for count in [10u32, 100, 1000] {
        let mut group = settings(criterion, format!("name/{count}"));
        let addresses = || (0..count).map(|at| format!("10.{}.{}.7:6000", at / 250, at % 250));

        let xxh3 = |name: &str| xxhash_rust::xxh3::xxh3_64(name.as_bytes());
        over_names(&mut group, "crate jump-consistent-hash + xxh3", &names, |name| {
            jump_consistent_hash::hash(xxh3(name), count as usize)
        });
        over_names(&mut group, "crate jump-back-hash + xxh3", &names, |name| {
            jump_back_hash::bucket(&mut SplitMix64(xxh3(name)), count)
        });
        over_names(&mut group, "crate fliphash + xxh3", &names, |name| {
            fliphash::fliphash_64(xxh3(name), ..=u64::from(count - 1))
        });

        let buckets: Vec<_> = addresses()
            .map(|address| pingora_ketama::Bucket::new(address.parse().unwrap(), 1))
            .collect();
        let continuum = pingora_ketama::Continuum::new(&buckets);
        over_names(&mut group, "crate pingora-ketama", &names, |name| {
            continuum.node(name.as_bytes())
        });

        let maglev = maglev_hash::MaglevTable::new(addresses().collect::<Vec<String>>());
        over_names(&mut group, "crate maglev-hash", &names, |name| maglev.get(&name).is_some());

        let anchor = anchorhash::Builder::default()
            .with_resources(addresses())
            .build((count * 5 / 4 + 16) as u16);
        over_names(&mut group, "crate anchorhash", &names, |name| {
            anchor.get_resource(name).is_some()
        });

        let mut ring = hashring::HashRing::new();
        ring.batch_add(
            addresses().flat_map(|address| (0..100).map(move |at| (address.clone(), at))).collect(),
        );
        over_names(&mut group, "crate hashring, 100 points", &names, |name| {
            ring.get(&name).is_some()
        });

        let probes = mpchash::HashRing::new();
        addresses().for_each(|address| probes.add(address));
        over_names(&mut group, "crate mpchash", &names, |name| probes.node(&name).is_some());

        let mut scores = rendezvous_hash::RendezvousNodes::default();
        let listed: Vec<String> = addresses().collect();
        for address in &listed {
            scores.insert(address.as_str());
        }
        let few = &names[..40];
        over_names(&mut group, "crate rendezvous_hash", few, |name| {
            scores.calc_candidates(&name).next().is_some()
        });
    }
}

fn changes(criterion: &mut Criterion) {
    for count in [10, 100, 1000] {
        let nodes = Nodes::numbered(count).unwrap();
        let mut larger = nodes.clone();
        larger.join(Node::new("late")).unwrap();
        let table = Slots::new(&nodes, slots(count), 1).unwrap();
        let mut group = settings(criterion, format!("change/{count}"));
        group.bench_function("slots, build", |bencher| {
            bencher.iter(|| Slots::new(&nodes, slots(count), 1).unwrap());
        });
        group.bench_function("slots, one joins (with a copy of the table)", |bencher| {
            bencher.iter(|| {
                let mut table = table.clone();
                table.update(&larger).unwrap();
                table
            });
        });
    }
}

criterion_group!(benches, hashes, ours, rows, peers, changes);
criterion_main!(benches);
