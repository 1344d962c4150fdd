//! Branches of distributed transactions as OpenWire has them.

use std::collections::BTreeSet;

use bytes::Bytes;
use paceline_wire::openwire::{AnyStructure, ExceptionResponse, TransactionId as WireTransaction};

use super::dialogue::{Asked, Branch};
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

    /// A transaction of messages is a branch.
    pub fn add(&mut self, number: TransactionId) {
        self.messages.insert(number);
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

/// What a branch is called.
pub fn wire_id(branch: Branch) -> WireTransaction {
    let (global, branch) = (branch.to_string().into(), Bytes::from_static(b"1"));
    WireTransaction::Xa { format: FORMAT, global, branch }
}
