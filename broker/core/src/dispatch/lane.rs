//! One line of waiting messages and the consumers who take turns at it.
//!
//! A queue has one lane. A topic has one per subscriber, since each gets its own copies.
//!
//! Messages wait in order of priority, then of arrival. Consumers with a selector take them from the
//! middle: each selector has its [`View`] of the lane, which knows how far it has looked. What belongs to
//! a group that is another consumer's is set aside for that one: see [`Groups`].
//!
//! If one consumer wants all messages for itself, the others have no turn.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use super::{
    groups::{Assigned, Groups},
    ready::{Item, Place, Position, Ready},
    turn::Turn,
    types::ConsumerKey,
    view::View,
};
use crate::{
    selector::Selector,
    shard::{GroupId, Membership, QueueId},
};

/// A lane of one dispatcher; numbers are not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LaneId(pub(super) u64);

/// Whose messages wait here.
#[derive(Debug, PartialEq)]
pub(super) enum LaneKind {
    /// A queue's; without a number as long as the replicated state does not know it.
    Queue(Option<QueueId>),
    /// A topic subscriber's. Only what its selector selects gets here.
    Subscriber(Option<Arc<Selector>>),
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) kind: LaneKind,
    /// The queue's name, or the subscriber's topic, or what else it is subscribed to.
    pub(super) name: Arc<str>,
    ready: BTreeMap<Reverse<u8>, Ready>,
    /// By selector, as long as it has consumers: what those have seen, and they themselves.
    views: BTreeMap<Arc<str>, View>,
    /// Consumers without a selector that may be served, by turn. Those found without credit are not here but parked.
    rotation: BTreeMap<Turn, ConsumerKey>,
    next_turn: u64,
    /// Consumers that want all messages for themselves, by priority and then by when they came.
    exclusive: BTreeMap<(Reverse<i8>, u64), ConsumerKey>,
    /// Once a message of a group was met.
    groups: Option<Box<Groups>>,
    /// Whether the dispatcher has it on its list of lanes to be served.
    pub(super) active: bool,
    /// Consumers attached, parked ones included.
    pub(super) seats: usize,
    /// Messages that a consumer holds or held while its settlement is under way.
    pub(super) in_flight: usize,
    /// Volatile messages, in flight or not, and about how many bytes they take.
    pub(super) volatile: usize,
    pub(super) volatile_bytes: usize,
}

impl Lane {
    pub(super) fn new(kind: LaneKind, name: Arc<str>) -> Self {
        Self {
            kind,
            name,
            ready: BTreeMap::new(),
            views: BTreeMap::new(),
            rotation: BTreeMap::new(),
            next_turn: 0,
            exclusive: BTreeMap::new(),
            groups: None,
            active: false,
            seats: 0,
            in_flight: 0,
            volatile: 0,
            volatile_bytes: 0,
        }
    }

    pub(super) fn is_subscriber(&self) -> bool {
        matches!(self.kind, LaneKind::Subscriber(_))
    }

    /// Adds a message that comes after all others of its priority.
    pub(super) fn push(&mut self, priority: u8, item: Item) {
        self.ready.entry(Reverse(priority)).or_default().push(item);
        self.views.values_mut().for_each(View::look_again);
    }

    /// Puts a message back where it stood.
    pub(super) fn put_back(&mut self, priority: u8, position: Position) {
        self.ready.entry(Reverse(priority)).or_default().put_back(position);
        self.views.values_mut().for_each(|view| view.put_back(priority, position));
    }

    /// Takes the next message. `place` says where a volatile message stands, `None` if it is gone.
    pub(super) fn pop(&mut self, place: impl Fn(u64) -> Option<Position>) -> Option<Position> {
        loop {
            let mut entry = self.ready.first_entry()?;
            match entry.get_mut().pop(&place) {
                Some(position) => return Some(position),
                None => {
                    let Reverse(priority) = *entry.key();
                    entry.remove();
                    self.views.values_mut().for_each(|view| view.forget(priority));
                }
            }
        }
    }

    /// Takes the oldest message of the lowest priority.
    pub(super) fn pop_least(
        &mut self,
        place: impl Fn(u64) -> Option<Position>,
    ) -> Option<Position> {
        loop {
            let mut entry = self.ready.last_entry()?;
            match entry.get_mut().pop(&place) {
                Some(position) => return Some(position),
                None => drop(entry.remove()),
            }
        }
    }

    /// Whether a message waits, or one that has gone since.
    pub(super) fn has_ready(&self) -> bool {
        self.has_line() || self.groups.as_ref().is_some_and(|groups| groups.have_waiting())
    }

    /// Whether one of them was not set aside.
    fn has_line(&self) -> bool {
        self.ready.values().any(|ready| !ready.is_empty())
    }

