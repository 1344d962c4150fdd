//! How fast a node may send what other nodes are filled with.

use std::sync::{Mutex, PoisonError};

use paceline_runtime::time::{self, Duration, Instant};

/// So many bytes a second, over everything that is sent at a time.
#[derive(Debug)]
pub struct Pace {
    bytes_a_second: u64,
    /// When all that was allowed until now has gone at that pace.
    free_at: Mutex<Option<Instant>>,
}

impl Pace {
    /// Of so many bytes a second, above 0.
    pub fn new(bytes_a_second: u64) -> Self {
        Self { bytes_a_second, free_at: Mutex::default() }
    }

    /// Waits until so many bytes may follow.
    pub async fn allow(&self, bytes: usize) {
        time::sleep_until(self.reserve(bytes, Instant::now())).await;
    }

    /// So many bytes have been sent: how long it takes until more may follow.
    pub fn spend(&self, bytes: usize) -> Duration {
        let now = Instant::now();
        self.reserve(bytes, now);
        let free_at = *self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        free_at.map_or(Duration::ZERO, |free_at| free_at.saturating_duration_since(now))
    }

    /// When so many bytes may follow what was allowed before.
    fn reserve(&self, bytes: usize, now: Instant) -> Instant {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_a_second as f64);
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let at = free_at.map_or(now, |free_at| free_at.max(now));
        *free_at = Some(at + takes);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_at_once_is_sent_one_after_the_other() {
        let (pace, start) = (Pace::new(1_000), Instant::now());
        let after = |at: Instant| (at - start).as_millis();
        assert_eq!(after(pace.reserve(500, start)), 0);
        assert_eq!(after(pace.reserve(2_000, start)), 500);
        assert_eq!(after(pace.reserve(1, start + Duration::from_secs(1))), 2_500);
        let wait = pace.spend(1_000).as_millis();
        assert!((3_300..=3_501).contains(&wait), "{wait}");
        let later = start + Duration::from_secs(9);
        assert_eq!(pace.reserve(1, later), later, "a rest is not saved up");
    }
}
