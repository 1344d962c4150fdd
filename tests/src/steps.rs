//! The steps of the suite: what each runs, and how it is told apart whether it could run.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

/// How a step ended.
pub enum Outcome {
    /// Everything in it holds.
    Passed,
    /// Something does not; the text says what.
    Failed(String),
    /// It could not be tried; the text says why and what to do.
    Skipped(String),
}

/// One step.
pub struct Step {
    /// What `--only` takes.
    pub name: &'static str,
    /// What it checks.
    pub about: &'static str,
    /// Runs it.
    pub run: fn(&Context) -> Outcome,
}

/// All steps, in the order they run.
pub const STEPS: &[Step] = &[
    Step { name: "format", about: "cargo fmt --check", run: format },
    Step { name: "lint", about: "clippy on the native build, warnings denied", run: lint },
    Step {
        name: "lint-sim",
        about: "clippy on the simulated build, warnings denied",
        run: lint_sim,
    },
    Step { name: "docs", about: "rustdoc, warnings denied", run: docs },
    Step { name: "native", about: "all tests on the native build", run: native },
    Step { name: "simulated", about: "the tests that run on the simulated build", run: simulated },
    Step {
        name: "determinism",
        about: "one seed twice, two seeds once: fingerprints",
        run: determinism,
    },
    Step {
        name: "scenarios",
        about: "every shipped scenario over several seeds, which reach every coverage point",
        run: scenarios,
    },
    Step {
        name: "programs",
        about: "the programs of docs/slots.md against the broker's slots",
        run: programs,
    },
    Step { name: "clients", about: "real clients against real processes", run: clients },
];

/// What the steps share.
pub struct Context {
    root: PathBuf,
    seeds: u32,
}

/// The crates whose tests also run on the simulated build; the broker's own use loopback and
/// temporary folders, and run natively.
const SIMULATED: &[&str] = &["paceline-runtime", "paceline-store", "paceline-sim"];

/// For each seed of a plain scenario so many of a swarm.
const SWARM_SEEDS: u32 = 10;
/// The scenarios whose runs are compared by the determinism step.
const DETERMINISM: &[&str] = &[
    "scenarios/smoke.toml",
    "scenarios/faults/partition.toml",
    "scenarios/faults/voted-then-died.toml",
    "scenarios/openwire/mixed-protocols.toml",
    "scenarios/elastic/grow-and-shrink-under-faults.toml",
];

impl Context {
    /// For the workspace this binary was built from.
    pub fn new(seeds: u32) -> Self {
        let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.parent().expect("tests/ lies in the workspace").to_owned();
        Self { root, seeds }
    }

