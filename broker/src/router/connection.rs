//! What a connection and the clients of shards share: the way to tell it things, what its consumers
//! hold, and how much of its work is under way.

use paceline_reached::{Point, reached};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use paceline_core::{
    operation::{ConsumerId, Delivery, OpTag, Outcome, Refusal},
    shard,
};
use tokio::sync::{Notify, mpsc, oneshot};

use super::{ConnectionEvent, deliveries::Deliveries};
use crate::shard::channel::Delivered;

/// A connection with more than this under way is asked to wait.
const MAX_BYTES_UNDER_WAY: usize = 4 << 20;

/// What an operation weighs beside its messages.
pub(super) const OPERATION_BYTES: usize = 1 << 10;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Connection {
    events: mpsc::UnboundedSender<ConnectionEvent>,
    deliveries: Mutex<Deliveries>,
    under_way: AtomicUsize,
    less_under_way: Notify,
}

impl Connection {
    pub(super) fn new(events: mpsc::UnboundedSender<ConnectionEvent>) -> Self {
        Self {
            events,
            deliveries: Mutex::default(),
            under_way: AtomicUsize::new(0),
            less_under_way: Notify::new(),
        }
    }

    /// Something that weighs so much has begun.
    pub(super) fn begin(&self, bytes: usize) {
        self.under_way.fetch_add(bytes, Ordering::Relaxed);
    }

    /// It has ended.
    pub(super) fn end(&self, bytes: usize, tag: OpTag, outcome: Outcome) {
        // A closed receiver means that the connection is going away and needs no answer.
        let _ = self.events.send(ConnectionEvent::Outcome(tag, outcome));
        let before = self.under_way.fetch_sub(bytes, Ordering::Relaxed);
        if before > MAX_BYTES_UNDER_WAY && before - bytes <= MAX_BYTES_UNDER_WAY {
            self.less_under_way.notify_one();
        }
    }

    /// Waits until little enough is under way.
    pub(super) async fn ready(&self) {
        while self.under_way.load(Ordering::Relaxed) > MAX_BYTES_UNDER_WAY {
            reached(Point::ProducerHeldBack);
            self.less_under_way.notified().await;
        }
    }

    /// Works on what the consumers hold, then hands out what has become possible.
    pub(super) fn with_deliveries<R>(&self, work: impl FnOnce(&mut Deliveries) -> R) -> R {
        // Sent under the lock, so that deliveries leave in the order in which they were numbered.
        let mut deliveries = self.deliveries.lock().expect("no holder panics");
        let result = work(&mut deliveries);
        for delivery in deliveries.advance() {
            self.send(delivery);
        }
        result
    }

    fn send(&self, delivery: Delivery) {
        let _ = self.events.send(ConnectionEvent::Delivery(delivery));
    }
}

/// Where a shard's deliveries to one consumer go.
#[derive(Clone, Debug)]
pub(super) struct Sink {
    pub(super) connection: Arc<Connection>,
    pub(super) consumer: ConsumerId,
}

impl Sink {
    pub(super) fn deliver(&self, slot: u32, delivered: Delivered) {
        let mut deliveries = self.connection.deliveries.lock().expect("no holder panics");
        if let Some(delivery) = deliveries.arrive(self.consumer, slot, delivered) {
            self.connection.send(delivery);
        }
    }

    pub(super) fn leader_lost(&self, slot: u32) {
        self.connection.with_deliveries(|deliveries| {
            deliveries.forget_waiting(self.consumer, slot);
        });
    }
}

/// Who is told when something sent to a shard has ended.
#[derive(Debug)]
pub(super) enum Done {
    /// A connection, of an operation that one shard carries out.
    Operation { connection: Arc<Connection>, tag: OpTag, bytes: usize },
    /// A connection, when all parts of an operation have ended.
    Part(Arc<Parts>),
    /// A task of this node.
    Task(oneshot::Sender<shard::Outcome>),
    /// Nobody.
    Nobody,
}

impl Done {
    /// A shard has answered.
    pub(super) fn tell(self, outcome: shard::Outcome) {
        match self {
            Done::Task(sender) => drop(sender.send(outcome)),
            other => other.tell_result(result_of(outcome)),
        }
    }

    /// Something without a place in a log has ended.
    pub(super) fn tell_result(self, result: Outcome) {
        match self {
            Done::Operation { connection, tag, bytes } => connection.end(bytes, tag, result),
            Done::Part(parts) => parts.note(result),
            Done::Task(sender) => {
                let outcome = match result {
                    Ok(()) => shard::Outcome::Done,
                    Err(why) => shard::Outcome::Refused(shard::Refused::ByLeader(why.to_string())),
                };
                drop(sender.send(outcome));
            }
            Done::Nobody => {}
        }
    }
}

/// A shard's answer in the words of sessions.
pub(super) fn result_of(outcome: shard::Outcome) -> Outcome {
    match outcome {
        shard::Outcome::Done | shard::Outcome::Duplicate | shard::Outcome::Decided { .. } => Ok(()),
        shard::Outcome::Refused(why) => Err(Refusal::Rejected(why.to_string())),
        shard::Outcome::Superseded => {
            Err(Refusal::Unknown("another process runs as this node".into()))
        }
        shard::Outcome::Gap { .. } => {
            Err(Refusal::Unknown("the shard has lost count of this node's commands".into()))
        }
    }
}

/// An operation in several parts; told when the last of them has ended.
#[derive(Debug)]
pub(super) struct Parts {
    connection: Arc<Connection>,
    tag: OpTag,
    bytes: usize,
    left: AtomicUsize,
    failed: Mutex<Option<Refusal>>,
}

impl Parts {
    /// Begins with one part, which the caller ends with [`Parts::note`] when it has made the others.
    pub(super) fn new(connection: Arc<Connection>, tag: OpTag, bytes: usize) -> Arc<Self> {
        let (left, failed) = (AtomicUsize::new(1), Mutex::new(None));
        Arc::new(Self { connection, tag, bytes, left, failed })
    }

    /// One part more.
    pub(super) fn part(self: &Arc<Self>) -> Done {
        self.left.fetch_add(1, Ordering::Relaxed);
        Done::Part(self.clone())
    }

    /// A part has ended.
    pub(super) fn note(&self, result: Outcome) {
        if let Err(why) = result {
            self.failed.lock().expect("no holder panics").get_or_insert(why);
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let failed = self.failed.lock().expect("no holder panics").take();
            self.connection.end(self.bytes, self.tag, failed.map_or(Ok(()), Err));
        }
    }
}
