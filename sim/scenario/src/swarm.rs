//! Swarms: scenario files that leave values to the seed, so that each seed is another scenario.
//!
//! A swarm says where a value is drawn from instead of the value: `{ one_of = [3, 5] }`, `{ range =
//! ["10ms", "2s"] }`; and a table that says `chance = 0.3` is there in so many of the scenarios. Its
//! table `[swarm]` divides the run into phases and gives the faults that each phase draws anew,
//! behind a quiet time, so that the mix shifts. What is drawn is a scenario like any other, without
//! a trace of the swarm: it can be saved, edited and run, and runs alike.

mod draw;
mod phases;

use toml::{Table, Value};

use super::{Problem, Scenario, ScenarioError, Step, locate, position};

use draw::Draw;
use phases::Phases;

/// What a draw may contradict itself in (five replicas on three nodes) is drawn again, so often.
const ATTEMPTS: u32 = 200;

/// What a file holds: a scenario, or a swarm of them.
#[derive(Clone, Debug)]
pub enum Source {
    /// The same scenario for every seed.
    Scenario(Scenario),
    /// Another scenario for every seed.
    Swarm(Swarm),
}

/// A scenario file with values left to the seed. See the module.
#[derive(Clone, Debug)]
pub struct Swarm {
    recipe: Recipe,
    /// What it draws by its default seed: name, question and default seed are the same for all.
    sample: Scenario,
}

/// What a swarm file says.
#[derive(Clone, Debug)]
struct Recipe {
    file: String,
    text: String,
    /// All but `[swarm]`.
    table: Table,
    phases: Phases,
}

/// One scenario of a swarm.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// A scenario in which nothing tells of the swarm; its faults still draw their times and nodes.
    pub scenario: Scenario,
    /// What each value left to the seed became, a line each; none for a plain scenario.
    pub knobs: Vec<String>,
}

impl Source {
    /// Reads the text of a file. `file` names it in errors.
    ///
    /// # Errors
    ///
    /// What is wrong with it and where. A swarm is tried with its default seed.
    pub fn load(file: &str, text: &str) -> Result<Self, ScenarioError> {
        match text.parse::<Table>() {
            Ok(table) if table.contains_key("swarm") => {
                Swarm::load(file, text, table).map(Source::Swarm)
            }
            // What is no TOML at all is told by the strict reader.
            _ => Scenario::load(file, text).map(Source::Scenario),
        }
    }

    /// The scenario, or what all scenarios of the swarm have in common: name, question, and the
    /// seed when the command line names none.
    pub fn common(&self) -> &Scenario {
        match self {
            Source::Scenario(scenario) => scenario,
            Source::Swarm(swarm) => &swarm.sample,
        }
    }

    /// Names what the file says, whatever its comments, order of keys and default seed: 16
    /// hexadecimal digits.
    pub fn hash(&self) -> String {
        match self {
            Source::Scenario(scenario) => scenario.hash(),
            Source::Swarm(swarm) => swarm.recipe.hash(),
        }
    }

    /// The scenario that this seed draws.
    ///
    /// # Errors
    ///
    /// What is wrong with every scenario that the seed could draw.
    pub fn drawn(&self, seed: u64) -> Result<Drawn, ScenarioError> {
        match self {
            Source::Scenario(scenario) => {
                Ok(Drawn { scenario: scenario.clone(), knobs: Vec::new() })
            }
            Source::Swarm(swarm) => swarm.recipe.drawn(seed),
        }
    }
}

impl Swarm {
    fn load(file: &str, text: &str, mut table: Table) -> Result<Self, ScenarioError> {
        let refuse =
            |problem: Problem| locate(file, text, position(text, &problem.path), problem.reason);
        let swarm = table.remove("swarm").expect("it is a swarm by this table");
        let phases = Phases::read(swarm).map_err(refuse)?;
        for key in ["name", "about", "seed", "duration"] {
            if table.get(key).is_some_and(Value::is_table) {
                let reason = format!("`{key}` is the same for all scenarios of a swarm");
                return Err(refuse(Problem { path: vec![Step::Key(key.into())], reason }));
            }
        }
        let seed = table.get("seed").and_then(Value::as_integer).unwrap_or(0);
        let recipe = Recipe { file: file.to_owned(), text: text.to_owned(), table, phases };
        let sample = recipe.drawn(seed.cast_unsigned())?.scenario;
        Ok(Self { recipe, sample })
    }
}

impl Recipe {
    /// The first scenario that is possible, of those that the seed draws one after the other.
    fn drawn(&self, seed: u64) -> Result<Drawn, ScenarioError> {
        let mut refused = None;
        for attempt in 0..ATTEMPTS {
            let mut draw = Draw::new(seed, attempt);
            let table = self.draw(&mut draw).map_err(|problem| {
                locate(&self.file, &self.text, position(&self.text, &problem.path), problem.reason)
            })?;
            let text = toml::to_string(&table).expect("what was read can be written");
            let name = format!("{}, as seed {seed} draws it", self.file);
            let scenario: Scenario = toml::from_str(&text).map_err(|error| {
                let at = error.span().map_or(0, |span| span.start);
                locate(&name, &text, at, error.message().trim().to_owned())
            })?;
            match scenario.validate() {
                Ok(()) => return Ok(Drawn { scenario, knobs: draw.into_knobs() }),
                Err(problem) => {
                    let at = position(&text, &problem.path);
                    refused = Some(locate(&name, &text, at, problem.reason));
                }
            }
        }
        let mut error = refused.expect("there was an attempt");
        error.reason.push_str(&format!("; {ATTEMPTS} draws were made, and none is possible"));
        Err(error)
    }

    fn draw(&self, draw: &mut Draw) -> Result<Table, Problem> {
        let mut table = draw.table(&self.table, &mut Vec::new())?.unwrap_or_default();
        let faults = self.phases.faults(draw, &table)?;
        let all = table.entry("fault").or_insert_with(|| Value::Array(Vec::new()));
        // If it is no array, the strict reader says so.
        if let Value::Array(all) = all {
            all.extend(faults.into_iter().map(Value::Table));
        }
        Ok(table)
    }

    fn hash(&self) -> String {
        let mut table = self.table.clone();
        table.remove("seed");
        let canonical = format!("{table}\n{:?}", self.phases);
        blake3::hash(canonical.as_bytes()).to_hex()[..16].to_owned()
    }
}

#[cfg(test)]
mod tests;
