//! A node's journal: opened, asked for a group's part, closed.

use std::{path::Path, sync::Arc};

use paceline_runtime::{disk::DirLock, task};

use crate::{
    compaction,
    error::JournalError,
    format::GroupId,
    group::Group,
    identity::Identity,
    recovery::{self, Recovered},
    shared::{Durable, Handle, Options, Shared},
    writer,
    writing::Writing,
};

/// How much disk the journal uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Segment files.
    pub segments: usize,
    /// Bytes in them.
    pub bytes: u64,
    /// Bytes of records that are live.
    pub live: u64,
}

/// A node's journal. Clones are the same journal; it is closed when the last one is dropped, but
/// only [`Journal::close`] tells when.
#[derive(Clone)]
pub struct Journal {
    handle: Arc<Handle>,
}

impl Journal {
    /// Opens the journal in `dir`, which is made if it is not there, reads everything in it and
    /// verifies it. See `docs/journal-format.md` for what recovery promises.
    ///
    /// # Errors
    ///
    /// [`JournalError::InUse`], [`JournalError::ForeignDirectory`], [`JournalError::Unreadable`],
    /// [`JournalError::Io`]. Damaged records are no error here; see [`Recovered::damage`].
    pub async fn open(
        dir: impl AsRef<Path>,
        identity: &Identity,
        options: Options,
    ) -> Result<(Self, Recovered), JournalError> {
        let (shared, lock, recovered) = recovery::open(dir.as_ref(), identity, options).await?;
        let shared = Arc::new(shared);
        task::spawn(run(Arc::clone(&shared), lock));
        Ok((Self { handle: Arc::new(Handle { shared }) }, recovered))
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// The groups that have records here, in order.
    pub fn groups(&self) -> Vec<GroupId> {
        self.shared().lock().index.groups.keys().copied().collect()
    }

    /// One group's part of the journal.
    pub fn group(&self, id: GroupId) -> Group {
        Group::new(self.handle.clone(), id)
    }

    /// Writes in one piece what several groups want written, with one sync; `done` is called when it
    /// is on the disk, and with it everything that was written before.
    ///
    /// # Errors
    ///
    /// When the journal takes nothing more, or what `write` fails with: what it has written before
    /// that stands, and `done` is dropped.
    pub fn write(
        &self,
        write: impl FnOnce(&mut Writing) -> Result<(), JournalError>,
        done: impl FnOnce(Result<(), JournalError>) + Send + 'static,
    ) -> Result<(), JournalError> {
        let mut writing = Writing::begin(self.shared())?;
        write(&mut writing)?;
        writing.submit(Box::new(done));
        Ok(())
    }

    /// How much disk is used.
    pub fn usage(&self) -> Usage {
        let inner = self.shared().lock();
        inner.index.segments.values().fold(Usage::default(), |sum, segment| Usage {
            segments: sum.segments + 1,
            bytes: sum.bytes + segment.bytes,
            live: sum.live + segment.live,
        })
    }

    /// Why the journal has failed, if it has.
    pub fn failure(&self) -> Option<JournalError> {
        self.shared().lock().failed.clone()
    }

    /// Waits until nothing will be written any more; gives the reason if the journal has failed,
    /// and nothing if it was closed.
    pub async fn ended(&self) -> Option<JournalError> {
        let shared = self.shared();
        let mut ended = shared.ended.subscribe();
        // Fails only when the sender is gone, and `shared` holds it.
        let _ = ended.wait_for(|ended| *ended).await;
        self.failure()
    }

    /// Writes what waits, with every group's last commit mark, syncs, and ends.
    ///
    /// # Errors
    ///
    /// [`JournalError::Poisoned`] when an earlier write failed, or the failure of this one.
    pub async fn close(&self) -> Result<(), JournalError> {
        let shared = self.shared();
        let durable = {
            let mut inner = shared.lock();
            if inner.closing || inner.failed.is_some() {
                inner.closing = true;
                None
            } else {
                let lagging = inner.index.groups.iter().filter(|(_, group)| group.state_lags);
                let lagging: Vec<_> = lagging.map(|(id, _)| *id).collect();
                for group in lagging {
                    shared.put_state(&mut inner, group)?;
                }
                let (waiter, durable) = Durable::new();
                shared.submit(&mut inner, waiter);
                inner.closing = true;
                Some(durable)
            }
        };
        shared.work.notify_one();
        shared.garbage.notify_one();
        let result = match durable {
            Some(durable) => durable.await,
            None => Ok(()),
        };
        let mut ended = shared.ended.subscribe();
        // Fails only when the sender is gone, and `shared` holds it.
        let _ = ended.wait_for(|ended| *ended).await;
        match &shared.lock().failed {
            Some(error) => Err(error.clone()),
            None => result,
        }
    }
}

/// The journal's life: until it is closed or fails, and a little longer for those who wait.
async fn run(shared: Arc<Shared>, lock: DirLock) {
    let compaction = task::spawn(compaction::run(Arc::clone(&shared)));
    writer::run(&shared).await;
    shared.garbage.notify_one();
    // A panic there has been reported, and leaves nothing half-written.
    let _ = compaction.await;
    drop(lock);
    shared.ended.send_replace(true);
}
