//! The consumers of a session and what they have not settled yet.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::RangeInclusive,
    sync::Arc,
};

use super::window::Window;
use crate::operation::{ConsumerId, Delivery, DeliveryId};

/// Where a delivery stands among those of its consumer, counted from 0 in the order in which they
/// were handed out. Protocols name deliveries in their own ways, all of which lead to this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(pub u64);

impl Place {
    /// A consumer's first delivery.
    pub(super) const FIRST: Self = Self(0);
}

/// When a consumer's deliveries count as settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settles {
    /// As soon as they are handed out for sending.
    WhenSent,
    /// When the client says so.
    ByClient,
}

/// A delivery that the client was sent and has not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unsettled {
    /// What settles it.
    pub(super) delivery: DeliveryId,
    message_id: Arc<str>,
}

/// A delivery on its way to the client.
#[derive(Debug)]
pub(super) struct Handed<'a, L> {
    /// What it is.
    pub(super) delivery: Delivery,
    /// Where it stands.
    pub(super) place: Place,
    /// What the protocol knows its consumer by.
    pub(super) label: &'a L,
    /// When it counts as settled.
    pub(super) settles: Settles,
}

#[derive(Debug)]
struct Consumer<L> {
    label: L,
    settles: Settles,
    window: Window,
    next_place: u64,
    unsettled: BTreeMap<Place, Unsettled>,
}

