//! Message groups of one lane: which consumer each is with, and what waits for just that one.
//!
//! A group is assigned to the consumer that is given its first message, which from then on gets all
//! that belong to it, until it goes or a message closes the group. Whoever else meets such a message,
//! at its turn, has it *set aside*: taken off the line, for the group's consumer to take at its own
//! turn. So each message is met once by somebody who may not have it, and holds nobody up.
//!
//! A consumer with a selector may not want what belongs to its group. What others set aside for it
//! that its selector has not selected, it has to look at first; what it does not select waits until
//! the group is another's.
//!
//! A message that closes its group frees it when it is delivered. What was set aside of the group by
//! then goes to the same consumer all the same, as what came behind the end may.
//!
//! Groups of which nothing is underway or set aside are remembered up to a number, those that had
//! messages last.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{ready::Place, turn::Turn, types::ConsumerKey};
use crate::shard::{GroupId, Membership};

/// Groups of a lane that are remembered though nothing of them is underway.
const IDLE_GROUPS: usize = 1024;

/// One life of a group: from its assignment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Assigned {
    group: GroupId,
    era: u64,
}

#[derive(Debug)]
struct Group {
    owner: ConsumerKey,
    /// When it was assigned, as a count of assignments.
    era: u64,
    /// Whether it was closed, so that its next message is the first again.
    closed: bool,
    in_flight: u32,
    /// Messages that are set aside.
    aside: u32,
    /// Since when nothing is underway, as a count.
    idle_since: u64,
}

/// What is set aside for one consumer.
#[derive(Debug, Default)]
struct Line {
    /// To be taken.
    selected: BTreeMap<Place, GroupId>,
    /// Its selector has not selected these.
    others: BTreeMap<Place, GroupId>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<GroupId, Group>,
    lines: BTreeMap<ConsumerKey, Line>,
    /// Consumers that may be served: when, and by which selector.
    turns: BTreeMap<ConsumerKey, (Turn, Option<Arc<str>>)>,
    /// Those of them for which something was set aside.
    eager: BTreeMap<Turn, (ConsumerKey, Option<Arc<str>>)>,
    /// Groups of which nothing is underway, by since when.
    idle: BTreeSet<(u64, GroupId)>,
    /// Counts assignments, and the times at which groups fell idle.
    count: u64,
}

impl Groups {
    // ---- turns ----------------------------------------------------------------------------------

    /// A consumer has a turn.
    pub(super) fn seated(&mut self, key: ConsumerKey, turn: Turn, selector: Option<Arc<str>>) {
        if self.first(key).is_some() {
            self.eager.insert(turn, (key, selector.clone()));
        }
        self.turns.insert(key, (turn, selector));
    }

    /// A consumer has none any more.
    pub(super) fn unseated(&mut self, key: ConsumerKey) {
        if let Some((turn, _)) = self.turns.remove(&key) {
            self.eager.remove(&turn);
        }
    }

    /// The first consumer for which something was set aside, unless its selector `waits`.
    pub(super) fn next(&self, waits: impl Fn(&str) -> bool) -> Option<(Turn, ConsumerKey)> {
        let mut eager = self.eager.iter();
        let next = eager.find(|(_, (_, selector))| !selector.as_deref().is_some_and(&waits));
        next.map(|(turn, (key, _))| (*turn, *key))
    }

    // ---- messages -------------------------------------------------------------------------------

    /// The consumer that a group is with.
    pub(super) fn owner(&self, group: GroupId) -> Option<ConsumerKey> {
        self.groups.get(&group).map(|group| group.owner)
    }

    /// Sets a message aside for the consumer of its group, which has selected it or has not. Whether
    /// it was not set aside before.
    pub(super) fn set_aside(&mut self, group: GroupId, place: Place, is_selected: bool) -> bool {
        let known = self.groups.get_mut(&group).expect("it is with a consumer");
        let owner = known.owner;
        let line = self.lines.entry(owner).or_default();
        let was_other = line.others.contains_key(&place);
        if line.selected.contains_key(&place) || was_other && !is_selected {
            return false;
        }
        if !was_other {
            if known.aside == 0 && known.in_flight == 0 {
                self.idle.remove(&(known.idle_since, group));
            }
            known.aside += 1;
        }
        if !is_selected {
            line.others.insert(place, group);
            return true;
        }
        line.others.remove(&place);
        line.selected.insert(place, group);
        if let Some((turn, selector)) = self.turns.get(&owner) {
            self.eager.insert(*turn, (owner, selector.clone()));
        }
        true
    }

