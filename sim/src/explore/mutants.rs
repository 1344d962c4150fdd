//! The testbed's own score: planted bugs, one at a time, and how soon a sweep finds each.
//!
//! A bug is a patch file in `sim/mutants`; the source carries none. Each is applied to a copy of the
//! sources, built there and swept as the shipped scenarios are, until a run fails.

mod catalogue;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use paceline_reports::{SweepResult, result::Verdict};
use paceline_runtime::say;

use self::catalogue::Mutant;
use super::{
    Exit,
    arguments::{BadInput, MutantsArgs},
    process::at_once,
};
use crate::identity::COMMIT;

/// Where the patches are, from the top of the workspace.
const CATALOGUE: &str = "sim/mutants";

/// Where the copy of the sources is, and what is built of it.
const WORK: &str = "target/mutants";

/// What became of one.
#[derive(Debug)]
struct Score {
    name: String,
    about: String,
    after: String,
    /// The first run that failed.
    found: Option<Found>,
    /// Runs until then, or all.
    runs: usize,
    /// By the clock on the wall, without the build.
    seconds: f64,
}

#[derive(Debug)]
struct Found {
    scenario: String,
    seed: u64,
    verdict: Verdict,
    /// The checks that did not hold.
    by: Vec<String>,
}

/// `mutants`.
pub(super) fn mutants(args: &MutantsArgs) -> Result<Exit, BadInput> {
    let all = catalogue::read(Path::new(CATALOGUE)).map_err(BadInput)?;
    if let Some(unknown) = args.only.iter().find(|name| all.iter().all(|it| it.name != **name)) {
        return Err(BadInput(format!("there is no mutant `{unknown}`; `--list` names them all")));
    }
    let wanted = |it: &Mutant| args.only.is_empty() || args.only.contains(&it.name);
    let chosen: Vec<Mutant> = all.into_iter().filter(wanted).collect();
    if args.list {
        for mutant in &chosen {
            say!("{:<34} {}; after {}", mutant.name, mutant.about, mutant.after);
        }
        return Ok(Exit::Passed);
    }
    if args.check {
        for mutant in &chosen {
            apply(Path::new("."), mutant, &["--check"])?;
        }
        say!("{} patches apply", chosen.len());
        return Ok(Exit::Passed);
    }
    let files = match &args.files[..] {
        [] => shipped(Path::new("scenarios"))?,
        files => files.to_vec(),
    };
    let scores = score(args, &chosen, &files)?;
    report(&args.report, &scores)?;
    let is_found = |score: &Score| score.found.is_some();
    Ok(if scores.iter().all(is_found) { Exit::Passed } else { Exit::ExpectationMissed })
}

fn score(args: &MutantsArgs, chosen: &[Mutant], files: &[PathBuf]) -> Result<Vec<Score>, BadInput> {
    let sources = Path::new(WORK).join("sources");
    copy_sources(&sources)?;
    let mut scores = Vec::new();
    for (number, mutant) in chosen.iter().enumerate() {
        say!("{} of {}: {}, {}", number + 1, chosen.len(), mutant.name, mutant.about);
        apply(&sources, mutant, &[])?;
        let built = build(&sources);
        let swept = built.and_then(|program| sweep(args, &program, files, mutant));
        // Also for the next one, if this one could not be built.
        apply(&sources, mutant, &["--reverse"])?;
        let score = swept?;
        say!("  {}", in_words(&score));
        scores.push(score);
    }
    Ok(scores)
}

/// Makes the copy what the sources are, and touches nothing that is the same already, so that little is
/// built anew.
fn copy_sources(to: &Path) -> Result<(), BadInput> {
    let tracked = output(Command::new("git").args(["ls-files", "-z"]))?;
    let names = || tracked.split('\0').filter(|name| !name.is_empty());
    for name in names() {
        let (from, to) = (Path::new(name), to.join(name));
        // One that was removed and not committed.
        let Ok(now) = fs::read(from) else { continue };
        if fs::read(&to).is_ok_and(|before| before == now) {
            continue;
        }
        to.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&to, now))
            .map_err(|error| BadInput(format!("cannot write {}: {error}", to.display())))?;
    }
    Ok(())
}

