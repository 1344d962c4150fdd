//! What theory says of a strategy holds for the strategy as it is.

use paceline_placement::{
    HashFunction, NameHasher, Node, NodeIndex, Nodes, Parameters, SlotCount, Strategy,
    StrategyKind,
    theory::{Balance, Drawn, Hashed, Known, chi_square, zipf_shares},
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

/// The same for destinations of Zipf's law, where chi-square does not apply; the expected peak is
/// that of the same rounds.
#[test]
fn p_values_over_salts_are_uniform_for_any_popularity() {
    let keys = salted_keys(300, 800);
    let with = Parameters { table: 1009, ..Parameters::default() };
    for (count, weights, exponent) in [(8, &[1.0][..], 0.6), (6, &[1.0, 2.0, 0.5], 1.0)] {
        let nodes = nodes(count, weights);
        let weights: Vec<f64> = nodes.iter().map(|(_, node)| node.weight).collect();
        let destinations = zipf_shares(800, exponent);
        for kind in [StrategyKind::Ring, StrategyKind::MultiProbe, StrategyKind::BoundedLoad] {
            let slots = SlotCount::new(1000, count).unwrap();
            let strategy = kind.build_with(&nodes, slots, 1, &with).unwrap();
            let theory = Drawn::new(&destinations, &strategy.shares(count), &weights).unwrap();
            let balance = |keys: &Vec<u64>| {
                let mut first = vec![NodeIndex::default(); keys.len()];
                strategy.place_all(keys, &mut first);
                let mut loads = vec![0.0; count];
                first.iter().zip(&destinations).for_each(|(node, f)| loads[node.get()] += f);
                Balance::of(&loads, &weights).unwrap()
            };
            let balances: Vec<Balance> = keys.iter().map(balance).collect();
            let p_values = balances.iter().map(|balance| theory.p_value(balance.cv));
            let distance = distance_from_uniform(p_values.collect());
            let told = format!("{kind} on {count} nodes of {weights:?}, {exponent}");
            assert!(distance < 1.95, "{told}: {distance}");
            let (measured, error) =
                mean_peak(keys.len() as u64, |round| balances[round as usize].peak);
            let differ = (theory.peak() - measured).abs();
            assert!(differ < 3.5 * error, "{told}: {}, measured {measured}", theory.peak());
        }
    }
}

/// Mean and standard error of the peaks of so many rounds.
fn mean_peak(rounds: u64, peak: impl Fn(u64) -> f64) -> (f64, f64) {
    let peaks: Vec<f64> = (0..rounds).map(peak).collect();
    let mean = peaks.iter().sum::<f64>() / rounds as f64;
    let squares = peaks.iter().map(|peak| (peak - mean).powi(2)).sum::<f64>();
    (mean, (squares / (rounds * (rounds - 1)) as f64).sqrt())
}

/// The largest load of a node in a round of random keys, relative to its share of the weights.
fn peak(strategy: &dyn Strategy, nodes: &Nodes, keys: u64, round: u64) -> f64 {
    let key = |key: u64| HashFunction::Rapidhash.hash(&(round << 32 | key).to_le_bytes());
    let keys: Vec<u64> = (0..keys).map(key).collect();
    let total: f64 = nodes.iter().map(|(_, node)| node.weight).sum();
    let relative = counts(strategy, &keys, nodes.len())
        .into_iter()
        .zip(nodes.iter())
        .map(|(count, (_, node))| count as f64 / keys.len() as f64 * total / node.weight);
    relative.fold(0.0, f64::max)
}

/// What chance gives on these very nodes: every strategy, whatever the weights.
#[test]
fn expected_peaks_on_given_nodes_are_those_of_the_strategies() {
    let with = Parameters { table: 1009, points_per_node: 30, ..Parameters::default() };
    for (count, weights, keys) in
        [(7, &[1.0][..], 1500), (20, &[1.0], 500), (5, &[2.0, 1.0, 0.5], 1000)]
    {
        let nodes = nodes(count, weights);
        let slots = SlotCount::new(128, count).unwrap();
        for kind in StrategyKind::ALL {
            let strategy = kind.build_with(&nodes, slots, 1, &with).unwrap();
            let weights: Vec<f64> = nodes.iter().map(|(_, node)| node.weight).collect();
            let theory = Known::new(keys, &strategy.shares(count), &weights).unwrap().peak();
            let (measured, error) = mean_peak(150, |round| peak(&*strategy, &nodes, keys, round));
            assert!(
                (theory - measured).abs() < 3.5 * error + 0.01 * (measured - 1.0),
                "{kind} on {count} nodes of {weights:?}: {theory}, measured {measured} ± {error}"
            );
        }
    }
}

/// What chance gives on nodes of any names: circles, whose shares hang on these.
#[test]
fn expected_peaks_of_circles_are_those_of_the_strategies() {
    for (count, points, keys) in [(8, 100, 2000), (60, 20, 1200), (3, 40, 1000)] {
        let with =
            Parameters { points_per_node: points, ketama_points: points, ..Parameters::default() };
        let slots = SlotCount::new(64, count).unwrap();
        let shares = vec![1.0 / keys as f64; keys as usize];
        for kind in [StrategyKind::Ring, StrategyKind::Ketama, StrategyKind::KetamaNginx] {
            let cv = kind.circle_cv(&Nodes::numbered(count).unwrap(), &with).unwrap();
            let theory = Hashed::new(&shares, count, cv).peak();
            let (measured, error) = mean_peak(250, |round| {
                let name = |at: usize| Node::new(format!("node-{round}-{at}.example"));
                let nodes = Nodes::new((0..count).map(name)).unwrap();
                let strategy = kind.build_with(&nodes, slots, 1, &with).unwrap();
                peak(&*strategy, &nodes, keys, round)
            });
            assert!(
                (theory - measured).abs() < 3.0 * error + 0.01 * (measured - 1.0),
                "{kind}, {count} nodes of {points} points: {theory}, measured {measured} ± {error}"
            );
        }
    }
}

#[test]
fn nothing_is_expected_of_a_circle_that_no_formula_describes() {
    let cv = |kind: StrategyKind, weights: &[f64]| {
        kind.circle_cv(&nodes(4, weights), &Parameters::default())
    };
    let ring = paceline_placement::theory::ring_cv;
    assert_eq!(cv(StrategyKind::Ring, &[3.0]), Some(ring(4, 100.0)));
    assert_eq!(cv(StrategyKind::KetamaNginx, &[0.5]), Some(ring(4, 80.0)));
    // A chain of few CRCs spreads the points of nodes with like names more evenly than chance.
    assert_eq!(cv(StrategyKind::KetamaNginx, &[0.05]), None);
    assert_eq!(cv(StrategyKind::KetamaNginx, &[1e9]), None);
    assert_eq!(cv(StrategyKind::Ring, &[1.0, 2.0]), None);
    assert_eq!(cv(StrategyKind::MultiProbe, &[1.0]), None);
}
