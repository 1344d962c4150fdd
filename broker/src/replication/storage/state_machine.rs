//! The shard's state under openraft: applying entries, taking and installing snapshots.

use std::{io::Cursor, sync::Arc};

use bytes::Bytes;
use openraft::{
    AnyError, EntryPayload, ErrorSubject, ErrorVerb, LogId, OptionalSend, RaftSnapshotBuilder,
    Snapshot, SnapshotMeta, StorageError, StorageIOError, StoredMembership,
    storage::RaftStateMachine,
};
use paceline_core::shard::ShardState;
use paceline_reached::{Point, reached};
use paceline_runtime::trace;
use paceline_store::{Entry as Record, Group, JournalError};
use tokio::sync::{Mutex, watch};

use super::{
    encoding::{Entry, Kept, Membership, Meta, Parcel, decode, encode, unpack},
    failed,
};
use crate::replication::{Machine, TypeConfig};

/// How much of a received snapshot's entries is given to the journal at once.
const INSTALL_STEP_BYTES: usize = 1 << 20;

/// One shard's state machine on this node.
pub struct StateMachine {
    group: Group,
    machine: Arc<Machine>,
    membership: Membership,
    /// The meta data of the snapshot in the journal; locked while another one is being saved.
    kept: Arc<Mutex<Option<Meta>>>,
    /// Whether a leader's snapshot is on its way: from its first byte until it is installed.
    receives: watch::Sender<bool>,
    /// openraft asks for the snapshot once before it starts, and then wants its meta data only.
    started: bool,
}

/// Saves the state as it was when this was made.
pub struct SnapshotBuilder {
    group: Group,
    snapshot: Kept,
    kept: Arc<Mutex<Option<Meta>>>,
}

impl StateMachine {
    pub(super) async fn open(
        group: Group,
        machine: Arc<Machine>,
        receives: watch::Sender<bool>,
    ) -> Result<Self, StorageError<u64>> {
        let kept = load(&group).await?;
        let membership = kept.as_ref().map(|kept| kept.meta.last_membership.clone());
        if let Some(kept) = &kept {
            reached(Point::SnapshotLoaded);
            install(&group, &machine, kept).await?;
        }
        let kept = Arc::new(Mutex::new(kept.map(|kept| kept.meta)));
        let membership = membership.unwrap_or_default();
        Ok(Self { group, machine, membership, kept, receives, started: false })
    }

    /// The state that the snapshot in the journal is of, and every entry that it refers to and
    /// that still matters: what has died since, the replica will hear of in the log.
    async fn parcel(&self, kept: &Kept) -> Result<Vec<u8>, StorageError<u64>> {
        let upto = kept.meta.last_log_id.map_or(0, |last| last.index);
        let live: Vec<u64> = self
            .machine
            .with_state(|state| state.live_entries().take_while(|index| *index <= upto).collect());
        let mut parcel = Parcel::new(&kept.state);
        for index in live {
            match self.group.read_entry(index).await {
                Ok(payload) => parcel.push(&Record { index, payload }),
                // Settled while this was read; or settled by entries that this replica has in its
                // log and not applied yet, since a snapshot brought it here.
                Err(JournalError::Missing { .. }) => {}
                Err(error) => {
                    let subject = ErrorSubject::Snapshot(Some(kept.meta.signature()));
                    return Err(failed(subject, ErrorVerb::Read)(error));
                }
            }
        }
        Ok(parcel.into_bytes())
    }

