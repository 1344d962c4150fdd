//! What must hold, checked at three distances.
//!
//! - At every **step** a node reports ([`StepCheck`]): leadership, exclusivity, credit, flags.
//! - At every **reply** a client gets ([`ReplyCheck`]): order, contents, flags.
//! - At the **end**, healed and drained ([`EndCheck`]): nothing lost, invented or doubled, replicas
//!   identical.
//!
//! One check per file, each with histories that it must refuse. A check keeps its own state and
//! knows nothing of the others, nor of worlds, scenarios or protocols.

mod asked;
mod atomic;
mod balance;
mod bounded;
mod chain;
mod conservation;
mod copies;
mod credit;
mod delayed;
mod doubled;
mod expiry;
mod fifo;
mod found;
mod heeded;
mod held;
mod in_flight;
mod invented;
mod kept;
mod lost;
mod one_leader;
mod order;
mod overtaken;
mod promises;
mod quiet;
mod redelivered;
mod refused;
mod reigns;
mod replicas;
mod selected;
mod settled;
mod skipped;
pub mod step;
mod topics;
mod trail;

use paceline_destination::Destination;
use paceline_membership::{Expired, Policies};
use std::{
    collections::{self, BTreeMap},
    fmt,
    hash::BuildHasherDefault,
    time::Duration,
};

pub use balance::{Balance, Led};
pub use found::Found;
pub use quiet::{Margins, Quiet};
pub use replicas::{Pair, Replica, unlike};
pub use step::{About, Subject};

use paceline_events::Event;

use crate::workload::{
    history::{History, Observation},
    operation::MessageId,
};
use step::{NodeId, Step, Steps};

/// Quick to hash, and in the same order in every run.
type Hashing = BuildHasherDefault<rapidhash::fast::RapidHasher<'static>>;
type HashMap<K, V> = collections::HashMap<K, V, Hashing>;
type HashSet<T> = collections::HashSet<T, Hashing>;

/// How bad a violation is; the worst one decides the run's verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A figure is not as the scenario expects.
    Expectation,
    /// Something that must happen did not happen in time.
    Liveness,
    /// Something happened that must never happen.
    Safety,
}

/// A check that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The check's name.
    pub check: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// When it was noticed; `None` at the end of the run.
    pub at: Option<Duration>,
    /// What was seen and why it must not be.
    pub detail: String,
    /// For a liveness violation: the shards that wait, one line each, with who leads them as the
    /// nodes see it.
    pub shards: Vec<String>,
    /// The messages that it is about.
    pub about: Vec<Subject>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "[{}] at {:.6}s: {}", self.check, at.as_secs_f64(), self.detail),
            None => write!(f, "[{}] at the end: {}", self.check, self.detail),
        }
    }
}

/// Watches what nodes report.
pub trait StepCheck {
    /// What reports call it.
    fn name(&self) -> &'static str;
    /// Takes in one step; an error says why it must never happen.
    fn step(&mut self, step: &Step, names: &Steps) -> Result<(), String>;
}

/// Watches what clients see.
pub trait ReplyCheck {
    /// What reports call it.
    fn name(&self) -> &'static str;
    /// Takes in one observation, which the history already holds; an error says why it must never
    /// be made.
    fn observe(&mut self, seen: Observation<'_>, history: &History) -> Result<(), String>;
}

/// Looks at a whole run.
pub trait EndCheck {
    /// What reports call it.
    fn name(&self) -> &'static str;
    /// Everything that is wrong; reports show the first few.
    fn judge(&self, history: &History, end: &End) -> Vec<Found>;
}

/// What is known when the run is over.
#[derive(Clone, Debug, Default)]
pub struct End {
    /// When that was.
    pub at: Duration,
    /// Whether no fault was planned: then at most once is exactly once.
    pub faultless: bool,
    /// Whether all was drained within its bound; if not, what is still there cannot be called
    /// lost.
    pub drained: bool,
    /// How many acknowledged messages the scenario allows to be lost.
    pub allowed_lost: u64,
    /// How far wall clocks may differ from each other.
    pub clock_error: Duration,
    /// When nothing was wrong.
    pub quiet: Quiet,
    /// The shard of each destination.
    pub shards: Vec<usize>,
    /// Every replica of every shard that answered.
    pub replicas: Vec<Replica>,
    /// In what replicas differ that should not, in words.
    pub differences: BTreeMap<Pair, String>,
    /// The policies that the cluster had, one list after the other.
    pub policies: Vec<PoliciesInForce>,
}

/// Policies, and when they may have been in force somewhere.
#[derive(Clone, Debug)]
pub struct PoliciesInForce {
    /// From then on.
    pub from: Duration,
    /// Nowhere any more from then on.
    pub until: Duration,
    /// They.
    pub policies: Policies,
}

impl End {
    /// The acknowledged messages that are nowhere.
    pub fn lost(&self, history: &History) -> Vec<MessageId> {
        lost::Lost::find(history, self)
    }

