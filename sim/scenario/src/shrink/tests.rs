use std::collections::BTreeSet;

use proptest::{
    prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest},
    strategy::{NewTree, Strategy, ValueTree},
    test_runner::{TestCaseError, TestError, TestRunner},
};
use rand::{Rng, RngExt};

use super::{Reduce, Search, Size, State, Trial};
use crate::{Scenario, Source, change::Chosen, expand, expand::stream};

const MIXED: &str = include_str!("../../../../scenarios/swarm/mixed.toml");
const ELASTIC: &str = include_str!("../../../../scenarios/swarm/elastic.toml");
const EVERYTHING: &str = include_str!("../../../../scenarios/faults/everything.toml");
const POLICIES: &str = include_str!("../../../../scenarios/elastic/policies.toml");

fn expanded(text: &str, seed: u64) -> Scenario {
    let source = Source::load("test.toml", text).unwrap_or_else(|error| panic!("{error}"));
    expand(&source.drawn(seed).unwrap().scenario, seed).scenario
}

/// Carries out a search with so many trials at once, which end in an order drawn from `seed`.
fn carry_out<T: Reduce>(
    search: &mut Search<T>,
    at_once: usize,
    seed: u64,
    fails: impl Fn(&T, u64) -> bool,
) {
    let mut random = stream(seed, "which trial ends");
    let mut running: Vec<Trial<T>> = Vec::new();
    while search.state() == State::Searching {
        while running.len() < at_once
            && let Some(trial) = search.begin()
        {
            running.push(trial);
        }
        let trial = running.swap_remove(random.random_range(0..running.len()));
        search.ended(&trial, fails(&trial.cut.left, trial.seed));
        let round = search.round();
        running.retain(|trial| trial.round == round);
    }
}

type Fails = fn(&Scenario) -> bool;

/// Failures that need several things together, each of which some scenario below has.
const FAILURES: [Fails; 4] = [
    |it| it.faults.iter().any(|fault| fault.crash.is_some()) && it.cluster.nodes >= 3,
    |it| it.faults.len() >= 2 && it.workloads.iter().any(|load| load.rate.per_second > 7.0),
    |it| it.workloads.iter().any(|load| load.expiry.is_some() && load.consumers > 1),
    |it| it.node_count() > it.cluster.nodes && it.workloads.iter().any(|load| load.nack.0 > 0.0),
];

fn samples() -> Vec<(Scenario, Fails)> {
    let all = [
        expanded(EVERYTHING, 1),
        expanded(POLICIES, 1_000_001),
        expanded(MIXED, 3),
        expanded(MIXED, 8),
        expanded(ELASTIC, 5),
    ];
    let all = all.into_iter().flat_map(|it| FAILURES.map(|fails| (it.clone(), fails)));
    all.filter(|(scenario, fails)| fails(scenario)).collect()
}

#[test]
fn a_search_ends_at_a_local_minimum() {
    let samples = samples();
    assert!(samples.len() >= 8, "{} samples", samples.len());
    for (scenario, fails) in samples {
        let mut search = Search::new(scenario.clone(), vec![7, 8], None);
        carry_out(&mut search, 1, 1, |it, _| fails(it));
        assert_eq!(search.state(), State::Minimal);
        let (best, seed) = search.best();
        assert_eq!(seed, 7);
        assert!(fails(best));
        assert!(Size::of(best).is_below(&Size::of(&scenario)));
        for pass in 0..Scenario::PASSES {
            for cut in best.smaller(pass) {
                assert!(!fails(&cut.left), "{}: {}", cut.what, cut.left.to_short_toml());
            }
        }
    }
}

