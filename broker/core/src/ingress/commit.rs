//! Transactions: all of one shard is one command; over several shards they are committed in two
//! phases that the ingress node runs.
//!
//! Every part is prepared in its shard; then the shard of the first publish (or settlement), the
//! coordinator, records the decision; then the parts are finished, and the coordinator forgets. If
//! this node dies in between, leaders go on where it stopped, see [`Doubts`](super::Doubts).

use std::collections::{BTreeMap, BTreeSet};

use super::result_of;
use crate::{
    operation::{Outcome, Refusal},
    shard::{self, Command, TransactionId, Work},
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
    fn awaited(slot: u32, command: Command) -> Self {
        Self { slot, command, holders: Vec::new(), awaited: true }
    }
}

#[derive(Debug)]
enum Phase {
    /// The one shard with a part in it carries all of it out.
    Single,
    /// Shards whose answer is missing, and what the answers so far come to.
    Preparing { missing: BTreeSet<u32>, wanted: Outcome },
    /// The coordinator was told what is wanted.
    Deciding { wanted: Outcome },
    /// It has said how the transaction ends. Shards that have not carried it out yet.
    Finishing { missing: BTreeSet<u32>, end: Outcome },
}

/// A transaction under way.
#[derive(Debug)]
pub(super) struct Commit {
    transaction: TransactionId,
    coordinator: u32,
    participants: Vec<u32>,
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
        let participants: Vec<u32> = shares.keys().copied().collect();
        let is_single = shares.len() == 1;
        sends.extend(shares.into_iter().map(|(slot, Share { work, holders })| {
            let command = if is_single {
                Command::Transact { work }
            } else {
                Command::Prepare { transaction, coordinator, work }
            };
            Send { slot, command, holders, awaited: true }
        }));
        let phase = if is_single {
            Phase::Single
        } else {
            Phase::Preparing { missing: participants.iter().copied().collect(), wanted: Ok(()) }
        };
        Self { transaction, coordinator, participants, phase }
    }

    /// The shard of a slot has answered what it was sent last. How the transaction ended, once that
    /// is known and carried out everywhere, so that what the client does next finds all of it.
    pub(super) fn handle_outcome(
        &mut self,
        slot: u32,
        outcome: shard::Outcome,
        sends: &mut Vec<Send>,
    ) -> Option<Outcome> {
        let (transaction, coordinator) = (self.transaction, self.coordinator);
        match &mut self.phase {
            Phase::Single => Some(result_of(outcome)),
            Phase::Preparing { missing, wanted } => {
                missing.remove(&slot);
                if let (Ok(()), Err(why)) = (&*wanted, result_of(outcome)) {
                    *wanted = Err(why);
                }
                if missing.is_empty() {
                    let wanted = std::mem::replace(wanted, Ok(()));
                    let decide = Command::Decide {
                        transaction,
                        commit: wanted.is_ok(),
                        participants: self.participants.clone(),
                    };
                    sends.push(Send::awaited(coordinator, decide));
                    self.phase = Phase::Deciding { wanted };
                }
                None
            }
            Phase::Deciding { wanted } => {
                let shard::Outcome::Decided { commit } = outcome else {
                    let undecided = Err(Refusal::Unknown("no decision was recorded".into()));
                    return Some(result_of(outcome).and(undecided));
                };
                let end = match (commit, std::mem::replace(wanted, Ok(()))) {
                    (true, _) => Ok(()),
                    (false, Err(why)) => Err(why),
                    (false, Ok(())) => Err(Refusal::Rejected(
                        "the transaction took too long and was rolled back".into(),
                    )),
                };
                for slot in &self.participants {
                    sends.push(Send::awaited(*slot, Command::Finish { transaction, commit }));
                }
                let missing = self.participants.iter().copied().collect();
                self.phase = Phase::Finishing { missing, end };
                None
            }
            Phase::Finishing { missing, end } => {
                missing.remove(&slot);
                if result_of(outcome).is_ok() {
                    let command = Command::Forget { transaction, participant: slot };
                    let (slot, holders) = (coordinator, Vec::new());
                    sends.push(Send { slot, command, holders, awaited: false });
                }
                missing.is_empty().then(|| end.clone())
            }
        }
    }
}
