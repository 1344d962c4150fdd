//! A comparison with one cell of everything, and what is refused.

use super::result::*;
use super::*;
use crate::result::Identity;

/// One cell of everything.
pub(crate) fn sample() -> CompareResult {
    let focus = Focus { population: "uniform".into(), nodes: 2 };
    let mut result = CompareResult::new(Identity::default(), focus);
    result.strategies = vec![StrategyInfo { name: "slots".into(), ..Default::default() }];
    result.hashes = vec![HashInfo { name: "xxh3".into(), ..Default::default() }];
    result.populations = vec![Population {
        name: "uniform".into(),
        destinations: 1000,
        skew: Some(0.0),
        largest_share: 0.001,
        ..Default::default()
    }];
    let (strategy, hash, population) =
        ("slots".to_owned(), "xxh3".to_owned(), "uniform".to_owned());
    result.balance.push(BalanceCell {
        strategy: strategy.clone(),
        hash: hash.clone(),
        population: population.clone(),
        nodes: 2,
        peak: 1.01,
        least: 0.99,
        cv: 0.01,
        gini: 0.005,
        jain: 0.9999,
        bound: 1.0,
        expected: Some(ExpectedBalance { peak: 1.01, cv: 0.01 }),
        p_value: Some(0.5),
        ..Default::default()
    });
    result.movement.push(MovementCell {
        strategy: strategy.clone(),
        hash: hash.clone(),
        population: population.clone(),
        nodes: 2,
        change: "add 1 node".into(),
        joined: vec![ChangedNode { name: "n3".into(), weight: 2.0 }],
        note: Some("n3 is new".into()),
        moved: 0.34,
        optimal: 1.0 / 3.0,
        ..Default::default()
    });
    result.spilling.push(SpillCell {
        strategy: strategy.clone(),
        hash: hash.clone(),
        population: population.clone(),
        nodes: 2,
        factor: 1.25,
        in_flight: 200,
        messages: 4000,
        peak: 1.25,
        share_peak: 1.2,
        unbounded_peak: 1.5,
        spilled: 0.13,
        least_spilled: 0.125,
        hottest_on: 2,
    });
    result.cost.push(CostCell {
        strategy: strategy.clone(),
        hash: hash.clone(),
        nodes: 2,
        lookup_ns: 4.0,
        bytes: 32768.0,
        ..Default::default()
    });
    result.profiles.push(LoadProfile {
        strategy: strategy.clone(),
        hash: hash.clone(),
        population: population.clone(),
        relative_loads: vec![0.99, 1.01],
        expected_cv: Some(0.01),
    });
    result.courses.push(Course {
        title: "flapping".into(),
        strategy: strategy.clone(),
        hash: hash.clone(),
        nodes: vec!["n1".into(), "n2".into()],
        steps: vec![CourseStep {
            relative_loads: vec![Some(1.0), None],
            moved: 0.5,
            optimal: Some(0.5),
            label: Some("n2 leaves".into()),
        }],
    });
    result.salted.push(SaltedPValues {
        strategy: strategy.clone(),
        hash: hash.clone(),
        population,
        nodes: 2,
        p_values: vec![0.25, 0.75],
    });
    result.simulated.push(SimulatedRun {
        strategy,
        hash,
        nodes: vec![SimulatedNode {
            name: "n1".into(),
            predicted_share: 0.5,
            measured_share: 0.49,
            latency: None,
        }],
        ..Default::default()
    });
    result
}

#[test]
fn json_round_trip_keeps_everything() {
    let result = sample();
    assert_eq!(CompareResult::from_json(&result.to_json().unwrap()).unwrap(), result);
}

#[test]
fn impossible_cells_are_refused_with_their_path() {
    let refused = |change: fn(&mut CompareResult), field: &str| {
        let mut result = sample();
        change(&mut result);
        let error = result.to_json().unwrap_err().to_string();
        assert!(error.contains(field), "{error} should name {field}");
    };
    refused(|r| r.balance[0].strategy = "slot".into(), "balance[0].strategy: \"slot\"");
    refused(|r| r.balance[0].peak = f64::NAN, "balance[0].peak");
    refused(|r| r.balance[0].bound = 0.5, "balance[0].bound");
    refused(|r| r.balance[0].p_value = Some(2.0), "balance[0].p_value");
    refused(|r| r.movement[0].moved = -0.1, "movement[0].moved");
    refused(|r| r.movement[0].population = "?".into(), "movement[0].population");
    refused(|r| r.movement[0].joined[0].weight = -1.0, "movement[0].joined[0].weight");
    refused(|r| r.spilling[0].spilled = 1.1, "spilling[0].spilled");
    refused(|r| r.spilling[0].peak = f64::NAN, "spilling[0].peak");
    refused(|r| r.cost[0].lookup_ns = f64::INFINITY, "cost[0].lookup_ns");
    refused(|r| r.profiles[0].relative_loads[1] = f64::NAN, "profiles[0].relative_loads[1]");
    refused(|r| r.courses[0].steps[0].relative_loads.clear(), "courses[0].steps[0]");
    refused(|r| r.salted[0].p_values[0] = 1.5, "salted[0].p_values[0]");
    refused(|r| r.simulated[0].nodes[0].measured_share = 3.0, "simulated[0].nodes[0]");
    refused(|r| r.hashes.push(r.hashes[0].clone()), "hashes: a name is listed twice");
}
