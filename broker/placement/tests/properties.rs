//! What must hold for every strategy, or for those that promise it.

use std::collections::{BTreeMap, BTreeSet};

use paceline_placement::{
    Node, NodeIndex, NodeState, Nodes, Parameters, SlotCount, SlotId, Strategy, StrategyKind,
    strategies::Slots, theory,
};
use proptest::prelude::{Strategy as Generator, any, prop, prop_assert, prop_assert_eq, proptest};

/// Strategies that move nothing but what a new node takes.
fn joins_cleanly(kind: StrategyKind) -> bool {
    !matches!(
        kind,
        StrategyKind::Modulo
            | StrategyKind::Maglev
            | StrategyKind::BoundedLoad
            | StrategyKind::TwoChoice
    )
}

/// Strategies that move nothing but what a lost node had, whichever it is.
fn leaves_cleanly(kind: StrategyKind) -> bool {
    joins_cleanly(kind)
        && !matches!(kind, StrategyKind::Jump | StrategyKind::JumpBack | StrategyKind::Flip)
}

fn kinds() -> impl Generator<Value = StrategyKind> {
    prop::sample::select(StrategyKind::ALL)
}

fn slots(nodes: usize) -> SlotCount {
    SlotCount::new(512, nodes).unwrap()
}

fn keys() -> Vec<u64> {
    (0..2000).map(blake3_key).collect()
}

fn blake3_key(number: u64) -> u64 {
    paceline_placement::HashFunction::Blake3.hash(&number.to_le_bytes())
}

fn first_nodes(strategy: &dyn Strategy, keys: &[u64]) -> Vec<NodeIndex> {
    let mut first = vec![NodeIndex::default(); keys.len()];
    strategy.place_all(keys, &mut first);
    first
}

/// Nodes with weights and zones, and a number of replicas that they allow.
fn clusters() -> impl Generator<Value = (Vec<Node>, usize)> {
    (1usize..12, 1usize..6).prop_flat_map(|(count, zones)| {
        let node = (any::<bool>(), 0..zones, 1u32..40);
        (prop::collection::vec(node, count), 1..=count.min(4)).prop_map(|(nodes, replicas)| {
            let nodes = nodes.into_iter().enumerate().map(|(number, (zoned, zone, weight))| {
                let node = Node::new(format!("n{number}")).with_weight(f64::from(weight) / 10.0);
                if zoned { node.in_zone(format!("z{zone}")) } else { node }
            });
            (nodes.collect(), replicas)
        })
    })
}

