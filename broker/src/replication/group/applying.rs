//! What is committed becomes state.

use std::{mem, sync::Arc};

use paceline_consensus::{Entry, Payload};
use paceline_core::shard::Batch;
use paceline_events::emit;

use super::Group;
use crate::{
    costs,
    policy::InForce,
    replication::{encoding, input::Input, turn::Turn},
};

/// Entries applied in one turn.
const ENTRIES_A_TURN: usize = 256;

impl Group {
    /// Entries were read to be applied.
    pub fn handle_read(&mut self, entries: Result<Vec<Entry>, String>, turn: &mut Turn) {
        self.reading = false;
        let Some(entries) = self.read_well(entries, turn) else { return };
        // None is applied here: a snapshot that came in the same turn may stand for them.
        self.recent.lay_by(entries);
        self.recent.pass(self.applied.index);
    }

    /// Applies what is committed and at hand, and has the rest read. Whether there is more to do at once.
    pub(super) fn apply(&mut self, turn: &mut Turn) -> bool {
        let before = self.applied;
        let mut more = false;
        while self.applied.index < self.replica.commit() {
            if self.applied.index - before.index >= ENTRIES_A_TURN as u64 {
                more = true;
                break;
            }
            let next = self.applied.index + 1;
            let Some(entry) = self.recent.get(next).cloned() else {
                self.read_on(turn);
                break;
            };
            let batch = self.recent.take_batch(next);
            self.apply_entry(entry, batch, turn);
            self.recent.pass(next);
        }
        if !self.freed.is_empty() {
            self.part.discard(&self.freed);
            self.freed.clear();
        }
        if self.applied != before {
            self.part.hint_committed(encoding::encode(&self.applied));
        }
        more
    }

    fn apply_entry(&mut self, entry: Entry, made: Option<Arc<Batch>>, turn: &mut Turn) {
        let in_log = self.replica.log().id(entry.id.index);
        assert_eq!(in_log, Some(entry.id), "what is applied is in the log");
        self.applied = entry.id;
        let Payload::Data(data) = entry.payload else { return };
        let batch = match made.map_or_else(|| encoding::decode(&data, "a batch").map(Arc::new), Ok)
        {
            Ok(batch) => batch,
            Err(error) => return turn.fail(self.slot, &error),
        };
        let applied = self.state.apply(entry.id.index, &batch);
        if applied.view.is_some() {
            self.tell_view(turn);
        }
        turn.cost += costs::APPLY * applied.outcomes.len() as u32;
        emit!(Apply {
            shard: self.slot.into(),
            index: entry.id.index,
            commands: batch.commands.len() as u64,
        });
        self.freed.extend_from_slice(&applied.freed);
        self.serving.handle_applied(&self.state, applied);
    }

    /// From now on these are the policies.
    pub fn set_policies(&mut self, InForce { bounds, rules }: InForce) {
        self.serving.set_policies(&self.state, bounds, rules);
    }

    pub(super) fn tell_view(&self, turn: &Turn) {
        if let Some(view) = self.view() {
            let _ = turn.views.send(view);
        }
    }

    /// Has entries read that are to be applied and are not at hand.
    fn read_on(&mut self, turn: &Turn) {
        if mem::replace(&mut self.reading, true) {
            return;
        }
        let range = self.applied.index + 1..self.replica.commit() + 1;
        let slot = self.slot;
        self.read(range, turn, move |entries| Input::Read { slot, entries });
    }
}
