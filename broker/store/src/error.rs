//! What can go wrong with a journal, and what to do about it.

use std::{fmt, io, path::PathBuf, sync::Arc};

use thiserror::Error;

use crate::format::GroupId;

/// Why the journal refused or failed.
#[derive(Clone, Debug, Error)]
pub enum JournalError {
    /// The disk refused. After a failed write or sync the journal stays closed, see
    /// [`JournalError::Poisoned`].
    #[error("cannot {action} {}: {source}{}", path.display(), advice(source))]
    Io {
        /// What was tried, as a verb: "write", "sync".
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the disk said.
        source: Arc<io::Error>,
    },
    /// The directory holds the data of another node or cluster.
    #[error(
        "{} belongs to node {found_node} of cluster `{found_cluster}`, but this is node \
         {node} of cluster `{cluster}`; give each node a data directory of its own",
        path.display()
    )]
    ForeignDirectory {
        /// The data directory.
        path: PathBuf,
        /// The node that asked.
        node: u64,
        /// The cluster of the node that asked.
        cluster: String,
        /// The node that the directory was made for.
        found_node: u64,
        /// The cluster that the directory was made for.
        found_cluster: String,
    },
    /// Another process has the directory open.
    #[error("{} is in use by another process; stop that node first ({source})", path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// What the lock said.
        source: Arc<io::Error>,
    },
    /// A file of the journal is not what it should be, in a way that no repair from peers mends.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// An earlier write or sync failed, so it is unknown what the disk holds. Restart the node:
    /// recovery reads what is there.
    #[error("the journal failed earlier and stays closed until the node restarts: {0}")]
    Poisoned(Arc<JournalError>),
    /// Records of this group were damaged on the disk.
    #[error("{0}")]
    Damaged(Damage),
    /// The journal was closed in good order.
    #[error("the journal is closed")]
    Closed,
    /// One record is larger than the format allows.
    #[error("a record of {bytes} bytes is larger than the {limit} bytes the journal allows")]
    TooLarge {
        /// Size of the payload offered.
        bytes: usize,
        /// The largest payload accepted.
        limit: usize,
    },
    /// More is waiting to be written than the journal will hold in memory.
    #[error("{waiting} bytes wait for the disk already; it cannot keep up")]
    Overloaded {
        /// Bytes encoded and not yet given to the disk.
        waiting: usize,
    },
    /// An entry that was asked for is not in the journal.
    #[error("group {group} has no entry {index}")]
    Missing {
        /// The group that was asked.
        group: GroupId,
        /// The index that was asked for.
        index: u64,
    },
}

/// Records that were once written and can no longer be read.
///
/// The group must neither vote nor serve on this node until it is repaired from its peers: what is
/// missing may have been promised to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The group whose record it is; none when not even that is known, and then every group of
    /// this node may have lost something.
    pub group: Option<GroupId>,
    /// Number of the segment file.
    pub segment: u64,
    /// Where in the file, in bytes from its start.
    pub offset: u64,
    /// What was found.
    pub reason: &'static str,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group {
            Some(group) => write!(f, "group {group} is damaged")?,
            None => write!(f, "the journal is damaged and any group may be affected")?,
        }
        write!(f, ": segment {} at byte {}: {}", self.segment, self.offset, self.reason)?;
        f.write_str("; repair it from its peers")
    }
}

impl JournalError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        JournalError::Io { action, path: path.into(), source: Arc::new(source) }
    }

    /// What the disk said, now or earlier, if it was the disk that refused.
    pub fn disk(&self) -> Option<&io::Error> {
        match self {
            JournalError::Io { source, .. } => Some(source),
            JournalError::Poisoned(earlier) => earlier.disk(),
            _ => None,
        }
    }
}

/// For the errors an operator can do something about.
fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free space on this disk, then restart the node"
        }
        io::ErrorKind::PermissionDenied => "; check who owns the data directory",
        io::ErrorKind::ReadOnlyFilesystem => "; the file system is mounted read-only",
        _ => "",
    }
}
