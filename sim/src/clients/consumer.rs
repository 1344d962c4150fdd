//! A consumer's life: connect, subscribe, receive, settle, and after a failure go to the next
//! node. Now and then it refuses a message or drops its connection, if the scenario asks for that.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::ready,
    io,
    time::Duration,
};

use paceline_runtime::{alarm::Alarm, random, time, trace};
use paceline_scenario::format::{AckMode, Workload};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{
    Phase, Shared,
    client::{BackOff, Connection},
    dialogue::{Arrival, Asked, Handle, Said},
    keeping::{self, Keeping},
    pulls::Pulls,
};
use crate::workload::{
    operation::{Closing, Delivery, How, Reply, Settle, check_body},
    population::{ConsumerPlan, Speaks},
};

/// An answer to an acknowledgement that takes longer ends the connection.
const REPLY_TIMEOUT: Duration = Duration::from_secs(45);
/// Cumulative acknowledgements cover so many deliveries, or as many as come in `CUMULATIVE_DELAY`.
const CUMULATIVE: usize = 8;
/// A transaction acknowledges so many deliveries, or as many as come in `CUMULATIVE_DELAY`.
const TRANSACTION: usize = 3;
const CUMULATIVE_DELAY: Duration = Duration::from_millis(20);
/// A client of OpenWire acknowledges more than its prefetch at a time, as a JMS session does that
/// commits when it has done its work, or as many as come in this time.
const SESSION_DELAY: Duration = Duration::from_secs(3);
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
#[derive(Clone, Debug)]
struct InHand {
    delivery: u32,
    subscription: usize,
    handle: Handle,
    done: time::Instant,
}

/// Deliveries that the next cumulative acknowledgement covers.
#[derive(Default)]
struct Pending {
    deliveries: Vec<InHand>,
    /// Of how many the broker was told that they have come.
    told: usize,
    due: Option<time::Instant>,
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
    /// What it subscribes to, and the destination if it is one of the run's.
    sources: Vec<keeping::Known>,
    in_hand: VecDeque<InHand>,
    pending: BTreeMap<usize, Pending>,
    /// Deliveries that the next transaction acknowledges.
    transaction: Gathered,
    /// Settlements without an answer.
    waiting: BTreeMap<u32, time::Instant>,
    /// By subscription, the place of the last delivery that it has looked at.
    seen: BTreeMap<usize, i64>,
    /// Ends of subscriptions without an answer.
    closings: BTreeSet<u32>,
    /// What it has asked of subscriptions that outlive its connections.
    keeping: Keeping,
    /// What it has asked for, where it has no prefetch.
    pulls: Pulls,
    /// How often any node had begun to lead when the connection was opened.
    reigns: usize,
    attempts: u32,
    /// Connections on which it has fallen silent, and which it leaves open to the end.
    vanished: Vec<Connection>,
    was_ready: bool,
    unconfirmed: usize,
}

/// Lives a consumer's life until everybody is told to leave.
pub async fn run(plan: ConsumerPlan, shared: Shared) {
    let random = random::stream(&format!("consumer {}", plan.client.0));
    let sources = keeping::sources(&plan, &shared.population);
    let mut consumer = Consumer {
        plan,
        shared: shared.clone(),
        random,
        sources,
        in_hand: VecDeque::new(),
        pending: BTreeMap::new(),
        transaction: Gathered::default(),
        waiting: BTreeMap::new(),
        seen: BTreeMap::new(),
        closings: BTreeSet::new(),
        keeping: Keeping::default(),
        pulls: Pulls::default(),
        reigns: 0,
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
            match ended {
                Ok(Wish::Leave) => consumer.stay_away().await,
                Ok(_) => {}
                Err(error) => {
                    consumer.shared.recorder.failed(consumer.plan.client, &error);
                    back_off.wait().await;
                }
            }
        }
    })
    .await;
}

impl Consumer {
    async fn connection(&mut self, back_off: &mut BackOff) -> io::Result<Wish> {
        let Self { plan, shared, .. } = self;
        let id = shared.next_connection();
        let node = shared.node(&plan.workload, plan.client, self.attempts, &mut self.random);
        self.attempts += 1;
        let (client, address) = (Keeping::client_id(plan), shared.address(plan.speaks, &node));
        let mut connection = Connection::open_as(plan.speaks, id, &address, client).await?;
        connection.distribute(plan.workload.distributed.0);
        back_off.reset();
        self.shared.recorder.opened(id, &node);
        self.reigns = self.shared.recorder.reigns();
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
        ended
    }

