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
use paceline_membership::{Life, Lives, Member};
use paceline_runtime::{
    disk::{self, DirLock, File, OpenOptions},
    random,
};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    cluster::{Cluster, Definition},
    config::NodeConfig,
};

pub use file::{Heard, IdentityFile};

const FILE: &str = "identity.toml";

/// What the node knows of its cluster. Beside the identity, as it may be looked at and taken along.
const CLUSTER_FILE: &str = "cluster.json";

/// An identity is a few lines for each member.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// A data directory in this process's use.
#[derive(Debug)]
pub struct Claim {
    /// What stands in it.
    pub identity_file: Arc<IdentityFile>,
    /// The cluster as the node last knew it, or as it begins; none of a node that has to join it first.
    pub cluster: Option<Cluster>,
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
    /// What the cluster began with. Empty of a node that has not joined yet.
    placement: String,
    /// See [`IdentityFile::policies`]. As JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policies: Option<String>,
    /// Of a node that joins: tells it from another one of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mark: Option<u64>,
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
    /// See [`IdentityFile::promise`]. In nanoseconds.
    #[serde(default)]
    promise: u64,
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
        let joins = !config.cluster.join.is_empty();
        let founding = || Cluster::of(&config.cluster).expect("a checked configuration");
        let founding = (!joins).then(founding);
        let mut written = Written {
            node: config.node.name.clone(),
            id: founding.as_ref().and_then(|cluster| cluster.number_of(&config.node.name)),
            cluster: config.cluster.name.clone(),
            placement: founding.as_ref().map_or_else(String::new, |it| it.founded.to_string()),
            policies: founding.is_some().then(|| {
                let policies = config.policies().expect("a checked configuration");
                serde_json::to_string(&policies).expect("plain values")
            }),
            // One that a file of numbers can hold.
            mark: joins.then(|| draw() >> 1),
            starts: None,
            lives: Some(Lives::after(0, draw())),
            new: config.cluster.members.len() > 1,
            journal: None,
            promise: 0,
            refill: BTreeSet::new(),
            peers: BTreeMap::new(),
        };
        if disk::exists(&file).await.map_err(io(&file))? {
            let found: Written = read(&file, |text| toml::from_str(text)).await?;
            if joins {
                written.placement.clone_from(&found.placement);
            }
            if joins && written.cluster.is_empty() {
                written.cluster.clone_from(&found.cluster);
            }
            compare(dir, &found, &written)?;
            let lives = match found.lives {
                Some(mut lives) => {
                    lives.begin(draw());
                    lives
                }
                None => Lives::after(found.starts.unwrap_or(0), draw()),
            };
            let id = found.id.or(written.id);
            // One that began a cluster and is told to join one is told by that one that it cannot.
            let mark = found.mark.or(written.mark);
            // Until the node takes part, what it begins the cluster with may still be set right.
            let policies = if found.new { written.policies } else { found.policies.clone() };
            written = Written { id, mark, policies, starts: None, lives: Some(lives), ..found };
        }
        let file = dir.join(CLUSTER_FILE);
        let cluster = match disk::exists(&file).await.map_err(io(&file))? {
            true => {
                let definition: Definition = read(&file, |text| serde_json::from_str(text)).await?;
                if written.id.is_none() {
                    // It had been taken in when it ended, unless another one has its name since.
                    let mut members = definition.view.members().iter();
                    let is_own = |member: &&Member| {
                        member.name == written.node && member.mark == written.mark
                    };
                    written.id = members.find(is_own).map(|own| own.id.0);
                    written.placement.clone_from(&definition.founded);
                    written.cluster.clone_from(&definition.name);
                }
                Some(Cluster::known(definition))
            }
            false => founding,
        };
        replace(dir, FILE, render(&written)).await.map_err(io(&dir.join(FILE)))?;
        let identity_file = IdentityFile::new(dir, written);
        Ok(Self { identity_file: Arc::new(identity_file), cluster, _lock: lock })
    }
}

