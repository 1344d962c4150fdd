//! What names a run: printed on every report and every failure.

use std::{fmt, path::Path};

use paceline_scenario::{Scenario, Source};

/// Where nodes are processes.
pub const REAL: &str = "real";

/// Scenario, seed, commit and world. In the simulated world two runs of one identity are the same run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The scenario's name.
    pub scenario: String,
    /// What the scenario asks, in its own words.
    pub about: String,
    /// See [`Scenario::hash`].
    pub scenario_hash: String,
    /// Everything random comes from it.
    pub seed: u64,
    /// What was built, or `unknown`.
    pub commit: &'static str,
    /// Where it ran.
    pub world: &'static str,
    /// The scenario's file as given on the command line.
    pub file: String,
}

/// The commit this program was built from, or `unknown`.
pub const COMMIT: &str = env!("PACELINE_COMMIT");

impl Identity {
    /// Names a run in the simulated world.
    pub fn simulated(scenario: &Scenario, file: &Path, seed: u64) -> Self {
        Self {
            scenario: scenario.name.clone(),
            about: scenario.about.trim().to_owned(),
            scenario_hash: scenario.hash(),
            seed,
            commit: COMMIT,
            world: "simulated",
            file: file.display().to_string(),
        }
    }

    /// Names a run of what a file holds.
    pub fn of(source: &Source, file: &Path, seed: u64) -> Self {
        Self { scenario_hash: source.hash(), ..Self::simulated(source.common(), file, seed) }
    }

    /// The same on real processes.
    pub fn in_real_world(self) -> Self {
        Self { world: REAL, ..self }
    }

    /// The command that makes this run again; in the real world, one that is like it: workload and faults
    /// are the same, what processes make of it is not.
    pub fn reproduce(&self) -> String {
        let how = if self.world == REAL { "real run" } else { "sim replay" };
        format!("cargo {how} {} --seed {}", self.file, self.seed)
    }

    /// The command that draws this run.
    pub fn draw(&self) -> String {
        format!("cargo sim trace {} --seed {}", self.file, self.seed)
    }

    /// The same for reports.
    pub fn for_report(&self) -> paceline_reports::result::Identity {
        paceline_reports::result::Identity {
            scenario: self.scenario.clone(),
            about: self.about.clone(),
            scenario_hash: self.scenario_hash.clone(),
            seed: self.seed,
            commit: self.commit.to_owned(),
            world: self.world.to_owned(),
            reproduce: self.reproduce(),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (scenario {}), seed {}, commit {}, {} world",
            self.scenario, self.scenario_hash, self.seed, self.commit, self.world
        )
    }
}
