//! Where everything that happens in a run comes together: the clients' history, the nodes' events,
//! the checks over both, and the load that each node bore.
//!
//! One recorder is shared by all clients, the world and the event listener. Whoever reports an
//! event of his own to the trace does so before he locks the recorder, which listens to the trace.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io::{BufWriter, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use paceline_events::Event;
use paceline_membership::View;
use paceline_runtime::{time::Instant, trace};
use paceline_scenario::Scenario;

use super::{
    downtime::Downtime, exits::Exits, heard::Heard, meter::Meter, movement::Movement,
    waiting::Subscriber, wounds::Wounds,
};
use crate::{
    check::{Checks, Severity, step::NodeId},
    workload::{
        history::{History, Observation, Subscription},
        ids::{ClientId, ConnectionId, DestinationId, DestinationInfo},
        operation::{
            Closing, Delivery, Keeping, MessageId, Publish, Reply, Settle, Transaction,
            TransactionId,
        },
    },
};

/// How many events `replay` shows.
const TAIL: usize = 60;

/// What a run is asked to keep besides its result.
#[derive(Debug, Default)]
pub struct Options {
    /// The last events in words.
    pub tail: bool,
    /// All events, written here.
    pub event_log: Option<File>,
    /// The events of the nodes, as values.
    pub heard: bool,
    /// The nodes' events are not heard: what needs them is not checked, and who leads is asked of the
    /// nodes.
    pub deaf: bool,
}

/// A recorder that many hold.
#[derive(Clone)]
pub struct SharedRecorder(Arc<Mutex<Recorder>>);

/// See the module.
pub struct Recorder {
    /// What the clients saw.
    pub history: History,
    /// What must hold.
    pub checks: Checks,
    /// Who bore what.
    pub meter: Meter,
    /// Which copies came to be where.
    pub movement: Movement,
    /// Who has lost records.
    pub wounds: Wounds,
    /// Who has ended by itself.
    pub exits: Exits,
    /// How long nodes were not there.
    pub downtime: Downtime,
    /// Where the consumers are.
    pub subscribers: BTreeMap<ClientId, Subscriber>,
    /// What clients failed of last, and when, in words.
    pub failures: BTreeMap<ClientId, String>,
    /// The last events, if they are wanted.
    pub tail: VecDeque<String>,
    /// What the nodes said, if it is wanted.
    pub heard: Option<Vec<Heard>>,
    /// When the workload began, by the trace's clock; times in the history count from here.
    epoch: Duration,
    epoch_instant: Option<Instant>,
    keep_tail: bool,
    deaf: bool,
    event_log: Option<BufWriter<File>>,
    /// How often each node's process was started, as far as its events show.
    incarnations: Vec<u32>,
}

impl SharedRecorder {
    /// For this moment alone; never across an await.
    pub fn lock(&self) -> MutexGuard<'_, Recorder> {
        // After a panic what was recorded before still counts.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the workload began.
    pub fn now(&self) -> Duration {
        self.lock().now()
    }

    /// How often any node has begun to lead a shard.
    pub fn reigns(&self) -> usize {
        self.lock().checks.reigns()
    }

    /// Whether anybody may lead that did not when so many reigns had begun. Where the nodes are not heard
    /// somebody always may.
    pub fn led_otherwise_since(&self, reigns: usize) -> bool {
        let recorder = self.lock();
        recorder.deaf || recorder.checks.reigns() != reigns
    }

    /// Begins to listen to the events of the nodes. Must be called inside the world.
    pub fn listen(&self) {
        let recorder = self.clone();
        trace::listen(move |event| recorder.lock().event(event));
    }

    /// Records that a message is about to be sent and names it.
    pub fn sent(&self, producer: u32, publish: Publish) -> MessageId {
        let mut recorder = self.lock();
        let transaction = publish.transaction;
        let id = recorder.history.sent(producer, publish);
        if let Some(TransactionId(number)) = transaction {
            recorder.history.transactions[number as usize].messages.push(id);
        }
        recorder.observe(|history| {
            Some(Observation::Sent(id, history.publish(id).expect("just sent")))
        });
        id
    }

    /// Begins a transaction and names it.
    pub fn begin(&self) -> TransactionId {
        let mut recorder = self.lock();
        recorder.history.transactions.push(Transaction::default());
        TransactionId(recorder.history.transactions.len() as u32 - 1)
    }