fn check_rows(strategy: &dyn Strategy, nodes: &Nodes, replicas: usize) {
    let zone = nodes.zone_numbers();
    let zones: BTreeSet<u32> = nodes.up().map(|(index, _)| zone[index.get()]).collect();
    for key in keys() {
        let mut row = vec![NodeIndex::default(); replicas];
        strategy.place(key, &mut row);
        let distinct: BTreeSet<_> = row.iter().collect();
        assert_eq!(distinct.len(), replicas, "{row:?}");
        assert!(row.iter().all(|node| nodes.get(*node).state == NodeState::Up), "{row:?}");
        let covered: BTreeSet<_> = row.iter().map(|node| zone[node.get()]).collect();
        assert_eq!(covered.len(), replicas.min(zones.len()), "{row:?} in zones {zone:?}");
        let mut alone = [NodeIndex::default()];
        strategy.place(key, &mut alone);
        assert_eq!(alone[0], row[0], "the first node does not depend on the length of the row");
    }
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn rows_are_distinct_and_cover_zones((list, replicas) in clusters(), kind in kinds()) {
        let mut nodes = Nodes::new(list).unwrap();
        let mut strategy = kind.build(&nodes, slots(nodes.len()), replicas).unwrap();
        check_rows(&*strategy, &nodes, replicas);
        nodes.join(Node::new("late").in_zone("z1")).unwrap();
        strategy.update(&nodes).unwrap();
        check_rows(&*strategy, &nodes, replicas);
        nodes.set_state(b"n0", NodeState::Gone).unwrap();
        strategy.update(&nodes).unwrap();
        check_rows(&*strategy, &nodes, replicas);
    }

    #[test]
    fn the_order_of_the_list_does_not_matter(
        (list, replicas) in clusters(),
        kind in kinds(),
        seed in any::<u64>(),
    ) {
        let mut shuffled = list.clone();
        shuffled.sort_by_key(|node| {
            paceline_placement::HashFunction::Xxh3.hash(&[&node.name[..], &seed.to_le_bytes()].concat())
        });
        let build = |list| {
            let nodes = Nodes::new(list).unwrap();
            first_nodes(&*kind.build(&nodes, slots(12), replicas).unwrap(), &keys())
        };
        prop_assert!(build(list) == build(shuffled));
    }

    #[test]
    fn joins_move_keys_to_the_new_node_only(count in 2usize..30, kind in kinds()) {
        let mut nodes = Nodes::numbered(count).unwrap();
        let capacity = Parameters { capacity: Some(64), ..Parameters::default() };
        let mut strategy = kind.build_with(&nodes, slots(64), 1, &capacity).unwrap();
        let before = first_nodes(&*strategy, &keys());
        let new = nodes.join(Node::new("late")).unwrap();
        strategy.update(&nodes).unwrap();
        let dx_grew = kind == StrategyKind::Dx && (count + 1).is_power_of_two();
        if joins_cleanly(kind) && !dx_grew {
            for (before, after) in before.iter().zip(first_nodes(&*strategy, &keys())) {
                prop_assert!(after == *before || after == new);
            }
        }
    }

    #[test]
    fn losses_move_the_lost_keys_only(count in 3usize..30, lost in 0usize..30, kind in kinds()) {
        let mut nodes = Nodes::numbered(count).unwrap();
        let mut strategy = kind.build(&nodes, slots(64), 1).unwrap();
        let before = first_nodes(&*strategy, &keys());
        let lost = NodeIndex((lost % count) as u32);
        let name = nodes.get(lost).name.clone();
        nodes.set_state(&name, NodeState::Gone).unwrap();
        strategy.update(&nodes).unwrap();
        let after = first_nodes(&*strategy, &keys());
        prop_assert!(!after.contains(&lost));
        if leaves_cleanly(kind) {
            for (before, after) in before.iter().zip(&after) {
                prop_assert!(after == before || *before == lost);
            }
        }
        // A node that comes back gets its own keys again where the strategy has no memory of its
        // own making.
        if leaves_cleanly(kind)
            && !matches!(kind, StrategyKind::Slots | StrategyKind::Random | StrategyKind::RoundRobin)
        {
            nodes.join(Node::new(name)).unwrap();
            strategy.update(&nodes).unwrap();
            prop_assert!(first_nodes(&*strategy, &keys()) == before);
        }
    }

    #[test]
    fn slots_moves_exactly_what_the_shares_demand((list, _) in clusters(), weight in 1u32..40) {
        let mut nodes = Nodes::new(list).unwrap();
        let p = slots(nodes.len());
        let mut table = Slots::new(&nodes, p, 1).unwrap();
        let counts = |table: &Slots, nodes: &Nodes| {
            let mut counts = vec![0i64; nodes.len()];
            table.rows().iter().for_each(|node| counts[node.get()] += 1);
            counts
        };
        let changes: [&dyn Fn(&mut Nodes); 3] = [
            &|nodes| { nodes.join(Node::new("late")).unwrap(); },
            &|nodes| nodes.set_weight(b"n0", f64::from(weight) / 10.0).unwrap(),
            &|nodes| nodes.set_state(b"n0", NodeState::Draining).unwrap(),
        ];
        for change in changes {
            let before = table.rows().to_vec();
            change(&mut nodes);
            let had = {
                let mut counts = counts(&table, &nodes);
                counts.resize(nodes.len(), 0);
                counts
            };
            table.update(&nodes).unwrap();
            let has = counts(&table, &nodes);
            let moved = before.iter().zip(table.rows()).filter(|(a, b)| a != b).count() as i64;
            let demanded: i64 = had.iter().zip(&has).map(|(had, has)| (has - had).max(0)).sum();
            prop_assert_eq!(moved, demanded, "a slot moved for nothing");
            let total: f64 = nodes.up().map(|(_, node)| node.weight).sum();
            for (index, node) in nodes.up() {
                let share = 512.0 * node.weight / total;
                prop_assert!((has[index.get()] as f64 - share).abs() < 1.0 + 1e-6);
            }
            let converged = table.rows().to_vec();
            table.update(&nodes).unwrap();
            prop_assert!(table.rows() == &converged[..], "a converged table moved");
        }
    }

    #[test]
    fn slots_with_replicas_settles((list, replicas) in clusters(), kill in 0usize..12) {
        let mut nodes = Nodes::new(list).unwrap();
        let mut table = Slots::new(&nodes, slots(nodes.len()), replicas).unwrap();
        nodes.join(Node::new("late").in_zone("z2")).unwrap();
        nodes.set_state(format!("n{}", kill % (nodes.len() - 1)).as_bytes(), NodeState::Gone).unwrap();
        table.update(&nodes).unwrap();
        check_rows(&table, &nodes, replicas);
        for _ in 0..3 {
            table.update(&nodes).unwrap();
        }
        let converged = table.rows().to_vec();
        table.update(&nodes).unwrap();
        prop_assert!(table.rows() == &converged[..], "a converged table moved");
    }

    #[test]
    fn load_is_balanced_to_the_bound_and_then_left_alone(
        count in 2usize..12,
        loads in prop::collection::vec(0u32..1000, 512),
        hot in 0u32..60_000,
    ) {
        let mut nodes = Nodes::numbered(count).unwrap();
        let mut loads: Vec<f64> = loads.into_iter().map(f64::from).collect();
        loads[77] = f64::from(hot);
        let mut table = Slots::by_load(&nodes, slots(count), 1, &loads).unwrap();
        let peak = |table: &Slots| {
            let mut load = [0.0; 16];
            table.rows().iter().zip(&loads).for_each(|(node, l)| load[node.get()] += l);
            load.iter().copied().fold(0.0, f64::max)
        };
        let bound = |count: usize| {
            (loads.iter().sum::<f64>() / count as f64).max(loads.iter().copied().fold(0.0, f64::max))
        };
        prop_assert!(peak(&table) <= bound(count) * 1.01 + 1.0);
        nodes.join(Node::new("late")).unwrap();
        table.update(&nodes).unwrap();
        prop_assert!(peak(&table) <= bound(count + 1) * 1.02 + 1.0);
        nodes.set_state(b"n1", NodeState::Gone).unwrap();
        table.update(&nodes).unwrap();
        prop_assert!(peak(&table) <= bound(count) * 1.02 + 1.0);
        let converged = table.rows().to_vec();
        table.update(&nodes).unwrap();
        prop_assert!(table.rows() == &converged[..], "a converged table moved");
    }
}

