//! Snapshots of a group: when they are written, sent and taken.

use bytes::Bytes;
use paceline_consensus::{EntryId, Message, NodeId, Term, Word};
use paceline_reached::{Point, reached};
use paceline_runtime::task;

use super::Group;
use crate::{
    link::Stream,
    replication::{
        input::Input,
        snapshot::{self, Taken},
        storage,
        streams::Head,
        turn::Turn,
    },
};

impl Group {
    /// The snapshot of `last` is on the disk, or could not be written.
    pub fn handle_snapshot_written(&mut self, last: Option<EntryId>, turn: &mut Turn) {
        self.snapshotting = false;
        let Some(last) = last else { return };
        self.kept = self.kept.max(last);
        let keep = self.settings.snapshot_every / 4;
        self.replica.compact(last.index.saturating_sub(keep));
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
    }

    /// A leader wants to send its snapshot.
    pub fn handle_snapshot_offered(&mut self, from: u64, head: Head, stream: Stream, turn: &Turn) {
        if self.snapshotting || head.last <= self.kept {
            // It comes again.
            return;
        }
        self.snapshotting = true;
        let (part, slot) = (self.part.clone(), self.slot);
        let inbox = turn.inbox.clone();
        task::spawn(async move {
            // Both halves go when it is taken: that closes the stream, which the sender waits for.
            let Stream { sender: _sender, mut receiver } = stream;
            let taken = snapshot::take(&part, from, head, &mut receiver).await;
            if let Err(error) = &taken {
                tracing::info!(slot, %error, "a snapshot was not taken");
            }
            let _ = inbox.send(Input::SnapshotTaken { slot, taken: taken.ok().map(Box::new) });
        });
    }

    /// A leader's snapshot is on the disk, or was not taken.
    pub fn handle_snapshot_taken(&mut self, taken: Option<Box<Taken>>, turn: &mut Turn) {
        self.snapshotting = false;
        let Some(taken) = taken else { return };
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
        let live: Vec<u64> = self.state.live_entries().collect();
        let (connection, stamp) = (turn.outbox.connection(to), turn.now);
        let pace = self.settings.pace.clone();
        task::spawn(async move {
            if let Some(connection) = connection {
                let sent = snapshot::send(&part, &connection, &pace, (term, stamp), live).await;
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
        let state = Bytes::from(self.state.snapshot());
        let membership = self.replica.log().membership_as_of(self.applied.index).clone();
        let (part, inbox, slot) = (self.part.clone(), turn.inbox.clone(), self.slot);
        let last = self.applied;
        task::spawn(async move {
            let written = snapshot::write(&part, last, membership, state).await;
            if let Err(error) = &written {
                tracing::error!(slot, %error, "a snapshot was not written");
            }
            let last = written.ok().map(|()| last);
            let _ = inbox.send(Input::SnapshotWritten { slot, last });
        });
    }
}