    /// Records the fate of a publish; a later, weaker one changes nothing.
    pub fn replied(&self, id: MessageId, reply: Reply) {
        trace::event!(
            "client_publish",
            producer = id.producer,
            sequence = id.sequence,
            reply = reply as u32
        );
        let mut recorder = self.lock();
        let now = recorder.now();
        if !recorder.history.replied(id, now, reply) {
            return;
        }
        if reply == Reply::Ok {
            let destination = recorder.history.publish(id).expect("it was sent").destination;
            recorder.meter.published(destination);
        }
        recorder.observe(|history| {
            Some(Observation::Replied(id, history.publish(id).expect("it was sent")))
        });
    }

    /// Records a delivery and returns its index.
    pub fn delivered(&self, mut delivery: Delivery) -> u32 {
        trace::event!(
            "client_delivery",
            client = delivery.client.0,
            producer = delivery.id.producer,
            sequence = delivery.id.sequence,
            redelivered = delivery.redelivered
        );
        let mut recorder = self.lock();
        // Where clients run side by side another one may have been first meanwhile.
        delivery.at = recorder.now();
        if let Some(destination) = delivery.destination.filter(|_| recorder.deaf) {
            recorder.meter.delivered(destination);
        }
        let index = recorder.history.arrived(delivery);
        recorder
            .observe(|history| Some(Observation::Delivered(&history.deliveries[index as usize])));
        index
    }

    /// Records that a settlement is about to be sent and returns its index.
    pub fn settle_sent(&self, settle: Settle) -> u32 {
        let mut recorder = self.lock();
        let index = recorder.history.settle_sent(settle);
        recorder.observe(|history| Some(Observation::SettleSent(&history.settles[index as usize])));
        index
    }

    /// Records the fate of a settlement.
    pub fn settled(&self, index: u32, reply: Reply) {
        trace::event!("client_settle", settle = index, reply = reply as u32);
        let mut recorder = self.lock();
        let now = recorder.now();
        if recorder.history.settled(index, now, reply) {
            recorder
                .observe(|history| Some(Observation::Settled(&history.settles[index as usize])));
        }
    }

    /// Records that the end of a subscription is about to be sent and returns its index.
    pub fn closing(&self, closing: Closing) -> u32 {
        let mut recorder = self.lock();
        let index = recorder.history.closing(closing);
        recorder.observe(|history| Some(Observation::Closing(&history.closings[index as usize])));
        index
    }

    /// Records the fate of the end of a subscription.
    pub fn closing_replied(&self, index: u32, reply: Reply) {
        trace::event!("client_closing", closing = index, reply = reply as u32);
        let mut recorder = self.lock();
        let now = recorder.now();
        recorder.history.closing_replied(index, now, reply);
        recorder.observe(|history| {
            Some(Observation::ClosingReplied(&history.closings[index as usize]))
        });
    }

    /// Records what is asked of a subscription that outlives its connections; gives its index.
    pub fn keeping(&self, keeping: Keeping) -> u32 {
        self.lock().history.keeping(keeping)
    }

    /// Records the fate of that.
    pub fn keeping_replied(&self, index: u32, reply: Reply) {
        let mut recorder = self.lock();
        let now = recorder.now();
        recorder.history.keeping_replied(index, now, reply);
    }

    /// Records that a consumer is connected to a node and asks for its subscriptions.
    pub fn subscribing(&self, client: ClientId, node: &str) {
        let subscriber = Subscriber { node: node.to_owned(), ..Subscriber::default() };
        self.lock().subscribers.insert(client, subscriber);
    }

    /// Records that a consumer's subscription is confirmed.
    pub fn subscribed(
        &self,
        client: ClientId,
        connection: ConnectionId,
        destination: DestinationId,
    ) {
        let mut recorder = self.lock();
        let since = recorder.now();
        let recorder = &mut *recorder;
        let Some(subscriber) = recorder.subscribers.get_mut(&client) else { return };
        subscriber.confirmed.insert(destination);
        let node = node_number(&subscriber.node, recorder.incarnations.len());
        let node = node.expect("clients connect to nodes of the cluster");
        let confirmed = Subscription { client, destination, connection, node, since };
        recorder.history.subscriptions.push(confirmed);
    }

