//! In which order the runs of a sweep are made: all of them in the end, those that promise the most
//! first.
//!
//! Every scenario is run once. From then on each gets time in proportion to what its runs are worth:
//! a place of the program that a run comes by is worth the more, the fewer runs of the whole sweep
//! come by it. So what is cheap and what goes where nobody else does comes early, and a sweep that
//! stops at its first failure, or is broken off, has not spent its time on what every run shows.
//! What is run, and with which seeds, does not depend on it.

use std::collections::VecDeque;

use paceline_reached::Point;

/// Places of the program that are told apart.
const POINTS: usize = Point::ALL.len();

/// The runs that are still to be made, by scenario.
pub struct Queue<T> {
    scenarios: Vec<Waiting<T>>,
    /// Runs that have ended, and how many of them came by each place.
    ended: u32,
    reached: [u32; POINTS],
}

struct Waiting<T> {
    jobs: VecDeque<T>,
    begun: u32,
    ended: u32,
    wall_s: f64,
    reached: [u32; POINTS],
}

impl<T> Queue<T> {
    /// The jobs of each scenario, in the order of their seeds.
    pub fn new(scenarios: Vec<VecDeque<T>>) -> Self {
        let waiting =
            |jobs| Waiting { jobs, begun: 0, ended: 0, wall_s: 0.0, reached: [0; POINTS] };
        Self {
            scenarios: scenarios.into_iter().map(waiting).collect(),
            ended: 0,
            reached: [0; POINTS],
        }
    }

    /// How many are left.
    pub fn len(&self) -> usize {
        self.scenarios.iter().map(|scenario| scenario.jobs.len()).sum()
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops what is left.
    pub fn clear(&mut self) {
        self.scenarios.iter_mut().for_each(|scenario| scenario.jobs.clear());
    }

    /// The next job: of the scenario that has had the least time for what it is worth, of several the
    /// first.
    pub fn take(&mut self) -> Option<T> {
        let left = (0..self.scenarios.len()).filter(|&it| !self.scenarios[it].jobs.is_empty());
        let next = left.min_by(|&one, &other| self.had(one).total_cmp(&self.had(other)))?;
        let scenario = &mut self.scenarios[next];
        scenario.begun += 1;
        scenario.jobs.pop_front()
    }

    /// A run has ended after so long, and came by these places, by their numbers.
    pub fn ended(
        &mut self,
        scenario: usize,
        wall_s: f64,
        reached: impl IntoIterator<Item = usize>,
    ) {
        let scenario = &mut self.scenarios[scenario];
        self.ended += 1;
        scenario.ended += 1;
        scenario.wall_s += wall_s;
        for point in reached.into_iter().filter(|point| *point < POINTS) {
            self.reached[point] += 1;
            scenario.reached[point] += 1;
        }
    }

    /// The time that a scenario has had for what it is worth. A run under way counts as one that has
    /// ended.
    fn had(&self, scenario: usize) -> f64 {
        let it = &self.scenarios[scenario];
        if it.ended == 0 {
            // Nobody knows what it costs: once is enough before the others were.
            return if it.begun == 0 { 0.0 } else { f64::INFINITY };
        }
        let cost = it.wall_s / f64::from(it.ended);
        f64::from(it.begun) * cost / self.worth(it)
    }

    /// Of its average run: each place that it came by counts as often as the sweep has runs for one
    /// that came by there.
    fn worth(&self, scenario: &Waiting<T>) -> f64 {
        let points = scenario.reached.iter().zip(&self.reached).filter(|(here, _)| **here > 0);
        let worth: f64 = points
            .map(|(here, all)| f64::from(*here) * f64::from(self.ended) / f64::from(*all))
            .sum();
        // Runs that died before they could tell are worth something too.
        (worth / f64::from(scenario.ended)).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The scenarios in the order in which they are run, one at a time, each with its cost and what
    /// it reaches.
    fn order(scenarios: &[(f64, &[usize])], seeds: usize) -> Vec<usize> {
        let jobs = (0..scenarios.len()).map(|it| vec![it; seeds].into()).collect();
        let mut queue = Queue::new(jobs);
        let mut order = Vec::new();
        while let Some(scenario) = queue.take() {
            let (cost, reached) = scenarios[scenario];
            queue.ended(scenario, cost, reached.iter().copied());
            order.push(scenario);
        }
        assert!(queue.is_empty());
        order
    }

    fn place(order: &[usize], scenario: usize, run: usize) -> usize {
        let places = order.iter().enumerate().filter(|(_, it)| **it == scenario);
        places.map(|(place, _)| place).nth(run).unwrap()
    }

    #[test]
    fn all_runs_are_made_and_every_scenario_comes_first_once() {
        let order = order(&[(9.0, &[0]), (1.0, &[0]), (3.0, &[])], 7);
        assert_eq!(order[..3], [0, 1, 2]);
        for scenario in 0..3 {
            assert_eq!(order.iter().filter(|it| **it == scenario).count(), 7);
        }
    }

    #[test]
    fn of_two_that_show_the_same_the_shorter_comes_earlier() {
        let order = order(&[(10.0, &[0, 1]), (1.0, &[0, 1])], 20);
        assert!(place(&order, 1, 9) < place(&order, 0, 1), "{order:?}");
    }

    #[test]
    fn of_two_that_cost_the_same_the_one_that_goes_where_few_go_comes_earlier() {
        let common: &[usize] = &[0, 1, 2];
        let scenarios = [(1.0, common), (1.0, common), (1.0, common), (1.0, &[0, 1, 2, 3])];
        let order = order(&scenarios, 20);
        for common in 0..3 {
            assert!(place(&order, 3, 19) < place(&order, common, 19), "{order:?}");
        }
        assert!(place(&order, 0, 1) < place(&order, 3, 19), "nobody is left behind: {order:?}");
    }

    #[test]
    fn a_scenario_is_not_begun_twice_before_anybody_knows_what_it_costs() {
        let mut queue = Queue::new(vec![vec![0; 3].into(), vec![1; 3].into()]);
        assert_eq!((queue.take(), queue.take()), (Some(0), Some(1)));
        queue.ended(1, 5.0, [0]);
        assert_eq!(queue.take(), Some(1));
        assert_eq!(queue.len(), 3);
    }
}
