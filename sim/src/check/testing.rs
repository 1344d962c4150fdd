//! Short ways to write down histories, for the tests of the checks.

use std::{sync::Arc, time::Duration};

use super::ReplyCheck;
use super::{
    StepCheck,
    step::{NameId, NodeId, Step, Steps, What},
};
use crate::workload::{
    history::{History, Observation},
    ids::{ClientId, ConnectionId, DestinationId, DestinationInfo},
    operation::{Delivery, How, MessageId, Publish, Reply, Settle, Transaction, TransactionId},
};

pub fn by(node: NodeId, what: What) -> Step {
    Step { at: Duration::ZERO, node, what }
}

pub fn died(node: NodeId) -> Step {
    by(node, What::Died)
}

pub fn dispatch(shard: u64, term: u64, consumer: u32, message: u32) -> What {
    What::Dispatch {
        shard,
        term,
        consumer: NameId(consumer),
        message: NameId(message),
        id: None,
        queue: None,
        priority: 4,
        redelivered: false,
        in_flight: 1,
        credit: 1,
    }
}

/// Names 0 to 9 are the texts "0" to "9".
pub fn names() -> Steps {
    let mut names = Steps::default();
    for name in 0..10 {
        names.name(&name.to_string());
    }
    names
}

#[track_caller]
pub fn accepts(check: &mut impl StepCheck, steps: impl IntoIterator<Item = Step>) {
    for step in steps {
        check.step(&step, &names()).unwrap();
    }
}

/// The last step, and only that, is refused, for this reason.
#[track_caller]
pub fn refuses(check: &mut impl StepCheck, steps: impl IntoIterator<Item = Step>, reason: &str) {
    let mut steps: Vec<_> = steps.into_iter().collect();
    let last = steps.pop().unwrap();
    accepts(check, steps);
    let error = check.step(&last, &names()).expect_err("the last step must be refused");
    assert!(error.contains(reason), "{error}");
}

/// A history written down by hand: one queue, one topic, two producers.
pub struct Told {
    pub history: History,
    now: u64,
}

pub const QUEUE: DestinationId = DestinationId(0);
pub const TOPIC: DestinationId = DestinationId(1);

impl Told {
    pub fn new() -> Self {
        let info = |name: &str, topic, consumers| DestinationInfo {
            name: name.into(),
            topic,
            kept: false,
            consumers,
            auto_ack: false,
            prefetch: 3,
            parts: 1,
            delayed: false,
            distributed: false,
            grouped: false,
            exclusive: false,
            share: 0.5,
        };
        let destinations = vec![info("q", false, 1), info("t", true, 2)];
        Self { history: History::new(destinations, 2), now: 0 }
    }

    /// Nothing happens until then.
    pub fn pass(&mut self, until: Duration) {
        self.now = until.as_millis() as u64;
    }

    fn tick(&mut self) -> Duration {
        self.now += 1;
        Duration::from_millis(self.now)
    }

    /// Producer 0 sends a persistent message over connection 0.
    pub fn send(&mut self, destination: DestinationId) -> MessageId {
        self.send_by(0, destination, |_| {})
    }

    pub fn send_by(
        &mut self,
        producer: u32,
        destination: DestinationId,
        change: impl FnOnce(&mut Publish),
    ) -> MessageId {
        let mut publish = Publish {
            destination,
            persistent: true,
            connection: ConnectionId(producer),
            sent: self.tick(),
            expires: None,
            delay: None,
            transaction: None,
            priority: None,
            bytes: 10,
            reply: None,
        };
        change(&mut publish);
        self.history.sent(producer, publish)
    }

    pub fn reply(&mut self, id: MessageId, reply: Reply) {
        let at = self.tick();
        self.history.replied(id, at, reply);
    }

    /// Sends and acknowledges.
    pub fn publish(&mut self, destination: DestinationId) -> MessageId {
        let id = self.send(destination);
        self.reply(id, Reply::Ok);
        id
    }

    /// A transaction of two messages with this fate.
    pub fn transaction(&mut self, reply: Reply) -> [MessageId; 2] {
        let number = TransactionId(self.history.transactions.len() as u32);
        let ids = [(); 2].map(|()| self.send_by(0, QUEUE, |it| it.transaction = Some(number)));
        self.history.transactions.push(Transaction { messages: ids.to_vec() });
        for id in ids {
            self.reply(id, reply);
        }
        ids
    }

    pub fn deliver(&mut self, id: MessageId, redelivered: bool) -> Delivery {
        self.deliver_to(0, id, redelivered)
    }

    pub fn deliver_to(&mut self, client: u32, id: MessageId, redelivered: bool) -> Delivery {
        let delivery = Delivery {
            id,
            broker_id: Arc::from(format!("id-{id}")),
            destination: Some(self.history.publish(id).map_or(QUEUE, |it| it.destination)),
            expired: false,
            client: ClientId(client),
            connection: ConnectionId(100 + client),
            at: self.tick(),
            redelivered,
            part: None,
            accepted: None,
        };
        self.history.arrived(delivery.clone());
        delivery
    }

    /// Settles the latest delivery of a message, with success.
    pub fn accept(&mut self, id: MessageId) -> Settle {
        let delivery = *self.history.delivered[&id].last().unwrap();
        let at = self.tick();
        let index = self.history.settle_sent(Settle {
            connection: self.history.deliveries[delivery as usize].connection,
            deliveries: vec![delivery],
            how: How::Accept,
            sent: at,
            reply: None,
        });
        self.history.settled(index, at, Reply::Ok);
        self.history.settles[index as usize].clone()
    }

    /// Shows one delivery to a check.
    pub fn show(&self, check: &mut impl ReplyCheck, delivery: &Delivery) -> Result<(), String> {
        check.observe(Observation::Delivered(delivery), &self.history)
    }
}
