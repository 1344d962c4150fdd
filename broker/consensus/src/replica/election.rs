//! Who leads.

use std::{collections::BTreeSet, time::Duration};

use paceline_reached::{Point, reached};

use super::{Leader, Part, Replica};
use crate::{
    message::{Message, Outgoing, Word},
    progress::Progress,
    types::{EntryId, NodeId, Payload, Term, Vote},
};

impl Replica {
    /// Whether it keeps to a leader, or may have promised one to, and so votes for nobody else.
    fn keeps_to_its_leader(&self, now: Duration) -> bool {
        let kept = self.config.election[0].max(self.config.promise);
        match &self.part {
            Part::Leader(leader) => {
                let patience = self.config.patience;
                !leader.released && now < self.quorum_heard().saturating_add(patience)
            }
            _ if now < self.silent_until => {
                reached(Point::VoteTooEarly);
                true
            }
            _ => self.heard.is_some_and(|heard| now < heard + kept),
        }
    }

    /// Whether it may be elected. One that is a voter no more stands all the same until it knows that
    /// its going is committed: the others may not have heard of it, and nobody else has the log to
    /// be elected with.
    fn may_stand(&self) -> bool {
        let node = self.config.node;
        let mut memberships = self.log.memberships_from(self.commit);
        self.floor.is_none()
            && self.log.last() >= self.left
            && memberships.any(|membership| membership.is_voter(node))
    }

    /// Whether it may vote in a term. Of two replicas the other one has everything that was ever
    /// committed, and cannot lead without this one's vote, be that one damaged or not.
    fn may_vote(&self, term: Term) -> bool {
        let above = self.is_one_of_two() || self.votes_above_floor;
        let may = self.floor.is_none_or(|floor| above && term > floor);
        if !may {
            reached(Point::VoteWithheld);
        }
        may
    }

    fn is_one_of_two(&self) -> bool {
        let membership = self.membership();
        membership.voters.len() == 2 && !membership.is_joint()
    }

    /// Whether a log that ends so has all that this replica has, or had when it left the group. What
    /// a damaged one of two has been sent since, the other one may have lost before it was on its own
    /// disk: that was not committed.
    fn is_up_to_date(&self, last: EntryId) -> bool {
        if self.floor.is_some() && self.is_one_of_two() {
            return true;
        }
        if last < self.left && last >= self.log.last() {
            reached(Point::VoteOfLeaver);
        }
        last >= self.log.last().max(self.left)
    }

    /// Nothing was heard of a leader, or nobody won.
    pub(super) fn election_timeout(&mut self, now: Duration) {
        self.leader = None;
        self.draw_deadline(now);
        if !self.may_stand() {
            self.part = Part::Follower;
            return;
        }
        self.part = Part::PreCandidate(BTreeSet::new());
        let word = Word::PreVote { last: self.log.last() };
        for to in self.others() {
            let message = Message { term: self.vote.term + 1, word: word.clone() };
            self.ready.now.push(Outgoing::Message { to, message });
        }
        self.granted(self.config.node, now);
    }

    pub(super) fn pre_vote(&mut self, from: NodeId, term: Term, last: EntryId, now: Duration) {
        let granted = term > self.vote.term
            && self.is_up_to_date(last)
            && self.may_vote(term)
            && !self.keeps_to_its_leader(now);
        // A grant names the term it is for; a refusal the term of the one who refuses, or its floor:
        // only for later ones will it ever vote.
        let term = if granted { term } else { self.vote.term.max(self.floor.unwrap_or(0)) };
        let message = Message { term, word: Word::PreVoteAnswer { granted } };
        self.ready.now.push(Outgoing::Message { to: from, message });
    }

    pub(super) fn pre_vote_answer(
        &mut self,
        from: NodeId,
        term: Term,
        granted: bool,
        now: Duration,
    ) {
        if granted {
            if term == self.vote.term + 1 && matches!(self.part, Part::PreCandidate(_)) {
                self.granted(from, now);
            }
        } else if term > self.vote.term {
            self.become_follower(term, None, now);
        }
    }

    /// Stands for election. Its vote for itself counts, and the others are asked, when it is on the
    /// disk: with it everything that its log holds.
    pub(super) fn stand(&mut self, released: Option<Term>, now: Duration) {
        let node = self.config.node;
        self.vote = Vote { term: self.vote.term + 1, candidate: Some(node) };
        self.vote_changed = true;
        self.part = Part::Candidate(BTreeSet::new());
        self.leader = None;
        self.heard = None;
        self.draw_deadline(now);
        for to in self.others() {
            let ask = self.message(to, Word::Vote { last: self.log.last(), released });
            self.ready.after.push(ask);
        }
    }

    pub(super) fn vote(
        &mut self,
        from: NodeId,
        term: Term,
        last: EntryId,
        released: Option<Term>,
        now: Duration,
    ) {
        if term > self.vote.term {
            let is_released = released.is_some_and(|released| released == self.vote.term);
            if self.keeps_to_its_leader(now) && !is_released {
                // Its term is not taken up: a node that was cut off unseats nobody.
                return;
            }
            self.become_follower(term, None, now);
        }
        let free = self.vote.candidate.is_none_or(|candidate| candidate == from);
        let granted = term == self.vote.term
            && free
            && self.leader.is_none()
            && self.is_up_to_date(last)
            && self.may_vote(term);
        if granted && self.vote.candidate.is_none() {
            self.vote.candidate = Some(from);
            self.vote_changed = true;
            self.draw_deadline(now);
        }
        let answer = self.message(from, Word::VoteAnswer { granted });
        self.ready.after.push(answer);
    }

    pub(super) fn vote_answer(&mut self, from: NodeId, term: Term, granted: bool, now: Duration) {
        if term > self.vote.term {
            self.become_follower(term, None, now);
        } else if granted && term == self.vote.term && matches!(self.part, Part::Candidate(_)) {
            self.granted(from, now);
        }
    }

    /// Somebody, itself included, is for it.
    pub(super) fn granted(&mut self, from: NodeId, now: Duration) {
        let membership = self.log.membership();
        let (Part::PreCandidate(granted) | Part::Candidate(granted)) = &mut self.part else {
            return;
        };
        granted.insert(from);
        if !membership.is_quorum(|node| granted.contains(&node)) {
            return;
        }
        match self.part {
            Part::PreCandidate(_) => self.stand(None, now),
            _ => self.lead(now),
        }
    }

    fn lead(&mut self, now: Duration) {
        let next = self.log.last().index + 1;
        let others = self.others().into_iter().map(|node| (node, Progress::new(next))).collect();
        self.part = Part::Leader(Leader {
            first: next,
            since: now,
            others,
            handing_over: None,
            released: false,
        });
        self.leader = Some(self.config.node);
        self.append_own(Payload::Blank);
        self.deadline = self.next_beat(now);
    }

    /// The leader asks this replica to take its place.
    pub(super) fn take_over(&mut self, from: NodeId, term: Term, now: Duration) {
        if term == self.vote.term && self.leader == Some(from) && self.may_stand() {
            self.stand(Some(term), now);
        }
    }
}
