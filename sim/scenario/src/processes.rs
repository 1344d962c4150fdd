//! What of a scenario processes on one machine cannot carry out. Each is refused with its place in the
//! file, since a fault that turns into another one, or into none, is worse than no run.
//!
//! A simulated world knows what every disk has synced, what every clock shows and what every node says of
//! itself. Processes share this machine's disk, clocks and processors, and TCP between them loses nothing.

use crate::{
    Problem, Scenario, ScenarioError, Step, fault::Kind, format::Disk, locate, position,
    swarm::Source,
};

/// Everything in the scenario that cannot be carried out, in the order of the file's tables.
pub fn refused(scenario: &Scenario) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut refuse = |path: &[Step], reason: String| {
        problems.push(Problem { path: path.to_vec(), reason });
    };
    let cores = crate::format::defaults::cores();
    if scenario.cluster.cores != cores {
        refuse(
            &keys(["cluster", "cores"]),
            "the real world has this machine's processors, and no others".into(),
        );
    }
    if scenario.network.loss.0 > 0.0 {
        refuse(&keys(["network", "loss"]), LOSS.into());
    }
    let (disk, usual) = (&scenario.disk, Disk::default());
    let differs = [
        ("sync", disk.sync != usual.sync),
        ("bandwidth", disk.bandwidth != usual.bandwidth),
        ("capacity", disk.capacity != usual.capacity),
    ];
    for (key, _) in differs.into_iter().filter(|(_, differs)| *differs) {
        refuse(&keys(["disk", key]), "the real world has this machine's disk, and no other".into());
    }
    if !scenario.clock.offset.0.is_zero() {
        refuse(&keys(["clock", "offset"]), CLOCK.into());
    }
    for (index, fault) in scenario.faults.iter().enumerate() {
        let at = |key: &str| [keys(["fault"]), vec![Step::Index(index)], keys([key])].concat();
        if fault.on.is_some() {
            let reason = "processes do not tell of their events, so no fault can wait for one";
            refuse(&at("on"), reason.into());
        }
        for kind in fault.kinds() {
            if let Some(why) = why_not(&kind) {
                let name = kind.name();
                refuse(&at(name), format!("`{name}` is not possible in the real world: {why}"));
            }
        }
    }
    let expect = &scenario.expect;
    for (key, is_there) in [
        ("moves", expect.moves.is_some()),
        ("snapshot_bytes", expect.snapshot_bytes.is_some()),
        ("placement", expect.placement.is_some()),
    ] {
        if is_there {
            let reason = format!(
                "`{key}` cannot be measured in the real world: only events of the nodes tell, and \
                 processes do not say them"
            );
            refuse(&keys(["expect", key]), reason);
        }
    }
    problems
}

impl Source {
    /// What processes cannot carry out of this file, which has this name and text, each with its place.
    pub fn refused_by_processes(&self, file: &str, text: &str) -> Vec<ScenarioError> {
        let problems = match self {
            Source::Scenario(scenario) => refused(scenario),
            Source::Swarm(_) => vec![Problem {
                path: keys(["name"]),
                reason: "a swarm is another scenario with every seed; write one of them out with `cargo sim \
                         expand FILE --seed N`, and run that"
                    .into(),
            }],
        };
        let place = |it: Problem| locate(file, text, position(text, &it.path), it.reason);
        problems.into_iter().map(place).collect()
    }
}

const LOSS: &str =
    "the proxies between processes carry TCP, which loses nothing; `slow_link` is possible";
const CLOCK: &str = "all processes have this machine's clock";
const DISK: &str = "all processes have this machine's disk, which does what it is told";
const JOURNAL: &str = "which records are lost, and when they are there again, only events of the nodes tell, \
                       and processes do not say them";

