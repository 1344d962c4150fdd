//! A client's session as a value: bytes in, operations and bytes out.
//!
//! One type per protocol, all driven alike. `handle_*` takes what happened (bytes arrived, an
//! operation ended, a message was delivered, time passed); `poll_*` gives what is to be done
//! (operations to submit, bytes to send, the next deadline). A session owns no socket, task, clock
//! or channel; the connection that drives it does.
//!
//! A protocol's own are its frames, its words and its order of events. What every client has
//! outstanding, unsettled and open, and the bounds on that, is [`Operations`], made of a [`ledger`]
//! of operations, [`consumers`] and [`transactions`].

mod consumers;
mod ledger;
mod limits;
mod operations;
pub mod stomp;
mod transactions;
mod window;

use std::time::Duration;

pub use self::limits::OperationLimits;
use self::operations::Operations;
use crate::UnixMillis;

/// The time at which something is handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Since the session began; never goes back. Timeouts are judged by it.
    pub elapsed: Duration,
    /// The wall clock, which may jump. Messages are stamped with it.
    pub wall: UnixMillis,
}

/// What a client asks for and may not have, whatever it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Violation {
    /// No unsettled delivery stands where it says.
    NotUnsettled,
    /// It has so many consumers, the most allowed.
    Consumers { max: usize },
    /// It has so many open transactions, the most allowed.
    Transactions { max: usize },
    /// A transaction of that name is open already.
    TransactionExists,
    /// No transaction of that name is open.
    NoTransaction,
    /// A transaction would hold more than so many messages and settlements.
    TransactionEntries { max: usize },
    /// A transaction would hold more than so many bytes of messages.
    TransactionBytes { max: usize },
}
