//! Coverage points: what the broker does seldom, and a sweep of the shipped scenarios must see done.
//!
//! A simulator finds nothing in code that no run executes, and nobody notices that a scenario has
//! stopped reaching it. So the places that matter mark themselves with [`reached`], every run says
//! which of them it came by, and a sweep that leaves one at zero fails the suite (`cargo sim sweep
//! --every-point`). This is what others call *sometimes* assertions.
//!
//! Natively a mark is nothing at all. Simulated, it sets a bit; a process is one run.
//!
//! ```
//! use paceline_reached::{Point, reached};
//!
//! reached(Point::SnapshotWritten);
//! ```

macro_rules! points {
    ($($(#[doc = $about:literal])+ $name:ident,)+) => {
        /// A place in the broker that some run must reach.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Point {
            $($(#[doc = $about])+ $name,)+
        }

        impl Point {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Point] = &[$(Point::$name),+];

            /// As it is written in the source, by which it is found there.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Point::$name => stringify!($name),)+
                }
            }

            /// What happened, in a few words.
            pub fn about(self) -> &'static str {
                match self {
                    $(Point::$name => concat!($($about),+).trim(),)+
                }
            }
        }
    };
}

points! {
    /// the journal began another file
    SegmentBegun,
    /// a file of the journal was removed, with nothing alive in it
    SegmentRemoved,
    /// records that live were copied out of a file before it was removed
    RecordsCopiedForward,
    /// a node started with a file whose end was torn, and cut it
    TornTailCut,
    /// a node started with what was not proven to be on its disk, and wrote it again
    TailWrittenAgain,
    /// a node found a damaged record when it started
    DamageFound,
    /// the journal failed, and its node ended
    JournalFailed,
    /// a replica wrote a snapshot of its state
    SnapshotWritten,
    /// a snapshot shared parts with the one before
    SnapshotShared,
    /// a replica sent its snapshot to another
    SnapshotSent,
    /// a replica took the snapshot of its leader
    SnapshotInstalled,
    /// the transfer of a snapshot went on where it was cut off
    SnapshotResumed,
    /// a replica started from a snapshot
    SnapshotLoaded,
    /// entries before a snapshot were dropped from a log
    LogPurged,
    /// entries that another leader had overruled were dropped from a log
    LogTruncated,
    /// entries of a log were read back from the disk
    EntriesReadBack,
    /// a node with an empty disk took part when all others had said that they do not know it
    NodeJoined,
    /// a node was told by another one that its disk has forgotten
    NodeForgot,
    /// a damaged replica was reset, to be filled by its peers
    ReplicaReset,
    /// a replica had to wait for its peers before it could be reset
    RepairWaited,
    /// a replica was whole again
    ReplicaWhole,
    /// a leader of a term that a damaged replica had forgotten was dethroned
    LeaderDethroned,
    /// a node did not vote, since it had just started
    VoteTooEarly,
    /// a replica that had forgotten its promises did not vote
    VoteWithheld,
    /// a leader began to fill a copy on a node that is to hold its shard
    ReplicaAdded,
    /// a copy that was up to date began to count
    ReplicaPromoted,
    /// a node deleted its copy of a shard that others hold now
    ReplicaLeft,
    /// a node asked another one for a later view of the cluster
    ViewFetched,
    /// the policies that a cluster began with were written down
    PoliciesBegun,
    /// a node that runs took over other policies
    PoliciesFollowed,
    /// a change of the cluster came too late for its view, and was made from the next one
    ChangeRepeated,
    /// a node did not vote, since it had left the shard and was not as far again
    VoteOfLeaver,
    /// a leader began to serve
    TermBegun,
    /// a leader stopped serving, since another one leads
    TermLost,
    /// a leader stopped serving, since no majority answered it
    TermAbandoned,
    /// a leader held deliveries back, since its lease had run out
    LeaseExpired,
    /// a leader handed over to the first node of its row, or to another when it ended
    HandOverBegun,
    /// a hand-over came to nothing in its time
    HandOverFailed,
    /// a node that was asked to lead stood for election
    TakeOverAsked,
    /// bodies of messages were dropped from memory, since its budget was used up
    MemoryShed,
    /// the body of a message was read back from the disk to be delivered
    BodyReadBack,
    /// a consumer's selector selected a message of a queue
    Selected,
    /// a consumer's selector did not select a message of a queue
    NotSelected,
    /// a message was read back from the disk to see whether a selector selects it
    ReadToSelect,
    /// the next life of a node opened a channel where its last one still had one
    ChannelSuperseded,
    /// a client left a leader that had not said anything, as its node knew of a later one
    LeaderOvertaken,
    /// a command was sent again, and answered as before
    CommandRepeated,
    /// commands without an answer were sent again to the next leader
    CommandsResent,
    /// a consumer's transactions acknowledged so much that it may hold more than its prefetch
    WindowChanged,
    /// a consumer of several destinations was attached to the shards of each
    CompositeAttached,
    /// a consumer said that messages had come, and was allowed more
    WindowWidened,
    /// a message came for a consumer that had asked for one
    Pulled,
    /// no message came in time for a consumer that had asked for one
    PulledInVain,
    /// an operation in memory ended with its leader
    VolatileOperationLost,
    /// a message in memory was settled after its leader had gone
    VolatileSettledLate,
    /// a message was refused because too much waited for shards already
    WaitingRefused,
    /// a consumer's node was lost, and what it held went back
    ConsumerLost,
    /// a message that its consumer may have died of went back
    ConsumerDied,
    /// a message had its last consumer die of it
    MessageWornOut,
    /// a message was refused so often that it became a dead letter
    DeadLetter,
    /// a message in memory was refused so often that it became a dead letter
    VolatileDeadLetter,
    /// a dead letter was refused too often in its turn, and stayed
    DeadLetterKept,
    /// a message was refused for good and became a dead letter at once
    DeadLetterAtOnce,
    /// a message was given back undecided
    Released,
    /// a message was given back by a consumer that had not looked at it
    TakenBack,
    /// a message was expired when it came
    ExpiredOnArrival,
    /// a message expired in its queue
    ExpiredInQueue,
    /// a message in memory expired in its queue
    VolatileExpired,
    /// a message was acknowledged by a consumer who had lost it meanwhile
    AcceptedLate,
    /// a message was acknowledged that had become a dead letter meanwhile, and is none any more
    AcceptedDead,
    /// a message was refused by a consumer who had lost it meanwhile, and was left as it was
    RejectedLate,
    /// commands that nobody waited for shared the entry of one that somebody did
    EntryShared,
    /// commands that nobody waited for had waited long enough for others to share an entry with
    PatienceEnded,
    /// commands that nobody waited for did not wait any longer, since their client did after all
    Hurried,
    /// a settlement was refused by the log, and its consumer held the message again
    SettlementFailed,
    /// a transaction in one shard was carried out
    Transacted,
    /// a transaction was refused
    TransactionRefused,
    /// a transaction over several shards was prepared in one of them
    Prepared,
    /// a transaction over several shards was carried out in one of them
    FinishedByCommit,
    /// a transaction over several shards was undone in one of them
    FinishedByAbort,
    /// a shard asked what became of a transaction whose node had fallen silent
    DoubtResolved,
    /// a coordinator carried out a decision that the session which ran the transaction had left
    DecisionCarriedOut,
    /// a transaction was decided against while its node was still at it
    DecidedElsewhere,
    /// a queue took no further message, since it may hold no more
    QueueFull,
    /// an expired message went to the dead-letter queue
    ExpiredDeadLetter,
    /// a leader had what policies say of redelivery and expiry written into its shard
    RulesWritten,
    /// a message that found no room waits for some at its ingress node
    RoomAwaited,
    /// a leader said that there is room again
    RoomFound,
    /// a message was refused, since there was no room in time
    RoomMissed,
    /// a message that is not stored found its queue full
    VolatileQueueFull,
    /// a transaction was refused, since one of its queues may hold no more
    TransactionTooMuch,
    /// a topic's message was refused, since a subscriber is too slow
    SubscriberFull,
    /// a topic's message found a subscriber
    FannedOut,
    /// a node said to another leader what is there of its clients
    PresenceKept,
    /// a subscriber was told of what was there before it came
    PresenceTold,
    /// a node could not be reached, and with it went what was there of its clients
    PresenceLost,
    /// a topic's message was dropped, since its subscriber is too slow
    SubscriberTooSlow,
    /// a topic's message went out with its transaction
    FannedOutByCommit,
    /// a consumer's prefetch was full, and a message waited for it
    PrefetchFull,
    /// a client was not read from, since it had caused as much as it may at a time
    ClientHeldBack,
    /// a client was told ERROR
    ErrorSent,
    /// a client was told that nobody knows what became of its frame
    UnansweredInTime,
    /// a client fell silent and was given up
    ClientSilent,
    /// a connection broke, or ended without DISCONNECT
    ClientLost,
    /// a client took its leave
    Disconnected,
    /// a transaction was aborted by its client
    Aborted,
    /// a node was asked to end, and told its clients
    Drained,
    /// a client was told which nodes there are
    BrokersTold,
    /// a node that is to hold nothing asked its clients to go to others
    ClientsMovedOn,
    /// a message was put off until it is due
    PutOff,
    /// a leader found that a message had come due
    CameDue,
    /// a message waited for the next of its deliveries
    Repeated,
    /// a producer sent a message again that was stored
    ResendRecognised,
    /// a topic's message was stored for a durable subscription or a queue of a virtual topic
    TopicStored,
    /// a topic's message that was to go through its leader's memory has to be stored
    TopicToStore,
    /// a leader was lost with a topic's message that has to be stored, perhaps: the next one is asked
    TopicAskedAgain,
    /// a durable subscription was replaced by one to another topic or with another selector
    DurableReplaced,
    /// a durable subscription was deleted
    DurableDeleted,
    /// somebody wanted a durable subscription that had a consumer
    DurableInUse,
    /// a queue came to be that takes part in a virtual topic
    VirtualTopicQueue,
    /// a message was set aside, since its group was with another consumer than met it
    SetAside,
    /// a queue came to be another consumer's alone
    ExclusiveChanged,
    /// a branch of a distributed transaction was prepared
    BranchPrepared,
    /// a branch of a distributed transaction was given up before it was prepared
    BranchGivenUp,
    /// a participant asked after a branch that nobody has ended yet
    BranchUndecided,
    /// a transaction manager was told of branches that are prepared
    BranchesListed,
    /// what a branch would have settled was delivered again, since another connection rolled it back
    BranchGivenBack,
    /// a branch was to be ended that had ended before, or was never prepared
    BranchUnknown,
}

