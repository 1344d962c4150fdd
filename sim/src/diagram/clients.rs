//! What the clients did and were told, and the journeys of their messages: to the node that they are
//! connected to, from there to the leader, and back the same way.

use std::collections::{BTreeMap, HashMap};

use paceline_events::Event;
use paceline_reports::trace::{ArrowKind, Kind};

use super::{
    course::{Course, End, Happened, Journey, Nanos, Who, nanos},
    names::Names,
};
use crate::{
    observe::{Outcome, recorder::node_number},
    workload::{
        Population,
        history::History,
        ids::{ClientId, ConnectionId},
        operation::{How, MessageId, Publish, Reply},
    },
};

/// The most messages that a text names.
const NAMED: usize = 6;

/// Adds all that clients did.
pub fn fill(course: &mut Course, outcome: &Outcome, population: &Population, names: &mut Names) {
    let mut clients = Clients {
        history: &outcome.history,
        shards: &outcome.shards,
        lanes: lanes(population),
        owners: BTreeMap::new(),
    };
    for (id, publish) in outcome.history.all_publishes() {
        let message = names.message(&id.to_string());
        clients.publish(course, id, message, publish, population);
    }
    let arrived = clients.deliveries(course, names);
    clients.give(course, names, outcome, &arrived);
    clients.settle(course, names, outcome);
    clients.connections(course);
}

/// The lane of each client.
fn lanes(population: &Population) -> BTreeMap<ClientId, Who> {
    let producers = population.producers.iter().map(|it| (it.client, Who::Producer(it.number)));
    let consumers = population.consumers.iter().map(|it| (it.client, Who::Consumer(it.client.0)));
    producers.chain(consumers).collect()
}

struct Clients<'a> {
    history: &'a History,
    shards: &'a [usize],
    lanes: BTreeMap<ClientId, Who>,
    /// Whose connections are.
    owners: BTreeMap<ConnectionId, ClientId>,
}

