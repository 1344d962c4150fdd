//! What a leader does.

use std::{collections::BTreeSet, time::Duration};

use super::{Busy, Config, Leader, Part, Replica};
use crate::{
    message::{Appended, Outgoing, Word},
    progress::{Progress, Sending},
    types::{EntryId, Index, Membership, NodeId, Payload},
};

impl Replica {
    /// Until when a majority keeps to this leader, or would from the moment it was elected.
    pub(super) fn quorum_heard(&self) -> Duration {
        let Part::Leader(Leader { since, .. }) = &self.part else { return Duration::ZERO };
        self.acknowledged().unwrap_or(*since)
    }

    /// When the latest message was sent that a majority has answered, or one of each of its
    /// members that was sent later. `Duration::MAX` of a leader who is a majority by itself.
    fn acknowledged(&self) -> Option<Duration> {
        self.majority(|other| other.heard)
    }

    /// Up to where a majority is that stands where the others say; this leader stands beyond.
    fn majority(&self, of: impl Fn(&Progress) -> Option<Duration>) -> Option<Duration> {
        let Part::Leader(Leader { others, .. }) = &self.part else { return None };
        let node = self.config.node;
        self.membership()
            .reached(|other| match other == node {
                true => Some(Duration::MAX),
                false => others.get(&other).and_then(&of),
            })
            .flatten()
    }

    /// Until when nobody else leads in a later term: until then a leader may serve, as long as what
    /// was committed before its term is applied. None while it must not.
    pub fn lease(&self) -> Option<Duration> {
        match &self.part {
            Part::Leader(leader) if !leader.released && self.commit >= leader.first => {
                let lease = self.config.lease;
                self.majority(|other| Some(other.heard? + other.lease(lease)))
            }
            _ => None,
        }
    }

    /// Lets the others hear of it, and looks whether a majority is there.
    pub(super) fn beat(&mut self, now: Duration) {
        if now.saturating_sub(self.quorum_heard()) >= self.config.patience {
            // Who still hears of it could not elect another one.
            return self.become_follower(self.vote.term, None, now);
        }
        let heartbeat = self.heartbeat();
        let Part::Leader(leader) = &mut self.part else { return };
        if leader.handing_over.is_some_and(|(_, until)| now >= until) {
            if leader.released {
                return self.become_follower(self.vote.term, None, now);
            }
            leader.handing_over = None;
        }
        // One that has just answered need not be told that the leader is there.
        let half = heartbeat / 2;
        let is_due = |heard: Option<Duration>| heard.is_none_or(|heard| heard + half <= now);
        let others = leader.others.iter().filter(|(_, other)| is_due(other.heard));
        let beats: Vec<(NodeId, Index)> =
            others.map(|(node, other)| (*node, other.stored)).collect();
        for (to, stored) in beats {
            // What it has stored agrees with this log, whatever else it has.
            let prev = self.log.id(stored).unwrap_or(EntryId::ZERO);
            let commit = self.commit.min(prev.index);
            let word = Word::Append { prev, entries: Vec::new(), commit, stamp: now };
            let message = self.message(to, word);
            self.ready.now.push(message);
        }
        self.deadline = self.next_beat(now);
    }

    /// How often the others hear of this leader: more often than it is told, where one would not wait
    /// so long.
    fn heartbeat(&self) -> Duration {
        let Config { heartbeat, lease, .. } = self.config;
        let Part::Leader(Leader { others, .. }) = &self.part else { return heartbeat };
        let leases = others.values().map(|other| other.lease(lease));
        leases.min().map_or(heartbeat, |least| heartbeat.min(least / 2))
    }

    /// Beats fall on multiples of their interval, so that those of all groups of a node leave together.
    pub(super) fn next_beat(&self, now: Duration) -> Duration {
        let nanos = self.heartbeat().as_nanos().max(1);
        now + Duration::from_nanos((nanos - now.as_nanos() % nanos) as u64)
    }

    pub(super) fn append_answer(
        &mut self,
        from: NodeId,
        (stamp, promise): (Duration, Duration),
        outcome: Appended,
        now: Duration,
    ) {
        let Part::Leader(Leader { others, .. }) = &mut self.part else { return };
        let Some(other) = others.get_mut(&from) else { return };
        let has_news = outcome != Appended::Refused && other.answered(stamp, promise);
        match outcome {
            Appended::Stored { upto, last, stable } => {
                // One that was sent a snapshot has it, or not yet.
                if other.sending == Sending::Snapshot && upto >= self.log.base().index {
                    other.conflict(upto);
                }
                // A log that ends with an entry of this one is the same up to there.
                let agrees = if self.log.has(last) { last.index } else { 0 };
                other.stored(stamp, upto.max(stable.min(agrees)), agrees);
                self.advance_commit(now);
            }
            Appended::Conflict { prev, hint } => {
                if prev > other.stored && other.sending != Sending::Snapshot {
                    let agrees = self.log.agrees_until(hint.index, hint.term);
                    other.conflict(agrees.map_or(0, |id| id.index).min(prev - 1));
                }
            }
            Appended::Refused => {}
        }
        if has_news && matches!(self.part, Part::Leader(_)) {
            self.deadline = self.deadline.min(self.next_beat(now));
        }
    }

