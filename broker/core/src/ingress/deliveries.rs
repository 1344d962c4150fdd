//! What a connection's consumers hold: which delivery is which message of which shard.
//!
//! A consumer of a pattern is attached to every shard, one of several destinations to theirs, and each
//! shard's leader grants it the whole prefetch; after a change of leader, the new one knows nothing of
//! what the client still holds. So the prefetch that the client asked for is kept here: what is beyond
//! it waits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use paceline_reached::{Point, reached};

use super::ChannelId;
use crate::{
    channel::Delivered,
    dispatch::MessageKey,
    operation::{ConsumerId, Delivery, DeliveryId, Refusal, Settlement},
};

/// A message in the client's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// The shard that delivered it.
    pub(super) slot: u32,
    /// The channel to its leader on which it came.
    pub(super) channel: ChannelId,
    /// Its name there.
    pub(super) key: MessageKey,
    /// The consumer, by its number in the node.
    pub(super) number: u64,
    /// The consumer, as the session calls it.
    pub(super) consumer: ConsumerId,
    /// Whether the client has acknowledged it in a transaction that came to nothing.
    was_acknowledged: bool,
}

/// Where a message came from.
#[derive(Clone, Copy, Debug)]
struct Origin {
    slot: u32,
    channel: ChannelId,
}

#[derive(Debug)]
struct Consumer {
    number: u64,
    /// The shards that it is attached to.
    slots: Vec<u32>,
    prefetch: u32,
    held: u32,
    waiting: VecDeque<(Origin, Delivered)>,
    /// Whether it browses and what waits is the last.
    ended: bool,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    next: u64,
    held: BTreeMap<DeliveryId, Held>,
    consumers: BTreeMap<ConsumerId, Consumer>,
    /// Consumers for whom something waits.
    behind: BTreeSet<ConsumerId>,
}

impl Deliveries {
    /// A consumer begins. False if its id is in use.
    pub(super) fn subscribe(
        &mut self,
        id: ConsumerId,
        number: u64,
        prefetch: u32,
        slots: Vec<u32>,
    ) -> bool {
        if self.consumers.contains_key(&id) {
            return false;
        }
        let (waiting, ended) = (VecDeque::new(), false);
        self.consumers.insert(id, Consumer { number, slots, prefetch, held: 0, waiting, ended });
        true
    }

    /// A consumer's number in the node, and how many messages it may hold; `None` if it has ended.
    pub(super) fn consumer(&self, id: ConsumerId) -> Option<(u64, u32)> {
        let consumer = self.consumers.get(&id)?;
        Some((consumer.number, consumer.prefetch))
    }

    /// A consumer ends, and what it holds is no longer its client's. Its number in the node, and
    /// the shards it is attached to.
    pub(super) fn unsubscribe(&mut self, id: ConsumerId) -> Option<(u64, Vec<u32>)> {
        let consumer = self.consumers.remove(&id)?;
        self.held.retain(|_, held| held.consumer != id);
        Some((consumer.number, consumer.slots))
    }

    /// All consumers end.
    pub(super) fn unsubscribe_all(&mut self) -> Vec<(u64, Vec<u32>)> {
        self.held.clear();
        let consumers = std::mem::take(&mut self.consumers);
        consumers.into_values().map(|consumer| (consumer.number, consumer.slots)).collect()
    }

    /// A consumer may hold another number of messages from now on. Its number in the node, and the
    /// shards that are to know.
    pub(super) fn set_prefetch(
        &mut self,
        id: ConsumerId,
        prefetch: u32,
    ) -> Option<(u64, Vec<u32>)> {
        let consumer = self.consumers.get_mut(&id)?;
        consumer.prefetch = prefetch;
        Some((consumer.number, consumer.slots.clone()))
    }

    /// A shard hands out a message. What the client is to be given now, if anything.
    pub(super) fn arrive(
        &mut self,
        id: ConsumerId,
        slot: u32,
        channel: ChannelId,
        delivered: Delivered,
    ) -> Option<Delivery> {
        // Gone in the meantime: the shard will hear of that and take the message back.
        let consumer = self.consumers.get_mut(&id)?;
        let origin = Origin { slot, channel };
        if consumer.held >= consumer.prefetch || !consumer.waiting.is_empty() {
            reached(Point::PrefetchFull);
            consumer.waiting.push_back((origin, delivered));
            self.behind.insert(id);
            return None;
        }
        Some(self.hand_out(id, origin, delivered))
    }

