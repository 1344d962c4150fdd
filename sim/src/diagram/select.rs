//! Which part of a run is shown: a window of time, and of what is in it the most telling, if it is more
//! than a page can hold. What is not shown is counted.

use std::collections::{BTreeMap, BTreeSet};

use paceline_reports::{
    RunResult,
    trace::{
        Arrow, Band, Conviction, End as Tip, Kind, Lane, LaneKind, LeftOut, Point, Span, SpanKind,
        TRACE_VERSION, Trace, Window,
    },
};
use paceline_scenario::Scenario;

use super::{
    Wanted,
    clients::name_of,
    course::{Course, End, Finding, Happened, Nanos, Who, nanos},
};
use crate::observe::Outcome;

/// The most events that are drawn.
pub const MOST: usize = 340;
/// With more events than these, what replicas apply and journals do is not drawn of every shard.
const FEW: usize = 120;
/// A window that nobody has asked for goes so many telling events back.
pub const USUAL: usize = 240;
/// And so many beyond the moment that it is about.
const AFTER: usize = 30;
/// So many nodes all have their lanes.
const NODES: usize = 9;
/// A lane names so many shards that it leads.
const SHARDS: usize = 3;

/// The diagram of what is to be shown.
pub fn select(
    course: &Course,
    findings: &[Finding],
    scenario: &Scenario,
    result: &RunResult,
    outcome: &Outcome,
    wanted: Wanted,
) -> Trace {
    let (from, to) = window(course, findings, wanted);
    let inside: Vec<usize> = (0..course.events.len())
        .filter(|&it| (from..=to).contains(&course.events[it].at))
        .collect();
    let drawn = most_telling(course, &inside, to);
    let mut left_out: BTreeMap<Kind, u64> = BTreeMap::new();
    for it in inside.iter().filter(|it| !drawn.contains(it)) {
        *left_out.entry(course.events[*it].kind).or_default() += 1;
    }
    let count = |holds: fn(Nanos, Nanos) -> bool, of: Nanos| {
        course.events.iter().filter(|it| holds(it.at, of)).count() as u64
    };
    let seconds = |at: Nanos| at as f64 / 1e9;
    let window = Window {
        from_s: seconds(from),
        to_s: seconds(to),
        run_s: seconds(course.end),
        before: count(|at, from| at < from, from),
        after: count(|at, to| at > to, to),
    };
    let chosen = Chosen::of(course, &drawn, from, to, scenario);
    let points = chosen.points();
    let drawn_of = |it: &Finding| {
        let mine = |at: &&usize| {
            let event = &course.events[**at];
            event.convicts
                && (it.at == Some(event.at)
                    || event.messages.iter().any(|message| it.messages.contains(message))
                    || (it.messages.is_empty() && event.kind != Kind::Verdict))
        };
        chosen.events.iter().filter(mine).map(|at| chosen.points[at]).collect()
    };
    let convictions = findings.iter().map(|it| Conviction {
        check: it.check.clone(),
        detail: it.detail.clone(),
        points: drawn_of(it),
    });
    Trace {
        schema_version: TRACE_VERSION,
        identity: result.identity.clone(),
        verdict: result.verdict,
        fingerprint: outcome.fingerprint.clone(),
        window,
        convictions: convictions.collect(),
        lanes: chosen.named_lanes(),
        messages: chosen.messages.iter().map(|it| course.messages[*it].clone()).collect(),
        destinations: outcome.history.destinations.iter().map(|it| it.name.to_string()).collect(),
        points,
        arrows: chosen.arrows(),
        spans: chosen.spans(),
        bands: chosen.bands(),
        left_out: left_out.into_iter().map(|(kind, count)| LeftOut { kind, count }).collect(),
    }
}

/// Whether an event counts where it is decided how far a window goes.
fn is_telling(event: &Happened) -> bool {
    !matches!(event.kind, Kind::Applied | Kind::Disk)
}

