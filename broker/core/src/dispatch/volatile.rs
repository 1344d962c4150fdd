//! Messages that only the leader has: non-persistent ones of queues, and all of topics.
//!
//! They are lost with the leadership, as JMS allows (JMS 2.0, section 3.4.11: at most once). In a
//! queue they stand among the stored messages in the order in which they came. They are settled
//! at once, without the log. Rejected too often, one of a queue goes to the dead-letter queue,
//! still volatile; a subscriber's copy is dropped.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use paceline_reached::{Point, reached};

use super::{
    ConsumerKey, Dispatcher,
    lane::{Lane, LaneId, LaneKind},
    ready::{Item, Position},
    types::{MessageKey, VolatileId, VolatileRefused},
};
use crate::{
    Destination, Message, UnixMillis,
    bounds::{Bound, Size, WhenFull},
    destination::DestinationKind,
    durable::is_durable,
    message::MAX_PRIORITY,
    operation::Settlement,
    selector::Candidate,
    shard::{Death, Membership, ShardState, dead_letter, in_queue},
    slotting::dead_letter_queue,
};

#[derive(Debug)]
pub(super) struct Volatile {
    pub(super) message: Arc<Message>,
    pub(super) lane: LaneId,
    /// The group that it belongs to, if it is in a queue.
    pub(super) member: Option<Membership>,
    /// The log entry applied last when it came.
    after: u64,
    rejected: u8,
    released: u8,
}

impl Volatile {
    pub(super) fn redeliveries(&self) -> u32 {
        u32::from(self.rejected) + u32::from(self.released)
    }

    pub(super) fn priority(&self) -> u8 {
        self.message.priority.min(MAX_PRIORITY)
    }

    pub(super) fn position(&self, number: u64) -> Position {
        Position::volatile(self.after, number)
    }
}

/// What may wait for one subscriber of a topic; the bytes include what it holds.
#[derive(Clone, Copy, Debug)]
struct Backlog {
    messages: usize,
    bytes: usize,
}

impl Backlog {
    /// Whether one message more of `footprint` bytes may wait.
    fn has_room(self, lane: &Lane, footprint: usize) -> bool {
        lane.volatile - lane.in_flight < self.messages
            && lane.volatile_bytes + footprint <= self.bytes
    }
}

impl Dispatcher {
    /// Takes a message that is not to be stored: one of a queue that is not persistent, or any of a
    /// topic. When this returns, it waits for its consumers and its sender can be answered.
    /// Returns for how many: 1 for a queue, the number of subscribers for a topic, 0 if its time is
    /// over.
    ///
    /// # Errors
    /// If the destination is a pattern, or a queue and memory is used up, or a topic of which nothing
    /// may be dropped and a subscriber is too slow.
    pub fn handle_volatile(
        &mut self,
        now: UnixMillis,
        message: Arc<Message>,
    ) -> Result<usize, VolatileRefused> {
        if message.destination.is_pattern() {
            return Err(VolatileRefused::Pattern(message.destination.name.clone()));
        }
        let limit = self.limits.volatile_bytes;
        match message.destination.kind {
            _ if message.is_expired(now) => Ok(0),
            DestinationKind::Topic => {
                let subscribers = self.subscribers(&message);
                self.check_room(&subscribers, &message)?;
                self.copy_to(&subscribers, &message);
                Ok(subscribers.len())
            }
            DestinationKind::Queue if self.volatile_bytes + message.footprint() > limit => {
                Err(VolatileRefused::Full { bytes: self.volatile_bytes, limit })
            }
            DestinationKind::Queue => {
                let lane = self.lane_named(&message.destination.name.clone());
                self.add_volatile(lane, message);
                Ok(1)
            }
        }
    }

    /// The subscribers of a message's topic that want it. Each selector is asked once.
    fn subscribers(&self, message: &Message) -> Vec<LaneId> {
        let topic = &message.destination;
        let exact = self.topics.get(&topic.name).into_iter().flatten().copied();
        let patterns = self.topic_patterns.iter();
        let patterns = patterns.filter(|(_, pattern)| pattern.matches(topic));
        let candidate = Candidate { message, redelivered: false, redelivery_count: 0 };
        let mut asked: BTreeMap<&str, bool> = BTreeMap::new();
        let mut wants = |lane: &LaneId| match &self.lanes[lane].kind {
            LaneKind::Subscriber(Some(selector)) => {
                *asked.entry(selector.text()).or_insert_with(|| selector.matches(&candidate))
            }
            _ => true,
        };
        exact.chain(patterns.map(|(lane, _)| *lane)).filter(|lane| wants(lane)).collect()
    }

    /// Whether somebody listens to a topic.
    pub fn has_subscriber(&self, topic: &Destination) -> bool {
        self.topics.contains_key(&topic.name)
            || self.topic_patterns.values().any(|source| source.matches(topic))
    }

