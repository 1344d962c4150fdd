//! What a shard is told and what it answers: the contents of its replicated log.

use std::sync::Arc;

use paceline_membership::{Epoch, View};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::groups::Membership;
use crate::{
    Message, UnixMillis,
    bounds::{Bound, QueueFull},
    durable::Durable,
    operation::Settlement,
    rules::Rules,
    schedule::Due,
    xa::{BranchInfo, BranchRefused, Resolver, Xid},
};

/// The most commands one [`Batch`] may hold; a position in a batch fits 16 bits.
pub const MAX_COMMANDS: usize = 1 << 16;

/// The most messages or settlements one command may hold; a position in a command fits 16 bits.
pub const MAX_PARTS: usize = 1 << 16;

/// Where in its shard's log a message entered its queue; its identity, the same on every replica.
///
/// References of one shard are ordered as their messages arrived. A message that was dead-lettered
/// or committed by a cross-shard transaction has two places: the one where it entered its queue
/// names it, the one where its body was written is found with
/// [`ShardState::body_at`](super::ShardState::body_at).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct MessageRef {
    /// The log entry.
    pub index: u64,
    /// The command in the entry's batch (upper 16 bits) and the message in the command (lower 16).
    pub offset: u32,
}

impl MessageRef {
    /// The `part`th message of the `command`th command of the entry at `index`.
    pub fn new(index: u64, command: usize, part: usize) -> Self {
        assert!(command < MAX_COMMANDS && part < MAX_PARTS, "{command}.{part} is out of bounds");
        Self { index, offset: (command as u32) << 16 | part as u32 }
    }

    /// Which command of the entry's batch.
    pub fn command(self) -> usize {
        (self.offset >> 16) as usize
    }

    /// Which message of the command.
    pub fn part(self) -> usize {
        (self.offset & 0xffff) as usize
    }
}

impl std::fmt::Display for MessageRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.index, self.command(), self.part())
    }
}

/// One life of one ingress node's client of a shard.
///
/// `incarnation` grows with every start of the node: a larger one supersedes the smaller ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId {
    /// The ingress node.
    pub node: u64,
    /// Which of its lives.
    pub incarnation: u64,
}

/// Who sent a command, and its number in that session: 1, 2, 3, … without holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The sender.
    pub session: SessionId,
    /// Contiguous within the session, beginning at 1.
    pub seq: u64,
}

/// A transaction over several shards; given by the ingress session that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TransactionId {
    /// Who runs it.
    pub session: SessionId,
    /// Unique within the session.
    pub number: u64,
}

/// What is done to messages in one step: all of it or nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Messages to send, in order.
    pub publishes: Vec<Arc<Message>>,
    /// Messages whose delivery ends, and how.
    pub settles: Vec<(MessageRef, Settlement)>,
}

/// A message that waits, and until when. A message of which several deliveries follow waits for the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Waiting {
    /// When it is due.
    pub due: UnixMillis,
    /// Where it was written.
    pub at: MessageRef,
}

