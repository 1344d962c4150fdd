//! What a node remembers of itself and of the others, while it runs.

use std::{
    collections::BTreeSet,
    io, mem,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
};

use paceline_membership::{Life, Lives, Policies};
use paceline_runtime::time::Duration;
use tokio::sync::watch;

use super::{CLUSTER_FILE, FILE, Written, draw, render, replace};
use crate::cluster::Definition;

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
pub struct IdentityFile {
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

impl IdentityFile {
    /// What is written in a directory.
    pub(super) fn new(dir: &Path, written: Written) -> Self {
        Self {
            dir: dir.to_owned(),
            written: Mutex::new(written),
            learning: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            heard: watch::Sender::default(),
            learnt: watch::Sender::default(),
        }
    }

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

    /// The node's number; none of one that has not joined yet.
    pub fn number(&self) -> Option<u64> {
        self.now().id
    }

    /// Tells a node that joins from another one of its name.
    pub fn mark(&self) -> Option<u64> {
        self.now().mark
    }

    /// The node was taken into a cluster, which is as defined, by this number.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn joined(&self, number: u64, definition: &Definition) -> io::Result<()> {
        self.save_cluster(definition).await?;
        self.write(|written| {
            written.id = Some(number);
            written.placement.clone_from(&definition.founded);
            written.cluster.clone_from(&definition.name);
        })
        .await
    }

    /// Writes down what the cluster is now.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn save_cluster(&self, definition: &Definition) -> io::Result<()> {
        let json = serde_json::to_vec_pretty(definition).expect("plain values");
        replace(&self.dir, CLUSTER_FILE, json.into()).await
    }

    /// Whether the disk was empty and the others have not said yet that they do not know the node
    /// either: until then it may have been somebody in this cluster, and must promise nothing.
    pub fn is_new(&self) -> bool {
        self.now().new
    }

    /// The policies that the cluster begins with, as the node's configuration had them when it first
    /// took part. None of one that did not begin the cluster, or has forgotten.
    pub fn policies(&self) -> Option<Policies> {
        let json = self.now().policies.clone()?;
        let policies = serde_json::from_str(&json);
        policies.inspect_err(|error| tracing::error!(%error, "the policies in {FILE}")).ok()
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

    /// From now on the node's replicas promise to keep to a leader for so long. For how long those of
    /// its earlier lives did at the most: the settings may have been others.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn promise(&self, length: Duration) -> io::Result<Duration> {
        let before = Duration::from_nanos(self.now().promise);
        self.promises_at_most(before.max(length)).await?;
        Ok(before)
    }

    /// No promise holds any more that was longer.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn promises_at_most(&self, length: Duration) -> io::Result<()> {
        let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX >> 1);
        self.write(|written| written.promise = nanos).await
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
            // The cluster has been there, and its own count.
            written.policies = None;
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
            replace(&self.dir, FILE, render(&written)).await?;
            *self.now() = written;
        }
        Ok(())
    }
}
