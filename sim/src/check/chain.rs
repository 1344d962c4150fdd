//! What became of a message, in the order it happened: who sent it through which node, what it was
//! told, which leaders handed it to whom, what arrived where, and how it was settled.

use std::{collections::BTreeSet, time::Duration};

use super::{
    HashMap,
    step::{NameId, Steps, Subject},
    trail::{Handed, Trail},
};
use crate::workload::{
    history::History,
    ids::ConnectionId,
    operation::{How, MessageId, Publish, Reply},
};

/// The most events told of one message; of more, the first and the last.
const TOLD: usize = 20;

/// Tells what became of messages.
pub struct Chains<'a> {
    history: &'a History,
    trail: &'a Trail,
    names: &'a Steps,
    handed: Vec<Handed>,
    /// The broker's names of messages that have arrived.
    messages: HashMap<NameId, MessageId>,
}

/// When it happened and what.
type Line = (Duration, String);

impl<'a> Chains<'a> {
    /// Over all that is known at the end of a run.
    pub fn new(history: &'a History, trail: &'a Trail, names: &'a mut Steps) -> Self {
        let messages =
            history.deliveries.iter().map(|it| (names.name(&it.broker_id), it.id)).collect();
        Self { history, trail, names, handed: trail.handed_in_full(), messages }
    }

    /// What became of one message: a line that names it, and one for each event.
    pub fn of(&self, subject: Subject) -> Vec<String> {
        let id = self.message(subject);
        let handed: Vec<&Handed> = match (id, subject) {
            (Some(id), _) => self.handed.iter().filter(|it| self.is(it, id)).collect(),
            (None, Subject::Placed { shard, message }) => {
                self.handed.iter().filter(|it| (it.shard, it.message) == (shard, message)).collect()
            }
            (None, Subject::Named(name)) => {
                self.handed.iter().filter(|it| it.id == Some(name)).collect()
            }
            (None, Subject::Sent(_)) => Vec::new(),
        };
        let mut lines = Vec::new();
        let publish = id.and_then(|id| self.history.publish(id));
        if let Some((id, publish)) = id.zip(publish) {
            self.publish(id, publish, &mut lines);
        }
        self.handed(&handed, &mut lines);
        if let Some(id) = id {
            self.deliveries(id, &mut lines);
        }
        lines.sort_by_key(|(at, _)| *at);

        let name = match (id, subject) {
            (Some(id), _) => id.to_string(),
            (None, Subject::Placed { shard, message }) => {
                format!("message {} of shard {shard}", self.names.text(message))
            }
            (None, Subject::Named(name)) => self.names.text(name).to_owned(),
            (None, Subject::Sent(id)) => id.to_string(),
        };
        let what = publish.map_or(String::new(), |publish| self.what(publish));
        let leader = handed.last().map_or(String::new(), |it| self.leader(it.shard));
        let told = cut(lines).into_iter();
        std::iter::once(format!("{name}{what}{leader}:")).chain(told).collect()
    }

    /// The client's name of the message, if it is known.
    fn message(&self, subject: Subject) -> Option<MessageId> {
        match subject {
            Subject::Sent(id) => Some(id),
            Subject::Named(name) => self.messages.get(&name).copied(),
            Subject::Placed { shard, message } => {
                let of_it = |it: &&Handed| (it.shard, it.message) == (shard, message);
                // What is not stored is numbered anew in each leadership: the last is meant.
                let name = self.handed.iter().rev().filter(of_it).find_map(|it| it.id)?;
                self.messages.get(&name).copied()
            }
        }
    }

    fn is(&self, handed: &Handed, id: MessageId) -> bool {
        handed.id.and_then(|name| self.messages.get(&name)) == Some(&id)
    }

    /// ` of q, persistent, priority 4, 10 bytes`.
    fn what(&self, publish: &Publish) -> String {
        let name = &self.history.destination(publish.destination).name;
        let kind = if publish.persistent { "persistent" } else { "not persistent" };
        let mut what = format!(" of {name}, {kind}, {} bytes", publish.bytes);
        if let Some(priority) = publish.priority {
            what.push_str(&format!(", priority {priority}"));
        }
        if let Some(transaction) = publish.transaction {
            what.push_str(&format!(", in transaction {}", transaction.0));
        }
        if let Some(expires) = publish.expires {
            what.push_str(&format!(", expires at {:.6}s", expires.as_secs_f64()));
        }
        what
    }