    /// The lists of policies that may have been in force at some moment between these.
    pub fn policies_between(
        &self,
        from: Duration,
        to: Duration,
    ) -> impl Iterator<Item = &Policies> {
        let lists = self.policies.iter().filter(move |list| list.from <= to && list.until >= from);
        lists.map(|list| &list.policies)
    }

    /// Whether a queue's messages whose time was over were dead letters, by any policy that there was.
    pub fn keeps_expired(&self, queue: &str) -> bool {
        let Ok(queue) = Destination::queue(queue) else { return false };
        let keeps = |list: &PoliciesInForce| {
            list.policies.of(&queue).and_then(|policy| policy.expired) == Some(Expired::DeadLetter)
        };
        !self.policies.is_empty() && self.policies.iter().all(keeps)
    }

    /// Messages that the queues still hold, each counted once.
    pub fn resident(&self) -> u64 {
        let mut latest: BTreeMap<u64, &Replica> = BTreeMap::new();
        for replica in &self.replicas {
            let known = latest.entry(replica.shard).or_insert(replica);
            if replica.applied > known.applied {
                *known = replica;
            }
        }
        latest.values().flat_map(|replica| &replica.depths).map(|(_, depth)| depth).sum()
    }
}

/// The checks that are of the nodes' own word, in part or altogether: what is left of each where that is
/// not heard.
const OF_NODES: [(&str, Left); 16] = [
    ("one-leader", Left::Nothing),
    ("promises", Left::Nothing),
    ("in-flight", Left::Nothing),
    ("credit", Left::Nothing),
    ("copies", Left::Nothing),
    (settled::NAME, Left::Nothing),
    (asked::NAME, Left::Nothing),
    (overtaken::NAME, Left::Nothing),
    (topics::NAME, Left::Nothing),
    (skipped::NAME, Left::Nothing),
    (delayed::NAME, Left::Nothing),
    (heeded::NAME, Left::Nothing),
    (held::GROUPS, Left::Nothing),
    (held::EXCLUSIVE, Left::Nothing),
    (fifo::NAME, Left::Part { is: "of topics", lacks: "of queues" }),
    (expiry::NAME, Left::Part { is: "of dead letters", lacks: "when messages are handed out" }),
];

/// What is left of a check without the nodes' word.
#[derive(Clone, Copy, Debug)]
enum Left {
    Nothing,
    Part { is: &'static str, lacks: &'static str },
}

/// All checks of a run.
pub struct Checks {
    /// What nodes say is heard.
    hears_nodes: bool,
    names: Steps,
    steps: Vec<Box<dyn StepCheck + Send>>,
    settled: settled::Settled,
    asked: asked::Asked,
    overtaken: overtaken::Overtaken,
    expired: expiry::Expired,
    topics: topics::Topics,
    trail: trail::Trail,
    replies: Vec<Box<dyn ReplyCheck + Send>>,
    ends: Vec<Box<dyn EndCheck + Send>>,
    /// How many steps and observations were looked at, and whether the end was: a check that never
    /// ran has not passed.
    steps_seen: u64,
    replies_seen: u64,
    ends_seen: u64,
    violations: Vec<Violation>,
}

/// The most messages of one violation whose story is told.
const CHAINS: usize = 3;

/// The most violations of one check that are kept.
const KEPT: usize = 10;

impl Checks {
    /// The full set, in its initial state. Wall clocks of the run may differ by `clock_error`.
    pub fn new(clock_error: Duration) -> Self {
        Self {
            hears_nodes: true,
            names: Steps::default(),
            steps: vec![
                Box::new(one_leader::OneLeader::default()),
                Box::new(promises::Promises::default()),
                Box::new(in_flight::InFlight::default()),
                Box::new(credit::Credit::default()),
                Box::new(copies::Copies::default()),
            ],
            settled: settled::Settled::default(),
            asked: asked::Asked::default(),
            overtaken: overtaken::Overtaken::default(),
            expired: expiry::Expired::allowing(clock_error),
            topics: topics::Topics::default(),
            trail: trail::Trail::default(),
            replies: vec![
                Box::new(redelivered::Redelivered::default()),
                Box::new(order::Order::default()),
                Box::new(invented::Invented),
                Box::new(selected::Selected),
                Box::new(refused::Refused),
            ],
            ends: vec![
                Box::new(lost::Lost),
                Box::new(bounded::Bounded),
                Box::new(kept::Kept),
                Box::new(asked::Consumed),
                Box::new(atomic::Atomic),
                Box::new(doubled::Doubled),
                Box::new(conservation::Conservation),
                Box::new(replicas::ReplicasAgree),
            ],
            steps_seen: 0,
            replies_seen: 0,
            ends_seen: 0,
            violations: Vec::new(),
        }
    }

