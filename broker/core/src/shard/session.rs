//! Every command once: what a shard remembers of the nodes that send to it.
//!
//! A node numbers its commands 1, 2, 3, … and, after a change of leader, sends again whatever was
//! not answered. The shard applies a number exactly when it is the next one. One session per node
//! is kept, so the memory needed is bounded by the number of nodes.

use std::collections::BTreeMap;

use paceline_reached::{Point, reached};
use serde::{Deserialize, Serialize};

use super::command::{Origin, Outcome, SessionId};

/// The most commands of one session that may be unanswered at a time. Answers other than
/// [`Outcome::Done`] are remembered for so many numbers, so that a resend hears them again.
pub const SESSION_WINDOW: u64 = 16_384;

/// The newest life of one node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Session {
    incarnation: u64,
    /// The number applied last.
    last: u64,
    /// How the last [`SESSION_WINDOW`] commands ended, where that was not `Done`, nor a list.
    answers: BTreeMap<u64, Outcome>,
}

/// What is to become of a command.
pub(super) enum Admission {
    /// Apply it; `fresh` if it is its session's first.
    Apply { fresh: bool },
    /// Do nothing but answer.
    Answer(Outcome),
}

/// Judges the next command of `origin` by what is known of its node.
pub(super) fn admit(sessions: &BTreeMap<u64, Session>, origin: Origin) -> Admission {
    let SessionId { node, incarnation } = origin.session;
    let (last, fresh) = match sessions.get(&node) {
        Some(session) if incarnation < session.incarnation => {
            return Admission::Answer(Outcome::Superseded);
        }
        Some(session) if incarnation == session.incarnation => (session.last, false),
        _ => (0, true),
    };
    if (1..=last).contains(&origin.seq) {
        let answers = &sessions[&node].answers;
        let answer = answers.get(&origin.seq).cloned().unwrap_or(Outcome::Duplicate);
        reached(Point::CommandRepeated);
        return Admission::Answer(answer);
    }
    if origin.seq != last + 1 {
        return Admission::Answer(Outcome::Gap { expected: last + 1 });
    }
    Admission::Apply { fresh }
}

/// Remembers that the command of `origin`, which was admitted, ended with `outcome`.
pub(super) fn record(sessions: &mut BTreeMap<u64, Session>, origin: Origin, outcome: &Outcome) {
    let SessionId { node, incarnation } = origin.session;
    let session = sessions.entry(node).or_default();
    if session.incarnation != incarnation || origin.seq == 1 {
        *session = Session { incarnation, last: 0, answers: BTreeMap::new() };
    }
    assert_eq!(origin.seq, session.last + 1, "only the next command of a session is applied");
    session.last = origin.seq;
    // What a list says is as old as the answer, so it is made again instead.
    if !matches!(outcome, Outcome::Done | Outcome::Branches(_)) {
        session.answers.insert(origin.seq, outcome.clone());
    }
    while let Some(oldest) = session.answers.first_entry() {
        if *oldest.key() + SESSION_WINDOW > session.last {
            break;
        }
        oldest.remove();
    }
}

impl super::ShardState {
    /// The number last applied of a session, or 0 if it has not spoken or is superseded.
    pub fn last_seq(&self, session: SessionId) -> u64 {
        match self.tables.sessions.get(&session.node) {
            Some(known) if known.incarnation == session.incarnation => known.last,
            _ => 0,
        }
    }

    /// How a command that was applied before ended, or what else there is to say about it; `None`
    /// if it is the next of its session and waits to be applied.
    ///
    /// A leader asks before it begins to settle on a client's behalf: a resent settlement was
    /// carried out perhaps, and then its messages are in flight no more.
    pub fn answered(&self, origin: Origin) -> Option<Outcome> {
        match admit(&self.tables.sessions, origin) {
            Admission::Apply { .. } => None,
            Admission::Answer(outcome) => Some(outcome),
        }
    }
}