    fn leader(&self, shard: u64) -> String {
        match self.trail.leaders.get(&shard) {
            Some((at, node, term)) => format!(
                "; shard {shard}, led by n{} in term {term} since {:.6}s",
                node + 1,
                at.as_secs_f64()
            ),
            None => format!("; shard {shard}"),
        }
    }

    fn publish(&self, id: MessageId, publish: &Publish, lines: &mut Vec<Line>) {
        let (producer, connection) = (id.producer, publish.connection);
        let through = self.through(connection);
        lines.push((publish.sent, format!("sent by producer p{producer} {through}")));
        if let Some((at, reply)) = publish.reply {
            lines.push((
                at,
                match reply {
                    Reply::Ok => "acknowledged to its producer".to_owned(),
                    Reply::Failed => "refused, as its producer was told".to_owned(),
                    Reply::Unknown => format!("given up{}", self.error(connection)),
                },
            ));
        }
    }

    fn handed(&self, handed: &[&Handed], lines: &mut Vec<Line>) {
        for it in handed {
            let marked = if it.redelivered { ", marked as redelivered" } else { "" };
            lines.push((
                it.at,
                format!(
                    "handed to {} by n{} in term {} as {}{marked}; it holds {} and may hold {} \
                     more",
                    self.names.text(it.consumer),
                    it.node + 1,
                    it.term,
                    self.names.text(it.message),
                    it.in_flight,
                    it.credit
                ),
            ));
            let left = self.trail.left.iter().find(|left| {
                (left.shard, left.term, left.consumer) == (it.shard, it.term, it.consumer)
                    && left.at >= it.at
            });
            if let Some(left) = left {
                let consumer = self.names.text(left.consumer);
                lines.push((
                    left.at,
                    format!("{consumer} left n{} in term {}", left.node + 1, left.term),
                ));
            }
        }
        let ended = self.trail.ended.iter().filter(|ended| {
            handed.iter().any(|it| (it.shard, it.message) == (ended.shard, ended.message))
        });
        for it in ended {
            let how = if it.is_settled { "settled" } else { "given back" };
            let consumer = self.names.text(it.consumer);
            lines.push((
                it.at,
                format!("{how} for {consumer} at n{} in term {}", it.node + 1, it.term),
            ));
        }
        lines.sort_unstable();
        lines.dedup();
    }

    fn deliveries(&self, id: MessageId, lines: &mut Vec<Line>) {
        let indices = self.history.delivered.get(&id).map_or(&[][..], Vec::as_slice);
        let mut closed = BTreeSet::new();
        for index in indices {
            let it = &self.history.deliveries[*index as usize];
            let (client, through) = (it.client.0, self.through(it.connection));
            let marked = if it.redelivered { ", marked as redelivered" } else { "" };
            let from = if it.destination.is_none() { " as a dead letter" } else { "" };
            lines.push((it.at, format!("reached c{client}{from} {through}{marked}")));
            let settles = self.history.settles.iter().filter(|it| it.deliveries.contains(index));
            for settle in settles {
                let how = match settle.how {
                    How::Accept => "ACK",
                    How::Reject => "NACK",
                    How::Poison => "POISON",
                };
                let others = match settle.deliveries.len() - 1 {
                    0 => String::new(),
                    others => format!(", with {others} others"),
                };
                lines.push((settle.sent, format!("c{client} sent {how}{others}")));
                if let Some((at, reply)) = settle.reply {
                    lines.push((at, format!("c{client} was told of its {how}: {reply}")));
                }
            }
            let closings = self.history.closings.iter().filter(|it| it.unseen.contains(index));
            for closing in closings {
                lines.push((closing.sent, format!("c{client} said that it has not looked at it")));
            }
            closed.insert((it.connection, client));
        }
        for (connection, client) in closed {
            if let Some(at) = self.history.closed.get(&connection) {
                let error = self.error(connection);
                lines.push((*at, format!("c{client} lost its connection{error}")));
            }
        }
    }

    fn through(&self, connection: ConnectionId) -> String {
        match self.history.nodes.get(&connection) {
            Some(node) => format!("through {node}, connection {}", connection.0),
            None => format!("over connection {}", connection.0),
        }
    }