/// The time that is shown: what was asked for, all that there is, or the surroundings of the first
/// violation, from the first event on that convicts.
fn window(course: &Course, findings: &[Finding], wanted: Wanted) -> (Nanos, Nanos) {
    let first = course.events.first().map_or(0, |it| it.at);
    let last = course.events.last().map_or(course.end, |it| it.at).max(course.end);
    let begin = if course.events.iter().any(|it| it.at > 0) { 0 } else { first };
    let convicting: Vec<Nanos> = course
        .events
        .iter()
        .filter(|it| it.convicts && it.kind != Kind::Verdict)
        .map(|it| it.at)
        .collect();
    let violated = findings.iter().filter_map(|it| it.at).min();
    let moment = violated.or(convicting.last().copied()).unwrap_or(last);
    if let Some(last) = wanted.last {
        let to = wanted.to.map_or(if findings.is_empty() { course.end } else { moment }, nanos);
        return (to - nanos(last), to);
    }
    if wanted.from.is_some() || wanted.to.is_some() {
        let to = wanted.to.map_or(last, nanos);
        return (wanted.from.map_or(begin, nanos).min(to), to);
    }
    let telling: Vec<Nanos> =
        course.events.iter().filter(|it| is_telling(it)).map(|it| it.at).collect();
    let since = telling.partition_point(|at| *at < begin);
    if telling.len() - since <= USUAL {
        return (begin.min(convicting.first().copied().unwrap_or(begin)), last);
    }
    let at = telling.partition_point(|at| *at <= moment);
    let to = telling[(at + AFTER).min(telling.len()) - 1].max(moment);
    let from = telling[at.saturating_sub(USUAL).max(since).min(telling.len() - 1)];
    (from.min(convicting.first().copied().unwrap_or(from)), to)
}

/// The events that are drawn: whole lives of messages, and what else happened, by what they tell and
/// then by how near they are to what convicts, or to the end.
fn most_telling(course: &Course, inside: &[usize], to: Nanos) -> BTreeSet<usize> {
    let convicts = |it: &&usize| course.events[**it].convicts;
    let marks = |holds: &dyn Fn(&Happened) -> bool| -> Vec<Nanos> {
        let events = inside.iter().map(|it| &course.events[*it]);
        events.filter(|it| holds(it)).map(|it| it.at).collect()
    };
    // Where nothing convicts, what disturbs is the thing to see.
    let mut near = marks(&|it| it.convicts);
    let nothing_convicts = near.is_empty();
    if nothing_convicts {
        let disturbs = [Kind::Fault, Kind::Change, Kind::Life, Kind::Lead];
        near = marks(&|it| disturbs.contains(&it.kind));
    }
    let distance = |at: Nanos| {
        let after = near.partition_point(|mark| *mark < at);
        let beside = [near.get(after), after.checked_sub(1).and_then(|it| near.get(it))];
        let nearest = beside.into_iter().flatten().map(|mark| mark.abs_diff(at)).min();
        nearest.unwrap_or_else(|| to.abs_diff(at))
    };
    let shards: BTreeSet<u64> = inside
        .iter()
        .filter(convicts)
        .flat_map(|it| course.events[*it].shards.iter().copied())
        .collect();
    // Among much else, what is only written down tells nothing but where something went wrong.
    let tells = |it: &&usize| {
        let event = &course.events[**it];
        is_telling(event) || event.shards.iter().any(|it| shards.contains(it))
    };
    let told: Vec<usize> = match inside.len() > FEW && inside.iter().any(|it| tells(&it)) {
        true => inside.iter().filter(tells).copied().collect(),
        false => inside.to_vec(),
    };
    if told.len() <= MOST {
        return told.into_iter().collect();
    }
    let weight = |event: &Happened| {
        let is_near = nothing_convicts || event.shards.iter().any(|it| shards.contains(it));
        match (event.kind, is_near) {
            _ if event.convicts => 100,
            (Kind::Verdict, _) => 99,
            (Kind::Fault | Kind::Change | Kind::Life, _) => 90,
            (Kind::Lead, true) => 80,
            (Kind::Vote | Kind::Copy, true) => 70,
            (Kind::Lead, false) => 45,
            (Kind::Vote | Kind::Copy, false) => 40,
            (Kind::Connection, _) => 30,
            (Kind::Applied, true) => 20,
            (Kind::Applied | Kind::Disk, _) => 10,
            (_, true) => 60,
            (_, false) => 50,
        }
    };
    // A message's events stand or fall together, but for those that convict.
    let mut groups: BTreeMap<(bool, usize), Vec<usize>> = BTreeMap::new();
    for it in told {
        let event = &course.events[it];
        let key = match event.messages.first() {
            Some(message) if !event.convicts => (true, *message),
            _ => (false, it),
        };
        groups.entry(key).or_default().push(it);
    }
    let mut groups: Vec<(i32, u64, Vec<usize>)> = groups
        .into_values()
        .map(|events| {
            let all = events.iter().map(|it| &course.events[*it]);
            let weight = all.clone().map(weight).max().unwrap_or(0);
            let near = all.map(|it| distance(it.at)).min().unwrap_or(0);
            (-weight, near, events)
        })
        .collect();
    groups.sort();
    let mut drawn = BTreeSet::new();
    for (_, _, events) in groups {
        if drawn.len() + events.len() <= MOST {
            drawn.extend(events);
        }
    }
    drawn
}

