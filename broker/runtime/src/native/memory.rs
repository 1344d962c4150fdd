//! What the process holds of the system's memory.

use std::time::{Duration, Instant};

/// The first pause between two attempts, and the one after each that gained much.
const SHORTEST_PAUSE: Duration = Duration::from_secs(5);

/// The longest pause: an attempt goes through the whole heap.
const LONGEST_PAUSE: Duration = Duration::from_secs(80);

/// And the pause is so many times as long as the attempt before it took, since others wait for the
/// heap's locks meanwhile.
const TIMES_AS_LONG: u32 = 500;

/// An attempt that gains at least this part of what is resident is soon followed by another one.
const MUCH: u64 = 16;

/// Gives freed memory back to the system, from time to time, for as long as it is polled.
///
/// glibc does so by itself only with large blocks and with what lies at the end of its heap. A small
/// block that lives there keeps all the free ones before it resident: those of the messages that a
/// journal was replayed with, or of a backlog that was consumed.
pub async fn give_back() {
    let mut pause = SHORTEST_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        let trimmed = tokio::task::spawn_blocking(|| {
            let before = resident_pages()?;
            let began = Instant::now();
            trim();
            Some((before, began.elapsed(), resident_pages()?))
        });
        // Where the system says nothing, or another allocator is at work, there is nothing to do.
        let Ok(Some((before, took, after))) = trimmed.await else { return };
        tracing::debug!(
            before,
            after,
            ?took,
            "resident pages, before and after giving freed ones back"
        );
        pause = next_pause(pause, before, after).max(took * TIMES_AS_LONG);
    }
}

/// Attempts that gain little become rare, as they do under an even load.
fn next_pause(pause: Duration, before: u64, after: u64) -> Duration {
    let gained = before.saturating_sub(after);
    if gained * MUCH >= before { SHORTEST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) }
}

/// The process's resident memory in pages.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn resident_pages() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    text.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn resident_pages() -> Option<u64> {
    None
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    #[expect(unsafe_code, reason = "glibc offers it no other way")]
    // SAFETY: it takes the locks of the heaps itself and changes nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_that_gain_little_become_rare() {
        let mut pause = SHORTEST_PAUSE;
        for seconds in [10, 20, 40, 80, 80] {
            pause = next_pause(pause, 1_000, 990);
            assert_eq!(pause, Duration::from_secs(seconds));
        }
        assert_eq!(next_pause(pause, 1_000, 900), SHORTEST_PAUSE);
        assert_eq!(next_pause(pause, 1_000, 1_100), LONGEST_PAUSE, "it grew meanwhile");
    }
}