fn compare(dir: &Path, found: &Written, wanted: &Written) -> Result<(), ClaimError> {
    // Where one of them says none, it is the other's.
    let number = |id: Option<u64>, other: Option<u64>| {
        id.or(other).map_or_else(String::new, |id| id.to_string())
    };
    let numbers = (number(found.id, wanted.id), number(wanted.id, found.id));
    const OWN: &str = "give this node a `node.data_dir` of its own";
    for (what, found, wanted, advice) in [
        ("cluster", &found.cluster, &wanted.cluster, OWN),
        ("node", &found.node, &wanted.node, OWN),
        ("node's number", &numbers.0, &numbers.1, OWN),
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

async fn read<T, E: ToString>(
    path: &Path,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, ClaimError> {
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
    parse(text).map_err(|error| damaged(error.to_string()))
}

/// Writes a file so that a crash leaves either the old one or the new one.
async fn replace(dir: &Path, name: &str, text: Bytes) -> io::Result<()> {
    let being_written = dir.join(format!("{name}.new"));
    let options =
        OpenOptions { write: true, create: true, truncate: true, ..OpenOptions::default() };
    let file = File::open(&being_written, &options).await?;
    file.write_all_at(text, 0).await?;
    file.sync_all().await?;
    disk::rename(&being_written, dir.join(name)).await?;
    disk::sync_dir(dir).await
}

#[cfg(test)]
mod tests {
    use paceline_runtime::time::Duration;

    use super::*;
    use crate::config::ClusterConfig;

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
    async fn a_longer_promise_is_remembered_until_it_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let config = NodeConfig::dev(dir.path().into());
        let millis = Duration::from_millis;
        for (begins, before) in [(400, 0), (100, 400), (100, 400), (500, 400)] {
            let identity_file = claim(&config).await.unwrap().identity_file;
            assert_eq!(identity_file.promise(millis(begins)).await.unwrap(), millis(before));
        }
        let identity_file = claim(&config).await.unwrap().identity_file;
        identity_file.promises_at_most(millis(100)).await.unwrap();
        drop(identity_file);
        let identity_file = claim(&config).await.unwrap().identity_file;
        assert_eq!(identity_file.promise(millis(1)).await.unwrap(), millis(100));
    }

    #[tokio::test]
    async fn a_node_that_joins_is_the_same_one_when_it_asks_again_and_when_it_has_joined() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = NodeConfig::dev(dir.path().into());
        config.cluster = ClusterConfig::to_join("", vec!["127.0.0.1:1".into()]);
        let first = claim(&config).await.unwrap();
        let mark = first.identity_file.mark();
        assert!(mark.is_some() && first.cluster.is_none());
        assert_eq!(first.identity_file.number(), None);
        drop(first);
        let second = claim(&config).await.unwrap();
        assert_eq!(second.identity_file.mark(), mark);
        let definition = Definition::founded(&NodeConfig::dev(PathBuf::new()).cluster).unwrap();
        second.identity_file.joined(7, &definition).await.unwrap();
        drop(second);
        let third = claim(&config).await.unwrap();
        assert_eq!(third.identity_file.number(), Some(7));
        assert_eq!(third.cluster.clone().unwrap().definition(), definition);
        drop(third);
        config.cluster.name = "other".into();
        let error = claim(&config).await.unwrap_err();
        assert!(error.contains("data of another cluster"), "{error}");
    }

    #[tokio::test]
    async fn a_node_whose_name_is_anothers_since_has_not_joined() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = NodeConfig::dev(dir.path().into());
        config.cluster = ClusterConfig::to_join("", vec!["127.0.0.1:1".into()]);
        let first = claim(&config).await.unwrap();
        let definition = Definition::founded(&NodeConfig::dev(PathBuf::new()).cluster).unwrap();
        first.identity_file.save_cluster(&definition).await.unwrap();
        drop(first);
        assert_eq!(claim(&config).await.unwrap().identity_file.number(), None);
    }

    #[tokio::test]
    async fn one_that_began_a_cluster_has_a_mark_when_it_is_told_to_join_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = NodeConfig::dev(dir.path().into());
        drop(claim(&config).await.unwrap());
        config.cluster = ClusterConfig::to_join("", vec!["127.0.0.1:1".into()]);
        let joins = claim(&config).await.unwrap();
        assert!(joins.cluster.is_none() && joins.identity_file.mark().is_some());
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
        replace(dir.path(), FILE, text.into()).await.unwrap();
        let identity_file = claim(&config).await.unwrap().identity_file;
        assert_eq!((identity_file.incarnation(), identity_file.is_new()), (5, false));
    }

    #[tokio::test]
    async fn a_damaged_identity_is_not_taken_for_a_new_directory() {
        let dir = tempfile::tempdir().unwrap();
        let config = NodeConfig::dev(dir.path().into());
        drop(claim(&config).await.unwrap());
        replace(dir.path(), FILE, "node = 3".into()).await.unwrap();
        let error = claim(&config).await.unwrap_err();
        assert!(error.contains("is damaged"), "{error}");
    }

    #[tokio::test]
    async fn what_the_cluster_begins_with_may_change_until_the_node_takes_part() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = of_two(dir.path());
        drop(claim(&config).await.unwrap());
        let policies = |config: &NodeConfig| Some(config.policies().unwrap());
        config.policies = vec![crate::config::Policy::of("/queue/q")];
        let second = claim(&config).await.unwrap();
        assert_eq!(second.identity_file.policies(), policies(&config));
        second.identity_file.join().await.unwrap();
        drop(second);
        let other = NodeConfig { policies: Vec::new(), ..config.clone() };
        let third = claim(&other).await.unwrap();
        assert_eq!(third.identity_file.policies(), policies(&config), "its file counts no more");
        third.identity_file.forget(Life { number: 9, mark: 9 }, []).await.unwrap();
        assert_eq!(third.identity_file.policies(), None);
        drop(third);
        assert_eq!(claim(&config).await.unwrap().identity_file.policies(), None);
    }
}
