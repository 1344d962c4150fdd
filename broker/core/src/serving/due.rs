//! Messages that were put off and are due: each is read from the log, and then proposed.

use std::collections::BTreeMap;

use paceline_reached::{Point, reached};

use crate::{
    Message, UnixMillis,
    schedule::{self, Due, Repeats, Schedule},
    shard::{Command, MessageRef, ShardState, Waiting},
};

/// Messages that are under way at a time.
const AT_ONCE: usize = 256;

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is being read. That it was due was noticed then.
    Asked(UnixMillis),
    /// It could not be read, and is asked for again after a while.
    Failed,
    /// It is on its way through the log.
    Proposed,
}

/// See the module. By where they were written.
#[derive(Debug, Default)]
pub(super) struct DueMessages {
    under_way: BTreeMap<MessageRef, (Waiting, Repeats, Stage)>,
}

impl DueMessages {
    /// When [`DueMessages::handle_timeout`] has something to do, by the wall clock.
    pub fn poll_timeout(&self, state: &ShardState) -> Option<UnixMillis> {
        let has_room = self.under_way.len() < AT_ONCE;
        self.next(state).filter(|_| has_room).map(|(waiting, _)| waiting.due)
    }

    fn next(&self, state: &ShardState) -> Option<(Waiting, Repeats)> {
        state.waiting().find(|(waiting, _)| !self.under_way.contains_key(&waiting.at))
    }

    /// What is to be read at `wall`.
    pub fn handle_timeout(&mut self, state: &ShardState, wall: UnixMillis) -> Vec<MessageRef> {
        let mut reads = Vec::new();
        while self.under_way.len() < AT_ONCE
            && let Some((waiting, left)) = self.next(state)
            && waiting.due <= wall
        {
            reached(Point::CameDue);
            self.under_way.insert(waiting.at, (waiting, left, Stage::Asked(wall)));
            reads.push(waiting.at);
        }
        reads
    }

    /// Whether the message that was written there is under way.
    pub fn has_asked_for(&self, at: MessageRef) -> bool {
        self.under_way.contains_key(&at)
    }

    /// It was read, or could not be. The command that delivers it.
    pub fn handle_read(&mut self, at: MessageRef, written: Option<&Message>) -> Option<Command> {
        let (waiting, left, stage) = self.under_way.get_mut(&at)?;
        // What another leadership asked for may come as well.
        let Stage::Asked(noticed) = *stage else { return None };
        let Some(written) = written else {
            *stage = Stage::Failed;
            return None;
        };
        *stage = Stage::Proposed;
        let due = Due { at: waiting.due, left: *left };
        let schedule = Schedule::of(written).ok().flatten();
        // Nobody would see what follows.
        let goes_on = schedule.filter(|_| !written.is_expired(noticed));
        Some(Command::Deliver {
            waiting: *waiting,
            next: goes_on.and_then(|schedule| schedule.next(due, noticed)),
            message: schedule::delivered(written, waiting.due).into(),
        })
    }

    /// The command about the message that was written there was applied.
    pub fn handle_applied(&mut self, at: MessageRef) {
        self.under_way.remove(&at);
    }

    /// Whether a message could not be read.
    pub fn has_failed(&self) -> bool {
        self.under_way.values().any(|(_, _, stage)| *stage == Stage::Failed)
    }

    /// What could not be read may be asked for again.
    pub fn try_again(&mut self) {
        self.under_way.retain(|_, (_, _, stage)| *stage != Stage::Failed);
    }
}

#[cfg(test)]
mod tests;
