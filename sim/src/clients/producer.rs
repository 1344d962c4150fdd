//! A producer's life: connect, send at its rate, read answers, and after a failure go to the next
//! node. What was unanswered on a broken connection stays unknown, but for what clients of OpenWire sent
//! alone and stored: that they send again under the same id, as ActiveMQ's do. Branches of distributed
//! transactions are ended by the producer's own log: see `recovering`.

mod recovering;

use std::{collections::BTreeMap, io, pin::pin, time::Duration};

use paceline_runtime::{alarm::Alarm, random, time, trace};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use self::recovering::Log;
use super::{
    Phase, Shared,
    client::{BackOff, Connection},
    dialogue::{Asked, Said, Sending},
    until_stop,
};
use crate::workload::{
    operation::{Delay, MessageId, Publish, Reply, TransactionId, body},
    population::{ProducerPlan, Speaks, body_size, exponential},
};

/// An answer that takes longer ends the connection. Longer than the broker's own limit, so that it
/// gets the chance to say that the outcome is unknown.
const REPLY_TIMEOUT: Duration = Duration::from_secs(45);
/// A producer that could not send for so long gives up what it would have sent meanwhile.
const MOST_BEHIND: Duration = Duration::from_secs(1);

/// What one answer stands for.
struct Waiting {
    messages: Vec<MessageId>,
    since: time::Instant,
    /// What is sent again if the answer does not come, and whether it was before.
    resend: Option<(Publish, bool)>,
}

struct Producer {
    plan: ProducerPlan,
    shared: Shared,
    random: ChaCha8Rng,
    /// Of branches of distributed transactions.
    log: Log,
    /// When the next message is due.
    next: time::Instant,
    waiting: BTreeMap<Asked, Waiting>,
    /// To be sent again over the next connection.
    again: Vec<(MessageId, Publish)>,
    unanswered: usize,
    attempts: u32,
}

/// Lives a producer's life until the drain phase, then until its last answer.
pub async fn run(plan: ProducerPlan, mut shared: Shared) {
    shared.reached(Phase::Work).await;
    let random = random::stream(&format!("producer {}", plan.number));
    let finished = shared.finished.clone();
    let mut producer = Producer {
        next: time::Instant::now(),
        plan,
        shared,
        random,
        log: Log::default(),
        waiting: BTreeMap::new(),
        again: Vec::new(),
        unanswered: 0,
        attempts: 0,
    };
    producer.schedule(1);
    let mut back_off = BackOff::default();
    while producer.shared.phase() < Phase::Drain {
        if producer.connection(&mut back_off).await.is_err() {
            producer.give_up_waiting();
            back_off.wait().await;
        }
    }
    for (id, _) in std::mem::take(&mut producer.again) {
        producer.shared.recorder.replied(id, Reply::Unknown);
    }
    finished.send_modify(|count| *count += 1);
    if producer.is_distributed() {
        until_stop(producer.shared.clone(), producer.keep_recovering()).await;
    }
}

impl Producer {
    /// One connection, until it fails or the work is done and answered.
    async fn connection(&mut self, back_off: &mut BackOff) -> io::Result<()> {
        let id = self.shared.next_connection();
        let node = self.next_node();
        let address = self.shared.address(self.plan.speaks, &node);
        let mut connection = Connection::open(self.plan.speaks, id, &address).await?;
        back_off.reset();
        self.shared.recorder.opened(id, &node);
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
        self.shared.recorder.closed(self.plan.client, id, &ended);
        ended
    }

    /// Where to connect next.
    fn next_node(&mut self) -> String {
        let Self { plan, shared, attempts, random, .. } = self;
        *attempts += 1;
        shared.node(&plan.workload, plan.client, *attempts - 1, random)
    }

    /// Whether something was asked and not answered.
    fn awaits(&self, asked: Asked) -> bool {
        self.waiting.contains_key(&asked)
    }

