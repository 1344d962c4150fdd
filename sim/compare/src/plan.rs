//! Works through a comparison: what is measured in which order, on all processors.

use std::{borrow::Cow, panic::AssertUnwindSafe, path::Path, sync::Mutex, time::Instant};

use paceline_placement::{HashFunction, NameHasher, Nodes, SlotCount, StrategyKind};
use paceline_reports::{
    CompareResult,
    compare::{
        BalanceCell, Course, FailoverCell, Focus, HashInfo, LoadProfile, MovementCell,
        Population as PopulationInfo, Refusal, RestartCell, SpillCell, StrategyInfo,
    },
    result::Identity,
};

use super::{
    balance::{self, Chances, Labels},
    cluster::cluster,
    cost::{self, NameList},
    course,
    entry::{Entry, Items, Placed, Setting, default_slots},
    failover,
    format::{Change, Comparison},
    movement,
    population::Population,
    salts, simulate, spill,
};

/// Told what is done and how much is left.
pub trait Progress: Sync {
    /// How many steps there are.
    fn begin(&self, steps: u64);
    /// One step is done, or begins, that is called so.
    fn step(&self, what: &str);
}

/// What one job found.
#[derive(Default)]
struct Found {
    balance: Option<BalanceCell>,
    profile: Option<LoadProfile>,
    movement: Vec<MovementCell>,
    failovers: Vec<FailoverCell>,
    restarts: Vec<RestartCell>,
    courses: Vec<Course>,
    spilling: Option<SpillCell>,
    refusals: Vec<Refusal>,
}

/// The parts that all jobs share.
struct Plan<'a> {
    comparison: &'a Comparison,
    entries: Vec<Entry>,
    hashes: Vec<HashFunction>,
    populations: Vec<Population>,
    chances: Chances,
    progress: &'a dyn Progress,
}

/// Makes the whole comparison.
///
/// Simulated runs leave their scenarios and reports in `directory`.
///
/// # Errors
/// When a file of names cannot be used, or a simulation cannot be started.
pub fn run(
    comparison: &Comparison,
    identity: Identity,
    directory: &Path,
    progress: &dyn Progress,
) -> Result<CompareResult, String> {
    let begun = Instant::now();
    let c = &comparison.compare;
    let populations: Result<Vec<Population>, String> = (c.populations.iter())
        .map(|spec| Population::new(spec, &comparison.folder, comparison.seed))
        .collect();
    let plan = Plan {
        comparison,
        entries: c.strategies.of(&Entry::all()),
        hashes: c.hashes.of(&HashFunction::ALL),
        populations: populations?,
        chances: Chances::default(),
        progress,
    };
    let focus = Focus {
        population: plan.populations[comparison.focus_population()].name.clone(),
        nodes: comparison.focus_nodes() as u64,
    };
    let mut result = CompareResult::new(identity, focus);
    result.strategies = plan.entries.iter().map(|entry| plan.info(*entry)).collect();
    result.populations = plan.populations.iter().map(info).collect();
    if let Some(cluster) = comparison.cluster.as_ref().filter(|c| !plan.hashes.contains(&c.hash)) {
        result.hashes.push(HashInfo { name: cluster.hash.name().to_owned(), ..Default::default() });
    }
    progress.begin(plan.steps());
    for (hash_number, hash) in plan.hashes.iter().enumerate() {
        for (salt_number, salt) in c.salts.iter().enumerate() {
            for number in 0..plan.populations.len() {
                let main = hash_number == 0 && salt_number == 0;
                plan.place(&mut result, *hash, salt, number, main);
            }
        }
    }
    plan.salted(&mut result);
    plan.costs(&mut result);
    plan.simulate(&mut result, directory)?;
    result.wall_s = begun.elapsed().as_secs_f64();
    Ok(result)
}

fn info(population: &Population) -> PopulationInfo {
    PopulationInfo {
        name: population.name.clone(),
        about: population.about.clone(),
        destinations: population.len() as u64,
        skew: population.skew,
        largest_share: population.shares[0].min(1.0),
    }
}

