//! What theory says of a strategy holds for the strategy as it is.

use paceline_placement::{
    HashFunction, NameHasher, Node, NodeIndex, Nodes, Parameters, SlotCount, Strategy,
    StrategyKind, theory::chi_square,
};

/// So many nodes, of these weights in turn.
fn nodes(count: usize, weights: &[f64]) -> Nodes {
    let weight = |at: usize| weights[at % weights.len()];
    Nodes::new((0..count).map(|at| Node::new(format!("n{}", at + 1)).with_weight(weight(at))))
        .unwrap()
}

fn counts(strategy: &dyn Strategy, keys: &[u64], nodes: usize) -> Vec<u64> {
    let mut first = vec![NodeIndex::default(); keys.len()];
    strategy.place_all(keys, &mut first);
    let mut counts = vec![0; nodes];
    first.iter().for_each(|node| counts[node.get()] += 1);
    counts
}

/// The largest distance between the distribution of these values and the uniform one, in units in
/// which one in a thousand samples is above 1.95 (Kolmogorov and Smirnov).
fn distance_from_uniform(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let count = values.len() as f64;
    let steps = values.iter().zip(0..).map(|(value, rank)| {
        (value - f64::from(rank) / count).max(f64::from(rank + 1) / count - value)
    });
    steps.fold(0.0, f64::max) * count.sqrt()
}

/// The keys of the same names under many salts.
fn salted_keys(salts: u64, names: usize) -> Vec<Vec<u64>> {
    let salted = |salt: u64| {
        let hasher = NameHasher::new(
            HashFunction::Xxh3,
            HashFunction::Blake3.hash(&salt.to_le_bytes()).to_le_bytes(),
        );
        (0..names).map(|name| hasher.key(format!("queue-{name:06}").as_bytes())).collect()
    };
    (0..salts).map(salted).collect()
}

#[test]
fn p_values_over_salts_are_uniform_for_every_strategy() {
    let keys = salted_keys(300, 1200);
    let with = Parameters { table: 1009, ..Parameters::default() };
    for (count, weights) in [(8, &[1.0][..]), (13, &[1.0]), (6, &[1.0, 2.0, 0.5])] {
        let nodes = nodes(count, weights);
        for kind in StrategyKind::ALL {
            let slots = SlotCount::new(1000, count).unwrap();
            let strategy = kind.build_with(&nodes, slots, 1, &with).unwrap();
            let shares = strategy.shares(count);
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{kind}: {shares:?}");
            let expected: Vec<f64> = shares.iter().map(|share| share * 1200.0).collect();
            let p_values = keys.iter().map(|keys| {
                chi_square(&counts(&*strategy, keys, count), &expected).unwrap().p_value
            });
            let distance = distance_from_uniform(p_values.collect());
            assert!(distance < 1.95, "{kind} on {count} nodes of {weights:?}: {distance}");
        }
    }
}