    /// Where the next message stands. `place` is as for [`Self::pop`].
    pub(super) fn first(&self, place: impl Fn(u64) -> Option<Position>) -> Option<Place> {
        let mut ready = self.ready.iter();
        ready.find_map(|(priority, ready)| Some((*priority, ready.first(&place)?)))
    }

    /// A waiting message is gone. Sweeps when such ones may be the greater part.
    pub(super) fn note_gone(
        &mut self,
        priority: u8,
        position: Position,
        is_there: impl Fn(Item) -> bool,
    ) {
        self.count_gone(priority, position);
        self.sweep(priority, is_there);
    }

    /// A waiting message is gone. To be swept when it is known what else is.
    pub(super) fn count_gone(&mut self, priority: u8, position: Position) {
        self.views.values_mut().for_each(|view| view.note_gone(priority, position));
        if let Some(ready) = self.ready.get_mut(&Reverse(priority)) {
            ready.count_gone(position);
        }
    }

    /// Sweeps those of all priorities of which the greater part may be gone.
    pub(super) fn sweep_all(&mut self, is_there: impl Fn(Item) -> bool) {
        let priorities: Vec<u8> = self.ready.keys().map(|priority| priority.0).collect();
        priorities.into_iter().for_each(|priority| self.sweep(priority, &is_there));
    }

    fn sweep(&mut self, priority: u8, is_there: impl Fn(Item) -> bool) {
        let views = &mut self.views;
        let Some(ready) = self.ready.get_mut(&Reverse(priority)) else { return };
        ready.sweep(is_there, views.values_mut().filter_map(|view| view.cursor(priority)));
        if ready.is_empty() {
            self.ready.remove(&Reverse(priority));
            views.values_mut().for_each(|view| view.forget(priority));
        }
    }

    /// A consumer comes, and has no turn yet.
    pub(super) fn join(&mut self, selector: Option<&Arc<Selector>>) {
        self.seats += 1;
        let Some(selector) = selector else { return };
        let view = self.views.entry(selector.text().clone()).or_insert_with(|| {
            let returned =
                self.ready.iter().map(|(priority, ready)| (priority.0, ready.returned()));
            View::new(returned)
        });
        view.seats += 1;
    }

    /// A consumer goes that has no turn.
    pub(super) fn leave(&mut self, selector: Option<&Arc<Selector>>) {
        self.seats -= 1;
        if self.seats == 0 {
            self.groups = None;
        }
        let Some(selector) = selector else { return };
        let view = self.views.get_mut(selector.text()).expect("it has joined");
        view.seats -= 1;
        if view.seats == 0 {
            self.views.remove(selector.text());
        }
    }

    /// Gives a consumer the last turn among those of its priority; returns which.
    pub(super) fn seat(
        &mut self,
        consumer: ConsumerKey,
        priority: i8,
        selector: Option<&Arc<Selector>>,
    ) -> Turn {
        let is_owner = self.owner() == Some(consumer);
        let turn = match is_owner {
            true => Turn::exclusive(self.next_turn),
            false => Turn::new(priority, self.next_turn),
        };
        self.next_turn += 1;
        self.rotation(selector).insert(turn, consumer);
        if let Some(groups) = &mut self.groups {
            groups.seated(consumer, turn, selector.map(|selector| selector.text().clone()));
        }
        turn
    }

    /// Takes a consumer's turn away.
    pub(super) fn unseat(&mut self, turn: Turn, selector: Option<&Arc<Selector>>) {
        let consumer = self.rotation(selector).remove(&turn);
        let consumer = consumer.expect("whoever has a turn is in the rotation");
        if let Some(groups) = &mut self.groups {
            groups.unseated(consumer);
        }
    }

    fn rotation(&mut self, selector: Option<&Arc<Selector>>) -> &mut BTreeMap<Turn, ConsumerKey> {
        match selector {
            None => &mut self.rotation,
            Some(selector) => {
                &mut self.views.get_mut(selector.text()).expect("it has joined").rotation
            }
        }
    }

    /// Whose turn it is, and which. Passed over are those for whom there is nothing more to see, and
    /// all but the one that wants all for itself.
    pub(super) fn next_consumer(&self) -> Option<(Turn, ConsumerKey)> {
        let first = |rotation: &BTreeMap<Turn, ConsumerKey>| {
            rotation.first_key_value().map(|(turn, consumer)| (*turn, *consumer))
        };
        let looking = self.views.values().filter(|view| view.is_looking());
        let turns = looking.filter_map(|view| first(&view.rotation));
        let plain = if self.has_line() { first(&self.rotation) } else { None };
        let waits = |selector: &str| self.views.get(selector).is_some_and(View::is_waiting);
        let aside = self.groups.as_ref().and_then(|groups| groups.next(waits));
        let next = turns.chain(plain).chain(aside).min()?;
        self.owner().is_none_or(|owner| owner == next.1).then_some(next)
    }

    // ---- exclusive consumers --------------------------------------------------------------------

