//! One connection of a client of the run, whatever it speaks. What is to be done its owner says; how that
//! is sent and how its reply is classified, the protocol (`stomp`, `openwire`). An answer carries the
//! [`Asked`] that names its operation.

use std::{io, time::Duration};

use paceline_runtime::time;
use paceline_scenario::format::AckMode;

use super::{
    dialogue::{Asked, Branch, Handle, Said, Sending, Source},
    openwire::OpenWire,
    stomp::Stomp,
};
use crate::workload::{
    ids::ConnectionId,
    operation::{How, TransactionId},
    population::Speaks,
};

/// A connection to one node.
pub struct Connection {
    /// Unique over the run.
    pub id: ConnectionId,
    speaker: Speaker,
}

enum Speaker {
    Stomp(Box<Stomp>),
    OpenWire(Box<OpenWire>),
}

/// The same call, whatever the client speaks.
macro_rules! say {
    ($self:ident, $speaker:ident => $call:expr) => {
        match &mut $self.speaker {
            Speaker::Stomp($speaker) => $call,
            Speaker::OpenWire($speaker) => $call,
        }
    };
}

impl Connection {
    /// Connects to a node at its `host:port`, as far as its word that all is well.
    pub async fn open(speaks: Speaks, id: ConnectionId, address: &str) -> io::Result<Self> {
        Self::open_as(speaks, id, address, None).await
    }

    /// The same with a client id, by which durable subscriptions go.
    pub async fn open_as(
        speaks: Speaks,
        id: ConnectionId,
        address: &str,
        client: Option<String>,
    ) -> io::Result<Self> {
        let speaker = match speaks {
            Speaks::Stomp => Speaker::Stomp(Stomp::open(address, client).await?.into()),
            Speaks::OpenWire => {
                Speaker::OpenWire(OpenWire::open(id, address, client).await?.into())
            }
        };
        Ok(Self { id, speaker })
    }

    // What is sent. A connection that is gone shows when it is read.

    /// Sends a message. Outside of transactions it is answered.
    pub fn publish(&mut self, sending: &Sending<'_>) {
        say!(self, it => it.publish(sending));
    }

    /// Begins a transaction of messages.
    pub fn begin(&mut self, transaction: TransactionId) {
        say!(self, it => it.begin(transaction));
    }

    /// Ends it, which is answered.
    pub fn commit(&mut self, transaction: TransactionId) {
        say!(self, it => it.commit(transaction));
    }

    /// Ends it with nothing done.
    pub fn abort(&mut self, transaction: TransactionId) {
        say!(self, it => it.abort(transaction));
    }

    /// Such a share of the transactions of acknowledgements are branches of distributed ones, where the
    /// protocol has those.
    pub fn distribute(&mut self, share: f64) {
        if let Speaker::OpenWire(it) = &mut self.speaker {
            it.branches.distribute(share);
        }
    }

    /// Begins a branch of messages.
    pub fn begin_branch(&mut self, transaction: TransactionId) {
        self.openwire().begin_branch(transaction);
    }

    /// Says that it is complete, and asks whether it can be committed, which is answered.
    pub fn prepare(&mut self, transaction: TransactionId) {
        self.openwire().prepare(transaction);
    }

    /// Ends a branch that is prepared, which is answered as `asked`.
    pub fn end_branch(&mut self, branch: Branch, commit: bool, asked: Asked) {
        self.openwire().end_branch(branch, commit, asked);
    }

    /// Asks which branches are prepared.
    pub fn recover(&mut self) {
        self.openwire().recover();
    }

    fn openwire(&mut self) -> &mut OpenWire {
        match &mut self.speaker {
            Speaker::OpenWire(it) => it,
            Speaker::Stomp(_) => unreachable!("validated: STOMP has no distributed transactions"),
        }
    }

    /// Begins to receive, which is answered. Numbers count from 0.
    pub fn subscribe(&mut self, number: usize, source: &Source, mode: AckMode, prefetch: u32) {
        say!(self, it => it.subscribe(number, source, mode, prefetch));
    }

    /// Deletes a durable subscription that has ended, which is answered.
    pub fn forget(&mut self, number: usize, durable: &str) {
        say!(self, it => it.forget(number, durable));
    }

    /// Settles deliveries of a subscription, which is answered if there is an index. Of several, they are
    /// all that are open up to the last.
    pub fn settle(&mut self, number: usize, how: How, handles: &[Handle], index: Option<u32>) {
        say!(self, it => it.settle(number, how, handles, index));
    }

    /// Accepts deliveries in a transaction of their own, which is answered, each by
    /// itself or, with `up_to`, as [`Self::settle`] does. Without an index the transaction comes to
    /// nothing.
    pub fn settle_together(
        &mut self,
        deliveries: &[(usize, Handle)],
        up_to: bool,
        index: Option<u32>,
    ) {
        say!(self, it => it.settle_together(deliveries, up_to, index));
    }

    /// Says that deliveries have come so that more may be sent, and settles nothing.
    pub fn delivered(&mut self, number: usize, handles: &[Handle]) {
        match &mut self.speaker {
            Speaker::Stomp(_) => {}
            Speaker::OpenWire(it) => it.delivered(number, handles),
        }
    }

    /// Asks for one message and waits for it so many milliseconds, for ever with 0 and not at all with
    /// -1.
    pub fn pull(&mut self, number: usize, timeout: i64) {
        match &mut self.speaker {
            Speaker::Stomp(_) => unreachable!("validated: STOMP clients have a prefetch"),
            Speaker::OpenWire(it) => it.pull(number, timeout),
        }
    }

    /// Ends a subscription of which `seen` is the place of the last delivery that was looked at.
    /// It is answered if there is an index.
    pub fn unsubscribe(&mut self, number: usize, seen: i64, index: Option<u32>) {
        say!(self, it => it.unsubscribe(number, seen, index));
    }

    /// Says nothing from now on, and leaves the connection open.
    pub fn fall_silent(&mut self) {
        say!(self, it => it.fall_silent());
    }

    /// Takes its leave in good order.
    pub async fn leave(&mut self) -> io::Result<()> {
        say!(self, it => it.leave().await)
    }

    /// What the broker says next, within the time a silent server is given. May be dropped while it
    /// waits.
    pub async fn receive(&mut self) -> io::Result<Said> {
        say!(self, it => it.receive().await)
    }
}

/// Waits longer after each failure in a row.
#[derive(Debug, Default)]
pub struct BackOff {
    failures: u32,
}

impl BackOff {
    /// Connecting worked.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Waits before the next attempt.
    pub async fn wait(&mut self) {
        let delay = Duration::from_millis(50) * 2u32.pow(self.failures.min(4));
        self.failures += 1;
        time::sleep(delay).await;
    }
}
