//! Runs one identity twice, in two processes, and compares everything that happened.
//!
//! Two processes, because that is what a replay is; within one process global counters differ
//! between runs without harm.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use paceline_reports::{result::Verdict, sweep::SeedOutcome};
use paceline_runtime::say;

use super::{Exit, arguments::BadInput, output, process::Scratch};
use crate::identity::Identity;

/// What the comparison of two event logs found.
#[derive(Debug, PartialEq, Eq)]
enum Comparison {
    Same,
    /// The first line that differs, from 1, in both.
    Differ(usize, String, String),
}

/// `run --check-determinism`.
pub(super) fn check(identity: &Identity, file: &Path) -> Result<Exit, BadInput> {
    let (outcome, comparison) = twice(identity, file)
        .map_err(|error| BadInput(format!("cannot run the simulator a second time: {error}")))?;
    let exit = match &comparison {
        Comparison::Same => {
            say!("deterministic: both runs did the same, and ended {}", outcome.verdict.label());
            Exit::from(outcome.verdict)
        }
        Comparison::Differ(line, first, second) => {
            say!("NONDETERMINISTIC: the runs differ, first in event {line}:");
            say!("  one run:   {first}");
            say!("  the other: {second}");
            Exit::Nondeterministic
        }
    };
    output::foot(identity, &outcome.fingerprint, None);
    Ok(exit)
}

/// For a sweep: the outcome of a seed, run twice.
pub(super) fn outcome(identity: &Identity, file: &Path) -> io::Result<SeedOutcome> {
    let (mut outcome, comparison) = twice(identity, file)?;
    if let Comparison::Differ(line, first, second) = comparison {
        outcome.verdict = Verdict::Nondeterministic;
        outcome.finding = format!("event {line} is `{first}` in one run and `{second}` in another");
        outcome.reproduce =
            format!("cargo sim run {} --seed {} --check-determinism", identity.file, identity.seed);
    }
    Ok(outcome)
}

fn twice(identity: &Identity, file: &Path) -> io::Result<(SeedOutcome, Comparison)> {
    let scratch = Scratch::new(&format!("determinism-{}", identity.seed))?;
    let path = |name: &str| scratch.join(name);
    let mut children = Vec::new();
    for name in ["first", "second"] {
        let child = Command::new(std::env::current_exe()?)
            .args(["run", "--seed", &identity.seed.to_string()])
            .arg(file)
            .arg("--outcome")
            .arg(path(&format!("{name}.json")))
            .arg("--event-log")
            .arg(path(&format!("{name}.log")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        children.push(child);
    }
    for mut child in children {
        child.wait()?;
    }
    let outcome = fs::read(path("first.json"))?;
    let outcome = serde_json::from_slice(&outcome).map_err(io::Error::other)?;
    let open = |name: &str| Ok::<_, io::Error>(BufReader::new(fs::File::open(path(name))?));
    let comparison = compare(open("first.log")?, open("second.log")?)?;
    Ok((outcome, comparison))
}

fn compare(first: impl BufRead, second: impl BufRead) -> io::Result<Comparison> {
    let (mut first, mut second) = (first.lines(), second.lines());
    let mut number = 0;
    loop {
        number += 1;
        let ended = || "(the log ends)".to_owned();
        match (first.next().transpose()?, second.next().transpose()?) {
            (None, None) => return Ok(Comparison::Same),
            (one, other) if one != other => {
                return Ok(Comparison::Differ(
                    number,
                    one.unwrap_or_else(ended),
                    other.unwrap_or_else(ended),
                ));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_found() {
        let compare =
            |first: &str, second: &str| compare(first.as_bytes(), second.as_bytes()).unwrap();
        assert_eq!(compare("a\nb\n", "a\nb\n"), Comparison::Same);
        assert_eq!(compare("a\nb\n", "a\nc\n"), Comparison::Differ(2, "b".into(), "c".into()));
        let shorter = Comparison::Differ(2, "b".into(), "(the log ends)".into());
        assert_eq!(compare("a\nb\n", "a\n"), shorter);
    }
}
