//! The end of a branch of a distributed transaction: its home shard is told how it ends, then its parts
//! carry that out, and the home shard forgets. If this node dies in between, the home shard's leader goes
//! on where it stopped, see [`Doubts`](super::Doubts).

use std::collections::BTreeSet;

use super::{
    commit::{Progress, Send},
    result_of,
};
use crate::{
    operation::{Outcome, Refusal},
    shard::{self, Command, TransactionId},
    xa::{Resolver, Xid},
};

#[derive(Debug)]
enum Phase {
    /// The home shard was told.
    Telling,
    /// It has said which parts there are. Slots of those that have not carried it out yet.
    Finishing { transaction: TransactionId, missing: BTreeSet<u32> },
}

/// A branch that is being ended.
#[derive(Debug)]
pub(super) struct Resolution {
    pub(super) xid: Xid,
    pub(super) commit: bool,
    home: u32,
    /// Whether whoever holds what it was to settle hears of its end.
    holder_knows: bool,
    phase: Phase,
}

impl Resolution {
    /// Begins. `home` is the slot of the branch's home shard.
    pub(super) fn begin(
        (xid, home): (Xid, u32),
        commit: bool,
        by: Resolver,
        holder_knows: bool,
    ) -> (Self, Send) {
        let command = Command::ResolveBranch { xid: xid.clone(), commit, by };
        let phase = Phase::Telling;
        (Self { xid, commit, home, holder_knows, phase }, Send::awaited(home, command))
    }

    /// The shard of a slot has answered what it was sent last. The answer is given when the parts have
    /// carried it out, so that what the client does next finds all of it.
    pub(super) fn handle_outcome(
        &mut self,
        slot: u32,
        outcome: shard::Outcome,
        sends: &mut Vec<Send>,
    ) -> Progress {
        let over = |answer: Outcome| Progress { answer: Some(answer), is_over: true };
        match &mut self.phase {
            Phase::Telling => {
                let shard::Outcome::Resolved { transaction, participants } = outcome else {
                    let unknown = Err(Refusal::Unknown("its home shard did not say".into()));
                    return over(result_of(outcome).and(unknown));
                };
                let commit = self.commit;
                sends.extend(participants.iter().map(|slot| {
                    let command = match commit || self.holder_knows {
                        true => Command::Finish { transaction, commit },
                        false => Command::GiveBack { transaction },
                    };
                    Send::awaited(*slot, command)
                }));
                let missing: BTreeSet<u32> = participants.into_iter().collect();
                if missing.is_empty() {
                    return over(Ok(()));
                }
                self.phase = Phase::Finishing { transaction, missing };
                Progress::default()
            }
            Phase::Finishing { transaction, missing } => {
                missing.remove(&slot);
                if result_of(outcome).is_ok() {
                    let transaction = *transaction;
                    let command = Command::Forget { transaction, participant: slot };
                    sends.push(Send { awaited: false, ..Send::awaited(self.home, command) });
                }
                match missing.is_empty() {
                    true => over(Ok(())),
                    false => Progress::default(),
                }
            }
        }
    }
}
