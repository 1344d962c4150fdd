//! Transactions: all of one shard is one command; over several shards they are committed in two
//! phases that the ingress node runs.
//!
//! Every part is prepared in its shard; then the shard of the first publish (or settlement), the
//! coordinator, records the decision; then the parts are finished, and the coordinator forgets. If
//! this node dies in between, leaders go on where it stopped, see [`Doubts`](super::Doubts).
//!
//! A part that was refused decides against the whole, and nobody but this node can decide for it. So
//! the answer does not wait for the coordinator then, nor for a shard that may have no leader, and
//! only the parts that were prepared are finished.
//!
//! A branch of a distributed transaction is prepared in the same way. Then it is entered in its home
//! shard instead of a decision, and that is all, until somebody ends it: see `branch`.

use std::collections::{BTreeMap, BTreeSet};

use super::result_of;
use crate::{
    operation::{Outcome, Refusal},
    shard::{self, Command, TransactionId, Work},
    xa::Xid,
};

/// A transaction's part in one shard.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Share {
    pub(super) work: Work,
    /// For each message that it settles, the number of the consumer that held it.
    pub(super) holders: Vec<u64>,
}

/// A command of the transaction for a slot's shard.
#[derive(Debug, PartialEq)]
pub(super) struct Send {
    pub(super) slot: u32,
    pub(super) command: Command,
    pub(super) holders: Vec<u64>,
    /// Whether the transaction wants to hear how it ended.
    pub(super) awaited: bool,
}

impl Send {
    pub(super) fn awaited(slot: u32, command: Command) -> Self {
        Self { slot, command, holders: Vec::new(), awaited: true }
    }
}

#[derive(Debug)]
enum Phase {
    /// The one shard with a part in it carries all of it out.
    Single,
    /// Shards whose answer is missing, and what the answers so far come to.
    Preparing { missing: BTreeSet<u32>, wanted: Outcome },
    /// All parts of a branch are prepared, and its home shard was told.
    Entering,
    /// The coordinator was told what is wanted. Whether that is to commit.
    Deciding { commit: bool },
    /// It has said how the transaction ends. Shards that have not carried it out yet, and the answer
    /// if it was not given before.
    Finishing { missing: BTreeSet<u32>, answer: Option<Outcome> },
}

/// How far a transaction has come.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Progress {
    /// How it ended, once that is known; given once. If it committed, it is carried out everywhere,
    /// so that what the client does next finds all of it.
    pub(super) answer: Option<Outcome>,
    /// Whether nothing is left to do.
    pub(super) is_over: bool,
}

/// A transaction under way.
#[derive(Debug)]
pub(super) struct Commit {
    transaction: TransactionId,
    coordinator: u32,
    /// Slots whose shard has prepared its part.
    prepared: Vec<u32>,
    /// The branch of a distributed transaction that is to be prepared, and no more.
    branch: Option<Xid>,
    phase: Phase,
}

impl Commit {
    /// Begins a transaction with at least one share. `transaction` names it if it has several.
    pub(super) fn begin(
        transaction: TransactionId,
        coordinator: u32,
        shares: BTreeMap<u32, Share>,
        sends: &mut Vec<Send>,
    ) -> Self {
        let is_single = shares.len() == 1;
        let phase = if is_single {
            Phase::Single
        } else {
            Phase::Preparing { missing: shares.keys().copied().collect(), wanted: Ok(()) }
        };
        sends.extend(shares.into_iter().map(|(slot, Share { work, holders })| {
            let command = if is_single {
                Command::Transact { work }
            } else {
                Command::Prepare { transaction, coordinator, work }
            };
            Send { slot, command, holders, awaited: true }
        }));
        Self { transaction, coordinator, prepared: Vec::new(), branch: None, phase }
    }

    /// Begins to prepare a branch of a distributed transaction. `home` is the slot of its home shard. The
    /// answer says whether it is prepared.
    pub(super) fn prepare(
        transaction: TransactionId,
        (xid, home): (Xid, u32),
        shares: BTreeMap<u32, Share>,
        sends: &mut Vec<Send>,
    ) -> Self {
        let missing: BTreeSet<u32> = shares.keys().copied().collect();
        sends.extend(shares.into_iter().map(|(slot, Share { work, holders })| {
            let command = Command::PrepareBranch { transaction, home, work };
            Send { slot, command, holders, awaited: true }
        }));
        let (prepared, branch) = (Vec::new(), Some(xid));
        let phase = match missing.is_empty() {
            true => Phase::Entering,
            false => Phase::Preparing { missing, wanted: Ok(()) },
        };
        let commit = Self { transaction, coordinator: home, prepared, branch, phase };
        if matches!(commit.phase, Phase::Entering) {
            sends.extend(commit.enter());
        }
        commit
    }