#[test]
fn weights_are_honoured_within_theory() {
    let weights = [1.0, 1.0, 2.0, 3.0, 1.0, 0.5, 1.5];
    let total: f64 = weights.iter().sum();
    let nodes = Nodes::new(
        weights.iter().enumerate().map(|(at, w)| Node::new(format!("n{at}")).with_weight(*w)),
    )
    .unwrap();
    let keys: Vec<u64> = (0..100_000).map(blake3_key).collect();
    for kind in StrategyKind::ALL.iter().filter(|kind| kind.honours_weights()) {
        let strategy = kind.build(&nodes, SlotCount::new(1 << 14, 7).unwrap(), 1).unwrap();
        let mut counts = [0.0; 7];
        first_nodes(&*strategy, &keys).iter().for_each(|node| counts[node.get()] += 1.0);
        for (count, weight) in counts.iter().zip(weights) {
            let (share, expected) = (count / 1e5, weight / total);
            let sampling = (expected * (1.0 - expected) / 1e5).sqrt();
            // What the strategy's own construction adds, relative to the share.
            let structural = match kind {
                StrategyKind::Ring | StrategyKind::Ketama | StrategyKind::KetamaNginx => 0.1,
                StrategyKind::BoundedLoad => 0.1,
                StrategyKind::TwoChoice => 0.05, // candidates are drawn regardless of weight
                StrategyKind::MultiProbe => 0.5, // whole points only
                _ => 0.0,
            };
            let allowed = 5.0 * (sampling + structural * expected);
            assert!((share - expected).abs() < allowed, "{kind}: {share} instead of {expected}");
        }
    }
}

#[test]
fn a_new_node_gets_load_however_little_its_share_is() {
    for count in [100, 500] {
        let mut nodes = Nodes::numbered(count).unwrap();
        let slots = SlotCount::new(1 << 16, count).unwrap();
        let loads: Vec<f64> = (0..1 << 16).map(|slot| (blake3_key(slot) % 1000) as f64).collect();
        let mut table = Slots::by_load(&nodes, slots, 1, &loads).unwrap();
        let before = table.rows().to_vec();
        let new = nodes.join(Node::new("late")).unwrap();
        table.update(&nodes).unwrap();
        let mut load = vec![0.0; count + 1];
        table.rows().iter().zip(&loads).for_each(|(node, l)| load[node.get()] += l);
        let share = loads.iter().sum::<f64>() / (count + 1) as f64;
        let least = load.iter().copied().fold(f64::INFINITY, f64::min);
        assert!(least > share * 0.98, "{count}: a node has {} of its share", least / share);
        let moved = before.iter().zip(table.rows()).filter(|(a, b)| a != b);
        assert!(moved.clone().all(|(_, to)| *to == new), "only to the new node");
        let converged = table.rows().to_vec();
        table.update(&nodes).unwrap();
        assert!(table.rows() == converged, "a converged table moved");
    }
}

