//! Deliveries and how they end: by the consumer, by its death, or by what the log says.

use std::{cmp::Reverse, collections::BTreeSet};

use paceline_reached::{Point, reached};

use super::{
    Dispatcher,
    groups::Assigned,
    is_there,
    lane::{LaneId, LaneKind},
    ready::{Item, Position},
    types::{ConsumerKey, MessageKey, SettleRefused},
};
use crate::{
    UnixMillis,
    operation::Settlement,
    shard::{Applied, Command, Effect, Membership, MessageRef, QueueId, ShardState},
};

/// The most messages in one command the dispatcher makes.
const COMMAND_PARTS: usize = 4096;

/// A message that has been handed out.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) lane: LaneId,
    pub(super) priority: u8,
    pub(super) position: Position,
    pub(super) expires: Option<UnixMillis>,
    /// The group that it belongs to.
    pub(super) assigned: Option<Assigned>,
    /// `None` if it went away while its settlement was on its way.
    pub(super) holder: Option<ConsumerKey>,
    /// Whether a settlement is on its way through the log,
    pub(super) settling: bool,
    /// and accepts it, so that it is as good as gone.
    pub(super) accepted: bool,
}

/// How often a message was given back, as far as the state's counts do not know yet.
#[derive(Debug, Default)]
pub(super) struct Returns {
    released: u32,
    failed: u32,
}

impl Returns {
    pub(super) fn total(&self) -> u32 {
        self.released + self.failed
    }

    fn count(&mut self, how: Settlement) -> &mut u32 {
        if how == Settlement::Fail { &mut self.failed } else { &mut self.released }
    }
}

impl Dispatcher {
    /// A consumer ends deliveries: all of those named, or none if one of them is refused.
    ///
    /// Volatile messages are settled at once. For the stored ones the caller replicates what is
    /// returned, in a [`Command::Settle`] or as a part of a transaction; until that is applied they
    /// count as held by the consumer. If the command is refused by the state or cannot be
    /// proposed, the caller says so with [`Dispatcher::settle_failed`].
    ///
    /// # Errors
    /// If the consumer does not hold one of the messages, or is settling it already.
    pub fn settle_begin(
        &mut self,
        consumer: ConsumerKey,
        settles: &[(MessageKey, Settlement)],
    ) -> Result<Vec<(MessageRef, Settlement)>, SettleRefused> {
        if self.browsers.settle(consumer, settles.iter().map(|(copy, _)| *copy)) {
            return Ok(Vec::new());
        }
        if !self.consumers.contains_key(&consumer) {
            return Err(SettleRefused::UnknownConsumer(consumer));
        }
        let mut seen = BTreeSet::new();
        for (message, _) in settles {
            let message = *message;
            match self.flights.get(&message) {
                Some(flight) if flight.holder == Some(consumer) => {
                    if flight.settling || !seen.insert(message) {
                        return Err(SettleRefused::Settling { message });
                    }
                }
                _ => return Err(SettleRefused::NotInFlight { consumer, message }),
            }
        }
        let mut stored = Vec::with_capacity(settles.len());
        for (key, how) in settles {
            match key {
                MessageKey::Stored(message) => {
                    let flight = self.flights.get_mut(key).expect("checked above");
                    flight.settling = true;
                    flight.accepted = *how == Settlement::Accept;
                    stored.push((*message, *how));
                }
                MessageKey::Volatile(id) => {
                    let lane = self.land(*key).expect("checked above").lane;
                    self.settle_volatile(id.number, *how);
                    self.drop_if_idle(lane);
                }
            }
        }
        Ok(stored)
    }

    /// A settlement begun was not carried out, or nobody knows: its consumer holds the messages as
    /// before, and those whose consumer has gone since are delivered again. If the settlement is
    /// applied later all the same, that is heeded. Messages not being settled are passed over.
    pub fn settle_failed(&mut self, messages: &[MessageRef]) {
        for message in messages {
            let key = MessageKey::Stored(*message);
            let Some(flight) = self.flights.get_mut(&key) else { continue };
            reached(Point::SettlementFailed);
            flight.accepted = false;
            if std::mem::take(&mut flight.settling) && flight.holder.is_none() {
                self.abandon(key);
            }
        }
    }