impl Clients<'_> {
    /// The node that a connection leads to.
    fn ingress(&self, connection: ConnectionId) -> Option<Who> {
        let name = self.history.nodes.get(&connection)?;
        node_number(name, usize::MAX).map(Who::Node)
    }

    fn through(&self, connection: ConnectionId) -> String {
        let node = self.history.nodes.get(&connection);
        node.map_or_else(String::new, |node| format!(" through {node}"))
    }

    fn lane(&self, client: ClientId) -> Who {
        self.lanes.get(&client).copied().unwrap_or(Who::Consumer(client.0))
    }

    fn publish(
        &mut self,
        course: &mut Course,
        id: MessageId,
        message: usize,
        publish: &Publish,
        population: &Population,
    ) {
        let who = Who::Producer(id.producer);
        if let Some(plan) = population.producers.get(id.producer as usize) {
            self.owners.insert(publish.connection, plan.client);
        }
        let destination = publish.destination.0 as usize;
        let shard = self.shards.get(destination).map(|it| *it as u64);
        let name = &self.history.destination(publish.destination).name;
        let through = self.through(publish.connection);
        let kind = if publish.persistent { "persistent" } else { "not persistent" };
        let mut text = format!(
            "p{} sends {id} to {name}{through} ({kind}, {} bytes",
            id.producer, publish.bytes
        );
        if let Some(transaction) = publish.transaction {
            text.push_str(&format!(", in transaction {}", transaction.0));
        }
        if let Some(delay) = publish.delay {
            text.push_str(&format!(", to be delivered {:.3} s later", delay.after.as_secs_f64()));
        }
        if let Some(expires) = publish.expires {
            text.push_str(&format!(", until {:.3} s", expires.as_secs_f64()));
        }
        text.push(')');
        let about = |event: Happened| Happened {
            messages: vec![message],
            destination: Some(destination),
            shards: shard.into_iter().collect(),
            ..event
        };
        let sent = nanos(publish.sent);
        let event = Happened::new(sent, who, Kind::Sent, format!("sends {id}"), text);
        let event = course.push(about(event));
        let ingress = self.ingress(publish.connection);
        self.ask(course, ArrowKind::Send, event, sent, ingress, shard, Some(message));
        let Some((at, reply)) = publish.reply else { return };
        let at = nanos(at);
        let (kind, label, text) = match reply {
            Reply::Ok => (
                Kind::Answered,
                format!("{id} stored"),
                format!("p{} is told that {id} is stored", id.producer),
            ),
            Reply::Failed => (
                Kind::Refused,
                format!("{id} refused"),
                format!("p{} is told that {id} is refused", id.producer),
            ),
            Reply::Unknown => {
                let error = self.history.errors.get(&publish.connection);
                let error = error.map_or(String::new(), |error| format!(": {error}"));
                let text = format!("p{} gives {id} up{error}", id.producer);
                (Kind::Refused, format!("gives {id} up"), text)
            }
        };
        let event = course.push(about(Happened::new(at, who, kind, label, text)));
        if reply != Reply::Unknown {
            self.answer(course, event, at, ingress, shard, message);
        }
    }

    /// What a client asks goes to its node, and on to the leader of then.
    #[expect(clippy::too_many_arguments, reason = "they are what an arrow is made of")]
    fn ask(
        &self,
        course: &mut Course,
        kind: ArrowKind,
        event: usize,
        at: Nanos,
        ingress: Option<Who>,
        shard: Option<u64>,
        message: Option<usize>,
    ) {
        let leader = shard.and_then(|shard| course.leader(shard, at)).map(Who::Node);
        let Some(to) = leader.or(ingress) else { return };
        let (from, to) = (End::At(event), End::With(to));
        course.journeys.push(Journey { kind, from, via: ingress, to, message });
    }

    /// What a leader says comes back the same way.
    fn answer(
        &self,
        course: &mut Course,
        event: usize,
        at: Nanos,
        ingress: Option<Who>,
        shard: Option<u64>,
        message: usize,
    ) {
        let leader = shard.and_then(|shard| course.leader(shard, at)).map(Who::Node);
        let Some(from) = leader.or(ingress) else { return };
        let (from, to) = (End::With(from), End::At(event));
        let (kind, message) = (ArrowKind::Answer, Some(message));
        course.journeys.push(Journey { kind, from, via: ingress, to, message });
    }

    /// Adds what reached consumers; the events, by delivery.
    fn deliveries(&mut self, course: &mut Course, names: &mut Names) -> Vec<usize> {
        let mut events = Vec::with_capacity(self.history.deliveries.len());
        for it in &self.history.deliveries {
            self.owners.insert(it.connection, it.client);
            let (client, through) = (it.client.0, self.through(it.connection));
            let again = if it.redelivered { " again" } else { "" };
            let dead = if it.destination.is_none() { " as a dead letter" } else { "" };
            let sent_to = self.history.publish(it.id).map(|publish| publish.destination);
            let destination = it.destination.or(sent_to);
            let from = destination
                .map_or(String::new(), |it| format!(" from {}", self.history.destination(it).name));
            let label =
                format!("gets {}{again}{}", it.id, if dead.is_empty() { "" } else { " dead" });
            let text = format!(
                "c{client} gets {}{again}{from}{dead}{through} (the broker calls it {})",
                it.id, it.broker_id
            );
            let event =
                Happened::new(nanos(it.at), Who::Consumer(client), Kind::Delivered, label, text);
            let destination = destination.map(|it| it.0 as usize);
            let shard = destination.and_then(|it| self.shards.get(it)).map(|it| *it as u64);
            events.push(course.push(Happened {
                messages: vec![names.message(&it.id.to_string())],
                destination,
                shards: shard.into_iter().collect(),
                ..event
            }));
        }
        events
    }

    /// Joins what leaders gave out to where it arrived; what arrived and nobody gave out comes from the
    /// node that the client is connected to.
    fn give(&self, course: &mut Course, names: &Names, outcome: &Outcome, arrived: &[usize]) {
        let (dispatched, _) = leaders_events(course, outcome, names);
        let kind = ArrowKind::Deliver;
        let mut open: Vec<bool> = vec![true; arrived.len()];
        for (heard, event) in dispatched {
            let Some(&delivery) = names.arrived.get(&heard) else { continue };
            open[delivery] = false;
            let via = self.ingress(self.history.deliveries[delivery].connection);
            let (from, to) = (End::At(event), End::At(arrived[delivery]));
            let message = names.heard.get(&heard).copied();
            course.journeys.push(Journey { kind, from, via, to, message });
            let destination = course.events[arrived[delivery]].destination;
            course.events[event].destination = destination;
        }
        for (delivery, _) in open.iter().enumerate().filter(|(_, open)| **open) {
            let Some(from) = self.ingress(self.history.deliveries[delivery].connection) else {
                continue;
            };
            let (from, to) = (End::With(from), End::At(arrived[delivery]));
            let message = course.events[arrived[delivery]].messages.first().copied();
            course.journeys.push(Journey { kind, from, via: None, to, message });
        }
    }

    /// Adds what consumers settled, and joins it to what leaders say that they settled.
    fn settle(&self, course: &mut Course, names: &mut Names, outcome: &Outcome) {
        // By client and message: when it was settled, and the event.
        let mut sent: HashMap<(u32, usize), Vec<(Nanos, usize)>> = HashMap::new();
        let mut told: Vec<(usize, Option<Who>, usize)> = Vec::new();
        for it in &self.history.settles {
            let all = it.deliveries.iter().map(|it| &self.history.deliveries[*it as usize]);
            let all: Vec<_> = all.collect();
            let Some(first) = all.first() else { continue };
            let (client, who) = (first.client.0, self.lane(first.client));
            let verb = match it.how {
                How::Accept => "ACK",
                How::Reject => "NACK",
                How::Poison => "POISON",
            };
            let mut listed: Vec<String> =
                all.iter().take(NAMED).map(|it| it.id.to_string()).collect();
            if all.len() > NAMED {
                listed.push(format!("{} more", all.len() - NAMED));
            }
            let more = match all.len() - 1 {
                0 => String::new(),
                more => format!(" +{more}"),
            };
            let messages: Vec<usize> =
                all.iter().map(|it| names.message(&it.id.to_string())).collect();
            let destination = first.destination.map(|it| it.0 as usize);
            let shard = destination.and_then(|it| self.shards.get(it)).map(|it| *it as u64);
            let about = |event: Happened| Happened {
                messages: messages.clone(),
                destination,
                shards: shard.into_iter().collect(),
                ..event
            };
            let (listed, through) = (listed.join(", "), self.through(it.connection));
            let label = format!("{verb} {}{more}", first.id);
            let text = format!("c{client} sends {verb} of {listed}{through}");
            let at = nanos(it.sent);
            let event = course.push(about(Happened::new(at, who, Kind::Settling, label, text)));
            for message in &messages {
                sent.entry((client, *message)).or_default().push((at, event));
            }
            told.push((event, self.ingress(it.connection), messages[0]));
            if let Some((at, reply)) = it.reply {
                let text = format!("c{client} is told of its {verb} of {listed}: {reply}");
                let kind = if reply == Reply::Ok { Kind::Answered } else { Kind::Refused };
                let at = nanos(at);
                let label = format!("{verb} {reply}");
                let answered = course.push(about(Happened::new(at, who, kind, label, text)));
                if reply != Reply::Unknown {
                    let ingress = self.ingress(it.connection);
                    self.answer(course, answered, at, ingress, shard, messages[0]);
                }
            }
        }
        let (_, settled) = leaders_events(course, outcome, names);
        let mut joined = vec![false; course.events.len()];
        for (heard, event) in settled {
            let message = names.heard[&heard];
            let by = outcome.heard[heard].read(|it| match it {
                Event::Settle { consumer, .. } | Event::Release { consumer, .. } => {
                    names.client(outcome.heard[heard].at, consumer)
                }
                _ => None,
            });
            let Some(client) = by.flatten() else { continue };
            let at = course.events[event].at;
            let mut asked = sent.get(&(client.0, message)).into_iter().flatten();
            let Some((_, from)) = asked.rfind(|(sent, _)| *sent <= at) else {
                continue;
            };
            joined[*from] = true;
            let via = told.iter().find(|(it, ..)| it == from).and_then(|(_, via, _)| *via);
            course.events[event].destination = course.events[*from].destination;
            course.journeys.push(Journey {
                kind: ArrowKind::Settle,
                from: End::At(*from),
                via,
                to: End::At(event),
                message: Some(message),
            });
        }
        for (event, ingress, message) in told {
            if !joined[event] {
                let (at, shard) =
                    (course.events[event].at, course.events[event].shards.first().copied());
                self.ask(course, ArrowKind::Settle, event, at, ingress, shard, Some(message));
            }
        }
    }

    /// Adds connections that ended, and subscriptions that began.
    fn connections(&mut self, course: &mut Course) {
        for it in &self.history.subscriptions {
            self.owners.insert(it.connection, it.client);
            let name = &self.history.destination(it.destination).name;
            let text = format!("c{} is subscribed to {name} through n{}", it.client.0, it.node + 1);
            let (at, who) = (nanos(it.since), self.lane(it.client));
            let label = format!("subscribes {name}");
            let event = Happened::new(at, who, Kind::Connection, label, text);
            let destination = Some(it.destination.0 as usize);
            course.push(Happened { destination, ..event });
        }
        for (connection, at) in &self.history.closed {
            let Some(&client) = self.owners.get(connection) else { continue };
            let who = self.lane(client);
            let name = name_of(who);
            let through = self.through(*connection);
            let error = self.history.errors.get(connection);
            let (label, text) = match error {
                Some(error) => {
                    ("loses connection", format!("{name} loses its connection{through}: {error}"))
                }
                None => ("disconnects", format!("{name} ends its connection{through}")),
            };
            course.push(Happened::new(nanos(*at), who, Kind::Connection, label.into(), text));
        }
    }
}

