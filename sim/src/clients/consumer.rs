//! A consumer's life: connect, subscribe, receive, settle, and after a failure go to the next
//! node. Now and then it refuses a message or drops its connection, if the scenario asks for that.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    time::Duration,
};

use paceline_runtime::{random, time, trace};
use paceline_scenario::format::{AckMode, Workload};
use paceline_wire::stomp::{Command, Frame, Text, header};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{
    Phase, Shared,
    client::{BackOff, Connection, unexpected},
};
use crate::workload::{
    ids::{ConnectionId, DestinationId},
    operation::{Delivery, How, MessageId, Reply, Settle, check_body, publish, settle},
    population::ConsumerPlan,
};

/// The header of a dead letter that says why it is one.
const CAUSE: &str = "dlqDeliveryFailureCause";
/// A receipt for an ACK that takes longer ends the connection.
const REPLY_TIMEOUT: Duration = Duration::from_secs(45);
/// Cumulative acknowledgements cover so many deliveries, or as many as come in `CUMULATIVE_DELAY`.
const CUMULATIVE: usize = 8;
/// A transaction acknowledges so many deliveries, or as many as come in `CUMULATIVE_DELAY`.
const TRANSACTION: usize = 3;
const CUMULATIVE_DELAY: Duration = Duration::from_millis(20);
/// What an aborted transaction acknowledged is acknowledged again after so long.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Whether the consumer goes on with its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Stay,
    Leave,
    /// Says nothing more and leaves the connection as it is.
    Vanish,
}

/// A delivery that is being worked on.
struct InHand {
    delivery: u32,
    subscription: usize,
    ack: Text,
    done: time::Instant,
}

/// Deliveries that the next cumulative acknowledgement covers.
#[derive(Default)]
struct Pending {
    deliveries: Vec<u32>,
    last_ack: Option<Text>,
    since: Option<time::Instant>,
}

/// Acknowledgements that travel in one transaction.
#[derive(Default)]
struct Gathered {
    deliveries: Vec<InHand>,
    since: Option<time::Instant>,
}

struct Consumer {
    plan: ConsumerPlan,
    shared: Shared,
    random: ChaCha8Rng,
    /// What it subscribes to: the frame's text, and the destination if it is one of the run's.
    sources: Vec<(String, Option<DestinationId>)>,
    in_hand: VecDeque<InHand>,
    pending: BTreeMap<usize, Pending>,
    /// Deliveries that the next transaction acknowledges.
    transaction: Gathered,
    /// Settlements without an answer, by receipt.
    waiting: BTreeMap<u32, time::Instant>,
    attempts: u32,
    /// Connections on which it has fallen silent, and which it leaves open to the end.
    vanished: Vec<Connection>,
    was_ready: bool,
    unconfirmed: usize,
}

/// Lives a consumer's life until everybody is told to leave.
pub async fn run(plan: ConsumerPlan, shared: Shared) {
    let random = random::stream(&format!("consumer {}", plan.client.0));
    let destinations = &shared.population.destinations;
    let mut sources: Vec<_> = plan
        .sources
        .iter()
        .map(|&id| {
            let info = &destinations[id.0 as usize];
            let kind = if info.topic { "topic" } else { "queue" };
            (format!("/{kind}/{}", info.name), Some(id))
        })
        .collect();
    if sources.is_empty() {
        sources.push(("/queue/DLQ.>".to_owned(), None));
    }
    let mut consumer = Consumer {
        plan,
        shared: shared.clone(),
        random,
        sources,
        in_hand: VecDeque::new(),
        pending: BTreeMap::new(),
        transaction: Gathered::default(),
        waiting: BTreeMap::new(),
        attempts: 0,
        vanished: Vec::new(),
        was_ready: false,
        unconfirmed: 0,
    };
    super::until_stop(shared, async move {
        let mut back_off = BackOff::default();
        loop {
            let ended = consumer.connection(&mut back_off).await;
            consumer.forget();
            if let Err(error) = &ended {
                consumer.shared.recorder.failed(consumer.plan.client, error);
                back_off.wait().await;
            }
        }
    })
    .await;
}