    /// Commits what a majority has on its disks, this replica's own copy included only if it is.
    pub(super) fn advance_commit(&mut self, now: Duration) {
        let Part::Leader(Leader { others, .. }) = &self.part else { return };
        let node = self.config.node;
        let reached = self.membership().reached(|other| match other == node {
            true => self.stable,
            false => others.get(&other).map_or(0, |other| other.stored),
        });
        // Of earlier terms' entries only those in front of one of this term (5.4.2 of the paper).
        let reached = reached.filter(|index| self.log.term(*index) == Some(self.vote.term));
        let Some(index) = reached.filter(|index| *index > self.commit) else { return };
        self.commit = index;
        if self.log.membership_at() > self.commit {
            return;
        }
        let membership = self.membership().clone();
        if membership.is_joint() {
            let outgoing = BTreeSet::new();
            self.change(Membership { outgoing, ..membership });
        } else if !membership.is_voter(node) {
            self.become_follower(self.vote.term, None, now);
        }
    }

    /// Replaces the voters and the learners: as soon as a majority of both the voters before and
    /// those to be has stored this, they decide alone.
    ///
    /// # Errors
    ///
    /// Why not now.
    pub fn propose_membership(
        &mut self,
        voters: BTreeSet<NodeId>,
        learners: BTreeSet<NodeId>,
    ) -> Result<EntryId, Busy> {
        let first = self.leads()?.first;
        let current = self.membership();
        if current.is_joint() || self.log.membership_at() > self.commit || first > self.commit {
            return Err(Busy::Changing);
        }
        let outgoing =
            if voters == current.voters { BTreeSet::new() } else { current.voters.clone() };
        Ok(self.change(Membership { voters, outgoing, learners }))
    }

    fn change(&mut self, membership: Membership) -> EntryId {
        let id = self.append_own(Payload::Membership(membership));
        let members = self.others();
        if let Part::Leader(Leader { others, .. }) = &mut self.part {
            others.retain(|node, _| members.contains(node));
            for node in members {
                others.entry(node).or_insert_with(|| Progress::new(id.index));
            }
        }
        id
    }

    /// Hands the leadership over to a voter, as soon as it has all of the log. From then on this
    /// replica does not serve any more in this term, so that the other need not wait. If that comes
    /// to nothing, it goes on leading, or somebody is elected.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn hand_over(&mut self, to: NodeId, now: Duration) -> Result<(), Busy> {
        self.leads()?;
        let is_voter = self.membership().voters.contains(&to) && to != self.config.node;
        if let Part::Leader(leader) = &mut self.part
            && is_voter
        {
            leader.handing_over = Some((to, now + self.config.election[1]));
        }
        Ok(())
    }

    /// The snapshot for the node was sent, or could not be. If it turns out not to be there, it is
    /// sent again.
    pub fn snapshot_ended(&mut self, node: NodeId, now: Duration) {
        let base = self.log.base().index;
        if let Part::Leader(Leader { others, .. }) = &mut self.part
            && let Some(other) = others.get_mut(&node)
            && other.sending == Sending::Snapshot
        {
            other.sending = Sending::Probing(Some((now, base)));
        }
    }

    /// Sends a node no entries before `until`, as far as none are on their way: who is being filled is not
    /// to take from the others what they need.
    pub fn hold(&mut self, node: NodeId, until: Duration) {
        if let Part::Leader(Leader { others, .. }) = &mut self.part
            && let Some(other) = others.get_mut(&node)
        {
            other.held_until = until;
        }
    }

    /// When entries are to be sent that are held back.
    pub(super) fn held_until(&self) -> Option<Duration> {
        let Part::Leader(Leader { others, .. }) = &self.part else { return None };
        let (last, window) = (self.log.last().index, self.config.window);
        let lacks = others.values().filter(|it| it.next <= last && it.may_send(window));
        lacks.map(|other| other.held_until).min()
    }

    /// Sends the others what they lack, as far as they take it.
    pub(super) fn send_entries(&mut self, now: Duration) {
        let (last, base, term) = (self.log.last().index, self.log.base().index, self.vote.term);
        let Part::Leader(leader) = &mut self.part else { return };
        for (node, other) in &mut leader.others {
            while now >= other.held_until
                && other.next <= last
                && other.may_send(self.config.window)
            {
                let Some(prev) = self.log.id(other.next - 1).filter(|_| other.next > base) else {
                    other.sending = Sending::Snapshot;
                    self.ready.now.push(Outgoing::Snapshot { to: *node, term });
                    break;
                };
                let upto = last.min(prev.index + self.config.entries);
                let commit = self.commit.min(upto);
                self.ready.now.push(Outgoing::Entries {
                    to: *node,
                    term,
                    prev,
                    upto,
                    commit,
                    stamp: now,
                });
                other.sent(now, upto);
            }
        }
        let handing_over = leader.handing_over.filter(|_| !leader.released);
        if let Some((to, _)) = handing_over
            && leader.others.get(&to).is_some_and(|other| other.stored == last)
        {
            leader.released = true;
            let word = self.message(to, Word::TakeOver);
            self.ready.now.push(word);
        }
    }
}