/// Why a fault of this kind is not possible.
fn why_not(kind: &Kind<'_>) -> Option<&'static str> {
    Some(match kind {
        Kind::PowerCut(_) => {
            "what a process has written the operating system keeps, synced or not; `crash` is possible, \
             and is less"
        }
        Kind::LossyLink(_) => LOSS,
        Kind::SlowDisk(_) | Kind::FullDisk(_) | Kind::FailingDisk(_) => DISK,
        Kind::BitRot(_) | Kind::LostWrite(_) | Kind::MisdirectedWrite(_) | Kind::EmptyDisk(_) => {
            JOURNAL
        }
        Kind::ClockJump(_) | Kind::ClockDrift(_) => CLOCK,
        Kind::Partition(_)
        | Kind::Crash(_)
        | Kind::Stop(_)
        | Kind::Pause(_)
        | Kind::SlowLink(_)
        | Kind::Flap(_)
        | Kind::Flood(_)
        | Kind::ReconnectStorm(_) => return None,
    })
}

fn keys<const N: usize>(keys: [&str; N]) -> Vec<Step> {
    keys.map(|key| Step::Key(key.to_owned())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"name = "refused"
about = "What processes cannot do."
duration = "9s"
[cluster]
nodes = 3
slots = 4
"#;

    /// Line and reason of everything that is refused of a scenario with this at its end.
    fn told(tail: &str) -> Vec<(usize, String)> {
        let text = format!("{HEAD}{tail}");
        let source = Source::load("x.toml", &text).unwrap_or_else(|error| panic!("{error}"));
        let refused = source.refused_by_processes("x.toml", &text);
        refused.into_iter().map(|it| (it.line, it.reason)).collect()
    }

    #[test]
    fn each_kind_of_fault_that_processes_do_not_suffer_is_refused_by_its_name_and_line() {
        for (name, more) in [
            ("power_cut", ""),
            ("lossy_link", ", loss = 0.1"),
            ("slow_disk", ", times = 3"),
            ("full_disk", ""),
            ("failing_disk", ""),
            ("bit_rot", ""),
            ("lost_write", ""),
            ("misdirected_write", ""),
            ("empty_disk", ""),
            ("clock_jump", ", by = \"1s\""),
            ("clock_drift", ", ppm = 100"),
        ] {
            let has_length = more.contains("loss") || name.contains("disk") && name != "empty_disk";
            let lasts = if has_length || name == "clock_drift" { "lasts = \"1s\"\n" } else { "" };
            let fault =
                format!("[[fault]]\nat = \"1s\"\n{lasts}{name} = {{ node = \"n1\"{more} }}\n");
            let crash = "[[fault]]\nat = \"1s\"\ncrash = { node = \"n2\" }\n";
            let told = told(&format!("{crash}{fault}"));
            let [(line, reason)] = told.as_slice() else { panic!("{name}: {told:?}") };
            let there = format!("{HEAD}{crash}{fault}");
            assert!(there.lines().nth(line - 1).unwrap().starts_with(name), "{name}: line {line}");
            assert!(reason.starts_with(&format!("`{name}` is not possible")), "{reason}");
        }
    }

    #[test]
    fn what_processes_suffer_is_not_refused() {
        for fault in [
            "crash = { any = 1, back_after = \"1s\" }",
            "stop = { leader_of = 2, back_after = \"1s\" }",
            "lasts = \"1s\"\npause = { leaders = 1 }",
            "lasts = \"1s\"\npartition = [[\"n1\"], [\"n2\", \"clients\"]]",
            "lasts = \"1s\"\nflap = { any = 1, down = \"100ms\", up = \"100ms\" }",
            "lasts = \"1s\"\nslow_link = { any = 1, bandwidth = \"1Mbit/s\" }",
            "lasts = \"1s\"\nflood = { all = true }",
            "reconnect_storm = { all = true }",
        ] {
            assert_eq!(told(&format!("[[fault]]\nat = \"1s\"\n{fault}\n")), [], "{fault}");
        }
    }

    #[test]
    fn models_of_machines_and_what_only_events_tell_are_refused() {
        for (table, line) in [
            ("cores = 3\n", 7),
            ("[network]\nloss = 0.01\n", 8),
            ("[disk]\nsync = { min = \"1ms\", mean = \"9ms\", p99 = \"20ms\" }\n", 8),
            ("[disk]\n\ncapacity = \"1GiB\"\n", 9),
            ("[clock]\noffset = \"9ms\"\n", 8),
            ("[expect]\nplacement = \"row\"\n", 8),
            ("[expect]\nsnapshot_bytes = \"< 9\"\n", 8),
            (
                "[[fault]]\non = \"vote\"\nbetween = [\"1s\", \"2s\"]\ncrash = { emitter = true }\n",
                8,
            ),
        ] {
            let told = told(table);
            assert_eq!(told.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [line], "{told:?}");
        }
        assert_eq!(
            told("[network]\nlatency = { min = \"1ms\", mean = \"9ms\", p99 = \"20ms\" }\n"),
            []
        );
    }

    #[test]
    fn everything_is_told_at_once() {
        let told = told("cores = 1\n[[fault]]\nat = \"1s\"\npower_cut = { any = 1 }\n");
        assert_eq!(told.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [7, 10]);
    }
}
