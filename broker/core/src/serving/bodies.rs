//! Deliveries that were decided and are not sent yet, because their body or one before it is being
//! read from the log.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use paceline_reached::{Point, reached};

use crate::{
    Message,
    channel::Delivered,
    dispatch::{ConsumerKey, Delivery, MessageKey},
    shard::{Content, MessageRef},
};

#[derive(Debug)]
struct Outgoing {
    consumer: ConsumerKey,
    key: MessageKey,
    message: Option<Arc<Message>>,
    redelivered: bool,
    redelivery_count: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    outgoing: VecDeque<Outgoing>,
    /// What was read and is behind something that was not.
    read: BTreeMap<MessageRef, Arc<Message>>,
}

impl Bodies {
    /// How many deliveries wait.
    pub fn waiting(&self) -> usize {
        self.outgoing.len()
    }

    /// Takes a delivery in. If its body is not at hand: which message, and where it is to be read.
    pub fn push(&mut self, delivery: Delivery) -> Option<(MessageRef, MessageRef)> {
        let (message, read) = match delivery.content {
            Content::Here(message) => (Some(message), None),
            Content::Evicted(at) => {
                let MessageKey::Stored(message) = delivery.key else {
                    unreachable!("volatile messages are in memory")
                };
                reached(Point::BodyReadBack);
                (None, Some((message, at)))
            }
        };
        self.outgoing.push_back(Outgoing {
            consumer: delivery.consumer,
            key: delivery.key,
            message,
            redelivered: delivery.redelivered,
            redelivery_count: delivery.redelivery_count,
        });
        read
    }

    /// A body was read, or the message is gone in the meantime.
    pub fn loaded(&mut self, message: MessageRef, body: Option<Arc<Message>>) {
        let awaits = |waiting: &Outgoing| {
            waiting.key == MessageKey::Stored(message) && waiting.message.is_none()
        };
        match body {
            // What another leadership asked for is not waited for.
            Some(body) if self.outgoing.iter().any(awaits) => {
                self.read.insert(message, body);
            }
            Some(_) => {}
            None => self.outgoing.retain(|waiting| !awaits(waiting)),
        }
    }

    /// The next delivery that can be sent, in order.
    pub fn pop(&mut self) -> Option<(ConsumerKey, Delivered)> {
        let front = self.outgoing.front()?;
        let read = match (&front.message, front.key) {
            (Some(_), _) => None,
            (None, MessageKey::Stored(key)) => Some(self.read.remove(&key)?),
            (None, MessageKey::Volatile(_)) => unreachable!("volatile messages are in memory"),
        };
        let sent = self.outgoing.pop_front().expect("it has a front");
        let delivered = Delivered {
            consumer: sent.consumer.number,
            key: sent.key,
            message: sent.message.or(read).expect("one of both"),
            redelivered: sent.redelivered,
            redelivery_count: sent.redelivery_count,
        };
        Some((sent.consumer, delivered))
    }
}