/// A session's consumers, by id. `L` is what the protocol knows a consumer by.
#[derive(Debug)]
pub(super) struct Consumers<L> {
    consumers: BTreeMap<ConsumerId, Consumer<L>>,
    next: u64,
    /// To hand out.
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
enum Waiting {
    Delivery(Delivery),
    /// That a browser has been given all.
    BrowseEnd(ConsumerId),
}

impl Waiting {
    fn consumer(&self) -> ConsumerId {
        match self {
            Waiting::Delivery(delivery) => delivery.consumer,
            Waiting::BrowseEnd(consumer) => *consumer,
        }
    }
}

impl<L> Default for Consumers<L> {
    fn default() -> Self {
        Self { consumers: BTreeMap::new(), next: 0, waiting: VecDeque::new() }
    }
}

impl<L> Consumers<L> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.consumers.len()
    }

    /// Their ids, ascending.
    pub(super) fn ids(&self) -> impl Iterator<Item = ConsumerId> {
        self.consumers.keys().copied()
    }

    /// What the protocol knows a consumer by.
    pub(super) fn label(&self, consumer: ConsumerId) -> Option<&L> {
        Some(&self.consumers.get(&consumer)?.label)
    }

    /// As [`Self::label`].
    pub(super) fn label_mut(&mut self, consumer: ConsumerId) -> Option<&mut L> {
        Some(&mut self.consumers.get_mut(&consumer)?.label)
    }

    /// A new consumer; its id was nobody's before.
    pub(super) fn add(&mut self, label: L, settles: Settles, prefetch: u32) -> ConsumerId {
        let id = ConsumerId(self.next);
        self.next += 1;
        let window = Window::new(prefetch);
        let consumer =
            Consumer { label, settles, window, next_place: 0, unsettled: BTreeMap::new() };
        self.consumers.insert(id, consumer);
        id
    }

    /// Forgets a consumer and what was not handed out to it.
    pub(super) fn remove(&mut self, consumer: ConsumerId) {
        self.consumers.remove(&consumer);
        self.waiting.retain(|waiting| waiting.consumer() != consumer);
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.consumers.clear();
        self.waiting.clear();
    }

    // ---- deliveries -----------------------------------------------------------------------------

    /// A delivery to hand out. One for a consumer that is not there any more is dropped: its end gave
    /// it back.
    pub(super) fn deliver(&mut self, delivery: Delivery) {
        if self.consumers.contains_key(&delivery.consumer) {
            self.waiting.push_back(Waiting::Delivery(delivery));
        }
    }

    /// A browser has been given all that there is for it.
    pub(super) fn end_browsing(&mut self, consumer: ConsumerId) {
        if self.consumers.contains_key(&consumer) {
            self.waiting.push_back(Waiting::BrowseEnd(consumer));
        }
    }

    /// The label of a browser for which it is time to be told that it has been given all.
    pub(super) fn take_browse_end(&mut self) -> Option<&L> {
        let Waiting::BrowseEnd(consumer) = *self.waiting.front()? else { return None };
        self.waiting.pop_front();
        self.label(consumer)
    }

    /// Whether there is something to hand out.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Hands out the next delivery, which has a place and is unsettled from now on, unless it
    /// settles by being sent. What [`Self::take_browse_end`] takes is handed out before.
    pub(super) fn hand_out(&mut self) -> Option<Handed<'_, L>> {
        let Waiting::Delivery(delivery) = self.waiting.pop_front()? else {
            panic!("a browser's end was not taken")
        };
        let consumer = self
            .consumers
            .get_mut(&delivery.consumer)
            .expect("a consumer's end takes its deliveries out");
        let place = Place(consumer.next_place);
        consumer.next_place += 1;
        if consumer.settles == Settles::ByClient {
            let message_id = delivery.message.id.clone();
            consumer.unsettled.insert(place, Unsettled { delivery: delivery.id, message_id });
        }
        Some(Handed { delivery, place, label: &consumer.label, settles: consumer.settles })
    }

    /// The place of a consumer's oldest unsettled delivery of a message.
    pub(super) fn find(&self, consumer: ConsumerId, message_id: &str) -> Option<Place> {
        // Clients acknowledge in order, mostly, so the search ends at its first step.
        let unsettled = &self.consumers.get(&consumer)?.unsettled;
        let found = unsettled.iter().find(|(_, unsettled)| &*unsettled.message_id == message_id)?;
        Some(*found.0)
    }

    /// The unsettled ones of a consumer's first so many deliveries.
    pub(super) fn first(&self, consumer: ConsumerId, count: u64) -> Vec<DeliveryId> {
        let unsettled = self.consumers.get(&consumer).map(|consumer| &consumer.unsettled);
        let first = unsettled.into_iter().flat_map(|unsettled| unsettled.range(..Place(count)));
        first.map(|(_, unsettled)| unsettled.delivery).collect()
    }

    /// How many deliveries of a consumer are unsettled.
    pub(super) fn unsettled_of(&self, consumer: ConsumerId) -> u32 {
        self.consumers.get(&consumer).map_or(0, |consumer| consumer.unsettled.len() as u32)
    }

    /// How many deliveries [`Self::take`] would take.
    pub(super) fn count(&self, consumer: ConsumerId, places: &RangeInclusive<Place>) -> usize {
        self.unsettled(consumer, places).map_or(0, Iterator::count)
    }

    /// Takes out the unsettled deliveries from one place to another. None, unless that at the end is
    /// unsettled, since it is the one that a client names.
    pub(super) fn take(
        &mut self,
        consumer: ConsumerId,
        places: &RangeInclusive<Place>,
    ) -> Vec<(Place, Unsettled)> {
        let places: Vec<Place> = match self.unsettled(consumer, places) {
            Some(unsettled) => unsettled.collect(),
            None => return Vec::new(),
        };
        let consumer = self.consumers.get_mut(&consumer).expect("looked up above");
        let unsettled = &mut consumer.unsettled;
        let take = |place| (place, unsettled.remove(&place).expect("looked up above"));
        places.into_iter().map(take).collect()
    }

    fn unsettled(
        &self,
        consumer: ConsumerId,
        places: &RangeInclusive<Place>,
    ) -> Option<impl Iterator<Item = Place>> {
        let unsettled = &self.consumers.get(&consumer)?.unsettled;
        let is_named = !places.is_empty() && unsettled.contains_key(places.end());
        is_named.then(|| unsettled.range(places.clone()).map(|(place, _)| *place))
    }

    /// Undoes [`Self::take`], as far as the consumer is still there.
    pub(super) fn put_back(&mut self, consumer: ConsumerId, place: Place, unsettled: Unsettled) {
        if let Some(consumer) = self.consumers.get_mut(&consumer) {
            consumer.unsettled.insert(place, unsettled);
        }
    }

    /// The oldest unsettled delivery of each consumer that has one: what the client was working on.
    pub(super) fn in_work(&self) -> impl Iterator<Item = (ConsumerId, DeliveryId)> {
        self.consumers.iter().filter_map(|(id, consumer)| {
            let (_, oldest) = consumer.unsettled.first_key_value()?;
            Some((*id, oldest.delivery))
        })
    }

    // ---- prefetch -------------------------------------------------------------------------------

    /// Another prefetch; otherwise as [`Self::pledge`].
    pub(super) fn change_prefetch(&mut self, consumer: ConsumerId, prefetch: u32) -> Option<u32> {
        self.consumers.get_mut(&consumer)?.window.change(prefetch)
    }

    /// Open transactions acknowledge so many of a consumer's deliveries more, and those do not count
    /// against its prefetch. How many it is to be allowed from now on, if that changes.
    pub(super) fn pledge(&mut self, consumer: ConsumerId, deliveries: u32) -> Option<u32> {
        self.consumers.get_mut(&consumer)?.window.pledge(deliveries)
    }

    /// The end of transactions that acknowledge so many deliveries; otherwise as [`Self::pledge`].
    pub(super) fn redeem(&mut self, consumer: ConsumerId, deliveries: u32) -> Option<u32> {
        self.consumers.get_mut(&consumer)?.window.redeem(deliveries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    /// A consumer that was handed the deliveries 0, 1, … of messages `m0`, `m1`, …
    fn handed_out(count: u64) -> (Consumers<&'static str>, ConsumerId) {
        let mut consumers = Consumers::default();
        let consumer = consumers.add("label", Settles::ByClient, 100);
        for number in 0..count {
            consumers.deliver(testing::delivery(consumer, number));
            let handed = consumers.hand_out().unwrap();
            assert_eq!((handed.place, *handed.label), (Place(number), "label"));
        }
        assert!(consumers.hand_out().is_none());
        (consumers, consumer)
    }

    fn taken(
        consumers: &mut Consumers<&'static str>,
        consumer: ConsumerId,
        places: RangeInclusive<u64>,
    ) -> Vec<u64> {
        let places = Place(*places.start())..=Place(*places.end());
        let count = consumers.count(consumer, &places);
        let taken = consumers.take(consumer, &places);
        assert_eq!(count, taken.len());
        taken.into_iter().map(|(_, unsettled)| unsettled.delivery.0).collect()
    }

    #[test]
    fn what_settles_when_sent_is_never_unsettled() {
        let mut consumers = Consumers::default();
        let consumer = consumers.add("label", Settles::WhenSent, 100);
        consumers.deliver(testing::delivery(consumer, 0));
        assert_eq!(consumers.hand_out().unwrap().settles, Settles::WhenSent);
        assert_eq!(taken(&mut consumers, consumer, 0..=0), [0; 0]);
        assert_eq!(consumers.in_work().count(), 0);
    }

    #[test]
    fn one_is_taken_or_all_up_to_it_or_a_range() {
        let (mut consumers, consumer) = handed_out(8);
        assert_eq!(taken(&mut consumers, consumer, 2..=2), [2]);
        assert_eq!(taken(&mut consumers, consumer, 0..=3), [0, 1, 3]);
        assert_eq!(taken(&mut consumers, consumer, 5..=6), [5, 6]);
        assert_eq!(consumers.in_work().collect::<Vec<_>>(), [(consumer, DeliveryId(4))]);
        assert_eq!(taken(&mut consumers, consumer, 0..=7), [4, 7]);
    }

    #[test]
    fn nothing_is_taken_where_the_one_that_is_named_is_not_unsettled() {
        let (mut consumers, consumer) = handed_out(3);
        assert_eq!(taken(&mut consumers, consumer, 0..=3), [0; 0], "never handed out");
        assert_eq!(
            taken(&mut consumers, consumer, RangeInclusive::new(2, 1)),
            [0; 0],
            "an empty range"
        );
        assert_eq!(taken(&mut consumers, ConsumerId(9), 0..=1), [0; 0], "no such consumer");
        assert_eq!(taken(&mut consumers, consumer, 1..=1), [1]);
        assert_eq!(taken(&mut consumers, consumer, 0..=1), [0; 0], "taken before");
        assert_eq!(taken(&mut consumers, consumer, 0..=2), [0, 2]);
    }

    #[test]
    fn what_is_put_back_can_be_taken_again() {
        let (mut consumers, consumer) = handed_out(2);
        let places = Place::FIRST..=Place(1);
        for (place, unsettled) in consumers.take(consumer, &places) {
            assert_eq!(consumers.find(consumer, &unsettled.message_id), None);
            consumers.put_back(consumer, place, unsettled);
        }
        assert_eq!(consumers.find(consumer, "m1"), Some(Place(1)));
        let taken = consumers.take(consumer, &places);
        consumers.remove(consumer);
        for (place, unsettled) in taken {
            consumers.put_back(consumer, place, unsettled);
        }
        assert_eq!(consumers.find(consumer, "m1"), None, "it has ended");
        assert_eq!(consumers.pledge(consumer, 1), None);
    }

    #[test]
    fn a_consumers_end_drops_what_was_not_handed_out() {
        let mut consumers = Consumers::default();
        let [one, other] = ["one", "other"].map(|it| consumers.add(it, Settles::ByClient, 100));
        for (number, consumer) in [one, other, one].into_iter().enumerate() {
            consumers.deliver(testing::delivery(consumer, number as u64));
        }
        consumers.remove(one);
        consumers.deliver(testing::delivery(one, 3));
        assert_eq!(consumers.hand_out().unwrap().delivery.id, DeliveryId(1));
        assert!(!consumers.has_waiting());
        assert_eq!(consumers.ids().collect::<Vec<_>>(), [other]);
        assert_ne!(consumers.add("again", Settles::ByClient, 100), one);
    }
}
