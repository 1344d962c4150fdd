//! What can be chosen, with its figures.

use std::collections::BTreeSet;

use crate::balance::uniformity;
use crate::compare::change::{FailoverCell, MovementCell, RestartCell};
use crate::compare::result::{BalanceCell, CompareResult, CostCell, HashInfo};

/// Differences in score below this do not decide.
pub(super) const TIE: f64 = 1.01;
/// Probability below which a single figure counts as other than theory expects.
pub(crate) const SIGNIFICANT: f64 = 0.01;
/// Probability below which a hash counts as not behaving like chance, all its tests together.
pub(crate) const SUSPICIOUS: f64 = 1e-4;

/// The figures of one combination of strategy and hash at the focus, over all salts and changes.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<'a> {
    pub strategy: &'a str,
    pub hash: &'a str,
    pub baseline: bool,
    pub gives_up: Option<&'a str>,
    pub outside_broker: Option<&'a str>,
    /// One cell per salt.
    pub cells: Vec<&'a BalanceCell>,
    pub moves: Vec<&'a MovementCell>,
    pub failover: Option<&'a FailoverCell>,
    pub restart: Option<&'a RestartCell>,
    /// At the node count nearest to the focus.
    pub cost: Option<&'a CostCell>,
    /// The time of a lookup, where it was measured under another hash corrected for what this one
    /// takes.
    lookup_ns: Option<f64>,
}

impl Candidate<'_> {
    pub fn peak(&self) -> f64 {
        mean(self.cells.iter().map(|cell| cell.peak))
    }

    pub fn bound(&self) -> f64 {
        mean(self.cells.iter().map(|cell| cell.bound))
    }

    pub fn expected_peak(&self) -> Option<f64> {
        let expected: Vec<f64> =
            self.cells.iter().filter_map(|cell| Some(cell.expected?.peak)).collect();
        (!expected.is_empty()).then(|| mean(expected.into_iter()))
    }

    /// Mean of moved ÷ optimal over the changes that must move something.
    pub fn moved_ratio(&self) -> Option<f64> {
        let ratios: Vec<f64> = self.moves.iter().filter_map(|cell| cell.ratio()).collect();
        (!ratios.is_empty()).then(|| mean(ratios.into_iter()))
    }

    /// The smallest p-value of all salts, times their number (Bonferroni).
    pub fn p_value(&self) -> Option<f64> {
        let p: Vec<f64> = self.cells.iter().filter_map(|cell| cell.p_value).collect();
        let least = p.iter().copied().min_by(f64::total_cmp)?;
        Some((least * p.len() as f64).min(1.0))
    }

    /// The peak to choose by: what theory expects, as long as the measured one agrees with it. A
    /// strategy that was lucky with these names is not with the next ones.
    pub(super) fn typical_peak(&self) -> f64 {
        let by_chance = self.p_value().is_some_and(|p| p >= SIGNIFICANT);
        self.expected_peak().filter(|_| by_chance).unwrap_or_else(|| self.peak())
    }

    pub(super) fn score(&self) -> f64 {
        let failover = self.failover.map_or(1.0, |failover| {
            let by_chance = failover.p_value.is_some_and(|p| p >= SIGNIFICANT);
            let peak = failover.expected.filter(|_| by_chance).unwrap_or(failover.peak);
            (peak / failover.bound).max(1.0)
        });
        let balance = (self.typical_peak() / self.bound()).max(1.0);
        balance * failover * self.moved_ratio().unwrap_or(1.0).max(1.0)
    }

    pub(super) fn lookup_ns(&self) -> f64 {
        self.lookup_ns.unwrap_or(f64::MAX)
    }
}

