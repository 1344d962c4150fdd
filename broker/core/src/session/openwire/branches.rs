//! Branches of distributed transactions, as a transaction manager drives them through an `XAResource`.
//!
//! The client sends BEGIN for every `start`, whether it begins the branch, joins it or resumes it, and END
//! for every `end`; what belongs to the branch carries its id. Nothing of it leaves the session before it
//! is prepared, or committed in one phase. A step about a branch that is not open here is about one that
//! is prepared, wherever that was.

use paceline_wire::openwire::{
    AnyStructure, DataArrayResponse, IntegerResponse, TransactionId, TransactionInfo,
    transaction_type,
};

use super::{
    Asked, OpenWireSession,
    answers::{Exception, Handled, Refused},
};
use crate::{
    operation::Refusal,
    session::Now,
    xa::{BranchRefused, Resolver, Xid},
};

/// What `XAResource.prepare` returns.
const XA_OK: i32 = 0;
const XA_RDONLY: i32 = 3;

/// Codes of `javax.transaction.xa.XAException`.
mod code {
    pub(super) const HEURISTIC_ROLLBACK: i32 = 6;
    pub(super) const HEURISTIC_COMMIT: i32 = 7;
    pub(super) const ROLLED_BACK: i32 = 100;
    pub(super) const UNKNOWN: i32 = -4;
    pub(super) const INVALID: i32 = -5;
    pub(super) const PROTOCOL: i32 = -6;
    pub(super) const DUPLICATE: i32 = -8;
}

impl OpenWireSession {
    /// A step of a branch. `id` is its name as the client has it.
    pub(super) fn handle_branch(
        &mut self,
        now: Now,
        id: &TransactionId,
        info: &TransactionInfo,
        response: Option<i32>,
    ) -> Result<Handled, Refused> {
        let xid = xid_of(id)?;
        let is_open = self.operations.is_open(id);
        match info.transaction_type {
            transaction_type::BEGIN if is_open => Ok(Handled::Done),
            transaction_type::BEGIN => {
                self.operations.begin(id.detached())?;
                Ok(Handled::Done)
            }
            transaction_type::END => Ok(Handled::Done),
            transaction_type::PREPARE if is_open => self.prepare(now, id, xid, response),
            transaction_type::COMMIT_ONE_PHASE if is_open => {
                self.check_sound(now, id)?;
                let asked = Asked::OnePhase(response);
                let done = self.operations.commit(now.elapsed, id, asked)?;
                Ok(if done.is_some() { Handled::Done } else { Handled::Later })
            }
            transaction_type::PREPARE | transaction_type::COMMIT_ONE_PHASE => {
                Err(refused(BranchRefused::Unknown))
            }
            transaction_type::COMMIT_TWO_PHASE if is_open => {
                Err(xa(code::PROTOCOL, "the transaction was not prepared"))
            }
            transaction_type::ROLLBACK if is_open => {
                self.doomed.remove(id);
                self.operations.abort(now.elapsed, id)?;
                self.rolled_back(now);
                Ok(Handled::Done)
            }
            step @ (transaction_type::COMMIT_TWO_PHASE | transaction_type::ROLLBACK) => {
                let commit = step == transaction_type::COMMIT_TWO_PHASE;
                let (by, asked) = (Resolver::Manager, Asked::Branch(response));
                self.operations.resolve(now.elapsed, id, xid, commit, by, asked);
                Ok(Handled::Later)
            }
            transaction_type::FORGET => {
                self.operations.forget_branch(now.elapsed, xid, Asked::Branch(response));
                Ok(Handled::Later)
            }
            other => {
                let why = format!("a distributed transaction knows no step {other}");
                Err(xa(code::INVALID, &why))
            }
        }
    }

    fn prepare(
        &mut self,
        now: Now,
        id: &TransactionId,
        xid: Xid,
        response: Option<i32>,
    ) -> Result<Handled, Refused> {
        self.check_sound(now, id)?;
        let asked = Asked::Prepared(response);
        if self.operations.prepare(now.elapsed, id, xid, asked)?.is_some() {
            self.vote(response, XA_RDONLY);
        }
        Ok(Handled::Later)
    }

