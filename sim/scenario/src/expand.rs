//! What a seed makes of a scenario: every draw decided, every default of a fault written out.
//!
//! The outcome is a scenario that leaves nothing to this module's chance (expanding it again
//! changes nothing), so a failing run can be edited by hand, fault by fault.

mod changes;

use rand::{Rng, RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

use self::changes::Members;
use super::{
    Scenario,
    event::Nth,
    fault::{Extent, Fault, Target},
    units::TimeSpan,
};

/// A scenario without chance, and what had to be left out on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Expansion {
    /// Every change has `at` and names its nodes. Every fault has `at`, or the span in which its event may come, names its nodes, unless the
    /// run has to tell them, and says how long it lasts; `seed` is set.
    pub scenario: Scenario,
    /// Draws that came to nothing, such as a crash when every node was already down.
    pub notes: Vec<String>,
}

/// A stream of random numbers for one purpose, independent of all others of the same seed.
pub fn stream(seed: u64, label: &str) -> ChaCha8Rng {
    let mut key = blake3::Hasher::new_derive_key("paceline-sim scenario expansion 1");
    key.update(&seed.to_le_bytes());
    key.update(label.as_bytes());
    ChaCha8Rng::from_seed(*key.finalize().as_bytes())
}

/// Decides everything that the scenario leaves to the seed.
pub fn expand(scenario: &Scenario, seed: u64) -> Expansion {
    let mut drawn: Vec<(When, usize, &Fault)> = Vec::new();
    for (number, fault) in scenario.faults.iter().enumerate() {
        let mut random = stream(seed, &format!("fault {number} when"));
        for when in occurrences(fault, &mut random) {
            drawn.push((when, number, fault));
        }
    }
    drawn.sort_by_key(|(when, number, _)| (when.earliest(), *number));

    let (changes, members) = changes::decide(scenario, seed);
    let nodes = scenario.node_names();
    let mut expander = Expander {
        down_until: vec![Duration::ZERO; nodes.len()],
        nodes,
        members,
        end: scenario.duration.0,
        notes: Vec::new(),
    };
    let mut streams: Vec<ChaCha8Rng> = (0..scenario.faults.len())
        .map(|number| stream(seed, &format!("fault {number} what")))
        .collect();
    let faults = drawn
        .into_iter()
        .filter_map(|(when, number, fault)| expander.decide(when, fault, &mut streams[number]))
        .collect();

    let mut scenario = Scenario { seed, changes, faults, ..scenario.clone() };
    scenario.cluster.replicas = Some(scenario.cluster.replicas());
    Expansion { scenario, notes: expander.notes }
}

/// When a fault happens, as far as that is known before the run.
#[derive(Clone, Copy)]
enum When {
    At(Duration),
    /// At an event from the first of these instants to the second.
    Within(Duration, Duration),
}

impl When {
    fn earliest(self) -> Duration {
        match self {
            When::At(at) | When::Within(at, _) => at,
        }
    }
}

/// Every time that a fault happens.
fn occurrences(fault: &Fault, random: &mut ChaCha8Rng) -> Vec<When> {
    if let Some(at) = fault.at {
        return vec![When::At(at.0)];
    }
    let [from, to] = fault.between.expect("validated: `at` or `between`");
    let every = fault.every.map_or(to.0 - from.0, |every| every.0);
    let mut occurrences = Vec::new();
    let mut start = from.0;
    while start + every <= to.0 {
        let end = start + every;
        occurrences.push(match fault.on {
            Some(_) => When::Within(start, end),
            None => When::At(draw_time(start, end, random)),
        });
        start = end;
    }
    occurrences
}

/// A time drawn evenly from within, in whole milliseconds so that it reads well.
fn draw_time(from: Duration, to: Duration, random: &mut ChaCha8Rng) -> Duration {
    let (from, to) = (from.as_millis() as u64, to.as_millis() as u64);
    Duration::from_millis(random.random_range(from..=to))
}

struct Expander {
    nodes: Vec<String>,
    members: Members,
    /// Until when each node is stopped by an earlier fault.
    down_until: Vec<Duration>,
    end: Duration,
    notes: Vec<String>,
}

