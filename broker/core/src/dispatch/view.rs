//! What the consumers with one selector have seen of a lane.
//!
//! A view looks at a lane's messages in their order, from its cursor on, whenever one of its consumers
//! has credit, and stops at the first that its selector selects, which that consumer is given. So every
//! message is looked at once for each selector, whatever the backlog, and costs nothing where nobody
//! looks; what came back after it was looked at is looked at again. A view that has seen all is
//! passed over until something comes.
//!
//! To look at a message takes its content. Where that is in the log only, the view waits until it is
//! read, with those behind it, a few of which are read ahead.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    ready::{Item, Place, Position, Ready},
    turn::Turn,
    types::ConsumerKey,
};
use crate::{Message, shard::MessageRef};

/// Contents that one view has read at a time.
pub(super) const READ_AHEAD: usize = 32;

/// How far a view has looked among the messages of one priority.
#[derive(Debug, Default)]
struct Scan {
    /// The number of the first fresh one that it has not looked at.
    next: u64,
    /// Came back since.
    again: BTreeSet<Position>,
}

/// The content of a message that is in the log only.
#[derive(Debug)]
pub(super) enum Body {
    Asked,
    Read(Arc<Message>),
    /// It could not be read. Nobody with a selector gets it.
    Lost,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct View {
    /// Consumers that may be served, by turn.
    pub(super) rotation: BTreeMap<Turn, ConsumerKey>,
    /// Consumers, parked ones included.
    pub(super) seats: usize,
    scans: BTreeMap<Reverse<u8>, Scan>,
    pub(super) bodies: BTreeMap<MessageRef, Body>,
    pub(super) state: Looking,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looking {
    /// There may be more to see.
    On,
    /// It has seen all that waits.
    AtTheEnd,
    /// It waits for a content.
    ForContent,
}

/// What a view sees next.
pub(super) struct Next {
    priority: u8,
    pub(super) position: Position,
    /// Its number, if it is fresh.
    fresh: Option<u64>,
}

impl Next {
    pub(super) fn place(&self) -> Place {
        (Reverse(self.priority), self.position)
    }
}

impl View {
    /// Of a lane at which these wait that came back.
    pub(super) fn new<'a>(returned: impl Iterator<Item = (u8, &'a BTreeSet<Position>)>) -> Self {
        let scan = |(priority, returned): (u8, &BTreeSet<Position>)| {
            (Reverse(priority), Scan { next: 0, again: returned.clone() })
        };
        Self {
            rotation: BTreeMap::new(),
            seats: 0,
            scans: returned.map(scan).collect(),
            bodies: BTreeMap::new(),
            state: Looking::On,
        }
    }

    /// Whether there may be more to see.
    pub(super) fn is_looking(&self) -> bool {
        self.state == Looking::On
    }

    /// Whether it waits for a content.
    pub(super) fn is_waiting(&self) -> bool {
        self.state == Looking::ForContent
    }

    /// Something came. It may stand before the one whose content is waited for.
    pub(super) fn look_again(&mut self) {
        self.state = Looking::On;
    }

    /// One of its consumers has no credit. If that is so of all of them, contents are let go.
    pub(super) fn rest(&mut self) {
        if self.rotation.is_empty() {
            self.bodies.retain(|_, body| matches!(body, Body::Asked));
        }
    }

    /// A message came back.
    pub(super) fn put_back(&mut self, priority: u8, position: Position) {
        self.scans.entry(Reverse(priority)).or_default().again.insert(position);
        self.look_again();
    }

    /// A message is gone.
    pub(super) fn note_gone(&mut self, priority: u8, position: Position) {
        if let Some(scan) = self.scans.get_mut(&Reverse(priority)) {
            scan.again.remove(&position);
        }
        self.forget_body(position);
    }

    /// No message of that priority waits in line.
    pub(super) fn forget(&mut self, priority: u8) {
        if let Some(scan) = self.scans.get_mut(&Reverse(priority)) {
            scan.next = 0;
        }
        self.scans.retain(|_, scan| scan.next > 0 || !scan.again.is_empty());
    }

    /// The number from which on it has not looked.
    pub(super) fn cursor(&mut self, priority: u8) -> Option<&mut u64> {
        self.scans.get_mut(&Reverse(priority)).map(|scan| &mut scan.next)
    }

    fn forget_body(&mut self, position: Position) {
        if let Item::Stored { index, offset } = position.item()
            && !self.bodies.is_empty()
            && self.bodies.remove(&MessageRef { index, offset }).is_some()
            && self.state == Looking::ForContent
        {
            // It may be the one that was waited for.
            self.state = Looking::On;
        }
    }

    /// The first message that it has not looked at.
    pub(super) fn next(
        &mut self,
        ready: &BTreeMap<Reverse<u8>, Ready>,
        place: impl Fn(u64) -> Option<Position>,
    ) -> Option<Next> {
        // Of what is off the line since it belongs to a group.
        let aside = self.scans.iter().find_map(|(priority, scan)| {
            let first = scan.again.first().filter(|_| !ready.contains_key(priority))?;
            Some(Next { priority: priority.0, position: *first, fresh: None })
        });
        let in_line = ready.iter().find_map(|(priority, ready)| {
            let scan = self.scans.entry(*priority).or_default();
            let fresh = ready.fresh_from(scan.next, &place);
            let again = scan.again.first().copied();
            let is_again = match (again, fresh) {
                (Some(again), Some((_, fresh))) => again <= fresh,
                (again, _) => again.is_some(),
            };
            let (position, fresh) = match (again, fresh) {
                (Some(again), _) if is_again => (again, None),
                (_, fresh) => fresh.map(|(number, position)| (position, Some(number)))?,
            };
            Some(Next { priority: priority.0, position, fresh })
        });
        aside.into_iter().chain(in_line).min_by_key(Next::place)
    }

    /// It has looked at that one.
    pub(super) fn pass(&mut self, next: &Next) {
        let scan = self.scans.entry(Reverse(next.priority)).or_default();
        match next.fresh {
            Some(number) => scan.next = number + 1,
            None => drop(scan.again.remove(&next.position)),
        }
        self.forget_body(next.position);
    }

    /// Stored messages that it will look at soon, that one first.
    pub(super) fn ahead(
        &self,
        next: &Next,
        ready: &BTreeMap<Reverse<u8>, Ready>,
    ) -> Vec<MessageRef> {
        let priority = Reverse(next.priority);
        let (scan, ready) = (&self.scans[&priority], ready.get(&priority));
        let again = scan.again.iter().take(READ_AHEAD).map(|position| position.item());
        let all = [next.position.item()].into_iter().chain(again);
        let all = all
            .chain(ready.into_iter().flat_map(|it| it.fresh_items(scan.next)).take(2 * READ_AHEAD));
        let stored = all.filter_map(|item| match item {
            Item::Stored { index, offset } => Some(MessageRef { index, offset }),
            Item::Volatile { .. } => None,
        });
        stored.collect()
    }
}
