//! The phases of a swarm: parts of the run with a mix of faults each, and quiet before each.

use std::time::Duration;

use toml::{Table, Value};

use super::{
    super::{Problem, Step, units::TimeSpan},
    Draw,
};

/// The most phases of a run.
const MOST: i64 = 50;

/// Kinds of faults that have no length.
const AT_ONCE: [&str; 2] = ["clock_jump", "reconnect_storm"];

/// `[swarm]`: into how many phases a run is divided, and what may go wrong in each.
#[derive(Clone, Debug)]
pub(super) struct Phases {
    /// Default 1.
    count: Value,
    /// How long nothing is wrong at the beginning of each; default not at all.
    quiet: Value,
    /// Drawn anew for each phase.
    faults: Vec<Value>,
}

impl Phases {
    /// Reads the table.
    pub(super) fn read(swarm: Value) -> Result<Self, Problem> {
        let mut phases = Self {
            count: Value::Integer(1),
            quiet: Value::String("0s".into()),
            faults: Vec::new(),
        };
        let Value::Table(table) = swarm else {
            return refuse(&[], "`swarm` is a table, even if an empty one: `[swarm]`");
        };
        for (key, value) in table {
            match (key.as_str(), value) {
                ("phases", value) => phases.count = value,
                ("quiet", value) => phases.quiet = value,
                ("fault", Value::Array(faults)) if faults.iter().all(Value::is_table) => {
                    for (index, fault) in faults.iter().enumerate() {
                        let fault = fault.as_table().expect("all are tables");
                        check(fault, &[path("fault"), vec![Step::Index(index)]].concat())?;
                    }
                    phases.faults = faults;
                }
                ("fault", _) => return refuse(&["fault"], "faults are tables: `[[swarm.fault]]`"),
                (other, _) => {
                    let reason = format!("unknown key `{other}`; `phases`, `quiet` and `fault`");
                    return refuse(&[other], reason);
                }
            }
        }
        Ok(phases)
    }

    /// The faults of all phases of a scenario whose other tables are drawn already.
    pub(super) fn faults(&self, draw: &mut Draw, scenario: &Table) -> Result<Vec<Table>, Problem> {
        let duration = scenario.get("duration").and_then(time);
        // Its absence, or what else is wrong with it, the strict reader tells.
        let Some(duration) = duration else { return Ok(Vec::new()) };
        let count = draw.value(&self.count, &mut path("phases"))?;
        let Some(count @ 1..=MOST) = count.and_then(|count| count.as_integer()) else {
            return refuse(&["phases"], format!("a run has 1 to {MOST} phases"));
        };
        let quiet = draw.value(&self.quiet, &mut path("quiet"))?;
        let Some(quiet) = quiet.as_ref().and_then(time) else {
            return refuse(&["quiet"], "how long it is quiet: a time such as \"2s\"");
        };
        let length = duration / count as u32;
        let Some(room) = length.checked_sub(quiet).filter(|room| room.as_millis() > 10) else {
            let reason = format!(
                "{} of quiet leave nothing of a phase of {}",
                TimeSpan(quiet),
                TimeSpan(length)
            );
            return refuse(&["quiet"], reason);
        };
        let mut faults = Vec::new();
        for phase in 0..count as u32 {
            draw.enter(phase);
            let begin = length * phase + quiet;
            for (index, fault) in self.faults.iter().enumerate() {
                let mut path = path("fault");
                path.push(Step::Index(index));
                if let Some(Value::Table(fault)) = draw.value(fault, &mut path)? {
                    faults.push(place(fault, begin, room));
                }
            }
        }
        Ok(faults)
    }
}

/// Refuses a fault that says itself when it comes, or does not say how long it goes on.
fn check(fault: &Table, path: &[Step]) -> Result<(), Problem> {
    let refuse = |reason: &str| Err(Problem { path: path.to_vec(), reason: reason.into() });
    if fault.contains_key("at") || fault.contains_key("between") {
        return refuse("a fault of a phase comes when the phase does: it has no `at` or `between`");
    }
    let is_at_once = AT_ONCE.iter().any(|kind| fault.contains_key(*kind));
    if length(&mut fault.clone()).is_none() && !is_at_once {
        return refuse(
            "say by `lasts` or `back_after` how long this goes on, so that it ends with its phase",
        );
    }
    Ok(())
}

/// What a fault says of how long it goes on.
fn length(fault: &mut Table) -> Option<&mut Value> {
    if fault.contains_key("lasts") {
        return fault.get_mut("lasts");
    }
    fault.iter_mut().find_map(|(_, kind)| kind.get_mut("back_after"))
}

/// The fault between the quiet of its phase and the phase's end, by which it is over, too.
fn place(mut fault: Table, begin: Duration, room: Duration) -> Table {
    let longest = length(&mut fault).map_or(Duration::ZERO, |length| cut(length, room / 2));
    let latest = begin + room - longest;
    if fault.get("every").and_then(time).is_some_and(|every| begin + every > latest) {
        fault.remove("every");
    }
    let between = [begin, latest].map(|at| Value::String(in_millis(at)));
    fault.insert("between".into(), Value::Array(between.into()));
    fault
}

/// Cuts a length of time, or a pair of them, to at most so much. Returns the longest it may be.
fn cut(length: &mut Value, most: Duration) -> Duration {
    match length {
        Value::Array(pair) => pair.iter_mut().map(|it| cut(it, most)).max().unwrap_or_default(),
        // What is no time the strict reader refuses.
        one => match time(one) {
            Some(span) if span <= most => span,
            Some(_) => {
                *one = Value::String(in_millis(most));
                most
            }
            None => Duration::ZERO,
        },
    }
}

fn time(value: &Value) -> Option<Duration> {
    value.as_str()?.parse().ok().map(|span: TimeSpan| span.0)
}

fn in_millis(at: Duration) -> String {
    format!("{}ms", at.as_millis())
}

fn path(key: &str) -> Vec<Step> {
    vec![Step::Key("swarm".into()), Step::Key(key.into())]
}

fn refuse<T>(keys: &[&str], reason: impl Into<String>) -> Result<T, Problem> {
    let keys = std::iter::once(&"swarm").chain(keys);
    let path = keys.map(|key| Step::Key((*key).to_owned())).collect();
    Err(Problem { path, reason: reason.into() })
}
