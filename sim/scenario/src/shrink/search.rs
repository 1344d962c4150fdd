//! Which step to try next, and when there is none left.
//!
//! The steps of a pass are tried in their order, and the first is taken that the failure survives; then
//! the pass begins anew from there. A pass without such a step is followed by the next, after the last
//! by the first. A smaller scenario draws another course of events from the same seed, so the failure
//! may miss a step by chance. First each is tried with one seed, the last that failed; when no step is
//! left, with four, with sixteen and so on to all seeds of the search, and from each step that is taken
//! with one again. What is at hand in the end is a local minimum: no single step that is known keeps the
//! failure, with any of the seeds.
//!
//! Several trials may be under way. Which steps are taken does not depend on how many, nor on which
//! ends first: a step is taken when all trials before it have ended.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cut, Reduce};

/// So many times as many seeds are tried where fewer have shown no step.
const MORE_SEEDS: usize = 4;

/// A search for the smallest that still fails. See the module.
#[derive(Clone, Debug)]
pub struct Search<T> {
    best: T,
    /// Those that each step is tried with in the end.
    seeds: Vec<u64>,
    /// The one that the best fails with.
    seed: u64,
    pass: usize,
    /// Passes in a row, up to this one, that have no step left.
    fruitless: usize,
    /// With how many of the seeds each step is tried by now.
    patience: usize,
    steps: Vec<Cut<T>>,
    /// The trials of this pass in their order.
    trials: Vec<Planned>,
    /// How many of them have been handed out.
    begun: usize,
    /// Counts what was thrown away, so that an answer that comes late is known.
    round: u64,
    /// What did not fail, by its key, and with which seeds.
    passed: BTreeMap<String, BTreeSet<u64>>,
    taken: u64,
    runs: u64,
    most_runs: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Planned {
    step: usize,
    seed: u64,
    fails: Option<bool>,
}

/// What to try.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial<T> {
    /// Told back with the answer.
    pub number: usize,
    /// Trials of an earlier round than the search's need not be ended: nobody asks any more.
    pub round: u64,
    /// What is done, and what is left then.
    pub cut: Cut<T>,
    /// To run it with.
    pub seed: u64,
}

/// Where a search stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There are trials to begin or to end.
    Searching,
    /// No step is left.
    Minimal,
    /// There were no more runs to be had.
    OutOfRuns,
}

impl<T: Reduce> Search<T> {
    /// A search that begins with what fails with the first of the seeds, and hands out no more than
    /// `most_runs` trials.
    ///
    /// # Panics
    /// If there is no seed.
    pub fn new(from: T, seeds: Vec<u64>, most_runs: Option<u64>) -> Self {
        let seed = *seeds.first().expect("there is a seed that fails");
        let mut search = Self {
            best: from,
            patience: 1,
            seeds,
            seed,
            pass: 0,
            fruitless: 0,
            steps: Vec::new(),
            trials: Vec::new(),
            begun: 0,
            round: 0,
            passed: BTreeMap::new(),
            taken: 0,
            runs: 0,
            most_runs,
        };
        search.plan();
        search.go_on();
        search
    }

    /// The smallest so far that fails, and a seed with which it does.
    pub fn best(&self) -> (&T, u64) {
        (&self.best, self.seed)
    }

    /// How many steps were taken.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// How many trials were handed out.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// The round whose trials count.
    pub fn round(&self) -> u64 {
        self.round
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        if self.fruitless == T::PASSES {
            return State::Minimal;
        }
        let is_waiting = self.trials[..self.begun].iter().any(|trial| trial.fails.is_none());
        match self.most_runs.is_some_and(|most| self.runs >= most) && !is_waiting {
            true => State::OutOfRuns,
            false => State::Searching,
        }
    }

    /// A trial that can begin now; `None` if others have to end first, or there is none.
    pub fn begin(&mut self) -> Option<Trial<T>> {
        let may_be_taken = self.trials[..self.begun].iter().any(|it| it.fails == Some(true));
        let is_spent = self.most_runs.is_some_and(|most| self.runs >= most);
        if may_be_taken || is_spent || self.begun == self.trials.len() {
            return None;
        }
        let Planned { step, seed, .. } = self.trials[self.begun];
        let cut = self.steps[step].clone();
        self.begun += 1;
        self.runs += 1;
        Some(Trial { number: self.begun - 1, round: self.round, cut, seed })
    }

    /// A trial has ended, and failed as the first one or did not. Returns what was taken away, if
    /// that lets a step be taken.
    pub fn ended(&mut self, trial: &Trial<T>, fails: bool) -> Option<String> {
        if trial.round != self.round {
            return None;
        }
        let it = &mut self.trials[trial.number];
        it.fails = Some(fails);
        let (step, seed) = (it.step, it.seed);
        // One that fails may yet be passed over for one before it, and is wanted again then.
        if !fails {
            self.passed.entry(self.steps[step].left.key()).or_default().insert(seed);
        }
        let first = self.trials[..self.begun].iter().find(|trial| trial.fails != Some(false));
        let taken = match first {
            Some(Planned { fails: Some(true), step, seed }) => Some((*step, *seed)),
            _ => None,
        };
        if let Some((step, seed)) = taken {
            let Cut { what, left } = self.steps.swap_remove(step);
            (self.best, self.seed) = (left, seed);
            self.taken += 1;
            self.fruitless = 0;
            self.patience = 1;
            self.plan();
            self.go_on();
            return Some(what);
        }
        self.go_on();
        None
    }

    /// Leaves passes behind that have no trial left.
    fn go_on(&mut self) {
        while self.fruitless < T::PASSES && self.trials.iter().all(|it| it.fails == Some(false)) {
            self.fruitless += 1;
            if self.fruitless == T::PASSES && self.patience < self.seeds.len() {
                self.patience *= MORE_SEEDS;
                self.fruitless = 0;
            }
            if self.fruitless < T::PASSES {
                self.pass = (self.pass + 1) % T::PASSES;
                self.plan();
            }
        }
    }

    /// The trials of the pass, without those whose answer is known.
    fn plan(&mut self) {
        self.round += 1;
        self.begun = 0;
        self.trials.clear();
        self.steps = self.best.smaller(self.pass);
        let others = self.seeds.iter().copied().filter(|seed| *seed != self.seed);
        let seeds: Vec<u64> =
            std::iter::once(self.seed).chain(others).take(self.patience).collect();
        let mut planned: BTreeSet<String> = BTreeSet::new();
        for (step, cut) in self.steps.iter().enumerate() {
            let key = cut.left.key();
            let passed = self.passed.get(&key);
            let is_open = |seed: &&u64| passed.is_none_or(|passed| !passed.contains(*seed));
            let trials = seeds.iter().filter(is_open);
            let trials: Vec<_> = trials.map(|&seed| Planned { step, seed, fails: None }).collect();
            if planned.insert(key) {
                self.trials.extend(trials);
            }
        }
    }
}
