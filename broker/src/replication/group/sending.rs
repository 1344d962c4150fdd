//! What goes to the other replicas.

use std::collections::VecDeque;

use paceline_consensus::{
    Entry, EntryId, Index, Message, NodeId, Outgoing, Payload, Role, Term, Word,
};
use paceline_runtime::time::Duration;

use super::Group;
use crate::replication::{input::Input, told, turn::Turn, words::NOTICE_BYTES};

/// Entries on their way to another replica.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending {
    term: Term,
    prev: EntryId,
    upto: Index,
    commit: Index,
    stamp: Duration,
}

impl Group {
    /// Entries were read to be sent, about a piece of them.
    pub fn handle_read_for(
        &mut self,
        to: u64,
        entries: Result<Vec<Entry>, String>,
        turn: &mut Turn,
    ) {
        let Some(entries) = self.read_well(entries, turn) else { return };
        let Some(mut waiting) = self.sending.remove(&to) else { return };
        let leads = |sending: &Sending| {
            self.replica.role() == Role::Leader && self.replica.term() == sending.term
        };
        let Some(mut sending) = waiting.pop_front().filter(leads) else { return };
        let follows = entries.first().is_some_and(|it| it.id.index == sending.prev.index + 1);
        if !follows {
            // The log does not have them any more. What was sent counts as lost after a while.
            return;
        }
        match self.send(to, &mut sending, entries, turn) {
            true => waiting.push_front(sending),
            false => waiting.clear(),
        }
        for sending in waiting {
            self.send_entries(to, sending, turn);
        }
    }

    pub(super) fn send_out(&mut self, outgoing: Outgoing, turn: &mut Turn) {
        match outgoing {
            Outgoing::Message { to, message } => {
                told::promised(self.slot, to.0, &message, &mut self.followed);
                turn.outbox.push(to.0, self.slot, message);
            }
            Outgoing::Entries { to, term, prev, upto, commit, stamp } => {
                let sending = Sending { term, prev, upto, commit, stamp };
                match self.sending.get_mut(&to.0) {
                    Some(waiting) => waiting.push_back(sending),
                    None => self.send_entries(to.0, sending, turn),
                }
            }
            Outgoing::Snapshot { to, term } => self.send_snapshot(to.0, term, turn),
        }
    }

    /// Sends entries that are at hand; has the others read first.
    fn send_entries(&mut self, to: u64, mut sending: Sending, turn: &mut Turn) {
        if let Some(waiting) = self.sending.get_mut(&to) {
            return waiting.push_back(sending);
        }
        while sending.prev.index < sending.upto {
            let mut bytes = 0;
            let wanted = sending.prev.index + 1..=sending.upto;
            let at_hand = wanted.map_while(|index| self.recent.get(index)).take_while(|entry| {
                let first = bytes == 0;
                bytes += bytes_of(entry);
                first || bytes <= NOTICE_BYTES
            });
            let entries: Vec<Entry> = at_hand.cloned().collect();
            if entries.is_empty() {
                let range = sending.prev.index + 1..sending.upto + 1;
                let slot = self.slot;
                self.sending.insert(to, VecDeque::from([sending]));
                return self.read(range, turn, move |entries| Input::ReadFor { slot, to, entries });
            }
            if !self.send(to, &mut sending, entries, turn) {
                return;
            }
        }
    }

    /// Sends entries, unless too much waits for the node already: then they count as lost after a while.
    /// Whether it did.
    fn send(
        &mut self,
        to: u64,
        sending: &mut Sending,
        entries: Vec<Entry>,
        turn: &mut Turn,
    ) -> bool {
        let Some(last) = entries.last().map(|entry| entry.id).filter(|_| turn.outbox.has_room(to))
        else {
            return false;
        };
        let Sending { term, prev, commit, stamp, .. } = *sending;
        self.hold_back(to, &entries, turn.now);
        let commit = commit.min(last.index);
        let word = Word::Append { prev, entries, commit, stamp };
        turn.outbox.push(to, self.slot, Message { term, word });
        sending.prev = last;
        true
    }

    /// A copy that is being filled, and lacks more than can be caught up with at once, is sent what the log
    /// has at the pace of snapshots.
    fn hold_back(&mut self, to: u64, entries: &[Entry], now: Duration) {
        let node = NodeId(to);
        let is_learner = self.replica.log().membership().learners.contains(&node);
        let stored = self.replica.progress(node).map_or(0, |(stored, _)| stored);
        let until = match is_learner && !self.is_nearly_up_to_date(stored) {
            true => now + self.settings.pace.spend(entries.iter().map(bytes_of).sum()),
            false => Duration::ZERO,
        };
        self.replica.hold(node, until);
    }
}

fn bytes_of(entry: &Entry) -> usize {
    match &entry.payload {
        Payload::Data(data) => data.len(),
        _ => 0,
    }
}
