//! What a follower does with what a leader sends.

use std::time::Duration;

use paceline_reached::{Point, reached};

use super::{Part, Replica};
use crate::{
    log::Log,
    message::{Appended, Message, Outgoing, Word},
    types::{Entry, EntryId, Index, Membership, NodeId, Term},
};

impl Replica {
    /// Whether `from`, which says that it leads in this term, is to be followed. If not, it is told
    /// why.
    pub(super) fn follow(
        &mut self,
        from: NodeId,
        term: Term,
        stamp: Duration,
        now: Duration,
    ) -> bool {
        if term < self.vote.term {
            self.refuse(from, self.vote.term, stamp);
            return false;
        }
        if let Some(floor) = self.floor.filter(|floor| term <= *floor) {
            // It may have counted on what was lost here. As if by a candidate it is told of a
            // later term.
            reached(Point::LeaderDethroned);
            self.refuse(from, self.vote.term.max(floor + 1), stamp);
            return false;
        }
        assert!(
            term > self.vote.term || !matches!(self.part, Part::Leader(_)),
            "{from} and {} both lead in term {term}",
            self.config.node
        );
        self.become_follower(term, Some(from), now);
        self.heard = Some(now);
        true
    }

    fn refuse(&mut self, to: NodeId, term: Term, stamp: Duration) {
        let word = self.answer(stamp, Appended::Refused);
        self.ready.now.push(Outgoing::Message { to, message: Message { term, word } });
    }

    pub(super) fn append(
        &mut self,
        from: NodeId,
        prev: EntryId,
        entries: Vec<Entry>,
        commit: Index,
        stamp: Duration,
    ) {
        // What is committed agrees with every leader's log, and what a snapshot stands for is.
        if prev.index > self.commit && !self.log.has(prev) {
            let base = self.log.base();
            let hint = self.log.agrees_until(prev.index, prev.term).unwrap_or(base);
            let outcome = Appended::Conflict { prev: prev.index, hint };
            return self.promise(from, self.answer(stamp, outcome), 0);
        }
        let upto = entries.last().map_or(prev.index, |entry| entry.id.index);
        for entry in entries {
            if entry.id.index <= self.commit || self.log.has(entry.id) {
                continue;
            }
            if entry.id.index <= self.log.last().index {
                self.cut(entry.id.index);
            }
            self.log_entry(entry);
        }
        self.commit = self.commit.max(commit.min(upto));
        self.stored(from, upto, stamp);
    }

    /// Drops the log from `index` on.
    fn cut(&mut self, index: Index) {
        assert!(index > self.commit, "entry {index} is committed and was to be cut off");
        self.log.truncate(index);
        self.stable = self.stable.min(index - 1);
        self.ready.entries.retain(|entry| entry.id.index < index);
        if index <= self.handed_out {
            self.ready.truncate = Some(self.ready.truncate.map_or(index, |it| it.min(index)));
            self.handed_out = index - 1;
        }
    }

    /// Says that the logs agree up to `upto`.
    fn stored(&mut self, to: NodeId, upto: Index, stamp: Duration) {
        let last = self.log.last();
        let outcome = Appended::Stored { upto, last, stable: self.stable };
        self.promise(to, self.answer(stamp, outcome), upto);
    }

    fn answer(&self, stamp: Duration, outcome: Appended) -> Word {
        Word::AppendAnswer { stamp, outcome, promise: self.config.promise }
    }

    /// Says that it follows: at once if its promise not to vote otherwise is on the disk, and its log
    /// up to `upto`, or when they are.
    fn promise(&mut self, to: NodeId, word: Word, upto: Index) {
        let answer = self.message(to, word);
        let is_promised = !self.vote_changed && self.stable_term == self.vote.term;
        match is_promised && upto <= self.stable {
            true => self.ready.now.push(answer),
            false => self.ready.after.push(answer),
        }
    }

    pub(super) fn install(
        &mut self,
        from: NodeId,
        last: EntryId,
        membership: Membership,
        stamp: Duration,
    ) {
        if self.log.has(last) {
            // Nothing of it is news but that it is committed, and what stands behind it stays.
            self.commit = self.commit.max(last.index);
        }
        if last.index > self.commit {
            self.log = Log::new(last, membership.clone());
            self.commit = last.index;
            self.stable = 0;
            self.handed_out = last.index;
            self.ready.entries.clear();
            self.ready.truncate = None;
            self.ready.snapshot = Some((last, membership));
            let outcome = Appended::Stored { upto: last.index, last, stable: last.index };
            let answer = self.message(from, self.answer(stamp, outcome));
            self.ready.after.push(answer);
        } else {
            self.stored(from, last.index, stamp);
        }
    }
}