    /// Those that are of the clients' history and of the end alone, where what nodes say is not heard.
    pub fn of_clients(clock_error: Duration) -> Self {
        Self { hears_nodes: false, ..Self::new(clock_error) }
    }

    /// The checks that are made, and those that are not, as reports name them.
    pub fn made(&self) -> (Vec<String>, Vec<String>) {
        let (mut made, mut not) = (Vec::new(), Vec::new());
        for name in self.applied().into_keys() {
            let left = OF_NODES.iter().find(|(known, _)| *known == name && !self.hears_nodes);
            match left {
                None => made.push(name.to_owned()),
                Some((_, Left::Nothing)) => not.push(name.to_owned()),
                Some((_, Left::Part { is, lacks })) => {
                    made.push(format!("{name} ({is})"));
                    not.push(format!("{name} ({lacks})"));
                }
            }
        }
        (made, not)
    }

    /// The workload begins: from here times count.
    pub fn begin(&mut self) {
        self.topics.reigns.begin();
    }

    /// How often any node began to serve a shard.
    pub fn reigns(&self) -> usize {
        self.topics.reigns.count()
    }

    /// Takes in what a node says it did. The step that it is to the checks, if it is one.
    pub fn event(&mut self, at: Duration, node: NodeId, said: &Event<'_>) -> Option<Step> {
        let step = self.names.read(at, node, said)?;
        self.step(&step);
        Some(step)
    }

    /// A node's process has died; what it had in memory is gone.
    pub fn died(&mut self, at: Duration, node: NodeId) {
        self.step(&Step { at, node, what: step::What::Died });
    }

    fn step(&mut self, step: &Step) {
        self.trail.step(step);
        self.steps_seen += 1;
        let mut found = Vec::new();
        let mut judged = |name, verdict: Result<(), String>| {
            if let Err(detail) = verdict {
                found.push((name, detail));
            }
        };
        for check in &mut self.steps {
            judged(check.name(), check.step(step, &self.names));
        }
        judged(settled::NAME, self.settled.step(step, &self.names));
        judged(asked::NAME, self.asked.step(step, &self.names));
        judged(overtaken::NAME, self.overtaken.step(step, &self.names));
        judged(expiry::NAME, self.expired.step(step, &self.names));
        self.topics.step(step);
        for (name, detail) in found {
            let about = step.what.message().into_iter();
            let found = Found { detail, about: about.collect() };
            self.report(name, Severity::Safety, Some(step.at), found);
        }
    }

    /// Takes in what a client saw.
    pub fn observe(&mut self, at: Duration, seen: Observation<'_>, history: &History) {
        self.replies_seen += 1;
        let mut found = Vec::new();
        for check in &mut self.replies {
            if let Err(detail) = check.observe(seen, history) {
                found.push((check.name(), detail));
            }
        }
        self.settled.observe(seen, history, &mut self.names);
        self.overtaken.observe(seen, history, &mut self.names);
        if let Err(detail) = self.asked.observe(seen, history, &mut self.names) {
            found.push((asked::NAME, detail));
        }
        if let Err(detail) = self.expired.observe(seen, history, &mut self.names) {
            found.push((expiry::NAME, detail));
        }
        for (name, detail) in found {
            let found = Found::about(detail, seen.messages(history));
            self.report(name, Severity::Safety, Some(at), found);
        }
    }