    fn hand_out(&mut self, consumer: ConsumerId, origin: Origin, delivered: Delivered) -> Delivery {
        let id = DeliveryId(self.next);
        self.next += 1;
        let Delivered { consumer: number, key, message, .. } = delivered;
        let Delivered { redelivered, redelivery_count, first_of_group, .. } = delivered;
        let Origin { slot, channel } = origin;
        self.held
            .insert(id, Held { slot, channel, key, number, consumer, was_acknowledged: false });
        if let Some(consumer) = self.consumers.get_mut(&consumer) {
            consumer.held += 1;
        }
        Delivery { id, consumer, message, redelivered, redelivery_count, first_of_group }
    }

    /// The client ends a delivery; `None` if it does not hold it.
    pub(super) fn settle(&mut self, id: DeliveryId) -> Option<Held> {
        let held = self.held.remove(&id)?;
        if let Some(consumer) = self.consumers.get_mut(&held.consumer) {
            consumer.held -= 1;
        }
        Some(held)
    }

    /// The client ends deliveries in a transaction: all of them or none.
    pub(super) fn settle_all(
        &mut self,
        settles: &[(DeliveryId, Settlement)],
    ) -> Result<Vec<(DeliveryId, Held, Settlement)>, Refusal> {
        let mut taken = Vec::with_capacity(settles.len());
        for (id, how) in settles {
            match self.settle(*id) {
                Some(held) => taken.push((*id, held, *how)),
                None => {
                    taken.into_iter().for_each(|(id, held, _)| self.unsettle(id, held));
                    return Err(Refusal::Rejected(
                        "the transaction acknowledges a delivery that is no longer with this \
                         connection; it was rolled back"
                            .into(),
                    ));
                }
            }
        }
        Ok(taken)
    }

    /// A settlement came to nothing, so the client holds the message again.
    pub(super) fn unsettle(&mut self, id: DeliveryId, held: Held) {
        if let Some(consumer) = self.consumers.get_mut(&held.consumer) {
            consumer.held += 1;
            self.held.insert(id, Held { was_acknowledged: true, ..held });
        }
    }

    /// What the client holds of a consumer's messages although it has acknowledged them once.
    pub(super) fn acknowledged_in_vain(&self, consumer: ConsumerId) -> impl Iterator<Item = Held> {
        let of_it = move |held: &&Held| held.consumer == consumer && held.was_acknowledged;
        self.held.values().filter(of_it).copied()
    }

    /// A browser has been sent all that there is for it. Whether it has been given it, too; otherwise
    /// [`Self::poll_ended`] will say so.
    pub(super) fn end(&mut self, id: ConsumerId) -> bool {
        let Some(consumer) = self.consumers.get_mut(&id) else { return false };
        consumer.ended = !consumer.waiting.is_empty();
        !consumer.ended
    }

    /// A browser that has been given the last.
    pub(super) fn poll_ended(&mut self) -> Option<ConsumerId> {
        let mut ended = self.consumers.iter_mut();
        let (id, consumer) = ended.find(|(_, it)| it.ended && it.waiting.is_empty())?;
        consumer.ended = false;
        Some(*id)
    }

    /// What may be handed to the client now that it has settled something.
    pub(super) fn advance(&mut self) -> Vec<Delivery> {
        let mut ready = Vec::new();
        if self.behind.is_empty() {
            return ready;
        }
        for id in self.behind.iter().copied().collect::<Vec<_>>() {
            while let Some(consumer) = self.consumers.get_mut(&id)
                && consumer.held < consumer.prefetch
                && let Some((origin, delivered)) = consumer.waiting.pop_front()
            {
                ready.push(self.hand_out(id, origin, delivered));
            }
            if self.consumers.get(&id).is_none_or(|consumer| consumer.waiting.is_empty()) {
                self.behind.remove(&id);
            }
        }
        ready
    }

