//! A queue is first in, first out, over all its producers, consumers and leaders.
//!
//! The leader says when it hands a message out. A message that its producer was told has been taken
//! stands in its queue before any that is sent later, by whomever, and so does what a producer has sent
//! before over the same connection; such a message must be handed out first, unless its priority is
//! lower. This is looked at three times, when the run is over:
//!
//! - over the whole run, where the first time that a message is handed out counts, and a message that
//!   is never handed out is overtaken by all that come after it;
//! - within each leadership, where the first time under this leader counts: a new leader hands out
//!   what it finds in the order of the queue;
//! - at the consumer, which must get what one leader hands it in the order in which it was handed out;
//!   and for topics, where the leader says nothing of the destination, by what arrives over each
//!   connection.
//!
//! Where consumers select one part of the messages each, this holds within each part.
//!
//! What is promised less is asked less. Where messages are put off nothing is asked. A message that may
//! have expired need not come any more. What is not stored may be lost with its leader, and its producer
//! is told that all is well even so: it need not come, but where it does it is in its place. A message
//! that a transaction was about to acknowledge when its leader went stands back until that is decided.
//! Of a message whose id no leader that handed it out ever had at hand, nothing is known.

mod precedence;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use precedence::{Entry, Turn, overtaken};

use super::{
    End, Found, HashMap, HashSet,
    step::{NameId, Steps},
    trail::{Handed, Trail},
};
use crate::workload::{
    history::History,
    ids::{ConnectionId, DestinationId},
    operation::{MessageId, Publish, TransactionId},
};

/// What reports call the check.
pub const NAME: &str = "fifo";

/// The priority of a message that names none.
const USUAL_PRIORITY: u8 = 4;

/// The most pairs told of one queue.
const TOLD: usize = 2;

/// Everything that is wrong, one sentence each.
pub fn judge(history: &History, end: &End, trail: &Trail, names: &mut Steps) -> Vec<Found> {
    let messages: HashMap<NameId, MessageId> =
        history.deliveries.iter().map(|it| (names.name(&it.broker_id), it.id)).collect();
    let queues: Vec<NameId> = history.destinations.iter().map(|it| names.name(&it.name)).collect();
    let handed = trail.handed_in_full();
    let out = Out::of(history, &messages, &queues, &handed);
    let judge = Judge { history, end, names, out: &out };
    let mut found = judge.queues();
    found.extend(judge.leaderships());
    found.extend(judge.topics());
    found.extend(arrivals(history, &messages, names, &handed));
    found
}

/// Messages of a queue that their consumers select alike: first in, first out among themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    destination: DestinationId,
    part: u32,
}

impl Line {
    fn of(history: &History, id: MessageId, publish: &Publish) -> Self {
        Self { destination: publish.destination, part: history.part_of(id) }
    }
}

/// One message handed out, and its number among all.
#[derive(Clone, Copy, Debug)]
struct HandedOut<'a> {
    id: MessageId,
    turn: Turn,
    what: &'a Handed,
}

/// What was handed out from the queues.
#[derive(Debug, Default)]
struct Out<'a> {
    /// The first time of each message.
    first: BTreeMap<MessageId, HandedOut<'a>>,
    /// By line and leadership, in order, only the first time of each message.
    by_life: BTreeMap<(Line, u32), Vec<HandedOut<'a>>>,
}

impl<'a> Out<'a> {
    fn of(
        history: &History,
        messages: &HashMap<NameId, MessageId>,
        queues: &[NameId],
        handed: &'a [Handed],
    ) -> Self {
        let mut out = Self::default();
        let mut seen = HashSet::default();
        for (number, what) in (0..).zip(handed) {
            let Some(&id) = what.id.and_then(|id| messages.get(&id)) else { continue };
            let Some(publish) = history.publish(id) else { continue };
            if history.destination(publish.destination).delayed {
                continue;
            }
            // A dead letter stands on another queue.
            if what.queue != Some(queues[publish.destination.0 as usize]) {
                continue;
            }
            let handed_out = HandedOut { id, turn: Turn(what.at, number), what };
            out.first.entry(id).or_insert(handed_out);
            if seen.insert((id, what.life)) {
                let life = (Line::of(history, id, publish), what.life);
                out.by_life.entry(life).or_default().push(handed_out);
            }
        }
        out
    }
}

struct Judge<'a> {
    history: &'a History,
    end: &'a End,
    names: &'a Steps,
    out: &'a Out<'a>,
}

/// Lines of messages that one producer sent one after the other, numbered.
#[derive(Debug, Default)]
struct Lines(HashMap<(ConnectionId, Option<TransactionId>, bool), u32>);

