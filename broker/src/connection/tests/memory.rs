//! A cluster in memory: the twin of [`crate::router`] for tests of connections.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use paceline_core::{
    DestinationKind, Message, Source,
    operation::{ConsumerId, Delivery, DeliveryId, Parting, Settlement, Subscription},
};
use tokio::sync::Notify;

use super::*;

#[derive(Clone, Default)]
pub(super) struct Memory {
    state: Arc<Mutex<State>>,
    connections: Arc<AtomicU64>,
    full: Arc<AtomicBool>,
    room: Arc<Notify>,
}

#[derive(Default)]
pub(super) struct State {
    pub published: usize,
    pub settled: usize,
    /// Bodies of the messages that consumers died of.
    pub failed: Vec<Vec<u8>>,
    /// Deliveries that are out.
    pub unsettled: usize,
    /// By connection and consumer.
    pub consumers: BTreeMap<(u64, ConsumerId), Consumer>,
    queue: VecDeque<(Arc<Message>, u32)>,
    next_delivery: u64,
}

pub(super) struct Consumer {
    source: Source,
    prefetch: u32,
    out: BTreeMap<DeliveryId, (Arc<Message>, u32)>,
    events: mpsc::UnboundedSender<ConnectionEvent>,
}

impl Consumer {
    fn has_credit(&self) -> bool {
        self.out.len() < self.prefetch as usize
    }
}

pub(super) struct Handle {
    memory: Memory,
    connection: u64,
    events: mpsc::UnboundedSender<ConnectionEvent>,
}

impl Memory {
    pub(super) fn connect(&self) -> (Handle, mpsc::UnboundedReceiver<ConnectionEvent>) {
        let (events, receiver) = mpsc::unbounded_channel();
        let connection = self.connections.fetch_add(1, Ordering::Relaxed);
        (Handle { memory: self.clone(), connection, events }, receiver)
    }

    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Release);
        self.room.notify_waiters();
    }

    pub(super) async fn until(&self, condition: impl Fn(&State) -> bool) {
        let holds = async {
            while !condition(&self.state()) {
                time::sleep(Duration::from_millis(2)).await;
            }
        };
        time::timeout(TIMEOUT, holds).await.expect("the condition comes to hold");
    }
}

impl State {
    fn publish(&mut self, message: &Arc<Message>) {
        self.published += 1;
        match message.destination.kind {
            DestinationKind::Queue => self.queue.push_back((message.clone(), 0)),
            DestinationKind::Topic => {
                let next = &mut self.next_delivery;
                let unsettled = &mut self.unsettled;
                for ((_, id), consumer) in &mut self.consumers {
                    if consumer.source.matches(&message.destination) && consumer.has_credit() {
                        deliver(next, unsettled, *id, consumer, (message.clone(), 0));
                    }
                }
            }
        }
    }

    fn dispatch(&mut self) {
        let mut rest = VecDeque::new();
        while let Some((message, count)) = self.queue.pop_front() {
            let ready = self.consumers.iter_mut().find(|(_, consumer)| {
                consumer.has_credit() && consumer.source.matches(&message.destination)
            });
            match ready {
                Some(((_, id), consumer)) => {
                    let what = (message, count);
                    deliver(&mut self.next_delivery, &mut self.unsettled, *id, consumer, what);
                }
                None => rest.push_back((message, count)),
            }
        }
        self.queue = rest;
    }

    fn settle(&mut self, connection: u64, id: DeliveryId, how: Settlement) {
        for ((owner, _), consumer) in &mut self.consumers {
            if *owner == connection
                && let Some((message, count)) = consumer.out.remove(&id)
            {
                self.unsettled -= 1;
                match how {
                    Settlement::Accept => self.settled += 1,
                    _ => self.queue.push_front((message, count + 1)),
                }
            }
        }
    }

    fn detach(&mut self, key: (u64, ConsumerId)) {
        let Some(consumer) = self.consumers.remove(&key) else { return };
        self.unsettled -= consumer.out.len();
        for (message, count) in consumer.out.into_values().rev() {
            if message.destination.kind == DestinationKind::Queue {
                self.queue.push_front((message, count + 1));
            }
        }
    }
}

fn deliver(
    next: &mut u64,
    unsettled: &mut usize,
    id: ConsumerId,
    consumer: &mut Consumer,
    (message, redelivery_count): (Arc<Message>, u32),
) {
    let delivery = DeliveryId(*next);
    *next += 1;
    *unsettled += 1;
    consumer.out.insert(delivery, (message.clone(), redelivery_count));
    let redelivered = redelivery_count > 0;
    let delivery = Delivery {
        id: delivery,
        consumer: id,
        message,
        redelivered,
        redelivery_count,
        first_of_group: false,
    };
    let _ = consumer.events.send(ConnectionEvent::Delivery(delivery));
}

impl Cluster for Handle {
    fn announce(&self, _: paceline_core::presence::Announcement) {}

    fn submit(&self, operation: Operation) {
        let tag = operation.tag();
        let mut state = self.memory.state();
        match operation {
            Operation::Publish { message, .. } => state.publish(&message),
            Operation::Subscribe { consumer, subscription, .. } => {
                let Subscription { source, prefetch, .. } = subscription;
                let events = self.events.clone();
                let new = Consumer { source, prefetch, out: BTreeMap::new(), events };
                state.consumers.insert((self.connection, consumer), new);
            }
            Operation::SetPrefetch { consumer, prefetch, .. } => {
                let key = (self.connection, consumer);
                state.consumers.get_mut(&key).expect("it is subscribed").prefetch = prefetch;
            }
            Operation::Hurry { .. }
            | Operation::Identify { .. }
            | Operation::Forget { .. }
            | Operation::Prepare { .. }
            | Operation::Resolve { .. }
            | Operation::Recover { .. }
            | Operation::ForgetBranch { .. } => {}
            Operation::Unsubscribe { consumer, parting, .. } => {
                let key = (self.connection, consumer);
                let out = &state.consumers[&key].out;
                if let Parting::Died(delivery) = parting {
                    let failed = out[&delivery].0.body.bytes().to_vec();
                    state.failed.push(failed);
                }
                state.detach(key);
            }
            Operation::Settle { deliveries, how, .. } => {
                deliveries.iter().for_each(|id| state.settle(self.connection, *id, how));
            }
            Operation::Commit { publishes, settles, .. } => {
                publishes.iter().for_each(|message| state.publish(message));
                settles.iter().for_each(|(id, how)| state.settle(self.connection, *id, *how));
            }
        }
        state.dispatch();
        let _ = self.events.send(ConnectionEvent::Outcome(tag, Ok(())));
    }

    async fn ready(&self) {
        loop {
            let room = self.memory.room.notified();
            if !self.memory.full.load(Ordering::Acquire) {
                return;
            }
            room.await;
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.memory.state();
        let own: Vec<_> =
            state.consumers.keys().filter(|key| key.0 == self.connection).copied().collect();
        own.into_iter().for_each(|key| state.detach(key));
        state.dispatch();
    }
}
