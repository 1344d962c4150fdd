//! The result of a sweep: one line per run, so that a sweep of many seeds stays small and the
//! parts that several machines made can be merged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::exits::ExitCounts;
use crate::result::{ReportError, Verdict, check_version, quantity};

/// The version of the [`SweepResult`] schema that this crate writes.
pub const SWEEP_VERSION: u32 = 1;

/// What a sweep found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepResult {
    /// The schema version of this value; see [`SWEEP_VERSION`].
    pub schema_version: u32,
    /// The commit that was built, or `unknown`.
    pub commit: String,
    /// `simulated` or `real`.
    pub world: String,
    /// The full command line that makes this sweep again.
    pub reproduce: String,
    /// Duration by the clock on the wall, in seconds. Merged parts add up.
    pub wall_s: f64,
    /// The places that some run should reach, by number; see [`SeedOutcome::reached`].
    #[serde(default)]
    pub points: Vec<CoveragePoint>,
    /// One entry per scenario, in the order in which they were given.
    pub scenarios: Vec<ScenarioSweep>,
}

/// All runs of one scenario.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ScenarioSweep {
    /// The scenario's name.
    pub scenario: String,
    /// The scenario's own sentence about what it asks.
    #[serde(default)]
    pub about: String,
    /// Hash of the scenario file, in hexadecimal.
    pub scenario_hash: String,
    /// One entry per seed.
    pub runs: Vec<SeedOutcome>,
}

/// How one seed ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeedOutcome {
    /// The seed.
    pub seed: u64,
    /// How it ended.
    pub verdict: Verdict,
    /// What the first failed check found; empty if it passed.
    #[serde(default)]
    pub finding: String,
    /// The checks that did not hold, the worst first, and the expectations that were missed; each once.
    #[serde(default)]
    pub failed: Vec<String>,
    /// How many messages producers have sent.
    #[serde(default)]
    pub sent: u64,
    /// Exits of its nodes.
    #[serde(default)]
    pub exits: ExitCounts,
    /// Hash of the run's event log, in hexadecimal; empty if it never got that far.
    #[serde(default)]
    pub fingerprint: String,
    /// Which of [`SweepResult::points`] it reached: a number in hexadecimal, whose lowest bit is
    /// that of the first point. Empty if it never got that far.
    #[serde(default)]
    pub reached: String,
    /// Duration by the run's own clock, in seconds.
    pub virtual_s: f64,
    /// Duration by the clock on the wall, in seconds.
    pub wall_s: f64,
    /// The full command line that makes this run again.
    pub reproduce: String,
}

impl ScenarioSweep {
    /// How many runs ended with each verdict.
    pub fn verdicts(&self) -> BTreeMap<Verdict, usize> {
        let mut verdicts = BTreeMap::new();
        for run in &self.runs {
            *verdicts.entry(run.verdict).or_default() += 1;
        }
        verdicts
    }

    /// What its runs took together by the clock on the wall, in seconds.
    pub fn cost_s(&self) -> f64 {
        self.runs.iter().map(|run| run.wall_s).sum()
    }

    /// The exits of nodes in all runs.
    pub fn exit_counts(&self) -> ExitCounts {
        let mut counts = ExitCounts::default();
        self.runs.iter().for_each(|run| counts += &run.exits);
        counts
    }

    /// The runs that did not pass, in the order of their seeds.
    pub fn failures(&self) -> Vec<&SeedOutcome> {
        let mut failures: Vec<_> =
            self.runs.iter().filter(|run| run.verdict != Verdict::Passed).collect();
        failures.sort_by_key(|run| run.seed);
        failures
    }
}

impl SweepResult {
    /// Adds the runs of another part of the same sweep. A seed that both parts ran is kept once.
    ///
    /// # Errors
    /// [`ReportError::Invalid`] if the parts are of different commits or worlds, or if a scenario
    /// has another hash under the same name: such runs say nothing about one another.
    pub fn merge(&mut self, other: SweepResult) -> Result<(), ReportError> {
        for (field, ours, theirs) in
            [("commit", &self.commit, &other.commit), ("world", &self.world, &other.world)]
        {
            same(field, ours, theirs)?;
        }
        for theirs in &other.scenarios {
            if let Some(ours) = self.scenarios.iter().find(|s| s.scenario == theirs.scenario) {
                let field = format!("scenarios.{}.scenario_hash", ours.scenario);
                same(&field, &ours.scenario_hash, &theirs.scenario_hash)?;
            }
        }
        self.wall_s += other.wall_s;
        for theirs in other.scenarios {
            match self.scenarios.iter_mut().find(|s| s.scenario == theirs.scenario) {
                Some(ours) => {
                    ours.runs.extend(theirs.runs);
                    // Of two outcomes of one seed the worse is kept.
                    ours.runs.sort_by_key(|run| (run.seed, std::cmp::Reverse(run.verdict)));
                    ours.runs.dedup_by_key(|run| run.seed);
                }
                None => self.scenarios.push(theirs),
            }
        }
        Ok(())
    }

