//! What an operator asks about branches of distributed transactions.

use paceline_core::{
    operation::{OpTag, Operation, Refusal},
    xa::{BranchInfo, Resolver, Xid},
};
use paceline_runtime::time;

use super::operator::BRANCHES_WITHIN;
use crate::{
    replication::protocol::{BranchEnd, BranchError},
    router::{ConnectionEvent, Router},
};

const TAG: OpTag = OpTag(0);

/// The branches that are prepared in the cluster, and those that an operator has ended.
///
/// # Errors
/// If a shard has not listed its own: an incomplete list would say of some that they are not there.
pub(super) async fn list(router: &Router) -> Result<Vec<BranchInfo>, BranchError> {
    carry_out(router, Operation::Recover { tag: TAG }).await
}

/// Ends a branch. Given again, it does nothing.
///
/// # Errors
/// If it cannot be ended like that, or nobody knows yet whether it was.
pub(super) async fn end(router: &Router, xid: Xid, end: BranchEnd) -> Result<(), BranchError> {
    let by = Resolver::Operator;
    let operation = match end {
        BranchEnd::Commit => Operation::Resolve { tag: TAG, xid, commit: true, by },
        BranchEnd::Rollback => Operation::Resolve { tag: TAG, xid, commit: false, by },
        BranchEnd::Forget => Operation::ForgetBranch { tag: TAG, xid },
    };
    carry_out(router, operation).await.map(drop)
}

/// Carries an operation out as a client's connection does; what it lists.
async fn carry_out(router: &Router, operation: Operation) -> Result<Vec<BranchInfo>, BranchError> {
    let (connection, mut events) = router.connect();
    connection.submit(operation);
    let ended = async {
        let mut listed = Vec::new();
        loop {
            match events.recv().await {
                Some(ConnectionEvent::Branches(_, found)) => listed = found,
                Some(ConnectionEvent::Outcome(_, outcome)) => return outcome.map(|()| listed),
                Some(_) => {}
                None => return Err(Refusal::Unknown("the node is about to end".into())),
            }
        }
    };
    match time::timeout(BRANCHES_WITHIN, ended).await {
        Ok(Ok(listed)) => Ok(listed),
        Ok(Err(Refusal::Branch(why))) => Err(BranchError::Refused(why)),
        Ok(Err(why)) => Err(BranchError::Unanswered(why.to_string())),
        Err(_) => {
            let within = BRANCHES_WITHIN.as_secs();
            let why = format!("a shard has had no leader for {within} s");
            Err(BranchError::Unanswered(why))
        }
    }
}
