//! How evenly each combination spreads the load, beside what theory expects.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use paceline_placement::{
    NodeIndex, Nodes, StrategyKind,
    theory::{self, Balance, Drawn, Hashed, Known, Spread},
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

/// What chance gives a population, worked out once for all hash functions and salts.
#[derive(Default)]
pub(super) struct Chances(Mutex<BTreeMap<Case, Option<Arc<Chance>>>>);

/// A population, how many nodes, and a strategy.
type Case = (String, usize, &'static str);

struct Chance {
    expected: ExpectedBalance,
    /// The distribution of the variation where chi-square over counts does not apply.
    spread: Option<Variation>,
}

enum Variation {
    /// Of equal nodes that take equal parts.
    Even(Spread),
    /// Of any others.
    Uneven(Drawn),
}

impl Variation {
    fn p_value(&self, cv: f64) -> f64 {
        match self {
            Variation::Even(spread) => spread.p_value(cv),
            Variation::Uneven(drawn) => drawn.p_value(cv),
        }
    }
}

impl Chances {
    /// What chance gives a strategy. `None` where chance has no part, and where it takes too long to
    /// work out.
    fn of(
        &self,
        entry: Entry,
        placed: &Placed,
        population: &Population,
        nodes: &Nodes,
        setting: &Setting,
    ) -> Option<Arc<Chance>> {
        let Entry::Kind(kind) = entry else { return None };
        let key = (population.name.clone(), nodes.len(), kind.name());
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(chance) = known().get(&key) {
            return chance.clone();
        }
        let chance = chance(kind, placed, population, nodes, setting).map(Arc::new);
        known().insert(key, chance.clone());
        chance
    }
}

/// Circles are expected to be as uneven as nodes of any names would make them. What other strategies
/// give each node is known, or the same for all names.
fn chance(
    kind: StrategyKind,
    placed: &Placed,
    population: &Population,
    nodes: &Nodes,
    setting: &Setting,
) -> Option<Chance> {
    let (weights, shares) = (weights(nodes), placed.strategy().shares(nodes.len()));
    if weights.len() < 2 {
        return None;
    }
    let destinations = &population.shares;
    let hashed = |cv: f64| {
        let hashed = Hashed::new(destinations, weights.len(), cv);
        ExpectedBalance { peak: hashed.peak(), cv: hashed.cv() }
    };
    let circle = kind.circle_cv(nodes, &setting.parameters).map(hashed);
    if population.is_uniform() {
        let known = Known::new(destinations.len() as u64, &shares, &weights)?;
        let known = || ExpectedBalance { peak: known.peak(), cv: known.cv() };
        return Some(Chance { expected: circle.unwrap_or_else(known), spread: None });
    }
    let n = weights.len() as f64;
    let unevenness = shares.iter().map(|share| (share * n - 1.0).powi(2)).sum::<f64>() / n;
    let by_chance = theory::hashed_cv(weights.len(), destinations.iter().map(|f| f * f).sum());
    if equal(&weights) && unevenness < 0.01 * by_chance.powi(2) {
        let spread = Spread::new(destinations, weights.len(), unevenness.sqrt());
        let expected = hashed(unevenness.sqrt());
        return Some(Chance { expected, spread: spread.map(Variation::Even) });
    }
    let drawn = Drawn::new(destinations, &shares, &weights)?;
    let expected = circle.unwrap_or_else(|| ExpectedBalance { peak: drawn.peak(), cv: drawn.cv() });
    Some(Chance { expected, spread: Some(Variation::Uneven(drawn)) })
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
    let chance = chances.of(entry, placed, population, nodes, setting);
    let expected = match &chance {
        Some(chance) => Some(chance.expected),
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
        expected_cv: chance.map(|chance| chance.expected.cv),
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
