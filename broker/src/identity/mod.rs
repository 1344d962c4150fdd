//! Whose data a directory holds.
//!
//! A node that started on another node's data, or on its own with destinations placed otherwise,
//! would answer for messages that it does not have. So the first start writes down whose data this
//! is, and every further one compares. The same file names the node's lives, of which the number tells
//! its sessions and message ids of one start from those of another, and the last life of each other
//! node: so a disk that has forgotten, of this node or of another one, is found out. See
//! `docs/decisions/0023-a-node-that-has-forgotten-is-told-by-its-peers.md`.

mod file;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use paceline_membership::{Life, Lives};
use paceline_runtime::{
    disk::{self, DirLock, File, OpenOptions},
    random,
};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{cluster::Cluster, config::NodeConfig};

pub use file::{Heard, IdentityFile};

const FILE: &str = "identity.toml";
const FILE_BEING_WRITTEN: &str = "identity.toml.new";

/// An identity is a few lines for each member.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// A data directory in this process's use.
#[derive(Debug)]
pub struct Claim {
    /// What stands in it.
    pub identity_file: Arc<IdentityFile>,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    node: String,
    /// The node's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    cluster: String,
    /// What decides which node has which message.
    placement: String,
    /// Instead of `lives` in what earlier releases wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    starts: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lives: Option<Lives>,
    /// See [`IdentityFile::is_new`].
    #[serde(default)]
    new: bool,
    /// The number of the journal beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    journal: Option<String>,
    /// See [`IdentityFile::to_refill`].
    #[serde(default)]
    refill: BTreeSet<u32>,
    /// The last life that was heard from of each other node, by its number.
    #[serde(default)]
    peers: BTreeMap<String, Life>,
}

fn draw() -> u64 {
    random::stream("lives").random()
}

fn render(written: &Written) -> Bytes {
    toml::to_string(written).expect("plain values").into()
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
        let cluster = Cluster::of(&config.cluster).expect("a checked configuration");
        let mut written = Written {
            node: config.node.name.clone(),
            id: cluster.number_of(&config.node.name),
            cluster: config.cluster.name.clone(),
            placement: config.cluster.placement_in_words(),
            starts: None,
            lives: Some(Lives::after(0, draw())),
            new: config.cluster.members.len() > 1,
            journal: None,
            refill: BTreeSet::new(),
            peers: BTreeMap::new(),
        };
        if disk::exists(&file).await.map_err(io(&file))? {
            let found = read(&file).await?;
            compare(dir, &found, &written)?;
            let lives = match found.lives {
                Some(mut lives) => {
                    lives.begin(draw());
                    lives
                }
                None => Lives::after(found.starts.unwrap_or(0), draw()),
            };
            written = Written { id: written.id, starts: None, lives: Some(lives), ..found };
        }
        replace(dir, render(&written)).await.map_err(io(&file))?;
        let identity_file = IdentityFile::new(dir, written);
        Ok(Self { identity_file: Arc::new(identity_file), _lock: lock })
    }
}