    /// The first message that was set aside for a consumer to take.
    pub(super) fn first(&self, key: ConsumerKey) -> Option<Place> {
        let (place, _) = self.lines.get(&key)?.selected.first_key_value()?;
        Some(*place)
    }

    /// Takes the first message that was set aside for a consumer.
    pub(super) fn pop(&mut self, key: ConsumerKey) {
        let first = self.lines.get(&key).and_then(|line| line.selected.first_key_value());
        let first = first.map(|(place, group)| (*place, *group));
        if let Some((place, group)) = first {
            self.forget(group, place);
        }
    }

    /// A message is no longer set aside, if it was.
    pub(super) fn forget(&mut self, group: GroupId, place: Place) {
        let Some(known) = self.groups.get_mut(&group) else { return };
        let owner = known.owner;
        let Some(line) = self.lines.get_mut(&owner) else { return };
        let was_selected = line.selected.remove(&place).is_some();
        if !was_selected && line.others.remove(&place).is_none() {
            return;
        }
        if was_selected
            && line.selected.is_empty()
            && let Some((turn, _)) = self.turns.get(&owner)
        {
            self.eager.remove(turn);
        }
        if line.selected.is_empty() && line.others.is_empty() {
            self.lines.remove(&owner);
        }
        known.aside -= 1;
        self.note_idle(group);
    }

    /// A message of a group is delivered to a consumer, with which the group is from then on. Whether
    /// it is the first.
    pub(super) fn deliver(
        &mut self,
        member: Membership,
        place: Place,
        key: ConsumerKey,
    ) -> (Assigned, bool) {
        let group = member.group();
        self.forget(group, place);
        self.count += 1;
        let era = self.count;
        let assigned =
            Group { owner: key, era, closed: true, in_flight: 0, aside: 0, idle_since: 0 };
        let known = self.groups.entry(group).or_insert(assigned);
        assert_eq!(known.owner, key, "a group's messages go to its consumer");
        if known.in_flight == 0 && known.aside == 0 {
            self.idle.remove(&(known.idle_since, group));
        }
        known.in_flight += 1;
        let is_first = std::mem::replace(&mut known.closed, member.closes());
        let assigned = Assigned { group, era: known.era };
        if member.closes() && known.aside == 0 {
            self.groups.remove(&group);
        }
        while self.idle.len() > IDLE_GROUPS
            && let Some((_, oldest)) = self.idle.pop_first()
        {
            self.groups.remove(&oldest);
        }
        (assigned, is_first)
    }

    /// A delivery has ended.
    pub(super) fn landed(&mut self, Assigned { group, era }: Assigned) {
        if let Some(known) = self.groups.get_mut(&group).filter(|known| known.era == era) {
            known.in_flight -= 1;
            self.note_idle(group);
        }
    }

    fn note_idle(&mut self, group: GroupId) {
        let known = self.groups.get_mut(&group).expect("it was looked up");
        if known.in_flight > 0 || known.aside > 0 {
            return;
        }
        if known.closed {
            self.groups.remove(&group);
            return;
        }
        self.count += 1;
        known.idle_since = self.count;
        self.idle.insert((self.count, group));
    }

    /// The groups of a consumer are nobody's. What was set aside for it.
    pub(super) fn release(&mut self, key: ConsumerKey) -> impl Iterator<Item = Place> + use<> {
        let idle = &mut self.idle;
        self.groups.retain(|group, known| {
            let stays = known.owner != key;
            if !stays {
                idle.remove(&(known.idle_since, *group));
            }
            stays
        });
        if let Some((turn, _)) = self.turns.get(&key) {
            self.eager.remove(turn);
        }
        let Line { selected, others } = self.lines.remove(&key).unwrap_or_default();
        selected.into_keys().chain(others.into_keys())
    }

    /// The consumers that have groups.
    pub(super) fn owners(&self) -> BTreeSet<ConsumerKey> {
        self.groups.values().map(|group| group.owner).collect()
    }

    /// Whether something is set aside.
    pub(super) fn have_waiting(&self) -> bool {
        !self.lines.is_empty()
    }
}