    /// Is away for as long as the scenario allows, and no longer than everybody works.
    async fn stay_away(&mut self) {
        let away = self.plan.workload.away.0;
        if away > Duration::ZERO {
            let away = away.mul_f64(self.random.random());
            let mut shared = self.shared.clone();
            tokio::select! {
                biased;
                () = shared.reached(Phase::Drain) => {}
                () = time::sleep(away) => {}
            }
        }
    }

    fn subscribe(&mut self, connection: &mut Connection) {
        self.keeping.subscribing(&self.plan, &self.shared.recorder);
        let (mode, prefetch) = (self.ack_mode(), self.plan.workload.prefetch);
        for (number, (source, _)) in self.sources.iter().enumerate() {
            connection.subscribe(number, source, mode, prefetch);
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
        let mut alarm = Alarm::default();
        loop {
            let now = time::Instant::now();
            let done = self.in_hand.front().map(|it| it.done);
            let cumulative = self.pending.values().filter_map(|it| it.due).min();
            let gathered = self.transaction.since.map(|at| at + CUMULATIVE_DELAY);
            let overdue = self.waiting.values().min().map(|&since| since + REPLY_TIMEOUT);
            let is_due = |at: Option<time::Instant>| at.is_some_and(|at| at <= now);
            let deadline = [done, cumulative, gathered, overdue].into_iter().flatten().min();
            alarm.arm(deadline.filter(|at| *at > now));
            tokio::select! {
                biased;
                () = ready(()), if is_due(done) => match self.finish(connection)? {
                    Wish::Stay => {}
                    Wish::Leave => {
                        self.leave(connection).await?;
                        return Ok(Wish::Leave);
                    }
                    Wish::Vanish => return Ok(Wish::Vanish),
                },
                () = ready(()), if is_due(cumulative) => self.acknowledge_due(connection),
                () = ready(()), if is_due(gathered) => self.commit(connection),
                said = connection.receive() => self.take(connection, said?)?,
                () = ready(()), if is_due(overdue) => return Err(io::ErrorKind::TimedOut.into()),
                () = alarm.ring() => {}
            }
        }
    }

    fn take(&mut self, connection: &mut Connection, said: Said) -> io::Result<()> {
        match said {
            Said::Message(arrival) => self.take_message(connection, &arrival),
            Said::Answered(asked, reply, ends) => self.answered(connection, asked, reply, ends),
            Said::Nothing(subscription) => {
                self.pulls.nothing(subscription);
                self.pull(connection, subscription);
                Ok(())
            }
            Said::Prepared(_) => unreachable!("consumers ask for no list"),
            Said::Stray(text) => {
                self.shared.recorder.stray(&text);
                Ok(())
            }
        }
    }

    fn answered(
        &mut self,
        connection: &mut Connection,
        asked: Asked,
        reply: Reply,
        ends: Option<io::Error>,
    ) -> io::Result<()> {
        self.keeping.answered(asked, reply, &self.shared.recorder);
        match asked {
            Asked::Subscribe(number) if reply == Reply::Ok => self.confirmed(connection, number),
            Asked::Subscribe(_) | Asked::Forget(_) => {}
            Asked::Settle(index) => self.decided(index, reply),
            Asked::Close(index) => {
                self.closings.remove(&index);
                self.shared.recorder.closing_replied(index, reply);
            }
            _ => {
                self.shared.recorder.stray(&format!("{asked:?}"));
            }
        }
        match ends {
            Some(error) => Err(error),
            None if reply == Reply::Ok => Ok(()),
            // What it holds is to be had again.
            None => Err(io::Error::other(format!("{asked:?} was refused"))),
        }
    }

    fn confirmed(&mut self, connection: &mut Connection, number: usize) {
        for destination in self.sources.get(number).into_iter().flat_map(|(_, ids)| ids) {
            self.shared.recorder.subscribed(self.plan.client, connection.id, *destination);
        }
        self.unconfirmed = self.unconfirmed.saturating_sub(1);
        if self.unconfirmed == 0 && !self.was_ready {
            self.was_ready = true;
            self.shared.ready.send_modify(|count| *count += 1);
        }
        self.pull(connection, number);
    }

    /// Asks for the next message, where messages come only so.
    fn pull(&mut self, connection: &mut Connection, subscription: usize) {
        if self.plan.workload.prefetch > 0 {
            return;
        }
        let pending = self.pending.get(&subscription).map_or(0, |it| it.deliveries.len());
        let others = self.in_hand.iter().chain(&self.transaction.deliveries);
        let held = pending + others.filter(|it| it.subscription == subscription).count();
        if let Some(timeout) = self.pulls.ask(subscription, held as u32, &mut self.random) {
            connection.pull(subscription, timeout);
        }
    }

    fn take_message(&mut self, connection: &mut Connection, arrival: &Arrival) -> io::Result<()> {
        let broker_id = arrival.broker_id.as_str();
        let nonsense = |check, detail: String| {
            self.shared.recorder.nonsense(check, detail);
            Err(io::ErrorKind::InvalidData.into())
        };
        let source = arrival.subscription.and_then(|number| self.sources.get(number));
        let (Some(subscription), Some((_, of))) = (arrival.subscription, source) else {
            return nonsense("invented", format!("{broker_id} came for no subscription"));
        };
        let destination = match keeping::came_from(arrival, of, &self.shared.population) {
            Ok(destination) => destination,
            Err(detail) => return nonsense("invented", detail),
        };
        let Some(id) = check_body(&arrival.body) else {
            let detail = format!("the body of {broker_id} is not one that any producer has sent");
            return nonsense("invented", detail);
        };
        if let Some(other) = arrival.sent_as.as_ref().filter(|it| **it != id.to_string()) {
            return nonsense(
                "invented",
                format!("{broker_id} is {id} and says that it is {other}"),
            );
        }
        // Many queues have as many leaders, each of which may have one.
        if self.plan.workload.prefetch == 0
            && destination.is_some()
            && let Err(detail) =
                self.pulls.came(subscription, self.shared.recorder.led_otherwise_since(self.reigns))
        {
            return nonsense("pull", detail);
        }
        if destination.is_none() {
            keeping::look_at_dead_letter(&self.shared.recorder, id, arrival);
        }
        let delivery = self.shared.recorder.delivered(Delivery {
            id,
            broker_id: broker_id.into(),
            destination,
            expired: destination.is_none() && arrival.cause.starts_with("expired"),
            client: self.plan.client,
            connection: connection.id,
            at: self.shared.recorder.now(),
            redelivered: arrival.redelivered,
            part: self.plan.part,
            accepted: None,
        });
        if self.ack_mode() == AckMode::Auto {
            return Ok(());
        }
        let Some(handle) = arrival.handle.clone() else {
            return nonsense("receipt", format!("{broker_id} came without what it is settled by"));
        };
        let now = time::Instant::now();
        let free = self.in_hand.back().map_or(now, |it| it.done.max(now));
        self.in_hand.push_back(InHand {
            delivery,
            subscription,
            handle,
            done: free + self.plan.workload.handling.0,
        });
        Ok(())
    }

    /// The oldest delivery in hand is worked off: settles it, or does what the scenario asks for.
    fn finish(&mut self, connection: &mut Connection) -> io::Result<Wish> {
        let in_hand = self.in_hand.pop_front().expect("one was due");
        let seen = self.seen.entry(in_hand.subscription).or_default();
        *seen = in_hand.handle.place.max(*seen);
        let working = self.shared.phase() < Phase::Drain;
        let draw: f64 = self.random.random();
        let Workload { drop, nack, leave, vanish, .. } = &*self.plan.workload;
        let nack = nack.0;
        // Who looks after the dead letters refuses some and does nothing else.
        let (drop, leave, vanish) = if self.plan.sources.is_empty() {
            (0.0, 0.0, 0.0)
        } else {
            (drop.0, leave.0, vanish.0)
        };
        if working && draw < drop {
            return Err(io::Error::other("drops its connection, as the scenario asks"));
        }
        if working && (drop + nack..drop + nack + leave).contains(&draw) {
            return Ok(Wish::Leave);
        }
        if working && (drop + nack + leave..drop + nack + leave + vanish).contains(&draw) {
            return Ok(Wish::Vanish);
        }
        let subscription = in_hand.subscription;
        if working && draw < drop + nack {
            self.settle(connection, &[in_hand], self.refusal());
        } else {
            self.accept(connection, in_hand);
        }
        self.pull(connection, subscription);
        Ok(Wish::Stay)
    }

    /// Acknowledges a delivery, by itself or later together with others.
    fn accept(&mut self, connection: &mut Connection, in_hand: InHand) {
        let ack_transactions = self.plan.workload.ack_transactions.0;
        if ack_transactions > 0.0
            && self.ack_mode() == AckMode::ClientIndividual
            && self.random.random_bool(ack_transactions)
        {
            self.transaction.deliveries.push(in_hand);
            self.transaction.since.get_or_insert_with(time::Instant::now);
            if self.transaction.deliveries.len() >= TRANSACTION {
                self.commit(connection);
            }
        } else if self.ack_mode() == AckMode::Client {
            self.gather(connection, in_hand);
        } else {
            self.settle(connection, &[in_hand], How::Accept);
        }
    }

    /// How a message is refused.
    fn refusal(&self) -> How {
        match self.plan.speaks {
            Speaks::Stomp => How::Reject,
            Speaks::OpenWire => How::Poison,
        }
    }

    /// A delivery is to be acknowledged together with others of its subscription.
    fn gather(&mut self, connection: &mut Connection, in_hand: InHand) {
        let (subscription, prefetch) = (in_hand.subscription, self.plan.workload.prefetch as usize);
        let (most, delay) = match self.plan.speaks {
            Speaks::Stomp => (CUMULATIVE, CUMULATIVE_DELAY),
            Speaks::OpenWire => ((prefetch + prefetch / 2 + 1).max(CUMULATIVE), SESSION_DELAY),
        };
        let pending = self.pending.entry(subscription).or_default();
        pending.deliveries.push(in_hand);
        pending.due.get_or_insert_with(|| time::Instant::now() + delay);
        if pending.deliveries.len() >= most {
            return self.acknowledge(connection, subscription);
        }
        let untold = &pending.deliveries[pending.told..];
        if prefetch > 0 && untold.len() >= (prefetch / 2).max(1) {
            connection.delivered(subscription, &handles(untold));
            pending.told = pending.deliveries.len();
        }
    }

    /// Ends the subscriptions, which gives back what is in hand, and then the session.
    async fn leave(&mut self, connection: &mut Connection) -> io::Result<()> {
        for number in 0..self.sources.len() {
            let seen = self.seen.get(&number).copied().unwrap_or(0);
            let closing = match self.plan.speaks {
                Speaks::Stomp => None,
                Speaks::OpenWire => Some(self.closing(connection, number, seen)),
            };
            connection.unsubscribe(number, seen, closing);
        }
        let Self { plan, sources, random, shared, .. } = self;
        self.keeping.end(plan, sources, connection, random, &shared.recorder);
        while !self.closings.is_empty() || self.keeping.is_ending() {
            // Messages that cross are as if they had not come.
            if let Said::Answered(asked, reply, ends) = connection.receive().await? {
                self.answered(connection, asked, reply, ends)?;
            }
        }
        connection.leave().await
    }

    /// Notes that a subscription ends of which everything up to `seen` was looked at; gives its index
    /// in the history.
    fn closing(&mut self, connection: &Connection, number: usize, seen: i64) -> u32 {
        let of_it = |it: &&InHand| it.subscription == number && it.handle.place > seen;
        let recorder = &self.shared.recorder;
        let index = recorder.closing(Closing {
            connection: connection.id,
            destinations: self.sources[number].1.clone(),
            unseen: self.in_hand.iter().filter(of_it).map(|it| it.delivery).collect(),
            sent: recorder.now(),
            reply: None,
        });
        self.closings.insert(index);
        index
    }

    /// Acknowledges all that was gathered for a transaction, or, where the scenario has it aborted,
    /// tells the broker so and does it all again.
    fn commit(&mut self, connection: &mut Connection) {
        let gathered = std::mem::take(&mut self.transaction).deliveries;
        let together: Vec<_> =
            gathered.iter().map(|it| (it.subscription, it.handle.clone())).collect();
        if self.aborts() {
            connection.settle_together(&together, false, None);
            let again = time::Instant::now() + AGAIN_AFTER;
            let free = self.in_hand.back().map_or(again, |it| it.done.max(again));
            self.in_hand.extend(gathered.into_iter().map(|it| InHand { done: free, ..it }));
            return;
        }
        let index = self.settle_sent(connection, &gathered, How::Accept);
        self.waiting.insert(index, time::Instant::now());
        connection.settle_together(&together, false, Some(index));
    }

    /// Whether a transaction is to come to nothing.
    fn aborts(&mut self) -> bool {
        let aborts = self.plan.workload.aborts.0;
        aborts > 0.0 && self.shared.phase() < Phase::Drain && self.random.random_bool(aborts)
    }

    fn acknowledge_due(&mut self, connection: &mut Connection) {
        let now = time::Instant::now();
        let due = self.pending.iter().filter(|(_, it)| it.due.is_some_and(|due| due <= now));
        for subscription in due.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.acknowledge(connection, subscription);
        }
    }

