//! Which places of the program under test the runs of a sweep came by.

use super::result::{CoveragePoint, SeedOutcome, SweepResult};

/// How often a point was reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage<'a> {
    /// Which.
    pub point: &'a CoveragePoint,
    /// In so many runs.
    pub runs: usize,
    /// The scenarios in which it was, with the share of their runs, the largest share first.
    pub scenarios: Vec<(&'a str, f64)>,
}

impl SeedOutcome {
    /// The points that the run came by, a bit for each.
    pub fn points(&self) -> u128 {
        u128::from_str_radix(&self.reached, 16).unwrap_or(0)
    }

    /// Whether the run came by the point with this number.
    pub fn has_reached(&self, number: usize) -> bool {
        number < 128 && self.points() >> number & 1 == 1
    }
}

impl SweepResult {
    /// Every point, the least reached first.
    pub fn coverage(&self) -> Vec<Coverage<'_>> {
        let mut all: Vec<_> = self
            .points
            .iter()
            .enumerate()
            .map(|(number, point)| {
                let mut runs = 0;
                let mut scenarios = Vec::new();
                for scenario in &self.scenarios {
                    let reached = scenario.runs.iter().filter(|run| run.has_reached(number));
                    let reached = reached.count();
                    runs += reached;
                    if reached > 0 {
                        let share = reached as f64 / scenario.runs.len() as f64;
                        scenarios.push((scenario.scenario.as_str(), share));
                    }
                }
                scenarios.sort_by(|(_, one), (_, other)| other.total_cmp(one));
                Coverage { point, runs, scenarios }
            })
            .collect();
        all.sort_by_key(|coverage| coverage.runs);
        all
    }

    /// For each scenario the points that runs of no other came by. Empty where there is only one.
    pub fn only_reached(&self) -> Vec<Vec<&CoveragePoint>> {
        let all: Vec<u128> = self
            .scenarios
            .iter()
            .map(|scenario| scenario.runs.iter().fold(0, |all, run| all | run.points()))
            .collect();
        (0..all.len())
            .map(|number| {
                let others = all.iter().enumerate().filter(|(other, _)| *other != number);
                let others = others.fold(0, |others, (_, points)| others | points);
                let only = if all.len() > 1 { all[number] & !others } else { 0 };
                let points = self.points.iter().take(128).enumerate();
                points.filter(|(it, _)| only >> it & 1 == 1).map(|(_, point)| point).collect()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{result::Verdict, sweep::result::tests::sweep_of};

    #[test]
    fn points_are_counted_by_runs_and_the_rarest_comes_first() {
        let mut sweep = sweep_of(&[(1, Verdict::Passed), (2, Verdict::Passed)]);
        let point = |name: &str| CoveragePoint { name: name.into(), about: "it happens".into() };
        sweep.points = vec![point("Always"), point("Never"), point("Once")];
        sweep.scenarios[0].runs[0].reached = "5".into();
        sweep.scenarios[0].runs[1].reached = "1".into();
        let coverage = sweep.coverage();
        let counts: Vec<_> = coverage.iter().map(|it| (it.point.name.as_str(), it.runs)).collect();
        assert_eq!(counts, [("Never", 0), ("Once", 1), ("Always", 2)]);
        assert_eq!(coverage[1].scenarios, [("smoke", 0.5)]);
    }

    #[test]
    fn what_only_one_scenario_reached_is_told_of_it() {
        let mut sweep = sweep_of(&[(1, Verdict::Passed), (2, Verdict::Passed)]);
        let point = |name: &str| CoveragePoint { name: name.into(), about: "it happens".into() };
        sweep.points = vec![point("Both"), point("One"), point("Never"), point("Other")];
        sweep.scenarios[0].runs[0].reached = "1".into();
        sweep.scenarios[0].runs[1].reached = "2".into();
        assert_eq!(sweep.only_reached(), [Vec::<&CoveragePoint>::new()], "there is no other");
        let mut other = sweep.scenarios[0].clone();
        other.runs[1].reached = "8".into();
        sweep.scenarios.push(other);
        let only = sweep.only_reached();
        let names = |number: usize| only[number].iter().map(|it| it.name.as_str());
        assert!(names(0).eq(["One"]) && names(1).eq(["Other"]), "{only:?}");
    }
}