    async fn work(&mut self, connection: &mut Connection) -> io::Result<()> {
        for (id, publish) in std::mem::take(&mut self.again) {
            self.put_out(connection, id, &publish);
            self.wait_for(Asked::Publish(id), vec![id], Some((publish, true)));
        }
        let mut phase = self.shared.phase.clone();
        let mut drain = pin!(phase.wait_for(|phase| *phase >= Phase::Drain));
        let (mut overdue_alarm, mut next_alarm) = (Alarm::default(), Alarm::default());
        if self.is_distributed() {
            self.recover(connection);
        }
        loop {
            let working = self.shared.phase() < Phase::Drain;
            if !working && self.waiting.is_empty() {
                return connection.leave().await;
            }
            let has_room = self.unanswered < self.plan.workload.window as usize;
            let oldest = self.waiting.values().map(|waiting| waiting.since).min();
            let overdue = oldest.map(|since| since + REPLY_TIMEOUT);
            overdue_alarm.arm(overdue);
            next_alarm.arm((working && has_room).then_some(self.next));
            tokio::select! {
                biased;
                said = connection.receive() => self.answer(connection, said?)?,
                () = overdue_alarm.ring() => {
                    if overdue.is_some_and(|at| at <= time::Instant::now()) {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                () = next_alarm.ring(), if working && has_room => {
                    if self.next <= time::Instant::now() {
                        self.send(connection);
                    }
                }
                _ = &mut drain, if working => {}
            }
        }
    }

    /// Chooses what to send, sends it, and says when the next is due.
    fn send(&mut self, connection: &mut Connection) {
        let workload = &self.plan.workload;
        let (share, size) = (workload.transactions.0, f64::from(workload.transaction_size));
        // Of so many sendings one is a transaction, so that its messages are the share asked for.
        let chance = share / (share + size * (1.0 - share));
        if share > 0.0 && self.random.random_bool(chance) {
            self.send_transaction(connection);
            self.schedule(self.plan.workload.transaction_size);
        } else {
            let (id, publish) = self.send_message(connection, None);
            let is_stored = publish.is_stored()
                && !self.shared.population.destinations[publish.destination.0 as usize].topic;
            let resends = self.plan.speaks == Speaks::OpenWire && is_stored;
            self.wait_for(Asked::Publish(id), vec![id], resends.then_some((publish, false)));
            self.schedule(1);
        }
    }

    fn send_transaction(&mut self, connection: &mut Connection) {
        let number = self.shared.recorder.begin();
        let is_branch =
            self.is_distributed() && self.random.random_bool(self.plan.workload.distributed.0);
        match is_branch {
            true => connection.begin_branch(number),
            false => connection.begin(number),
        }
        let size = self.plan.workload.transaction_size;
        let messages = (0..size).map(|_| self.send_message(connection, Some(number)).0).collect();
        if is_branch {
            connection.prepare(number);
            self.wait_for(Asked::Prepare(number), messages, None);
            return;
        }
        if self.random.random_bool(self.plan.workload.aborts.0) {
            connection.abort(number);
            // Nothing can commit it any more, whether the broker gets to know or not.
            let messages: Vec<MessageId> = messages;
            for id in messages {
                self.shared.recorder.replied(id, Reply::Failed);
            }
        } else {
            connection.commit(number);
            self.wait_for(Asked::Commit(number), messages, None);
        }
    }

    /// Makes a message, records it and sends it.
    fn send_message(
        &mut self,
        connection: &mut Connection,
        transaction: Option<TransactionId>,
    ) -> (MessageId, Publish) {
        let workload = &self.plan.workload;
        let destination = self.plan.targets.draw(&mut self.random);
        let persistent = self.random.random_bool(workload.persistent.0);
        let size = body_size(&workload.body, &mut self.random);
        let expiry = workload.expiry.filter(|expiry| self.random.random_bool(expiry.share.0));
        let priority =
            workload.priorities.map(|[first, last]| self.random.random_range(first..=last));
        let delay = workload.delay.filter(|delay| self.random.random_bool(delay.share.0));
        let delay = delay.map(|delay| {
            let [least, most] = delay.after.map(|time| time.0.as_millis() as u64);
            let after = Duration::from_millis(self.random.random_range(least..=most));
            Delay { after, repeat: delay.repeat, period: delay.period.0 }
        });
        let sent = self.shared.recorder.now();
        let publish = Publish {
            destination,
            persistent,
            connection: connection.id,
            sent,
            expires: expiry.map(|expiry| sent + expiry.after.0),
            delay,
            transaction,
            priority,
            bytes: size as u32,
            reply: None,
        };
        let id = self.shared.recorder.sent(self.plan.number, publish.clone());
        self.put_out(connection, id, &publish);
        (id, publish)
    }

    /// Sends a message.
    fn put_out(&self, connection: &mut Connection, id: MessageId, publish: &Publish) {
        let (now, wall) = (self.shared.recorder.now(), time::wall_clock().0);
        let expires = publish.expires.map(|at| {
            let [left, over] = [at.saturating_sub(now), now.saturating_sub(at)];
            (wall + left.as_millis() as u64).saturating_sub(over.as_millis() as u64).max(1)
        });
        let destination = &self.shared.population.destinations[publish.destination.0 as usize];
        let body = body(id, publish.bytes as usize);
        connection.publish(&Sending { id, publish, destination, expires, body });
    }

    fn wait_for(
        &mut self,
        asked: Asked,
        messages: Vec<MessageId>,
        resend: Option<(Publish, bool)>,
    ) {
        self.unanswered += messages.len();
        self.waiting.insert(asked, Waiting { messages, since: time::Instant::now(), resend });
    }

    fn answer(&mut self, connection: &mut Connection, said: Said) -> io::Result<()> {
        match said {
            Said::Prepared(branches) => {
                self.waiting.remove(&Asked::Recover);
                self.end_by_log(connection, &branches);
                Ok(())
            }
            Said::Answered(Asked::Abandoned, ..) => Ok(()),
            Said::Answered(Asked::Prepare(number), Reply::Ok, _) => {
                self.prepared(connection, number)
            }
            Said::Answered(Asked::End(number), reply, _) => {
                self.ended(number, reply);
                Ok(())
            }
            Said::Answered(asked, reply, ends) => {
                self.decided(asked, reply);
                ends.map_or(Ok(()), Err)
            }
            Said::Stray(text) => {
                self.shared.recorder.stray(&text);
                Ok(())
            }
            other => Err(io::Error::other(format!("a producer hears {other:?}"))),
        }
    }

    fn decided(&mut self, asked: Asked, reply: Reply) {
        match self.waiting.remove(&asked) {
            Some(waiting) => {
                self.unanswered -= waiting.messages.len();
                // What is refused now may have been stored before.
                let is_again = waiting.resend.is_some_and(|(_, is_again)| is_again);
                let reply = match reply {
                    Reply::Failed if is_again => Reply::Unknown,
                    reply => reply,
                };
                for id in waiting.messages {
                    self.shared.recorder.replied(id, reply);
                }
            }
            None => self.shared.recorder.stray(&format!("{asked:?}")),
        }
    }

    /// What awaits an answer no longer, which were so many messages.
    fn answered(&mut self, asked: Asked) -> Option<Vec<MessageId>> {
        let messages = self.waiting.remove(&asked)?.messages;
        self.unanswered -= messages.len();
        Some(messages)
    }

    /// The connection is gone: nobody will say any more what became of these, unless they are sent again.
    fn give_up_waiting(&mut self) {
        for (asked, waiting) in std::mem::take(&mut self.waiting) {
            if self.left_prepared(asked, &waiting.messages) {
                continue;
            }
            if let Some((publish, _)) = waiting.resend {
                self.again.push((waiting.messages[0], publish));
                continue;
            }
            for id in waiting.messages {
                self.shared.recorder.replied(id, Reply::Unknown);
            }
        }
        self.unanswered = 0;
    }

    /// The next sending is due when `messages` more would have come at the producer's rate.
    fn schedule(&mut self, messages: u32) {
        let workload = &self.plan.workload;
        let every = f64::from(workload.producers) / workload.rate.per_second;
        let pause = exponential(every * f64::from(messages), &mut self.random);
        let pause = Duration::from_secs_f64(pause.min(3600.0));
        let now = time::Instant::now();
        let behind = now.saturating_duration_since(self.next);
        self.next = if behind > MOST_BEHIND { now + pause } else { self.next + pause };
    }
}
