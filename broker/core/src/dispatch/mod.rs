//! Who gets which message: the leader's side of a shard, in memory only.
//!
//! [`Dispatcher`] is a value that lives as long as one leadership. It is made from the
//! [`ShardState`] at its beginning, when the term's first entry has been applied, and thrown away
//! at its end. Input arrives through
//!
//! - [`handle_applied`](Dispatcher::handle_applied), for every batch, directly after it was applied,
//! - [`handle_volatile`](Dispatcher::handle_volatile), for messages that are not stored,
//! - [`handle_timeout`](Dispatcher::handle_timeout), when [`poll_timeout`](Dispatcher::poll_timeout)
//!   says,
//! - [`attach`](Dispatcher::attach), [`detach`](Dispatcher::detach) and its kin,
//! - [`settle_begin`](Dispatcher::settle_begin) and [`settle_failed`](Dispatcher::settle_failed).
//!
//! After any of these, [`poll_delivery`](Dispatcher::poll_delivery) and
//! [`poll_command`](Dispatcher::poll_command) are called until they have nothing more. Commands are
//! replicated without an [`Origin`](crate::shard::Origin); what cannot be is given back with
//! [`command_failed`](Dispatcher::command_failed). A leader that may have lost its majority stops
//! calling `poll_delivery`.
//!
//! What it promises:
//!
//! - A message is held by one consumer at a time, and no consumer holds more than its prefetch.
//! - A queue's messages are handed out by priority, then in order of arrival, stored and volatile
//!   ones together. One that comes back (rejected, released, its consumer gone) stands where it
//!   stood, ahead of all that came after it.
//! - Consumers of a queue who have credit take turns.
//! - `redelivered` is set on whatever may have been delivered before: what has a count, and what
//!   was there when the leadership began, since the leader before may have delivered it.
//! - A message whose settlement is on its way through the log still counts as held. Credit comes
//!   back when the settlement is applied.
//! - A consumer that goes away gives its messages back at once; that their count rises goes through
//!   the log behind it.
//! - A topic subscriber gets what is sent while it is attached. Copies wait for it up to
//!   [`Limits`]; beyond, the oldest of the lowest priority is dropped and counted, or the message
//!   is refused where the topic's policy says so.
//!
//! - A queue's messages go to its consumers of the highest priority that have room; to one alone if
//!   that wants it; those of a group to one consumer as long as that is there
//!   ([decision 30](../../../docs/decisions/0030-what-is-anothers-is-set-aside-for-it.md)).
//! - A browser is shown what is in a queue and takes nothing away.
//! - A consumer with a selector gets what that selects, in the same order; what it does not select
//!   waits for others and holds nobody up ([decision 27](../../../docs/decisions/0027-a-selector-looks-at-a-queue-once.md)).
//!
//! Cost: O(log n) per message, whatever the backlog, with 16 bytes of it per waiting message;
//! attaching costs as much as there are queues that match, and beginning a leadership as much as
//! there are messages. A selector looks at each message once; to look at one whose content is in the
//! log only, that is read: [`poll_read`](Dispatcher::poll_read).

mod browse;
mod consumer;
mod expiry;
mod groups;
mod lane;
mod ready;
mod select;
mod settle;
mod slow;
mod turn;
mod types;
mod view;
mod volatile;

#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

pub use types::{
    AttachRefused, Browsed, ConsumerKey, Delivery, Limits, MessageKey, SettleRefused,
    VolatileCounters, VolatileId, VolatileRefused,
};

use paceline_reached::{Point, reached};

use self::{
    browse::Browsers,
    consumer::{Consumer, Seat},
    lane::{Lane, LaneId, LaneKind},
    ready::{Item, Position},
    select::{Found, LOOKED_AT_ONCE, Reader},
    settle::{Flight, Returns},
    slow::Missed,
    turn::Turn,
    volatile::Volatile,
};
use crate::{
    Destination, Message, Source, UnixMillis,
    bounds::Bounds,
    destination::DestinationKind,
    durable::is_durable,
    operation::Settlement,
    rules::Rules,
    selector::Selector,
    shard::{Content, Membership, MessageRef, QueueId, ShardState},
};

