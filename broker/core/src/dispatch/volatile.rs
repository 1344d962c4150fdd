//! Messages that only the leader has: non-persistent ones of queues, and all of topics.
//!
//! They are lost with the leadership, as JMS allows (JMS 2.0, section 3.4.11: at most once). In a
//! queue they stand among the stored messages in the order in which they came. They are settled
//! at once, without the log. Rejected too often, one of a queue goes to the dead-letter queue,
//! still volatile; a subscriber's copy is dropped.

use std::sync::Arc;

use paceline_reached::{Point, reached};

use super::{
    Dispatcher,
    lane::{Item, LaneId, Position},
    types::{MessageKey, VolatileId, VolatileRefused},
};
use crate::{
    Message, UnixMillis,
    destination::DestinationKind,
    message::MAX_PRIORITY,
    operation::Settlement,
    shard::{MAX_REDELIVERIES, dead_letter},
    slotting::dead_letter_queue,
};

#[derive(Debug)]
pub(super) struct Volatile {
    pub(super) message: Arc<Message>,
    pub(super) lane: LaneId,
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

impl Dispatcher {
    /// Takes a message that is not to be stored: one of a queue that is not persistent, or any of a
    /// topic. When this returns, it waits for its consumers and its sender can be answered.
    /// Returns for how many: 1 for a queue, the number of subscribers for a topic, 0 if its time is
    /// over.
    ///
    /// # Errors
    /// If the destination is a pattern, or a queue and memory is used up.
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
            DestinationKind::Topic => Ok(self.fan_out(message)),
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

    /// Gives every subscriber of the message's topic a copy.
    pub(super) fn fan_out(&mut self, message: Arc<Message>) -> usize {
        let exact = self.topics.get(&message.destination.name).into_iter().flatten().copied();
        let patterns = self.topic_patterns.iter();
        let patterns = patterns.filter(|(_, pattern)| pattern.matches(&message.destination));
        let subscribers: Vec<LaneId> = exact.chain(patterns.map(|(lane, _)| *lane)).collect();
        let footprint = message.footprint();
        for id in &subscribers {
            if self.make_room(*id, footprint) {
                reached(Point::FannedOut);
                self.add_volatile(*id, message.clone());
            } else {
                self.counters.entered += 1;
                self.counters.dropped += 1;
            }
        }
        subscribers.len()
    }

    /// Drops what waits for a slow subscriber until one more of `footprint` bytes may wait too.
    fn make_room(&mut self, id: LaneId, footprint: usize) -> bool {
        loop {
            let lane = self.lanes.get_mut(&id).expect("a subscriber has its lane");
            let waiting = lane.volatile - lane.in_flight;
            let bytes = lane.volatile_bytes + footprint;
            let all = self.volatile_bytes + footprint;
            if waiting < self.limits.topic_backlog
                && bytes <= self.limits.topic_bytes
                && all <= self.limits.volatile_bytes
            {
                return true;
            }
            let volatile = &self.volatile;
            let place = |number| volatile.get(&number).map(|entry| entry.position(number));
            let Some(oldest) = lane.pop_least(place) else { return false };
            let Item::Volatile { number } = oldest.item() else {
                panic!("a subscriber was given a stored message")
            };
            reached(Point::SubscriberTooSlow);
            self.remove_volatile(number);
            self.counters.dropped += 1;
        }
    }

    fn add_volatile(&mut self, id: LaneId, message: Arc<Message>) {
        let number = self.next_volatile;
        self.next_volatile += 1;
        let footprint = message.footprint();
        let expires = message.expires;
        let entry = Volatile { message, lane: id, after: self.applied, rejected: 0, released: 0 };
        let lane = self.lanes.get_mut(&id).expect("the lane exists");
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
            Settlement::Reject | Settlement::Fail => {
                entry.rejected = entry.rejected.saturating_add(1);
            }
        }
        let (id, priority, position) = (entry.lane, entry.priority(), entry.position(number));
        let (rejected, expires) = (entry.rejected, entry.message.expires);
        let lane = self.lanes.get_mut(&id).expect("its lane exists");
        if how != Settlement::Release && rejected > MAX_REDELIVERIES {
            if lane.is_subscriber() {
                self.remove_volatile(number);
                self.counters.dropped += 1;
                return;
            }
            if let Some(graveyard) = dead_letter_queue(&lane.name) {
                reached(Point::VolatileDeadLetter);
                let entry = self.remove_volatile(number);
                self.counters.dead_lettered += 1;
                let dead = dead_letter(&entry.message, graveyard.clone(), rejected);
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
