//! Whose data a directory holds.
//!
//! A node that started on another node's data, or on its own with destinations placed otherwise,
//! would answer for messages that it does not have. So the first start writes down whose data this
//! is, and every further one compares. The same file names the node's lives, of which the number tells
//! its sessions and message ids of one start from those of another, and the last life of each other
//! node: so a disk that has forgotten, of this node or of another one, is found out. See
//! `docs/decisions/0023-a-node-that-has-forgotten-is-told-by-its-peers.md`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io, mem,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
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
use tokio::sync::watch;

use crate::{cluster::Cluster, config::NodeConfig};

const FILE: &str = "identity.toml";
const FILE_BEING_WRITTEN: &str = "identity.toml.new";

/// An identity is a few lines for each member.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// A data directory in this process's use.
#[derive(Debug)]
pub struct Claim {
    /// What stands in it.
    pub memory: Arc<Memory>,
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
    /// See [`Memory::is_new`].
    #[serde(default)]
    new: bool,
    /// The number of the journal beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    journal: Option<String>,
    /// See [`Memory::to_refill`].
    #[serde(default)]
    refill: BTreeSet<u32>,
    /// The last life that was heard from of each other node, by its number.
    #[serde(default)]
    peers: BTreeMap<String, Life>,
}

/// What other nodes remember of this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Those that remember nothing that this node does not.
    pub agree: BTreeSet<u64>,
    /// One that remembers a life that this node does not, and that life.
    pub forgotten: Option<(u64, Life)>,
    /// One that remembered nothing else before, and now a later life: it is another process's.
    pub superseded: Option<(u64, Life)>,
}

/// What a node remembers of itself and of the others, and what they remember of it. What is read here
/// is on the disk.
#[derive(Debug)]
pub struct Memory {
    dir: PathBuf,
    written: Mutex<Written>,
    /// What is to be written down of others.
    learning: Mutex<Vec<(u64, Life)>>,
    /// One writes at a time.
    writing: tokio::sync::Mutex<()>,
    heard: watch::Sender<Heard>,
    /// Changes with what is known of others.
    learnt: watch::Sender<()>,
}

