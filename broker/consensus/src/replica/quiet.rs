//! Beats of groups in which nothing happens: most of what a node with many groups says and hears.

use std::time::Duration;

use super::{Part, Replica};
use crate::{
    message::{Appended, Message, Outgoing, Word},
    progress::Sending,
    types::NodeId,
};

/// What follows from a word that changes nothing but when its sender was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quiet {
    /// This is to be sent back.
    Answer(Message),
    /// Nothing.
    Heard,
}

impl Replica {
    /// Takes in a leader's beat, or the answer to one, if nothing but an answer follows from it. It
    /// does then what [`Replica::handle_message`] and [`Replica::ready`] would do, at a fraction of
    /// the cost. With `None` it has done nothing.
    pub fn handle_quiet(
        &mut self,
        from: NodeId,
        message: &Message,
        now: Duration,
    ) -> Option<Quiet> {
        let Message { term, word } = message;
        if *term != self.vote.term || !self.ready.is_empty() {
            return None;
        }
        let last = self.log.last();
        match (word, &mut self.part) {
            (Word::Append { prev, entries, commit, stamp }, Part::Follower)
                if entries.is_empty()
                    && *prev == last
                    && *commit <= self.commit
                    && self.stable == last.index
                    && self.leader == Some(from)
                    && self.floor.is_none()
                    && self.stable_term == self.vote.term
                    && !self.vote_changed =>
            {
                self.heard = Some(now);
                self.draw_deadline(now);
                let outcome = Appended::Stored { upto: last.index, last, stable: last.index };
                let promise = self.config.promise;
                let word = Word::AppendAnswer { stamp: *stamp, outcome, promise };
                Some(Quiet::Answer(Message { term: *term, word }))
            }
            (Word::AppendAnswer { stamp, outcome, promise }, Part::Leader(leader))
                if *outcome
                    == (Appended::Stored { upto: last.index, last, stable: last.index })
                    && self.commit == last.index
                    && leader.handing_over.is_none() =>
            {
                let other = leader.others.get_mut(&from)?;
                let is_level =
                    matches!(&other.sending, Sending::Streaming(sent) if sent.is_empty());
                if !is_level || other.stored != last.index || other.promise != *promise {
                    return None;
                }
                other.answered(*stamp, *promise);
                Some(Quiet::Heard)
            }
            _ => None,
        }
    }

    /// Does what is due of a leader that has committed all it has, if nothing but words to the others
    /// follow from it. It does then what [`Replica::handle_timeout`] and [`Replica::ready`] would do, at
    /// a fraction of the cost. With false it has done nothing.
    pub fn beat_quietly(&mut self, now: Duration, mut send: impl FnMut(NodeId, Message)) -> bool {
        let last = self.log.last().index;
        let Part::Leader(leader) = &self.part else { return false };
        let is_quiet = now >= self.deadline
            && self.ready.is_empty()
            && !self.vote_changed
            && self.commit == last
            && leader.handing_over.is_none();
        if !is_quiet || now.saturating_sub(self.quorum_heard()) >= self.config.patience {
            return false;
        }
        self.beat(now);
        for outgoing in self.ready.now.drain(..) {
            match outgoing {
                Outgoing::Message { to, message } => send(to, message),
                other => unreachable!("a beat is no {other:?}"),
            }
        }
        true
    }

    /// Itself as if it had handed out so many fewer, in which nothing was written.
    #[cfg(test)]
    pub(crate) fn uncounted(mut self, count: u64) -> Self {
        self.numbers -= count;
        self
    }
}