    /// Judges the whole run.
    pub fn finish(&mut self, history: &History, end: &End) {
        self.ends_seen += 1;
        let mut found = Vec::new();
        for check in &self.ends {
            found.extend(check.judge(history, end).into_iter().map(|it| (check.name(), it)));
        }
        if self.hears_nodes {
            let missed = self.topics.judge(history, end).into_iter();
            found.extend(missed.map(|it| (topics::NAME, it.into())));
            let skipped = skipped::judge(history, end, &self.topics.reigns).into_iter();
            found.extend(skipped.map(|it| (skipped::NAME, it.into())));
        }
        let out_of_order = fifo::judge(history, end, &self.trail, &mut self.names);
        found.extend(out_of_order.into_iter().map(|it| (fifo::NAME, it)));
        let untimely = delayed::judge(history, end, &self.trail, &mut self.names);
        found.extend(untimely.into_iter().map(|it| (delayed::NAME, it)));
        let ignored = heeded::judge(history, end, &self.trail, &mut self.names);
        found.extend(ignored.into_iter().map(|it| (heeded::NAME, it)));
        found.extend(held::judge(history, &self.trail, &mut self.names));
        for (name, found) in found {
            self.report(name, Severity::Safety, None, found);
        }
    }

    /// Records a violation that was noticed elsewhere.
    pub fn report(
        &mut self,
        check: &'static str,
        severity: Severity,
        at: Option<Duration>,
        found: Found,
    ) {
        let Found { detail, about } = found;
        let same = self.violations.iter().filter(|violation| violation.check == check).count();
        if same < KEPT {
            self.violations.push(Violation {
                check,
                severity,
                at,
                detail,
                shards: Vec::new(),
                about,
            });
        }
    }

    /// Records that something did not happen in time, and the shards that wait.
    pub fn stuck(&mut self, check: &'static str, at: Duration, found: Found, shards: Vec<String>) {
        let (severity, Found { detail, about }) = (Severity::Liveness, found);
        let at = Some(at);
        self.violations.push(Violation { check, severity, at, detail, shards, about });
    }

    /// What was found, in the order it was found.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Who holds messages of a shard, in words, one for each consumer.
    pub fn holders(&self, shard: u64) -> Vec<String> {
        let in_words = |(consumer, (count, first)): (step::NameId, (u64, &trail::Handed))| {
            format!(
                "{} holds {count} of the {} messages that it may, {} since {:.3}s",
                self.names.text(consumer),
                first.in_flight + first.credit,
                self.names.text(first.message),
                first.at.as_secs_f64()
            )
        };
        self.trail.holders(shard).into_iter().map(in_words).collect()
    }

    /// What became of the messages that each violation is about, in lines.
    pub fn chains(&mut self, history: &History) -> Vec<Vec<String>> {
        let Self { violations, trail, names, .. } = self;
        // Nothing is made of all that has happened where nobody asks.
        if violations.is_empty() {
            return Vec::new();
        }
        let chains = chain::Chains::new(history, trail, names);
        let of = |violation: &Violation| {
            let told = violation.about.iter().take(CHAINS);
            told.flat_map(|subject| chains.of(*subject)).collect()
        };
        violations.iter().map(of).collect()
    }

    /// The messages that each violation is about, by the names that events and histories have.
    pub fn about(&self) -> Vec<Vec<About>> {
        let named = |subject: &Subject| About::of(*subject, &self.names);
        let violations = self.violations.iter();
        violations.map(|violation| violation.about.iter().map(named).collect()).collect()
    }

    /// How often each check was applied.
    pub fn applied(&self) -> BTreeMap<&'static str, u64> {
        let steps = self.steps.iter().map(|check| check.name());
        let steps = steps.chain([settled::NAME, asked::NAME, overtaken::NAME, expiry::NAME]);
        let replies = self.replies.iter().map(|check| check.name());
        let ends = self.ends.iter().map(|check| check.name());
        let ends =
            ends.chain([topics::NAME, skipped::NAME, fifo::NAME, delayed::NAME, heeded::NAME]);
        let ends = ends.chain([held::GROUPS, held::EXCLUSIVE]);
        (steps.map(|name| (name, self.steps_seen)))
            .chain(replies.map(|name| (name, self.replies_seen)))
            .chain(ends.map(|name| (name, self.ends_seen)))
            .collect()
    }
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_the_nodes_word_is_not_made_without_it() {
        let (made, not) = Checks::new(Duration::ZERO).made();
        assert!(not.is_empty() && made.len() == Checks::new(Duration::ZERO).applied().len());
        for (name, _) in OF_NODES {
            assert!(made.iter().any(|it| it == name), "there is no check {name}");
        }
        let (made, not) = Checks::of_clients(Duration::ZERO).made();
        for name in ["one-leader", "settled", "topics", "fifo (of queues)"] {
            assert!(not.iter().any(|it| it == name), "{not:?}");
        }
        for name in ["lost", "replicas", "order", "redelivered-flag", "fifo (of topics)"] {
            assert!(made.iter().any(|it| it == name), "{made:?}");
        }
    }
}
