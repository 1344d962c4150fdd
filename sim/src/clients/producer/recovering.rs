//! A producer as the transaction manager of its branches: it prepares one, decides, writes that down, and
//! then has the branch ended, or goes to another node before. Over every new connection it lists what is
//! prepared and ends what is its own as its log says. What it has not decided on when it lost the
//! connection it has decided against: nobody but itself commits.
//!
//! What it has decided to commit and does not find on a list has ended; it says so again, since only the
//! answer to that tells that all of it is carried out.

use std::{collections::BTreeMap, io, time::Duration};

use paceline_runtime::time;
use rand::RngExt;

use super::Producer;
use crate::{
    clients::{
        client::Connection,
        dialogue::{Asked, Branch, Said},
    },
    workload::{
        operation::{MessageId, Reply, TransactionId},
        population::Speaks,
    },
};

/// Of so many branches one is ended over another connection than it was prepared over.
const MOVES_ON: f64 = 0.15;
/// How often it is looked whether somebody has left a branch prepared.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a transaction manager has written down.
#[derive(Debug, Default)]
pub struct Log {
    /// What was decided of branches that may not have ended: whether they commit.
    decided: BTreeMap<TransactionId, bool>,
    /// Messages of those of them that commit, of which nobody has been told.
    untold: BTreeMap<TransactionId, Vec<MessageId>>,
}

impl Producer {
    /// Whether some of its transactions are branches of distributed ones.
    pub(super) fn is_distributed(&self) -> bool {
        self.plan.speaks == Speaks::OpenWire && self.plan.workload.distributed.0 > 0.0
    }

    pub(super) fn recover(&mut self, connection: &mut Connection) {
        connection.recover();
        self.wait_for(Asked::Recover, Vec::new(), None);
    }

    /// A branch is prepared: decides how it ends.
    pub(super) fn prepared(
        &mut self,
        connection: &mut Connection,
        number: TransactionId,
    ) -> io::Result<()> {
        let Some(messages) = self.answered(Asked::Prepare(number)) else {
            self.shared.recorder.stray(&format!("{:?}", Asked::Prepare(number)));
            return Ok(());
        };
        let commit = !self.random.random_bool(self.plan.workload.aborts.0);
        self.decide(number, commit, &messages);
        if self.random.random_bool(MOVES_ON) {
            if commit {
                self.log.untold.insert(number, messages);
            }
            return Err(io::Error::other("goes to another node to end what is prepared"));
        }
        let messages = if commit { messages } else { Vec::new() };
        connection.end_branch(Branch::Messages(number), commit, Asked::End(number));
        self.wait_for(Asked::End(number), messages, None);
        Ok(())
    }

    fn decide(&mut self, number: TransactionId, commit: bool, messages: &[MessageId]) {
        self.log.decided.insert(number, commit);
        if !commit {
            // Nothing can commit it any more, whether the broker gets to know or not.
            for id in messages {
                self.shared.recorder.replied(*id, Reply::Failed);
            }
        }
    }

    /// A branch was to be ended. It must be possible: it is prepared, or has ended as it is to.
    pub(super) fn ended(&mut self, number: TransactionId, reply: Reply) {
        let Some(messages) = self.answered(Asked::End(number)) else {
            return self.shared.recorder.stray(&format!("{:?}", Asked::End(number)));
        };
        if reply != Reply::Ok {
            let detail = format!("branch t{} was prepared and cannot be ended", number.0);
            return self.shared.recorder.nonsense("branches", detail);
        }
        self.log.decided.remove(&number);
        for id in messages {
            self.shared.recorder.replied(id, Reply::Ok);
        }
    }

    /// The connection is gone over which something was asked. Whether that was about a branch.
    pub(super) fn left_prepared(&mut self, asked: Asked, messages: &[MessageId]) -> bool {
        match asked {
            Asked::Prepare(number) => self.decide(number, false, messages),
            Asked::End(number) if !messages.is_empty() => {
                self.log.untold.insert(number, messages.to_vec());
            }
            Asked::End(_) | Asked::Recover => {}
            _ => return false,
        }
        true
    }

    /// These branches are prepared: ends its own as the log says, and those that consumers have left, which
    /// may end either way.
    pub(super) fn end_by_log(&mut self, connection: &mut Connection, branches: &[Branch]) {
        for branch in branches {
            match *branch {
                // What is prepared or ended over this connection is not for the log.
                Branch::Messages(number) => {
                    let Some(commit) = self.log.decided.get(&number).copied() else { continue };
                    let is_left = !commit || self.log.untold.contains_key(&number);
                    if is_left && !self.awaits(Asked::End(number)) {
                        let messages = self.log.untold.remove(&number).unwrap_or_default();
                        connection.end_branch(*branch, commit, Asked::End(number));
                        self.wait_for(Asked::End(number), messages, None);
                    }
                }
                Branch::Acknowledgements(of, _) => {
                    let recorder = self.shared.recorder.lock();
                    let is_left = recorder.history.closed.contains_key(&of);
                    drop(recorder);
                    if is_left {
                        connection.end_branch(*branch, of.0 % 2 == 0, Asked::Abandoned);
                    }
                }
            }
        }
        // What is on no list has ended, and is carried out at the latest when that is said again.
        for (number, messages) in std::mem::take(&mut self.log.untold) {
            connection.end_branch(Branch::Messages(number), true, Asked::End(number));
            self.wait_for(Asked::End(number), messages, None);
        }
    }

    /// Ends what is left prepared, its own and consumers', as long as it is let.
    pub(super) async fn keep_recovering(&mut self) {
        loop {
            time::sleep(LOOK_EVERY).await;
            // What cannot be asked now is asked the next time.
            let _ = self.recover_once().await;
        }
    }

    async fn recover_once(&mut self) -> io::Result<()> {
        let id = self.shared.next_connection();
        let node = self.next_node();
        let address = self.shared.address(self.plan.speaks, &node);
        let mut connection = Connection::open(self.plan.speaks, id, &address).await?;
        connection.recover();
        let branches = match connection.receive().await? {
            Said::Prepared(branches) => branches,
            other => return Err(io::Error::other(format!("who lists branches hears {other:?}"))),
        };
        for branch in branches {
            let commit = match branch {
                Branch::Messages(number) => self.log.decided.get(&number).copied(),
                Branch::Acknowledgements(of, _) => {
                    let recorder = self.shared.recorder.lock();
                    let is_left = recorder.history.closed.contains_key(&of);
                    is_left.then_some(of.0 % 2 == 0)
                }
            };
            if let Some(commit) = commit {
                connection.end_branch(branch, commit, Asked::Abandoned);
            }
        }
        connection.leave().await
    }
}