#[test]
fn what_is_needed_is_what_is_left() {
    let fails = |it: &Scenario| it.faults.iter().any(|it| it.crash.is_some());
    let mut search = Search::new(expanded(EVERYTHING, 1), vec![1], None);
    carry_out(&mut search, 2, 1, |it, _| fails(it));
    let left = search.best().0;
    let size = Size::of(left);
    let numbers = [size.nodes, size.replicas, size.slots, size.faults, size.workloads];
    assert_eq!(numbers, [1, 1, 1, 1, 0], "{}", left.to_short_toml());
    assert!(left.duration.0.as_millis() <= 200, "{}", left.duration);
    let text = left.to_short_toml();
    assert!(text.lines().count() < 20, "{text}");
}

/// What is taken does not depend on how many trials there are at a time, nor on which ends first.
#[test]
fn a_search_takes_the_same_steps_whatever_ends_first() {
    for (scenario, fails) in samples().into_iter().step_by(3) {
        // With some of the seeds only.
        let fails =
            |it: &Scenario, seed: u64| fails(it) && (it.faults.len() as u64 + seed) % 3 != 1;
        let seed = (0..3).find(|seed| fails(&scenario, *seed)).unwrap();
        let seeds = vec![seed, (seed + 1) % 3, (seed + 2) % 3];
        let ends = [(1, 1), (2, 2), (5, 3), (5, 4)].map(|(at_once, order)| {
            let mut search = Search::new(scenario.clone(), seeds.clone(), None);
            carry_out(&mut search, at_once, order, fails);
            let (best, seed) = search.best();
            assert!(fails(best, seed));
            (best.clone(), seed, search.taken())
        });
        for end in &ends[1..] {
            assert_eq!(end, &ends[0]);
        }
    }
}

#[test]
fn a_search_runs_nothing_twice_and_no_more_than_it_may() {
    let (scenario, fails) = samples().swap_remove(0);
    let mut search = Search::new(scenario.clone(), vec![1, 2, 3], None);
    let mut tried = BTreeSet::new();
    while let Some(trial) = search.begin() {
        let is_new = tried.insert((trial.cut.left.to_toml(), trial.seed));
        assert!(is_new, "{} with seed {}", trial.cut.what, trial.seed);
        search.ended(&trial, fails(&trial.cut.left));
    }
    assert_eq!(search.runs(), tried.len() as u64);
    for most in [0, 1, 17] {
        let mut search = Search::new(scenario.clone(), vec![1, 2, 3], Some(most));
        carry_out(&mut search, 3, 1, |it, _| fails(it));
        assert_eq!((search.state(), search.runs()), (State::OutOfRuns, most));
        assert!(fails(search.best().0));
    }
}

#[test]
fn a_failure_that_other_seeds_show_is_followed() {
    let fails = |it: &Scenario, seed: u64| match it.faults.len() {
        0..3 => false,
        3..10 => seed == 12,
        _ => true,
    };
    let mut search = Search::new(expanded(EVERYTHING, 10), vec![10, 11, 12], None);
    carry_out(&mut search, 2, 1, fails);
    let (best, seed) = search.best();
    assert_eq!((best.faults.len(), seed), (3, 12));
}

