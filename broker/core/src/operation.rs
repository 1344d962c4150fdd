//! What a session asks of the broker and what it is told: the words between a protocol and the
//! cluster. No protocol's frames appear here, and nothing of shards.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    Message, Source,
    durable::Durable,
    xa::{BranchRefused, Resolver, Xid},
};

/// Pairs an [`Operation`] with its outcome; unique within a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpTag(pub u64);

/// A consumer of one session; unique within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(pub u64);

/// One delivery of a message to a consumer; unique within a session, given by the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub u64);

/// How a delivery ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Settlement {
    /// Consumed: gone for good.
    Accept,
    /// Refused by the consumer: delivered again with a higher count, or dead-lettered when the
    /// queue's limit is reached.
    Reject,
    /// Given back undecided: delivered again.
    Release,
    /// Left behind by a consumer that died of it, perhaps: delivered again, and the count rises as
    /// if it had been rejected. A queue's limit is heeded before that: see
    /// [`Parting::Died`].
    Fail,
    /// Refused by the consumer for good: dead-lettered, whatever the count. One in a dead-letter queue
    /// already is delivered again.
    DeadLetter,
}

/// How a consumer ends, and with that what becomes of what it holds. `D` names a delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Parting<D> {
    /// All of it is released.
    #[default]
    Released,
    /// The client has died, perhaps of this one, which counts as rejected. The others are released.
    Died(D),
    /// The client has looked at these, which are released. The others are as if they had never been
    /// delivered.
    Saw(Vec<D>),
}

/// What a consumer wants to be given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Destinations, or patterns of them.
    pub source: Source,
    /// The most deliveries that may be unsettled at a time. With 0 none comes before
    /// [`Operation::SetPrefetch`] allows some.
    pub prefetch: u32,
    /// Only messages that this [`Selector`](crate::selector::Selector) selects.
    pub selector: Option<Arc<str>>,
    /// Whether all of a queue's messages are to go to it, as long as it is there. Of several that want
    /// this, the one with the highest priority has it, and among equals the one that came first.
    pub exclusive: bool,
    /// Among the consumers of a queue that have room, those of the highest priority come first.
    pub priority: i8,
    /// Whether it only looks at what is in a queue, which stays there, and ends with that.
    pub browses: bool,
    /// What is sent to the topic is kept for it while it has no consumer.
    pub durable: Option<Kept>,
}

/// A durable subscription that a consumer wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its name.
    pub durable: Durable,
    /// Whether it is one without the messages of the consumer's own connection, which its session
    /// leaves out.
    pub no_local: bool,
}

impl Subscription {
    /// To all messages of a source.
    pub fn new(source: impl Into<Source>, prefetch: u32) -> Self {
        let source = source.into();
        let (exclusive, priority, browses, durable) = (false, 0, false, None);
        Self { source, prefetch, selector: None, exclusive, priority, browses, durable }
    }
}

