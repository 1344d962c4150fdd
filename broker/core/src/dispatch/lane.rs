//! One line of waiting messages and the consumers who take turns at it.
//!
//! A queue has one lane. A topic has one per subscriber, since each gets its own copies.
//!
//! Messages wait in order of priority, then of arrival. Consumers with a selector take them from the
//! middle: each selector has its [`View`] of the lane, which knows how far it has looked.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use super::{
    ready::{Item, Position, Ready},
    types::ConsumerKey,
    view::View,
};
use crate::{selector::Selector, shard::QueueId};

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
    /// The queue's name, or the subscriber's topic or pattern.
    pub(super) name: Arc<str>,
    ready: BTreeMap<Reverse<u8>, Ready>,
    /// By selector, as long as it has consumers: what those have seen, and they themselves.
    views: BTreeMap<Arc<str>, View>,
    /// Consumers without a selector that may be served, by turn. Those found without credit are not here but parked.
    rotation: BTreeMap<u64, ConsumerKey>,
    next_turn: u64,
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
        self.ready.values().any(|ready| !ready.is_empty())
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
        let Some(selector) = selector else { return };
        let view = self.views.get_mut(selector.text()).expect("it has joined");
        view.seats -= 1;
        if view.seats == 0 {
            self.views.remove(selector.text());
        }
    }

    /// Gives a consumer the last turn; returns its number.
    pub(super) fn seat(&mut self, consumer: ConsumerKey, selector: Option<&Arc<Selector>>) -> u64 {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.rotation(selector).insert(turn, consumer);
        turn
    }

    /// Takes a consumer's turn away.
    pub(super) fn unseat(&mut self, turn: u64, selector: Option<&Arc<Selector>>) {
        let was_there = self.rotation(selector).remove(&turn).is_some();
        assert!(was_there, "whoever has a turn is in the rotation");
    }

    fn rotation(&mut self, selector: Option<&Arc<Selector>>) -> &mut BTreeMap<u64, ConsumerKey> {
        match selector {
            None => &mut self.rotation,
            Some(selector) => {
                &mut self.views.get_mut(selector.text()).expect("it has joined").rotation
            }
        }
    }

    /// Whose turn it is, and its number. Passed over are those whose view has nothing more to see.
    pub(super) fn next_consumer(&self) -> Option<(u64, ConsumerKey)> {
        let first = |rotation: &BTreeMap<u64, ConsumerKey>| {
            rotation.first_key_value().map(|(turn, consumer)| (*turn, *consumer))
        };
        let looking = self.views.values().filter(|view| view.is_looking());
        let turns = looking.filter_map(|view| first(&view.rotation));
        turns.chain(first(&self.rotation)).min()
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
