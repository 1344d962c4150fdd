//! From a scenario that fails to a small one that fails in the same way.
//!
//! What to try is decided by [`Search`], which knows no runs. Here its trials become processes, and
//! their outcomes answers.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use paceline_reports::{result::Verdict, sweep::SeedOutcome};
use paceline_runtime::{output, say};
use paceline_scenario::{
    Scenario,
    shrink::{Search, Size, State, Trial},
};

use super::{
    Exit,
    arguments::{BadInput, Budget, ShrinkArgs, expanded, load},
    process::{Process, Scratch, Stop, at_once},
};
use crate::identity::Identity;

/// What `--help` says beside the options.
pub(super) const HELP: &str = "\
Examples:
  cargo sim shrink scenarios/swarm/mixed.toml --seed 7
  cargo sim shrink scenarios/swarm/mixed.toml --seed 7 --budget 300 --check lost --out small.toml

Exit codes:
   0  there is a scenario, as small as it could be made
   2  bad input: nothing fails, the run crashes, or the check named by --check holds
 141  nobody read the output, as in `… | head -1`";

/// How often a search says where it stands when there is no terminal to draw on.
const LINE_EVERY: Duration = Duration::from_secs(30);
/// How long the scenario itself may take by the clock on the wall.
const FIRST_LIMIT: Duration = Duration::from_secs(600);
/// How long a smaller one may take longer than the one before.
const GRACE: Duration = Duration::from_secs(20);
/// The longest name of a scenario.
const NAME: usize = 64;

/// What a run must show to have failed as the first one did.
struct Violation {
    verdict: Verdict,
    check: String,
}

impl Violation {
    fn is_in(&self, outcome: &SeedOutcome) -> bool {
        outcome.verdict == self.verdict && outcome.failed.contains(&self.check)
    }
}

/// One trial under way.
struct Running {
    trial: Trial<Scenario>,
    process: Process,
}

/// `shrink`.
pub(super) fn shrink(args: &ShrinkArgs) -> Result<Exit, BadInput> {
    let source = load(&args.file)?;
    if cfg!(not(madsim)) {
        return Err(BadInput("this program was built natively; build me with `cargo sim`".into()));
    }
    let began = Instant::now();
    let seed = args.seed.unwrap_or(source.common().seed);
    let identity = Identity::of(&source, &args.file, seed);
    let (_, expansion) = expanded(&source, seed)?;
    let scratch = Scratch::or_refuse("shrink")?;

    say!("{identity}");
    let mut scenario = expansion.scenario;
    let first = run_once(&scenario, &identity, &scratch)?;
    let violation = violation(args.check.as_deref(), &identity, &first)?;
    say!("  {}: {}", first.verdict.label(), first.finding);
    say!("  shrinking as long as `{}` fails with this verdict", violation.check);
    scenario.name.truncate(NAME - "-shrunk".len());
    scenario.name.push_str("-shrunk");
    scenario.about = format!(
        "What is left of {} with seed {seed}, so that {} fails still ({}).",
        identity.scenario,
        violation.check,
        first.verdict.label()
    );

    let out = args.out.clone().unwrap_or_else(|| {
        PathBuf::from("out").join(format!("{}-{seed}-shrunk.toml", identity.scenario))
    });
    let runs = match args.budget {
        Budget::Runs(runs) => Some(runs - 1),
        Budget::Time(_) => None,
    };
    let seeds = (0..args.seeds).map(|more| seed.wrapping_add(more)).collect();
    let mut session = Session {
        until: match args.budget {
            Budget::Time(time) => Some(began + time),
            Budget::Runs(_) => None,
        },
        before: Made::of(&scenario, &first),
        after: Made::of(&scenario, &first),
        search: Search::new(scenario, seeds, runs),
        violation,
        identity,
        scratch,
        out,
        at_once: at_once(args.jobs),
        running: Vec::new(),
        failed: Vec::new(),
        last: first,
    };
    session.write()?;
    let done = session.carry_out();
    session.running.clear();
    match done {
        Ok(()) => {}
        Err(Stop::Input(error)) => return Err(error),
        Err(Stop::Output(error)) => {
            drop(session);
            output::leave(&error)
        }
    }
    session.print(began.elapsed());
    Ok(Exit::Passed)
}