fn apply(sources: &Path, mutant: &Mutant, how: &[&str]) -> Result<(), BadInput> {
    let patch = fs::canonicalize(&mutant.patch)
        .map_err(|error| BadInput(format!("{}: {error}", mutant.patch.display())))?;
    let sources = fs::canonicalize(sources)
        .map_err(|error| BadInput(format!("{}: {error}", sources.display())))?;
    let mut git = Command::new("git");
    // The copy lies within a repository that does not know of it: there git would apply nothing.
    git.env("GIT_CEILING_DIRECTORIES", sources.parent().unwrap_or(&sources));
    git.current_dir(&sources).args(["apply", "--whitespace=nowarn"]).args(how).arg(patch);
    output(&mut git).map_err(|error| {
        let name = &mutant.name;
        BadInput(format!("the mutant {name} does not fit the sources any more: {error}"))
    })?;
    Ok(())
}

/// Builds the simulator of the copy; its program.
fn build(sources: &Path) -> Result<PathBuf, BadInput> {
    let target =
        fs::canonicalize(WORK).map_err(|error| BadInput(format!("{WORK}: {error}")))?.join("build");
    let mut cargo = Command::new("cargo");
    cargo.current_dir(sources).args(["build", "--release", "--quiet"]);
    cargo.args(["--config", ".cargo/sim.toml", "--package", "paceline-sim"]);
    // What is built of the same sources again and again.
    cargo.env("CARGO_INCREMENTAL", "1").arg("--target-dir").arg(&target);
    output(&mut cargo)?;
    Ok(target.join("release/paceline-sim"))
}

fn sweep(
    args: &MutantsArgs,
    program: &Path,
    files: &[PathBuf],
    mutant: &Mutant,
) -> Result<Score, BadInput> {
    let report = args.report.join(&mutant.name);
    let began = Instant::now();
    let mut command = Command::new(program);
    command.arg("sweep").args(files).args(["--seeds", &args.seeds.to_string()]);
    command.args(["--stop-on-failure", "--wall-limit", "120", "--report"]).arg(&report);
    command.args(["--jobs", &at_once(args.jobs).to_string()]);
    // It ends with the code of the run that failed.
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    status.map_err(|error| BadInput(format!("cannot start {}: {error}", program.display())))?;
    let seconds = began.elapsed().as_secs_f64();
    let path = report.join("sweep.json");
    let result: SweepResult = fs::read(&path)
        .map_err(|error| error.to_string())
        .and_then(|json| serde_json::from_slice(&json).map_err(|error| error.to_string()))
        .map_err(|error| BadInput(format!("the sweep left no {}: {error}", path.display())))?;
    Ok(score_of(mutant, &result, seconds))
}

fn score_of(mutant: &Mutant, result: &SweepResult, seconds: f64) -> Score {
    let failures = result.scenarios.iter().flat_map(|scenario| {
        scenario.failures().into_iter().map(|run| Found {
            scenario: scenario.scenario.clone(),
            seed: run.seed,
            verdict: run.verdict,
            by: run.failed.clone(),
        })
    });
    Score {
        name: mutant.name.clone(),
        about: mutant.about.clone(),
        after: mutant.after.clone(),
        found: failures.max_by_key(|found| Exit::from(found.verdict)),
        runs: result.scenarios.iter().map(|scenario| scenario.runs.len()).sum(),
        seconds,
    }
}

fn in_words(score: &Score) -> String {
    let Score { runs, seconds, .. } = score;
    match &score.found {
        None => format!("not found in {runs} runs, {seconds:.0} s"),
        Some(Found { scenario, seed, verdict, by }) => format!(
            "found by {} ({}): {scenario}, seed {seed}, after {runs} runs, {seconds:.0} s",
            if by.is_empty() { "its end".into() } else { by.join(", ") },
            verdict.label()
        ),
    }
}