    /// Gives one subscriber a copy of a topic's message that was sent before it came.
    pub fn copy_to_one(&mut self, key: ConsumerKey, message: &Arc<Message>) {
        let Some(consumer) = self.consumers.get(&key) else { return };
        let lane = consumer.seats.keys().copied().find(|lane| self.lanes[lane].is_subscriber());
        let candidate = Candidate { message, redelivered: false, redelivery_count: 0 };
        let wants = |lane: &LaneId| match &self.lanes[lane].kind {
            LaneKind::Subscriber(Some(selector)) => selector.matches(&candidate),
            _ => true,
        };
        if let Some(lane) = lane.filter(wants) {
            self.copy_to(&[lane], message);
        }
    }

    /// Whether a subscriber of the message's topic has no room, and the topic's policy is that nothing is
    /// dropped for it.
    pub fn refuses(&self, message: &Message) -> Option<VolatileRefused> {
        self.check_room(&self.subscribers(message), message).err()
    }

    /// Takes a topic's message that is not to be stored for a queue that gets what is sent there. Where
    /// memory is used up, or the queue may hold no more, it is dropped, as it is for a subscriber. So
    /// much may wait for a durable subscription as for any other.
    pub fn enter_volatile(&mut self, state: &ShardState, queue: &Arc<str>, message: &Arc<Message>) {
        let message = in_queue(message, queue);
        let has_memory = self.volatile_bytes + message.footprint() <= self.limits.volatile_bytes;
        let bound = self.limits.bounds.of(&message.destination).cloned();
        let (volatile, volatile_bytes) = self.volatile_in(queue);
        let has_room = if is_durable(queue) {
            let Backlog { messages, bytes } = self.backlog(bound.as_deref());
            (volatile as usize) < messages && volatile_bytes as usize + message.footprint() <= bytes
        } else {
            let (stored, stored_bytes) = state.held(queue);
            let (held, bytes) = (stored + volatile, stored_bytes + volatile_bytes);
            bound.is_none_or(|bound| bound.admits(held, bytes, Size::of(&message).bytes()))
        };
        if has_memory && has_room {
            let lane = self.lane_named(queue);
            self.add_volatile(lane, message);
        } else {
            self.counters.entered += 1;
            self.counters.dropped += 1;
        }
    }

    /// What may wait for a subscriber of a topic with that bound.
    fn backlog(&self, bound: Option<&Bound>) -> Backlog {
        let bounded = |most: Option<u64>, default: usize| most.map_or(default, |it| it as usize);
        Backlog {
            messages: bounded(bound.and_then(|it| it.max_messages), self.limits.topic_backlog),
            bytes: bounded(bound.and_then(|it| it.max_bytes), self.limits.topic_bytes),
        }
    }

    /// Whether every one of the subscribers has room for the message, if the topic's policy wants
    /// that.
    fn check_room(&self, subscribers: &[LaneId], message: &Message) -> Result<(), VolatileRefused> {
        let bound = self.limits.bounds.of(&message.destination);
        let Some(bound) = bound.filter(|bound| bound.when_full == WhenFull::Reject) else {
            return Ok(());
        };
        let (backlog, footprint) = (self.backlog(Some(bound)), message.footprint());
        let mut lanes = subscribers.iter().map(|id| &self.lanes[id]);
        let full = lanes.find(|lane| !backlog.has_room(lane, footprint));
        let Some(lane) = full else { return Ok(()) };
        reached(Point::SubscriberFull);
        Err(VolatileRefused::SubscriberFull {
            topic: message.destination.name.clone(),
            messages: lane.volatile - lane.in_flight,
            bytes: lane.volatile_bytes,
            policy: bound.policy.clone(),
        })
    }

    /// How many messages that are not stored a queue holds, and about how many bytes they take.
    pub fn volatile_in(&self, queue: &str) -> (u64, u64) {
        let lane = self.names.get(queue).map(|id| &self.lanes[id]);
        lane.map_or((0, 0), |lane| (lane.volatile as u64, lane.volatile_bytes as u64))
    }

    /// Gives every subscriber of the message's topic that wants it a copy.
    pub fn fan_out(&mut self, message: &Arc<Message>) {
        let subscribers = self.subscribers(message);
        self.copy_to(&subscribers, message);
    }

    fn copy_to(&mut self, subscribers: &[LaneId], message: &Arc<Message>) {
        let bound = self.limits.bounds.of(&message.destination);
        let backlog = self.backlog(bound.map(|bound| &**bound));
        let footprint = message.footprint();
        for id in subscribers {
            if self.make_room(*id, footprint, backlog) {
                reached(Point::FannedOut);
                self.add_volatile(*id, message.clone());
            } else {
                self.counters.entered += 1;
                self.counters.dropped += 1;
                self.missed.count(&message.destination.name);
            }
        }
    }