/// What is drawn, with numbers of its own.
struct Chosen<'a> {
    course: &'a Course,
    from: Nanos,
    to: Nanos,
    /// In order.
    events: Vec<usize>,
    /// The point of each event.
    points: BTreeMap<usize, usize>,
    lanes: BTreeMap<Who, usize>,
    /// In order.
    messages: BTreeSet<usize>,
    /// Of what is drawn.
    shards: BTreeSet<u64>,
}

impl<'a> Chosen<'a> {
    fn of(
        course: &'a Course,
        drawn: &BTreeSet<usize>,
        from: Nanos,
        to: Nanos,
        scenario: &Scenario,
    ) -> Self {
        let events: Vec<usize> = drawn.iter().copied().collect();
        let points = events.iter().enumerate().map(|(point, it)| (*it, point)).collect();
        let all = || events.iter().map(|it| &course.events[*it]);
        let mut who: BTreeSet<Who> = all().filter_map(|it| it.who).collect();
        for journey in &course.journeys {
            let mut at = [journey.from, journey.to].into_iter().filter_map(|it| match it {
                End::At(event) => Some(event),
                End::With(_) => None,
            });
            if at.all(|it| drawn.contains(&it)) {
                let ends = [journey.from, journey.to].into_iter().filter_map(|it| match it {
                    End::At(_) => None,
                    End::With(who) => Some(who),
                });
                who.extend(ends.chain(journey.via));
            }
        }
        let nodes = scenario.node_count();
        if nodes as usize <= NODES {
            let there = |node: &u32| {
                !course.spans.iter().any(|it| {
                    it.node == *node && it.kind == SpanKind::Down && it.from <= from && it.to >= to
                })
            };
            who.extend((0..nodes).filter(there).map(Who::Node));
        }
        if who.is_empty() {
            who.insert(Who::Node(0));
        }
        let lanes = who.into_iter().enumerate().map(|(lane, who)| (who, lane)).collect();
        let messages = all().flat_map(|it| it.messages.iter().copied()).collect();
        let shards = all()
            .filter(|it| !it.messages.is_empty() || matches!(it.kind, Kind::Lead) || it.convicts)
            .flat_map(|it| it.shards.iter().copied())
            .collect();
        Self { course, from, to, events, points, lanes, messages, shards }
    }

    fn message(&self, message: usize) -> Option<usize> {
        self.messages.contains(&message).then(|| self.messages.range(..message).count())
    }

    fn points(&self) -> Vec<Point> {
        let point = |it: &usize| {
            let event = &self.course.events[*it];
            Point {
                at_s: event.at as f64 / 1e9,
                lane: event.who.map(|who| self.lanes[&who]),
                kind: event.kind,
                label: event.label.clone(),
                text: event.text.clone(),
                messages: event.messages.iter().filter_map(|it| self.message(*it)).collect(),
                destination: event.destination,
                shards: event.shards.clone(),
                convicts: event.convicts,
            }
        };
        self.events.iter().map(point).collect()
    }

