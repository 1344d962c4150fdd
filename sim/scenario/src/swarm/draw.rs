//! Draws the values that a swarm leaves to the seed.

use std::time::Duration;

use rand::{Rng, RngExt};
use toml::{Table, Value};

use super::super::{
    Problem, Step,
    expand::stream,
    units::{Bandwidth, Rate, Size, TimeSpan},
};

/// One of these, each with the same chance.
const ONE_OF: &str = "one_of";
/// Between these two.
const RANGE: &str = "range";
/// A table or value that is there in so many of the scenarios.
const CHANCE: &str = "chance";

/// The draws of one scenario. Each value has a stream of its own, so that a change to one place of
/// the file leaves what is drawn elsewhere as it was.
pub(super) struct Draw {
    seed: u64,
    attempt: u32,
    phase: Option<u32>,
    knobs: Vec<String>,
}

type Drawn<T> = Result<Option<T>, Problem>;

impl Draw {
    pub(super) fn new(seed: u64, attempt: u32) -> Self {
        Self { seed, attempt, phase: None, knobs: Vec::new() }
    }

    /// What was drawn, a line each.
    pub(super) fn into_knobs(self) -> Vec<String> {
        self.knobs
    }

    /// From now on draws are those of this phase, and not told: the faults they make tell of them.
    pub(super) fn enter(&mut self, phase: u32) {
        self.phase = Some(phase);
    }

    /// The table with every value drawn; none if its chance decides against it.
    pub(super) fn table(&mut self, table: &Table, path: &mut Vec<Step>) -> Drawn<Table> {
        if !self.is_there(table, path)? {
            return Ok(None);
        }
        let mut drawn = Table::new();
        for (key, value) in table.iter().filter(|(key, _)| *key != CHANCE) {
            path.push(Step::Key(key.clone()));
            if let Some(value) = self.value(value, path)? {
                drawn.insert(key.clone(), value);
            }
            path.pop();
        }
        Ok(Some(drawn))
    }

    /// The value, drawn if it is left to the seed; none if it is left out.
    pub(super) fn value(&mut self, value: &Value, path: &mut Vec<Step>) -> Drawn<Value> {
        match value {
            Value::Table(table) => match (table.get(ONE_OF), table.get(RANGE)) {
                (None, None) => Ok(self.table(table, path)?.map(Value::Table)),
                (given, range) => {
                    if let Some(key) =
                        table.keys().find(|key| ![ONE_OF, RANGE, CHANCE].contains(&key.as_str()))
                    {
                        return refuse(path, format!("`{key}` beside a value that is drawn"));
                    }
                    if !self.is_there(table, path)? {
                        return Ok(None);
                    }
                    let drawn = match (given, range) {
                        (Some(given), None) => self.one_of(given, path)?,
                        (None, Some(range)) => Some(self.range(range, path)?),
                        _ => return refuse(path, "either `one_of` or `range`"),
                    };
                    if let Some(drawn) = &drawn {
                        self.tell(path, &drawn.to_string());
                    }
                    Ok(drawn)
                }
            },
            Value::Array(values) => {
                let mut drawn = Vec::new();
                for (index, value) in values.iter().enumerate() {
                    path.push(Step::Index(index));
                    drawn.extend(self.value(value, path)?);
                    path.pop();
                }
                Ok(Some(Value::Array(drawn)))
            }
            plain => Ok(Some(plain.clone())),
        }
    }

    /// Whether a table with a chance is there.
    fn is_there(&mut self, table: &Table, path: &[Step]) -> Result<bool, Problem> {
        let Some(chance) = table.get(CHANCE) else { return Ok(true) };
        let Some(chance) = number(chance).filter(|chance| (0.0..=1.0).contains(chance)) else {
            return refuse(path, "`chance` is a share from 0 to 1");
        };
        let there = self.stream("chance", path).random_bool(chance);
        if !there {
            self.tell(path, "left out");
        } else if !table.contains_key(ONE_OF) && !table.contains_key(RANGE) {
            self.tell(path, "there");
        }
        Ok(there)
    }

    fn one_of(&mut self, values: &Value, path: &mut Vec<Step>) -> Drawn<Value> {
        let Some(values) = values.as_array().filter(|values| !values.is_empty()) else {
            return refuse(path, "`one_of` is a list of what may stand here");
        };
        let chosen = self.stream(ONE_OF, path).random_range(0..values.len());
        self.value(&values[chosen], path)
    }