impl Plan<'_> {
    fn steps(&self) -> u64 {
        let c = &self.comparison.compare;
        let cells = self.hashes.len() * c.salts.len() * self.populations.len();
        let salted = if c.salted_p_values > 0 { self.hashes.len() } else { 0 };
        let costs = if c.timing { c.nodes.numbers.len() * self.timed().len() } else { 0 };
        let simulated = if c.simulate { self.entries.len() } else { 0 };
        (cells * c.nodes.numbers.len() * self.entries.len() + salted + costs + simulated) as u64
    }

    fn info(&self, entry: Entry) -> StrategyInfo {
        let nodes = self.cluster(self.comparison.focus_nodes());
        entry.info(&nodes, &self.comparison.compare.parameters())
    }

    /// Why an entry is not even built, if it is not.
    fn too_slow(&self, entry: Entry, nodes: &Nodes) -> Option<String> {
        let limit = self.comparison.compare.cell_limit_s;
        let seconds = entry.rough_build_s(nodes, &self.comparison.compare.parameters());
        let reason =
            || format!("takes about {seconds:.1} s to build, above cell_limit_s, which is {limit}");
        (seconds > limit).then(reason)
    }

    /// The entries whose look-ups are timed: those that place the population of the focus.
    fn timed(&self) -> Vec<Entry> {
        let tagged = self.populations[self.comparison.focus_population()].tagged;
        let mut entries = self.entries.clone();
        entries.retain(|entry| !(tagged && *entry == Entry::SlotsSplit));
        entries
    }

    fn setting(&self, nodes: usize) -> Setting {
        let slots = self.comparison.slots().unwrap_or_else(|| default_slots(nodes));
        Setting {
            slots: SlotCount::new(slots, nodes).expect("the number of slots has been checked"),
            replicas: self.comparison.compare.replicas,
            parameters: self.comparison.compare.parameters(),
        }
    }

    fn cluster(&self, nodes: usize) -> Nodes {
        let c = &self.comparison.compare;
        cluster(&c.nodes, nodes, &c.weights, c.zones)
    }

    /// Places one population by one hash function and salt, by all strategies on all numbers of
    /// nodes. Where it is the main one, it also changes the cluster.
    fn place(
        &self,
        result: &mut CompareResult,
        hash: HashFunction,
        salt: &str,
        number: usize,
        main: bool,
    ) {
        let c = &self.comparison.compare;
        let population = &self.populations[number];
        let keys = population.keys(&NameHasher::new(hash, salt));
        let in_focus = number == self.comparison.focus_population();
        if in_focus && salt == c.salts[0] {
            let names = c.timing.then(|| NameList::new(population, 20_000));
            result.hashes.push(cost::hash_info(hash, salt, names.as_ref(), &keys));
        }
        let items = Items { keys: Cow::Owned(keys), shares: Cow::Borrowed(&population.shares) };
        let jobs: Vec<(usize, Entry)> = (c.nodes.numbers.iter())
            .flat_map(|nodes| self.entries.iter().map(|entry| (*nodes, *entry)))
            .collect();
        let found = in_parallel(&jobs, |(nodes, entry)| {
            let labels = Labels { entry: *entry, hash: hash.name(), salt, population };
            let found = guarded(|| self.combination(labels, &items, *nodes, main, in_focus));
            let found = found.unwrap_or_else(|reason| {
                let asked = format!("{} on {nodes} nodes", population.name);
                let refusal = Refusal { strategy: entry.name().to_owned(), asked, reason };
                Found { refusals: vec![refusal], ..Found::default() }
            });
            let (hash, population) = (hash.name(), &population.name);
            self.progress.step(&format!("{population} by {hash}: {entry} on {nodes}"));
            found
        });
        for found in found {
            result.balance.extend(found.balance);
            result.profiles.extend(found.profile);
            result.movement.extend(found.movement);
            result.failovers.extend(found.failovers);
            result.restarts.extend(found.restarts);
            result.courses.extend(found.courses);
            result.spilling.extend(found.spilling);
            for refusal in found.refusals {
                if !result.refusals.contains(&refusal) {
                    result.refusals.push(refusal);
                }
            }
        }
    }

    fn combination(
        &self,
        labels: Labels,
        whole: &Items,
        count: usize,
        main: bool,
        in_focus: bool,
    ) -> Found {
        let c = &self.comparison.compare;
        let entry = labels.entry;
        let mut found = Found::default();
        let refusal = |asked: String, reason: String| Refusal {
            strategy: entry.name().to_owned(),
            asked,
            reason,
        };
        if labels.population.tagged && entry == Entry::SlotsSplit {
            let asked = format!("split {}", labels.population.name);
            let reason = "names with one hash tag must stay together".to_owned();
            found.refusals.push(refusal(asked, reason));
            return found;
        }
        let seconds = entry.rough_ns(count) * 1e-9 * whole.keys.len() as f64;
        if seconds > c.cell_limit_s {
            let asked = format!("{} on {count} nodes", labels.population.name);
            let limit = c.cell_limit_s;
            let reason =
                format!("takes about {seconds:.1} s, above cell_limit_s, which is {limit}");
            found.refusals.push(refusal(asked, reason));
            return found;
        }
        let nodes = self.cluster(count);
        if let Some(reason) = self.too_slow(entry, &nodes) {
            found.refusals.push(refusal(format!("{count} nodes"), reason));
            return found;
        }
        let setting = &self.setting(count);
        let items = entry.items(whole, count);
        match Placed::new(entry, &nodes, &items, setting) {
            Ok(placed) => {
                let (cell, profile) =
                    balance::measure(labels, &placed, &items, &nodes, setting, &self.chances);
                found.balance = Some(cell);
                // By every hash function, since which one is recommended is not known yet.
                let drawn =
                    labels.salt == c.salts[0] && in_focus && count == self.comparison.focus_nodes();
                found.profile = drawn.then_some(profile);
            }
            Err(error) => {
                found.refusals.push(refusal(format!("{count} nodes"), error.to_string()));
                return found;
            }
        }
        if main && entry == Entry::Kind(StrategyKind::BoundedLoad) {
            match self.spilling(labels, &items, &nodes, setting) {
                Ok(cell) => found.spilling = Some(cell),
                Err(reason) => {
                    let asked = format!("spill messages on {count} nodes");
                    found.refusals.push(refusal(asked, reason));
                }
            }
        }
        // Of populations that nobody asked for, the even one shows movement with the least noise.
        if !main || !(in_focus || labels.population.is_uniform()) {
            return found;
        }
        let seed = self.comparison.seed;
        for change in &c.changes {
            let nodes = nodes.clone();
            let done = match change {
                Change::Failover(_) => failover::measure(labels, &items, &nodes, setting)
                    .map(|cell| found.failovers.push(cell)),
                Change::Restart(_) => movement::restart(labels, &items, nodes, setting, seed)
                    .map(|cell| found.restarts.push(cell)),
                _ => movement::measure(labels, change, &items, nodes, setting, seed)
                    .map(|cell| found.movement.push(cell)),
            };
            if let Err(reason) = done {
                found.refusals.push(refusal(change.describe(), reason));
            }
        }
        if in_focus && count == self.comparison.focus_nodes() {
            for course in &c.courses {
                match course::measure(labels, *course, whole, &nodes, setting, seed) {
                    Ok(course) => found.courses.push(course),
                    Err(reason) => found.refusals.push(refusal(course.describe(), reason)),
                }
            }
        }
        found
    }

    /// What a bound on the messages in flight does. `Err` says why it cannot be measured.
    fn spilling(
        &self,
        labels: Labels,
        items: &Items,
        nodes: &Nodes,
        setting: &Setting,
    ) -> Result<SpillCell, String> {
        let c = &self.comparison.compare;
        let in_flight = c.in_flight(nodes.count_up());
        let seconds = spill::rough_seconds(in_flight);
        if seconds > c.cell_limit_s {
            let limit = c.cell_limit_s;
            return Err(format!("takes about {seconds:.0} s, above the limit of {limit} s"));
        }
        spill::measure(labels, items, nodes, setting, in_flight, self.comparison.seed)
    }

    /// The p-value histograms, for one strategy that the test applies to.
    fn salted(&self, result: &mut CompareResult) {
        let c = &self.comparison.compare;
        let population = &self.populations[self.comparison.focus_population()];
        let count = self.comparison.focus_nodes();
        let testable = |entry: &&Entry| matches!(entry, Entry::Kind(_));
        let works = |entry: &&Entry| testable(entry) && works(result, **entry);
        let Some(entry) = self.entries.iter().find(works).copied() else { return };
        if c.salted_p_values == 0 || count < 2 {
            return;
        }
        let (nodes, setting) = (self.cluster(count), self.setting(count));
        let found = in_parallel(&self.hashes, |hash| {
            let measured =
                salts::measure(entry, *hash, c.salted_p_values, population, &nodes, &setting);
            self.progress.step(&format!("{} salts of {hash}", c.salted_p_values));
            measured
        });
        result.salted.extend(found.into_iter().flatten());
    }

    /// The same strategies in the simulated cluster, a process each.
    fn simulate(&self, result: &mut CompareResult, directory: &Path) -> Result<(), String> {
        if !self.comparison.compare.simulate {
            return Ok(());
        }
        let found = in_parallel(&self.entries, |entry| {
            let run = simulate::run(self.comparison, *entry, directory);
            self.progress.step(&format!("{entry} in the simulated cluster"));
            run
        });
        for (entry, run) in self.entries.iter().zip(found) {
            match run? {
                Ok(run) => result.simulated.push(run),
                Err(reason) => result.refusals.push(Refusal {
                    strategy: entry.name().to_owned(),
                    asked: "the simulated cluster".to_owned(),
                    reason,
                }),
            }
        }
        Ok(())
    }

    /// Times, one after the other: two at once would measure each other.
    fn costs(&self, result: &mut CompareResult) {
        let c = &self.comparison.compare;
        if !c.timing {
            return;
        }
        let population = &self.populations[self.comparison.focus_population()];
        let hasher = NameHasher::new(self.hashes[0], c.salts[0].as_str());
        let names = NameList::new(population, 100_000);
        let keys = population.keys(&hasher);
        let whole = Items { keys: keys.into(), shares: Cow::Borrowed(&population.shares) };
        let entries = self.timed();
        for count in c.nodes.numbers.iter().copied() {
            let (nodes, setting) = (self.cluster(count), self.setting(count));
            let done = |entry| self.progress.step(&format!("time of {entry} on {count}"));
            let built =
                |entry: &&Entry| works(result, **entry) && self.too_slow(**entry, &nodes).is_none();
            let entries: Vec<Entry> = entries.iter().filter(built).copied().collect();
            let measured = cost::measure(&entries, &hasher, &names, &whole, &nodes, &setting, done);
            result.cost.extend(measured);
        }
    }
}