    /// A branch of which a part was refused is rolled back.
    fn check_sound(&mut self, now: Now, id: &TransactionId) -> Result<(), Refused> {
        let Some(why) = self.doomed.remove(id) else { return Ok(()) };
        self.operations.abort(now.elapsed, id)?;
        self.rolled_back(now);
        Err(xa(code::ROLLED_BACK, &format!("a part of the transaction was refused: {why}")))
    }

    /// Which branches are prepared in the cluster.
    pub(super) fn recover(&mut self, now: Now, response: Option<i32>) -> Handled {
        self.operations.recover(now.elapsed, Asked::Recovered(response));
        Handled::Later
    }

    /// What was asked about branches is done.
    pub(super) fn answer_about_branch(&mut self, asked: &Asked) {
        match asked {
            Asked::Prepared(response) => self.vote(*response, XA_OK),
            Asked::OnePhase(Some(command)) | Asked::Branch(Some(command)) => self.respond(*command),
            Asked::Recovered(Some(command)) => {
                let found = std::mem::take(&mut self.listed);
                let data = found.iter().map(|it| AnyStructure::TransactionId(wire_id(&it.xid)));
                let (correlation_id, data) = (*command, data.collect());
                let list = DataArrayResponse { correlation_id, data, ..Default::default() };
                self.send(|command_id| DataArrayResponse { command_id, ..list }.into());
            }
            _ => {}
        }
    }

    /// What was asked about branches was refused.
    pub(super) fn refuse_about_branch(&mut self, now: Now, asked: &Asked, refusal: &Refusal) {
        let is_undone = matches!(asked, Asked::Prepared(_) | Asked::OnePhase(_));
        let Refused { exception, why } = match refusal {
            Refusal::Branch(why) => refused(*why),
            other if is_undone => xa(code::ROLLED_BACK, &other.to_string()),
            other => xa(code::PROTOCOL, &other.to_string()),
        };
        match asked {
            Asked::Prepared(Some(command))
            | Asked::OnePhase(Some(command))
            | Asked::Branch(Some(command))
            | Asked::Recovered(Some(command)) => self.except(*command, exception, &why),
            _ => self.report(exception, &why),
        }
        if is_undone {
            self.rolled_back(now);
        }
    }

    fn vote(&mut self, response: Option<i32>, result: i32) {
        let Some(correlation_id) = response else { return };
        let vote = IntegerResponse { correlation_id, result, ..IntegerResponse::default() };
        self.send(|command_id| IntegerResponse { command_id, ..vote }.into());
    }
}

impl Asked {
    /// Whether it is about a branch of a distributed transaction.
    pub(super) fn is_about_branch(&self) -> bool {
        matches!(
            self,
            Asked::Prepared(_) | Asked::OnePhase(_) | Asked::Branch(_) | Asked::Recovered(_)
        )
    }
}

fn xid_of(id: &TransactionId) -> Result<Xid, Refused> {
    match id {
        TransactionId::Xa { format, global, branch } => {
            Xid::new(*format, global, branch).map_err(|why| xa(code::INVALID, &why.to_string()))
        }
        TransactionId::Local { .. } => Err(xa(code::INVALID, "a local transaction is no branch")),
    }
}

fn wire_id(xid: &Xid) -> TransactionId {
    let bytes = bytes::Bytes::copy_from_slice;
    TransactionId::Xa {
        format: xid.format(),
        global: bytes(xid.global()),
        branch: bytes(xid.branch()),
    }
}

fn refused(why: BranchRefused) -> Refused {
    let code = match why {
        BranchRefused::Unknown => code::UNKNOWN,
        BranchRefused::Exists => code::DUPLICATE,
        BranchRefused::GivenUp | BranchRefused::TooMany(_) | BranchRefused::TooLarge(_) => {
            code::ROLLED_BACK
        }
        BranchRefused::Ended { commit: true, by: Resolver::Operator } => code::HEURISTIC_COMMIT,
        BranchRefused::Ended { commit: false, by: Resolver::Operator } => code::HEURISTIC_ROLLBACK,
        BranchRefused::Ended { by: Resolver::Manager, .. } | BranchRefused::Undecided => {
            code::PROTOCOL
        }
    };
    xa(code, &why.to_string())
}

/// The client reads the code off the end of the message.
fn xa(code: i32, why: &str) -> Refused {
    Refused::new(Exception::Xa, format!("{why}; xaErrorCode:{code}"))
}