/// Hands a shard's messages to its consumers. See the module's head.
#[derive(Debug)]
pub struct Dispatcher {
    term: u64,
    limits: Limits,
    /// The log entry applied last when the leadership began.
    began_at: u64,
    /// The log entry taken in last.
    applied: u64,

    lanes: BTreeMap<LaneId, Lane>,
    next_lane: u64,
    /// The lanes of queues.
    names: BTreeMap<Arc<str>, LaneId>,
    /// Those of queues the state knows.
    queues: BTreeMap<QueueId, LaneId>,
    /// The lanes of topic subscribers, by the topic's name,
    topics: BTreeMap<Arc<str>, BTreeSet<LaneId>>,
    /// and of those who gave a pattern, or several.
    topic_patterns: BTreeMap<LaneId, Source>,
    /// Lanes that may have a message for a consumer with credit, in the order they are served.
    active: VecDeque<LaneId>,

    /// Contents that are awaited, and by whom.
    reading: BTreeMap<MessageRef, Vec<Reader>>,
    /// Those to be asked for.
    to_read: VecDeque<(MessageRef, MessageRef)>,
    /// How many messages selectors have looked at since deliveries were last polled.
    looked_at: usize,

    consumers: BTreeMap<ConsumerKey, Consumer>,
    browsers: Browsers,
    /// Consumers whose source holds a pattern of queues.
    queue_patterns: BTreeMap<ConsumerKey, Source>,
    /// Consumers who have credit again and were parked at some lane.
    hungry: VecDeque<ConsumerKey>,

    flights: BTreeMap<MessageKey, Flight>,
    /// Given back by dead consumers, as often as is not yet in the state's counts.
    returns: BTreeMap<MessageRef, Returns>,
    /// What the deaths of consumers settle.
    to_settle: VecDeque<(MessageRef, Settlement)>,

    /// When waiting messages end.
    expiry: BTreeSet<(UnixMillis, MessageKey)>,
    /// Their time is over, and the log does not say so yet.
    expiring: BTreeSet<MessageRef>,
    to_expire: VecDeque<MessageRef>,
    /// The latest time at which a message was found to have expired.
    expired_as_of: UnixMillis,

    /// By number.
    volatile: BTreeMap<u64, Volatile>,
    next_volatile: u64,
    volatile_bytes: usize,
    counters: VolatileCounters,
    missed: Missed,
}

impl Dispatcher {
    /// The dispatcher of a leadership that begins with `state`, in which every command of earlier
    /// terms has been applied.
    pub fn new(state: &ShardState, term: u64, limits: Limits) -> Self {
        let mut new = Self {
            term,
            limits,
            began_at: state.applied(),
            applied: state.applied(),
            lanes: BTreeMap::new(),
            next_lane: 0,
            names: BTreeMap::new(),
            queues: BTreeMap::new(),
            topics: BTreeMap::new(),
            topic_patterns: BTreeMap::new(),
            active: VecDeque::new(),
            reading: BTreeMap::new(),
            to_read: VecDeque::new(),
            looked_at: 0,
            consumers: BTreeMap::new(),
            browsers: Browsers::default(),
            queue_patterns: BTreeMap::new(),
            hungry: VecDeque::new(),
            flights: BTreeMap::new(),
            returns: BTreeMap::new(),
            to_settle: VecDeque::new(),
            expiry: BTreeSet::new(),
            expiring: BTreeSet::new(),
            to_expire: VecDeque::new(),
            expired_as_of: UnixMillis(0),
            volatile: BTreeMap::new(),
            next_volatile: 1,
            volatile_bytes: 0,
            counters: VolatileCounters::default(),
            missed: Missed::default(),
        };
        for (queue, name) in state.queue_names() {
            new.lane_of(queue, name);
        }
        // What a prepared transaction holds comes by itself if the transaction is aborted.
        for resident in state.residents().filter(|resident| !state.is_locked(resident.message)) {
            let lane = new.queues[&resident.queue];
            new.add_stored(lane, resident.message, resident.priority, resident.expires);
        }
        new
    }