/// What a job says that panicked, so that the results of the others are not lost with it.
fn guarded<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
        format!("{FAILED}: {said}")
    })
}

/// How the refusal of an entry that panicked begins.
const FAILED: &str = "it failed, which is a fault of this program";

/// Whether an entry has not panicked so far.
fn works(result: &CompareResult, entry: Entry) -> bool {
    let failed =
        |refusal: &Refusal| refusal.strategy == entry.name() && refusal.reason.starts_with(FAILED);
    !result.refusals.iter().any(failed)
}

/// Does all jobs on all processors; the results stand in the order of the jobs.
fn in_parallel<J: Sync, R: Send>(jobs: &[J], work: impl Fn(&J) -> R + Sync) -> Vec<R> {
    let next = Mutex::new(0);
    let results = Mutex::new(Vec::with_capacity(jobs.len()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            scope.spawn(|| {
                loop {
                    let number = {
                        let mut next = next.lock().expect("no job panics");
                        *next += 1;
                        *next - 1
                    };
                    let Some(job) = jobs.get(number) else { return };
                    let result = work(job);
                    results.lock().expect("no job panics").push((number, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no job panics");
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn a_job_that_panics_is_refused_and_the_others_are_done() {
        let jobs = [1, 0, 2];
        let found = in_parallel(&jobs, |job| guarded(|| 6 / job));
        assert_eq!((found[0].clone(), found[2].clone()), (Ok(6), Ok(3)));
        let refused = found[1].clone().unwrap_err();
        assert!(refused.starts_with(FAILED) && refused.contains("divide by zero"), "{refused}");
        let mut result = CompareResult::new(Identity::default(), Focus::default());
        let ring = Entry::Kind(StrategyKind::Ring);
        assert!(works(&result, ring));
        let (strategy, asked) = (ring.name().to_owned(), "8 nodes".to_owned());
        result.refusals.push(Refusal { strategy, asked, reason: refused });
        assert!(!works(&result, ring) && works(&result, Entry::SlotsByLoad));
    }
}
