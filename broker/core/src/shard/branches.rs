//! Branches of distributed transactions: prepared, and ended when somebody says so.
//!
//! A branch has a home shard, that of the slot to which its name is hashed. Its parts are prepared as
//! those of any transaction over several shards ([`Command::PrepareBranch`]), with the home shard as
//! their coordinator; then the branch is entered there ([`Command::EnterBranch`]), and from then on it is
//! prepared. Who ends it tells the home shard ([`Command::ResolveBranch`]): of several who do so
//! at once the first one is right. The parts hear of it from whoever ended the branch, or in the end from
//! the home shard's leader, and the record goes when all of them have carried it out.
//!
//! A part of a branch that was never entered asks the home shard in the end, as every part does that
//! waits for long, and there no record becomes a recorded abort: entering it is refused from then on.
//! Of one that was entered it hears just that, and waits on.
//!
//! What an operator has ended stays until the transaction manager has heard of it.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use paceline_reached::{Point, reached};
use serde::{Deserialize, Serialize};

use super::{
    ShardState,
    command::{Command, Outcome, Refused, TransactionId, Work},
    ends::{Decided, End},
    step::Step,
};
use crate::{
    UnixMillis,
    xa::{BranchInfo, BranchRefused, Resolver, Xid},
};

/// The most branches that are prepared in one home shard.
pub const MAX_BRANCHES: usize = 10_000;

/// The most bytes that parts of branches take in one shard; they stay in memory.
pub const MAX_BRANCH_BYTES: usize = 64 << 20;

/// A branch that is prepared, or has ended and is not carried out everywhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Branch {
    transaction: TransactionId,
    since: UnixMillis,
    /// Slots that have a part of it and have not forgotten it.
    waiting: BTreeSet<u32>,
    ended: Option<Ended>,
}

/// How a branch has ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Ended {
    commit: bool,
    by: Resolver,
}

impl Branch {
    /// Whether nobody will ask for it.
    fn is_over(&self) -> bool {
        let is_told = self.ended.is_some_and(|ended| ended.by == Resolver::Manager);
        is_told && self.waiting.is_empty()
    }
}

/// What follows from branches and parts of them.
#[derive(Clone, Debug, Default)]
pub(super) struct BranchesDerived {
    /// Branches by what their parts go by.
    names: BTreeMap<TransactionId, Xid>,
    /// What parts that are prepared here take in memory.
    pub(super) bytes: usize,
}

/// Of these branches, beside parts that take so many bytes. `None` where two branches are one transaction.
pub(super) fn derive(branches: &BTreeMap<Xid, Branch>, bytes: usize) -> Option<BranchesDerived> {
    let names = branches.iter().map(|(xid, branch)| (branch.transaction, xid.clone()));
    let names: BTreeMap<_, _> = names.collect();
    (names.len() == branches.len()).then_some(BranchesDerived { names, bytes })
}

