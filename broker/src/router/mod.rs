//! The ingress side of a node: takes the operations of its connections to the shards they concern
//! and brings outcomes and deliveries back.
//!
//! A connection knows destinations, never shards or nodes.

use paceline_core::operation::{Delivery, OpTag, Operation, Outcome, Refusal};
use tokio::sync::mpsc;

/// What a connection is told.
#[derive(Clone, Debug, PartialEq)]
pub enum ConnectionEvent {
    /// An operation has ended. Outcomes come in any order.
    Outcome(OpTag, Outcome),
    /// A message for one of the connection's consumers. The deliveries of one destination to one
    /// consumer come in order.
    Delivery(Delivery),
}

/// Connects a node's clients to the cluster. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Router {}

impl Router {
    /// Registers a connection.
    ///
    /// The receiver is unbounded but what it holds is bounded by what the connection asked for:
    /// one outcome for each operation, and at most `prefetch` deliveries for each consumer.
    pub fn connect(&self) -> (ConnectionHandle, mpsc::UnboundedReceiver<ConnectionEvent>) {
        let (events, receiver) = mpsc::unbounded_channel();
        (ConnectionHandle { events }, receiver)
    }
}

/// One connection's way into the cluster.
///
/// Dropping it ends all its consumers and gives back what they had not settled; operations already
/// submitted are carried out.
#[derive(Debug)]
pub struct ConnectionHandle {
    events: mpsc::UnboundedSender<ConnectionEvent>,
}

impl ConnectionHandle {
    /// Sends an operation on its way. Never blocks; operations on one destination are carried out
    /// in the order they were submitted. A caller that ignores [`Self::ready`] is not held back.
    pub fn submit(&self, operation: Operation) {
        let tag = operation.tag();
        let refusal = Refusal::Rejected("this node serves no shard".into());
        // A closed receiver means that the connection is going away and needs no answer.
        let _ = self.events.send(ConnectionEvent::Outcome(tag, Err(refusal)));
    }

    /// Waits until the cluster has caught up with what this connection has submitted. A connection
    /// awaits it before it reads more from its socket, so that a fast producer is held back by TCP
    /// and not by memory. Cancel-safe.
    pub async fn ready(&self) {}
}