    fn acknowledge(&mut self, connection: &mut Connection, subscription: usize) {
        let Some(mut pending) = self.pending.remove(&subscription) else { return };
        let share = self.plan.workload.ack_transactions.0;
        let in_transaction = self.plan.speaks == Speaks::OpenWire && share > 0.0;
        if !in_transaction || !self.random.random_bool(share) {
            return self.settle(connection, &pending.deliveries, How::Accept);
        }
        let together: Vec<_> =
            pending.deliveries.iter().map(|it| (subscription, it.handle.clone())).collect();
        if self.aborts() {
            connection.settle_together(&together, true, None);
            pending.due = Some(time::Instant::now() + AGAIN_AFTER);
            self.pending.insert(subscription, pending);
            return;
        }
        let index = self.settle_sent(connection, &pending.deliveries, How::Accept);
        self.waiting.insert(index, time::Instant::now());
        connection.settle_together(&together, true, Some(index));
    }

    /// Settles deliveries of one subscription.
    fn settle(&mut self, connection: &mut Connection, settled: &[InHand], how: How) {
        let Some(subscription) = settled.first().map(|it| it.subscription) else { return };
        let index = self.settle_sent(connection, settled, how);
        let receipts = self.plan.workload.ack_receipts.0;
        let asks = receipts >= 1.0 || self.random.random_bool(receipts);
        if asks {
            self.waiting.insert(index, time::Instant::now());
        }
        connection.settle(subscription, how, &handles(settled), asks.then_some(index));
    }

