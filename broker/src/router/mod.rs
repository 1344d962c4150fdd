//! The ingress side of a node: takes the operations of its connections to the shards they concern
//! and brings outcomes and deliveries back.
//!
//! A connection knows destinations, never shards or nodes.

mod client;
mod commit;
mod connection;
mod deliveries;
mod finder;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use paceline_core::{
    Destination, DestinationKind, Message,
    dispatch::{MessageKey, VolatileId},
    operation::{ConsumerId, Delivery, DeliveryId, OpTag, Operation, Outcome, Refusal, Settlement},
    shard::{self, Command, MessageRef, SessionId, TransactionId},
};
use paceline_runtime::task;
use tokio::sync::{mpsc, oneshot};

use self::{
    client::Request,
    connection::{Connection, Done, OPERATION_BYTES, Parts, Sink},
    deliveries::Held,
};
pub use finder::Connector;

/// What a connection is told.
#[derive(Clone, Debug, PartialEq)]
pub enum ConnectionEvent {
    /// An operation has ended. Outcomes come in any order.
    Outcome(OpTag, Outcome),
    /// A message for one of the connection's consumers. The deliveries of one destination to one
    /// consumer come in order.
    Delivery(Delivery),
}

/// Connects a node's clients to the cluster. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Router {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    connector: Connector,
    session: SessionId,
    /// This node's client of each shard, once it has been asked for anything.
    clients: Vec<OnceLock<mpsc::UnboundedSender<Request>>>,
    next_consumer: AtomicU64,
    next_transaction: AtomicU64,
}

impl Router {
    /// The router of a node at one of its lives.
    pub fn new(connector: Connector, session: SessionId) -> Self {
        let clients = (0..connector.cluster.slots()).map(|_| OnceLock::new()).collect();
        let (next_consumer, next_transaction) = (AtomicU64::new(1), AtomicU64::new(1));
        let inner = Inner { connector, session, clients, next_consumer, next_transaction };
        Self { inner: Arc::new(inner) }
    }

    /// Registers a connection.
    ///
    /// The receiver is unbounded but what it holds is bounded by what the connection asked for:
    /// one outcome for each operation, and at most `prefetch` deliveries for each consumer.
    pub fn connect(&self) -> (ConnectionHandle, mpsc::UnboundedReceiver<ConnectionEvent>) {
        let (events, receiver) = mpsc::unbounded_channel();
        let connection = Arc::new(Connection::new(events));
        (ConnectionHandle { router: self.clone(), connection }, receiver)
    }

    /// Has a shard carry out a command on behalf of this node.
    pub async fn command(&self, slot: u32, command: Command) -> shard::Outcome {
        self.submit_command(slot, command, Vec::new())
            .await
            .unwrap_or_else(|_| shard::Outcome::Refused(shutting_down()))
    }

    fn submit_command(
        &self,
        slot: u32,
        command: Command,
        holders: Vec<u64>,
    ) -> oneshot::Receiver<shard::Outcome> {
        let (sender, receiver) = oneshot::channel();
        self.send(slot, Request::Command { command, holders, done: Done::Task(sender) });
        receiver
    }

    fn send(&self, slot: u32, request: Request) {
        let inner = &self.inner;
        let client = inner.clients[slot as usize].get_or_init(|| {
            let (sender, inbox) = mpsc::unbounded_channel();
            task::spawn(client::run(slot, inner.session, inner.connector.clone(), inbox));
            sender
        });
        // The client ends with the router, so it is there.
        let _ = client.send(request);
    }

    fn slot_of(&self, destination: &Destination) -> u32 {
        self.inner.connector.cluster.slot_of(destination)
    }

    /// The shards that may hold something of a source.
    fn slots_of(&self, source: &Destination) -> std::ops::Range<u32> {
        if source.is_pattern() {
            0..self.inner.connector.cluster.slots()
        } else {
            let slot = self.slot_of(source);
            slot..slot + 1
        }
    }

    fn new_transaction(&self) -> TransactionId {
        let number = self.inner.next_transaction.fetch_add(1, Ordering::Relaxed);
        TransactionId { session: self.inner.session, number }
    }
}

fn shutting_down() -> shard::Refused {
    shard::Refused::ByLeader("this node is shutting down".into())
}

/// What is settled in one shard, and the consumers that held it.
type StoredSettles = (Vec<(MessageRef, Settlement)>, Vec<u64>);

/// What a connection wants settled, by shard.
#[derive(Debug, Default)]
struct Settles {
    stored: BTreeMap<u32, StoredSettles>,
    volatile: BTreeMap<(u32, u64, Settlement), Vec<VolatileId>>,
}

impl Settles {
    fn add(&mut self, held: &Held, how: Settlement) {
        match held.key {
            MessageKey::Stored(message) => {
                let (settles, holders) = self.stored.entry(held.slot).or_default();
                settles.push((message, how));
                holders.push(held.number);
            }
            MessageKey::Volatile(message) => {
                self.volatile.entry((held.slot, held.number, how)).or_default().push(message);
            }
        }
    }
}