#[test]
fn two_hot_slots_that_meet_are_parted() {
    let nodes = Nodes::numbered(8).unwrap();
    let mut loads: Vec<f64> = (0..512).map(|slot| f64::from(slot % 7 + 1) * 1e-4).collect();
    (0..8).for_each(|slot| loads[slot] = 0.1);
    let mut table = Slots::by_load(&nodes, SlotCount::new(512, 8).unwrap(), 1, &loads).unwrap();
    let peak = |table: &Slots, loads: &[f64]| {
        let mut load = [0.0; 8];
        table.rows().iter().zip(loads).for_each(|(node, l)| load[node.get()] += l);
        load.iter().copied().fold(0.0, f64::max) * 8.0 / loads.iter().sum::<f64>()
    };
    assert!(peak(&table, &loads) < 1.01);
    // One destination is no longer hot; one on the node of another hot one has become so.
    let cold = (8..512).find(|slot| table.rows()[*slot] == table.rows()[1]).unwrap();
    loads.swap(0, cold);
    assert!(peak(&table, &loads) > 1.5);
    table.follow_load(&nodes, &loads).unwrap();
    assert!(peak(&table, &loads) < 1.02, "{}", peak(&table, &loads));
}

/// Loads of slots as hashing gives them for destinations of Zipf's law, those above half a node's
/// share in parts if `split`.
fn zipf_loads(slots: SlotCount, exponent: f64, nodes: usize, split: bool) -> Vec<f64> {
    const DESTINATIONS: u32 = 20_000;
    let law = |rank: u32| f64::from(rank).powf(-exponent);
    let all: f64 = (1..=DESTINATIONS).map(law).sum();
    let mut loads = vec![0.0; slots.get() as usize];
    for rank in 1..=DESTINATIONS {
        let share = law(rank) / all;
        let parts = if split { (2.0 * nodes as f64 * share).ceil() as u32 } else { 1 };
        for part in 0..parts {
            let key = blake3_key(u64::from(rank) << 32 | u64::from(part));
            loads[slots.slot(key).0 as usize] += share / f64::from(parts);
        }
    }
    loads
}

#[test]
fn a_loss_moves_little_more_load_than_whole_slots_demand() {
    // (exponent, nodes, whether hot destinations are split, most that moves over the least)
    let cases = [
        (0.0, 10, false, 1.0001),
        (0.6, 10, false, 1.001),
        (0.6, 100, false, 1.05),
        (0.9, 10, false, 1.02),
        (1.2, 10, false, 1.05),
        (0.9, 100, false, 1.25),
        (0.9, 10, true, 1.02),
        (0.9, 100, true, 1.1),
    ];
    for (exponent, count, split, most) in cases {
        let slots = SlotCount::new(1 << 14, count).unwrap();
        let loads = zipf_loads(slots, exponent, count, split);
        let load_of = |rows: &[NodeIndex]| {
            let mut load = vec![0.0; count];
            rows.iter().zip(&loads).for_each(|(node, l)| load[node.get()] += l);
            load
        };
        let case = format!("exponent {exponent}, {count} nodes, split: {split}");
        for lost in (0..count).step_by(count.div_ceil(10)) {
            let mut nodes = Nodes::numbered(count).unwrap();
            let mut table = Slots::by_load(&nodes, slots, 1, &loads).unwrap();
            let before = table.rows().to_vec();
            let had = load_of(&before);
            nodes
                .set_state(&nodes.get(NodeIndex(lost as u32)).name.clone(), NodeState::Gone)
                .unwrap();
            table.update(&nodes).unwrap();
            let has = load_of(table.rows());

            let mut sorted = loads.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            let bound = theory::atomic_bound(&sorted, count - 1) / (count - 1) as f64;
            let peak = has.iter().copied().fold(0.0, f64::max);
            assert!(peak <= bound * 1.0101, "{case}: peak {}", peak / bound);

            let mut weights = vec![1.0; count];
            weights[lost] = 0.0;
            let mut hottest = vec![0.0f64; count];
            for (node, load) in table.rows().iter().zip(&loads) {
                hottest[node.get()] = hottest[node.get()].max(*load);
            }
            let even = theory::even_loads(loads.iter().sum(), &weights, &hottest);
            // All are at one level but those that a single slot fills.
            let level = even.iter().copied().filter(|load| *load > 0.0).fold(1.0, f64::min);
            let cap = |load: &f64| if *load > 0.0 { load.max(level * 1.01) } else { 0.0 };
            let caps: Vec<f64> = even.iter().map(cap).collect();
            let homeless = before.iter().zip(&loads).filter(|(node, _)| node.get() == lost);
            let homeless: Vec<f64> = homeless.map(|(_, load)| *load).collect();
            let displaced = theory::least_displaced(&homeless, &had, &caps);
            let pairs = before.iter().zip(table.rows()).zip(&loads);
            let moved: f64 = pairs.filter(|((a, b), _)| a != b).map(|(_, load)| load).sum();
            let least = had[lost] + displaced;
            assert!(moved <= least * most, "{case}: n{lost} moved {} times {least}", moved / least);
            if displaced == 0.0 {
                assert!(moved <= had[lost] * 1.0001, "{case}: moved {moved} without need");
            }
        }
    }
}

