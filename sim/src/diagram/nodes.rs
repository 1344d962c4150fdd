//! What the nodes said, as events, journeys and what lasted. What one node says of several shards
//! within a moment is one event.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use paceline_events::Event;
use paceline_reports::trace::{ArrowKind, Kind, SpanKind};

use super::{
    course::{Course, End, Happened, Journey, Lasted, Nanos, Who},
    names::Names,
};
use crate::{
    check::step::NodeId,
    observe::{Outcome, heard::Heard},
};

/// What is said within this time belongs together.
const MOMENT: Nanos = 1_000_000;

/// What is said of a shard, without the shard.
struct Said {
    kind: Kind,
    /// `votes for n2`, and in a sentence what follows the shards.
    label: String,
    more: String,
    shard: Option<u64>,
    /// To whom something goes.
    to: Option<(ArrowKind, NodeId)>,
}

/// Adds all that was heard.
pub fn fill(course: &mut Course, outcome: &Outcome, names: &Names) {
    let convicting = convicting_terms(&outcome.heard);
    let known = Known::of(&outcome.heard);
    let mut open = Open::default();
    // By node and label: the event that the next of its sort may join.
    let mut latest: BTreeMap<(NodeId, String), usize> = BTreeMap::new();
    for (index, heard) in outcome.heard.iter().enumerate() {
        let (at, node) = (course.at(heard.at), heard.node);
        if heard.is_death() {
            if open.die(course, node, at) {
                let text = format!("n{} is not there any more", node + 1);
                let event = Happened::new(at, Who::Node(node), Kind::Life, "ends".into(), text);
                course.push(event);
            }
            continue;
        }
        open.rise(course, node, at);
        let message = names.heard.get(&index).copied();
        heard.read(|event| {
            open.take(course, node, at, &event);
            let convicts =
                heard.convicts || term(&event).is_some_and(|it| convicting.contains(&it));
            match message {
                Some(message) => of_message(course, names, heard, message, &event),
                None => {
                    let Some(said) = said(&event, &known, names, heard.at) else { return };
                    add(course, &mut latest, at, node, said, convicts);
                }
            }
        });
    }
    open.finish(course);
}

/// The shards and terms of what convicts and is about no message: votes, leaders.
fn convicting_terms(heard: &[Heard]) -> BTreeSet<(u64, u64)> {
    let convicting = heard.iter().filter(|it| it.convicts);
    convicting.filter_map(|it| it.read(|event| term(&event)).flatten()).collect()
}

fn term(event: &Event<'_>) -> Option<(u64, u64)> {
    match *event {
        Event::Vote { shard, term, .. }
        | Event::Follow { shard, term, .. }
        | Event::ServeBegin { shard, term }
        | Event::ServeEnd { shard, term } => Some((shard, term)),
        _ => None,
    }
}

/// Which node a number in an event stands for. The numbers that a cluster gives its members are in
/// the order in which they joined; whoever is followed in a term is the one who serves in it.
struct Known(BTreeMap<u64, NodeId>);

impl Known {
    fn of(heard: &[Heard]) -> Self {
        let (mut serves, mut follows) = (BTreeMap::new(), BTreeMap::new());
        for it in heard {
            it.read(|event| match event {
                Event::ServeBegin { shard, term } => drop(serves.insert((shard, term), it.node)),
                Event::Follow { shard, term, to } => drop(follows.insert((shard, term), to)),
                _ => {}
            });
        }
        let pairs = follows.iter().filter_map(|(at, to)| Some((*to, *serves.get(at)?)));
        Self(pairs.collect())
    }

    fn node(&self, number: u64) -> NodeId {
        let usual = u32::try_from(number.saturating_sub(1)).unwrap_or(0);
        self.0.get(&number).copied().unwrap_or(usual)
    }
}

/// What has begun at nodes and not ended yet.
#[derive(Default)]
struct Open {
    leads: BTreeMap<(NodeId, u64), (Nanos, u64)>,
    repairs: BTreeMap<(NodeId, u64), Nanos>,
    down: BTreeMap<NodeId, Nanos>,
    seen: BTreeSet<NodeId>,
}

impl Open {
    /// A process ends; whether it was there.
    fn die(&mut self, course: &mut Course, node: NodeId, at: Nanos) -> bool {
        if self.down.contains_key(&node) || !self.seen.contains(&node) {
            return false;
        }
        self.down.insert(node, at);
        for (key, (from, term)) in std::mem::take(&mut self.leads) {
            match key.0 == node {
                true => leads(course, key, from, at, term),
                false => drop(self.leads.insert(key, (from, term))),
            }
        }
        for (key, from) in std::mem::take(&mut self.repairs) {
            match key.0 == node {
                true => repairs(course, key, from, at),
                false => drop(self.repairs.insert(key, from)),
            }
        }
        true
    }