/// One instruction in a shard's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Says that a session exists, which supersedes the node's older ones. A session's first
    /// command does so anyway; this one has no other effect.
    OpenSession,
    /// Stores one message in its queue, or, sent to a topic, in all queues that are to have it; the
    /// leader that applies the command fans it out to other subscribers (see the module's head).
    Publish {
        /// Its destination holds no wildcard.
        message: Arc<Message>,
    },
    /// Ends deliveries. A message that is gone already is passed over, so that repeating is safe.
    Settle {
        /// At most [`MAX_PARTS`].
        settles: Vec<(MessageRef, Settlement)>,
    },
    /// Ends messages whose time has come. It is the leader that finds that out, by its clock: since it
    /// has passed them over already, what that clock shows a moment later must not bring them back.
    Expire {
        /// What the leader's clock showed then, or after.
        as_of: UnixMillis,
        /// At most [`MAX_PARTS`].
        messages: Vec<MessageRef>,
    },
    /// Publishes and settles in this shard, all or nothing: refused if a settled message is gone.
    Transact {
        /// What to do.
        work: Work,
    },
    /// Holds this shard's part of a cross-shard transaction until [`Command::Finish`].
    Prepare {
        /// Names it.
        transaction: TransactionId,
        /// The slot of the shard that decides.
        coordinator: u32,
        /// What to do if it commits.
        work: Work,
    },
    /// In the coordinator's shard: records how a transaction ends, unless that is recorded already.
    /// Answered by [`Outcome::Decided`] with what is recorded. A participant that waits too long
    /// asks with `commit: false` and no participants: no decision becomes an abort.
    Decide {
        /// Names it.
        transaction: TransactionId,
        /// What the sender wants.
        commit: bool,
        /// The slots that must [`Command::Forget`] before the decision is dropped.
        participants: Vec<u32>,
    },
    /// Carries out or drops what was prepared; nothing if nothing is.
    Finish {
        /// Names it.
        transaction: TransactionId,
        /// As decided.
        commit: bool,
    },
    /// In the coordinator's shard: a participant has finished and will not ask again.
    Forget {
        /// Names it.
        transaction: TransactionId,
        /// The participant's slot.
        participant: u32,
    },
    /// Drops all messages of a queue except those a prepared transaction holds, and those that wait for
    /// it.
    Purge {
        /// The queue's name.
        queue: Arc<str>,
    },
    /// Deletes a queue that holds no messages and for which none waits.
    Delete {
        /// The queue's name.
        queue: Arc<str>,
    },
    /// Takes the place of a command that the leader refused, so that its session has no hole, and
    /// so that a resend hears the same.
    Refuse {
        /// For the client to read.
        reason: String,
    },
    /// In the metadata shard: the cluster's next view, made from a committed one.
    View {
        /// It.
        view: Arc<View>,
    },
    /// As [`Command::Publish`] to a queue, if that has room: its leader makes the one of the other.
    ///
    /// Where its sender keeps what finds no room and sends it later, none of the same session may
    /// overtake it: until that is back with `again`, all are refused.
    PublishWithin {
        /// Its destination holds no wildcard.
        message: Arc<Message>,
        /// Whether it is the first that was refused, or follows it.
        again: bool,
        /// What the queue may hold, as the leader has it.
        bound: Arc<Bound>,
    },
    /// Publishes a message that was put off and is due, as the leader finds by its clock. Nothing if it
    /// does not wait for that any more.
    Deliver {
        /// Which.
        waiting: Waiting,
        /// What it waits for from then on; nothing if this was the last time.
        next: Option<Due>,
        /// What is delivered of it.
        message: Arc<Message>,
    },
    /// Stores a topic's message for its durable subscriptions and the queues that take part in it, and
    /// for nobody else: a leader that has died may have handed it to the subscribers there were.
    Store {
        /// It.
        message: Arc<Message>,
    },
    /// Sees to it that there is a queue, so that it gets what is sent to its virtual topic.
    CreateQueue {
        /// The queue's name.
        queue: Arc<str>,
    },
    /// In the topic's shard: sees to it that a durable subscription is there. One to another topic, or
    /// on other terms, is deleted first with its messages.
    Subscribe {
        /// Its name.
        durable: Durable,
        /// What it wants.
        terms: Terms,
    },
    /// In the topic's shard: deletes a durable subscription with its messages, if it is there.
    Unsubscribe {
        /// Its name.
        durable: Durable,
    },
    /// In the shard of the name of a durable subscription: notes that it may be in the shard of a slot
    /// from now on. Answered by [`Outcome::Registered`] with the other slots of which that was noted.
    Register {
        /// The subscription's name.
        durable: Durable,
        /// The slot of its topic; none where somebody only asks.
        slot: Option<u32>,
    },
    /// There too: it is not in the shard of a slot any more, unless it was registered since.
    Unregister {
        /// The subscription's name.
        durable: Durable,
        /// The slot.
        slot: u32,
        /// As [`Outcome::Registered`] had it.
        at: u64,
    },
    /// What the cluster's policies say from now on of messages that nobody consumes, as the leader has
    /// them.
    Rules {
        /// They.
        rules: Arc<Rules>,
    },
    /// As [`Command::Prepare`], of a branch of a distributed transaction: it is held as long as that
    /// takes. Refused where such parts would take too much memory.
    PrepareBranch {
        /// Names it.
        transaction: TransactionId,
        /// The slot of the branch's home shard, which knows how it ends.
        home: u32,
        /// What to do if it commits.
        work: Work,
    },
    /// In the home shard of a branch of a distributed transaction: its parts are prepared, and it is
    /// neither committed nor rolled back before somebody says so.
    EnterBranch {
        /// The branch.
        xid: Xid,
        /// What its parts go by.
        transaction: TransactionId,
        /// The slots that hold them.
        participants: Vec<u32>,
    },
    /// There too: records how the branch ends, unless that is recorded. Answered by
    /// [`Outcome::Resolved`].
    ResolveBranch {
        /// The branch.
        xid: Xid,
        /// Whether it commits.
        commit: bool,
        /// Who says so.
        by: Resolver,
    },
    /// There too: its transaction manager knows what an operator has done to the branch.
    ForgetBranch {
        /// The branch.
        xid: Xid,
    },
    /// Lists the branches of which this is the home shard. Answered by [`Outcome::Branches`].
    ListBranches,
    /// Drops what was prepared, as [`Command::Finish`] without a commit, and has what it would have
    /// settled delivered again: whoever held it does not know.
    GiveBack {
        /// Names it.
        transaction: TransactionId,
    },
}