impl Consumer {
    async fn connection(&mut self, back_off: &mut BackOff) -> io::Result<()> {
        let Self { plan, shared, .. } = self;
        let id = shared.next_connection();
        let node = shared.node(&plan.workload, plan.client, self.attempts, &mut self.random);
        self.attempts += 1;
        let mut connection = Connection::open(id, &node).await?;
        back_off.reset();
        self.shared.recorder.opened(id, &node);
        self.shared.recorder.subscribing(self.plan.client, &node);
        self.subscribe(&mut connection);
        let storm = self.shared.storm_over(&node);
        let ended = tokio::select! {
            biased;
            dropped = storm => Err(dropped),
            ended = self.work(&mut connection) => ended,
        };
        if let Err(error) = &ended {
            trace::event!(
                "client_failure",
                client = self.plan.client.0,
                node = node.as_str(),
                error = error.to_string().as_str()
            );
        }
        let has_vanished = matches!(ended, Ok(Wish::Vanish));
        if has_vanished {
            connection.fall_silent();
            self.shared.recorder.vanished();
            self.vanished.push(connection);
        } else {
            drop(connection);
        }
        self.shared.recorder.closed(self.plan.client, id, &ended);
        ended.map(|_| ())
    }

    fn subscribe(&mut self, connection: &mut Connection) {
        let mode = match self.ack_mode() {
            AckMode::Auto => "auto",
            AckMode::Client => "client",
            AckMode::ClientIndividual => "client-individual",
        };
        for (number, (source, _)) in self.sources.iter().enumerate() {
            let mut frame = Frame::new(Command::Subscribe)
                .with(header::ID, number.to_string())
                .with(header::DESTINATION, source.as_str())
                .with("ack", mode)
                .with(header::PREFETCH_SIZE, self.plan.workload.prefetch.to_string())
                .with(header::RECEIPT, format!("subscribe-{number}"));
            if let Some(part) = self.plan.part {
                frame = frame.with(header::SELECTOR, publish::selector(part, self.plan.client.0));
            }
            connection.send(&frame);
        }
        self.unconfirmed = self.sources.len();
    }

    /// The dead letters are always settled one by one.
    fn ack_mode(&self) -> AckMode {
        if self.plan.sources.is_empty() {
            AckMode::ClientIndividual
        } else {
            self.plan.workload.ack
        }
    }

