//! Snapshots of a group: when they are written, sent and taken.

use std::{mem, sync::Arc};

use paceline_consensus::{Index, Message, NodeId, Term, Word};
use paceline_events::emit;
use paceline_reached::{Point, reached};
use paceline_runtime::task;

use super::Group;
use crate::{
    link::Stream,
    replication::{
        input::Input,
        saved::Saved,
        snapshot::{self, Partial, Taken},
        storage,
        streams::Head,
        turn::Turn,
    },
};

/// So many entries leave the log in one turn.
const PURGED_A_TURN: Index = 1024;

impl Group {
    /// A snapshot is on the disk, or could not be written.
    pub fn handle_snapshot_written(&mut self, saved: Option<Box<Saved>>) {
        self.snapshotting = false;
        let Some(saved) = saved else { return };
        self.kept = self.kept.max(saved.last);
        let keep = self.settings.snapshot_every / 4;
        self.purge_to = saved.last.index.saturating_sub(keep);
        self.saved = Arc::from(saved);
        self.partial.clear();
    }

    /// Lets go of entries that a snapshot stands for, some at a time. Whether there are more.
    pub(super) fn purge(&mut self, turn: &mut Turn) -> bool {
        if !self.is_purging() {
            return false;
        }
        let before = self.replica.log().base().index;
        self.replica.compact(self.purge_to.min(before + PURGED_A_TURN));
        let log = self.replica.log();
        let (base, membership) = (log.base(), log.membership_as_of(log.base().index));
        reached(Point::LogPurged);
        let state = &self.state;
        let mark = storage::base_mark(base, membership);
        let purged = self
            .part
            .purge(base.index + 1, mark, |index| index > state.applied() || state.is_live(index));
        if let Err(error) = purged {
            turn.fail(self.slot, &error);
        }
        self.is_purging()
    }

    fn is_purging(&self) -> bool {
        self.replica.log().base().index < self.purge_to
    }

    /// A leader wants to send its snapshot.
    pub fn handle_snapshot_offered(&mut self, from: u64, head: Head, stream: Stream, turn: &Turn) {
        if self.snapshotting || self.is_purging() || head.last <= self.kept {
            // It comes again.
            return;
        }
        self.snapshotting = true;
        let (part, slot) = (self.part.clone(), self.slot);
        let inbox = turn.inbox.clone();
        let (saved, mut partial) = (self.saved.clone(), mem::take(&mut self.partial));
        task::spawn(async move {
            // It goes when it is taken: that closes the stream, which the sender waits for.
            let mut stream = stream;
            let taken =
                snapshot::take(&part, (from, head), &mut stream, &saved, &mut partial).await;
            let taken = taken.map(Box::new).map_err(|error| {
                tracing::info!(slot, %error, "a snapshot was not taken");
                partial
            });
            let _ = inbox.send(Input::SnapshotTaken { slot, taken });
        });
    }

    /// A leader's snapshot is on the disk, or was not taken.
    pub fn handle_snapshot_taken(&mut self, taken: Result<Box<Taken>, Partial>, turn: &mut Turn) {
        self.snapshotting = false;
        let mut taken = match taken {
            Ok(taken) => taken,
            Err(partial) => {
                self.partial = partial;
                return;
            }
        };
        self.saved = mem::take(&mut taken.saved).into();
        let Head { term, stamp, last, ref membership, .. } = taken.head;
        let word = Word::Snapshot { last, membership: membership.clone(), stamp };
        let from = taken.from;
        self.taken = Some(*taken);
        self.replica.handle_message(NodeId(from), Message { term, word }, turn.now);
        // A leader whose term is over is not followed. What it sent is on the disk, but the log did not
        // make way for it: the next leader's snapshot is wanted, even if it is no newer one.
        if self.replica.commit() >= last.index {
            self.kept = self.kept.max(last);
        }
    }

    /// The snapshot for another was sent, or could not be.
    pub fn handle_snapshot_sent(&mut self, to: u64, turn: &Turn) {
        self.replica.snapshot_ended(NodeId(to), turn.now);
    }

    pub(super) fn send_snapshot(&self, to: u64, term: Term, turn: &Turn) {
        let (part, inbox, slot) = (self.part.clone(), turn.inbox.clone(), self.slot);
        let saved = self.saved.clone();
        let (connection, stamp) = (turn.outbox.connection(to), turn.now);
        let pace = self.settings.pace.clone();
        task::spawn(async move {
            if let Some(connection) = connection {
                let sent = snapshot::send(&part, &connection, &pace, &saved, (term, stamp)).await;
                if let Err(error) = sent {
                    tracing::info!(slot, to, %error, "a snapshot was not sent");
                }
            }
            let _ = inbox.send(Input::SnapshotSent { slot, to });
        });
    }

    pub(super) fn look_after_snapshot(&mut self, turn: &Turn) {
        let since = self.applied.index.saturating_sub(self.kept.index);
        if self.snapshotting || since < self.settings.snapshot_every {
            return;
        }
        self.snapshotting = true;
        let (before, snapshot) = (self.saved.clone(), self.state.snapshot());
        let membership = self.replica.log().membership_as_of(self.applied.index).clone();
        let (part, inbox, slot) = (self.part.clone(), turn.inbox.clone(), self.slot);
        let last = self.applied;
        task::spawn(async move {
            emit!(SnapshotWrite { shard: slot.into() });
            let saved = before.replace(&part, last, membership, &snapshot).await;
            match &saved {
                Ok(_) => reached(Point::SnapshotWritten),
                Err(error) => tracing::error!(slot, %error, "a snapshot was not written"),
            }
            let saved = saved.ok().map(Box::new);
            let _ = inbox.send(Input::SnapshotWritten { slot, saved });
        });
    }
}
