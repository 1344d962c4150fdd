//! Branches of distributed transactions: opened as any transaction, then prepared, and ended when somebody
//! says so, here or elsewhere.

use std::time::Duration;

use super::{Operations, Purpose};
use crate::{
    operation::{OpTag, Operation},
    session::{Violation, transactions::Transaction},
    xa::{Resolver, Xid},
};

impl<P: Purpose, T: Ord + Clone, L> Operations<P, T, L> {
    /// To make sure that a transaction can be carried out, and no more. Gives `purpose` back where it is
    /// to do nothing: then it has ended.
    pub(in crate::session) fn prepare(
        &mut self,
        now: Duration,
        transaction: &T,
        xid: Xid,
        purpose: P,
    ) -> Result<Option<P>, Violation> {
        let ended = self.transactions.end(transaction)?;
        if ended.is_empty() {
            return Ok(Some(purpose));
        }
        let pledges = ended.pledges();
        let Transaction { publishes, settles, bytes } = ended;
        let tag = self.outstanding.open(now, bytes, Some(purpose));
        let ends = settles.iter().map(|settle| (settle.unsettled.delivery, settle.how)).collect();
        self.queue.push_back(Operation::Prepare { tag, xid, publishes, settles: ends });
        self.preparing.insert(tag, (transaction.clone(), settles));
        self.redeem(now, pledges);
        Ok(None)
    }

    /// To end a branch that is prepared. What it was to settle can be settled again if it is rolled back
    /// and was prepared here.
    pub(in crate::session) fn resolve(
        &mut self,
        now: Duration,
        transaction: &T,
        xid: Xid,
        commit: bool,
        by: Resolver,
        purpose: P,
    ) {
        let tag = self.outstanding.open(now, 0, Some(purpose));
        let settles = self.prepared.remove(transaction);
        self.rolling_back.extend(settles.filter(|_| !commit).map(|settles| (tag, settles)));
        self.queue.push_back(Operation::Resolve { tag, xid, commit, by });
    }

    /// To know the branches that are prepared.
    pub(in crate::session) fn recover(&mut self, now: Duration, purpose: P) {
        let tag = self.outstanding.open(now, 0, Some(purpose));
        self.queue.push_back(Operation::Recover { tag });
    }

    /// To have it forgotten how an operator has ended a branch.
    pub(in crate::session) fn forget_branch(&mut self, now: Duration, xid: Xid, purpose: P) {
        let tag = self.outstanding.open(now, 0, Some(purpose));
        self.queue.push_back(Operation::ForgetBranch { tag, xid });
    }

    /// An operation has its outcome: what it settled, if it prepared or rolled back a branch, waits on or
    /// can be settled again.
    pub(super) fn handle_branch_outcome(&mut self, tag: OpTag, is_done: bool) {
        if let Some((transaction, settles)) = self.preparing.remove(&tag) {
            match is_done {
                true => _ = self.prepared.insert(transaction, settles),
                false => self.put_back(settles),
            }
        }
        if let Some(settles) = self.rolling_back.remove(&tag)
            && is_done
        {
            self.put_back(settles);
        }
    }
}