    fn error(&self, connection: ConnectionId) -> String {
        let error = self.history.errors.get(&connection);
        error.map_or(String::new(), |error| format!(": {error}"))
    }
}

/// In words; of too many, those in the middle are left out.
fn cut(lines: Vec<Line>) -> Vec<String> {
    let words = |(at, what): &Line| format!("  {:.6}s {what}", at.as_secs_f64());
    if lines.len() <= TOLD {
        return lines.iter().map(words).collect();
    }
    let (first, last) = (&lines[..TOLD / 2], &lines[lines.len() - TOLD / 2..]);
    let between = format!("  … {} more", lines.len() - TOLD);
    first.iter().map(words).chain([between]).chain(last.iter().map(words)).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            step::{Step, What},
            testing::*,
        },
        *,
    };

    /// A message that was handed out twice and settled.
    fn told() -> (Told, Trail, Steps, MessageId) {
        let (mut told, mut trail, mut names) = (Told::new(), Trail::default(), Steps::default());
        told.history.nodes.insert(ConnectionId(0), "n2".into());
        let id = told.publish(QUEUE);
        told.deliver(id, true);
        told.accept(id);
        told.history.closed.insert(ConnectionId(100), Duration::from_millis(900));
        told.history.errors.insert(ConnectionId(100), "timed out".into());
        let (consumer, message) = (names.name("n1.7"), names.name("17.0.0"));
        let (id_name, queue) = (names.name(&format!("id-{id}")), names.name("q"));
        let mut hand_out = |at: u64, node, term, id, marked| {
            let at = Duration::from_millis(at);
            trail.step(&Step { at, node, what: What::ServeBegin { shard: 3, term } });
            let what = What::Dispatch {
                shard: 3,
                term,
                consumer,
                message,
                id,
                queue: id.map(|_| queue),
                priority: 4,
                redelivered: marked,
                in_flight: 2,
                credit: 6,
            };
            trail.step(&Step { at, node, what });
        };
        hand_out(100, 0, 1, Some(id_name), false);
        hand_out(200, 1, 2, Some(id_name), true);
        let what = What::Settle { shard: 3, term: 2, consumer, message };
        trail.step(&Step { at: Duration::from_millis(300), node: 1, what });
        (told, trail, names, id)
    }

    #[test]
    fn everything_that_is_known_is_told_in_order() {
        let (told, trail, mut names, id) = told();
        let placed = Subject::Placed { shard: 3, message: names.name("17.0.0") };
        let chains = Chains::new(&told.history, &trail, &mut names);
        let lines = chains.of(Subject::Sent(id));
        assert_eq!(
            lines,
            [
                "p0-0 of q, persistent, 10 bytes; shard 3, led by n2 in term 2 since 0.200000s:",
                "  0.001000s sent by producer p0 through n2, connection 0",
                "  0.002000s acknowledged to its producer",
                "  0.003000s reached c0 over connection 100, marked as redelivered",
                "  0.004000s c0 sent ACK",
                "  0.004000s c0 was told of its ACK: ok",
                "  0.100000s handed to n1.7 by n1 in term 1 as 17.0.0; it holds 2 and may hold 6 \
                 more",
                "  0.200000s handed to n1.7 by n2 in term 2 as 17.0.0, marked as redelivered; it \
                 holds 2 and may hold 6 more",
                "  0.300000s settled for n1.7 at n2 in term 2",
                "  0.900000s c0 lost its connection: timed out",
            ]
        );
        assert_eq!(chains.of(placed), lines);
    }

    #[test]
    fn a_message_that_nobody_got_is_named_by_its_leader() {
        let (_, trail, mut names, _) = told();
        let message = names.name("17.0.0");
        let history = History::default();
        let chains = Chains::new(&history, &trail, &mut names);
        let lines = chains.of(Subject::Placed { shard: 3, message });
        assert!(lines[0].starts_with("message 17.0.0 of shard 3; shard 3, led by n2"), "{lines:?}");
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn of_too_many_events_the_middle_is_left_out() {
        let (mut told, trail, mut names, id) = told();
        (0..30).for_each(|_| drop(told.deliver(id, true)));
        let lines = Chains::new(&told.history, &trail, &mut names).of(Subject::Sent(id));
        assert_eq!(lines.len(), TOLD + 2);
        assert!(lines.iter().any(|line| line.starts_with("  … ")), "{lines:?}");
    }
}
