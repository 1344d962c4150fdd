//! Consumers come and go; their credit, and the lanes they take turns at.
//!
//! A consumer without credit is not searched for at every message: the lane that meets it *parks*
//! it, and it is seated again when it has credit, at one lane per delivery. So a consumer of ten
//! thousand queues with a prefetch of 1 costs as much per message as any other.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use paceline_reached::{Point, reached};

use super::{
    Dispatcher,
    lane::{Lane, LaneId, LaneKind},
    matches_queue,
    ready::Item,
    turn::Turn,
    types::{AttachRefused, ConsumerKey, MessageKey},
};
use crate::{
    Destination, Source,
    destination::DestinationKind,
    durable::is_durable,
    operation::{Parting, Subscription},
    selector::Selector,
    shard::ShardState,
};

/// How a consumer stands with a lane.
#[derive(Clone, Copy, Debug)]
pub(super) enum Seat {
    /// In the lane's rotation, with this turn.
    Turn(Turn),
    /// Out of it until there is credit.
    Parked,
}

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) source: Source,
    pub(super) prefetch: u32,
    selector: Option<Arc<Selector>>,
    exclusive: bool,
    pub(super) priority: i8,
    /// What it holds.
    pub(super) flights: BTreeSet<MessageKey>,
    pub(super) seats: BTreeMap<LaneId, Seat>,
    /// Lanes that parked it, the first to be returned to in front.
    pub(super) parked: VecDeque<LaneId>,
    /// Whether the dispatcher has it on its list of those to be seated again.
    pub(super) hungry: bool,
}

impl Consumer {
    fn new(subscription: &Subscription, selector: Option<Arc<Selector>>) -> Self {
        Self {
            source: subscription.source.clone(),
            prefetch: subscription.prefetch,
            selector,
            exclusive: subscription.exclusive,
            priority: subscription.priority,
            flights: BTreeSet::new(),
            seats: BTreeMap::new(),
            parked: VecDeque::new(),
            hungry: false,
        }
    }

    /// By which it takes messages from a lane. What gets to a subscriber's lane has been selected.
    pub(super) fn selector_at(&self, lane: &Lane) -> Option<&Arc<Selector>> {
        self.selector.as_ref().filter(|_| !lane.is_subscriber())
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.flights.len() as u32
    }

    /// How many more messages it may be given. None while it holds more than its prefetch, which
    /// was lowered then.
    pub(super) fn credit(&self) -> u32 {
        self.prefetch.saturating_sub(self.in_flight())
    }

    /// It is given a message.
    pub(super) fn take(&mut self, key: MessageKey) {
        assert!(self.credit() > 0, "{key} was delivered without credit");
        assert!(self.flights.insert(key), "{key} was delivered twice to one consumer");
    }
}

impl Dispatcher {
    /// Begins to deliver to a consumer.
    ///
    /// # Errors
    /// If the key is in use, or the selector is none.
    pub fn attach(
        &mut self,
        key: ConsumerKey,
        subscription: Subscription,
    ) -> Result<(), AttachRefused> {
        if self.consumers.contains_key(&key) || self.browsers.known.contains_key(&key) {
            return Err(AttachRefused::Attached(key));
        }
        let selector = subscription.selector.as_deref();
        let selector = selector.map(|text| Selector::parse(text).map(Arc::new)).transpose()?;
        self.consumers.insert(key, Consumer::new(&subscription, selector.clone()));
        let source = subscription.source;
        let mut lanes: BTreeSet<LaneId> = BTreeSet::new();
        for queue in source.of(DestinationKind::Queue).filter(|queue| !queue.is_pattern()) {
            lanes.insert(self.lane_named(&queue.name));
        }
        if source.of(DestinationKind::Queue).any(Destination::is_pattern) {
            let names = self.names.iter().filter(|(name, _)| matches_queue(&source, name));
            lanes.extend(names.map(|(_, lane)| *lane));
            self.queue_patterns.insert(key, source.clone());
        }
        if let Some(topics) = source.filter(|one| one.kind == DestinationKind::Topic) {
            lanes.insert(self.subscribe(topics, selector));
        }
        for lane in lanes {
            self.seat(key, lane);
        }
        Ok(())
    }

    /// A lane for a new subscriber of topics.
    fn subscribe(&mut self, topics: Source, selector: Option<Arc<Selector>>) -> LaneId {
        let kind = LaneKind::Subscriber(selector);
        match topics.exact() {
            Some(topic) => {
                let lane = self.add_lane(Lane::new(kind, topic.name.clone()));
                self.topics.entry(topic.name.clone()).or_default().insert(lane);
                lane
            }
            None => {
                let lane = self.add_lane(Lane::new(kind, topics.to_string().into()));
                self.topic_patterns.insert(lane, topics);
                lane
            }
        }
    }