    fn range(&mut self, ends: &Value, path: &[Step]) -> Result<Value, Problem> {
        let Some([least, most]) = ends.as_array().map(Vec::as_slice) else {
            return refuse(path, "`range` is a pair, the smaller end first");
        };
        let mut random = self.stream(RANGE, path);
        let drawn = match (least, most) {
            (Value::Integer(least), Value::Integer(most)) => integer(*least, *most, &mut random),
            (Value::String(least), Value::String(most)) => quantity(least, most, &mut random),
            _ => match (number(least), number(most)) {
                (Some(least), Some(most)) => {
                    spread(least, most, &mut random).map(|it| Value::Float(digits(it)))
                }
                _ => None,
            },
        };
        drawn.map_or_else(
            || {
                let reason = format!(
                    "`range` is a pair of numbers, times, sizes, rates or bandwidths, none below 0 \
                     and the smaller end first, and not {least} and {most}"
                );
                refuse(path, reason)
            },
            Ok,
        )
    }

    fn stream(&self, purpose: &str, path: &[Step]) -> impl Rng + use<> {
        let Self { seed, attempt, phase, .. } = self;
        stream(*seed, &format!("swarm {attempt} {phase:?} {purpose} {}", label(path)))
    }

    fn tell(&mut self, path: &[Step], what: &str) {
        if self.phase.is_none() {
            self.knobs.push(format!("{} = {what}", label(path)));
        }
    }
}

fn refuse<T>(path: &[Step], reason: impl Into<String>) -> Result<T, Problem> {
    Err(Problem { path: path.to_vec(), reason: reason.into() })
}

/// A path as it is told: `workload.1.rate`, counted from 1.
fn label(path: &[Step]) -> String {
    let steps = path.iter().map(|step| match step {
        Step::Key(key) => key.clone(),
        Step::Index(index) => (index + 1).to_string(),
    });
    steps.collect::<Vec<_>>().join(".")
}

fn number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|it| it as f64))
}

/// A number between two, evenly on a logarithmic scale: what a knob does depends on its magnitude.
/// Evenly where the scale would begin at zero.
fn spread(least: f64, most: f64, random: &mut impl Rng) -> Option<f64> {
    if !(0.0 <= least && least <= most && most.is_finite()) {
        return None;
    }
    let share = random.random::<f64>();
    let drawn = if least > 0.0 {
        least * (most / least).powf(share)
    } else {
        least + (most - least) * share
    };
    Some(drawn.clamp(least, most))
}

/// The same of whole numbers, both ends included.
fn integer(least: i64, most: i64, random: &mut impl Rng) -> Option<Value> {
    let drawn = spread(least as f64, (most.checked_add(1)?) as f64, random)?;
    (least <= most).then(|| Value::Integer((drawn.floor() as i64).clamp(least, most)))
}

/// The same of quantities with their units.
fn quantity(least: &str, most: &str, random: &mut impl Rng) -> Option<Value> {
    let text = if let (Ok(least), Ok(most)) = (least.parse::<TimeSpan>(), most.parse::<TimeSpan>())
    {
        let drawn = spread(least.0.as_secs_f64(), most.0.as_secs_f64(), random)?;
        let drawn = Duration::from_secs_f64(drawn);
        // In whole numbers, which the nodes' configuration reads, too.
        match drawn.as_millis() {
            0..10 => format!("{}us", drawn.as_micros()),
            millis => format!("{millis}ms"),
        }
    } else if let (Ok(least), Ok(most)) = (least.parse::<Size>(), most.parse::<Size>()) {
        format!("{}B", spread(least.bytes as f64, most.bytes as f64, random)?.round())
    } else if let (Ok(least), Ok(most)) = (least.parse::<Rate>(), most.parse::<Rate>()) {
        format!("{}/s", digits(spread(least.per_second, most.per_second, random)?))
    } else {
        let (least, most): (Bandwidth, Bandwidth) = (least.parse().ok()?, most.parse().ok()?);
        format!("{}bit/s", spread(least.bits as f64, most.bits as f64, random)?.round())
    };
    Some(Value::String(text))
}

/// Rounded to three digits, so that it reads well.
fn digits(value: f64) -> f64 {
    format!("{value:.2e}").parse().expect("a number reads back")
}