    /// The next message for a consumer, which holds it from now on. `now` is wall-clock time:
    /// nothing is delivered after its expiry.
    ///
    /// # Panics
    /// If `state` has applied entries that [`Dispatcher::handle_applied`] was not told of.
    pub fn poll_delivery(&mut self, state: &ShardState, now: UnixMillis) -> Option<Delivery> {
        assert_eq!(self.applied, state.applied(), "entries were applied that were not taken in");
        self.looked_at = 0;
        if std::mem::take(&mut self.browsers.are_next)
            && let Some(delivery) = self.show(state, now)
        {
            return Some(delivery);
        }
        self.browsers.are_next = true;
        self.serve_lanes(state, now).or_else(|| self.show(state, now))
    }

    fn serve_lanes(&mut self, state: &ShardState, now: UnixMillis) -> Option<Delivery> {
        while self.looked_at < LOOKED_AT_ONCE {
            let fed = self.feed_one();
            let Some(id) = self.active.pop_front() else {
                if fed {
                    continue;
                }
                return None;
            };
            // A subscriber's lane goes away with it, and an unused queue's with the last consumer.
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            lane.active = false;
            if lane.has_views() {
                lane.sweep_all(|item| is_there(state, &self.volatile, item));
            }
            if let Some(delivery) = self.serve(state, now, id) {
                self.activate(id);
                return Some(delivery);
            }
        }
        None
    }

    /// Gives the lane's next message to whose turn it is. A lane with nothing to give, or nobody to
    /// give it to, is not served again until that changes.
    fn serve(&mut self, state: &ShardState, now: UnixMillis, id: LaneId) -> Option<Delivery> {
        loop {
            let lane = &self.lanes[&id];
            let (turn, key) = lane.next_consumer()?;
            let consumer = &self.consumers[&key];
            if consumer.credit() == 0 {
                self.park(key, id, turn);
                continue;
            }
            let selector = consumer.selector_at(lane).cloned();
            let found = match &selector {
                None => self.next_ready(state, now, id, key),
                Some(selector) => self.find(state, now, id, key, selector),
            };
            match found {
                Found::Message(standing, content) => {
                    let to = (turn, key);
                    return Some(self.hand_out(id, to, selector.as_ref(), &standing, content));
                }
                Found::Nothing => {}
                Found::Unfinished => {
                    self.activate(id);
                    return None;
                }
            }
        }
    }

    fn hand_out(
        &mut self,
        id: LaneId,
        (turn, key): (Turn, ConsumerKey),
        selector: Option<&Arc<Selector>>,
        standing: &Standing,
        content: Content,
    ) -> Delivery {
        let lane = self.lanes.get_mut(&id).expect("it is being served");
        lane.unseat(turn, selector);
        lane.in_flight += 1;
        let consumer = self.consumers.get_mut(&key).expect("it is in the rotation");
        let seat = Seat::Turn(lane.seat(key, consumer.priority, selector));
        consumer.seats.insert(id, seat);
        let Standing { key: message, priority, position, expires, redeliveries, .. } = *standing;
        let assigned =
            standing.member.map(|it| lane.deliver(it, (Reverse(priority), position), key));
        consumer.take(message);
        let (in_flight, credit) = (consumer.in_flight(), consumer.credit());
        let (assigned, first_of_group) = assigned.unzip();
        let (holder, settling, accepted) = (Some(key), false, false);
        let flight =
            Flight { lane: id, priority, position, expires, assigned, holder, settling, accepted };
        let twin = self.flights.insert(message, flight);
        assert!(twin.is_none(), "{message} is held by two consumers");
        self.forget_expiry(expires, message);
        Delivery {
            consumer: key,
            key: message,
            content,
            redelivered: standing.is_redelivered(),
            redelivery_count: redeliveries,
            in_flight,
            credit,
            first_of_group: first_of_group.unwrap_or(false),
            browsed: None,
        }
    }