    /// Takes in what the state did with the log entry after the last one taken in.
    ///
    /// # Panics
    /// If it is not called for every batch, directly after it was applied.
    pub fn handle_applied(&mut self, state: &ShardState, applied: &Applied) {
        assert!(applied.index > self.applied, "entry {} was taken in already", applied.index);
        assert_eq!(applied.index, state.applied(), "entries were applied that were not taken in");
        self.applied = applied.index;
        for effect in &applied.effects {
            match effect {
                Effect::Ready { message, queue, name, priority, expires } => {
                    let lane = self.lane_of(*queue, name);
                    self.add_stored(lane, *message, *priority, *expires);
                }
                Effect::Returned { message, how } => {
                    self.handle_returned(state, *message, *how);
                }
                Effect::Kept { message } => self.handle_kept(state, *message),
                Effect::Gone { message, queue, priority, expires, member } => {
                    self.forget_aside(*message, *queue, *priority, *member);
                    self.handle_gone(state, *message, *queue, *priority, *expires);
                }
                // It is gone next.
                Effect::AcceptedDead { .. } => {}
                Effect::FanOut { message } => {
                    reached(Point::FannedOutByCommit);
                    self.fan_out(message);
                }
                Effect::QueueDeleted { queue, name } => {
                    self.drop_durable(name);
                    if let Some(id) = self.queues.remove(queue) {
                        let lane = self.lanes.get_mut(&id).expect("a queue's lane exists");
                        lane.kind = LaneKind::Queue(None);
                        self.drop_if_idle(id);
                    }
                }
            }
        }
        self.assert_balanced();
    }

    pub(super) fn add_stored(
        &mut self,
        id: LaneId,
        message: MessageRef,
        priority: u8,
        expires: Option<UnixMillis>,
    ) {
        let lane = self.lanes.get_mut(&id).expect("the lane exists");
        lane.push(priority, Item::Stored { index: message.index, offset: message.offset });
        self.note_expiry(expires, MessageKey::Stored(message));
        self.activate(id);
    }

    fn handle_returned(&mut self, state: &ShardState, message: MessageRef, how: Settlement) {
        // A dead consumer's delivery: the message was put back when it died.
        if matches!(how, Settlement::Release | Settlement::Fail)
            && let Some(pending) = self.returns.get_mut(&message)
            && *pending.count(how) > 0
        {
            *pending.count(how) -= 1;
            if pending.total() == 0 {
                self.returns.remove(&message);
            }
            return;
        }
        let key = MessageKey::Stored(message);
        match self.land(key) {
            Some(flight) => self.put_back(key, &flight),
            // It was prepared under an earlier leader, and has not been on its lane since.
            None => self.line_up(state, message),
        }
    }

    fn handle_kept(&mut self, state: &ShardState, message: MessageRef) {
        let key = MessageKey::Stored(message);
        if self.flights.contains_key(&key) {
            self.settle_failed(&[message]);
            return;
        }
        self.expiring.remove(&message);
        self.line_up(state, message);
    }

    /// Sees to it that a message nobody holds stands on its lane.
    fn line_up(&mut self, state: &ShardState, message: MessageRef) {
        // A later command of the same batch may have ended it.
        let Some(stored) = state.lookup(message) else { return };
        let id = self.lane_of(stored.queue, state.queue_name(stored.queue));
        let lane = self.lanes.get_mut(&id).expect("the lane exists");
        lane.put_back(stored.priority, Position::stored(message));
        self.note_expiry(stored.expires(), MessageKey::Stored(message));
        self.activate(id);
    }

    fn forget_aside(
        &mut self,
        message: MessageRef,
        queue: QueueId,
        priority: u8,
        member: Option<Membership>,
    ) {
        let Some(member) = member else { return };
        let lane = self.queues.get(&queue).and_then(|id| self.lanes.get_mut(id));
        if let Some(lane) = lane {
            lane.forget_aside(member.group(), (Reverse(priority), Position::stored(message)));
        }
    }

    fn handle_gone(
        &mut self,
        state: &ShardState,
        message: MessageRef,
        queue: QueueId,
        priority: u8,
        expires: Option<UnixMillis>,
    ) {
        let key = MessageKey::Stored(message);
        self.returns.remove(&message);
        self.expiring.remove(&message);
        self.forget_expiry(expires, key);
        let flight = self.land(key);
        let queue = || self.queues.get(&queue).copied();
        let Some(id) = flight.as_ref().map(|flight| flight.lane).or_else(queue) else { return };
        let lane = self.lanes.get_mut(&id).expect("a queue's lane exists");
        // A consumer with a selector may have taken it from the middle.
        if flight.is_none() || lane.has_views() {
            lane.note_gone(priority, Position::stored(message), |item| {
                is_there(state, &self.volatile, item)
            });
        }
        if flight.is_some() {
            self.drop_if_idle(id);
        }
    }

