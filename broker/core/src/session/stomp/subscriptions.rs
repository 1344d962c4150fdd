//! A session's subscriptions and what they have not settled yet.

use std::{collections::BTreeMap, sync::Arc};

use paceline_wire::stomp::Text;

use crate::operation::{ConsumerId, DeliveryId};

/// How a subscription's deliveries are settled (STOMP 1.2 "SUBSCRIBE ack Header").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AckMode {
    /// As soon as they are sent.
    Auto,
    /// By the client; an ACK or NACK is for all up to and including its delivery.
    Cumulative,
    /// By the client, each on its own.
    Individual,
}

impl AckMode {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(AckMode::Auto),
            "client" => Some(AckMode::Cumulative),
            "client-individual" => Some(AckMode::Individual),
            _ => None,
        }
    }
}

/// A delivery that the client has been sent and has not settled.
#[derive(Clone, Debug)]
pub(super) struct Unsettled {
    pub delivery: DeliveryId,
    pub message_id: Arc<str>,
}

/// Where a delivery stands: its consumer and its place among that consumer's deliveries.
pub(super) type Place = (ConsumerId, u64);

#[derive(Debug)]
pub(super) struct Subscription {
    /// What the client calls it; `None` where a 1.0 client gave only a destination.
    pub id: Option<Text>,
    pub mode: AckMode,
    next_place: u64,
    unsettled: BTreeMap<u64, Unsettled>,
}

impl Subscription {
    /// Notes a delivery that was sent; its place is what the client acknowledges.
    pub(super) fn sent(&mut self, delivery: DeliveryId, message_id: &Arc<str>) -> u64 {
        let place = self.next_place;
        self.next_place += 1;
        if self.mode != AckMode::Auto {
            self.unsettled.insert(place, Unsettled { delivery, message_id: message_id.clone() });
        }
        place
    }

    /// The place that the next delivery will get.
    pub(super) fn next_place(&self) -> u64 {
        self.next_place
    }
}

/// An id or, from 1.0 clients, a destination; the two do not meet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Id(Text),
    Destination(Text),
}

#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    by_key: BTreeMap<Key, ConsumerId>,
    by_consumer: BTreeMap<ConsumerId, Subscription>,
    next: u64,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.by_consumer.len()
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.by_key.contains_key(key)
    }

    pub(super) fn add(&mut self, key: Key, mode: AckMode) -> ConsumerId {
        let consumer = ConsumerId(self.next);
        self.next += 1;
        let id = match &key {
            Key::Id(id) => Some(id.clone()),
            Key::Destination(_) => None,
        };
        self.by_key.insert(key, consumer);
        let subscription = Subscription { id, mode, next_place: 0, unsettled: BTreeMap::new() };
        self.by_consumer.insert(consumer, subscription);
        consumer
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<ConsumerId> {
        let consumer = self.by_key.remove(key)?;
        self.by_consumer.remove(&consumer);
        Some(consumer)
    }

    pub(super) fn get(&self, consumer: ConsumerId) -> Option<&Subscription> {
        self.by_consumer.get(&consumer)
    }

    pub(super) fn get_mut(&mut self, consumer: ConsumerId) -> Option<&mut Subscription> {
        self.by_consumer.get_mut(&consumer)
    }

    /// Where the unsettled delivery of a message stands, as 1.1 names it.
    pub(super) fn find(&self, subscription: &Text, message_id: &str) -> Option<Place> {
        let consumer = *self.by_key.get(&Key::Id(subscription.clone()))?;
        self.find_in(consumer, message_id)
    }

    /// Where the unsettled delivery of a message stands, as 1.0 may name it: without saying for
    /// which subscription.
    pub(super) fn find_anywhere(&self, message_id: &str) -> Option<Place> {
        self.by_consumer.keys().find_map(|consumer| self.find_in(*consumer, message_id))
    }

    fn find_in(&self, consumer: ConsumerId, message_id: &str) -> Option<Place> {
        // Clients acknowledge in order, mostly, so the search ends at its first step.
        let unsettled = &self.by_consumer.get(&consumer)?.unsettled;
        let found = unsettled.iter().find(|(_, unsettled)| &*unsettled.message_id == message_id)?;
        Some((consumer, *found.0))
    }

    /// Takes out what an ACK or NACK of one delivery settles; empty if it is not unsettled.
    pub(super) fn take(&mut self, (consumer, place): Place) -> Vec<(Place, Unsettled)> {
        let Some(subscription) = self.by_consumer.get_mut(&consumer) else { return Vec::new() };
        let unsettled = &mut subscription.unsettled;
        if !unsettled.contains_key(&place) {
            return Vec::new();
        }
        let taken = match subscription.mode {
            AckMode::Auto | AckMode::Individual => {
                let one = unsettled.remove(&place).expect("looked up above");
                BTreeMap::from([(place, one)])
            }
            AckMode::Cumulative => {
                let rest = unsettled.split_off(&(place + 1));
                std::mem::replace(unsettled, rest)
            }
        };
        taken.into_iter().map(|(place, one)| ((consumer, place), one)).collect()
    }

    /// Undoes [`Self::take`], as far as the subscription still stands.
    pub(super) fn put_back(&mut self, (consumer, place): Place, unsettled: Unsettled) {
        if let Some(subscription) = self.by_consumer.get_mut(&consumer) {
            subscription.unsettled.insert(place, unsettled);
        }
    }

    /// The oldest unsettled delivery of each consumer that has one: what the client was working on.
    pub(super) fn in_work(&self) -> Vec<(ConsumerId, DeliveryId)> {
        let consumers = self.by_consumer.iter();
        consumers
            .filter_map(|(consumer, subscription)| {
                let (_, oldest) = subscription.unsettled.first_key_value()?;
                Some((*consumer, oldest.delivery))
            })
            .collect()
    }

    /// Forgets everything, and hands out no more places.
    pub(super) fn clear(&mut self) {
        self.by_key.clear();
        self.by_consumer.clear();
    }
}
