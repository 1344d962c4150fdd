//! What a leader does about transactions whose ingress node may have died.
//!
//! A transaction that is prepared in a shard and not finished is asked after at its coordinator,
//! where no decision becomes an abort. A decision that a coordinator holds and that participants
//! have not all forgotten is carried out for them by the coordinator: a participant that has
//! finished knows of nothing to ask after, so nobody else would end what its ingress node left.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use paceline_reached::{Point, reached};

use crate::shard::{Command, Outcome, ShardState, TransactionId};

/// Since when a leader has known of each transaction, or when it last asked.
///
/// How long is counted by the leader, since the clock of whoever prepared it may be wrong; and it
/// asks again and again, since nobody else may be left who would.
#[derive(Debug, Default)]
pub struct Doubts {
    prepared: BTreeMap<TransactionId, Duration>,
    decided: BTreeMap<(TransactionId, u32), Duration>,
}

/// One transaction being ended on behalf of an ingress node that has not done so: commands to send
/// one after the other, each when the one before was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inquiry {
    transaction: TransactionId,
    coordinator: u32,
    participant: u32,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Asking,
    Finishing { commit: bool },
    Forgetting,
}

impl Doubts {
    /// Looks at what the state of `slot`'s shard says. What has been there for longer than `after`
    /// is to be asked after now.
    pub fn look(
        &mut self,
        now: Duration,
        after: Duration,
        slot: u32,
        state: &ShardState,
    ) -> Vec<Inquiry> {
        let mut due = Vec::new();
        let prepared: BTreeMap<_, _> =
            state.prepared().map(|doubt| (doubt.transaction, doubt.coordinator)).collect();
        for transaction in note(&mut self.prepared, prepared.keys().copied(), now, after) {
            reached(Point::DoubtResolved);
            let coordinator = prepared[&transaction];
            due.push(Inquiry { transaction, coordinator, participant: slot, step: Step::Asking });
        }
        let decided: BTreeMap<_, _> = state
            .decided()
            .map(|(transaction, participant, commit)| ((transaction, participant), commit))
            .collect();
        for key in note(&mut self.decided, decided.keys().copied(), now, after) {
            reached(Point::DecisionCarriedOut);
            let (transaction, participant) = key;
            let step = Step::Finishing { commit: decided[&key] };
            due.push(Inquiry { transaction, coordinator: slot, participant, step });
        }
        due
    }

    /// Another leadership begins, which knows of nothing.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Notes what there is, forgets what there is no more, and gives what is due.
fn note<K: Copy + Ord>(
    known: &mut BTreeMap<K, Duration>,
    there: impl Iterator<Item = K>,
    now: Duration,
    after: Duration,
) -> BTreeSet<K> {
    let mut due = BTreeSet::new();
    let mut next = BTreeMap::new();
    for key in there {
        let since = known.get(&key).copied().unwrap_or(now);
        if now.saturating_sub(since) < after {
            next.insert(key, since);
        } else {
            next.insert(key, now);
            due.insert(key);
        }
    }
    *known = next;
    due
}

impl Inquiry {
    /// The command to send, and the slot of its shard.
    pub fn command(&self) -> (u32, Command) {
        let Self { transaction, coordinator, participant, step } = self.clone();
        match step {
            Step::Asking => {
                let participants = Vec::new();
                (coordinator, Command::Decide { transaction, commit: false, participants })
            }
            Step::Finishing { commit } => (participant, Command::Finish { transaction, commit }),
            Step::Forgetting => (coordinator, Command::Forget { transaction, participant }),
        }
    }

    /// The command was answered. Whether there is another one.
    pub fn handle_outcome(&mut self, outcome: &Outcome) -> bool {
        self.step = match (self.step, outcome) {
            (Step::Asking, Outcome::Decided { commit }) => Step::Finishing { commit: *commit },
            // Told again when a resend was answered already.
            (Step::Finishing { .. }, Outcome::Done | Outcome::Duplicate) => Step::Forgetting,
            _ => return false,
        };
        true
    }

    /// What it is about: a transaction, and the slot of the participant. A second inquiry about the
    /// same adds nothing to one under way.
    pub fn subject(&self) -> (TransactionId, u32) {
        (self.transaction, self.participant)
    }
}
