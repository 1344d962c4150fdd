//! The ingress side of a node as values: from a client's operations to commands of shards, and back.
//!
//! - [`Connection`] is one client's side: it turns [`Operation`]s into [`Request`]s of shards, runs
//!   its transactions, and knows which delivery is which message of which shard.
//! - [`ShardClient`] is the node's side towards one shard: it finds the leader, numbers commands and
//!   keeps them until they are answered, and says everything again to the next leader.
//! - [`Doubts`] is a leader's part of two-phase commit: which transactions to ask after.
//! - [`Budget`] bounds what waits for shards, in bytes.
//!
//! None of them knows a task, a channel, a clock or how a shard replicates. Who drives them carries
//! requests from connections to clients, messages from clients to leaders, and events back.

mod branch;
mod budget;
mod client;
mod commit;
mod connection;
mod deliveries;
mod doubts;
mod held;
mod operations;
mod search;
mod standing;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use self::{
    budget::{Budget, Full},
    client::{Confused, Event, ShardClient},
    connection::{Connection, ConnectionEvent, Directory, Part},
    doubts::{Doubts, Inquiry},
};
use crate::{
    Message,
    dispatch::{MessageKey, VolatileId},
    operation::{Outcome, Parting, Refusal, Settlement, Subscription},
    presence::Presence,
    shard::{self, Command},
};

#[cfg(doc)]
use crate::operation::Operation;

/// One channel from a shard's client to a leader; the client counts them. What a leader handed out
/// from its memory alone is gone when the channel ends on which it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChannelId(u64);

/// What is asked of a shard. `T` names who is told how it ended, `S` where deliveries go.
#[derive(Clone, Debug, PartialEq)]
pub enum Request<T, S> {
    /// To replicate a command.
    Command {
        /// It.
        command: Command,
        /// For each message that the command settles, the number of the consumer that held it.
        holders: Vec<u64>,
        /// Whether it is to be replicated without delay.
        urgent: bool,
        /// Who asks.
        asker: T,
    },
    /// To replicate without delay what was asked before. Nobody is told.
    Hurry,
    /// To hand on a message that is not stored.
    Publish {
        /// It.
        message: Arc<Message>,
        /// Who asks.
        asker: T,
    },
    /// To deliver to a consumer.
    Attach {
        /// Its number, unique in the node.
        consumer: u64,
        /// What it wants.
        subscription: Subscription,
        /// Where its deliveries go.
        sink: S,
        /// Who asks.
        asker: T,
    },
    /// To let a consumer hold more messages, or fewer. Nobody is told, for it cannot fail.
    SetPrefetch {
        /// As attached.
        consumer: u64,
        /// The most messages that it may hold from now on.
        prefetch: u32,
    },
    /// To stop delivering to a consumer, which gives back what it holds.
    Detach {
        /// As attached.
        consumer: u64,
        /// How.
        parting: Parting<MessageKey>,
        /// Who asks.
        asker: T,
    },
    /// To end deliveries of messages that are not stored.
    Settle {
        /// Who holds them.
        consumer: u64,
        /// The channel on which they came.
        channel: ChannelId,
        /// They.
        messages: Vec<VolatileId>,
        /// How they end.
        how: Settlement,
        /// Who asks.
        asker: T,
    },
    /// To tell who listens that something is there. Nobody is told what becomes of it.
    Announce {
        /// Its number, unique in the node.
        number: u64,
        /// It.
        presence: Presence,
    },
    /// To tell them that it is not any more.
    Withdraw {
        /// As announced.
        number: u64,
    },
}

impl<T, S> Request<T, S> {
    /// The same request with other names for who asks and where deliveries go.
    pub fn map<U, R>(
        self,
        asker_of: impl FnOnce(T) -> U,
        sink_of: impl FnOnce(S) -> R,
    ) -> Request<U, R> {
        match self {
            Request::Command { command, holders, urgent, asker } => {
                Request::Command { command, holders, urgent, asker: asker_of(asker) }
            }
            Request::Hurry => Request::Hurry,
            Request::Publish { message, asker } => {
                Request::Publish { message, asker: asker_of(asker) }
            }
            Request::Attach { consumer, subscription, sink, asker } => Request::Attach {
                consumer,
                subscription,
                sink: sink_of(sink),
                asker: asker_of(asker),
            },
            Request::SetPrefetch { consumer, prefetch } => {
                Request::SetPrefetch { consumer, prefetch }
            }
            Request::Detach { consumer, parting, asker } => {
                Request::Detach { consumer, parting, asker: asker_of(asker) }
            }
            Request::Announce { number, presence } => Request::Announce { number, presence },
            Request::Withdraw { number } => Request::Withdraw { number },
            Request::Settle { consumer, channel, messages, how, asker } => {
                Request::Settle { consumer, channel, messages, how, asker: asker_of(asker) }
            }
        }
    }
}

/// A shard's answer in the words of sessions.
fn result_of(outcome: shard::Outcome) -> Outcome {
    match outcome {
        shard::Outcome::Done
        | shard::Outcome::Duplicate
        | shard::Outcome::Decided { .. }
        | shard::Outcome::Registered(_)
        | shard::Outcome::Entered
        | shard::Outcome::Resolved { .. }
        | shard::Outcome::Branches(_) => Ok(()),
        shard::Outcome::Refused(shard::Refused::Branch(why)) => Err(Refusal::Branch(why)),
        shard::Outcome::Refused(why) => Err(Refusal::Rejected(why.to_string())),
        shard::Outcome::Superseded => {
            Err(Refusal::Unknown("another process runs as this node".into()))
        }
        shard::Outcome::Gap { .. } => {
            Err(Refusal::Unknown("the shard has lost count of this node's commands".into()))
        }
    }
}