    /// A shard's leader is gone, and with it what it had sent but the client was not given.
    pub(super) fn forget_waiting(&mut self, id: ConsumerId, slot: u32) {
        if let Some(consumer) = self.consumers.get_mut(&id) {
            consumer.waiting.retain(|(origin, _)| origin.slot != slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{shard::MessageRef, testing::message};

    const CONSUMER: ConsumerId = ConsumerId(1);
    const CHANNEL: ChannelId = ChannelId(1);

    fn delivered(index: u64) -> Delivered {
        Delivered {
            consumer: 9,
            key: MessageKey::Stored(MessageRef::new(index, 0, 0)),
            message: message("q", "m").into(),
            redelivered: false,
            redelivery_count: 0,
            first_of_group: false,
            browsed: None,
        }
    }

    #[test]
    fn several_shards_together_do_not_exceed_the_prefetch() {
        let mut deliveries = Deliveries::default();
        assert!(deliveries.subscribe(CONSUMER, 9, 2, (0..5).collect()));
        let first = deliveries.arrive(CONSUMER, 1, CHANNEL, delivered(1)).unwrap();
        assert!(deliveries.arrive(CONSUMER, 2, CHANNEL, delivered(2)).is_some());
        assert!(deliveries.arrive(CONSUMER, 3, CHANNEL, delivered(3)).is_none());
        assert!(deliveries.arrive(CONSUMER, 4, CHANNEL, delivered(4)).is_none());
        assert!(deliveries.advance().is_empty());
        let held = deliveries.settle(first.id).unwrap();
        assert_eq!((held.slot, held.number), (1, 9));
        let next = deliveries.advance();
        assert_eq!(next.len(), 1);
        assert_eq!(deliveries.settle(next[0].id).unwrap().slot, 3);
        assert!(deliveries.settle(first.id).is_none(), "settled twice");
    }

    #[test]
    fn what_waits_from_a_lost_leader_is_forgotten_and_what_is_held_stays() {
        let mut deliveries = Deliveries::default();
        assert!(deliveries.subscribe(CONSUMER, 9, 1, (0..5).collect()));
        let first = deliveries.arrive(CONSUMER, 1, CHANNEL, delivered(1)).unwrap();
        assert!(deliveries.arrive(CONSUMER, 1, CHANNEL, delivered(2)).is_none());
        assert!(deliveries.arrive(CONSUMER, 2, CHANNEL, delivered(3)).is_none());
        deliveries.forget_waiting(CONSUMER, 1);
        let held = deliveries.settle(first.id).unwrap();
        deliveries.unsettle(first.id, held);
        assert!(deliveries.advance().is_empty(), "held again");
        deliveries.settle(first.id).unwrap();
        let next = deliveries.advance();
        assert_eq!(next.len(), 1);
        assert_eq!(deliveries.settle(next[0].id).unwrap().slot, 2);
    }

    #[test]
    fn nothing_arrives_at_a_consumer_that_has_gone() {
        let mut deliveries = Deliveries::default();
        assert!(deliveries.subscribe(CONSUMER, 9, 1, (0..5).collect()));
        assert!(!deliveries.subscribe(CONSUMER, 10, 1, (0..5).collect()));
        let first = deliveries.arrive(CONSUMER, 1, CHANNEL, delivered(1)).unwrap();
        assert_eq!(deliveries.unsubscribe(CONSUMER), Some((9, (0..5).collect())));
        assert!(deliveries.settle(first.id).is_none());
        assert!(deliveries.arrive(CONSUMER, 1, CHANNEL, delivered(2)).is_none());
        assert_eq!(deliveries.unsubscribe(CONSUMER), None);
    }

    #[test]
    fn a_wider_window_lets_go_what_waits_and_a_narrower_one_takes_nothing_away() {
        let mut deliveries = Deliveries::default();
        assert!(deliveries.subscribe(CONSUMER, 9, 1, (2..4).collect()));
        assert!(deliveries.arrive(CONSUMER, 2, CHANNEL, delivered(1)).is_some());
        assert!(deliveries.arrive(CONSUMER, 3, CHANNEL, delivered(2)).is_none());
        assert!(deliveries.arrive(CONSUMER, 3, CHANNEL, delivered(3)).is_none());
        assert_eq!(deliveries.set_prefetch(CONSUMER, 2), Some((9, (2..4).collect())));
        let second = deliveries.advance();
        assert_eq!(second.len(), 1);
        assert_eq!(deliveries.set_prefetch(CONSUMER, 1), Some((9, (2..4).collect())));
        deliveries.settle(second[0].id).unwrap();
        assert!(deliveries.advance().is_empty(), "it holds what it may");
        assert_eq!(deliveries.set_prefetch(ConsumerId(2), 1), None);
    }
}