impl ShardState {
    /// The branches that are prepared, and those that an operator has ended, in the order of their names;
    /// where this is their home shard.
    pub fn branches(&self) -> impl Iterator<Item = BranchInfo> + '_ {
        self.tables.branches.iter().filter_map(|(xid, branch)| {
            let ended = match branch.ended {
                Some(Ended { by: Resolver::Manager, .. }) => return None,
                Some(Ended { commit, by: Resolver::Operator }) => Some(commit),
                None => None,
            };
            let participants = branch.waiting.iter().copied().collect();
            Some(BranchInfo { xid: xid.clone(), since: branch.since, participants, ended })
        })
    }

    /// As [`ShardState::decided`], of branches.
    pub(super) fn resolved(&self) -> impl Iterator<Item = Decided> + '_ {
        self.tables.branches.values().flat_map(|branch| {
            let transaction = branch.transaction;
            branch.ended.into_iter().flat_map(move |Ended { commit, .. }| {
                let waiting = branch.waiting.iter();
                waiting.map(move |slot| Decided {
                    transaction,
                    participant: *slot,
                    commit,
                    is_branch: true,
                })
            })
        })
    }

    pub(super) fn execute_on_branch(&mut self, step: &mut Step, command: &Command) -> Outcome {
        let done = match command {
            Command::PrepareBranch { transaction, home, work } => {
                self.prepare_branch(step, *transaction, *home, work)
            }
            Command::EnterBranch { xid, transaction, participants } => {
                self.enter_branch(step, xid, *transaction, participants)
            }
            Command::ResolveBranch { xid, commit, by } => {
                return self.resolve_branch(xid, *commit, *by);
            }
            Command::ForgetBranch { xid } => self.forget_branch(xid),
            Command::ListBranches => return Outcome::Branches(self.branches().collect()),
            Command::GiveBack { transaction } => {
                self.finish(step, *transaction, End::GivenBack);
                Ok(())
            }
            other => unreachable!("it is about no branch: {other:?}"),
        };
        match done {
            Ok(()) => Outcome::Done,
            Err(why) => Outcome::Refused(why),
        }
    }

    fn prepare_branch(
        &mut self,
        step: &mut Step,
        transaction: TransactionId,
        home: u32,
        work: &Work,
    ) -> Result<(), Refused> {
        let messages: usize = work.publishes.iter().map(|message| message.footprint()).sum();
        // A part that is alone is taken, whatever it takes.
        if self.derived.branches.bytes > 0
            && self.derived.branches.bytes + messages > MAX_BRANCH_BYTES
        {
            return Err(Refused::Branch(BranchRefused::TooLarge(MAX_BRANCH_BYTES)));
        }
        self.prepare(step, transaction, home, work, true)
    }

    fn enter_branch(
        &mut self,
        step: &Step,
        xid: &Xid,
        transaction: TransactionId,
        participants: &[u32],
    ) -> Result<(), Refused> {
        let refused = match self.tables.branches.get(xid) {
            Some(_) => Some(BranchRefused::Exists),
            None if self.tables.decisions.contains_key(&transaction) => {
                reached(Point::BranchGivenUp);
                Some(BranchRefused::GivenUp)
            }
            None if self.tables.branches.len() >= MAX_BRANCHES => {
                Some(BranchRefused::TooMany(MAX_BRANCHES))
            }
            None => None,
        };
        if let Some(why) = refused {
            return Err(Refused::Branch(why));
        }
        reached(Point::BranchPrepared);
        let waiting = participants.iter().copied().collect();
        let branch = Branch { transaction, since: step.now, waiting, ended: None };
        self.tables.branches.insert(xid.clone(), branch);
        self.derived.branches.names.insert(transaction, xid.clone());
        Ok(())
    }

    fn resolve_branch(&mut self, xid: &Xid, commit: bool, by: Resolver) -> Outcome {
        let Some(branch) = self.tables.branches.get_mut(xid) else {
            reached(Point::BranchUnknown);
            return Outcome::Refused(Refused::Branch(BranchRefused::Unknown));
        };
        match &mut branch.ended {
            Some(ended) if ended.commit != commit => {
                let Ended { commit, by } = *ended;
                return Outcome::Refused(Refused::Branch(BranchRefused::Ended { commit, by }));
            }
            // The transaction manager agrees, and so has heard of it.
            Some(ended) if by == Resolver::Manager => ended.by = by,
            Some(_) => {}
            ended => *ended = Some(Ended { commit, by }),
        }
        let transaction = branch.transaction;
        let participants = branch.waiting.iter().copied().collect();
        self.drop_if_over(xid);
        Outcome::Resolved { transaction, participants }
    }

    fn forget_branch(&mut self, xid: &Xid) -> Result<(), Refused> {
        let branch = self.tables.branches.get_mut(xid);
        let branch = branch.ok_or(Refused::Branch(BranchRefused::Unknown))?;
        let ended = branch.ended.as_mut().ok_or(Refused::Branch(BranchRefused::Undecided))?;
        ended.by = Resolver::Manager;
        self.drop_if_over(xid);
        Ok(())
    }

    /// Whether a transaction, after which a participant asks, is a branch that was entered here.
    pub(super) fn is_entered_branch(&self, transaction: TransactionId) -> bool {
        let is_entered = self.derived.branches.names.contains_key(&transaction);
        if is_entered {
            reached(Point::BranchUndecided);
        }
        is_entered
    }

    /// A participant has carried out how a branch ended.
    pub(super) fn forget_part(&mut self, transaction: TransactionId, participant: u32) {
        let Some(xid) = self.derived.branches.names.get(&transaction).cloned() else { return };
        let branch = self.tables.branches.get_mut(&xid).expect("it goes with its name");
        if branch.ended.is_some() {
            branch.waiting.remove(&participant);
            self.drop_if_over(&xid);
        }
    }

    fn drop_if_over(&mut self, xid: &Xid) {
        if self.tables.branches[xid].is_over() {
            let branch = self.tables.branches.remove(xid).expect("looked up above");
            self.derived.branches.names.remove(&branch.transaction);
        }
    }
}
