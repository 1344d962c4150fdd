//! How evenly each combination spreads the load, beside what theory expects.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use paceline_placement::{
    NodeIndex, Nodes, StrategyKind,
    strategies::Maglev,
    theory::{self, Balance, Hashed, Spread},
};
use paceline_reports::compare::{BalanceCell, ExpectedBalance, LoadProfile};

use super::{
    entry::{Entry, Items, Placed, Setting, loads, weights},
    population::Population,
};

/// What one combination is called.
#[derive(Clone, Copy)]
pub(super) struct Labels<'a> {
    pub entry: Entry,
    pub hash: &'a str,
    pub salt: &'a str,
    pub population: &'a Population,
}

/// What chance gives a population, worked out once for all strategies and hash functions that it
/// gives the same.
#[derive(Default)]
pub(super) struct Chances(Mutex<BTreeMap<(String, usize, u64), Arc<Chance>>>);

struct Chance {
    peak: f64,
    cv: f64,
    /// Where chi-square over counts does not apply.
    spread: Option<Spread>,
}

impl Chances {
    fn of(&self, population: &Population, nodes: usize, structural_cv: f64) -> Arc<Chance> {
        let key = (population.name.clone(), nodes, structural_cv.to_bits());
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(chance) = known().get(&key) {
            return chance.clone();
        }
        let shares = &population.shares;
        let hashed = Hashed::new(shares, nodes, structural_cv);
        let skewed = !population.is_uniform();
        let spread = skewed.then(|| Spread::new(shares, nodes, structural_cv)).flatten();
        let chance = Arc::new(Chance { peak: hashed.peak(), cv: hashed.cv(), spread });
        known().insert(key, chance.clone());
        chance
    }
}

/// Places a population and measures the balance.
pub(super) fn measure(
    labels: Labels,
    placed: &Placed,
    items: &Items,
    nodes: &Nodes,
    setting: &Setting,
    chances: &Chances,
) -> (BalanceCell, LoadProfile) {
    let Labels { entry, hash, salt, population } = labels;
    let assigned = placed.assign(items);
    let weights = weights(nodes);
    let loads = loads(&assigned, &items.shares, nodes.len());
    let balance = Balance::of(&loads, &weights).expect("there are nodes and load");
    let chance = chance(entry, population, nodes, setting, chances);
    let expected = match &chance {
        Some(chance) => Some(ExpectedBalance { peak: chance.peak, cv: chance.cv }),
        None => computed(entry, population, nodes),
    };
    let p_value = if population.is_uniform() {
        matches!(entry, Entry::Kind(_)).then(|| p_value(placed, &assigned, nodes)).flatten()
    } else {
        let spread = chance.as_ref().and_then(|chance| chance.spread.as_ref());
        spread.map(|spread| spread.p_value(balance.cv))
    };
    let cell = BalanceCell {
        strategy: entry.name().to_owned(),
        hash: hash.to_owned(),
        salt: salt.to_owned(),
        nodes: nodes.count_up() as u64,
        population: population.name.clone(),
        peak: balance.peak,
        least: balance.least,
        cv: balance.cv,
        gini: balance.gini,
        // Rounding may lift a perfect index above 1.
        jain: balance.jain.min(1.0),
        kl: Some(balance.kl),
        expected,
        bound: bound(&population.shares, nodes),
        p_value,
    };
    let profile = LoadProfile {
        strategy: entry.name().to_owned(),
        hash: hash.to_owned(),
        population: population.name.clone(),
        relative_loads: balance.relative,
        expected_cv: chance.map(|chance| chance.cv),
    };
    (cell, profile)
}

/// The least peak that any placement of whole destinations can reach on these nodes.
pub(super) fn bound(shares: &[f64], nodes: &Nodes) -> f64 {
    let all = weights(nodes);
    let weights: Vec<f64> = nodes.up().map(|(index, _)| all[index.get()]).collect();
    if equal(&weights) {
        return theory::atomic_bound(shares, weights.len());
    }
    // With unequal nodes: the hottest destination on the largest node.
    let largest = weights.iter().copied().fold(0.0, f64::max) / weights.iter().sum::<f64>();
    (shares[0] / largest).max(1.0)
}

fn equal(weights: &[f64]) -> bool {
    weights.windows(2).all(|pair| pair[0] == pair[1])
}