    /// Takes the first message that may be delivered to a consumer without a selector, passing over
    /// those that are gone or that somebody holds.
    fn next_ready(
        &mut self,
        state: &ShardState,
        now: UnixMillis,
        id: LaneId,
        key: ConsumerKey,
    ) -> Found {
        while self.looked_at < LOOKED_AT_ONCE {
            let volatile = &self.volatile;
            let place = |number| volatile.get(&number).map(|entry| entry.position(number));
            let lane = self.lanes.get_mut(&id).expect("it is being served");
            let aside =
                if lane.has_groups() { lane.pop_aside(key, lane.first(place)) } else { None };
            let Some(position) = aside.map(|(_, position)| position).or_else(|| lane.pop(place))
            else {
                return Found::Nothing;
            };
            let Some(standing) = self.standing(state, position) else { continue };
            if !self.may_go(state, now, &standing) {
                continue;
            }
            if self.is_anothers(id, key, None, &standing) {
                self.looked_at += 1;
                continue;
            }
            let content = standing.content(state);
            return Found::Message(standing, content);
        }
        Found::Unfinished
    }

    /// Whether nobody has a message that was taken off a lane, and its time is not over.
    fn may_go(&mut self, state: &ShardState, now: UnixMillis, standing: &Standing) -> bool {
        if !self.is_free(state, standing.key) {
            return false;
        }
        let is_over = standing.expires.is_some_and(|at| at <= now);
        if is_over {
            self.expire(standing, now);
        }
        !is_over
    }

    /// Whether a message that a consumer could be given belongs to a group that is with another one,
    /// for which it is set aside then.
    fn is_anothers(
        &mut self,
        id: LaneId,
        key: ConsumerKey,
        selector: Option<&Arc<Selector>>,
        standing: &Standing,
    ) -> bool {
        let Some(member) = standing.member else { return false };
        let lane = self.lanes.get_mut(&id).expect("it is being served");
        let owner = lane.owner_of(member.group()).filter(|owner| *owner != key);
        let Some(owner) = owner else { return false };
        reached(Point::SetAside);
        let theirs =
            self.consumers[&owner].selector_at(lane).map(|selector| selector.text().clone());
        let place = (Reverse(standing.priority), standing.position);
        let selected = selector.map(|selector| &**selector.text());
        lane.set_aside(member.group(), place, theirs.as_deref(), selected);
        true
    }

    /// What a message is that stands there; `None` if it is gone.
    fn standing(&self, state: &ShardState, position: Position) -> Option<Standing> {
        Some(match position.item() {
            Item::Stored { index, offset } => {
                let message = MessageRef { index, offset };
                let stored = state.lookup(message)?;
                let pending = self.returns.get(&message).map_or(0, Returns::total);
                Standing {
                    key: MessageKey::Stored(message),
                    position,
                    priority: stored.priority,
                    expires: stored.expires(),
                    redeliveries: stored.redeliveries() + pending,
                    seen: index <= self.began_at,
                    volatile: None,
                    member: state.member(message),
                }
            }
            Item::Volatile { number } => {
                let entry = self.volatile.get(&number)?;
                Standing {
                    key: self.volatile_key(number),
                    position,
                    priority: entry.priority(),
                    expires: entry.message.expires,
                    redeliveries: entry.redeliveries(),
                    seen: false,
                    volatile: Some(entry.message.clone()),
                    member: entry.member,
                }
            }
        })
    }

    /// Whether nobody has a message that is there, and nothing is being done with it.
    fn is_free(&self, state: &ShardState, key: MessageKey) -> bool {
        let is_taken = match key {
            MessageKey::Stored(message) => {
                self.expiring.contains(&message) || state.is_locked(message)
            }
            MessageKey::Volatile(_) => false,
        };
        !is_taken && !self.flights.contains_key(&key)
    }

    /// The lane of the queue called `name`.
    fn lane_named(&mut self, name: &Arc<str>) -> LaneId {
        if let Some(lane) = self.names.get(name) {
            return *lane;
        }
        let id = self.add_lane(Lane::new(LaneKind::Queue(None), name.clone()));
        self.names.insert(name.clone(), id);
        let patterns = self.queue_patterns.iter();
        let matching: Vec<_> = patterns
            .filter(|(_, pattern)| matches_queue(pattern, name))
            .map(|(key, _)| *key)
            .collect();
        for key in matching {
            self.seat(key, id);
        }
        id
    }

    /// The lane of a queue that the state knows.
    fn lane_of(&mut self, queue: QueueId, name: &Arc<str>) -> LaneId {
        if let Some(lane) = self.queues.get(&queue) {
            return *lane;
        }
        let id = self.lane_named(name);
        self.lanes.get_mut(&id).expect("just named").kind = LaneKind::Queue(Some(queue));
        self.queues.insert(queue, id);
        id
    }