    /// A consumer may hold another number of messages from now on; what it holds beyond that it
    /// keeps. Whether it is attached.
    pub fn set_prefetch(&mut self, key: ConsumerKey, prefetch: u32) -> bool {
        let Some(consumer) = self.consumers.get_mut(&key) else {
            return self.browsers.set_prefetch(key, prefetch);
        };
        consumer.prefetch = prefetch;
        self.note_hungry(key);
        true
    }

    /// Whether a consumer may soon have to wait for the end of what it holds: half of what it may
    /// hold is given away.
    pub fn is_short(&self, key: ConsumerKey) -> bool {
        let consumer = self.consumers.get(&key);
        consumer.is_some_and(|consumer| consumer.credit() <= consumer.prefetch / 2)
    }

    /// Stops delivering to a consumer. What it holds goes back to its queues, except what it is
    /// settling just now. Whether it was attached.
    pub fn detach(&mut self, key: ConsumerKey) -> bool {
        let Some(consumer) = self.consumers.remove(&key) else {
            return self.browsers.known.remove(&key).is_some();
        };
        self.queue_patterns.remove(&key);
        for message in &consumer.flights {
            let message = *message;
            let flight =
                self.flights.get_mut(&message).expect("what a consumer holds is in flight");
            assert_eq!(flight.holder.take(), Some(key), "{message} has another holder");
            if !flight.settling {
                self.abandon(message);
            }
        }
        for (id, seat) in &consumer.seats {
            let id = *id;
            let lane = self.lanes.get_mut(&id).expect("a seat is at a lane");
            let selector = consumer.selector_at(lane);
            if let Seat::Turn(turn) = seat {
                lane.unseat(*turn, selector);
            }
            lane.release_groups(key);
            lane.leave(selector);
            if lane.is_subscriber() {
                self.drop_subscriber(id);
                continue;
            }
            if consumer.exclusive {
                let owner = lane.owner();
                lane.yield_claim(key);
                self.change_owner(id, owner);
            }
            self.activate(id);
            self.drop_if_idle(id);
        }
        self.assert_balanced();
        true
    }

    /// As [`detach`](Self::detach) of a consumer that ends in this way. What it died of is
    /// dead-lettered when its queue's limit is reached.
    pub fn detach_as(
        &mut self,
        state: &ShardState,
        key: ConsumerKey,
        parting: &Parting<MessageKey>,
    ) -> bool {
        match parting {
            Parting::Released => {}
            Parting::Died(message) => self.fail(state, key, *message),
            Parting::Saw(seen) => {
                let Some(consumer) = self.consumers.get(&key) else { return self.detach(key) };
                let seen: BTreeSet<_> = seen.iter().copied().collect();
                let unseen: Vec<_> = consumer.flights.difference(&seen).copied().collect();
                for message in unseen {
                    self.take_back(message);
                }
            }
        }
        self.detach(key)
    }

    /// Stops delivering to a consumer whose node cannot be reached. Stored messages go back as in
    /// [`detach`](Self::detach). The volatile ones it holds are dropped: its settlements may have
    /// been answered and lost on the way, and what is not stored is delivered at most once where
    /// something fails. Whether it was attached.
    pub fn detach_lost(&mut self, key: ConsumerKey) -> bool {
        let Some(consumer) = self.consumers.get(&key) else { return self.detach(key) };
        reached(Point::ConsumerLost);
        let volatile: Vec<(MessageKey, u64)> = consumer
            .flights
            .iter()
            .filter_map(|message| match message {
                MessageKey::Volatile(id) => Some((*message, id.number)),
                MessageKey::Stored(_) => None,
            })
            .collect();
        for (message, number) in volatile {
            let lane = self.land(message).expect("what a consumer holds is in flight").lane;
            self.remove_volatile(number);
            self.counters.dropped += 1;
            self.drop_if_idle(lane);
        }
        self.detach(key)
    }

    /// Detaches all consumers of a node: it is gone or cannot be reached.
    pub fn detach_node(&mut self, node: u64) {
        let first = ConsumerKey { node, number: 0 };
        let last = ConsumerKey { node, number: u64::MAX };
        let browsers = self.browsers.known.range(first..=last).map(|(key, _)| *key);
        let consumers = self.consumers.range(first..=last).map(|(key, _)| *key);
        let keys: Vec<_> = consumers.chain(browsers).collect();
        for key in keys {
            self.detach(key);
        }
    }