/// What a session asks for. Every operation is answered by exactly one [`Outcome`] with its tag.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Store or forward one message.
    Publish {
        /// Answers carry it.
        tag: OpTag,
        /// What to send; its destination holds no wildcard.
        message: Arc<Message>,
    },
    /// Begin to consume.
    Subscribe {
        /// Answers carry it.
        tag: OpTag,
        /// Chosen by the session.
        consumer: ConsumerId,
        /// What it wants.
        subscription: Subscription,
    },
    /// Let a consumer hold more deliveries unsettled, or fewer. What it holds beyond that it keeps.
    SetPrefetch {
        /// Answers carry it.
        tag: OpTag,
        /// As given to [`Operation::Subscribe`].
        consumer: ConsumerId,
        /// The most deliveries that may be unsettled at a time from now on.
        prefetch: u32,
    },
    /// Stop consuming. Deliveries still unsettled go back to their queues.
    Unsubscribe {
        /// Answers carry it.
        tag: OpTag,
        /// As given to [`Operation::Subscribe`].
        consumer: ConsumerId,
        /// How they do.
        parting: Parting<DeliveryId>,
    },
    /// End deliveries.
    Settle {
        /// Answers carry it.
        tag: OpTag,
        /// Which, in the order they were delivered.
        deliveries: Vec<DeliveryId>,
        /// How.
        how: Settlement,
        /// Whether the client waits for the outcome. Otherwise it may be some time until it comes.
        awaited: bool,
    },
    /// Carry out at once what was asked before, since the client waits for all of it.
    Hurry {
        /// Answers carry it.
        tag: OpTag,
    },
    /// Do all of it or nothing of it.
    Commit {
        /// Answers carry it.
        tag: OpTag,
        /// Messages to send, in order.
        publishes: Vec<Arc<Message>>,
        /// Deliveries to end.
        settles: Vec<(DeliveryId, Settlement)>,
    },
    /// Take a client id, which no other connection of this node may have.
    Identify {
        /// Answers carry it.
        tag: OpTag,
        /// It.
        client: Arc<str>,
        /// Names the connection. One of the same name is the same, which the client has opened anew.
        connection: Arc<str>,
    },
    /// Delete a durable subscription and what waits for it. It must have no consumer.
    Forget {
        /// Answers carry it.
        tag: OpTag,
        /// Its name.
        durable: Durable,
    },
    /// Make sure that all of it can be done, and keep it until somebody says whether it is to be: a
    /// branch of a distributed transaction.
    Prepare {
        /// Answers carry it.
        tag: OpTag,
        /// The branch.
        xid: Xid,
        /// Messages to send, in order.
        publishes: Vec<Arc<Message>>,
        /// Deliveries to end.
        settles: Vec<(DeliveryId, Settlement)>,
    },
    /// End a branch that is prepared, whoever prepared it. What it was to settle the connection that
    /// prepared it holds again if it rolls it back itself; otherwise it is delivered again.
    Resolve {
        /// Answers carry it.
        tag: OpTag,
        /// The branch.
        xid: Xid,
        /// Whether it commits.
        commit: bool,
        /// Who says so.
        by: Resolver,
    },
    /// List the branches that are prepared, in the whole cluster: answered by all of them, before the
    /// outcome.
    Recover {
        /// Answers carry it.
        tag: OpTag,
    },
    /// Remember no longer how an operator has ended a branch.
    ForgetBranch {
        /// Answers carry it.
        tag: OpTag,
        /// The branch.
        xid: Xid,
    },
}

impl Operation {
    /// What its outcome will carry.
    pub fn tag(&self) -> OpTag {
        match self {
            Operation::Publish { tag, .. }
            | Operation::Subscribe { tag, .. }
            | Operation::SetPrefetch { tag, .. }
            | Operation::Unsubscribe { tag, .. }
            | Operation::Settle { tag, .. }
            | Operation::Hurry { tag }
            | Operation::Commit { tag, .. }
            | Operation::Identify { tag, .. }
            | Operation::Forget { tag, .. }
            | Operation::Prepare { tag, .. }
            | Operation::Resolve { tag, .. }
            | Operation::Recover { tag }
            | Operation::ForgetBranch { tag, .. } => *tag,
        }
    }
}

/// How an [`Operation`] ended.
pub type Outcome = Result<(), Refusal>;

/// Why an operation was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing was changed, and nothing will be.
    #[error("refused: {0}")]
    Rejected(String),
    /// The cluster could not answer in time; the operation may or may not have been carried out.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// What was to be ended is not there. Nothing was changed, and nothing will be.
    #[error("refused: {0}")]
    Missing(String),
    /// As [`Refusal::Rejected`], about a branch of a distributed transaction.
    #[error("refused: {0}")]
    Branch(BranchRefused),
}

/// A message on its way to a consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Names this delivery when it is settled.
    pub id: DeliveryId,
    /// Who gets it.
    pub consumer: ConsumerId,
    /// What.
    pub message: Arc<Message>,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// How many deliveries were rejected or released before this one.
    pub redelivery_count: u32,
    /// Whether it is the first of its group for this consumer.
    pub first_of_group: bool,
}
