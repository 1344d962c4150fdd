//! Which strategy and hash function to use, and why.
//!
//! The choice is made by rules that the report can state: drop hash functions that behave worse
//! than chance where others do not, strategies that refuse a change which others handle, those that
//! give up something which the others keep, and those that the broker does not run; then take what
//! is lowest in (peak ÷ bound) × (moved ÷ optimal), both of which are 1 at best; and of those within
//! one per cent of the lowest the fastest lookup.

use std::collections::BTreeSet;

use crate::balance::uniformity;
use crate::compare::{
    BalanceCell, CompareResult, CostCell, FailoverCell, HashInfo, MovementCell, RestartCell,
};
use crate::html::{and, bytes, capitalised, count, number};

/// Differences in score below this do not decide.
const TIE: f64 = 1.01;
/// Probability below which a hash counts as not behaving like chance, all its tests together.
pub(crate) const SUSPICIOUS: f64 = 1e-4;
/// Probability below which a single figure counts as other than theory expects.
pub(crate) const SIGNIFICANT: f64 = 0.01;

/// What to use for the focus of a comparison, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Recommendation {
    /// The strategy.
    pub strategy: String,
    /// The hash function.
    pub hash: String,
    /// The recommendation in one sentence.
    pub sentence: String,
    /// Why, a sentence for each of balance, movement, speed and hash quality, as far as measured.
    pub reasons: Vec<String>,
    /// What it does not solve.
    pub cautions: Vec<String>,
}

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
    fn typical_peak(&self) -> f64 {
        let by_chance = self.p_value().is_some_and(|p| p >= SIGNIFICANT);
        self.expected_peak().filter(|_| by_chance).unwrap_or_else(|| self.peak())
    }

    fn score(&self) -> f64 {
        let failover = self.failover.map_or(1.0, |failover| {
            let by_chance = failover.p_value.is_some_and(|p| p >= SIGNIFICANT);
            let peak = failover.expected.filter(|_| by_chance).unwrap_or(failover.peak);
            (peak / failover.bound).max(1.0)
        });
        let balance = (self.typical_peak() / self.bound()).max(1.0);
        balance * failover * self.moved_ratio().unwrap_or(1.0).max(1.0)
    }

    fn lookup_ns(&self) -> f64 {
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

/// The recommendation for the focus; `None` if nothing but baselines was measured there.
pub fn recommend(result: &CompareResult) -> Option<Recommendation> {
    let all = candidates(result);
    let mut fit: Vec<&Candidate> = all.iter().filter(|c| !c.baseline).collect();
    let suspicious = suspicious_hashes(result);
    keep_if_any(&mut fit, |c| !suspicious.contains(c.hash));
    let refuses = |c: &Candidate| result.refusals.iter().any(|r| r.strategy == c.strategy);
    keep_if_any(&mut fit, |c| !refuses(c));
    keep_if_any(&mut fit, |c| c.gives_up.is_none());
    let best = best_of(&fit)?;
    keep_if_any(&mut fit, |c| c.outside_broker.is_none());
    let chosen = best_of(&fit)?;
    let mut cautions = cautions(result, chosen, &all);
    cautions.extend(broker_caution(chosen, best));
    Some(Recommendation {
        strategy: chosen.strategy.to_owned(),
        hash: chosen.hash.to_owned(),
        sentence: sentence(result, chosen, &suspicious),
        reasons: reasons(result, chosen, &all, &suspicious),
        cautions,
    })
}

/// The lowest score; of those that tie with it the fastest.
fn best_of<'a, 'b>(fit: &[&'a Candidate<'b>]) -> Option<&'a Candidate<'b>> {
    let best = fit.iter().map(|c| c.score()).min_by(f64::total_cmp)?;
    let tied = fit.iter().filter(|c| c.score() <= best * TIE);
    tied.min_by(|a, b| a.lookup_ns().total_cmp(&b.lookup_ns())).copied()
}

/// What the broker does not run: the chosen one, where it runs none of all, or a better one.
fn broker_caution(chosen: &Candidate, best: &Candidate) -> Option<String> {
    if let Some(why) = chosen.outside_broker {
        return Some(format!(
            "Broker: it does not run {} as measured here: {why}.",
            chosen.strategy
        ));
    }
    let why = best.outside_broker.filter(|_| best.score() * TIE < chosen.score())?;
    let moves = best.moved_ratio().map_or(String::new(), |ratio| {
        format!(" and moves {ratio:.2} times the least at a change")
    });
    Some(format!(
        "Broker: {} would do better, its busiest node carries {:.3} times its fair share{moves}, but \
         the broker does not run it: {why}.",
        best.strategy,
        best.peak()
    ))
}

/// Drops what does not meet the condition, unless nothing does.
fn keep_if_any<'a, 'b>(fit: &mut Vec<&'a Candidate<'b>>, wanted: impl Fn(&Candidate) -> bool) {
    if fit.iter().any(|c| wanted(c)) {
        fit.retain(|c| wanted(c));
    }
}

fn sentence(result: &CompareResult, chosen: &Candidate, suspicious: &BTreeSet<&str>) -> String {
    let moves = match chosen.moved_ratio() {
        None => String::new(),
        Some(ratio) if ratio < 1.005 => {
            ", and a change of the cluster moves no more than it must".to_owned()
        }
        Some(ratio) => format!(", and a change of the cluster moves {ratio:.2} times what it must"),
    };
    let bound = match chosen.bound() {
        bound if bound > 1.0005 => {
            format!(" (no placement of whole destinations gets below {bound:.3})")
        }
        _ => String::new(),
    };
    let failover = chosen.failover.map_or(String::new(), |failover| {
        format!(", after the worst failure of one node {:.3} times", failover.peak)
    });
    let restart = match chosen.restart.map(|restart| restart.elsewhere) {
        None => String::new(),
        Some(0.0) => " A restart changes nothing.".to_owned(),
        Some(elsewhere) => format!(
            " A restarted process must read the table again: without it, {:.1} % of the load would \
             be elsewhere.",
            elsewhere * 100.0
        ),
    };
    let bad: Vec<String> = suspicious.iter().map(|hash| (*hash).to_owned()).collect();
    let hashes = if bad.is_empty() {
        String::new()
    } else {
        format!(" Do not use {}: the pattern of these names shows in the placement.", and(&bad))
    };
    format!(
        "Use {} with {}: of {} nodes the busiest carries {:.3} times its fair share{bound}{failover}{moves}.{restart}{hashes}",
        chosen.strategy,
        chosen.hash,
        count(result.focus.nodes),
        chosen.peak()
    )
}

fn reasons(
    result: &CompareResult,
    chosen: &Candidate,
    all: &[Candidate],
    suspicious: &BTreeSet<&str>,
) -> Vec<String> {
    let mut reasons = vec![balance_reason(chosen, all)];
    if let Some(ratio) = chosen.moved_ratio() {
        let collateral = chosen.moves.iter().map(|cell| cell.collateral).fold(0.0, f64::max);
        let others: BTreeSet<&str> = all
            .iter()
            .filter(|c| {
                c.strategy != chosen.strategy && c.moved_ratio().is_some_and(|r| r > 1.5 * ratio)
            })
            .map(|c| c.strategy)
            .collect();
        let others: Vec<String> = others.into_iter().map(str::to_owned).collect();
        let touch = if collateral == 0.0 {
            "nothing moves between nodes that the change does not touch".to_owned()
        } else {
            format!(
                "up to {:.2} % of the load moves between nodes that the change does not touch",
                collateral * 100.0
            )
        };
        let more = if others.is_empty() {
            String::new()
        } else {
            format!("; {} move over 1.5 times as much", and(&others))
        };
        reasons.push(format!(
            "Movement: {ratio:.3} times the least possible on average, and {touch}{more}."
        ));
    }
    reasons.extend(failover_reason(chosen, all));
    reasons.extend(restart_reason(chosen, all));
    if let Some(cost) = chosen.cost {
        let fastest = all
            .iter()
            .filter(|c| !c.baseline)
            .min_by(|a, b| a.lookup_ns().total_cmp(&b.lookup_ns()));
        let beside = match fastest {
            Some(f) if f.lookup_ns() < cost.lookup_ns * 0.95 => {
                format!(
                    "; the fastest, {} with {}, takes {} ns",
                    f.strategy,
                    f.hash,
                    number(f.lookup_ns())
                )
            }
            _ => ", the fastest of all".to_owned(),
        };
        reasons.push(format!(
            "Speed: a lookup from name to node takes {} ns at {} nodes, in {}{beside}.",
            number(cost.lookup_ns),
            count(cost.nodes),
            bytes(cost.bytes)
        ));
    }
    let bad: Vec<String> = suspicious.iter().map(|hash| (*hash).to_owned()).collect();
    if !bad.is_empty() {
        let verbs = if bad.len() == 1 { ("does", "is") } else { ("do", "are") };
        reasons.push(format!(
            "Hash: {} {} not behave like chance on these names, and {} left out. Too even is a \
             warning too: the pattern that evens these names out heaps others on one node.",
            and(&bad),
            verbs.0,
            verbs.1
        ));
    }
    if let Some(collisions) = hash_info(result, chosen.hash).and_then(|hash| hash.collisions) {
        reasons.push(format!(
            "Collisions: {} in {} names with {}, where chance gives {}.",
            count(collisions.measured),
            count(collisions.names),
            chosen.hash,
            number(collisions.expected)
        ));
    }
    reasons
}

/// What a failure gives, what theory expects of it, and who does worst.
fn failover_reason(chosen: &Candidate, all: &[Candidate]) -> Option<String> {
    let failover = chosen.failover?;
    let theory = failover.structural.zip(failover.expected).map_or(String::new(), |theory| {
        format!(
            " (its table alone gives {:.3}, with chance {:.3} is expected; {})",
            theory.0,
            theory.1,
            significance(failover.p_value)
        )
    });
    let others = all.iter().filter(|c| !c.baseline).filter_map(|c| Some((c.strategy, c.failover?)));
    let worst = others.max_by(|a, b| a.1.peak.total_cmp(&b.1.peak));
    let worst = worst.map_or(String::new(), |(name, cell)| {
        format!("; the worst, {name}, reaches {:.3}", cell.peak)
    });
    Some(format!(
        "Failover: after the worst failure the busiest survivor has {:.3} times its fair \
         share{theory}{worst}.",
        failover.peak
    ))
}

/// Whether a figure differs from what theory expects, in words.
pub(crate) fn significance(p: Option<f64>) -> String {
    match p {
        None => "not tested".into(),
        Some(p) if p < SIGNIFICANT => format!("the difference is significant, p = {p:.3}"),
        Some(p) => format!("no significant difference, p = {p:.2}"),
    }
}

/// What a restart does, and who needs no memory.
fn restart_reason(chosen: &Candidate, all: &[Candidate]) -> Option<String> {
    let restart = chosen.restart?;
    let same = |c: &&Candidate| c.restart.is_some_and(|restart| restart.elsewhere == 0.0);
    let free: BTreeSet<&str> =
        all.iter().filter(|c| !c.baseline).filter(same).map(|c| c.strategy).collect();
    let free: Vec<String> = free.into_iter().map(str::to_owned).collect();
    Some(if restart.elsewhere == 0.0 {
        format!(
            "Restart: made again from the list of nodes alone, in any order, the placement of {} is \
             the same, also after a node has left and come back.",
            chosen.strategy
        )
    } else {
        let verb = if free.len() == 1 { "needs" } else { "need" };
        let instead = match free.is_empty() {
            true => String::new(),
            false => format!("; {} {verb} no memory", and(&free)),
        };
        format!(
            "Restart: {} is a table that remembers. After a node has left and come back, one made \
             again from the list of nodes alone has {:.1} % of the load elsewhere, so a restarted \
             process must read the table from its cluster{instead}.",
            chosen.strategy,
            restart.elsewhere * 100.0
        )
    })
}

fn balance_reason(chosen: &Candidate, all: &[Candidate]) -> String {
    // The same hash for all, so that what differs is the strategy.
    let others = || {
        all.iter().filter(|c| !c.baseline && c.strategy != chosen.strategy && c.hash == chosen.hash)
    };
    let next = others().min_by(|a, b| a.peak().total_cmp(&b.peak()));
    let worst = others().max_by(|a, b| a.peak().total_cmp(&b.peak()));
    let against = match (next, worst) {
        (Some(next), Some(worst)) if next.strategy != worst.strategy => format!(
            "; the best of the others, {}, reaches {:.3} and the worst, {}, {:.3}",
            next.strategy,
            next.peak(),
            worst.strategy,
            worst.peak()
        ),
        (Some(next), _) => format!("; {} reaches {:.3}", next.strategy, next.peak()),
        _ => String::new(),
    };
    format!(
        "Balance: its peak is {:.3} times the fair share, {:.3} times the bound{against}.",
        chosen.peak(),
        chosen.peak() / chosen.bound()
    )
}

fn cautions(result: &CompareResult, chosen: &Candidate, all: &[Candidate]) -> Vec<String> {
    let mut cautions = Vec::new();
    let hash = hash_info(result, chosen.hash);
    if hash.is_some_and(|hash| !hash.withstands_chosen_names) {
        let keyed = result.hashes.iter().filter(|hash| hash.withstands_chosen_names);
        let keyed = keyed.min_by(|a, b| {
            a.ns_per_name.unwrap_or(f64::MAX).total_cmp(&b.ns_per_name.unwrap_or(f64::MAX))
        });
        let instead = keyed.map_or(String::new(), |keyed| {
            let cost = keyed
                .ns_per_name
                .map_or(String::new(), |ns| format!(" ({} ns per name)", number(ns)));
            format!("; where strangers name destinations, use {}{cost}", keyed.name)
        });
        cautions.push(format!(
            "Chosen names: whoever knows {} can choose names that all fall on one node{instead}.",
            chosen.hash
        ));
    }
    let bound = chosen.bound();
    if bound > 1.0005 {
        let split = all.iter().filter(|c| c.hash == chosen.hash && c.peak() < chosen.peak());
        let split = split.filter_map(|c| Some((c, c.gives_up?)));
        let split = split.min_by(|a, b| a.0.peak().total_cmp(&b.0.peak()));
        let how = split.map_or(String::new(), |(candidate, gives_up)| {
            format!(
                ". {} reaches a peak of {:.3} and gives up {gives_up}",
                capitalised(candidate.strategy),
                candidate.peak()
            )
        });
        cautions.push(format!(
            "Hot destination: one destination alone is worth {} nodes' fair share; only splitting it spreads it further{how}.",
            number(bound)
        ));
    }
    for refusal in result.refusals.iter().filter(|refusal| refusal.strategy == chosen.strategy) {
        cautions.push(format!(
            "It cannot {}: {}.",
            refusal.asked,
            refusal.reason.trim_end_matches('.')
        ));
    }
    cautions
}

pub(crate) fn hash_info<'a>(result: &'a CompareResult, name: &str) -> Option<&'a HashInfo> {
    result.hashes.iter().find(|hash| hash.name == name)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0.0f64), |(sum, n), value| (sum + value, n + 1.0));
    sum / n.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{
        ExpectedBalance, Focus, Population, Refusal, SaltedPValues, StrategyInfo,
    };
    use crate::result::Identity;

    /// Strategies of (name, peak, moved ÷ optimal, ns), each with both hashes `good` and `fast`.
    fn compared(strategies: &[(&str, f64, f64, f64)]) -> CompareResult {
        let focus = Focus { population: "p".into(), nodes: 10 };
        let mut result = CompareResult::new(Identity::default(), focus);
        result.populations.push(Population { name: "p".into(), ..Default::default() });
        for hash in ["good", "fast"] {
            result.hashes.push(HashInfo { name: hash.into(), ..Default::default() });
        }
        for &(name, peak, ratio, ns) in strategies {
            result.strategies.push(StrategyInfo { name: name.into(), ..Default::default() });
            for hash in ["good", "fast"] {
                result.balance.push(BalanceCell {
                    strategy: name.into(),
                    hash: hash.into(),
                    population: "p".into(),
                    nodes: 10,
                    peak,
                    bound: 1.0,
                    p_value: Some(0.4),
                    ..Default::default()
                });
                result.movement.push(MovementCell {
                    strategy: name.into(),
                    hash: hash.into(),
                    population: "p".into(),
                    nodes: 10,
                    change: "add 1 node".into(),
                    moved: 0.1 * ratio,
                    optimal: 0.1,
                    ..Default::default()
                });
                let lookup_ns = if hash == "fast" { ns } else { ns + 10.0 };
                result.cost.push(CostCell {
                    strategy: name.into(),
                    hash: hash.into(),
                    nodes: 10,
                    lookup_ns,
                    ..Default::default()
                });
            }
        }
        result
    }

    fn choice(result: &CompareResult) -> (String, String) {
        let recommendation = recommend(result).unwrap();
        (recommendation.strategy, recommendation.hash)
    }

    #[test]
    fn balance_and_movement_decide_then_speed() {
        let result = compared(&[
            ("modulo", 1.05, 9.0, 1.0),
            ("slots", 1.0, 1.0, 3.0),
            ("table", 1.005, 1.0, 2.0),
        ]);
        assert_eq!(choice(&result), ("table".into(), "fast".into()));
    }

    #[test]
    fn baselines_are_never_recommended() {
        let mut result = compared(&[("random", 1.0, 1.0, 1.0), ("slots", 1.1, 1.0, 3.0)]);
        result.strategies[0].baseline = true;
        assert_eq!(choice(&result).0, "slots");
        result.strategies[1].baseline = true;
        assert_eq!(recommend(&result), None);
    }

    #[test]
    fn luck_does_not_decide() {
        let mut result = compared(&[("lucky", 1.01, 1.0, 9.0), ("fast", 1.06, 1.0, 3.0)]);
        assert_eq!(choice(&result).0, "lucky");
        for cell in &mut result.balance {
            cell.expected = Some(ExpectedBalance { peak: 1.05, cv: 0.02 });
        }
        assert_eq!(choice(&result).0, "fast");
        // What theory does not explain counts as it was measured.
        result.balance.iter_mut().for_each(|cell| cell.p_value = Some(0.001));
        assert_eq!(choice(&result).0, "lucky");
    }

    #[test]
    fn times_under_one_hash_stand_for_the_others() {
        let mut result = compared(&[("slots", 1.0, 1.0, 30.0)]);
        result.cost.retain(|cell| cell.hash == "good");
        result.hashes[0].ns_per_name = Some(25.0);
        result.hashes[1].ns_per_name = Some(3.0);
        assert_eq!(choice(&result).1, "fast");
    }

    #[test]
    fn a_failure_counts_and_is_told_with_its_theory() {
        let mut result = compared(&[("chained", 1.0, 1.0, 1.0), ("slots", 1.0, 1.0, 3.0)]);
        let cell = |strategy: &str, peak| FailoverCell {
            strategy: strategy.into(),
            hash: "good".into(),
            nodes: 10,
            population: "p".into(),
            peak,
            bound: 1.0,
            ..Default::default()
        };
        result.failovers = vec![cell("chained", 2.0), cell("slots", 1.035)];
        result.failovers[1].structural = Some(1.01);
        result.failovers[1].expected = Some(1.036);
        result.failovers[1].p_value = Some(0.8);
        let found = recommend(&result).unwrap();
        assert_eq!(found.strategy, "slots");
        let told = "1.035 times its fair share (its table alone gives 1.010, with chance 1.036 is \
                    expected; no significant difference, p = 0.80); the worst, chained, reaches 2.000";
        assert!(found.reasons.iter().any(|r| r.contains(told)), "{:?}", found.reasons);
        let restart = |strategy: &str, elsewhere| RestartCell {
            strategy: strategy.into(),
            nodes: 10,
            population: "p".into(),
            elsewhere,
            ..Default::default()
        };
        result.restarts = vec![restart("chained", 0.0), restart("slots", 0.1)];
        let told = "has 10.0 % of the load elsewhere, so a restarted process must read the table \
                    from its cluster; chained needs no memory";
        let found = recommend(&result).unwrap();
        assert!(found.reasons.iter().any(|r| r.contains(told)), "{:?}", found.reasons);
    }

    #[test]
    fn a_hash_whose_movement_was_not_measured_has_no_advantage() {
        let mut result = compared(&[("slots", 1.0, 1.1, 3.0)]);
        result.movement.retain(|cell| cell.hash == "fast");
        result.cost.retain(|cell| cell.hash == "fast");
        assert!(!result.movement.is_empty() && !result.cost.is_empty());
        assert_eq!(choice(&result), ("slots".into(), "fast".into()));
        let all = candidates(&result);
        assert!(all.len() > 1 && all.iter().all(|c| c.moved_ratio().is_some()));
    }

    #[test]
    fn what_gives_something_up_is_named_but_not_chosen() {
        let mut result = compared(&[("slots", 2.5, 1.0, 3.0), ("split", 1.0, 1.0, 3.0)]);
        result.balance.iter_mut().for_each(|cell| cell.bound = 2.5);
        result.strategies[1].gives_up = Some("all order".into());
        let found = recommend(&result).unwrap();
        assert_eq!(found.strategy, "slots");
        let told = "Split reaches a peak of 1.000 and gives up all order";
        assert!(found.cautions.iter().any(|c| c.contains(told)), "{:?}", found.cautions);
    }

    #[test]
    fn what_the_broker_does_not_run_is_named_but_not_chosen() {
        let mut result = compared(&[("slots", 1.5, 1.0, 3.0), ("by-load", 1.0, 1.0, 3.0)]);
        assert_eq!(choice(&result).0, "by-load");
        result.strategies[1].outside_broker = Some("it measures no load".into());
        let found = recommend(&result).unwrap();
        assert_eq!(found.strategy, "slots");
        let told = "by-load would do better, its busiest node carries 1.000 times its fair share and \
                    moves 1.00 times the least at a change, but the broker does not run it: it \
                    measures no load.";
        assert!(found.cautions.iter().any(|c| c.contains(told)), "{:?}", found.cautions);
        // One that is no better needs no words.
        result.balance.iter_mut().for_each(|cell| cell.peak = 1.5);
        let cautions = recommend(&result).unwrap().cautions;
        assert!(!cautions.iter().any(|c| c.starts_with("Broker: ")), "{cautions:?}");
        // Where the broker runs none, the best is told with that.
        result.strategies[0].outside_broker = Some("it places slots".into());
        let found = recommend(&result).unwrap();
        let told = format!("Broker: it does not run {} as measured here: ", found.strategy);
        assert!(found.cautions.iter().any(|c| c.starts_with(&told)), "{:?}", found.cautions);
    }

    #[test]
    fn a_strategy_that_refuses_a_change_gives_way() {
        let mut result = compared(&[("jump", 1.0, 1.0, 1.0), ("slots", 1.05, 1.0, 3.0)]);
        result.refusals.push(Refusal {
            strategy: "jump".into(),
            asked: "remove 1 node".into(),
            reason: "only the last node can go".into(),
        });
        assert_eq!(choice(&result).0, "slots");
    }

    #[test]
    fn a_hash_worse_than_chance_is_dropped_only_if_another_does_better() {
        let mut result = compared(&[("slots", 1.0, 1.0, 3.0)]);
        let salted = |hash: &str, p_values| SaltedPValues {
            strategy: "slots".into(),
            hash: hash.into(),
            nodes: 10,
            population: "p".into(),
            p_values,
        };
        let uniform: Vec<f64> = (0..1000).map(|i| (f64::from(i) + 0.5) / 1000.0).collect();
        result.salted.push(salted("fast", vec![0.001; 1000]));
        // The balance cells behave, but the many salts do not; `good` has no such test yet.
        for cell in &mut result.balance {
            cell.p_value = None;
        }
        assert_eq!(choice(&result).1, "fast", "all alike: the formula is to blame");
        result.salted.push(salted("good", uniform));
        assert_eq!(choice(&result).1, "good");
    }

    #[test]
    fn reasons_name_what_was_measured_and_cautions_what_is_left() {
        let mut result = compared(&[("slots", 2.5, 1.0, 3.0)]);
        result.hashes.push(HashInfo {
            name: "siphash13".into(),
            withstands_chosen_names: true,
            ns_per_name: Some(15.0),
            ..Default::default()
        });
        for cell in &mut result.balance {
            cell.bound = 2.5;
        }
        let found = recommend(&result).unwrap();
        assert!(found.sentence.contains("gets below 2.500"), "{}", found.sentence);
        assert!(found.sentence.contains("moves no more than it must"));
        assert!(found.reasons.iter().any(|r| r.starts_with("Speed: ")));
        assert!(found.cautions.iter().any(|c| c.contains("use siphash13 (15 ns per name)")));
        assert!(found.cautions.iter().any(|c| c.starts_with("Hot destination: ")));
    }
}
