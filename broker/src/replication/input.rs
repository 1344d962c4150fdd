//! What the driver is told and asked.

use std::sync::Arc;

use paceline_consensus::Entry;
use paceline_core::{
    Message,
    channel::ToLeader,
    shard::{MessageRef, SessionId, Table, TableEntry},
};
use paceline_store::JournalError;
use tokio::sync::oneshot;

use super::{
    parts::Parts,
    saved::Saved,
    sending::Reply,
    snapshot::{Partial, Taken},
    status::{Holders, Standing, Tables, Voters},
    streams::Head,
    words::GroupWord,
};
use crate::{link::Stream, policy::InForce};

/// What comes in.
pub enum Input {
    /// Words of another node.
    Words {
        /// Which.
        from: u64,
        /// To the replicas of which groups, and what.
        words: Vec<GroupWord>,
    },
    /// A client has opened a channel.
    Opened {
        /// To which shard.
        slot: u32,
        /// Names it from now on; no two have the same.
        channel: u64,
        /// Whose it is.
        session: SessionId,
        /// The way to the client. Dropping it ends the channel.
        reply: Reply,
    },
    /// A client said something.
    Said {
        /// To which shard.
        slot: u32,
        /// On which channel.
        channel: u64,
        /// What.
        message: ToLeader,
    },
    /// A client or its link is gone.
    Closed {
        /// From which shard.
        slot: u32,
        /// Its channel.
        channel: u64,
    },
    /// What the first turn wrote that waits is on the disk, or the journal has failed.
    Written(Result<(), JournalError>),
    /// The body of a message was read, or why not.
    Body {
        /// The shard.
        slot: u32,
        /// The message.
        message: MessageRef,
        /// It, as it was written.
        read: Result<Arc<Message>, String>,
    },
    /// Entries were read to be applied.
    Read {
        /// The shard.
        slot: u32,
        /// They.
        entries: Result<Vec<Entry>, String>,
    },
    /// Entries were read to be sent.
    ReadFor {
        /// The shard.
        slot: u32,
        /// To whom.
        to: u64,
        /// They.
        entries: Result<Vec<Entry>, String>,
    },
    /// A snapshot is on the disk, or could not be written.
    SnapshotWritten {
        /// The shard.
        slot: u32,
        /// It.
        saved: Option<Box<Saved>>,
    },
    /// The snapshot for another node was sent, or could not be.
    SnapshotSent {
        /// The shard.
        slot: u32,
        /// To whom.
        to: u64,
    },
    /// A leader wants to send a snapshot.
    SnapshotOffered {
        /// The leader.
        from: u64,
        /// What it says of it.
        head: Head,
        /// How it comes.
        stream: Stream,
    },
    /// A leader's snapshot is on the disk, or was not taken.
    SnapshotTaken {
        /// The shard.
        slot: u32,
        /// It, or what has come of it.
        taken: Result<Box<Taken>, Partial>,
    },
    /// A group joins: this node is to hold it from now on, or its part of the journal was damaged.
    Start(Box<Parts>),
    /// The cluster has changed: the nodes that are to hold each group, by number.
    Rows(Vec<Vec<u64>>),
    /// These are the policies from now on.
    Policies(InForce),
    /// This node holds a group no more, if these do.
    Leave {
        /// The group.
        slot: u32,
        /// Who holds it.
        holders: Holders,
        /// Whether its replica has ended; from then on nothing of it is written.
        ended: oneshot::Sender<bool>,
    },
    /// Others are to lead what this node leads.
    HandOver,
    /// Somebody wants to know something.
    Ask(Ask),
    /// The node stops at once.
    Stop,
}

/// What can be asked.
pub enum Ask {
    /// How the replicas stand.
    Status {
        /// With digests of their states.
        verify: bool,
        /// The answer.
        reply: oneshot::Sender<Standing>,
    },
    /// Who holds a group, as far as its replica here knows for certain.
    Holders {
        /// The shard.
        slot: u32,
        /// The answer.
        reply: oneshot::Sender<Option<Holders>>,
    },
    /// Who decides in a group, by the log of its replica here.
    Voters {
        /// The shard.
        slot: u32,
        /// The node that asks.
        asker: u64,
        /// The answer.
        reply: oneshot::Sender<Option<Voters>>,
    },
    /// What the tables of a replica are.
    Tables {
        /// The shard.
        slot: u32,
        /// The answer.
        reply: oneshot::Sender<Tables>,
    },
    /// What is in a table.
    Entries {
        /// The shard.
        slot: u32,
        /// Which table.
        table: Table,
        /// How many entries are known.
        skip: u64,
        /// The answer.
        reply: oneshot::Sender<Vec<TableEntry>>,
    },
}