    /// Records which node a connection leads to.
    pub fn opened(&self, connection: ConnectionId, node: &str) {
        self.lock().history.nodes.insert(connection, node.into());
    }

    /// Records that a connection is gone, and the error that ended it, if one did.
    pub fn closed(
        &self,
        client: ClientId,
        connection: ConnectionId,
        ended: &std::io::Result<impl Sized>,
    ) {
        trace::event!("client_closed", client = client.0, connection = connection.0);
        let mut recorder = self.lock();
        let now = recorder.now();
        recorder.history.closed.insert(connection, now);
        if let Err(error) = ended {
            recorder.history.errors.insert(connection, error.to_string());
        }
        recorder.subscribers.remove(&client);
        recorder.observe(|_| Some(Observation::Closed(connection)));
    }

    /// Records that a client has fallen silent.
    pub fn vanished(&self) {
        let mut recorder = self.lock();
        let now = recorder.now();
        recorder.history.vanished.push(now);
    }

    /// Records that a client could not connect, or lost its connection.
    pub fn failed(&self, client: ClientId, error: &std::io::Error) {
        let mut recorder = self.lock();
        let failure = format!("{:.3}s: {error}", recorder.now().as_secs_f64());
        recorder.failures.insert(client, failure);
    }

    /// Records that somebody has this view of the cluster.
    pub fn saw_view(&self, view: &View) {
        let mut recorder = self.lock();
        let recorder = &mut *recorder;
        match recorder.movement.saw(view) {
            Ok(true) => {
                let nodes = recorder.incarnations.len();
                recorder.meter.set_rows(rows_of(view, nodes));
            }
            Ok(false) => {}
            Err(detail) => {
                let now = recorder.now();
                recorder.checks.report("views", Severity::Safety, Some(now), detail.into());
            }
        }
    }

    /// Records that an answer came to what was not asked.
    pub fn stray(&self, answer: &str) {
        self.nonsense("receipt", format!("a receipt came for `{answer}`, which awaits none"));
    }

    /// Records that something arrived which no client can make sense of.
    pub fn nonsense(&self, check: &'static str, detail: String) {
        let mut recorder = self.lock();
        let now = recorder.now();
        recorder.checks.report(check, Severity::Safety, Some(now), detail.into());
    }
}

impl Recorder {
    /// A recorder for one run of the scenario.
    pub fn shared(scenario: &Scenario, options: Options) -> SharedRecorder {
        let destinations = crate::workload::destinations(scenario);
        let producers = scenario.workloads.iter().map(|it| it.producers as usize).sum();
        let meter = Meter::new(scenario, &destinations);
        SharedRecorder(Arc::new(Mutex::new(Self {
            meter,
            movement: Movement::default(),
            wounds: Wounds::default(),
            exits: Exits::default(),
            downtime: Downtime::new(scenario.node_count() as usize),
            subscribers: BTreeMap::new(),
            failures: BTreeMap::new(),
            history: History::new(destinations, producers),
            checks: match options.deaf {
                false => Checks::new(scenario.clock_error()),
                true => Checks::of_clients(scenario.clock_error()),
            },
            tail: VecDeque::new(),
            heard: options.heard.then(Vec::new),
            epoch: Duration::ZERO,
            epoch_instant: None,
            keep_tail: options.tail,
            deaf: options.deaf,
            event_log: options.event_log.map(BufWriter::new),
            incarnations: vec![0; scenario.node_count() as usize],
        })))
    }

    /// The workload begins now; `at` is the same instant by the trace's clock.
    pub fn begin(&mut self, at: Duration) {
        self.epoch = at;
        self.epoch_instant = Some(Instant::now());
        self.checks.begin();
    }

    /// Time since the workload began; zero before.
    pub fn now(&self) -> Duration {
        self.epoch_instant.map_or(Duration::ZERO, |epoch| Instant::now() - epoch)
    }

    /// When the workload began, by the trace's clock; nothing if it has not.
    pub fn epoch(&self) -> Option<Duration> {
        self.epoch_instant.map(|_| self.epoch)
    }

    /// What is known of the destinations.
    pub fn destinations(&self) -> &[DestinationInfo] {
        &self.history.destinations
    }

    /// Whether safety is already lost, so that going on shows nothing new.
    pub fn is_unsafe(&self) -> bool {
        self.checks.violations().iter().any(|violation| violation.severity == Severity::Safety)
    }