/// As messages and checks name them.
pub fn name_of(who: Who) -> String {
    match who {
        Who::Producer(number) => format!("p{number}"),
        Who::Node(node) => format!("n{}", node + 1),
        Who::Consumer(client) => format!("c{client}"),
    }
}

/// Events of nodes by what was heard.
type Heard = Vec<(usize, usize)>;

/// What leaders gave out, and what they settled or took back: what was heard, and the event.
fn leaders_events(course: &Course, outcome: &Outcome, names: &Names) -> (Heard, Heard) {
    let kinds = [Kind::Dispatched, Kind::Settled, Kind::GivenBack, Kind::Disk];
    let is_one = |it: &Happened| kinds.contains(&it.kind) && !it.messages.is_empty();
    // Both are in the order in which they were heard.
    let events = course.events.iter().enumerate().filter(|(_, it)| is_one(it));
    let (mut dispatched, mut settled) = (Vec::new(), Vec::new());
    for (heard, (event, it)) in names.heard.keys().zip(events) {
        debug_assert_eq!(course.at(outcome.heard[*heard].at), it.at);
        match it.kind {
            Kind::Dispatched => dispatched.push((*heard, event)),
            Kind::Settled | Kind::GivenBack => settled.push((*heard, event)),
            _ => {}
        }
    }
    (dispatched, settled)
}
