//! Runs in processes of their own: this program runs itself again.
//!
//! A process per run keeps runs apart: a crash or a leak stays where it is, and coverage marks are of
//! one run. So every run of many is the same as its replay.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use paceline_reports::{exits::ExitCounts, result::Verdict, sweep::SeedOutcome};

use super::arguments::BadInput;
use crate::identity::Identity;

/// A folder of its own for what runs leave behind, gone when this is dropped.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one for this command, whose name is unlike that of any other at the same time.
    pub fn new(command: &str) -> io::Result<Self> {
        let name = format!("paceline-{command}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Makes one, or says why there is none.
    pub fn or_refuse(command: &str) -> Result<Self, BadInput> {
        Self::new(command).map_err(|error| {
            let folder = std::env::temp_dir();
            BadInput(format!("cannot make a folder in {}: {error}", folder.display()))
        })
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left-over files in the temporary directory harm nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How many runs at a time: as many as asked for, or as there are processors.
pub(super) fn at_once(jobs: Option<usize>) -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    jobs.unwrap_or_else(processors).max(1)
}

/// Why a command that makes many runs ends before it has made them.
pub(super) enum Stop {
    /// A run could not be started, or a file not be written.
    Input(BadInput),
    /// Nobody reads what it prints.
    Output(io::Error),
}

impl From<BadInput> for Stop {
    fn from(error: BadInput) -> Self {
        Stop::Input(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Output(error)
    }
}

/// One run under way.
pub(super) struct Process {
    identity: Identity,
    child: Child,
    outcome: PathBuf,
    log: PathBuf,
    began: Instant,
}

impl Drop for Process {
    /// Who ends early takes its runs with it. One that has ended by itself is all right.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for path in [&self.outcome, &self.log] {
            // The whole directory goes at the end anyway.
            let _ = fs::remove_file(path);
        }
    }
}

impl Process {
    /// Starts the run of this name; `name` tells it from the others of the same folder.
    ///
    /// # Errors
    ///
    /// The process could not be started.
    pub fn start(
        identity: Identity,
        file: &Path,
        scratch: &Scratch,
        name: &str,
    ) -> Result<Self, BadInput> {
        let (outcome, log) =
            (scratch.join(&format!("{name}.json")), scratch.join(&format!("{name}.log")));
        let child = std::env::current_exe()
            .and_then(|program| {
                let output = fs::File::create(&log)?;
                Command::new(program)
                    .args(["run", "--seed", &identity.seed.to_string()])
                    .arg(file)
                    .arg("--outcome")
                    .arg(&outcome)
                    .stdin(Stdio::null())
                    .stdout(output.try_clone()?)
                    .stderr(output)
                    .spawn()
            })
            .map_err(|error| BadInput(format!("cannot start a run: {error}")))?;
        Ok(Self { identity, child, outcome, log, began: Instant::now() })
    }

    /// How it ended, if it has; after so long by the clock on the wall it is ended, as crashed.
    pub fn ended(&mut self, limit: Duration) -> Option<SeedOutcome> {
        match self.child.try_wait() {
            Ok(None) if self.began.elapsed() <= limit => return None,
            Ok(None) => {
                // It is our own child; that it may just have ended by itself is all right.
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            Ok(Some(_)) | Err(_) => {}
        }
        Some(self.collect(limit))
    }

    /// Reads what it has left behind.
    fn collect(&self, limit: Duration) -> SeedOutcome {
        let wall = self.began.elapsed();
        let outcome = fs::read(&self.outcome)
            .ok()
            .and_then(|json| serde_json::from_slice::<SeedOutcome>(&json).ok());
        outcome.unwrap_or_else(|| {
            let reason = if wall > limit {
                format!("did not end within {} s of real time", limit.as_secs())
            } else {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let last = log.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no output");
                format!("the process died: {last}")
            };
            crashed(&self.identity, reason, wall.as_secs_f64())
        })
    }
}

/// The outcome of a run that left none behind.
pub(super) fn crashed(identity: &Identity, finding: String, wall_s: f64) -> SeedOutcome {
    SeedOutcome {
        seed: identity.seed,
        verdict: Verdict::Crashed,
        finding,
        failed: Vec::new(),
        sent: 0,
        exits: ExitCounts::default(),
        fingerprint: String::new(),
        reached: String::new(),
        virtual_s: 0.0,
        wall_s,
        reproduce: identity.reproduce(),
    }
}
