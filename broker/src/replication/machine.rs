//! What this node's replica of a shard holds: the replicated state, and, while this node leads, the
//! dispatcher beside it.
//!
//! The dispatcher must see every entry directly after it was applied, so both stand behind one
//! lock, which is never held across an await. The state machine's task takes it to apply entries,
//! the shard's leader task to hand out messages.

use std::sync::{Arc, Mutex};

use openraft::LogId;
use paceline_core::{
    UnixMillis,
    dispatch::{Dispatcher, Limits},
    shard::{Batch, Outcome, ShardState},
};
use paceline_runtime::trace;
use tokio::sync::Notify;

/// See the module's head.
#[derive(Debug)]
pub struct Machine {
    slot: u32,
    /// Bodies in memory beyond so many bytes are dropped; the log has them.
    body_bytes: usize,
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    state: ShardState,
    last_applied: Option<LogId<u64>>,
    leading: Option<Leading>,
}

/// What only a leader has.
#[derive(Debug)]
pub struct Leading {
    /// Hands out messages.
    pub dispatcher: Dispatcher,
    /// How the entries applied since they were last taken ended, in order.
    outcomes: Vec<Ended>,
}

/// An entry that was applied under the present leadership.
#[derive(Debug)]
pub struct Ended {
    /// The term in which it was proposed.
    pub term: u64,
    /// Which of its proposer's proposals it is.
    pub proposal: u64,
    /// One for each of its commands.
    pub outcomes: Vec<Outcome>,
}

impl Machine {
    /// The replica of shard `slot`, which keeps at most about `body_bytes` of message bodies in
    /// memory.
    pub fn new(slot: u32, body_bytes: usize) -> Self {
        Self { slot, body_bytes, inner: Mutex::default(), changed: Notify::new() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("an assertion failed while the state was being changed")
    }

    /// Puts the state in the place of the present one, as recovery and snapshots from the leader
    /// do. Ends a leadership.
    pub fn replace(&self, state: ShardState, last_applied: Option<LogId<u64>>) {
        *self.lock() = Inner { state, last_applied, leading: None };
        self.changed.notify_one();
    }

    /// Applies the next entry of the log. Returns the entries that hold no body any more that is
    /// needed, this one perhaps included.
    pub fn apply(&self, at: LogId<u64>, batch: &Batch) -> Vec<u64> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let applied = inner.state.apply(at.index, batch);
        inner.last_applied = Some(at);
        if let Some(leading) = &mut inner.leading {
            leading.dispatcher.handle_applied(&inner.state, &applied);
        }
        inner.state.evict_to(self.body_bytes);
        trace::event!(
            "apply",
            shard = self.slot,
            index = at.index,
            commands = batch.commands.len()
        );
        if let Some(leading) = &mut inner.leading {
            leading.outcomes.push(Ended {
                term: at.leader_id.term,
                proposal: batch.proposal,
                outcomes: applied.outcomes,
            });
            self.changed.notify_one();
        }
        applied.freed
    }

    /// Passes over an entry of the log that holds no batch.
    pub fn pass(&self, at: LogId<u64>) {
        self.lock().last_applied = Some(at);
        self.changed.notify_one();
    }

    /// The entry applied last, whatever it held.
    pub fn last_applied(&self) -> Option<LogId<u64>> {
        self.lock().last_applied
    }

    /// Looks at the state, or drops and puts back bodies, which does not change it.
    pub fn with_state<R>(&self, look: impl FnOnce(&mut ShardState) -> R) -> R {
        look(&mut self.lock().state)
    }

    /// Begins a leadership with the state as it is.
    pub fn begin_leading(&self, term: u64, limits: Limits) {
        let mut inner = self.lock();
        let dispatcher = Dispatcher::new(&inner.state, term, limits);
        inner.leading = Some(Leading { dispatcher, outcomes: Vec::new() });
    }

    /// Ends a leadership; what only the leader had is gone.
    pub fn end_leading(&self) {
        self.lock().leading = None;
    }

    /// Works with the dispatcher; `None` if there is none because the leadership has ended.
    pub fn with_dispatcher<R>(
        &self,
        work: impl FnOnce(&ShardState, &mut Dispatcher) -> R,
    ) -> Option<R> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let leading = inner.leading.as_mut()?;
        Some(work(&inner.state, &mut leading.dispatcher))
    }

    /// Takes what was applied under this leadership since the last time.
    pub fn take_outcomes(&self) -> Vec<Ended> {
        let mut inner = self.lock();
        inner
            .leading
            .as_mut()
            .map(|leading| std::mem::take(&mut leading.outcomes))
            .unwrap_or_default()
    }

    /// Waits until entries were applied; may also return without. For the leader task only.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The queues' names and depths.
    pub fn depths(&self) -> Vec<(Arc<str>, u64)> {
        self.lock().state.queues().map(|queue| (queue.name, queue.depth)).collect()
    }

    /// When the first message now waiting ends, if this node leads.
    pub fn next_expiry(&self) -> Option<UnixMillis> {
        self.lock().leading.as_ref().and_then(|leading| leading.dispatcher.poll_timeout())
    }
}