    fn add_lane(&mut self, lane: Lane) -> LaneId {
        let id = LaneId(self.next_lane);
        self.next_lane += 1;
        self.lanes.insert(id, lane);
        id
    }

    /// The lane has a message, or somebody to give one to: have it served, if it has the latter.
    fn activate(&mut self, id: LaneId) {
        let lane = self.lanes.get_mut(&id).expect("the lane exists");
        if !lane.active && lane.next_consumer().is_some() {
            lane.active = true;
            self.active.push_back(id);
        }
    }

    /// Forgets the lane of a queue that has nothing and nobody, and that the state does not know.
    fn drop_if_idle(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get(&id) else { return };
        if lane.kind == LaneKind::Queue(None) && lane.is_idle() {
            self.names.remove(&lane.name);
            self.lanes.remove(&id);
        }
    }

    /// The term it was made for.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// How many messages the consumer holds; `None` if it is not attached, or a browser.
    pub fn in_flight(&self, key: ConsumerKey) -> Option<u32> {
        self.consumers.get(&key).map(Consumer::in_flight)
    }

    /// The consumers attached, and what each consumes from.
    pub fn consumers(&self) -> impl Iterator<Item = (ConsumerKey, &Source)> {
        self.consumers.iter().map(|(key, consumer)| (*key, &consumer.source))
    }

    /// Whether a queue has a consumer.
    pub fn is_consumed(&self, queue: &str) -> bool {
        self.names.get(queue).is_some_and(|id| self.lanes[id].seats > 0)
    }

    /// Queues that hold volatile messages, and how many.
    pub fn volatile_depths(&self) -> impl Iterator<Item = (&Arc<str>, usize)> {
        let lanes = self.names.iter().map(|(name, id)| (name, self.lanes[id].volatile));
        lanes.filter(|(_, depth)| *depth > 0)
    }

    /// About how many bytes the volatile messages take.
    pub fn volatile_bytes(&self) -> usize {
        self.volatile_bytes
    }

    /// From now on volatile messages may take so many bytes. What is there stays.
    pub fn limit_volatile(&mut self, bytes: usize) {
        self.limits.volatile_bytes = bytes;
    }

    /// From now on these are the policies. What is there stays.
    pub fn set_policies(&mut self, bounds: Arc<Bounds>, rules: Arc<Rules>) {
        (self.limits.bounds, self.limits.rules) = (bounds, rules);
    }

    /// What became of volatile messages under this leadership.
    pub fn volatile_counters(&self) -> VolatileCounters {
        self.counters
    }
}

/// A message of a lane, and what its next delivery would say.
#[derive(Debug)]
struct Standing {
    key: MessageKey,
    position: Position,
    priority: u8,
    expires: Option<UnixMillis>,
    redeliveries: u32,
    /// Whether it was there when the leadership began.
    seen: bool,
    /// It, if it is not stored.
    volatile: Option<Arc<Message>>,
    /// The group that it belongs to.
    member: Option<Membership>,
}

impl Standing {
    fn is_redelivered(&self) -> bool {
        self.seen || self.redeliveries > 0
    }

    fn content(&self, state: &ShardState) -> Content {
        match (&self.volatile, self.key) {
            (Some(message), _) => Content::Here(message.clone()),
            (None, MessageKey::Stored(message)) => {
                state.content(message).expect("what stands there is there")
            }
            (None, MessageKey::Volatile(_)) => unreachable!("a volatile message is in memory"),
        }
    }
}

/// Whether a message of a lane has not gone.
fn is_there(state: &ShardState, volatile: &BTreeMap<u64, Volatile>, item: Item) -> bool {
    match item {
        Item::Stored { index, offset } => state.contains(MessageRef { index, offset }),
        Item::Volatile { number } => volatile.contains_key(&number),
    }
}

/// Whether the patterns of a queue consumer cover the queue called `name`.
fn matches_queue(pattern: &Source, name: &Arc<str>) -> bool {
    !is_durable(name)
        && pattern.matches(&Destination { kind: DestinationKind::Queue, name: name.clone() })
}