/// Runs what is to be shrunk, which has all the time it needs.
fn run_once(
    scenario: &Scenario,
    identity: &Identity,
    scratch: &Scratch,
) -> Result<SeedOutcome, BadInput> {
    let file = scratch.join("first.toml");
    write(&file, &scenario.to_short_toml())?;
    let mut process = Process::start(identity.clone(), &file, scratch, "first")?;
    loop {
        if let Some(outcome) = process.ended(FIRST_LIMIT) {
            return Ok(outcome);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What is to be kept, or why there is nothing to keep.
fn violation(
    check: Option<&str>,
    identity: &Identity,
    first: &SeedOutcome,
) -> Result<Violation, BadInput> {
    let (file, seed) = (&identity.file, identity.seed);
    let verdict = first.verdict;
    if verdict == Verdict::Passed {
        return Err(BadInput(format!(
            "{file} passes with seed {seed}, so there is nothing to shrink; `cargo sim sweep {file}` \
             looks for a seed with which it fails"
        )));
    }
    let Some(worst) = first.failed.first().filter(|_| verdict != Verdict::Crashed) else {
        return Err(BadInput(format!(
            "{file} with seed {seed} has {}, not by a check: {}\nIt takes the name of a check to \
             know a failure again in another scenario; `{}` shows what there is",
            verdict.label(),
            first.finding,
            identity.reproduce()
        )));
    };
    let check = check.unwrap_or(worst);
    if !first.failed.iter().any(|it| it == check) {
        return Err(BadInput(format!(
            "`{check}` holds in {file} with seed {seed}; what fails is {}",
            first.failed.join(", ")
        )));
    }
    Ok(Violation { verdict, check: check.to_owned() })
}

fn write(file: &Path, text: &str) -> Result<(), BadInput> {
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    folder
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(file, text))
        .map_err(|error| BadInput(format!("cannot write {}: {error}", file.display())))
}

/// How large a scenario is, and what a run of it came to.
struct Made {
    size: Size,
    lines: u64,
    sent: u64,
    virtual_s: f64,
}

impl Made {
    fn of(scenario: &Scenario, outcome: &SeedOutcome) -> Self {
        Self {
            size: Size::of(scenario),
            lines: scenario.to_short_toml().lines().count() as u64,
            sent: outcome.sent,
            virtual_s: outcome.virtual_s,
        }
    }

    fn in_words(&self) -> String {
        let Self { size, sent, virtual_s, .. } = self;
        format!(
            "{} nodes, {} destinations, {} clients, {sent} messages, {} faults, {} changes, \
             {virtual_s:.1} s",
            size.nodes, size.destinations, size.clients, size.faults, size.changes
        )
    }

    /// What a report compares, by name.
    fn figures(&self) -> [(&'static str, f64); 11] {
        let Self { size, lines, sent, virtual_s } = self;
        let count = |count: u64| count as f64;
        [
            ("nodes", count(size.nodes)),
            ("replicas", count(size.replicas)),
            ("slots", count(size.slots)),
            ("workloads", count(size.workloads)),
            ("destinations", count(size.destinations)),
            ("clients", count(size.clients)),
            ("messages sent", count(*sent)),
            ("faults", count(size.faults)),
            ("changes", count(size.changes)),
            ("simulated seconds", *virtual_s),
            ("lines of the file", count(*lines)),
        ]
    }
}

/// A search under way.
struct Session {
    search: Search<Scenario>,
    violation: Violation,
    identity: Identity,
    scratch: Scratch,
    out: PathBuf,
    at_once: usize,
    until: Option<Instant>,
    running: Vec<Running>,
    /// Of this round.
    failed: Vec<(Trial<Scenario>, SeedOutcome)>,
    /// That of the smallest so far.
    last: SeedOutcome,
    before: Made,
    after: Made,
}

impl Session {
    fn carry_out(&mut self) -> Result<(), Stop> {
        let style = "{spinner} {elapsed} gone, {msg}";
        let bar = ProgressBar::new_spinner()
            .with_style(ProgressStyle::with_template(style).expect("the template is right"));
        let mut next_line = Instant::now() + LINE_EVERY;
        while !self.is_over() {
            while self.running.len() < self.at_once
                && let Some(trial) = self.search.begin()
            {
                let process = self.start(&trial)?;
                self.running.push(Running { trial, process });
            }
            let limit = GRACE + Duration::from_secs_f64(3.0 * self.last.wall_s);
            let mut still = Vec::new();
            for mut run in std::mem::take(&mut self.running) {
                match run.process.ended(limit) {
                    Some(outcome) => self.answer(&bar, run.trial, outcome)?,
                    None => still.push(run),
                }
            }
            let round = self.search.round();
            still.retain(|run| run.trial.round == round);
            self.running = still;
            bar.set_message(format!("{} runs; {}", self.search.runs() + 1, self.after.in_words()));
            bar.tick();
            if bar.is_hidden() && Instant::now() >= next_line {
                next_line += LINE_EVERY;
                let (runs, taken) = (self.search.runs() + 1, self.search.taken());
                output::line(format_args!("{runs} runs, {taken} steps taken"))?;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn is_over(&self) -> bool {
        let is_late = self.until.is_some_and(|until| Instant::now() >= until);
        is_late || self.search.state() != State::Searching
    }

    fn start(&self, trial: &Trial<Scenario>) -> Result<Process, BadInput> {
        let name = format!("{}-{}", trial.round, trial.number);
        let file = self.scratch.join(&format!("{name}.toml"));
        let scenario = Scenario { seed: trial.seed, ..trial.cut.left.clone() };
        write(&file, &scenario.to_short_toml())?;
        let identity = Identity { seed: trial.seed, ..self.identity.clone() };
        Process::start(identity, &file, &self.scratch, &name)
    }

    /// Tells the search how a trial has ended, and the user what it took.
    fn answer(
        &mut self,
        bar: &ProgressBar,
        trial: Trial<Scenario>,
        outcome: SeedOutcome,
    ) -> Result<(), Stop> {
        let fails = self.violation.is_in(&outcome);
        let taken = self.search.ended(&trial, fails);
        if fails {
            self.failed.push((trial, outcome));
        }
        let Some(what) = taken else { return Ok(()) };
        let (best, seed) = self.search.best();
        let is_it = |it: &(Trial<Scenario>, _)| it.0.seed == seed && it.0.cut.left == *best;
        let at = self.failed.iter().position(is_it).expect("a step is taken because a run failed");
        self.last = self.failed.swap_remove(at).1;
        self.failed.clear();
        self.after = Made::of(best, &self.last);
        self.write()?;
        let runs = self.search.runs() + 1;
        let left = self.after.in_words();
        bar.suspend(|| output::line(format_args!("{runs:>5} runs: {what}: {left}")))?;
        Ok(())
    }

    /// Writes the smallest so far.
    fn write(&self) -> Result<(), BadInput> {
        let (best, seed) = self.search.best();
        let scenario = Scenario { seed, ..best.clone() };
        write(&self.out, &scenario.to_short_toml())
    }

    /// What has come of it.
    fn print(&self, took: Duration) {
        let (_, seed) = self.search.best();
        say!();
        say!("{:19} {:>9} {:>9} {:>9}", "", "before", "after", "left");
        for ((name, before), (_, after)) in self.before.figures().iter().zip(self.after.figures()) {
            let left = match *before > 0.0 {
                true => format!("{:.1} %", 100.0 * after / before),
                false => "-".into(),
            };
            let digits = usize::from(before.fract() != 0.0);
            say!("{name:19} {before:>9.digits$} {after:>9.digits$} {left:>9}");
        }
        say!();
        say!("violation:   {}: {}", self.last.verdict.label(), self.last.finding);
        let why = match self.search.state() {
            State::Minimal => "no smaller step fails in the same way",
            State::OutOfRuns | State::Searching => "the budget is spent; a larger one may go on",
        };
        let (runs, taken) = (self.search.runs() + 1, self.search.taken());
        say!("search:      {runs} runs in {:.0} s, {taken} steps taken; {why}", took.as_secs_f64());
        let out = self.out.display();
        say!("scenario:    {out}");
        say!("reproduce:   cargo sim replay {out} --seed {seed}");
        say!("picture:     cargo sim trace {out} --seed {seed}");
    }
}

#[cfg(test)]
mod tests {
    use super::{super::process::crashed, *};

    fn identity() -> Identity {
        let text = "name = \"x\"\nabout = \"x\"\nduration = \"1s\"\n[cluster]\nnodes = 1\n";
        let scenario = Scenario::load("x.toml", text).unwrap_or_else(|error| panic!("{error}"));
        Identity::simulated(&scenario, "x.toml".as_ref(), 3)
    }

    fn outcome(verdict: Verdict, failed: &[&str]) -> SeedOutcome {
        let failed = failed.iter().map(|name| (*name).to_owned()).collect();
        SeedOutcome { verdict, failed, ..crashed(&identity(), "lost m7".into(), 1.0) }
    }

    #[test]
    fn a_failure_is_the_same_by_its_verdict_and_its_check() {
        let first = outcome(Verdict::SafetyViolated, &["settled", "lost"]);
        let it = violation(None, &identity(), &first).unwrap();
        assert_eq!(it.check, "settled");
        assert!(it.is_in(&outcome(Verdict::SafetyViolated, &["lost", "settled"])));
        assert!(!it.is_in(&outcome(Verdict::SafetyViolated, &["lost"])));
        assert!(!it.is_in(&outcome(Verdict::LivenessViolated, &["settled"])));
        assert!(!it.is_in(&outcome(Verdict::Crashed, &[])));
        assert_eq!(violation(Some("lost"), &identity(), &first).unwrap().check, "lost");
    }

    #[test]
    fn what_cannot_be_known_again_is_refused() {
        let why = |first: &SeedOutcome| violation(None, &identity(), first).err().unwrap().0;
        let passed = why(&outcome(Verdict::Passed, &[]));
        assert!(passed.contains("x.toml passes with seed 3"), "{passed}");
        let dead = why(&outcome(Verdict::Crashed, &["crash"]));
        assert!(dead.contains("has crashed, not by a check: lost m7"), "{dead}");
        assert!(dead.contains("cargo sim replay x.toml --seed 3"), "{dead}");
    }
}
