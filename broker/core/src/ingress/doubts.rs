//! What a leader does about transactions whose ingress node may have died.
//!
//! A transaction that is prepared in a shard and not finished is asked after at its coordinator,
//! where no decision becomes an abort. A decision that a coordinator holds and that participants
//! have not all forgotten is carried out for them by the coordinator: a participant that has
//! finished knows of nothing to ask after, so nobody else would end what its ingress node left.
//!
//! A part of a branch of a distributed transaction that has been entered may wait for days. What asks
//! after it hears that it is entered, and asks less and less often: the home shard carries out how it ends,
//! as any decision.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use paceline_reached::{Point, reached};

use crate::shard::{Command, Decided, Outcome, ShardState, TransactionId};

/// Since when a leader has known of each transaction, or when it last asked.
///
/// How long is counted by the leader, since the clock of whoever prepared it may be wrong; and it
/// asks again and again, since nobody else may be left who would.
#[derive(Debug, Default)]
pub struct Doubts {
    prepared: BTreeMap<TransactionId, Noted>,
    decided: BTreeMap<(TransactionId, u32), Noted>,
}

/// The most that the time until a branch is asked after again is doubled.
const MOST_DOUBLINGS: u32 = 6;

#[derive(Clone, Copy, Debug)]
struct Noted {
    since: Duration,
    /// How often it was asked after.
    asked: u32,
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
    Finishing { commit: bool, gives_back: bool },
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
            state.prepared().map(|doubt| (doubt.transaction, doubt)).collect();
        let patience = |transaction: &TransactionId, asked: u32| match prepared[transaction] {
            doubt if doubt.is_branch => after * (1 << asked.min(MOST_DOUBLINGS)),
            _ => after,
        };
        for transaction in note(&mut self.prepared, prepared.keys().copied(), now, patience) {
            reached(Point::DoubtResolved);
            let coordinator = prepared[&transaction].coordinator;
            due.push(Inquiry { transaction, coordinator, participant: slot, step: Step::Asking });
        }
        let decided: BTreeMap<_, _> =
            state.decided().map(|it| ((it.transaction, it.participant), it)).collect();
        for key in note(&mut self.decided, decided.keys().copied(), now, |_, _| after) {
            reached(Point::DecisionCarriedOut);
            let (transaction, participant) = key;
            let Decided { commit, is_branch, .. } = decided[&key];
            // Whoever held what a branch was to settle need not have rolled it back.
            let step = Step::Finishing { commit, gives_back: is_branch && !commit };
            due.push(Inquiry { transaction, coordinator: slot, participant, step });
        }
        due
    }

    /// Another leadership begins, which knows of nothing.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Notes what there is, forgets what there is no more, and gives what is due: what has been there for its
/// patience, which may grow with the number of times that it was due.
fn note<K: Copy + Ord>(
    known: &mut BTreeMap<K, Noted>,
    there: impl Iterator<Item = K>,
    now: Duration,
    patience: impl Fn(&K, u32) -> Duration,
) -> BTreeSet<K> {
    let mut due = BTreeSet::new();
    let mut next = BTreeMap::new();
    for key in there {
        let mut noted = known.get(&key).copied().unwrap_or(Noted { since: now, asked: 0 });
        if now.saturating_sub(noted.since) >= patience(&key, noted.asked) {
            noted = Noted { since: now, asked: noted.asked.saturating_add(1) };
            due.insert(key);
        }
        next.insert(key, noted);
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
            Step::Finishing { gives_back: true, .. } => {
                (participant, Command::GiveBack { transaction })
            }
            Step::Finishing { commit, .. } => {
                (participant, Command::Finish { transaction, commit })
            }
            Step::Forgetting => (coordinator, Command::Forget { transaction, participant }),
        }
    }

    /// The command was answered. Whether there is another one.
    pub fn handle_outcome(&mut self, outcome: &Outcome) -> bool {
        self.step = match (self.step, outcome) {
            (Step::Asking, Outcome::Decided { commit }) => {
                Step::Finishing { commit: *commit, gives_back: false }
            }
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