    /// The branch that is to be prepared, if it is one.
    pub(super) fn branch(&self) -> Option<&Xid> {
        self.branch.as_ref()
    }

    fn enter(&self) -> Option<Send> {
        let (transaction, xid) = (self.transaction, self.branch.clone()?);
        let participants = self.prepared.clone();
        let command = Command::EnterBranch { xid, transaction, participants };
        Some(Send::awaited(self.coordinator, command))
    }

    /// Undoes what was prepared, where that is anything.
    fn abandon(&mut self, answer: Option<Outcome>, sends: &mut Vec<Send>) -> Progress {
        if self.prepared.is_empty() {
            return Progress { answer, is_over: true };
        }
        self.decide(false, sends);
        Progress { answer, is_over: false }
    }

    fn decide(&mut self, commit: bool, sends: &mut Vec<Send>) {
        let (transaction, participants) = (self.transaction, self.prepared.clone());
        let decide = Command::Decide { transaction, commit, participants };
        sends.push(Send::awaited(self.coordinator, decide));
        self.phase = Phase::Deciding { commit };
    }

    /// The shard of a slot has answered what it was sent last.
    pub(super) fn handle_outcome(
        &mut self,
        slot: u32,
        outcome: shard::Outcome,
        sends: &mut Vec<Send>,
    ) -> Progress {
        let (transaction, coordinator) = (self.transaction, self.coordinator);
        match &mut self.phase {
            Phase::Single => Progress { answer: Some(result_of(outcome)), is_over: true },
            Phase::Preparing { missing, wanted } => {
                missing.remove(&slot);
                match result_of(outcome) {
                    Ok(()) => self.prepared.push(slot),
                    Err(why) if wanted.is_ok() => *wanted = Err(why),
                    Err(_) => {}
                }
                if !missing.is_empty() {
                    return Progress::default();
                }
                match std::mem::replace(wanted, Ok(())) {
                    Err(why) => self.abandon(Some(Err(why)), sends),
                    Ok(()) if self.branch.is_some() => {
                        sends.extend(self.enter());
                        self.phase = Phase::Entering;
                        Progress::default()
                    }
                    Ok(()) => {
                        self.decide(true, sends);
                        Progress::default()
                    }
                }
            }
            Phase::Entering => match result_of(outcome) {
                Err(why @ (Refusal::Branch(_) | Refusal::Rejected(_))) => {
                    self.abandon(Some(Err(why)), sends)
                }
                // Where nobody knows whether it was entered, the parts will hear of that.
                answer => Progress { answer: Some(answer), is_over: true },
            },
            Phase::Deciding { commit: wanted } => {
                let shard::Outcome::Decided { commit } = outcome else {
                    let undecided = Err(Refusal::Unknown("no decision was recorded".into()));
                    let answer = wanted.then(|| result_of(outcome).and(undecided));
                    return Progress { answer, is_over: true };
                };
                let answer = wanted.then(|| match commit {
                    true => Ok(()),
                    false => Err(Refusal::Rejected(
                        "the transaction took too long and was rolled back".into(),
                    )),
                });
                for slot in &self.prepared {
                    sends.push(Send::awaited(*slot, Command::Finish { transaction, commit }));
                }
                let missing = self.prepared.iter().copied().collect();
                self.phase = Phase::Finishing { missing, answer };
                Progress::default()
            }
            Phase::Finishing { missing, answer } => {
                missing.remove(&slot);
                if result_of(outcome).is_ok() {
                    let command = Command::Forget { transaction, participant: slot };
                    let (slot, holders) = (coordinator, Vec::new());
                    sends.push(Send { slot, command, holders, awaited: false });
                }
                match missing.is_empty() {
                    true => Progress { answer: answer.take(), is_over: true },
                    false => Progress::default(),
                }
            }
        }
    }
}