    /// Gives the consumer a turn at the lane, from which it has none.
    pub(super) fn seat(&mut self, key: ConsumerKey, id: LaneId) {
        let lane = self.lanes.get_mut(&id).expect("the lane exists");
        let consumer = self.consumers.get_mut(&key).expect("the consumer exists");
        let selector = consumer.selector_at(lane).cloned();
        match consumer.seats.get(&id) {
            None => lane.join(selector.as_ref()),
            Some(Seat::Parked) => {}
            Some(Seat::Turn(_)) => panic!("consumer {key} has two turns at one lane"),
        }
        let is_new = !consumer.seats.contains_key(&id);
        let claims = is_new && consumer.exclusive && !lane.is_subscriber();
        let owner = lane.owner();
        if claims {
            lane.claim(key, consumer.priority);
        }
        let turn = lane.seat(key, consumer.priority, selector.as_ref());
        consumer.seats.insert(id, Seat::Turn(turn));
        if claims {
            self.change_owner(id, owner);
        }
        if self.lanes[&id].has_ready() {
            self.activate(id);
        }
    }

    /// A lane may be for another consumer alone than `before`: that one has all turns, and no groups
    /// are with others.
    fn change_owner(&mut self, id: LaneId, before: Option<ConsumerKey>) {
        let lane = self.lanes.get_mut(&id).expect("the lane exists");
        let owner = lane.owner();
        if owner == before {
            return;
        }
        reached(Point::ExclusiveChanged);
        lane.release_all_groups();
        for key in before.into_iter().chain(owner) {
            let Some(consumer) = self.consumers.get_mut(&key) else { continue };
            let Some(Seat::Turn(turn)) = consumer.seats.get(&id).copied() else { continue };
            let selector = consumer.selector_at(lane).cloned();
            lane.unseat(turn, selector.as_ref());
            let turn = lane.seat(key, consumer.priority, selector.as_ref());
            consumer.seats.insert(id, Seat::Turn(turn));
        }
    }

    /// The lane met the consumer and it had no credit.
    pub(super) fn park(&mut self, key: ConsumerKey, id: LaneId, turn: Turn) {
        let lane = self.lanes.get_mut(&id).expect("the lane exists");
        let consumer = self.consumers.get_mut(&key).expect("the consumer exists");
        let selector = consumer.selector_at(lane);
        lane.unseat(turn, selector);
        if let Some((view, _)) = selector.and_then(|selector| lane.view(selector.text())) {
            view.rest();
        }
        consumer.seats.insert(id, Seat::Parked);
        consumer.parked.push_back(id);
    }

    /// The consumer holds `message` no longer. It may be gone itself.
    pub(super) fn give_credit(&mut self, key: ConsumerKey, message: MessageKey) {
        let Some(consumer) = self.consumers.get_mut(&key) else { return };
        assert!(consumer.flights.remove(&message), "{message} was not held by {key}");
        self.note_hungry(key);
    }

    /// The consumer may have credit again: it is seated where it was parked.
    fn note_hungry(&mut self, key: ConsumerKey) {
        let Some(consumer) = self.consumers.get_mut(&key) else { return };
        if !consumer.parked.is_empty() && !consumer.hungry {
            consumer.hungry = true;
            self.hungry.push_back(key);
        }
    }

    /// Seats one consumer that has credit again at one lane that parked it. Whether there was one.
    pub(super) fn feed_one(&mut self) -> bool {
        while let Some(key) = self.hungry.pop_front() {
            // It may have been detached meanwhile, and attached anew under the same key.
            let Some(consumer) = self.consumers.get_mut(&key).filter(|known| known.hungry) else {
                continue;
            };
            consumer.hungry = false;
            if consumer.credit() == 0 {
                continue;
            }
            let Some(id) = consumer.parked.pop_front() else { continue };
            if !consumer.parked.is_empty() {
                consumer.hungry = true;
                self.hungry.push_back(key);
            }
            self.seat(key, id);
            return true;
        }
        false
    }

    /// Forgets a topic subscriber's lane and what waits in it.
    fn drop_subscriber(&mut self, id: LaneId) {
        if self.topic_patterns.remove(&id).is_none() {
            let topic = self.lanes[&id].name.clone();
            let lanes = self.topics.get_mut(&topic).expect("it was subscribed");
            lanes.remove(&id);
            if lanes.is_empty() {
                self.topics.remove(&topic);
            }
        }
        self.drop_waiting(id);
        self.lanes.remove(&id);
    }

    /// A queue has gone. If it was a durable subscription's, so has what waits there and is not stored.
    pub(super) fn drop_durable(&mut self, queue: &str) {
        if is_durable(queue)
            && let Some(id) = self.names.get(queue).copied()
        {
            self.drop_waiting(id);
            self.drop_if_idle(id);
        }
    }

    /// Forgets what waits in a lane and is not stored.
    fn drop_waiting(&mut self, id: LaneId) {
        while let Some(position) = {
            let volatile = &self.volatile;
            let place = |number| volatile.get(&number).map(|entry| entry.position(number));
            self.lanes.get_mut(&id).expect("its lane exists").pop(place)
        } {
            if let Item::Volatile { number } = position.item()
                && self.volatile.contains_key(&number)
            {
                self.remove_volatile(number);
                self.counters.dropped += 1;
            }
        }
    }
}