    /// Installs a leader's snapshot. First the entries, then the state that refers to them: a crash
    /// in between leaves the old state and entries that nobody asks for.
    async fn take(
        &mut self,
        meta: &Meta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError<u64>> {
        trace::event!("snapshot_install", shard = self.group.id().0);
        let subject = || ErrorSubject::Snapshot(Some(meta.signature()));
        let parcel = Bytes::from(snapshot.into_inner());
        let (state, records) = unpack(parcel).map_err(failed(subject(), ErrorVerb::Read))?;
        let next = meta.last_log_id.map_or(0, |last| last.index + 1);
        if let Some(record) = records.iter().find(|record| record.index >= next) {
            let reason = format!("entry {} is newer than the snapshot", record.index);
            let error = AnyError::error(reason);
            return Err(StorageIOError::new(subject(), ErrorVerb::Read, error).into());
        }
        // Checked before anything is written for it.
        ShardState::restore(&state).map_err(failed(subject(), ErrorVerb::Read))?;
        let mut rest = &records[..];
        while !rest.is_empty() {
            let mut bytes = 0;
            let step = rest.iter().take_while(|record| {
                let fits = bytes < INSTALL_STEP_BYTES;
                bytes += record.payload.len();
                fits
            });
            let (step, after) = rest.split_at(step.count());
            let write = || failed(subject(), ErrorVerb::Write);
            self.group.retain(step).map_err(write())?.await.map_err(write())?;
            rest = after;
        }
        let kept = Kept { meta: meta.clone(), state };
        let mut current = self.kept.lock().await;
        let saved = self.group.save_snapshot(&encode(&kept)).await;
        saved.map_err(failed(subject(), ErrorVerb::Write))?;
        reached(Point::SnapshotInstalled);
        install(&self.group, &self.machine, &kept).await?;
        self.membership = meta.last_membership.clone();
        *current = Some(kept.meta);
        Ok(())
    }
}

/// The snapshot in the journal.
async fn load(group: &Group) -> Result<Option<Kept>, StorageError<u64>> {
    let read = || failed(ErrorSubject::Snapshot(None), ErrorVerb::Read);
    let bytes = group.load_snapshot().await.map_err(read())?;
    decode(&bytes.unwrap_or_default())
        .map_err(failed(ErrorSubject::Snapshot(None), ErrorVerb::Read))
}

/// Gives the machine the snapshot's state, and lets go of entries that it has done with.
async fn install(group: &Group, machine: &Machine, kept: &Kept) -> Result<(), StorageError<u64>> {
    let subject = ErrorSubject::Snapshot(Some(kept.meta.signature()));
    let state = ShardState::restore(&kept.state).map_err(failed(subject, ErrorVerb::Read))?;
    machine.replace(state, kept.meta.last_log_id);
    let next = kept.meta.last_log_id.map_or(0, |last| last.index + 1);
    machine.with_state(|state| group.sweep(|index| index >= next || state.is_live(index)));
    Ok(())
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId<u64>>, Membership), StorageError<u64>> {
        Ok((self.machine.last_applied(), self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, StorageError<u64>>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        // openraft counts this node's own copy before it is on the disk. What was applied is
        // answered to clients and handed out, so here is where that ends.
        if let Some(last) = entries.last() {
            let durable = self.group.durable(last.log_id.index).await;
            durable.map_err(failed(ErrorSubject::Logs, ErrorVerb::Write))?;
        }
        let mut answers = Vec::with_capacity(entries.len());
        for Entry { log_id, payload } in entries {
            match payload {
                EntryPayload::Normal(batch) => {
                    let freed = self.machine.apply(log_id, &batch);
                    self.group.discard(&freed);
                }
                EntryPayload::Blank => self.machine.pass(log_id),
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(log_id), membership);
                    self.machine.pass(log_id);
                }
            }
            answers.push(());
        }
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        let last_log_id = self.machine.last_applied();
        let state = Bytes::from(self.machine.with_state(|state| state.snapshot()));
        let name = last_log_id.map_or_else(|| "empty".to_owned(), |last| last.to_string());
        let meta = SnapshotMeta {
            last_log_id,
            last_membership: self.membership.clone(),
            snapshot_id: name,
        };
        SnapshotBuilder {
            group: self.group.clone(),
            snapshot: Kept { meta, state },
            kept: self.kept.clone(),
        }
    }

    async fn begin_receiving_snapshot(
        &mut self,
    ) -> Result<Box<Cursor<Vec<u8>>>, StorageError<u64>> {
        self.receives.send_replace(true);
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &Meta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError<u64>> {
        let taken = self.take(meta, snapshot).await;
        self.receives.send_replace(false);
        taken
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<Snapshot<TypeConfig>>, StorageError<u64>> {
        let first = !std::mem::replace(&mut self.started, true);
        if first {
            let meta = self.kept.lock().await.clone();
            return Ok(meta.map(|meta| Snapshot { meta, snapshot: Box::default() }));
        }
        let Some(kept) = load(&self.group).await? else { return Ok(None) };
        let parcel = self.parcel(&kept).await?;
        reached(Point::SnapshotSent);
        Ok(Some(Snapshot { meta: kept.meta, snapshot: Box::new(Cursor::new(parcel)) }))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    /// openraft wants the meta data; the snapshot itself it asks for when a replica needs it.
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError<u64>> {
        let meta = self.snapshot.meta.clone();
        let mut current = self.kept.lock().await;
        // One from the leader may have come in between.
        if current.as_ref().is_none_or(|kept| kept.last_log_id < meta.last_log_id) {
            let subject = ErrorSubject::Snapshot(Some(meta.signature()));
            trace::event!("snapshot_write", shard = self.group.id().0);
            let saved = self.group.save_snapshot(&encode(&self.snapshot)).await;
            saved.map_err(failed(subject, ErrorVerb::Write))?;
            reached(Point::SnapshotWritten);
            *current = Some(meta.clone());
        }
        Ok(Snapshot { meta, snapshot: Box::default() })
    }
}