#[test]
fn with_fewer_nodes_what_names_them_is_put_right() {
    let text = r#"
name = "names"
about = "Two nodes of five join and one of them leaves again."
duration = "10s"
[cluster]
nodes = 3
replicas = 1
[[workload]]
destinations = { count = 1 }
producers = 1
consumers = 1
rate = "10/s"
connect = ["n1", "n3"]
[[change]]
at = "1s"
join = ["n4", "n5"]
[[change]]
at = "3s"
remove = "n5"
[[change]]
at = "4s"
drain = "n2"
[[fault]]
at = "5s"
lasts = "1s"
pause = { nodes = ["n2", "n5"] }
[[fault]]
at = "7s"
lasts = "1s"
partition = [["n3"], ["n1", "n4"]]
"#;
    let scenario = Scenario::load("names.toml", text).unwrap();
    let fewer: Vec<Scenario> = scenario.smaller(3).into_iter().map(|cut| cut.left).collect();
    let two = fewer.iter().find(|it| it.cluster.nodes == 2).expect("two founders are possible");
    // What was called n5 is n4 now, and n3 is nobody.
    assert_eq!(two.node_names(), ["n1", "n2", "n3", "n4"]);
    let removed: Vec<&Chosen> = two.changes.iter().filter_map(|it| it.remove.as_ref()).collect();
    assert_eq!(removed, [&Chosen::Names(vec!["n4".into()])]);
    let text = two.to_short_toml();
    assert!(text.contains(r#"connect = ["n1"]"#), "{text}");
    assert!(text.contains(r#"nodes = ["n2", "n4"]"#), "{text}");

    let without: Vec<Scenario> = scenario.smaller(2).into_iter().map(|cut| cut.left).collect();
    let alone = without.iter().find(|it| it.changes.len() == 1).expect("the drain can stay alone");
    assert!(alone.changes[0].drain.is_some() && alone.node_count() == 3, "{alone:?}");
    assert_eq!(alone.faults[0].pause.as_ref().unwrap().nodes, Some(vec!["n2".to_owned()]));
}

/// Draws scenarios as a swarm does, and reduces one that fails as `shrink` reduces a run.
#[derive(Debug)]
struct OfSwarm(Source);

struct Reduced {
    search: Search<Scenario>,
    trial: Option<Trial<Scenario>>,
}

impl Strategy for OfSwarm {
    type Tree = Reduced;
    type Value = Scenario;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let seed = u64::from(runner.rng().next_u32());
        let drawn = self.0.drawn(seed).map_err(|error| error.to_string())?;
        let scenario = expand(&drawn.scenario, seed).scenario;
        Ok(Reduced { search: Search::new(scenario, vec![seed], None), trial: None })
    }
}

impl Reduced {
    fn go_on(&mut self, fails: bool) -> bool {
        if let Some(trial) = self.trial.take() {
            self.search.ended(&trial, fails);
        }
        self.trial = self.search.begin();
        self.trial.is_some()
    }
}

impl ValueTree for Reduced {
    type Value = Scenario;

    fn current(&self) -> Scenario {
        self.trial.as_ref().map_or(self.search.best().0, |trial| &trial.cut.left).clone()
    }

    fn simplify(&mut self) -> bool {
        self.go_on(true)
    }

    fn complicate(&mut self) -> bool {
        self.go_on(false)
    }
}

fn of_swarm(text: &str) -> OfSwarm {
    OfSwarm(Source::load("swarm.toml", text).unwrap())
}

/// What must be true of everything that is run, and of each step away from it.
fn holds_together(scenario: &Scenario) -> Result<(), TestCaseError> {
    prop_assert!(scenario.validate().is_ok(), "{:?}", scenario.validate());
    let text = scenario.to_short_toml();
    let read = Scenario::load("short.toml", &text);
    prop_assert_eq!(read.as_ref(), Ok(scenario), "{}", text);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn every_step_leaves_a_scenario_that_says_what_is_run(
        mixed in of_swarm(MIXED),
        elastic in of_swarm(ELASTIC),
    ) {
        for scenario in [mixed, elastic] {
            holds_together(&scenario)?;
            let steps = (0..Scenario::PASSES).flat_map(|pass| scenario.smaller(pass));
            for cut in steps.step_by(7) {
                holds_together(&cut.left)?;
            }
        }
    }
}

#[test]
fn properties_of_scenarios_are_reduced_by_the_same_steps() {
    let mut runner = TestRunner::new(ProptestConfig { cases: 50, ..ProptestConfig::default() });
    let refused = runner.run(&of_swarm(MIXED), |it| {
        prop_assert!(it.workloads.iter().all(|load| load.nack.0 == 0.0));
        Ok(())
    });
    let Err(TestError::Fail(_, least)) = refused else { panic!("{refused:?}") };
    let size = Size::of(&least);
    assert_eq!((size.nodes, size.clients, size.faults), (1, 2, 0), "{}", least.to_short_toml());
}