impl Lines {
    /// Persistent and other messages take different ways, and a transaction is stored when it
    /// commits.
    fn of(&mut self, publish: &Publish) -> u32 {
        let next = self.0.len() as u32;
        let line = (publish.connection, publish.transaction, publish.persistent);
        *self.0.entry(line).or_insert(next)
    }
}

impl Judge<'_> {
    /// Over the whole run.
    fn queues(&self) -> Vec<Found> {
        let mut queues: BTreeMap<Line, Vec<Entry>> = BTreeMap::new();
        let mut lines = Lines::default();
        for (id, publish) in self.history.all_publishes() {
            let queue = self.history.destination(publish.destination);
            if queue.topic || queue.delayed {
                continue;
            }
            let out = self.out.first.get(&id).map(|it| it.turn);
            let until = match out {
                Some(turn) => turn,
                None if self.is_owed(id, publish) => Turn::NEVER,
                None => Turn::FIRST,
            };
            let entry = self.entry(id, publish, lines.of(publish), out, until);
            queues.entry(Line::of(self.history, id, publish)).or_default().push(entry);
        }
        let mut found = Vec::new();
        for (queue, entries) in queues {
            let name = &self.history.destination(queue.destination).name;
            for (first, by) in earliest(&entries) {
                let by_whom = &self.out.first[&by.id];
                let then = match self.out.first.get(&first.id) {
                    Some(it) => format!("before {}, {}", first.id, self.handed(it)),
                    None => format!("and {} never", first.id),
                };
                let detail = format!(
                    "{} of {name}, {}, was handed out {then}; but {}",
                    by.id,
                    self.handed(by_whom),
                    self.why(first, by)
                );
                found.push(Found::about(detail, [first.id, by.id]));
            }
        }
        found
    }

    /// Within each leadership.
    fn leaderships(&self) -> Vec<Found> {
        let undecided = self.undecided();
        let mut found = Vec::new();
        for ((queue, _), handed) in &self.out.by_life {
            let mut handed = handed.clone();
            // What was handed out for the first time has been looked at.
            if handed.iter().all(|it| self.out.first[&it.id].turn == it.turn) {
                continue;
            }
            handed.sort_by_key(|it| it.id);
            let mut lines = Lines::default();
            let entries: Vec<Entry> = handed
                .iter()
                .map(|it| {
                    let publish = self.history.publish(it.id).expect("it was sent");
                    let stands_back =
                        undecided.get(&it.id).is_some_and(|since| *since <= it.turn.0);
                    let until = if stands_back { Turn::FIRST } else { it.turn };
                    self.entry(it.id, publish, lines.of(publish), Some(it.turn), until)
                })
                .collect();
            let name = &self.history.destination(queue.destination).name;
            for (first, by) in earliest(&entries) {
                let is_first = |entry: &Entry| Some(self.out.first[&entry.id].turn) == entry.out;
                if is_first(first) && is_first(by) {
                    continue;
                }
                let of = |entry: &Entry| {
                    let at = handed.binary_search_by_key(&entry.id, |it| it.id);
                    self.handed(&handed[at.expect("it is one of them")])
                };
                let detail = format!(
                    "{} of {name}, {}, was handed out before {}, {}, by one leader; but {}",
                    by.id,
                    of(by),
                    first.id,
                    of(first),
                    self.why(first, by)
                );
                found.push(Found::about(detail, [first.id, by.id]));
            }
        }
        found
    }

    /// What arrives from topics over each connection.
    fn topics(&self) -> Vec<Found> {
        let mut arrived: BTreeMap<(DestinationId, ConnectionId), BTreeMap<MessageId, Turn>> =
            BTreeMap::new();
        for (number, delivery) in (0..).zip(&self.history.deliveries) {
            let info = delivery.destination.map(|it| self.history.destination(it));
            // What comes again may have stood back, in a transaction that came to nothing, say.
            let stood_back = info.is_some_and(|info| info.kept) && delivery.redelivered;
            let is_topic = info.is_some_and(|info| info.topic && !info.delayed) && !stood_back;
            let topic = delivery.destination.filter(|_| is_topic);
            if let Some(topic) = topic {
                let arrived = arrived.entry((topic, delivery.connection)).or_default();
                arrived.entry(delivery.id).or_insert(Turn(delivery.at, number));
            }
        }
        let mut found = Vec::new();
        for ((topic, _), arrived) in arrived {
            let mut lines = Lines::default();
            let entries: Vec<Entry> = arrived
                .iter()
                .filter_map(|(id, turn)| {
                    let publish = self.history.publish(*id)?;
                    Some(self.entry(*id, publish, lines.of(publish), Some(*turn), *turn))
                })
                .collect();
            let name = &self.history.destination(topic).name;
            for (first, by) in earliest(&entries) {
                let detail = format!(
                    "{} of {name} reached c{} before {}; but {}",
                    by.id,
                    self.history.deliveries[by.out.expect("it arrived").1 as usize].client.0,
                    first.id,
                    self.why(first, by)
                );
                found.push(Found::about(detail, [first.id, by.id]));
            }
        }
        found
    }

    fn entry(
        &self,
        id: MessageId,
        publish: &Publish,
        line: u32,
        out: Option<Turn>,
        until: Turn,
    ) -> Entry {
        let reply = publish.reply.filter(|_| publish.is_acknowledged());
        // From then on it may be gone.
        let expires = publish.expires.map(|at| Turn(at.saturating_sub(self.end.clock_error), 0));
        Entry {
            id,
            priority: publish.priority.unwrap_or(USUAL_PRIORITY),
            sent: publish.sent,
            in_place: reply.map(|(at, _)| at),
            line: Some(line),
            out,
            until: expires.map_or(until, |expires| until.min(expires)),
        }
    }

    /// Whether a message that was never handed out should have been. One that expires, or that
    /// sending settles, may have been on its way to a consumer that never had it: the leader's name of
    /// it is known from what arrives.
    fn is_owed(&self, id: MessageId, publish: &Publish) -> bool {
        let is_settled_for_good = self.end.drained && self.end.allowed_lost == 0;
        is_settled_for_good
            && publish.persistent
            && publish.is_acknowledged()
            && publish.expires.is_none()
            && !self.history.destination(publish.destination).auto_ack
            && !self.history.delivered.contains_key(&id)
    }

    /// Messages that a transaction was to acknowledge, and since when.
    fn undecided(&self) -> HashMap<MessageId, Duration> {
        let mut undecided = HashMap::default();
        for settle in &self.history.settles {
            for delivery in &settle.deliveries {
                let id = self.history.deliveries[*delivery as usize].id;
                let destination = self.history.publish(id).map(|it| it.destination);
                let may_prepare = |it| self.history.destination(it).distributed;
                if settle.deliveries.len() > 1 || destination.is_some_and(may_prepare) {
                    undecided.entry(id).or_insert(settle.sent);
                }
            }
        }
        undecided
    }

    fn handed(&self, handed: &HandedOut<'_>) -> String {
        let what = handed.what;
        format!(
            "at {:.6}s to {} by n{} in term {}",
            what.at.as_secs_f64(),
            self.names.text(what.consumer),
            what.node + 1,
            what.term
        )
    }

    fn why(&self, first: &Entry, by: &Entry) -> String {
        match first.in_place {
            Some(at) if at <= by.sent => format!(
                "{} was acknowledged at {:.6}s and {} sent at {:.6}s",
                first.id,
                at.as_secs_f64(),
                by.id,
                by.sent.as_secs_f64()
            ),
            _ => format!("{} was sent first over the same connection", first.id),
        }
    }
}

