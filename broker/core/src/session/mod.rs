//! A client's session as a value: bytes in, operations and bytes out.
//!
//! One type per protocol, all driven alike as a [`Session`]. `handle_*` takes what happened (bytes
//! arrived, an operation ended, a message was delivered, time passed); `poll_*` gives what is to be
//! done (operations to submit, bytes to send, the next deadline). A session owns no socket, task,
//! clock or channel; the connection that drives it does.
//!
//! A protocol's own are its frames, its words and its order of events. What every client has
//! outstanding, unsettled and open, and the bounds on that, is `operations::Operations`, made of a
//! ledger, consumers and transactions.

mod advisory;
mod consumers;
mod ledger;
mod limits;
pub mod openwire;
mod operations;
mod options;
pub mod stomp;
mod transactions;
mod window;

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use paceline_wire::Expected;

use self::operations::Operations;
pub use self::{advisory::Origin, limits::OperationLimits};
use crate::{
    Destination, Message, UnixMillis,
    operation::{ConsumerId, Delivery, OpTag, Operation, Outcome},
    presence::Announcement,
    schedule::Schedule,
    xa::BranchInfo,
};

/// The time at which something is handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Since the session began; never goes back. Timeouts are judged by it.
    pub elapsed: Duration,
    /// The wall clock, which may jump. Messages are stamped with it.
    pub wall: UnixMillis,
}

/// Where clients that speak a session's protocol find the cluster, as far as this node knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brokers {
    /// Nodes that serve clients and are to go on doing so, as `host:port`.
    pub addresses: Vec<String>,
    /// Whether this node is not among them, though there are others: its clients had better go there.
    pub moves_on: bool,
}

/// One client's session in one protocol. See the module's documentation.
pub trait Session: Sized + Send + 'static {
    /// What the node's configuration says about such sessions.
    type Config: Send + Sync + 'static;

    /// A session that begins now. `name` must be unique over the cluster and over restarts: ids of
    /// messages are made of it.
    fn new(config: Arc<Self::Config>, name: Arc<str>) -> Self;

    /// All that a client is sent for which there is no session, and why that is.
    fn turn_away(why: &str) -> BytesMut;

    // ---- what happened --------------------------------------------------------------------------

    /// The buffer that arriving bytes are appended to before [`Self::handle_input`] is called. To be
    /// filled only while [`Self::wants_input`] says so; what it gets besides is kept, whatever it
    /// costs.
    fn input(&mut self) -> &mut BytesMut;

    /// Lets go of the memory that a large frame came in, but for what follows it.
    fn shrink_input(&mut self);

    /// Bytes were appended to [`Self::input`].
    fn handle_input(&mut self, now: Now);

    /// The client will send no more. What it sent is still carried out.
    fn handle_eof(&mut self, now: Now);

    /// The connection broke. What the client sent is still carried out, but nothing can be answered.
    fn handle_lost(&mut self, now: Now);

    /// The connection was not reading, for want of room; the silence is not the client's.
    fn handle_held_back(&mut self, now: Now);

    /// An operation has ended.
    ///
    /// # Panics
    ///
    /// If no such operation is outstanding.
    fn handle_outcome(&mut self, now: Now, tag: OpTag, outcome: Outcome);

    /// What an operation publishes waits for room in its queue, or does so no longer. As long as it
    /// does, the client need not hear of it.
    fn handle_held(&mut self, now: Now, tag: OpTag, is_held: bool);

    /// A message for one of the session's consumers. One for a consumer that has ended is dropped:
    /// its end gave it back.
    fn handle_delivery(&mut self, delivery: Delivery);

    /// One of the session's consumers gets nothing more, since what it consumed is another's or gone.
    fn handle_detached(&mut self, now: Now, consumer: ConsumerId, why: &str);

    /// One of the session's consumers only looks at what is in a queue, and has been given all of it.
    fn handle_browse_end(&mut self, consumer: ConsumerId);

    /// The branches of distributed transactions that are prepared in the cluster: what an operation has
    /// asked for. Its outcome follows at once.
    fn handle_branches(&mut self, _found: Vec<BranchInfo>) {}

    /// A deadline that [`Self::poll_timeout`] gave may have passed.
    fn handle_timeout(&mut self, now: Now);

    /// Other nodes are there for clients than before, or it is the first time to hear of them. Not
    /// every protocol can tell its clients.
    fn handle_brokers(&mut self, _brokers: &Arc<Brokers>) {}

    /// The server ends the session, because it is going away or has no room: no more input is taken,
    /// what is outstanding ends, and the client is told why.
    fn shut_down(&mut self, now: Now, why: &str);

    // ---- what is to be done ---------------------------------------------------------------------

    /// The next operation to submit. Still to be called once the session is closed: a client's last
    /// frames may stand before the one that closed it.
    fn poll_operation(&mut self) -> Option<Operation>;

    /// What to tell others of the client next. To be called wherever [`Self::poll_operation`] is.
    fn poll_announcement(&mut self) -> Option<Announcement>;

    /// Appends bytes to send, some 64 KiB at a time; false where there are none. What is handed out
    /// counts as sent.
    fn poll_transmit(&mut self, now: Now, out: &mut BytesMut) -> bool;

    /// Since the session began: when [`Self::handle_timeout`] is to be called at the latest.
    fn poll_timeout(&self) -> Option<Duration>;

    /// Whether to read on. False while the client has caused more than it may at a time, and for
    /// good once the session ends.
    fn wants_input(&self) -> bool;

    /// What the unfinished frame in [`Self::input`] may come to need there; `None` once the session
    /// takes no more.
    fn expected(&self) -> Option<Expected>;

    /// Whether the session is over. What [`Self::poll_operation`] and [`Self::poll_transmit`] still
    /// give is to be carried out; then the connection closes.
    fn is_closed(&self) -> bool;
}

/// A message that was read, for each of its destinations. An error says why it cannot be sent to one.
fn sent_to(
    mut read: Message,
    all: &[Destination],
    now: UnixMillis,
) -> Result<Vec<Arc<Message>>, String> {
    let confined = |mut message: Message| -> Result<_, String> {
        message.confine(now);
        Schedule::of(&message)?;
        Ok(Arc::new(message))
    };
    let Some((last, others)) = all.split_last() else { return Ok(Vec::new()) };
    let mut messages = Vec::with_capacity(all.len());
    for other in others {
        messages.push(confined(Message { destination: other.clone(), ..read.clone() })?);
    }
    read.destination = last.clone();
    messages.push(confined(read)?);
    Ok(messages)
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
    /// A transaction, or what goes to several destinations at once, would be more than so many messages
    /// and settlements.
    TransactionEntries { max: usize },
    /// It would be more than so many bytes of messages.
    TransactionBytes { max: usize },
}
