//! Memory for frames that are still being received: one budget of the node's, over all connections.
//!
//! What every connection may hold, [`OWN_BYTES`], is not counted, so small frames are taken whatever
//! other clients do. A frame that needs more reserves at once all it may come to need, and is not
//! read on before it has that. So whoever holds a reservation can finish without another one, and no
//! two wait for each other.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use paceline_runtime::time::Instant;
use paceline_wire::Expected;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::config::units;

/// What a connection may hold of unfinished frames without asking.
const OWN_BYTES: usize = 64 * 1024;

/// How long a frame waits for others to be finished before it is refused.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long nothing may come of a frame that others have to wait for.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// The node's budget.
#[derive(Debug)]
pub(crate) struct Receiving {
    limit: usize,
    /// Bytes.
    free: Arc<Semaphore>,
}

impl Receiving {
    /// A budget of so many bytes.
    pub(crate) fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { limit, free: Arc::new(Semaphore::new(limit)) }
    }

    /// Bytes that are reserved.
    pub(crate) fn reserved(&self) -> u64 {
        (self.limit - self.free.available_permits()) as u64
    }

    /// Bytes that can be reserved.
    pub(crate) fn limit(&self) -> u64 {
        self.limit as u64
    }
}

/// What to do before the next read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Bytes to reserve; 0 where the connection's own do.
    reserve: usize,
    /// Bytes to make room for in the buffer.
    pub room: usize,
}

impl Plan {
    /// Where nothing is read.
    pub(super) const NOTHING: Self = Self { reserve: 0, room: 0 };

    /// For a buffer of `have` bytes whose last frame is expected to need `expected`; `at_once` are
    /// read where nothing forbids it.
    pub(super) fn new(have: usize, expected: Expected, at_once: usize) -> Self {
        match expected {
            // The frame's last byte ends the buffer: what follows would keep the whole of it.
            Expected::Exactly(bytes) if bytes > OWN_BYTES => {
                Self { reserve: bytes, room: bytes.saturating_sub(have).max(1) }
            }
            Expected::Exactly(bytes) => {
                Self { reserve: 0, room: bytes.saturating_sub(have).max(at_once) }
            }
            Expected::Head(_) | Expected::UpTo(_) if have < OWN_BYTES => {
                Self { reserve: 0, room: at_once.min(OWN_BYTES - have) }
            }
            Expected::Head(bytes) | Expected::UpTo(bytes) => {
                Self { reserve: bytes, room: bytes.saturating_sub(have).clamp(1, at_once) }
            }
        }
    }
}

type Granted = Result<OwnedSemaphorePermit, AcquireError>;

/// One connection's part in the budget.
pub(super) struct Share {
    receiving: Arc<Receiving>,
    reserved: Option<(usize, OwnedSemaphorePermit)>,
    waiting: Option<Waiting>,
    /// Since when the frame could have been read on and nothing came.
    quiet_since: Option<Instant>,
}

struct Waiting {
    bytes: usize,
    /// Its place in the queue, which it must keep while the connection does other things.
    granted: Pin<Box<dyn Future<Output = Granted> + Send>>,
    until: Instant,
}

impl Share {
    pub(super) fn new(receiving: Arc<Receiving>) -> Self {
        Self { receiving, reserved: None, waiting: None, quiet_since: None }
    }

    /// Asks for what the plan reserves. Says whether something that was reserved before is not any
    /// more.
    pub(super) fn ask(&mut self, plan: Plan) -> bool {
        let bytes = plan.reserve.min(self.receiving.limit);
        let asked = self.waiting.as_ref().map(|waiting| waiting.bytes);
        if bytes == asked.or(self.reserved.as_ref().map(|(bytes, _)| *bytes)).unwrap_or(0) {
            return false;
        }
        let had_some = self.reserved.is_some();
        *self = Self::new(self.receiving.clone());
        if bytes == 0 {
            return had_some;
        }
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        match self.receiving.free.clone().try_acquire_many_owned(permits) {
            Ok(permit) => self.reserved = Some((bytes, permit)),
            Err(_) => {
                let granted = Box::pin(self.receiving.free.clone().acquire_many_owned(permits));
                self.waiting = Some(Waiting { bytes, granted, until: Instant::now() + PATIENCE });
            }
        }
        had_some
    }

    /// Whether what was asked for is not there yet.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Waits until what was asked for is reserved; for ever if nothing is awaited. Cancel-safe.
    pub(super) async fn granted(&mut self) {
        let Some(waiting) = &mut self.waiting else { return std::future::pending().await };
        let permit = (&mut waiting.granted).await.expect("the budget is never closed");
        self.reserved = Some((waiting.bytes, permit));
        self.waiting = None;
    }

    /// Whether the connection reads, and so whether silence is the client's.
    pub(super) fn reads(&mut self, reads: bool) {
        match reads && self.reserved.is_some() {
            true => _ = self.quiet_since.get_or_insert_with(Instant::now),
            false => self.quiet_since = None,
        }
    }

    /// Something came.
    pub(super) fn received(&mut self) {
        self.quiet_since = None;
    }