    /// Writes a line of the world's own into the event log.
    pub fn log_line(&mut self, line: std::fmt::Arguments<'_>) {
        if let Some(log) = &mut self.event_log {
            // The comparison of two runs misses what cannot be written, and says that they differ.
            let _ = writeln!(log, "{line}");
        }
    }

    /// Everything logged reaches the file.
    pub fn flush(&mut self) {
        if let Some(log) = &mut self.event_log {
            let _ = log.flush();
        }
    }

    /// A node's process is found to have ended by itself.
    pub fn ended(&mut self, at: Duration, node: NodeId) {
        if let Some(heard) = &mut self.heard {
            heard.push(Heard::died(at + self.epoch, node));
        }
        self.downtime.died(at, node);
    }

    fn observe<'a>(&'a mut self, seen: impl FnOnce(&'a History) -> Option<Observation<'a>>) {
        let now = self.now();
        let Self { history, checks, .. } = self;
        if let Some(seen) = seen(history) {
            checks.observe(now, seen, history);
        }
    }

    fn event(&mut self, event: &trace::Event<'_>) {
        if self.event_log.is_some() {
            self.log_line(format_args!("{event}"));
        }
        let mut event = *event;
        event.at = event.at.saturating_sub(self.epoch);
        if self.keep_tail {
            if self.tail.len() == TAIL {
                self.tail.pop_front();
            }
            // Once safety is lost the events up to there are the ones to look at.
            if !self.is_unsafe() {
                self.tail.push_back(event.to_string());
            }
        }
        self.downtime.tick(event.at);
        let Some(node) = node_number(event.node, self.incarnations.len()) else { return };
        let known = &mut self.incarnations[node as usize];
        if *known < event.incarnation {
            *known = event.incarnation;
            self.died(event.at, node);
        }
        let found = self.checks.violations().len();
        self.said(node, &event);
        let convicts = self.checks.violations().len() > found;
        let epoch = self.epoch;
        // The world, too, says things of nodes: what it does to their links and disks.
        if let (Some(heard), Ok(Some(_))) = (&mut self.heard, Event::read(&event)) {
            heard.push(Heard::said(event.at + epoch, node, &event, convicts));
        }
    }

    /// Takes in what a node said.
    fn said(&mut self, node: NodeId, event: &trace::Event<'_>) {
        let said = match Event::read(event) {
            Ok(Some(said)) => said,
            Ok(None) => return,
            Err(lacks) => {
                let detail = lacks.to_string().into();
                return self.checks.report("trace", Severity::Safety, Some(event.at), detail);
            }
        };
        self.movement.event(node, &said);
        if let Event::NodeReady {} = said {
            self.downtime.ready(event.at, node);
        }
        if let Err(detail) = self.wounds.event(node, &said) {
            self.checks.report("repair", Severity::Safety, Some(event.at), detail.into());
        }
        if let Some(step) = self.checks.event(event.at, node, &said) {
            self.meter.step(&step);
        }
    }

    /// A node's process has just been killed.
    pub fn died(&mut self, at: Duration, node: NodeId) {
        if let Some(heard) = &mut self.heard {
            heard.push(Heard::died(at + self.epoch, node));
        }
        self.checks.died(at, node);
        self.meter.died(node);
        self.wounds.died(node);
        self.downtime.died(at, node);
    }
}

/// The nodes that are to hold each slot, the preferred leader first.
fn rows_of(view: &View, nodes: usize) -> Vec<Vec<NodeId>> {
    let number = |id| node_number(&view.member(id)?.name, nodes);
    (0..view.slots())
        .map(|slot| view.row(slot).iter().filter_map(|id| number(*id)).collect())
        .collect()
}

/// `n3` is 2; `None` for clients and the world itself.
pub fn node_number(name: &str, nodes: usize) -> Option<NodeId> {
    let number: usize = name.strip_prefix('n')?.parse().ok()?;
    (1..=nodes).contains(&number).then(|| number as NodeId - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nodes_have_numbers() {
        assert_eq!(node_number("n1", 3), Some(0));
        assert_eq!(node_number("n3", 3), Some(2));
        for other in ["n4", "n0", "c1", "", "n", "world"] {
            assert_eq!(node_number(other, 3), None);
        }
    }
}
