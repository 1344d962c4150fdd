//! Whose data a directory holds.
//!
//! A node that started on another node's data, or on its own with destinations placed otherwise,
//! would answer for messages that it does not have. So the first start writes down whose data this
//! is, and every further one compares. The same file counts the starts: a node's *incarnation*
//! tells its sessions and message ids of one start from those of another.

use std::{
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use paceline_runtime::disk::{self, DirLock, File, OpenOptions};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::NodeConfig;

const FILE: &str = "identity.toml";
const FILE_BEING_WRITTEN: &str = "identity.toml.new";

/// An identity is a few lines for each member.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// A data directory in this process's use.
#[derive(Debug)]
pub struct Claim {
    /// How often the node has started on this data, this time included.
    pub incarnation: u64,
    /// Held as long as the directory is used.
    _lock: DirLock,
}

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum ClaimError {
    /// Another process has it.
    #[error("{dir} is in use by another process; stop that one, or give this node another `{key}`")]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The setting that names it.
        key: &'static str,
    },
    /// It holds the data of another node, cluster or placement.
    #[error(
        "{dir} holds data of another {what}: it was written with {found}, the configuration says \
         {wanted}; {advice}"
    )]
    Mismatch {
        /// The directory.
        dir: PathBuf,
        /// What differs.
        what: &'static str,
        /// What the data says.
        found: String,
        /// What the configuration says.
        wanted: String,
        /// What to do.
        advice: &'static str,
    },
    /// The identity is there and makes no sense.
    #[error("{file} is damaged ({reason}); restore it from a copy, or move the directory away")]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refused.
    #[error("{path}: {error}{}", advice(.error))]
    Io {
        /// What was to be read or written.
        path: PathBuf,
        /// Why it was not.
        error: io::Error,
    },
}

/// What can be done about an error of the file system.
pub(crate) fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; the disk is full: make room, then start again"
        }
        io::ErrorKind::PermissionDenied => "; give this user the right to read and write it",
        io::ErrorKind::ReadOnlyFilesystem => "; it is mounted read-only",
        _ => "",
    }
}

/// What is written down.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    node: String,
    cluster: String,
    /// What decides which node has which message.
    placement: String,
    starts: u64,
}

impl Claim {
    /// Takes the configuration's data directory, which is made if it does not exist.
    pub async fn take(config: &NodeConfig) -> Result<Self, ClaimError> {
        let dir = config.node.data_dir.as_path();
        let io = |path: &Path| {
            let path = path.to_owned();
            move |error| ClaimError::Io { path, error }
        };
        disk::create_dir_all(dir).await.map_err(io(dir))?;
        let lock = DirLock::acquire(dir).await.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                ClaimError::InUse { dir: dir.to_owned(), key: "node.data_dir" }
            }
            _ => io(dir)(error),
        })?;
        let file = dir.join(FILE);
        let mut identity = Identity {
            node: config.node.name.clone(),
            cluster: config.cluster.name.clone(),
            placement: config.cluster.placement_in_words(),
            starts: 0,
        };
        if disk::exists(&file).await.map_err(io(&file))? {
            let found = read(&file).await?;
            compare(dir, &found, &identity)?;
            identity.starts = found.starts;
        }
        identity.starts += 1;
        let text = toml::to_string(&identity).expect("plain values");
        replace(dir, text.into()).await.map_err(io(&file))?;
        Ok(Self { incarnation: identity.starts, _lock: lock })
    }
}

fn compare(dir: &Path, found: &Identity, wanted: &Identity) -> Result<(), ClaimError> {
    const OWN: &str = "give this node a `node.data_dir` of its own";
    for (what, found, wanted, advice) in [
        ("cluster", &found.cluster, &wanted.cluster, OWN),
        ("node", &found.node, &wanted.node, OWN),
        (
            "placement",
            &found.placement,
            &wanted.placement,
            "put [cluster] back as it was: it is fixed once there is data",
        ),
    ] {
        if found != wanted {
            return Err(ClaimError::Mismatch {
                dir: dir.to_owned(),
                what,
                found: format!("`{found}`"),
                wanted: format!("`{wanted}`"),
                advice,
            });
        }
    }
    Ok(())
}

async fn read(path: &Path) -> Result<Identity, ClaimError> {
    let io = |error| ClaimError::Io { path: path.to_owned(), error };
    let damaged = |reason: String| ClaimError::Damaged { file: path.to_owned(), reason };
    let options = OpenOptions { read: true, ..OpenOptions::default() };
    let file = File::open(path, &options).await.map_err(io)?;
    let len = file.len().await.map_err(io)?;
    if len > MAX_BYTES {
        return Err(damaged(format!("it has {len} bytes")));
    }
    let bytes = file.read_at(0, len as usize).await.map_err(io)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| damaged(error.to_string()))?;
    toml::from_str(text).map_err(|error: toml::de::Error| damaged(error.message().into()))
}

/// Writes the file so that a crash leaves either the old one or the new one.
async fn replace(dir: &Path, text: Bytes) -> io::Result<()> {
    let being_written = dir.join(FILE_BEING_WRITTEN);
    let options =
        OpenOptions { write: true, create: true, truncate: true, ..OpenOptions::default() };
    let file = File::open(&being_written, &options).await?;
    file.write_all_at(text, 0).await?;
    file.sync_all().await?;
    disk::rename(&being_written, dir.join(FILE)).await?;
    disk::sync_dir(dir).await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn claim(config: &NodeConfig) -> Result<Claim, String> {
        Claim::take(config).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn starts_are_counted_and_two_at_a_time_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let config = NodeConfig::dev(dir.path().join("made/on/demand"));
        let first = claim(&config).await.unwrap();
        assert_eq!(first.incarnation, 1);
        let second = claim(&config).await.unwrap_err();
        assert!(second.contains("is in use by another process"), "{second}");
        drop(first);
        assert_eq!(claim(&config).await.unwrap().incarnation, 2);
    }

    #[tokio::test]
    async fn data_of_another_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let config = NodeConfig::dev(dir.path().into());
        drop(claim(&config).await.unwrap());
        for (change, expected) in [
            (
                (|config: &mut NodeConfig| config.node.name = "x".into()) as fn(&mut NodeConfig),
                "data of another node: it was written with `dev`, the configuration says `x`",
            ),
            (|config| config.cluster.name = "x".into(), "data of another cluster"),
            (|config| config.cluster.salt = "x".into(), "put [cluster] back as it was"),
        ] {
            let mut other = config.clone();
            change(&mut other);
            let error = claim(&other).await.unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(claim(&config).await.unwrap().incarnation, 2);
    }

    #[tokio::test]
    async fn a_damaged_identity_is_not_taken_for_a_new_directory() {
        let dir = tempfile::tempdir().unwrap();
        let config = NodeConfig::dev(dir.path().into());
        drop(claim(&config).await.unwrap());
        replace(dir.path(), "node = 3".into()).await.unwrap();
        let error = claim(&config).await.unwrap_err();
        assert!(error.contains("is damaged"), "{error}");
    }
}