    /// When [`Self::overdue`] may have something to say.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let stalled = self.quiet_since.map(|since| since + STALLED_AFTER);
        self.waiting.as_ref().map(|waiting| waiting.until).or(stalled)
    }

    /// Why the frame is given up, if it is.
    pub(super) fn overdue(&self) -> Option<String> {
        if self.deadline()? > Instant::now() {
            return None;
        }
        let limit = units::show_size(self.receiving.limit());
        Some(match &self.waiting {
            Some(Waiting { bytes, .. }) => format!(
                "this node has no memory for a frame of {bytes} bytes now: the {limit} for frames \
                 that are being received (limits.receiving) were in use for {PATIENCE:?}; send it \
                 again later"
            ),
            None => format!("nothing more of a large frame came for {STALLED_AFTER:?}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use paceline_runtime::time;

    use super::*;

    const LARGE: usize = 1 << 20;

    fn plan(have: usize, expected: Expected) -> (usize, usize) {
        let Plan { reserve, room } = Plan::new(have, expected, 4096);
        (reserve, room)
    }

    fn reserve(reserve: usize) -> Plan {
        Plan { reserve, room: 1 }
    }

    #[test]
    fn small_frames_reserve_nothing() {
        assert_eq!(plan(0, Expected::Head(80_000)), (0, 4096));
        assert_eq!(plan(100, Expected::Exactly(OWN_BYTES)), (0, OWN_BYTES - 100));
        assert_eq!(plan(OWN_BYTES - 10, Expected::UpTo(LARGE)), (0, 10));
    }

    #[test]
    fn large_frames_reserve_all_that_they_may_need() {
        assert_eq!(plan(100, Expected::Exactly(LARGE)), (LARGE, LARGE - 100));
        assert_eq!(plan(OWN_BYTES, Expected::UpTo(LARGE)), (LARGE, 4096));
        assert_eq!(plan(LARGE - 1, Expected::UpTo(LARGE)), (LARGE, 1));
        assert_eq!(plan(OWN_BYTES, Expected::Head(80_000)), (80_000, 4096));
    }

    #[tokio::test]
    async fn one_waits_until_another_has_finished() {
        let receiving = Arc::new(Receiving::new(2 * LARGE as u64));
        let mut shares = [(); 3].map(|()| Share::new(receiving.clone()));
        for share in &mut shares {
            share.ask(reserve(LARGE));
        }
        assert_eq!(shares.each_ref().map(Share::is_waiting), [false, false, true]);
        assert_eq!(receiving.reserved(), 2 * LARGE as u64);
        let [first, _, third] = &mut shares;
        assert!(time::timeout(Duration::from_millis(10), third.granted()).await.is_err());
        assert!(first.ask(Plan::NOTHING), "it had something");
        time::timeout(Duration::from_secs(5), third.granted()).await.expect("it is its turn");
        assert!(!third.is_waiting() && third.overdue().is_none());
        drop(shares);
        assert_eq!(receiving.reserved(), 0);
    }

    #[tokio::test]
    async fn who_gives_up_gives_its_place_to_the_next() {
        let receiving = Arc::new(Receiving::new(LARGE as u64));
        let [mut holder, mut leaves, mut next] = [(); 3].map(|()| Share::new(receiving.clone()));
        holder.ask(reserve(LARGE / 2));
        for (share, bytes) in [(&mut leaves, LARGE), (&mut next, LARGE / 2)] {
            share.ask(reserve(bytes));
            assert!(share.is_waiting(), "{bytes} bytes, in turn");
            assert!(time::timeout(Duration::from_millis(10), share.granted()).await.is_err());
        }
        assert!(!leaves.ask(Plan::NOTHING), "it had nothing");
        time::timeout(Duration::from_secs(5), next.granted()).await.expect("there is room");
    }

    #[tokio::test]
    async fn a_frame_larger_than_the_budget_gets_all_of_it() {
        let receiving = Arc::new(Receiving::new(LARGE as u64));
        let mut share = Share::new(receiving.clone());
        share.ask(reserve(LARGE + 1));
        assert!(!share.is_waiting());
        assert!(share.ask(Plan::NOTHING));
        assert_eq!(receiving.reserved(), 0);
    }

    #[tokio::test]
    async fn who_waits_or_is_silent_too_long_is_given_up() {
        let receiving = Arc::new(Receiving::new(LARGE as u64));
        let [mut holder, mut waits] = [(); 2].map(|()| Share::new(receiving.clone()));
        for share in [&mut holder, &mut waits] {
            share.ask(reserve(LARGE));
            share.reads(true);
            assert_eq!(share.overdue(), None);
        }
        let waiting = waits.waiting.as_mut().unwrap();
        waiting.until -= PATIENCE;
        let why = waits.overdue().unwrap();
        assert!(why.contains("a frame of 1048576 bytes now: the 1MiB for frames"), "{why}");
        holder.quiet_since = holder.quiet_since.map(|since| since - STALLED_AFTER);
        assert_eq!(holder.overdue().unwrap(), "nothing more of a large frame came for 30s");
        holder.received();
        assert_eq!(holder.overdue(), None);
    }

    #[tokio::test]
    async fn silence_counts_only_while_a_reserved_frame_is_read() {
        let mut share = Share::new(Arc::new(Receiving::new(LARGE as u64)));
        share.reads(true);
        assert_eq!(share.deadline(), None);
        share.ask(reserve(LARGE));
        share.reads(true);
        assert!(share.deadline().is_some());
        share.reads(false);
        assert_eq!(share.deadline(), None);
    }
}
