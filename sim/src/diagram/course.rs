//! A whole run as events on lanes, what went from one to another, and what lasted.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use paceline_reports::{
    RunResult,
    result::FaultMark,
    trace::{ArrowKind, Kind, SpanKind},
};

use crate::{check::step::NodeId, observe::Outcome};

/// Nanoseconds since the workload began; before it they are negative.
pub type Nanos = i64;

/// Who has a lane, in the order in which lanes stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// By its number among the producers.
    Producer(u32),
    /// A node.
    Node(NodeId),
    /// A consumer, by its number among all clients.
    Consumer(u32),
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Happened {
    /// When.
    pub at: Nanos,
    /// On whose lane; nobody's for what concerns all.
    pub who: Option<Who>,
    /// What.
    pub kind: Kind,
    /// In a few words.
    pub label: String,
    /// In a sentence.
    pub text: String,
    /// The messages it is about.
    pub messages: Vec<usize>,
    /// The queue or topic, an index into the run's destinations.
    pub destination: Option<usize>,
    /// The shards it is about.
    pub shards: Vec<u64>,
    /// Whether a check convicts by it.
    pub convicts: bool,
}

impl Happened {
    /// Something about nothing in particular.
    pub fn new(at: Nanos, who: Who, kind: Kind, label: String, text: String) -> Self {
        Self {
            at,
            who: Some(who),
            kind,
            label,
            text,
            messages: Vec::new(),
            destination: None,
            shards: Vec::new(),
            convicts: false,
        }
    }
}

/// One end of a journey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At an event.
    At(usize),
    /// On a lane, nobody knows when.
    With(Who),
}

/// What went from one lane to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journey {
    /// What.
    pub kind: ArrowKind,
    /// Where from.
    pub from: End,
    /// By which node.
    pub via: Option<Who>,
    /// Where to.
    pub to: End,
    /// With which message.
    pub message: Option<usize>,
}

/// Something that lasted at a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lasted {
    /// Where.
    pub node: NodeId,
    /// What.
    pub kind: SpanKind,
    /// In which shard.
    pub shard: Option<u64>,
    /// In which term.
    pub term: u64,
    /// From then.
    pub from: Nanos,
    /// Until then.
    pub to: Nanos,
}

/// What a check found: its name, what, and whether it is of something that took a moment.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which check or expectation.
    pub check: String,
    /// What it found.
    pub detail: String,
    /// When, if at a moment.
    pub at: Option<Nanos>,
    /// The messages that it is about.
    pub messages: Vec<usize>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Course {
    /// In the order of time, once they are [sorted](Self::sort).
    pub events: Vec<Happened>,
    /// All journeys.
    pub journeys: Vec<Journey>,
    /// All that lasted.
    pub spans: Vec<Lasted>,
    /// Faults and changes, whether it is one, and the nodes concerned, all if there are none.
    pub bands: Vec<(FaultMark, bool, Vec<NodeId>)>,
    /// What messages are called.
    pub messages: Vec<String>,
    /// The messages that some violation is about.
    pub convicted: BTreeSet<usize>,
    /// When the run was over.
    pub end: Nanos,
    /// When the workload began, by the world's clock.
    epoch: Nanos,
}

impl Course {
    /// Nothing has happened yet.
    pub fn new(outcome: &Outcome, convicted: &[Vec<usize>]) -> Self {
        let epoch = nanos(outcome.epoch.unwrap_or_default());
        let end = nanos(outcome.virtual_time) - epoch;
        let convicted = convicted.iter().flatten().copied().collect();
        Self { epoch, end, convicted, ..Self::default() }
    }

    /// A time of the world's clock.
    pub fn at(&self, at: Duration) -> Nanos {
        nanos(at) - self.epoch
    }

    /// Adds an event, which convicts if one of its messages does.
    pub fn push(&mut self, mut event: Happened) -> usize {
        event.convicts |= event.messages.iter().any(|it| self.convicted.contains(it));
        self.events.push(event);
        self.events.len() - 1
    }

    /// Who led a shard then, as far as the nodes have said.
    pub fn leader(&self, shard: u64, at: Nanos) -> Option<NodeId> {
        let leads = |it: &&Lasted| it.kind == SpanKind::Leads && it.shard == Some(shard);
        let there = |it: &&Lasted| it.from <= at && at <= it.to;
        let reigns = self.spans.iter().filter(leads).filter(there);
        reigns.max_by_key(|it| it.from).map(|it| it.node)
    }