    /// Ends a flight, if there is one, and gives its holder credit. Where the message goes is up to
    /// the caller.
    pub(super) fn land(&mut self, key: MessageKey) -> Option<Flight> {
        let flight = self.flights.remove(&key)?;
        let lane = self.lanes.get_mut(&flight.lane).expect("its lane exists");
        lane.in_flight -= 1;
        if let Some(assigned) = flight.assigned {
            lane.landed(assigned);
        }
        if let Some(holder) = flight.holder {
            self.give_credit(holder, key);
        }
        Some(flight)
    }

    /// Puts the message of an ended flight back where it stood.
    fn put_back(&mut self, key: MessageKey, flight: &Flight) {
        let lane = self.lanes.get_mut(&flight.lane).expect("its lane exists");
        lane.put_back(flight.priority, flight.position);
        self.note_expiry(flight.expires, key);
        self.activate(flight.lane);
    }

    /// A message's holder went away. It can be delivered again at once; that its delivery count
    /// rises is replicated behind it.
    pub(super) fn abandon(&mut self, key: MessageKey) {
        self.give_back(key, Settlement::Release);
    }

    /// A consumer is about to be detached because it died of a message, perhaps. It is given back as
    /// by [`Self::abandon`], so that it keeps its place; if its limit is reached, it is rejected.
    pub(super) fn fail(&mut self, state: &ShardState, consumer: ConsumerKey, key: MessageKey) {
        let Some(flight) = self.flights.get_mut(&key) else { return };
        if flight.holder != Some(consumer) || flight.settling {
            return;
        }
        let failures = |message| self.returns.get(message).map_or(0, |pending| pending.failed);
        match key {
            MessageKey::Stored(message) if state.is_worn_out(message, failures(&message)) => {
                reached(Point::MessageWornOut);
                flight.settling = true;
                self.to_settle.push_back((message, Settlement::Reject));
            }
            _ => {
                reached(Point::ConsumerDied);
                self.give_back(key, Settlement::Fail);
            }
        }
    }

    /// A message is no longer with its holder, who never looked at it: nothing is counted. One that is
    /// being settled stays.
    pub(super) fn take_back(&mut self, key: MessageKey) {
        if self.flights.get(&key).is_none_or(|flight| flight.settling) {
            return;
        }
        reached(Point::TakenBack);
        let flight = self.land(key).expect("looked up above");
        self.put_back(key, &flight);
    }

    fn give_back(&mut self, key: MessageKey, how: Settlement) {
        let flight = self.land(key).expect("only what is in flight is abandoned");
        match key {
            MessageKey::Stored(message) => {
                *self.returns.entry(message).or_default().count(how) += 1;
                self.to_settle.push_back((message, how));
                self.put_back(key, &flight);
            }
            MessageKey::Volatile(id) => self.settle_volatile(id.number, how),
        }
    }

    /// The next command to replicate on the leader's own behalf, without an origin.
    pub fn poll_command(&mut self) -> Option<Command> {
        if !self.to_settle.is_empty() {
            let parts = self.to_settle.len().min(COMMAND_PARTS);
            return Some(Command::Settle { settles: self.to_settle.drain(..parts).collect() });
        }
        if !self.to_expire.is_empty() {
            let parts = self.to_expire.len().min(COMMAND_PARTS);
            let messages = self.to_expire.drain(..parts).collect();
            return Some(Command::Expire { as_of: self.expired_as_of, messages });
        }
        None
    }

    /// A command got from [`Dispatcher::poll_command`] was not carried out, or was refused: it is
    /// made again, as far as there is still a reason to.
    pub fn command_failed(&mut self, command: &Command) {
        match command {
            Command::Settle { settles } => {
                for (message, how) in settles {
                    if *how == Settlement::Reject {
                        // Once is enough: it is delivered once more.
                        self.settle_failed(&[*message]);
                    } else if self.returns.contains_key(message) {
                        self.to_settle.push_back((*message, *how));
                    }
                }
            }
            Command::Expire { messages, .. } => {
                let pending = messages.iter().copied();
                let pending = pending.filter(|message| self.expiring.contains(message));
                self.to_expire.extend(pending);
            }
            other => panic!("the dispatcher makes no such command: {other:?}"),
        }
    }
}