#[test]
fn a_failed_node_burdens_all_others_alike() {
    let nodes = Nodes::numbered(100).unwrap();
    for replicas in [2, 3] {
        let table = Slots::new(&nodes, SlotCount::new(16_384, 100).unwrap(), replicas).unwrap();
        let rows = || table.rows().chunks_exact(replicas);
        let mut worst: f64 = 0.0;
        for dead in (0..100).map(NodeIndex) {
            let mut load: BTreeMap<NodeIndex, f64> = BTreeMap::new();
            rows().for_each(|row| {
                *load.entry(row[usize::from(row[0] == dead)]).or_default() += 1.0;
            });
            worst = worst.max(load.values().copied().fold(0.0, f64::max) * 99.0 / 16_384.0);
        }
        assert!(worst <= 1.01, "{replicas} replicas: peak {worst} of the survivors' average");
    }
}

#[test]
fn copies_and_leaders_are_balanced_after_changes() {
    let mut nodes = Nodes::numbered(10).unwrap();
    let mut table = Slots::new(&nodes, SlotCount::new(1000, 10).unwrap(), 3).unwrap();
    let check = |table: &Slots, up: usize| {
        let (mut leads, mut copies) = (BTreeMap::new(), BTreeMap::new());
        for row in table.rows().chunks_exact(3) {
            *leads.entry(row[0]).or_insert(0) += 1;
            row.iter().for_each(|node| *copies.entry(*node).or_insert(0) += 1);
        }
        for (counts, total) in [(leads, 1000), (copies, 3000)] {
            assert_eq!(counts.len(), up);
            let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
            assert!(*least >= total / up && *most <= total.div_ceil(up), "{counts:?}");
        }
    };
    check(&table, 10);
    nodes.join(Node::new("late")).unwrap();
    let before = table.rows().to_vec();
    table.update(&nodes).unwrap();
    check(&table, 11);
    let new_copies = before
        .chunks_exact(3)
        .zip(table.rows().chunks_exact(3))
        .flat_map(|(before, after)| after.iter().filter(|node| !before.contains(node)))
        .count();
    assert!((272..=273).contains(&new_copies), "{new_copies} copies moved; 3000/11 are needed");
    nodes.set_state(b"n4", NodeState::Gone).unwrap();
    table.update(&nodes).unwrap();
    check(&table, 10);
}

#[test]
fn pins_are_obeyed_until_they_are_lifted() {
    let mut nodes = Nodes::numbered(5).unwrap();
    let mut table = Slots::new(&nodes, SlotCount::new(64, 5).unwrap(), 2).unwrap();
    let first = |table: &Slots, slot: usize| table.rows()[slot * 2];
    for slot in 0..20 {
        table.pin(&nodes, SlotId(slot), NodeIndex(2)).unwrap();
    }
    nodes.join(Node::new("late")).unwrap();
    table.update(&nodes).unwrap();
    assert!((0..20).all(|slot| first(&table, slot) == NodeIndex(2)));
    nodes.set_state(b"n3", NodeState::Gone).unwrap();
    table.update(&nodes).unwrap();
    assert!((0..20).all(|slot| first(&table, slot) != NodeIndex(2)), "a pin cannot revive a node");
    nodes.join(Node::new("n3")).unwrap();
    table.update(&nodes).unwrap();
    assert!((0..20).all(|slot| first(&table, slot) == NodeIndex(2)));
    assert!((0..20).all(|slot| table.unpin(SlotId(slot))));
    table.update(&nodes).unwrap();
    assert!((0..20).filter(|slot| first(&table, *slot) == NodeIndex(2)).count() < 20);
    assert!(table.pin(&nodes, SlotId(64), NodeIndex(0)).is_err());
    assert!(table.pin(&nodes, SlotId(0), NodeIndex(77)).is_err());
}
