//! Which strategy is chosen from which figures.

use super::*;
use crate::compare::{BalanceCell, CostCell, FailoverCell, HashInfo, MovementCell, RestartCell};
use crate::compare::{ExpectedBalance, Focus, Population, Refusal, SaltedPValues, StrategyInfo};
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
