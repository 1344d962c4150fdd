//! Messages that are not to be delivered yet.
//!
//! They stand in no queue: a table has them by when they are due, and their bodies stay in the log,
//! where they were written. The leader reads what is due and proposes [`Command::Deliver`] with it,
//! which publishes it as a client would have; so a message enters its queue when it is due, and behind
//! all that entered before.
//!
//! [`Command::Deliver`]: super::Command::Deliver

use std::{collections::BTreeMap, sync::Arc};

use paceline_reached::{Point, reached};
use serde::{Deserialize, Serialize};

use super::{
    ShardState,
    command::{MessageRef, Refused, Waiting},
    step::Step,
};
use crate::{
    Destination, Message,
    destination::DestinationKind,
    schedule::{Due, Repeats, Schedule},
};

/// What is known of it beside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Awaited {
    destination: Destination,
    /// Deliveries that follow.
    left: Repeats,
}

pub(super) type WaitingTable = BTreeMap<Waiting, Awaited>;

/// What follows from the table: how many wait for each destination.
pub(super) type WaitingCounts = BTreeMap<Destination, u64>;

impl ShardState {
    /// Puts a message off that was written at `at`, until it is due.
    pub(super) fn put_off(
        &mut self,
        step: &Step,
        at: MessageRef,
        message: &Message,
        schedule: &Schedule,
    ) {
        // A schedule that ends before it begins has nothing to wait for.
        let Some(due) = schedule.first(step.now) else { return };
        reached(Point::PutOff);
        // Of all that wait for one destination the first one's name is kept.
        let known = self.derived.waiting.get_key_value(&message.destination);
        let destination = known.map_or(&message.destination, |(known, _)| known).clone();
        self.derived.pin(at.index, 1);
        self.await_due(at, due, destination);
    }

    fn await_due(&mut self, at: MessageRef, due: Due, destination: Destination) {
        *self.derived.waiting.entry(destination.clone()).or_insert(0) += 1;
        let waiting = Waiting { due: due.at, at };
        let twin = self.tables.waiting.insert(waiting, Awaited { destination, left: due.left });
        assert!(twin.is_none(), "{at} waits twice");
    }

    fn take_waiting(&mut self, waiting: Waiting) -> Option<Awaited> {
        let awaited = self.tables.waiting.remove(&waiting)?;
        let counts = &mut self.derived.waiting;
        let count = counts.get_mut(&awaited.destination).expect("what waits was counted");
        *count -= 1;
        if *count == 0 {
            counts.remove(&awaited.destination);
        }
        Some(awaited)
    }

    /// Delivers a message that was due, unless that has been done, or it was purged meanwhile.
    pub(super) fn deliver(
        &mut self,
        step: &mut Step,
        waiting: Waiting,
        next: Option<Due>,
        message: &Arc<Message>,
    ) -> Result<(), Refused> {
        if !self.tables.waiting.contains_key(&waiting) {
            return Ok(());
        }
        self.take_in(step, message, true)?;
        let Awaited { destination, .. } = self.take_waiting(waiting).expect("it was looked at");
        match next {
            Some(next) => {
                reached(Point::Repeated);
                self.await_due(waiting.at, next, destination);
            }
            None => self.let_go(step, waiting.at),
        }
        Ok(())
    }

    fn let_go(&mut self, step: &mut Step, at: MessageRef) {
        self.derived.unpin(at.index, 1);
        step.touched.insert(at.index);
    }

    /// Drops what waits for a queue. Whether there was any.
    pub(super) fn purge_waiting(&mut self, step: &mut Step, name: &Arc<str>) -> bool {
        let queue = queue(name);
        if !self.derived.waiting.contains_key(&queue) {
            return false;
        }
        let of_queue = self.tables.waiting.iter().filter(|(_, it)| it.destination == queue);
        let of_queue: Vec<Waiting> = of_queue.map(|(waiting, _)| *waiting).collect();
        for waiting in of_queue {
            self.take_waiting(waiting);
            self.let_go(step, waiting.at);
        }
        true
    }

    /// Messages that wait, by when they are due, and how many deliveries follow that.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (Waiting, Repeats)> + '_ {
        self.tables.waiting.iter().map(|(waiting, awaited)| (*waiting, awaited.left))
    }

    /// How many messages wait, for all queues and topics together.
    pub fn waiting_count(&self) -> u64 {
        self.tables.waiting.len() as u64
    }

    /// How many messages wait for the queue called `name`.
    pub fn waiting_for(&self, name: &Arc<str>) -> u64 {
        self.derived.waiting.get(&queue(name)).copied().unwrap_or(0)
    }

    /// The destinations for which messages wait, and for each how many.
    pub fn waiting_by_destination(&self) -> impl Iterator<Item = (&Destination, u64)> {
        self.derived.waiting.iter().map(|(destination, count)| (destination, *count))
    }
}

fn queue(name: &Arc<str>) -> Destination {
    Destination { kind: DestinationKind::Queue, name: name.clone() }
}

/// Counts what waits, and says which log entries hold it.
pub(super) fn derive(table: &WaitingTable, mut pin: impl FnMut(u64)) -> WaitingCounts {
    let mut counts = WaitingCounts::new();
    for (waiting, awaited) in table {
        pin(waiting.at.index);
        *counts.entry(awaited.destination.clone()).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests;