    /// Notes a settlement that is about to be sent; gives its index in the history.
    fn settle_sent(&self, connection: &Connection, settled: &[InHand], how: How) -> u32 {
        let recorder = &self.shared.recorder;
        recorder.settle_sent(Settle {
            connection: connection.id,
            deliveries: settled.iter().map(|it| it.delivery).collect(),
            how,
            sent: recorder.now(),
            reply: None,
        })
    }

    fn decided(&mut self, index: u32, reply: Reply) {
        match self.waiting.remove(&index) {
            Some(_) => self.shared.recorder.settled(index, reply),
            None => self.shared.recorder.stray(&index.to_string()),
        }
    }

    /// The connection is gone: what was in hand goes back, what was settled stays unknown.
    fn forget(&mut self) {
        self.in_hand.clear();
        self.pending.clear();
        self.transaction = Gathered::default();
        self.seen.clear();
        self.pulls.forget();
        self.keeping.forget(&self.shared.recorder);
        for index in std::mem::take(&mut self.closings) {
            self.shared.recorder.closing_replied(index, Reply::Unknown);
        }
        for index in std::mem::take(&mut self.waiting).into_keys() {
            self.shared.recorder.settled(index, Reply::Unknown);
        }
    }
}

fn handles(of: &[InHand]) -> Vec<Handle> {
    of.iter().map(|it| it.handle.clone()).collect()
}
