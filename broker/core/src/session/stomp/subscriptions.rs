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

/// How many deliveries a subscription may hold unsettled.
///
/// What open transactions acknowledge stays unsettled until they end, so a transaction that
/// acknowledges more than the prefetch would wait for ever. As with ActiveMQ's prefetch extension it
/// does not count against the prefetch. Asked for is half a prefetch at a time at least, so that a
/// transaction that acknowledges less costs nothing.
#[derive(Clone, Copy, Debug)]
struct Window {
    prefetch: u32,
    /// What the cluster was asked for last.
    asked: u32,
    /// Deliveries that open transactions acknowledge.
    pledged: u32,
}

impl Window {
    /// What to ask the cluster for now, if it is something else than before.
    fn adapt(&mut self) -> Option<u32> {
        let needed = self.prefetch.saturating_add(self.pledged);
        let is_narrow = self.asked.saturating_sub(self.pledged) < self.prefetch.div_ceil(2);
        if !is_narrow && self.asked <= needed {
            return None;
        }
        self.asked = needed;
        Some(needed)
    }
}

#[derive(Debug)]
pub(super) struct Subscription {
    /// What the client calls it; `None` where a 1.0 client gave only a destination.
    pub id: Option<Text>,
    pub mode: AckMode,
    window: Window,
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

    pub(super) fn add(&mut self, key: Key, mode: AckMode, prefetch: u32) -> ConsumerId {
        let consumer = ConsumerId(self.next);
        self.next += 1;
        let id = match &key {
            Key::Id(id) => Some(id.clone()),
            Key::Destination(_) => None,
        };
        self.by_key.insert(key, consumer);
        let window = Window { prefetch, asked: prefetch, pledged: 0 };
        let unsettled = BTreeMap::new();
        let subscription = Subscription { id, mode, window, next_place: 0, unsettled };
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

    /// An open transaction acknowledges so many deliveries more. How many the consumer is to be
    /// allowed from now on, if that changes.
    pub(super) fn pledge(&mut self, consumer: ConsumerId, deliveries: u32) -> Option<u32> {
        let window = &mut self.by_consumer.get_mut(&consumer)?.window;
        window.pledged += deliveries;
        window.adapt()
    }

    /// The end of a transaction that acknowledges so many deliveries; otherwise as
    /// [`Self::pledge`].
    pub(super) fn redeem(&mut self, consumer: ConsumerId, deliveries: u32) -> Option<u32> {
        let window = &mut self.by_consumer.get_mut(&consumer)?.window;
        window.pledged -= deliveries;
        window.adapt()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_grows_with_what_transactions_acknowledge_and_shrinks_with_their_end() {
        let mut subscriptions = Subscriptions::default();
        let consumer = subscriptions.add(Key::Id("s".into()), AckMode::Individual, 100);
        let one_by_one = |subscriptions: &mut Subscriptions, count| -> Vec<(u32, u32)> {
            let asked = (1..=count).map(|at| (at, subscriptions.pledge(consumer, 1)));
            asked.filter_map(|(at, window)| Some((at, window?))).collect()
        };
        assert_eq!(one_by_one(&mut subscriptions, 50), [], "half of it is free");
        assert_eq!(subscriptions.redeem(consumer, 50), None);
        assert_eq!(one_by_one(&mut subscriptions, 150), [(51, 151), (102, 202)]);
        assert_eq!(subscriptions.redeem(consumer, 100), Some(150));
        assert_eq!(subscriptions.redeem(consumer, 50), Some(100));
        let single = subscriptions.add(Key::Id("1".into()), AckMode::Individual, 1);
        assert_eq!(subscriptions.pledge(single, 1), Some(2));
        assert_eq!(subscriptions.redeem(ConsumerId(9), 1), None, "it has ended");
    }
}