    /// The exits of nodes in all runs of all scenarios.
    pub fn exit_counts(&self) -> ExitCounts {
        let mut counts = ExitCounts::default();
        self.scenarios.iter().for_each(|scenario| counts += &scenario.exit_counts());
        counts
    }

    /// The sweep as pretty-printed JSON.
    ///
    /// # Errors
    /// [`ReportError::Invalid`] if a duration is not a finite number of at least 0.
    pub fn to_json(&self) -> Result<String, ReportError> {
        self.validate()?;
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// Reads a sweep back and validates it.
    ///
    /// # Errors
    /// As [`crate::RunResult::from_json`].
    pub fn from_json(text: &str) -> Result<Self, ReportError> {
        check_version(text, SWEEP_VERSION)?;
        let sweep: SweepResult = serde_json::from_str(text)?;
        sweep.validate()?;
        Ok(sweep)
    }

    /// Refuses durations that are negative, infinite or NaN.
    ///
    /// # Errors
    /// [`ReportError::Invalid`] with the path of the first such field.
    pub fn validate(&self) -> Result<(), ReportError> {
        quantity("wall_s", self.wall_s)?;
        for scenario in &self.scenarios {
            for run in &scenario.runs {
                let path = format!("scenarios.{}.seed {}", scenario.scenario, run.seed);
                quantity(&format!("{path}.virtual_s"), run.virtual_s)?;
                quantity(&format!("{path}.wall_s"), run.wall_s)?;
            }
        }
        Ok(())
    }
}

fn same(field: &str, ours: &str, theirs: &str) -> Result<(), ReportError> {
    if ours == theirs {
        return Ok(());
    }
    Err(ReportError::Invalid {
        field: field.to_owned(),
        reason: format!("the parts to merge differ: {ours:?} and {theirs:?}"),
    })
}

/// A place that some run should reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoveragePoint {
    /// By which it is found in the source.
    pub name: String,
    /// What happens there.
    pub about: String,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sweep_of(verdicts: &[(u64, Verdict)]) -> SweepResult {
        let runs = verdicts.iter().map(|&(seed, verdict)| SeedOutcome {
            seed,
            verdict,
            finding: if verdict == Verdict::Passed { String::new() } else { "lost m7".into() },
            failed: Vec::new(),
            sent: 10,
            exits: ExitCounts::default(),
            fingerprint: format!("{seed:x}"),
            reached: String::new(),
            virtual_s: 60.0,
            wall_s: 1.5,
            reproduce: format!("cargo sim replay smoke.toml --seed {seed}"),
        });
        SweepResult {
            schema_version: SWEEP_VERSION,
            commit: "abc".into(),
            world: "simulated".into(),
            reproduce: "cargo sim sweep smoke.toml --seeds 3".into(),
            wall_s: 4.0,
            points: Vec::new(),
            scenarios: vec![ScenarioSweep {
                scenario: "smoke".into(),
                about: "Does it run at all?".into(),
                scenario_hash: "h".into(),
                runs: runs.collect(),
            }],
        }
    }

    #[test]
    fn json_round_trip_keeps_everything() {
        let sweep = sweep_of(&[(1, Verdict::Passed), (2, Verdict::Crashed)]);
        assert_eq!(SweepResult::from_json(&sweep.to_json().unwrap()).unwrap(), sweep);
    }

    #[test]
    fn merging_keeps_each_seed_once_and_in_order() {
        let mut sweep = sweep_of(&[(3, Verdict::Passed), (1, Verdict::Passed)]);
        sweep.merge(sweep_of(&[(2, Verdict::Crashed), (3, Verdict::SafetyViolated)])).unwrap();
        assert_eq!(sweep.scenarios[0].runs[2].verdict, Verdict::SafetyViolated);
        let seeds: Vec<u64> = sweep.scenarios[0].runs.iter().map(|run| run.seed).collect();
        assert_eq!(seeds, [1, 2, 3]);
        assert_eq!(sweep.scenarios[0].failures()[0].seed, 2);
        assert_eq!(sweep.scenarios[0].verdicts()[&Verdict::Passed], 1);
        assert_eq!(sweep.wall_s, 8.0);
    }

    #[test]
    fn parts_of_different_builds_do_not_merge() {
        let mut sweep = sweep_of(&[(1, Verdict::Passed)]);
        let mut other = sweep_of(&[(2, Verdict::Passed)]);
        other.commit = "def".into();
        assert!(sweep.merge(other).unwrap_err().to_string().contains("commit"));
        let mut other = sweep_of(&[(2, Verdict::Passed)]);
        other.scenarios[0].scenario_hash = "changed".into();
        assert!(sweep.merge(other).unwrap_err().to_string().contains("scenario_hash"));
    }
}