/// The pairs of a queue to tell: of those overtaken, who overtook, the first of all first.
fn earliest(entries: &[Entry]) -> impl Iterator<Item = (&Entry, &Entry)> {
    let mut found = overtaken(entries);
    found.sort_by_key(|(_, by)| entries[*by].out);
    found.into_iter().take(TOLD).map(|(first, by)| (&entries[first], &entries[by]))
}

/// Whether consumers get what a leader hands them in that order. Only messages that were handed out
/// once and arrived once tell: there is no doubt which arrival belongs to what.
fn arrivals(
    history: &History,
    messages: &HashMap<NameId, MessageId>,
    names: &Steps,
    handed: &[Handed],
) -> Vec<Found> {
    let mut times: HashMap<MessageId, u32> = HashMap::default();
    let id_of = |handed: &Handed| handed.id.and_then(|id| messages.get(&id)).copied();
    for id in handed.iter().filter_map(id_of) {
        *times.entry(id).or_default() += 1;
    }
    let mut latest: HashMap<(NameId, u32), (u32, MessageId)> = HashMap::default();
    let mut found = Vec::new();
    for what in handed {
        let Some(id) = id_of(what).filter(|id| times[id] == 1) else { continue };
        let [arrival] = history.delivered.get(&id).map_or(&[][..], Vec::as_slice) else { continue };
        let (last, before) = latest.entry((what.consumer, what.life)).or_insert((*arrival, id));
        if *arrival < *last && found.len() < TOLD {
            let at = |arrival: u32| history.deliveries[arrival as usize].at.as_secs_f64();
            let detail = format!(
                "n{} handed {before} to {} in term {} before {id}, and they arrived the other way \
                 round, at {:.6}s and {:.6}s",
                what.node + 1,
                names.text(what.consumer),
                what.term,
                at(*last),
                at(*arrival)
            );
            found.push(Found::about(detail, [*before, id]));
        }
        if *arrival > *last {
            (*last, *before) = (*arrival, id);
        }
    }
    found
}