    fn arrows(&self) -> Vec<Arrow> {
        let tip = |end: End| match end {
            End::At(event) => self.points.get(&event).map(|it| Tip::Point(*it)),
            End::With(who) => self.lanes.get(&who).map(|it| Tip::Lane(*it)),
        };
        let arrow = |it: &super::course::Journey| {
            Some(Arrow {
                kind: it.kind,
                from: tip(it.from)?,
                via: it.via.and_then(|via| self.lanes.get(&via).copied()),
                to: tip(it.to)?,
                message: it.message.and_then(|it| self.message(it)),
            })
        };
        self.course.journeys.iter().filter_map(arrow).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for it in &self.course.spans {
            let Some(&lane) = self.lanes.get(&Who::Node(it.node)) else { continue };
            let is_drawn = it.shard.is_none_or(|shard| self.shards.contains(&shard));
            let (from, to) = (it.from.max(self.from), it.to.min(self.to));
            if !is_drawn || from > to {
                continue;
            }
            let (n, shard) = (it.node + 1, it.shard.unwrap_or(0));
            let what = match it.kind {
                SpanKind::Leads => format!("n{n} leads shard {shard} in term {}", it.term),
                SpanKind::Repairs => format!("n{n} repairs its copy of shard {shard}"),
                SpanKind::Down => format!("n{n} is not there"),
            };
            let begin = if it.from < self.from { String::new() } else { moment("from", it.from) };
            let end = if it.to > self.to { String::new() } else { moment(" until", it.to) };
            spans.push(Span {
                lane,
                kind: it.kind,
                from_s: from as f64 / 1e9,
                to_s: to as f64 / 1e9,
                shard: it.shard,
                text: format!("{what} {begin}{end}").trim_end().to_owned(),
            });
        }
        spans
    }

    fn bands(&self) -> Vec<Band> {
        let mut bands = Vec::new();
        for (mark, is_change, nodes) in &self.course.bands {
            let (from, to) = (self.from as f64 / 1e9, self.to as f64 / 1e9);
            let mut mark = mark.clone();
            let until = mark.until_s.unwrap_or(mark.at_s);
            if mark.at_s > to || until < from {
                continue;
            }
            mark.at_s = mark.at_s.max(from);
            mark.until_s = mark.until_s.map(|it| it.min(to).max(mark.at_s));
            let is_of_it = |who: &Who| match who {
                Who::Node(node) => nodes.is_empty() || nodes.contains(node),
                _ => false,
            };
            let lanes = self.lanes.iter().filter(|(who, _)| is_of_it(who));
            let lanes = lanes.map(|(_, lane)| *lane).collect();
            bands.push(Band { mark, lanes, is_change: *is_change });
        }
        bands
    }

    fn named_lanes(&self) -> Vec<Lane> {
        let lane = |who: &Who| Lane {
            name: name_of(*who),
            kind: match who {
                Who::Producer(_) => LaneKind::Producer,
                Who::Node(_) => LaneKind::Node,
                Who::Consumer(_) => LaneKind::Consumer,
            },
            at_first: self.at_first(*who),
        };
        self.lanes.keys().map(lane).collect()
    }

    /// What a node does when the window begins.
    fn at_first(&self, who: Who) -> String {
        let Who::Node(node) = who else { return String::new() };
        let holds = |it: &&super::course::Lasted| {
            it.node == node && it.from < self.from && it.to >= self.from
        };
        let now: Vec<_> = self.course.spans.iter().filter(holds).collect();
        if now.iter().any(|it| it.kind == SpanKind::Down) {
            return "not there".into();
        }
        let led: BTreeSet<u64> =
            now.iter().filter(|it| it.kind == SpanKind::Leads).filter_map(|it| it.shard).collect();
        match led.len() {
            0 => String::new(),
            1..=SHARDS => {
                let led: Vec<String> = led.iter().map(u64::to_string).collect();
                format!("leads {}", led.join(" "))
            }
            more => format!("leads {more}"),
        }
    }
}

/// `until 1.200000 s`.
fn moment(word: &str, at: Nanos) -> String {
    format!("{word} {:.6} s", at as f64 / 1e9)
}