fn compare(dir: &Path, found: &Written, wanted: &Written) -> Result<(), ClaimError> {
    let number = |of: &Written| of.id.or(wanted.id).map_or_else(String::new, |id| id.to_string());
    const OWN: &str = "give this node a `node.data_dir` of its own";
    for (what, found, wanted, advice) in [
        ("cluster", &found.cluster, &wanted.cluster, OWN),
        ("node", &found.node, &wanted.node, OWN),
        ("node's number", &number(found), &number(wanted), OWN),
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

async fn read(path: &Path) -> Result<Written, ClaimError> {
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
        assert_eq!(first.identity_file.incarnation(), 1);
        let second = claim(&config).await.unwrap_err();
        assert!(second.contains("is in use by another process"), "{second}");
        drop(first);
        assert_eq!(claim(&config).await.unwrap().identity_file.incarnation(), 2);
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
        assert_eq!(claim(&config).await.unwrap().identity_file.incarnation(), 2);
    }

    /// Of a cluster of two.
    fn of_two(dir: &Path) -> NodeConfig {
        let mut config = NodeConfig::dev(dir.into());
        let other = config.cluster.members[0].clone();
        config.cluster.members.push(crate::config::Member { name: "other".into(), ..other });
        config
    }

    #[tokio::test]
    async fn an_empty_directory_is_new_until_its_node_joins() {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            !claim(&NodeConfig::dev(dir.path().join("alone")))
                .await
                .unwrap()
                .identity_file
                .is_new()
        );
        let config = of_two(&dir.path().join("of-two"));
        let first = claim(&config).await.unwrap();
        first.identity_file.found_journal(1, [0, 1]).await.unwrap();
        first.identity_file.found_journal(2, [0, 1]).await.unwrap();
        assert_eq!(first.identity_file.to_refill(), [].into(), "a new node has nothing to forget");
        drop(first);
        let second = claim(&config).await.unwrap();
        assert!(second.identity_file.is_new(), "a restart makes nobody known");
        second.identity_file.join().await.unwrap();
        drop(second);
        assert!(!claim(&config).await.unwrap().identity_file.is_new());
    }

    #[tokio::test]
    async fn what_was_forgotten_and_what_is_known_of_others_outlast_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let config = of_two(dir.path());
        let first = claim(&config).await.unwrap();
        let life = Life { number: 7, mark: u64::MAX };
        assert!(!first.identity_file.lives().remember(life));
        first.identity_file.has_forgotten(1, life);
        first.identity_file.forget(life, 0..3).await.unwrap();
        assert_eq!(*first.identity_file.heard().borrow(), Heard::default());
        first.identity_file.was_reset(1).await.unwrap();
        first.identity_file.know(1, Life { number: 3, mark: 4 }).await.unwrap();
        drop(first);
        let identity_file = claim(&config).await.unwrap().identity_file;
        assert_eq!(identity_file.incarnation(), 9, "sessions of lives before are superseded");
        assert!(identity_file.lives().remember(life));
        assert_eq!(identity_file.to_refill(), [0, 2].into());
        assert_eq!(identity_file.known(1), Some(Life { number: 3, mark: 4 }));
    }

    #[tokio::test]
    async fn a_late_word_of_an_earlier_life_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let identity_file = claim(&of_two(dir.path())).await.unwrap().identity_file;
        let life = |number, mark| Life { number, mark };
        assert!(identity_file.know(2, life(8, 1)).await.unwrap());
        assert!(identity_file.know(2, life(8, 1)).await.unwrap());
        for other in [life(7, 1), life(8, 2)] {
            assert!(!identity_file.know(2, other).await.unwrap());
        }
        assert_eq!(identity_file.known(2), Some(life(8, 1)));
        let (one, other) =
            tokio::join!(identity_file.know(3, life(1, 0)), identity_file.know(4, life(1, 0)));
        assert!(one.unwrap() && other.unwrap());
        assert_eq!(
            (identity_file.known(3), identity_file.known(4)),
            (Some(life(1, 0)), Some(life(1, 0)))
        );
    }

    #[tokio::test]
    async fn another_journal_in_the_place_of_one_is_one_that_has_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let identity_file = claim(&of_two(dir.path())).await.unwrap().identity_file;
        identity_file.found_journal(1, [0, 1]).await.unwrap();
        identity_file.join().await.unwrap();
        identity_file.found_journal(1, [0, 1]).await.unwrap();
        assert_eq!(identity_file.to_refill(), [].into());
        identity_file.found_journal(2, [0, 1]).await.unwrap();
        assert_eq!(identity_file.to_refill(), [0, 1].into());
    }

    #[tokio::test]
    async fn an_identity_of_an_earlier_release_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let config = of_two(dir.path());
        let placement = config.cluster.placement_in_words();
        let text =
            format!("node = \"dev\"\ncluster = \"dev\"\nplacement = {placement:?}\nstarts = 4\n");
        replace(dir.path(), text.into()).await.unwrap();
        let identity_file = claim(&config).await.unwrap().identity_file;
        assert_eq!((identity_file.incarnation(), identity_file.is_new()), (5, false));
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
