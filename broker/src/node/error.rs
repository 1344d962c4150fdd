//! Why a node ends.

use std::io;

use paceline_membership::{Life, ViewError};
use paceline_store::JournalError;
use thiserror::Error;

use crate::{
    config::{Address, Wrong},
    identity::ClaimError,
};

/// Why a node did not start, or did not go on.
#[derive(Debug, Error)]
pub enum NodeError {
    /// The configuration makes no sense.
    #[error("{}: {}", .0.key, .0.reason)]
    Config(Wrong),
    /// The data directory is not this node's to use.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The cluster's members do not make a view.
    #[error("cluster: {0}")]
    View(#[from] ViewError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A shard's replica did not start.
    #[error("the replica of slot {slot} did not start: {reason}")]
    Replica {
        /// The slot.
        slot: u32,
        /// Why.
        reason: String,
    },
    /// The data directory is empty or an older one, and the node does not know it.
    #[error(
        "{by} remembers life {life} of this node, and the data directory does not: it is empty, or an \
         older copy"
    )]
    Forgotten {
        /// Who says so.
        by: String,
        /// The life.
        life: Life,
    },
    /// Another process has begun as this node.
    #[error(
        "{by} knows life {life} of this node, which is later than this process: another process runs \
         as this node; stop it, or give it a `node.name` of its own"
    )]
    Superseded {
        /// Who says so.
        by: String,
        /// The life.
        life: Life,
    },
    /// The node was taken out of the cluster.
    #[error(
        "this node, number {node}, was removed from the cluster, and its data is in use no more; to \
         have it join again, give it an empty `node.data_dir`"
    )]
    Removed {
        /// Its number.
        node: u64,
    },
    /// A cluster does not take the node in.
    #[error("{address} does not take this node in: {reason}")]
    NotTakenIn {
        /// Who was asked.
        address: String,
        /// Why not.
        reason: String,
    },
    /// A replica cannot go on, and with it none of the node's.
    #[error(
        "a replica has failed, as the log says; restart the node, and report it if it fails again"
    )]
    Undriven,
    /// A listening address could not be had.
    #[error("cannot listen on {address} ({key}): {error}; {}", listen_advice(.error))]
    Listen {
        /// The address.
        address: Address,
        /// The setting that names it.
        key: &'static str,
        /// What the system says.
        error: io::Error,
    },
}

impl NodeError {
    /// What the disk said, if the node ended because its disk refused.
    pub fn disk(&self) -> Option<&io::Error> {
        match self {
            NodeError::Claim(ClaimError::Io { error, .. }) => Some(error),
            NodeError::Journal(error) => error.disk(),
            _ => None,
        }
    }
}

fn listen_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "stop the process that has this port, or choose another one",
        io::ErrorKind::AddrNotAvailable => "use an address of this machine, or 0.0.0.0 for all",
        io::ErrorKind::NotFound => "use a name that is known here, or an address of this machine",
        io::ErrorKind::PermissionDenied => "ports below 1024 need more rights; choose another one",
        _ => "choose another address",
    }
}