impl Expander {
    /// One occurrence of a fault, decided; `None` if no node is left for it to happen to.
    fn decide(&mut self, when: When, fault: &Fault, random: &mut ChaCha8Rng) -> Option<Fault> {
        let kinds = fault.kinds();
        let kind = kinds.first().expect("validated: a fault has a kind");
        let lasts = fault.lasts.map(|lasts| Extent::Fixed(draw_extent(lasts, random)));
        let back_after = kind.back_after().flatten().map(|extent| draw_extent(extent, random));
        let (at, between) = match when {
            When::At(at) => (Some(TimeSpan(at)), None),
            When::Within(from, to) => (None, Some([TimeSpan(from), TimeSpan(to)])),
        };
        let nth = fault.nth.map(|nth| Nth::Fixed(random.random_range(nth.least()..=nth.most())));
        let after = fault.after.map(|after| Extent::Fixed(draw_delay(after, random)));
        let decided = Fault { at, between, every: None, lasts, nth, after, ..fault.clone() };
        let decided = decided.with_back_after(back_after.map(Extent::Fixed));

        // Groups are decided already, and who leads and whose event it is only the run knows.
        let Some(target) = kind.target().filter(|target| !target.is_left_to_the_run()) else {
            return Some(decided);
        };
        // So it does for how long a node is down that an event brings down.
        let free_only = kind.stops_the_node() && fault.on.is_none();
        let at = when.earliest();
        let nodes = self.choose(at, target, free_only, random);
        if nodes.is_empty() {
            let at = TimeSpan(at);
            self.notes.push(format!(
                "{} at {at} left out: no node was up for it to happen to",
                kind.name()
            ));
            return None;
        }
        if free_only {
            let length = match (back_after, lasts) {
                _ if fault.outlasts => self.end.saturating_sub(at),
                (Some(span), _) | (None, Some(Extent::Fixed(span))) => span.0,
                _ => self.end.saturating_sub(at),
            };
            for &node in &nodes {
                self.down_until[node] = at + length;
            }
        }
        let names = nodes.iter().map(|&node| self.nodes[node].clone()).collect();
        Some(decided.of(names, &self.nodes))
    }

    /// The nodes a fault befalls, as indices in order. Those that it does not name are members then.
    /// Nodes that an earlier fault has stopped are left alone by one that would stop them again.
    fn choose(
        &mut self,
        at: Duration,
        target: Target<'_>,
        free_only: bool,
        random: &mut ChaCha8Rng,
    ) -> Vec<usize> {
        let count = self.nodes.len();
        let index = |name: &String| {
            self.nodes.iter().position(|known| known == name).expect("validated: the node exists")
        };
        let mut nodes: Vec<usize> = match target {
            Target { node: Some(name), .. } => vec![index(name)],
            Target { nodes: Some(names), .. } => names.iter().map(index).collect(),
            _ => (0..count).filter(|&node| self.members.has(node, at)).collect(),
        };
        let asked = nodes.len();
        if free_only {
            nodes.retain(|&node| self.down_until[node] <= at);
        }
        if let Some(any) = target.any {
            nodes.shuffle(random);
            nodes.truncate(any as usize);
        } else if nodes.len() < asked && !nodes.is_empty() {
            let at = TimeSpan(at);
            self.notes.push(format!("at {at} some nodes were already stopped and are left alone"));
        }
        nodes.sort_unstable();
        nodes
    }
}

/// As [`draw_extent`], in whole microseconds: what matters after an event is over in milliseconds.
fn draw_delay(delay: Extent, random: &mut impl Rng) -> TimeSpan {
    match delay {
        Extent::Fixed(span) => span,
        Extent::Drawn(least, most) => {
            let (least, most) = (least.0.as_micros() as u64, most.0.as_micros() as u64);
            TimeSpan(Duration::from_micros(random.random_range(least..=most)))
        }
    }
}

fn draw_extent(extent: Extent, random: &mut impl Rng) -> TimeSpan {
    match extent {
        Extent::Fixed(span) => span,
        Extent::Drawn(least, most) => {
            let (least, most) = (least.0.as_millis() as u64, most.0.as_millis() as u64);
            TimeSpan(Duration::from_millis(random.random_range(least..=most)))
        }
    }
}