/// What chance gives a strategy. `None` where chance has no part, and where there is no formula:
/// for unequal weights, and for strategies whose noise nobody has put into one.
fn chance(
    entry: Entry,
    population: &Population,
    nodes: &Nodes,
    setting: &Setting,
    chances: &Chances,
) -> Option<Arc<Chance>> {
    let Entry::Kind(kind) = entry else { return None };
    let n = equal_nodes(nodes)?;
    Some(chances.of(population, n, structural_cv(kind, nodes, n, setting)?))
}

/// What a table that follows load is expected to reach.
fn computed(entry: Entry, population: &Population, nodes: &Nodes) -> Option<ExpectedBalance> {
    let n = equal_nodes(nodes)?;
    let shares = &population.shares;
    match entry {
        Entry::SlotsSplit => Some(ExpectedBalance { peak: 1.0, cv: 0.0 }),
        Entry::SlotsByLoad => {
            Some(ExpectedBalance { peak: theory::atomic_bound(shares, n), cv: ideal_cv(shares, n) })
        }
        Entry::Kind(_) => None,
    }
}

/// How many nodes there are, if all are alike and there is more than one.
fn equal_nodes(nodes: &Nodes) -> Option<usize> {
    let weights: Vec<f64> = nodes.up().map(|(_, node)| node.weight).collect();
    (weights.len() > 1 && equal(&weights)).then_some(weights.len())
}

/// Variation of loads when each destination that is above its share has a node to itself and the
/// rest is even.
fn ideal_cv(shares: &[f64], nodes: usize) -> f64 {
    let mut alone: Vec<f64> = shares.iter().copied().take(nodes).collect();
    alone.resize(nodes, 0.0);
    let loads = theory::even_loads(1.0, &vec![1.0; nodes], &alone);
    let squares: f64 = loads.iter().map(|load| (load * nodes as f64 - 1.0).powi(2)).sum();
    (squares / nodes as f64).sqrt()
}

/// Variation that a strategy adds by its own construction to the loads of `count` equal nodes.
fn structural_cv(
    kind: StrategyKind,
    nodes: &Nodes,
    count: usize,
    setting: &Setting,
) -> Option<f64> {
    // Of entries dealt out evenly, some nodes have one more than others.
    let dealt = |entries: f64| {
        let n = count as f64;
        let more = entries % n;
        (more * (n - more)).sqrt() / entries
    };
    let slots = f64::from(setting.slots.get());
    match kind {
        StrategyKind::Ring | StrategyKind::Ketama | StrategyKind::KetamaNginx => {
            // All have as many as the first.
            let points = kind.points(nodes, &setting.parameters).ok()??[0];
            Some(theory::ring_cv(count, points as f64))
        }
        StrategyKind::Random => Some(((count as f64 - 1.0) / slots).sqrt()),
        StrategyKind::Slots
        | StrategyKind::Modulo
        | StrategyKind::RoundRobin
        | StrategyKind::TwoChoice => Some(dealt(slots)),
        StrategyKind::Maglev => Some(dealt(f64::from(Maglev::TABLE).max(100.0 * count as f64))),
        StrategyKind::Rendezvous
        | StrategyKind::Straw2
        | StrategyKind::Jump
        | StrategyKind::JumpBack
        | StrategyKind::Flip
        | StrategyKind::Anchor
        | StrategyKind::Dx
        | StrategyKind::Memento => Some(0.0),
        StrategyKind::MultiProbe | StrategyKind::BoundedLoad => None,
    }
}

/// Whether the counts of equally popular destinations are what chance gives this strategy on these
/// nodes. What the strategy gives each node is known, so the test is of the hash function alone, and
/// a circle that is uneven by itself does not look like one.
pub(super) fn p_value(placed: &Placed, assigned: &[NodeIndex], nodes: &Nodes) -> Option<f64> {
    let mut counts = vec![0u64; nodes.len()];
    assigned.iter().for_each(|node| counts[node.get()] += 1);
    let shares = placed.strategy().shares(nodes.len());
    let expected: Vec<f64> = shares.iter().map(|share| share * assigned.len() as f64).collect();
    theory::chi_square(&counts, &expected).map(|test| test.p_value)
}