    fn cargo(&self, args: &[&str]) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(&self.root).args(args).stdin(Stdio::null());
        command
    }

    fn sim(&self, args: &[&str]) -> Command {
        let mut command = self.cargo(&["sim"]);
        command.args(args);
        command
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}").replace('"', "");
    let status = command.status().map_err(|e| format!("cannot start {shown}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}

fn outcome(result: Result<(), String>) -> Outcome {
    match result {
        Ok(()) => Outcome::Passed,
        Err(why) => Outcome::Failed(why),
    }
}

fn format(context: &Context) -> Outcome {
    outcome(run(&mut context.cargo(&["fmt", "--all", "--check"])))
}

fn lint(context: &Context) -> Outcome {
    let args = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    outcome(run(&mut context.cargo(&args)))
}

fn lint_sim(context: &Context) -> Outcome {
    let args = [
        "clippy",
        "--config",
        ".cargo/sim.toml",
        "--workspace",
        "--exclude",
        "paceline-tests",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ];
    outcome(run(&mut context.cargo(&args)))
}

fn docs(context: &Context) -> Outcome {
    let mut command = context.cargo(&["doc", "--workspace", "--no-deps", "--quiet"]);
    command.env("RUSTDOCFLAGS", "--deny warnings");
    outcome(run(&mut command))
}

fn native(context: &Context) -> Outcome {
    outcome(run(&mut context.cargo(&["test", "--workspace"])))
}

fn simulated(context: &Context) -> Outcome {
    let mut args = vec!["test", "--config", ".cargo/sim.toml"];
    for package in SIMULATED {
        args.extend(["--package", package]);
    }
    outcome(run(&mut context.cargo(&args)))
}

fn determinism(context: &Context) -> Outcome {
    for scenario in DETERMINISM {
        let check = context.sim(&["run", scenario, "--seed", "1", "--check-determinism"]).status();
        match check {
            Ok(status) if status.success() => {}
            Ok(status) => return Outcome::Failed(format!("{scenario}: {status}")),
            Err(why) => return Outcome::Failed(format!("cannot start the simulator: {why}")),
        }
        let fingerprints: Vec<_> =
            ["1", "2"].map(|seed| fingerprint(context, scenario, seed)).into();
        match (&fingerprints[0], &fingerprints[1]) {
            (Ok(one), Ok(two)) if one == two => {
                return Outcome::Failed(format!("{scenario}: seeds 1 and 2 have one fingerprint"));
            }
            (Err(why), _) | (_, Err(why)) => return Outcome::Failed(why.clone()),
            _ => {}
        }
    }
    Outcome::Passed
}

/// The fingerprint that a run prints.
fn fingerprint(context: &Context, scenario: &str, seed: &str) -> Result<String, String> {
    let output = context
        .sim(&["run", scenario, "--seed", seed])
        .output()
        .map_err(|e| format!("cannot start the simulator: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| line.trim().strip_prefix("fingerprint"))
        .map(|rest| rest.trim_start_matches([' ', ':', '=']).to_owned())
        .ok_or_else(|| format!("{scenario} with seed {seed} printed no fingerprint"))
}

fn scenarios(context: &Context) -> Outcome {
    let plain = [
        "scenarios",
        "scenarios/faults",
        "scenarios/openwire",
        "scenarios/elastic",
        "scenarios/regressions",
    ];
    let plain: Vec<String> = plain.iter().flat_map(|folder| files(context, folder)).collect();
    let swarms = files(context, "scenarios/swarm");
    if plain.is_empty() || swarms.is_empty() {
        return Outcome::Failed("no scenario was found".into());
    }
    // Of a swarm every seed is another scenario, and a short one.
    let seeds = [context.seeds, context.seeds * SWARM_SEEDS].map(|seeds| seeds.to_string());
    let fit = run(&mut context.sim(&["mutants", "--check"]));
    let swept =
        fit.and_then(|()| run(&mut context.sim(&sweep(&plain, &seeds[0], &["--every-point"]))));
    outcome(swept.and_then(|()| run(&mut context.sim(&sweep(&swarms, &seeds[1], &[])))))
}

/// The scenarios in a folder, by name.
fn files(context: &Context, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(context.root.join(folder)).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut files: Vec<String> = names
        .filter(|name| name.ends_with(".toml"))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    files.sort();
    files
}

fn sweep<'a>(files: &'a [String], seeds: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["sweep"];
    args.extend(files.iter().map(String::as_str));
    args.extend(["--seeds", seeds]);
    args.extend(more);
    args
}

fn programs(context: &Context) -> Outcome {
    for tool in ["python3", "javac"] {
        let found = Command::new(tool)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !found.is_ok_and(|status| status.success()) {
            let wanted = "python3 (3.9 or later) and a JDK (17 or later)";
            return Outcome::Skipped(format!("there is no {tool}; install {wanted}"));
        }
    }
    let args = ["test", "--package", "paceline-tests", "--test", "slots", "--", "--ignored"];
    outcome(run(&mut context.cargo(&args)))
}

fn clients(context: &Context) -> Outcome {
    let python = match python(context) {
        Ok(python) => python,
        Err(why) => return Outcome::Skipped(why),
    };
    let jms = match jms(context) {
        Ok(jms) => jms,
        Err(why) => return Outcome::Skipped(why),
    };
    // The build whose assertions are on, and which the native tests have made already.
    if let Err(why) = run(&mut context.cargo(&["build", "--package", "paceline"])) {
        return Outcome::Failed(why);
    }
    let mut command = context.cargo(&["test", "--package", "paceline-tests", "--no-fail-fast"]);
    command.args(["--test", "real_stomp", "--test", "real_openwire"]);
    // Side by side they would take the time from each other in which a leader has to be heard.
    command.args(["--", "--ignored", "--test-threads", "1"]);
    command.env("PACELINE_PYTHON", python);
    command.env("PACELINE_JMS", jms);
    command.env("PACELINE_BIN", context.root.join("target/debug/paceline"));
    outcome(run(&mut command))
}

/// What ActiveMQ's client needs; Debian has it all in `libactivemq-java`.
const JARS: [&str; 6] = [
    "activemq-client",
    "geronimo-jms_1.1_spec",
    "geronimo-j2ee-management-1.1-spec",
    "hawtbuf",
    "slf4j-api",
    "slf4j-nop",
];

/// The class path of the compiled programs of `tests/clients/jms` and of the client they use.
fn jms(context: &Context) -> Result<String, String> {
    let mut path: Vec<PathBuf> =
        JARS.iter().map(|jar| format!("/usr/share/java/{jar}.jar").into()).collect();
    if let Some(missing) = path.iter().find(|jar| !jar.exists()) {
        let missing = missing.display();
        return Err(format!("there is no {missing}; install Debian's libactivemq-java"));
    }
    let classes = context.root.join("target/clients/jms");
    std::fs::create_dir_all(&classes).map_err(|e| e.to_string())?;
    let sources = context.root.join("tests/clients/jms");
    let entries = std::fs::read_dir(&sources).map_err(|e| e.to_string())?;
    let programs = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let programs = programs.filter(|path| path.extension().is_some_and(|it| it == "java"));
    let mut javac = Command::new("javac");
    javac.arg("-d").arg(&classes).arg("-cp").arg(class_path(&path)?).args(programs);
    run(&mut javac).map_err(|e| format!("the JMS programs need a JDK (17 or later): {e}"))?;
    path.push(classes);
    class_path(&path)
}

fn class_path(path: &[PathBuf]) -> Result<String, String> {
    let joined = std::env::join_paths(path).map_err(|e| e.to_string())?;
    joined.into_string().map_err(|path| format!("{} is not UTF-8", path.display()))
}

/// A Python interpreter with the client libraries of `tests/clients/requirements.txt`, set up in
/// a virtual environment under `target/` where it is not there yet.
fn python(context: &Context) -> Result<PathBuf, String> {
    let venv = context.root.join("target/clients");
    let python = venv.join("bin/python");
    let requirements = context.root.join("tests/clients/requirements.txt");
    let wanted = std::fs::read_to_string(&requirements).map_err(|e| e.to_string())?;
    let stamp = venv.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(python);
    }
    let why = "real clients need python3 (3.9 or later) with venv and access to PyPI";
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))
        .map_err(|e| format!("{why}: {e}"))?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--requirement"])
        .arg(&requirements))
    .map_err(|e| format!("{why}: {e}"))?;
    std::fs::write(&stamp, wanted).map_err(|e| e.to_string())?;
    Ok(python)
}