    /// A node says something: it is there.
    fn rise(&mut self, course: &mut Course, node: NodeId, at: Nanos) {
        if let Some(from) = self.down.remove(&node) {
            down(course, node, from, at);
            let text = format!("n{} is there again", node + 1);
            course.push(Happened::new(at, Who::Node(node), Kind::Life, "starts".into(), text));
        } else if self.seen.insert(node) && at > 0 {
            down(course, node, Nanos::MIN, at);
        }
        self.seen.insert(node);
    }

    fn take(&mut self, course: &mut Course, node: NodeId, at: Nanos, event: &Event<'_>) {
        match *event {
            Event::ServeBegin { shard, term } => {
                self.leads.insert((node, shard), (at, term));
            }
            Event::ServeEnd { shard, .. } => {
                if let Some((from, term)) = self.leads.remove(&(node, shard)) {
                    leads(course, (node, shard), from, at, term);
                }
            }
            Event::RepairBegin { shard } => drop(self.repairs.insert((node, shard), at)),
            Event::RepairEnd { shard } => {
                if let Some(from) = self.repairs.remove(&(node, shard)) {
                    repairs(course, (node, shard), from, at);
                }
            }
            _ => {}
        }
    }

    /// The run is over; what has not ended lasts until then.
    fn finish(self, course: &mut Course) {
        let end = course.end;
        for (key, (from, term)) in self.leads {
            leads(course, key, from, end, term);
        }
        for (key, from) in self.repairs {
            repairs(course, key, from, end);
        }
        for (node, from) in self.down {
            down(course, node, from, end);
        }
    }
}

fn leads(course: &mut Course, (node, shard): (NodeId, u64), from: Nanos, to: Nanos, term: u64) {
    let (kind, shard) = (SpanKind::Leads, Some(shard));
    course.spans.push(Lasted { node, kind, shard, term, from, to });
}

fn repairs(course: &mut Course, (node, shard): (NodeId, u64), from: Nanos, to: Nanos) {
    let (kind, shard) = (SpanKind::Repairs, Some(shard));
    course.spans.push(Lasted { node, kind, shard, term: 0, from, to });
}

fn down(course: &mut Course, node: NodeId, from: Nanos, to: Nanos) {
    course.spans.push(Lasted { node, kind: SpanKind::Down, shard: None, term: 0, from, to });
}

/// What a leader says of a message.
fn of_message(
    course: &mut Course,
    names: &Names,
    heard: &Heard,
    message: usize,
    event: &Event<'_>,
) {
    let Heard { at: heard_at, node, convicts, .. } = *heard;
    let (name, n) = (&names.messages[message], node + 1);
    let (kind, label, text, shard) = match *event {
        Event::Dispatch { shard, term, consumer, redelivered, in_flight, credit, .. } => {
            let (to, again) =
                (names.consumer(heard_at, consumer), if redelivered { " again" } else { "" });
            let text = format!(
                "n{n} gives {name} to {to}{again} (shard {shard}, term {term}, consumer {consumer}, \
                 which holds {in_flight} and may hold {credit} more)"
            );
            (Kind::Dispatched, format!("{name} to {to}{again}"), text, shard)
        }
        Event::Settle { shard, term, consumer, .. } => {
            let by = names.consumer(heard_at, consumer);
            let text = format!("n{n} settles {name} for {by} (shard {shard}, term {term})");
            (Kind::Settled, format!("{name} settled"), text, shard)
        }
        Event::Release { shard, term, consumer, .. } => {
            let by = names.consumer(heard_at, consumer);
            let text = format!("{name} goes back from {by} at n{n} (shard {shard}, term {term})");
            (Kind::GivenBack, format!("{name} back"), text, shard)
        }
        Event::ReadBack { shard, .. } => {
            let text = format!("n{n} reads {name} from its log (shard {shard})");
            (Kind::Disk, format!("reads {name}"), text, shard)
        }
        _ => return,
    };
    let event = Happened::new(course.at(heard_at), Who::Node(node), kind, label, text);
    course.push(Happened { messages: vec![message], shards: vec![shard], convicts, ..event });
}