/// What a durable subscription is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The topic.
    pub topic: Arc<str>,
    /// Only messages that this [`Selector`](crate::selector::Selector) selects get into it.
    pub selector: Option<Arc<str>>,
    /// Whether a consumer of it is to get nothing that its own connection has sent. Its session sees
    /// to that.
    pub no_local: bool,
}

impl Command {
    /// The messages it carries; a [`MessageRef`]'s part counts them.
    pub fn messages(&self) -> &[Arc<Message>] {
        match self {
            Command::Publish { message }
            | Command::PublishWithin { message, .. }
            | Command::Deliver { message, .. }
            | Command::Store { message } => std::slice::from_ref(message),
            Command::Transact { work }
            | Command::Prepare { work, .. }
            | Command::PrepareBranch { work, .. } => &work.publishes,
            _ => &[],
        }
    }

    /// The transaction of which it holds a part until [`Command::Finish`], if it does that.
    pub fn prepares(&self) -> Option<TransactionId> {
        match self {
            Command::Prepare { transaction, .. } | Command::PrepareBranch { transaction, .. } => {
                Some(*transaction)
            }
            _ => None,
        }
    }

    /// About how many bytes it takes, in memory or on its way.
    pub fn footprint(&self) -> usize {
        let parts = match self {
            Command::Settle { settles } => settles.len(),
            Command::Transact { work }
            | Command::Prepare { work, .. }
            | Command::PrepareBranch { work, .. } => work.settles.len(),
            Command::EnterBranch { participants, .. } => participants.len(),
            Command::Expire { messages, .. } => messages.len(),
            Command::Rules { rules } => return 64 + rules.footprint(),
            Command::View { view } => view.members().len() + view.groups() as usize,
            _ => 0,
        };
        let messages: usize = self.messages().iter().map(|message| message.footprint()).sum();
        64 + messages + 16 * parts
    }
}

/// One entry of a shard's log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// The leader's wall clock when it proposed the batch; the only time there is for applying it.
    pub now: UnixMillis,
    /// At most [`MAX_COMMANDS`]. Commands of the shard's own leader come from no session: each of
    /// them is harmless when repeated.
    pub commands: Vec<(Option<Origin>, Command)>,
}

impl Batch {
    /// The message that was written at `offset` of this batch.
    pub fn message(&self, offset: u32) -> Option<&Arc<Message>> {
        let at = MessageRef { index: 0, offset };
        self.commands.get(at.command())?.1.messages().get(at.part())
    }
}

/// How a command ended. Remembered with its session if it is not [`Outcome::Done`] or
/// [`Outcome::Branches`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Carried out.
    Done,
    /// This number of the session had been applied before, and its command was carried out then.
    Duplicate,
    /// A command before it is missing: nothing was done; send again from `expected` on.
    Gap {
        /// The session's next number.
        expected: u64,
    },
    /// A later incarnation of the node has spoken: nothing was done, nor will be for this session.
    Superseded,
    /// Nothing was done, and repeating would not help.
    Refused(Refused),
    /// The answer to [`Command::Decide`].
    Decided {
        /// What is recorded, whatever was wanted.
        commit: bool,
    },
    /// The answer to [`Command::Register`]: other slots in whose shards the durable subscription may
    /// be, and the log entry that noted each.
    Registered(Vec<(u32, u64)>),
    /// The answer to [`Command::Decide`] of a participant that asks after a branch of a distributed
    /// transaction: it is entered, and its home shard's leader sees to its end.
    Entered,
    /// The answer to [`Command::ResolveBranch`]: the branch ends as was said.
    Resolved {
        /// What its parts go by.
        transaction: TransactionId,
        /// The slots that may not have carried it out.
        participants: Vec<u32>,
    },
    /// The answer to [`Command::ListBranches`], in the order of their names.
    Branches(Vec<BranchInfo>),
}

