//! Which places of the program under test the runs of a sweep came by.

use std::collections::BTreeSet;

use super::result::{CoveragePoint, ScenarioSweep, SeedOutcome, SweepResult};

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
    /// The numbers of the points that the run came by, in order. What is no hexadecimal number names none.
    pub fn points(&self) -> impl Iterator<Item = usize> {
        let digits = self.reached.chars().rev().map(|digit| digit.to_digit(16).unwrap_or(0));
        digits.enumerate().flat_map(|(place, digit)| {
            (0..4).filter(move |bit| digit >> bit & 1 == 1).map(move |bit| 4 * place + bit)
        })
    }

    /// Points, given by their numbers, as [`SeedOutcome::reached`] has them.
    pub fn points_as_text(points: impl IntoIterator<Item = usize>) -> String {
        let mut digits: Vec<u32> = Vec::new();
        for point in points {
            digits.resize(digits.len().max(point / 4 + 1), 0);
            digits[point / 4] |= 1 << (point % 4);
        }
        let digit = |it: &u32| char::from_digit(*it, 16).expect("four bits");
        digits.iter().rev().map(digit).collect()
    }
}

impl SweepResult {
    /// Every point, the least reached first.
    pub fn coverage(&self) -> Vec<Coverage<'_>> {
        let nowhere = |point| Coverage { point, runs: 0, scenarios: Vec::new() };
        let mut all: Vec<Coverage<'_>> = self.points.iter().map(nowhere).collect();
        for scenario in &self.scenarios {
            let mut runs = vec![0; all.len()];
            for point in scenario.runs.iter().flat_map(SeedOutcome::points) {
                if let Some(runs) = runs.get_mut(point) {
                    *runs += 1;
                }
            }
            for (coverage, runs) in all.iter_mut().zip(runs).filter(|(_, runs)| *runs > 0) {
                coverage.runs += runs;
                let share = runs as f64 / scenario.runs.len() as f64;
                coverage.scenarios.push((scenario.scenario.as_str(), share));
            }
        }
        for coverage in &mut all {
            coverage.scenarios.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        }
        all.sort_by_key(|coverage| coverage.runs);
        all
    }

    /// For each scenario the points that runs of no other came by. Empty where there is only one.
    pub fn only_reached(&self) -> Vec<Vec<&CoveragePoint>> {
        let of = |scenario: &ScenarioSweep| -> BTreeSet<usize> {
            scenario.runs.iter().flat_map(SeedOutcome::points).collect()
        };
        let all: Vec<BTreeSet<usize>> = self.scenarios.iter().map(of).collect();
        let is_elsewhere = |number: usize, point: &usize| {
            all.iter().enumerate().any(|(it, points)| it != number && points.contains(point))
        };
        let only = all.iter().enumerate().map(|(number, points)| {
            let only = points.iter().filter(|point| all.len() > 1 && !is_elsewhere(number, point));
            only.filter_map(|point| self.points.get(*point)).collect()
        });
        only.collect()
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
    fn points_are_the_bits_of_a_number_of_any_length() {
        let mut sweep = sweep_of(&[(1, Verdict::Passed)]);
        let run = &mut sweep.scenarios[0].runs[0];
        let points = [0, 3, 64, 127, 128, 200];
        run.reached = SeedOutcome::points_as_text(points);
        let text = format!("1{:0>18}{:032x}", 1, 1u128 << 127 | 1 << 64 | 9);
        assert_eq!(run.reached, text);
        assert!(run.points().eq(points));
        run.reached = SeedOutcome::points_as_text([]);
        assert_eq!(run.points().count(), 0);
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