impl Memory {
    fn now(&self) -> MutexGuard<'_, Written> {
        self.written.lock().expect("no holder panics")
    }

    /// The node's lives that its disk remembers.
    pub fn lives(&self) -> Lives {
        self.now().lives.clone().expect("a claim has made them")
    }

    /// The number of the present life.
    pub fn incarnation(&self) -> u64 {
        self.lives().present().number
    }

    /// Whether the disk was empty and the others have not said yet that they do not know the node
    /// either: until then it may have been somebody in this cluster, and must promise nothing.
    pub fn is_new(&self) -> bool {
        self.now().new
    }

    /// The slots whose replicas here have forgotten what they promised and were not reset since.
    pub fn to_refill(&self) -> BTreeSet<u32> {
        self.now().refill.clone()
    }

    /// The last life that was heard from of a node.
    pub fn known(&self, node: u64) -> Option<Life> {
        self.now().peers.get(&node.to_string()).copied()
    }

    /// What others remember of this node; tells when one says so.
    pub fn heard(&self) -> watch::Receiver<Heard> {
        self.heard.subscribe()
    }

    /// A node remembers nothing that this one does not.
    pub(crate) fn agrees(&self, node: u64) {
        self.heard.send_if_modified(|heard| heard.agree.insert(node));
    }

    /// A node remembers a life that this one does not.
    pub(crate) fn has_forgotten(&self, node: u64, life: Life) {
        self.heard.send_if_modified(|heard| {
            let told = match heard.agree.contains(&node) {
                true => &mut heard.superseded,
                false => &mut heard.forgotten,
            };
            let is_news = told.is_none();
            told.get_or_insert((node, life));
            is_news
        });
    }

    /// Another node begins a life, or is heard from for the first time in it. No word of it counts
    /// before this has ended. Whether that life is the last that is known; a late word of an earlier
    /// one counts for nothing.
    ///
    /// # Errors
    /// Those of the disk; then it is not known.
    pub(crate) async fn know(&self, node: u64, life: Life) -> io::Result<bool> {
        let is_news = |known: Option<Life>| known.is_none_or(|it| it.number < life.number);
        while is_news(self.known(node)) {
            // What others have learnt meanwhile goes with it: at a start all nodes come at once.
            self.learning.lock().expect("no holder panics").push((node, life));
            let _writing = self.writing.lock().await;
            let learnt = mem::take(&mut *self.learning.lock().expect("no holder panics"));
            let mut written = self.now().clone();
            for (node, life) in learnt {
                let last = written.peers.get(&node.to_string());
                if last.is_none_or(|last| last.number < life.number) {
                    written.peers.insert(node.to_string(), life);
                }
            }
            self.replace(written).await?;
            self.learnt.send_replace(());
        }
        Ok(self.known(node) == Some(life))
    }

    /// Waits until another life of a node is known than this one.
    pub(crate) async fn outlived(&self, node: u64, life: Life) {
        let mut learnt = self.learnt.subscribe();
        while self.known(node) == Some(life) {
            if learnt.changed().await.is_err() {
                return;
            }
        }
    }

    /// The journal beside it has this number. If it is another one than before, all that was in that
    /// one is forgotten; `slots` are those that the node holds.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn found_journal(
        &self,
        number: u64,
        slots: impl IntoIterator<Item = u32>,
    ) -> io::Result<()> {
        let number = format!("{number:016x}");
        let before = self.now().journal.clone();
        if before.as_ref() == Some(&number) {
            return Ok(());
        }
        let is_another = before.is_some() && !self.is_new();
        let refill: BTreeSet<u32> = slots.into_iter().filter(|_| is_another).collect();
        self.write(|written| {
            written.journal = Some(number);
            written.refill.extend(refill);
        })
        .await
    }

    /// All others have said that they do not know the node: it takes part.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn join(&self) -> io::Result<()> {
        self.write(|written| written.new = false).await
    }

    /// Somebody remembers a life that this disk does not. The node begins another one, as of a disk
    /// that remembers nothing; `slots` are those that it holds.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn forget(&self, life: Life, slots: impl IntoIterator<Item = u32>) -> io::Result<()> {
        let last = life.number.max(self.incarnation());
        let refill: BTreeSet<u32> = slots.into_iter().collect();
        self.write(|written| {
            written.lives = Some(Lives::after(last, draw()));
            written.new = false;
            written.refill = refill;
        })
        .await?;
        self.heard.send_replace(Heard::default());
        Ok(())
    }

    /// A slot's replica was reset, and keeps from here on to what its part of the journal says.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn was_reset(&self, slot: u32) -> io::Result<()> {
        if !self.now().refill.contains(&slot) {
            return Ok(());
        }
        self.write(|written| {
            written.refill.remove(&slot);
        })
        .await
    }

    async fn write(&self, change: impl FnOnce(&mut Written)) -> io::Result<()> {
        let _writing = self.writing.lock().await;
        let mut written = self.now().clone();
        change(&mut written);
        self.replace(written).await
    }

    async fn replace(&self, written: Written) -> io::Result<()> {
        if written != *self.now() {
            replace(&self.dir, render(&written)).await?;
            *self.now() = written;
        }
        Ok(())
    }
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
        let memory = Memory {
            dir: dir.to_owned(),
            written: Mutex::new(written),
            learning: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            heard: watch::Sender::default(),
            learnt: watch::Sender::default(),
        };
        Ok(Self { memory: Arc::new(memory), _lock: lock })
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
        assert_eq!(first.memory.incarnation(), 1);
        let second = claim(&config).await.unwrap_err();
        assert!(second.contains("is in use by another process"), "{second}");
        drop(first);
        assert_eq!(claim(&config).await.unwrap().memory.incarnation(), 2);
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
        assert_eq!(claim(&config).await.unwrap().memory.incarnation(), 2);
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
        assert!(!claim(&NodeConfig::dev(dir.path().join("alone"))).await.unwrap().memory.is_new());
        let config = of_two(&dir.path().join("of-two"));
        let first = claim(&config).await.unwrap();
        first.memory.found_journal(1, [0, 1]).await.unwrap();
        first.memory.found_journal(2, [0, 1]).await.unwrap();
        assert_eq!(first.memory.to_refill(), [].into(), "a new node has nothing to forget");
        drop(first);
        let second = claim(&config).await.unwrap();
        assert!(second.memory.is_new(), "a restart makes nobody known");
        second.memory.join().await.unwrap();
        drop(second);
        assert!(!claim(&config).await.unwrap().memory.is_new());
    }

    #[tokio::test]
    async fn what_was_forgotten_and_what_is_known_of_others_outlast_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let config = of_two(dir.path());
        let first = claim(&config).await.unwrap();
        let life = Life { number: 7, mark: u64::MAX };
        assert!(!first.memory.lives().remember(life));
        first.memory.has_forgotten(1, life);
        first.memory.forget(life, 0..3).await.unwrap();
        assert_eq!(*first.memory.heard().borrow(), Heard::default());
        first.memory.was_reset(1).await.unwrap();
        first.memory.know(1, Life { number: 3, mark: 4 }).await.unwrap();
        drop(first);
        let memory = claim(&config).await.unwrap().memory;
        assert_eq!(memory.incarnation(), 9, "sessions of lives before are superseded");
        assert!(memory.lives().remember(life));
        assert_eq!(memory.to_refill(), [0, 2].into());
        assert_eq!(memory.known(1), Some(Life { number: 3, mark: 4 }));
    }

    #[tokio::test]
    async fn a_late_word_of_an_earlier_life_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let memory = claim(&of_two(dir.path())).await.unwrap().memory;
        let life = |number, mark| Life { number, mark };
        assert!(memory.know(2, life(8, 1)).await.unwrap());
        assert!(memory.know(2, life(8, 1)).await.unwrap());
        for other in [life(7, 1), life(8, 2)] {
            assert!(!memory.know(2, other).await.unwrap());
        }
        assert_eq!(memory.known(2), Some(life(8, 1)));
        let (one, other) = tokio::join!(memory.know(3, life(1, 0)), memory.know(4, life(1, 0)));
        assert!(one.unwrap() && other.unwrap());
        assert_eq!((memory.known(3), memory.known(4)), (Some(life(1, 0)), Some(life(1, 0))));
    }

    #[tokio::test]
    async fn another_journal_in_the_place_of_one_is_one_that_has_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let memory = claim(&of_two(dir.path())).await.unwrap().memory;
        memory.found_journal(1, [0, 1]).await.unwrap();
        memory.join().await.unwrap();
        memory.found_journal(1, [0, 1]).await.unwrap();
        assert_eq!(memory.to_refill(), [].into());
        memory.found_journal(2, [0, 1]).await.unwrap();
        assert_eq!(memory.to_refill(), [0, 1].into());
    }

    #[tokio::test]
    async fn an_identity_of_an_earlier_release_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let config = of_two(dir.path());
        let placement = config.cluster.placement_in_words();
        let text =
            format!("node = \"dev\"\ncluster = \"dev\"\nplacement = {placement:?}\nstarts = 4\n");
        replace(dir.path(), text.into()).await.unwrap();
        let memory = claim(&config).await.unwrap().memory;
        assert_eq!((memory.incarnation(), memory.is_new()), (5, false));
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
