//! What a comparison of placements cannot hold.

use std::collections::BTreeSet;

use super::result::{BalanceCell, CompareResult, Course, MAX_CELLS};
use crate::result::{ReportError, fraction, invalid, optional, quantity};

impl CompareResult {
    /// Refuses numbers that are negative, infinite or NaN, probabilities and shares above 1, and
    /// cells that name a strategy, a hash or a population which is not listed.
    ///
    /// # Errors
    /// [`ReportError::Invalid`] with the path of the first such field.
    pub fn validate(&self) -> Result<(), ReportError> {
        quantity("wall_s", self.wall_s)?;
        let keys = Keys::of(self)?;
        for (i, hash) in self.hashes.iter().enumerate() {
            let path = format!("hashes[{i}]");
            optional(&format!("{path}.ns_per_name"), hash.ns_per_name)?;
            optional(&format!("{path}.collisions.expected"), hash.collisions.map(|c| c.expected))?;
        }
        for (i, population) in self.populations.iter().enumerate() {
            let path = format!("populations[{i}]");
            optional(&format!("{path}.skew"), population.skew)?;
            fraction(&format!("{path}.largest_share"), population.largest_share)?;
        }
        for (i, cell) in self.balance.iter().enumerate() {
            keys.check(&format!("balance[{i}]"), &cell.strategy, &cell.hash, &cell.population)?;
            cell.validate(&format!("balance[{i}]"))?;
        }
        for (i, cell) in self.movement.iter().enumerate() {
            keys.check(&format!("movement[{i}]"), &cell.strategy, &cell.hash, &cell.population)?;
            cell.validate(&format!("movement[{i}]"))?;
        }
        for (i, cell) in self.failovers.iter().enumerate() {
            let path = format!("failovers[{i}]");
            keys.check(&path, &cell.strategy, &cell.hash, &cell.population)?;
            quantity(&format!("{path}.peak"), cell.peak)?;
            quantity(&format!("{path}.bound"), cell.bound)?;
            optional(&format!("{path}.structural"), cell.structural)?;
            optional(&format!("{path}.expected"), cell.expected)?;
            fraction(&format!("{path}.p_value"), cell.p_value.unwrap_or_default())?;
        }
        for (i, cell) in self.restarts.iter().enumerate() {
            let path = format!("restarts[{i}]");
            keys.check(&path, &cell.strategy, &cell.hash, &cell.population)?;
            fraction(&format!("{path}.elsewhere"), cell.elsewhere)?;
        }
        for (i, cell) in self.spilling.iter().enumerate() {
            let path = format!("spilling[{i}]");
            keys.check(&path, &cell.strategy, &cell.hash, &cell.population)?;
            cell.validate(&path)?;
        }
        for (i, cell) in self.cost.iter().enumerate() {
            let path = format!("cost[{i}]");
            keys.check(&path, &cell.strategy, &cell.hash, &self.focus.population)?;
            quantity(&format!("{path}.lookup_ns"), cell.lookup_ns)?;
            quantity(&format!("{path}.bytes"), cell.bytes)?;
            optional(&format!("{path}.dependent_ns"), cell.dependent_ns)?;
            optional(&format!("{path}.build_us"), cell.build_us)?;
            optional(&format!("{path}.update_us"), cell.update_us)?;
        }
        for (i, profile) in self.profiles.iter().enumerate() {
            let path = format!("profiles[{i}]");
            keys.check(&path, &profile.strategy, &profile.hash, &profile.population)?;
            optional(&format!("{path}.expected_cv"), profile.expected_cv)?;
            for (j, &load) in profile.relative_loads.iter().enumerate() {
                quantity(&format!("{path}.relative_loads[{j}]"), load)?;
            }
        }
        for (i, course) in self.courses.iter().enumerate() {
            let path = format!("courses[{i}]");
            keys.check(&path, &course.strategy, &course.hash, &self.focus.population)?;
            course.validate(&path)?;
        }
        for (i, salted) in self.salted.iter().enumerate() {
            let path = format!("salted[{i}]");
            keys.check(&path, &salted.strategy, &salted.hash, &salted.population)?;
            for (j, &p) in salted.p_values.iter().enumerate() {
                fraction(&format!("{path}.p_values[{j}]"), p)?;
            }
        }
        for (i, run) in self.simulated.iter().enumerate() {
            let path = format!("simulated[{i}]");
            keys.check(&path, &run.strategy, &run.hash, &self.focus.population)?;
            run.latency.validate(&format!("{path}.latency"))?;
            for (j, node) in run.nodes.iter().enumerate() {
                let path = format!("{path}.nodes[{j}]");
                fraction(&format!("{path}.predicted_share"), node.predicted_share)?;
                fraction(&format!("{path}.measured_share"), node.measured_share)?;
                if let Some(latency) = &node.latency {
                    latency.validate(&format!("{path}.latency"))?;
                }
            }
        }
        Ok(())
    }
}