#[cfg(madsim)]
mod marks {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Point;

    static SEEN: [AtomicU64; Point::ALL.len().div_ceil(64)] =
        [const { AtomicU64::new(0) }; Point::ALL.len().div_ceil(64)];

    pub fn set(bit: usize) {
        let (word, mask) = (&SEEN[bit / 64], 1 << (bit % 64));
        if word.load(Ordering::Relaxed) & mask == 0 {
            word.fetch_or(mask, Ordering::Relaxed);
        }
    }

    pub fn has(bit: usize) -> bool {
        SEEN[bit / 64].load(Ordering::Relaxed) >> (bit % 64) & 1 == 1
    }
}

/// Marks that this process came here. Changes nothing that a run could notice.
#[inline(always)]
pub fn reached(point: Point) {
    #[cfg(madsim)]
    marks::set(point as usize);
    #[cfg(not(madsim))]
    let _ = point;
}

/// What this process has reached, in the order of their numbers. Nothing natively, where nothing is
/// marked.
pub fn seen() -> impl Iterator<Item = Point> {
    #[cfg(madsim)]
    let has = marks::has;
    #[cfg(not(madsim))]
    let has = |_| false;
    Point::ALL.iter().copied().filter(move |point| has(*point as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_names_and_descriptions_belong_together() {
        for (number, point) in Point::ALL.iter().enumerate() {
            assert_eq!(*point as usize, number);
            assert!(!point.about().is_empty() && point.about().trim() == point.about());
        }
        assert_eq!(Point::SegmentBegun.name(), "SegmentBegun");
    }

    #[cfg(madsim)]
    #[test]
    fn what_was_marked_is_seen() {
        let last = Point::ALL[Point::ALL.len() - 1];
        assert_eq!(seen().count(), 0);
        reached(last);
        reached(Point::SegmentBegun);
        assert!(seen().eq([Point::SegmentBegun, last]));
    }
}
