//! Branches of distributed transactions as OpenWire has them.

use std::collections::BTreeSet;

use bytes::Bytes;
use paceline_wire::openwire::{
    AnyStructure, ExceptionResponse, TransactionId as WireTransaction, TransactionInfo,
    transaction_type,
};

use super::{
    dialogue::{Asked, Branch},
    openwire::OpenWire,
};
use crate::workload::{
    ids::ConnectionId,
    operation::{Reply, TransactionId},
};

/// How the ids of the run's transactions are made.
const FORMAT: i32 = 0x70_61_63;
/// What a resource manager says of a branch that it does not know.
const UNKNOWN: &str = "xaErrorCode:-4";

/// What a connection has to do with branches.
#[derive(Debug)]
pub struct Branches {
    connection: ConnectionId,
    /// Transactions of messages that are branches.
    messages: BTreeSet<TransactionId>,
    /// The number of the last branch of acknowledgements.
    last: u32,
    /// The share of transactions of acknowledgements that are to be branches,
    share: f64,
    /// and how far the next one is from being one.
    due: f64,
}

impl Branches {
    /// Of a connection.
    pub fn new(connection: ConnectionId) -> Self {
        Self { connection, messages: BTreeSet::new(), last: 0, share: 0.0, due: 0.0 }
    }

    pub fn distribute(&mut self, share: f64) {
        self.share = share;
    }

    /// The id of a transaction of messages, if it is a branch.
    pub fn id(&self, number: TransactionId) -> Option<WireTransaction> {
        self.messages.contains(&number).then(|| wire_id(Branch::Messages(number)))
    }

    /// A branch for the next acknowledgements, if they are to be in one.
    pub fn next(&mut self) -> Option<WireTransaction> {
        self.due += self.share;
        if self.due < 1.0 {
            return None;
        }
        self.due -= 1.0;
        self.last += 1;
        Some(wire_id(Branch::Acknowledgements(self.connection, self.last)))
    }
}

impl OpenWire {
    pub fn begin_branch(&mut self, number: TransactionId) {
        self.branches.messages.insert(number);
        self.begin(number);
    }

    pub fn prepare(&mut self, number: TransactionId) {
        let id = wire_id(Branch::Messages(number));
        self.transact(id.clone(), transaction_type::END, None);
        self.transact(id, transaction_type::PREPARE, Some(Asked::Prepare(number)));
    }

    pub fn end_branch(&mut self, branch: Branch, commit: bool, asked: Asked) {
        let step =
            if commit { transaction_type::COMMIT_TWO_PHASE } else { transaction_type::ROLLBACK };
        self.transact(wire_id(branch), step, Some(asked));
    }

    pub fn recover(&mut self) {
        let info = TransactionInfo {
            connection_id: Some(self.client.connection().clone()),
            transaction_type: transaction_type::RECOVER,
            ..TransactionInfo::default()
        };
        self.ask(info, Some(Asked::Recover));
    }

    /// A branch was prepared, or had nothing to do. One of acknowledgements is committed at once: what is
    /// still to be heard of `asked`.
    pub fn voted(&mut self, command: i32, asked: Asked) -> Option<(Asked, Reply)> {
        let Some(branch) = self.voting.remove(&command) else { return Some((asked, Reply::Ok)) };
        self.transact(branch, transaction_type::COMMIT_TWO_PHASE, Some(asked));
        None
    }
}

/// What an exception says of what was asked. A branch that is to end and is not there has ended.
pub fn refused(asked: Asked, response: &ExceptionResponse) -> Reply {
    let message = response.exception.as_ref().and_then(|it| it.message.as_ref());
    let is_unknown = message.is_some_and(|it| it.ends_with(UNKNOWN));
    let ends = matches!(asked, Asked::End(_) | Asked::Abandoned);
    if ends && is_unknown { Reply::Ok } else { Reply::Failed }
}

/// The branches of a list that are of the run.
pub fn listed(data: &[AnyStructure]) -> Vec<Branch> {
    let read = |it: &AnyStructure| match it {
        AnyStructure::TransactionId(WireTransaction::Xa { format: FORMAT, global, .. }) => {
            std::str::from_utf8(global).ok()?.parse().ok()
        }
        _ => None,
    };
    data.iter().filter_map(read).collect()
}

fn wire_id(branch: Branch) -> WireTransaction {
    let (global, branch) = (branch.to_string().into(), Bytes::from_static(b"1"));
    WireTransaction::Xa { format: FORMAT, global, branch }
}