    /// Works until the connection fails or is not wanted any more.
    async fn work(&mut self, connection: &mut Connection) -> io::Result<Wish> {
        loop {
            let done = self.in_hand.front().map(|it| it.done);
            let cumulative = self
                .pending
                .values()
                .filter_map(|it| it.since)
                .min()
                .map(|at| at + CUMULATIVE_DELAY);
            let gathered = self.transaction.since.map(|at| at + CUMULATIVE_DELAY);
            let overdue = self.waiting.values().min().map(|&since| since + REPLY_TIMEOUT);
            tokio::select! {
                biased;
                () = at(done) => match self.finish(connection)? {
                    Wish::Stay => {}
                    Wish::Leave => {
                        self.leave(connection).await?;
                        return Ok(Wish::Leave);
                    }
                    Wish::Vanish => return Ok(Wish::Vanish),
                },
                () = at(cumulative) => self.acknowledge_all(connection),
                () = at(gathered) => self.commit(connection),
                frame = connection.receive() => self.take(connection, &frame?)?,
                () = at(overdue) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    fn take(&mut self, connection: &mut Connection, frame: &Frame) -> io::Result<()> {
        match frame.command {
            Command::Message => self.take_message(connection, frame),
            Command::Receipt => {
                let receipt = frame.header(header::RECEIPT_ID).map_or("", |id| id.as_str());
                match receipt.strip_prefix("subscribe-") {
                    Some(number) => self.confirmed(connection.id, number),
                    None => self.decided(receipt, Reply::Ok),
                }
                Ok(())
            }
            Command::Error => {
                if let Some(receipt) = frame.header(header::RECEIPT_ID)
                    && !receipt.as_str().starts_with("subscribe-")
                {
                    self.decided(receipt.as_str(), publish::classify(frame));
                }
                Err(unexpected(frame))
            }
            _ => Err(unexpected(frame)),
        }
    }

    fn confirmed(&mut self, connection: ConnectionId, number: &str) {
        let number = number.parse().ok();
        let source = number.and_then(|number: usize| self.sources.get(number));
        if let Some((_, Some(destination))) = source {
            self.shared.recorder.subscribed(self.plan.client, connection, *destination);
        }
        self.unconfirmed = self.unconfirmed.saturating_sub(1);
        if self.unconfirmed == 0 && !self.was_ready {
            self.was_ready = true;
            self.shared.ready.send_modify(|count| *count += 1);
        }
    }

    fn take_message(&mut self, connection: &mut Connection, frame: &Frame) -> io::Result<()> {
        let text = |name: &str| frame.header(name).map_or("", |text| text.as_str());
        let subscription: Option<usize> = text(header::SUBSCRIPTION).parse().ok();
        let source = subscription.and_then(|number| self.sources.get(number));
        let (Some(subscription), Some((_, destination))) = (subscription, source) else {
            let detail =
                format!("a message came for subscription `{}`", text(header::SUBSCRIPTION));
            self.shared.recorder.nonsense("invented", detail);
            return Err(io::ErrorKind::InvalidData.into());
        };
        let broker_id = text(header::MESSAGE_ID);
        let Some(id) = check_body(&frame.body) else {
            let detail = format!("the body of {broker_id} is not one that any producer has sent");
            self.shared.recorder.nonsense("invented", detail);
            return Err(io::ErrorKind::InvalidData.into());
        };
        if destination.is_none() {
            self.look_at_dead_letter(id, broker_id, text("original-destination"), text(CAUSE));
        }
        let delivery = self.shared.recorder.delivered(Delivery {
            id,
            broker_id: broker_id.into(),
            destination: *destination,
            client: self.plan.client,
            connection: connection.id,
            at: self.shared.recorder.now(),
            redelivered: text(header::REDELIVERED) == "true",
            part: self.plan.part,
            accepted: None,
        });
        if self.ack_mode() == AckMode::Auto {
            return Ok(());
        }
        let Some(ack) = frame.header(header::ACK) else {
            let detail = format!("{broker_id} came without the `ack` header it is settled by");
            self.shared.recorder.nonsense("receipt", detail);
            return Err(io::ErrorKind::InvalidData.into());
        };
        let now = time::Instant::now();
        let free = self.in_hand.back().map_or(now, |it| it.done.max(now));
        self.in_hand.push_back(InHand {
            delivery,
            subscription,
            ack: ack.clone(),
            done: free + self.plan.workload.handling.0,
        });
        Ok(())
    }

    /// A dead letter says where it comes from and why it is here.
    fn look_at_dead_letter(&self, id: MessageId, broker_id: &str, from: &str, cause: &str) {
        let recorder = &self.shared.recorder;
        let destination = recorder.lock().history.publish(id).map(|publish| publish.destination);
        // What nobody has sent the check `invented` reports.
        let Some(destination) = destination else { return };
        let info = &self.shared.population.destinations[destination.0 as usize];
        let expected = format!("/queue/{}", info.name);
        if from != expected || cause.is_empty() {
            let detail = format!(
                "the dead letter {broker_id} was sent to {expected}, and says `{from}`, because \
                 `{cause}`"
            );
            recorder.nonsense("dead-letter", detail);
        }
    }

    /// The oldest delivery in hand is worked off: settles it, or does what the scenario asks for.
    fn finish(&mut self, connection: &mut Connection) -> io::Result<Wish> {
        let in_hand = self.in_hand.pop_front().expect("one was due");
        let working = self.shared.phase() < Phase::Drain;
        let draw: f64 = self.random.random();
        let Workload { drop, nack, leave, vanish, ack_transactions, .. } = &*self.plan.workload;
        // Who looks after the dead letters refuses some and does nothing else.
        let (drop, leave, vanish) = if self.plan.sources.is_empty() {
            (0.0, 0.0, 0.0)
        } else {
            (drop.0, leave.0, vanish.0)
        };
        if working && draw < drop {
            return Err(io::Error::other("drops its connection, as the scenario asks"));
        }
        if working && draw < drop + nack.0 {
            self.settle(connection, &in_hand.ack, vec![in_hand.delivery], How::Reject);
            return Ok(Wish::Stay);
        }
        if working && draw < drop + nack.0 + leave {
            return Ok(Wish::Leave);
        }
        if working && draw < drop + nack.0 + leave + vanish {
            return Ok(Wish::Vanish);
        }
        if ack_transactions.0 > 0.0
            && self.ack_mode() == AckMode::ClientIndividual
            && self.random.random_bool(ack_transactions.0)
        {
            self.transaction.deliveries.push(in_hand);
            self.transaction.since.get_or_insert_with(time::Instant::now);
            if self.transaction.deliveries.len() >= TRANSACTION {
                self.commit(connection);
            }
            return Ok(Wish::Stay);
        }
        if self.ack_mode() == AckMode::Client {
            let pending = self.pending.entry(in_hand.subscription).or_default();
            pending.deliveries.push(in_hand.delivery);
            pending.last_ack = Some(in_hand.ack);
            pending.since.get_or_insert_with(time::Instant::now);
            if pending.deliveries.len() >= CUMULATIVE {
                self.acknowledge(connection, in_hand.subscription);
            }
            return Ok(Wish::Stay);
        }
        self.settle(connection, &in_hand.ack, vec![in_hand.delivery], How::Accept);
        Ok(Wish::Stay)
    }

    /// Ends the subscriptions, which gives back what is in hand, and then the session.
    async fn leave(&mut self, connection: &mut Connection) -> io::Result<()> {
        for number in 0..self.sources.len() {
            let frame = Frame::new(Command::Unsubscribe).with(header::ID, number.to_string());
            connection.send(&frame);
        }
        connection.leave().await
    }

    /// Acknowledges all that was gathered for a transaction, or, where the scenario has it aborted,
    /// tells the broker so and does it all again.
    fn commit(&mut self, connection: &mut Connection) {
        let gathered = std::mem::take(&mut self.transaction).deliveries;
        let acks: Vec<Text> = gathered.iter().map(|it| it.ack.clone()).collect();
        let aborts = self.plan.workload.aborts.0;
        if aborts > 0.0 && self.shared.phase() < Phase::Drain && self.random.random_bool(aborts) {
            for frame in settle::aborted(&acks) {
                connection.send(&frame);
            }
            let again = time::Instant::now() + AGAIN_AFTER;
            let free = self.in_hand.back().map_or(again, |it| it.done.max(again));
            self.in_hand.extend(gathered.into_iter().map(|it| InHand { done: free, ..it }));
            return;
        }
        let deliveries = gathered.iter().map(|it| it.delivery).collect();
        let index = self.settle_sent(connection, deliveries, How::Accept);
        self.waiting.insert(index, time::Instant::now());
        for frame in settle::transaction(How::Accept, &acks, index) {
            connection.send(&frame);
        }
    }

    fn acknowledge_all(&mut self, connection: &mut Connection) {
        for subscription in self.pending.keys().copied().collect::<Vec<_>>() {
            self.acknowledge(connection, subscription);
        }
    }

    fn acknowledge(&mut self, connection: &mut Connection, subscription: usize) {
        if let Some(Pending { deliveries, last_ack: Some(ack), .. }) =
            self.pending.remove(&subscription)
        {
            self.settle(connection, &ack, deliveries, How::Accept);
        }
    }

    fn settle(&mut self, connection: &mut Connection, ack: &Text, deliveries: Vec<u32>, how: How) {
        let index = self.settle_sent(connection, deliveries, how);
        let receipts = self.plan.workload.ack_receipts.0;
        let frame = if receipts < 1.0 && !self.random.random_bool(receipts) {
            settle::bare(how, ack.as_str())
        } else {
            self.waiting.insert(index, time::Instant::now());
            settle::frame(how, ack.as_str(), index)
        };
        connection.send(&frame);
    }

    /// Notes a settlement that is about to be sent; gives its index in the history.
    fn settle_sent(&self, connection: &Connection, deliveries: Vec<u32>, how: How) -> u32 {
        let recorder = &self.shared.recorder;
        recorder.settle_sent(Settle {
            connection: connection.id,
            deliveries,
            how,
            sent: recorder.now(),
            reply: None,
        })
    }

    fn decided(&mut self, receipt: &str, reply: Reply) {
        let index = receipt.parse().ok();
        match index.and_then(|index| self.waiting.remove(&index).map(|_| index)) {
            Some(index) => self.shared.recorder.settled(index, reply),
            None => self
                .shared
                .recorder
                .nonsense("receipt", format!("a receipt came for `{receipt}`, which awaits none")),
        }
    }

    /// The connection is gone: what was in hand goes back, what was settled stays unknown.
    fn forget(&mut self) {
        self.in_hand.clear();
        self.pending.clear();
        self.transaction = Gathered::default();
        for index in std::mem::take(&mut self.waiting).into_keys() {
            self.shared.recorder.settled(index, Reply::Unknown);
        }
    }
}

/// Waits for an instant, or for ever.
async fn at(instant: Option<time::Instant>) {
    match instant {
        Some(instant) => time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