/// One connection's way into the cluster.
///
/// Dropping it ends all its consumers and gives back what they had not settled; operations already
/// submitted are carried out.
#[derive(Debug)]
pub struct ConnectionHandle {
    router: Router,
    connection: Arc<Connection>,
}

impl ConnectionHandle {
    /// Sends an operation on its way. Never blocks; operations on one destination are carried out
    /// in the order they were submitted. A caller that ignores [`Self::ready`] is not held back.
    pub fn submit(&self, operation: Operation) {
        match operation {
            Operation::Publish { tag, message } => self.publish(tag, message),
            Operation::Subscribe { tag, consumer, source, prefetch } => {
                self.subscribe(tag, consumer, source, prefetch);
            }
            Operation::Unsubscribe { tag, consumer, failed } => {
                self.unsubscribe(tag, consumer, failed);
            }
            Operation::Settle { tag, deliveries, how } => self.settle(tag, &deliveries, how),
            Operation::Commit { tag, publishes, settles } => {
                self.commit(tag, publishes, settles);
            }
        }
    }

    /// Waits until the cluster has caught up with what this connection has submitted. A connection
    /// awaits it before it reads more from its socket, so that a fast producer is held back by TCP
    /// and not by memory. Cancel-safe.
    pub async fn ready(&self) {
        self.connection.ready().await;
    }

    fn publish(&self, tag: OpTag, message: Arc<Message>) {
        let bytes = OPERATION_BYTES + message.footprint();
        self.connection.begin(bytes);
        let connection = self.connection.clone();
        if message.destination.is_pattern() {
            let why = shard::Refused::Pattern(message.destination.name.clone()).to_string();
            return connection.end(bytes, tag, Err(Refusal::Rejected(why)));
        }
        let slot = self.router.slot_of(&message.destination);
        let done = Done::Operation { connection, tag, bytes };
        let stored = message.persistent && message.destination.kind == DestinationKind::Queue;
        let request = if stored {
            Request::Command { command: Command::Publish { message }, holders: Vec::new(), done }
        } else {
            Request::Publish { message, done }
        };
        self.router.send(slot, request);
    }

    fn subscribe(&self, tag: OpTag, consumer: ConsumerId, source: Destination, prefetch: u32) {
        let parts = self.begin(tag);
        let number = self.router.inner.next_consumer.fetch_add(1, Ordering::Relaxed);
        let slots = self.router.slots_of(&source);
        let fresh = self.connection.with_deliveries(|deliveries| {
            deliveries.subscribe(consumer, number, prefetch, slots.clone())
        });
        if !fresh {
            let why = format!("consumer {} of this connection exists already", consumer.0);
            return parts.note(Err(Refusal::Rejected(why)));
        }
        for slot in slots {
            let sink = Sink { connection: self.connection.clone(), consumer };
            let (source, done) = (source.clone(), parts.part());
            self.router
                .send(slot, Request::Attach { consumer: number, source, prefetch, sink, done });
        }
        parts.note(Ok(()));
    }

    fn unsubscribe(&self, tag: OpTag, consumer: ConsumerId, failed: Option<DeliveryId>) {
        let parts = self.begin(tag);
        let (known, failed) = self.connection.with_deliveries(|deliveries| {
            let failed = failed.and_then(|delivery| deliveries.settle(delivery));
            (deliveries.unsubscribe(consumer), failed)
        });
        let Some((number, slots)) = known else {
            let why = format!("this connection has no consumer {}", consumer.0);
            return parts.note(Err(Refusal::Rejected(why)));
        };
        for slot in slots {
            let failed = failed.filter(|held| held.slot == slot).map(|held| held.key);
            let done = parts.part();
            self.router.send(slot, Request::Detach { consumer: number, failed, done });
        }
        parts.note(Ok(()));
    }

    fn settle(&self, tag: OpTag, deliveries: &[DeliveryId], how: Settlement) {
        let parts = self.begin(tag);
        let mut settles = Settles::default();
        let mut unknown = 0;
        self.connection.with_deliveries(|held| {
            for delivery in deliveries {
                match held.settle(*delivery) {
                    Some(held) => settles.add(&held, how),
                    None => unknown += 1,
                }
            }
        });
        for (slot, (settles, holders)) in settles.stored {
            let (command, done) = (Command::Settle { settles }, parts.part());
            self.router.send(slot, Request::Command { command, holders, done });
        }
        for ((slot, consumer, how), messages) in settles.volatile {
            let done = parts.part();
            self.router.send(slot, Request::Settle { consumer, messages, how, done });
        }
        parts.note(if unknown == 0 {
            Ok(())
        } else {
            let why = format!("{unknown} of the deliveries are no longer with this connection");
            Err(Refusal::Rejected(why))
        });
    }

    fn begin(&self, tag: OpTag) -> Arc<Parts> {
        self.connection.begin(OPERATION_BYTES);
        Parts::new(self.connection.clone(), tag, OPERATION_BYTES)
    }
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        let consumers = self.connection.with_deliveries(deliveries::Deliveries::unsubscribe_all);
        for (consumer, slots) in consumers {
            for slot in slots {
                self.router
                    .send(slot, Request::Detach { consumer, failed: None, done: Done::Nobody });
            }
        }
    }
}