impl BalanceCell {
    fn validate(&self, path: &str) -> Result<(), ReportError> {
        for (name, value) in [
            ("peak", self.peak),
            ("least", self.least),
            ("cv", self.cv),
            ("gini", self.gini),
            ("bound", self.bound),
        ] {
            quantity(&format!("{path}.{name}"), value)?;
        }
        for (name, value) in [("peak", self.peak), ("bound", self.bound)] {
            if value < 1.0 - 1e-6 {
                let reason = "the largest of loads relative to their mean cannot be below 1";
                return Err(invalid(&format!("{path}.{name}"), reason));
            }
        }
        if self.nodes == 0 {
            return Err(invalid(&format!("{path}.nodes"), "must be above 0"));
        }
        fraction(&format!("{path}.jain"), self.jain)?;
        optional(&format!("{path}.kl"), self.kl)?;
        if let Some(expected) = self.expected {
            quantity(&format!("{path}.expected.peak"), expected.peak)?;
            quantity(&format!("{path}.expected.cv"), expected.cv)?;
        }
        if let Some(p) = self.p_value {
            fraction(&format!("{path}.p_value"), p)?;
        }
        Ok(())
    }
}

impl Course {
    fn validate(&self, path: &str) -> Result<(), ReportError> {
        for (i, step) in self.steps.iter().enumerate() {
            let path = format!("{path}.steps[{i}]");
            if step.relative_loads.len() != self.nodes.len() {
                let reason =
                    format!("{} loads for {} nodes", step.relative_loads.len(), self.nodes.len());
                return Err(invalid(&format!("{path}.relative_loads"), &reason));
            }
            for (j, &load) in step.relative_loads.iter().enumerate() {
                optional(&format!("{path}.relative_loads[{j}]"), load)?;
            }
            fraction(&format!("{path}.moved"), step.moved)?;
            optional(&format!("{path}.optimal"), step.optimal)?;
        }
        Ok(())
    }
}

/// The names that cells may refer to.
struct Keys<'a> {
    strategies: BTreeSet<&'a str>,
    hashes: BTreeSet<&'a str>,
    populations: BTreeSet<&'a str>,
}

impl<'a> Keys<'a> {
    fn of(result: &'a CompareResult) -> Result<Keys<'a>, ReportError> {
        let lists = [
            ("balance", result.balance.len()),
            ("movement", result.movement.len()),
            ("failovers", result.failovers.len()),
            ("restarts", result.restarts.len()),
            ("spilling", result.spilling.len()),
            ("cost", result.cost.len()),
            ("salted", result.salted.len()),
        ];
        if let Some((name, _)) = lists.iter().find(|(_, length)| *length > MAX_CELLS) {
            return Err(invalid(name, &format!("more than {MAX_CELLS} cells")));
        }
        let unique = |field: &str, names: Vec<&'a str>| {
            let set: BTreeSet<&str> = names.iter().copied().collect();
            match names.len() == set.len() {
                true => Ok(set),
                false => Err(invalid(field, "a name is listed twice")),
            }
        };
        Ok(Keys {
            strategies: unique("strategies", result.strategies.iter().map(|s| &*s.name).collect())?,
            hashes: unique("hashes", result.hashes.iter().map(|h| &*h.name).collect())?,
            populations: unique(
                "populations",
                result.populations.iter().map(|p| &*p.name).collect(),
            )?,
        })
    }

    fn check(
        &self,
        path: &str,
        strategy: &str,
        hash: &str,
        population: &str,
    ) -> Result<(), ReportError> {
        for (field, name, known) in [
            ("strategy", strategy, &self.strategies),
            ("hash", hash, &self.hashes),
            ("population", population, &self.populations),
        ] {
            if !known.contains(name) {
                return Err(invalid(
                    &format!("{path}.{field}"),
                    &format!("{name:?} is not listed"),
                ));
            }
        }
        Ok(())
    }
}