/// Every combination that was measured at the focus, in the order of the strategies.
pub(crate) fn candidates(result: &CompareResult) -> Vec<Candidate<'_>> {
    let focus = &result.focus;
    let mut candidates = Vec::new();
    for strategy in &result.strategies {
        for hash in &result.hashes {
            let ours = |s: &str, h: &str| s == strategy.name && h == hash.name;
            let cells: Vec<_> = result
                .balance
                .iter()
                .filter(|c| ours(&c.strategy, &c.hash))
                .filter(|c| c.nodes == focus.nodes && c.population == focus.population)
                .collect();
            if cells.is_empty() {
                continue;
            }
            // What a change moves is the strategy's doing, so one hash stands for all.
            let of_focus = |c: &&MovementCell| {
                c.strategy == strategy.name
                    && c.population == focus.population
                    && c.nodes == focus.nodes
            };
            let mut moves: Vec<_> = result.movement.iter().filter(of_focus).collect();
            if moves.iter().any(|c| c.hash == hash.name) {
                moves.retain(|c| c.hash == hash.name);
            } else if let Some(first) = moves.first().map(|c| c.hash.as_str()) {
                moves.retain(|c| c.hash == first);
            }
            let distance =
                |c: &&CostCell| ((c.nodes.max(1) as f64) / (focus.nodes.max(1) as f64)).ln().abs();
            let costs = result.cost.iter().filter(|c| ours(&c.strategy, &c.hash));
            let cost = costs.min_by(|a, b| distance(a).total_cmp(&distance(b)));
            let others = result.cost.iter().filter(|c| c.strategy == strategy.name);
            let other = others.min_by(|a, b| distance(a).total_cmp(&distance(b)));
            let corrected = other.and_then(|other| {
                let theirs = hash_info(result, &other.hash)?.ns_per_name?;
                Some(other.lookup_ns - theirs + hash.ns_per_name?)
            });
            let at_focus = |s: &str, nodes: u64, population: &str| {
                s == strategy.name && nodes == focus.nodes && population == focus.population
            };
            candidates.push(Candidate {
                failover: (result.failovers.iter())
                    .find(|c| at_focus(&c.strategy, c.nodes, &c.population)),
                restart: (result.restarts.iter())
                    .find(|c| at_focus(&c.strategy, c.nodes, &c.population)),
                lookup_ns: cost.map(|cost| cost.lookup_ns).or(corrected),
                strategy: &strategy.name,
                hash: &hash.name,
                baseline: strategy.baseline,
                gives_up: strategy.gives_up.as_deref(),
                outside_broker: strategy.outside_broker.as_deref(),
                cells,
                moves,
                cost,
            });
        }
    }
    candidates
}

/// Hash functions that behave worse than chance under a strategy where another hash does not.
/// Where all are alike, the strategy's formula is to blame and not the hash.
pub(crate) fn suspicious_hashes(result: &CompareResult) -> BTreeSet<&str> {
    // Every test: what it was of, the hash, and its p-value.
    let mut tests: Vec<((&str, u64, &str), &str, f64)> = Vec::new();
    // Under skew few destinations decide, whatever the hash does.
    let even: BTreeSet<&str> =
        result.populations.iter().filter(|p| p.skew == Some(0.0)).map(|p| &*p.name).collect();
    for cell in result.balance.iter().filter(|cell| even.contains(&*cell.population)) {
        if let Some(p) = cell.p_value {
            tests.push(((&cell.strategy, cell.nodes, &cell.population), &cell.hash, p));
        }
    }
    for salted in &result.salted {
        if let Some(p) = uniformity(&salted.p_values) {
            tests.push(((&salted.strategy, salted.nodes, &salted.population), &salted.hash, p));
        }
    }
    let limit = SUSPICIOUS / tests.len().max(1) as f64;
    let bad: BTreeSet<_> = tests.iter().filter(|t| t.2 < limit).map(|t| (t.0, t.1)).collect();
    let good: BTreeSet<_> =
        tests.iter().filter(|t| !bad.contains(&(t.0, t.1))).map(|t| t.0).collect();
    bad.into_iter().filter(|(of, _)| good.contains(of)).map(|(_, hash)| hash).collect()
}

pub(crate) fn hash_info<'a>(result: &'a CompareResult, name: &str) -> Option<&'a HashInfo> {
    result.hashes.iter().find(|hash| hash.name == name)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0.0f64), |(sum, n), value| (sum + value, n + 1.0));
    sum / n.max(1.0)
}