    /// Adds faults and changes, as bands and at their beginnings and ends.
    pub fn marks(&mut self, outcome: &Outcome) {
        let all = outcome.faults.iter().map(|it| (it, false));
        for (mark, is_change) in all.chain(outcome.changes.iter().map(|it| (it, true))) {
            let nodes = concerned(mark);
            let who = nodes.first().map(|node| Who::Node(*node));
            let kind = if is_change { Kind::Change } else { Kind::Fault };
            let mut push = |at: f64, label: String, text: String| {
                let at = (at * 1e9).round() as Nanos;
                let event = Happened::new(at, Who::Node(0), kind, label, text);
                self.push(Happened { who, ..event });
            };
            let words = mark.in_words();
            push(mark.at_s, mark.label.clone(), format!("{words} begins"));
            if let Some(until) = mark.until_s.filter(|until| *until > mark.at_s) {
                let label = format!("{} {}", if is_change { "made:" } else { "over:" }, mark.label);
                push(until, label, format!("{words} is over"));
            }
            self.bands.push((mark.clone(), is_change, nodes));
        }
    }

    /// Adds what did not hold, worst first, each at its moment.
    pub fn verdicts(
        &mut self,
        result: &RunResult,
        outcome: &Outcome,
        convicted: &[Vec<usize>],
    ) -> Vec<Finding> {
        let mut order: Vec<usize> = (0..outcome.violations.len()).collect();
        order.sort_by_key(|it| std::cmp::Reverse(outcome.violations[*it].severity));
        let mut findings = Vec::new();
        if let Some(message) = &outcome.crashed {
            let (check, detail) = ("crash".to_owned(), message.clone());
            findings.push(Finding { check, detail, at: Some(self.end), messages: Vec::new() });
        }
        for index in order {
            let it = &outcome.violations[index];
            let at = it.at.filter(|_| outcome.epoch.is_some()).map(nanos);
            let messages = convicted.get(index).cloned().unwrap_or_default();
            let (check, detail) = (it.check.to_owned(), it.detail.clone());
            findings.push(Finding { check, detail, at, messages });
        }
        for it in result.expectations.iter().filter(|it| !it.met) {
            let detail = format!("measured {}, wanted {}", it.measured, it.wanted);
            let (check, messages) = (it.name.clone(), Vec::new());
            findings.push(Finding { check, detail, at: None, messages });
        }
        for it in &findings {
            let at = it.at.unwrap_or(self.end);
            let (label, text) =
                (format!("[{}] fails", it.check), format!("[{}] {}", it.check, it.detail));
            let event = Happened::new(at, Who::Node(0), Kind::Verdict, label, text);
            let messages = it.messages.clone();
            self.push(Happened { who: None, messages, convicts: true, ..event });
        }
        findings
    }

    /// Puts the events into the order of time; of those at one moment, causes and effects stay as
    /// they were added.
    pub fn sort(&mut self) {
        let mut order: Vec<usize> = (0..self.events.len()).collect();
        order.sort_by_key(|&it| (self.events[it].at, self.events[it].kind == Kind::Verdict));
        let places: BTreeMap<usize, usize> =
            order.iter().enumerate().map(|(place, &it)| (it, place)).collect();
        self.events = order.iter().map(|&it| self.events[it].clone()).collect();
        let moved = |end: End| match end {
            End::At(event) => End::At(places[&event]),
            with => with,
        };
        for it in &mut self.journeys {
            (it.from, it.to) = (moved(it.from), moved(it.to));
        }
    }
}

/// Since the workload began.
pub fn nanos(at: Duration) -> Nanos {
    i64::try_from(at.as_nanos()).unwrap_or(i64::MAX)
}

/// The nodes that a mark names, or that its label does: a partition names its sides there.
fn concerned(mark: &FaultMark) -> Vec<NodeId> {
    let number = |word: &str| {
        let number: NodeId = word.strip_prefix('n')?.parse().ok()?;
        number.checked_sub(1)
    };
    let named: BTreeSet<NodeId> = match mark.nodes.is_empty() {
        true => mark.label.split(' ').filter_map(number).collect(),
        false => mark.nodes.iter().filter_map(|it| number(it)).collect(),
    };
    named.into_iter().collect()
}