    /// Drops what waits for a slow subscriber until one more of `footprint` bytes may wait too.
    fn make_room(&mut self, id: LaneId, footprint: usize, backlog: Backlog) -> bool {
        loop {
            let lane = self.lanes.get_mut(&id).expect("a subscriber has its lane");
            let all = self.volatile_bytes + footprint;
            if backlog.has_room(lane, footprint) && all <= self.limits.volatile_bytes {
                return true;
            }
            let volatile = &self.volatile;
            let place = |number| volatile.get(&number).map(|entry| entry.position(number));
            let Some(oldest) = lane.pop_least(place) else { return false };
            let Item::Volatile { number } = oldest.item() else {
                panic!("a subscriber was given a stored message")
            };
            reached(Point::SubscriberTooSlow);
            let missed = self.remove_volatile(number);
            self.missed.count(&missed.message.destination.name);
            self.counters.dropped += 1;
        }
    }

    fn add_volatile(&mut self, id: LaneId, message: Arc<Message>) {
        let number = self.next_volatile;
        self.next_volatile += 1;
        let footprint = message.footprint();
        let expires = message.expires;
        let lane = self.lanes.get_mut(&id).expect("the lane exists");
        let member = Membership::of(&message).filter(|_| !lane.is_subscriber());
        let after = self.applied;
        let entry = Volatile { message, lane: id, member, after, rejected: 0, released: 0 };
        lane.push(entry.priority(), Item::Volatile { number });
        lane.volatile += 1;
        lane.volatile_bytes += footprint;
        self.volatile_bytes += footprint;
        self.volatile.insert(number, entry);
        self.counters.entered += 1;
        self.note_expiry(expires, self.volatile_key(number));
        self.activate(id);
    }

    /// Forgets a message, wherever it stands.
    pub(super) fn remove_volatile(&mut self, number: u64) -> Volatile {
        let entry = self.volatile.remove(&number).expect("only what is there is removed");
        let lane = self.lanes.get_mut(&entry.lane).expect("its lane exists");
        let footprint = entry.message.footprint();
        lane.volatile -= 1;
        lane.volatile_bytes -= footprint;
        self.volatile_bytes -= footprint;
        if let Some(member) = entry.member {
            let place = (Reverse(entry.priority()), entry.position(number));
            lane.forget_aside(member.group(), place);
        }
        // A consumer with a selector may have taken it from the middle.
        if lane.has_views() {
            lane.count_gone(entry.priority(), entry.position(number));
        }
        self.forget_expiry(entry.message.expires, self.volatile_key(number));
        entry
    }

    /// Ends a delivery whose flight is over.
    pub(super) fn settle_volatile(&mut self, number: u64, how: Settlement) {
        let entry = self.volatile.get_mut(&number).expect("what was in flight is there");
        match how {
            Settlement::Accept => {
                self.remove_volatile(number);
                self.counters.accepted += 1;
                return;
            }
            Settlement::Release => entry.released = entry.released.saturating_add(1),
            Settlement::Reject | Settlement::Fail | Settlement::DeadLetter => {
                entry.rejected = entry.rejected.saturating_add(1);
            }
        }
        let (id, priority, position) = (entry.lane, entry.priority(), entry.position(number));
        let (rejected, expires) = (entry.rejected, entry.message.expires);
        let destination = entry.message.destination.clone();
        let lane = self.lanes.get_mut(&id).expect("its lane exists");
        let most = match lane.is_subscriber() || is_durable(&lane.name) {
            true => self.limits.rules.of(&destination),
            false => self.limits.rules.of_queue(&lane.name),
        }
        .max_redeliveries;
        let is_worn_out = how != Settlement::Release && rejected > most;
        if is_worn_out || how == Settlement::DeadLetter {
            if lane.is_subscriber() {
                self.remove_volatile(number);
                self.counters.dropped += 1;
                return;
            }
            let of = if is_durable(&lane.name) { &destination.name } else { &lane.name };
            if let Some(graveyard) = dead_letter_queue(of) {
                reached(Point::VolatileDeadLetter);
                let entry = self.remove_volatile(number);
                self.counters.dead_lettered += 1;
                let dead =
                    dead_letter(&entry.message, graveyard.clone(), Death::Rejected(rejected));
                let graveyard = self.lane_named(&graveyard);
                self.add_volatile(graveyard, dead.into());
                return;
            }
        }
        lane.put_back(priority, position);
        self.note_expiry(expires, self.volatile_key(number));
        self.activate(id);
    }

    pub(super) fn volatile_key(&self, number: u64) -> MessageKey {
        MessageKey::Volatile(VolatileId { term: self.term, number })
    }

    /// The books of volatile messages balance.
    pub(super) fn assert_balanced(&self) {
        let counters = self.counters;
        let left = counters.accepted + counters.expired + counters.dropped + counters.dead_lettered;
        assert_eq!(
            counters.entered,
            left + self.volatile.len() as u64,
            "volatile messages have been miscounted: {counters:?}, {} resident",
            self.volatile.len()
        );
    }
}
