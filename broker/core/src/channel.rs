//! What a node's client of a shard and the shard's leader say to each other.
//!
//! Both directions are ordered. A channel lasts as long as the leadership at its far end and the way
//! to it; what it was used for is taken up again on the next one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    Message,
    bounds::{QueueFull, Room},
    dispatch::{Browsed, MessageKey, VolatileId},
    operation::{Parting, Settlement, Subscription},
    presence::Presence,
    shard::{Command, Outcome},
};

/// What a shard's client says. Numbers called `number` are the channel's own, count up from any
/// beginning, and are answered by [`FromLeader::Answer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToLeader {
    /// A command for the log.
    Command {
        /// Its place in the session.
        seq: u64,
        /// It.
        command: Command,
        /// For each message that the command settles, the consumer that held it.
        holders: Vec<u64>,
        /// Whether somebody waits for its end. Otherwise it may wait a little, to share an entry of
        /// the log with others.
        urgent: bool,
    },
    /// Somebody waits for the commands said before after all. Not answered.
    Hurry,
    /// A message for the leader's memory only.
    Publish {
        /// The answer carries it.
        number: u64,
        /// It.
        message: Arc<Message>,
    },
    /// A consumer wants messages.
    Attach {
        /// The answer carries it.
        number: u64,
        /// Unique in the client's node.
        consumer: u64,
        /// What it wants.
        subscription: Subscription,
        /// Whether no earlier leader knew it, or this one has forgotten it. It is told then of what there
        /// is already.
        is_new: bool,
    },
    /// A consumer may hold more messages from now on, or fewer; what it holds beyond that it keeps.
    /// Not answered, since it cannot fail.
    SetPrefetch {
        /// As attached.
        consumer: u64,
        /// The most messages it may hold.
        prefetch: u32,
    },
    /// A consumer is gone. What it holds is given back.
    Detach {
        /// The answer carries it.
        number: u64,
        /// As attached.
        consumer: u64,
        /// How.
        parting: Parting<MessageKey>,
    },
    /// Ends deliveries of messages that are in no log.
    Settle {
        /// The answer carries it.
        number: u64,
        /// Who holds them.
        consumer: u64,
        /// Which.
        messages: Vec<VolatileId>,
        /// How.
        how: Settlement,
    },
    /// Messages wait here that were refused because their queue was full: to be told when there is
    /// room. All that was said before of that queue has been answered. Said again, it counts in place of
    /// what was said before.
    AwaitRoom {
        /// The queue's name.
        queue: Arc<str>,
        /// Bytes of the first of them; 0 if none waits any more, which is not answered.
        size: u64,
    },
    /// As [`ToLeader::Publish`], of a topic's message that the leader before was sent and has not
    /// answered: it may have handed it to the subscribers there were, so nobody is sent it again. What
    /// has to be stored is.
    PublishAgain {
        /// The answer carries it.
        number: u64,
        /// It.
        message: Arc<Message>,
    },
    /// A consumer wants to look at what is in a queue.
    Browse {
        /// The answer carries it.
        number: u64,
        /// Unique in the client's node.
        consumer: u64,
        /// At what.
        subscription: Subscription,
        /// Where it had come to under an earlier leader.
        after: Option<Browsed>,
    },
    /// Something is there at one of the node's clients. Not answered.
    Announce {
        /// Unique in the client's node.
        number: u64,
        /// It.
        presence: Presence,
        /// Whether who listens has not heard of it, from this leader or another.
        is_news: bool,
    },
    /// It is not there any more. Not answered.
    Withdraw {
        /// As announced.
        number: u64,
    },
}

/// What a shard's leader says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromLeader {
    /// This node does not lead the shard (any more). The channel ends.
    NotLeader {
        /// The node that does, if that is known.
        leader: Option<u64>,
    },
    /// This node leads the shard and takes what is said on the channel.
    Serving {
        /// Since when, as a term.
        term: u64,
    },
    /// How commands ended.
    Outcomes(Vec<(u64, Outcome)>),
    /// The end of something that concerns the leader's memory only.
    Answer {
        /// As asked.
        number: u64,
        /// Or why not.
        result: Result<(), String>,
    },
    /// A message for a consumer.
    Deliver(Delivered),
    /// Instead of an answer to [`ToLeader::Publish`]: the queue has no room.
    NoRoom {
        /// As asked.
        number: u64,
        /// Why.
        why: Box<QueueFull>,
    },
    /// The answer to [`ToLeader::AwaitRoom`]. It is no promise: others publish too.
    Room {
        /// The queue's name.
        queue: Arc<str>,
        /// For so much there is room.
        room: Room,
    },
    /// Instead of an answer to [`ToLeader::Publish`]: what is persistent and sent to this topic is to be
    /// stored, and nothing was done.
    Store {
        /// As asked.
        number: u64,
    },
    /// A browser has been given all that there is for it.
    BrowseEnd {
        /// As it began.
        consumer: u64,
    },
}

/// A message handed to a consumer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivered {
    /// As attached.
    pub consumer: u64,
    /// Names it when it is settled.
    pub key: MessageKey,
    /// It.
    pub message: Arc<Message>,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// How many deliveries were rejected or released before.
    pub redelivery_count: u32,
    /// Whether it is the first of its group for this consumer.
    pub first_of_group: bool,
    /// Where it stands, if it is a copy for a browser.
    pub browsed: Option<Browsed>,
}
