//! The process's exit codes: scripts tell by them what a run found.

use std::process::ExitCode;

use paceline_reports::result::Verdict;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything held.
    Passed = 0,
    /// The command line or a scenario was refused; nothing ran.
    BadInput = 2,
    /// A figure lies outside what the scenario expects.
    ExpectationMissed = 10,
    /// Something happened that must never happen.
    SafetyViolated = 11,
    /// Something that must happen did not within its bound.
    LivenessViolated = 12,
    /// A process under test, or the simulator, panicked or never ended.
    Crashed = 13,
    /// Two runs of one identity differed.
    Nondeterministic = 14,
}

/// What `--help` says about exit codes.
pub const HELP: &str = "\
Exit codes:
   0  passed
   2  bad input: the command line or a scenario was refused
  10  expectation missed
  11  safety violated
  12  liveness violated
  13  crashed: a process under test, or the simulator, panicked or never ended
  14  nondeterministic: two runs of one identity differed
 141  nobody read the output, as in `… | head -1`
A sweep ends with the highest code of its runs.";

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Passed => Exit::Passed,
            Verdict::ExpectationMissed => Exit::ExpectationMissed,
            Verdict::SafetyViolated => Exit::SafetyViolated,
            Verdict::LivenessViolated => Exit::LivenessViolated,
            Verdict::Crashed => Exit::Crashed,
            Verdict::Nondeterministic => Exit::Nondeterministic,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_documented() {
        for exit in [
            Exit::Passed,
            Exit::BadInput,
            Exit::ExpectationMissed,
            Exit::SafetyViolated,
            Exit::LivenessViolated,
            Exit::Crashed,
            Exit::Nondeterministic,
        ] {
            assert!(HELP.contains(&format!("{:>4}  ", exit as u8)), "{exit:?} is missing");
        }
    }
}