/// Why a shard did not carry out a command.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum Refused {
    /// The message was settled, expired or purged before.
    #[error("message {0} is no longer there")]
    MessageGone(MessageRef),
    /// Another transaction is about to settle the message.
    #[error("message {0} belongs to a prepared transaction")]
    MessageLocked(MessageRef),
    /// A transaction names one message twice.
    #[error("message {0} is settled twice in one transaction")]
    SettledTwice(MessageRef),
    /// Only a plain name can be sent to.
    #[error("`{0}` is a pattern; messages are sent to one destination")]
    Pattern(Arc<str>),
    /// More than [`MAX_PARTS`] in one command.
    #[error("{0} parts in one command; at most {MAX_PARTS} are allowed")]
    TooLarge(usize),
    /// The transaction's number is in use.
    #[error("a transaction of this number is prepared already")]
    AlreadyPrepared,
    /// No queue of that name.
    #[error("there is no queue `{0}`")]
    UnknownQueue(Arc<str>),
    /// Only an empty queue can be deleted.
    #[error("queue `{queue}` still holds {depth} messages; purge it first")]
    NotEmpty {
        /// Its name.
        queue: Arc<str>,
        /// How many messages.
        depth: u64,
    },
    /// The leader's own words.
    #[error("{0}")]
    ByLeader(String),
    /// The cluster has changed since.
    #[error("the cluster's view is of epoch {0} already")]
    StaleView(Epoch),
    /// The queue may hold no more.
    #[error("{0}")]
    Full(Box<QueueFull>),
    /// A prepared transaction is about to settle what a durable subscription holds.
    #[error("a transaction is about to settle messages of the durable subscription {0}; try again")]
    DurableLocked(Durable),
    /// The selector of a durable subscription is none.
    #[error("the selector cannot be read: {0}")]
    Selector(String),
    /// About a branch of a distributed transaction.
    #[error(transparent)]
    Branch(BranchRefused),
}

/// A queue of one shard; numbers are not used again.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct QueueId(pub u32);

/// What applying changed, in the words of the [`Dispatcher`](crate::dispatch::Dispatcher), which
/// wants all of it in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// A message entered a queue and may be delivered.
    Ready {
        /// It.
        message: MessageRef,
        /// Its queue.
        queue: QueueId,
        /// The queue's name.
        name: Arc<str>,
        /// 0 to [`MAX_PRIORITY`](crate::message::MAX_PRIORITY).
        priority: u8,
        /// When it must no longer be delivered.
        expires: Option<UnixMillis>,
    },
    /// A delivery was rejected or released: the message is where it was, its count is higher.
    Returned {
        /// It.
        message: MessageRef,
        /// [`Settlement::Reject`] or [`Settlement::Release`].
        how: Settlement,
    },
    /// A command that would have ended the message left it untouched: its time had not come, or
    /// the transaction that held it was aborted.
    Kept {
        /// It.
        message: MessageRef,
    },
    /// A message left its queue for good: accepted, expired, purged, or moved to the dead-letter
    /// queue (where it is [`Effect::Ready`] under a new reference).
    Gone {
        /// It.
        message: MessageRef,
        /// The queue it left.
        queue: QueueId,
        /// As it was in [`Effect::Ready`].
        priority: u8,
        /// As it was in [`Effect::Ready`].
        expires: Option<UnixMillis>,
        /// The group that it was a member of.
        member: Option<Membership>,
    },
    /// A message was accepted by the name that it had before it became a dead letter; as such it is
    /// [`Effect::Gone`] next.
    AcceptedDead {
        /// That name.
        was: MessageRef,
        /// It.
        message: MessageRef,
    },
    /// A message for the subscribers of a topic, to be handed on by the leader and by nobody else.
    FanOut {
        /// It.
        message: Arc<Message>,
    },
    /// A queue was deleted.
    QueueDeleted {
        /// It.
        queue: QueueId,
        /// Its name.
        name: Arc<str>,
    },
}

impl Effect {
    /// Of a dead letter that was accepted as what it was: its former name, and it.
    pub(crate) fn accepted_dead(&self) -> Option<(MessageRef, MessageRef)> {
        match self {
            Effect::AcceptedDead { was, message } => Some((*was, *message)),
            _ => None,
        }
    }
}

/// What [`ShardState::apply`](super::ShardState::apply) did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// The entry.
    pub index: u64,
    /// One for each command, in order.
    pub outcomes: Vec<Outcome>,
    /// For the dispatcher, in order.
    pub effects: Vec<Effect>,
    /// Log entries, perhaps this very one, that hold no body any more that the state refers to.
    /// Every entry that was applied is named exactly once in its life.
    pub freed: Vec<u64>,
    /// The cluster's view, if it is another one now.
    pub view: Option<Arc<View>>,
}