    /// The consumer that has the lane for itself.
    pub(super) fn owner(&self) -> Option<ConsumerKey> {
        self.exclusive.first_key_value().map(|(_, consumer)| *consumer)
    }

    /// A consumer wants the lane for itself.
    pub(super) fn claim(&mut self, consumer: ConsumerKey, priority: i8) {
        self.exclusive.insert((Reverse(priority), self.next_turn), consumer);
        self.next_turn += 1;
    }

    /// A consumer that may have wanted the lane for itself goes.
    pub(super) fn yield_claim(&mut self, consumer: ConsumerKey) {
        self.exclusive.retain(|_, known| *known != consumer);
    }

    // ---- groups ---------------------------------------------------------------------------------

    /// Whether a message of a group was met.
    pub(super) fn has_groups(&self) -> bool {
        self.groups.is_some()
    }

    /// The consumer that a group is with.
    pub(super) fn owner_of(&self, group: GroupId) -> Option<ConsumerKey> {
        self.groups.as_ref()?.owner(group)
    }

    fn groups(&mut self) -> &mut Groups {
        let Self { groups, rotation, views, .. } = self;
        groups.get_or_insert_with(|| {
            let mut groups = Groups::default();
            for (turn, consumer) in rotation {
                groups.seated(*consumer, *turn, None);
            }
            for (selector, view) in views {
                for (turn, consumer) in &view.rotation {
                    groups.seated(*consumer, *turn, Some(selector.clone()));
                }
            }
            groups.into()
        })
    }

    /// A message of a group is delivered to a consumer. Whether it is the first for that one.
    pub(super) fn deliver(
        &mut self,
        member: Membership,
        place: Place,
        consumer: ConsumerKey,
    ) -> (Assigned, bool) {
        self.groups().deliver(member, place, consumer)
    }

    /// A delivery of a message of a group has ended.
    pub(super) fn landed(&mut self, assigned: Assigned) {
        if let Some(groups) = &mut self.groups {
            groups.landed(assigned);
        }
    }

    /// Sets a message aside for the consumer of its group, which selects by `selector`. `selected` is
    /// the selector of the consumer that met it and may not have it.
    pub(super) fn set_aside(
        &mut self,
        group: GroupId,
        (Reverse(priority), position): Place,
        selector: Option<&str>,
        selected: Option<&str>,
    ) {
        let is_selected = selector.is_none() || selector == selected;
        let is_new = self.groups().set_aside(group, (Reverse(priority), position), is_selected);
        if let Some(selector) = selector.filter(|_| is_new && !is_selected)
            && let Some(view) = self.views.get_mut(selector)
        {
            view.put_back(priority, position);
        }
    }

    /// What was set aside for a consumer and stands before all that it would meet next in line, which
    /// is `next`.
    pub(super) fn pop_aside(
        &mut self,
        consumer: ConsumerKey,
        next: Option<Place>,
    ) -> Option<Place> {
        let groups = self.groups.as_mut()?;
        let first = groups.first(consumer).filter(|first| next.is_none_or(|next| *first < next))?;
        groups.pop(consumer);
        Some(first)
    }

    /// A message of a group is gone.
    pub(super) fn forget_aside(&mut self, group: GroupId, place: Place) {
        if let Some(groups) = &mut self.groups {
            groups.forget(group, place);
        }
    }

    /// The groups of a consumer are nobody's, and what was set aside for it stands in line again.
    pub(super) fn release_groups(&mut self, consumer: ConsumerKey) {
        let Some(groups) = &mut self.groups else { return };
        for (Reverse(priority), position) in groups.release(consumer) {
            self.put_back(priority, position);
        }
    }

    /// As [`Self::release_groups`] of all consumers.
    pub(super) fn release_all_groups(&mut self) {
        let owners = self.groups.as_ref().map(|groups| groups.owners());
        owners.into_iter().flatten().for_each(|owner| self.release_groups(owner));
    }

    /// The view of a selector that has consumers, and the waiting messages, by priority.
    pub(super) fn view(
        &mut self,
        selector: &str,
    ) -> Option<(&mut View, &BTreeMap<Reverse<u8>, Ready>)> {
        Some((self.views.get_mut(selector)?, &self.ready))
    }

    /// A consumer with a selector has taken a message.
    pub(super) fn take(&mut self, priority: u8, position: Position) {
        if let Some(ready) = self.ready.get_mut(&Reverse(priority)) {
            ready.take(position);
        }
    }

    /// How many messages stand in deques, gone or not.
    #[cfg(test)]
    pub(super) fn fresh(&self) -> usize {
        self.ready.values().map(Ready::fresh).sum()
    }

    /// Whether there are consumers with a selector.
    pub(super) fn has_views(&self) -> bool {
        !self.views.is_empty()
    }

    /// Whether nothing would be lost with it.
    pub(super) fn is_idle(&self) -> bool {
        self.seats == 0 && self.in_flight == 0 && self.volatile == 0 && !self.has_ready()
    }
}