/// Writes the table, and says the sum of it.
fn report(dir: &Path, scores: &[Score]) -> Result<(), BadInput> {
    let path = dir.join("mutants.md");
    fs::write(&path, table(scores))
        .map_err(|error| BadInput(format!("cannot write {}: {error}", path.display())))?;
    say!();
    say!("{}", sum(scores));
    say!("report:      {}", path.display());
    Ok(())
}

fn sum(scores: &[Score]) -> String {
    let mut runs: Vec<usize> =
        scores.iter().filter(|score| score.found.is_some()).map(|score| score.runs).collect();
    runs.sort_unstable();
    let median = runs.get(runs.len() / 2).map_or("-".into(), usize::to_string);
    format!("found: {} of {}, after {median} runs by the median", runs.len(), scores.len())
}

fn table(scores: &[Score]) -> String {
    let mut table = format!(
        "At {COMMIT}: {}.\n\n| mutant | what is wrong | after | found by | in | runs | s |\n\
         |---|---|---|---|---|---|---|\n",
        sum(scores)
    );
    for Score { name, about, after, found, runs, seconds } in scores {
        let (by, place) = match found {
            None => ("**nothing**".into(), String::new()),
            Some(found) if found.by.is_empty() => {
                (found.verdict.label().to_owned(), format!("{} {}", found.scenario, found.seed))
            }
            Some(found) => (found.by.join(", "), format!("{} {}", found.scenario, found.seed)),
        };
        table +=
            &format!("| {name} | {about} | {after} | {by} | {place} | {runs} | {seconds:.0} |\n");
    }
    table
}

/// The shipped scenarios of a world, by name.
fn shipped(folder: &Path) -> Result<Vec<PathBuf>, BadInput> {
    let unread = |error| BadInput(format!("cannot read {}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        if path.is_dir() {
            // Comparisons of placements have no world.
            if path.file_name().is_some_and(|name| name != "hashing") {
                files.extend(shipped(&path)?);
            }
        } else if path.extension().is_some_and(|it| it == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Runs a command to its end; what it printed. An error says what it complained of.
fn output(command: &mut Command) -> Result<String, BadInput> {
    let shown = format!("{command:?}").replace('"', "");
    let done = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| BadInput(format!("cannot start {shown}: {error}")))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&done.stderr);
    Err(BadInput(format!("{shown}: {}\n{}", done.status, complaint.trim_end())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(name: &str, runs: usize, by: Option<&[&str]>) -> Score {
        let found = by.map(|by| Found {
            scenario: "smoke".into(),
            seed: 7,
            verdict: Verdict::SafetyViolated,
            by: by.iter().map(|it| (*it).to_owned()).collect(),
        });
        let text = String::from;
        Score { name: name.into(), about: text("a"), after: text("b"), found, runs, seconds: 2.4 }
    }

    #[test]
    fn the_table_says_what_found_each_and_what_was_not_found() {
        let scores = [
            score("early-vote", 9, Some(&["lost", "replicas"])),
            score("late-sync", 395, None),
            score("no-check", 3, Some(&[])),
        ];
        assert_eq!(sum(&scores), "found: 2 of 3, after 9 runs by the median");
        let table = table(&scores);
        let rows: Vec<&str> = table.lines().skip(4).collect();
        let expected = [
            "| early-vote | a | b | lost, replicas | smoke 7 | 9 | 2 |",
            "| late-sync | a | b | **nothing** |  | 395 | 2 |",
            "| no-check | a | b | safety violated | smoke 7 | 3 | 2 |",
        ];
        assert_eq!(rows, expected);
        assert_eq!(sum(&[]), "found: 0 of 0, after - runs by the median");
    }
}
