//! Clocks and timers: tokio's, which round a wait up to the next millisecond.

pub use crate::clock::UnixMillis;
use std::time::SystemTime;
pub use tokio::time::error::Elapsed;
pub use tokio::time::{
    Duration, Instant, Interval, Sleep, Timeout, sleep, sleep_until, timeout, timeout_at,
};

/// Ticks every `period`, first at once. A tick that comes late delays the following ones, so
/// there are never two in quick succession.
///
/// # Panics
///
/// If `period` is zero.
pub fn interval(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    interval
}

/// What this node's wall clock shows. It may jump, and differs from other nodes'.
pub fn wall_clock() -> UnixMillis {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(since_epoch.as_millis() as u64)
}