/// What a node says of a shard, or of itself.
fn said(event: &Event<'_>, known: &Known, names: &Names, heard_at: Duration) -> Option<Said> {
    let one = |kind, label: &str, shard| Said {
        kind,
        label: label.to_owned(),
        more: String::new(),
        shard: Some(shard),
        to: None,
    };
    let of_node = |label: &str, more: &str| Said {
        kind: Kind::Life,
        label: label.to_owned(),
        more: more.to_owned(),
        shard: None,
        to: None,
    };
    let name = |number| format!("n{}", known.node(number) + 1);
    let given = |it: Said, arrow, to| Said { to: Some((arrow, known.node(to))), ..it };
    let in_term = |it: Said, term| Said { more: format!(", term {term}"), ..it };
    Some(match *event {
        Event::Vote { shard, term, to } => {
            let vote = one(Kind::Vote, &format!("votes for {} in", name(to)), shard);
            in_term(given(vote, ArrowKind::Vote, to), term)
        }
        Event::Follow { shard, term, to } => {
            in_term(one(Kind::Vote, &format!("follows {} in", name(to)), shard), term)
        }
        Event::ServeBegin { shard, term } => in_term(one(Kind::Lead, "leads", shard), term),
        Event::ServeEnd { shard, term } => in_term(one(Kind::Lead, "no longer leads", shard), term),
        Event::HandOver { shard, to } => {
            let it = one(Kind::Lead, &format!("hands over to {}:", name(to)), shard);
            given(it, ArrowKind::Give, to)
        }
        Event::TakeOver { shard } => one(Kind::Lead, "is asked to lead", shard),
        Event::Apply { shard, index, commands } => Said {
            more: format!(", up to entry {index}, with {commands} commands"),
            ..one(Kind::Applied, "applies", shard)
        },
        Event::Attach { shard, consumer, .. } => one(
            Kind::Connection,
            &format!("{} comes to", names.consumer(heard_at, consumer)),
            shard,
        ),
        Event::Detach { shard, consumer, .. } => {
            one(Kind::Connection, &format!("{} leaves", names.consumer(heard_at, consumer)), shard)
        }
        Event::Prefetch { shard, consumer, prefetch, .. } => {
            let label = format!("{} may hold {prefetch} of", names.consumer(heard_at, consumer));
            one(Kind::Connection, &label, shard)
        }
        Event::SegmentBegin { segment } => {
            Said { shard: None, ..one(Kind::Disk, &format!("begins file {segment}"), 0) }
        }
        Event::SegmentRemove { segment } => {
            Said { shard: None, ..one(Kind::Disk, &format!("removes file {segment}"), 0) }
        }
        Event::SnapshotWrite { shard } => one(Kind::Copy, "writes snapshot of", shard),
        Event::SnapshotInstall { shard } => one(Kind::Copy, "installs snapshot of", shard),
        Event::SnapshotMove { shard, bytes } => Said {
            more: format!(", {bytes} bytes"),
            ..one(Kind::Copy, "has got snapshot of", shard)
        },
        Event::RepairBegin { shard } => one(Kind::Copy, "repairs", shard),
        Event::RepairEnd { shard } => one(Kind::Copy, "has repaired", shard),
        Event::ReplicaAdded { shard, node } => {
            let it = one(Kind::Copy, &format!("gives {} a copy of", name(node)), shard);
            given(it, ArrowKind::Give, node)
        }
        Event::ReplicaPromoted { shard, node } => {
            one(Kind::Copy, &format!("has {} vote in", name(node)), shard)
        }
        Event::ReplicaDropped { shard } => one(Kind::Copy, "drops its copy of", shard),
        Event::NodeNew {} => of_node("empty disk", ", and it asks who knows it"),
        Event::NodeJoined {} => of_node("takes part", ": nobody has known it before"),
        Event::NodeForgot {} => of_node("has forgotten", " what it was"),
        Event::NodeReady {} => of_node("is ready", " for clients"),
        Event::NodeDraining {} => of_node("is to end", ", and begins to"),
        Event::Dispatch { .. }
        | Event::ReadBack { .. }
        | Event::Settle { .. }
        | Event::Release { .. } => return None,
    })
}

/// Adds what was said, or joins it to what the node said just before of other shards.
fn add(
    course: &mut Course,
    latest: &mut BTreeMap<(NodeId, String), usize>,
    at: Nanos,
    node: NodeId,
    said: Said,
    convicts: bool,
) {
    let key = (node, said.label.clone());
    let joins = latest.get(&key).copied().filter(|&it| {
        let event = &course.events[it];
        !convicts && !event.convicts && said.shard.is_some() && at - event.at <= MOMENT
    });
    let n = node + 1;
    if let Some(index) = joins {
        let event = &mut course.events[index];
        event.shards.extend(said.shard);
        event.shards.sort_unstable();
        event.shards.dedup();
        let shards: Vec<String> = event.shards.iter().map(u64::to_string).collect();
        event.label = match shards.len() {
            0..=3 => format!("{} {}", said.label, shards.join(" ")),
            more => format!("{} {more} shards", said.label),
        };
        event.text = format!("n{n} {} shards {}", said.label, shards.join(", "));
        return;
    }
    let (label, text) = match said.shard {
        Some(shard) => (
            format!("{} {shard}", said.label),
            format!("n{n} {} shard {shard}{}", said.label, said.more),
        ),
        None => (said.label.clone(), format!("n{n} {}{}", said.label, said.more)),
    };
    let event = Happened::new(at, Who::Node(node), said.kind, label, text);
    let shards = said.shard.into_iter().collect();
    let index = course.push(Happened { shards, convicts, ..event });
    latest.insert(key, index);
    if let Some((kind, to)) = said.to.filter(|(_, to)| *to != node) {
        let (from, to) = (End::At(index), End::With(Who::Node(to)));
        course.journeys.push(Journey { kind, from, via: None, to, message: None });
    }
}
