//! Waiting for an instant as exactly as the operating system can: the seam's timers round up to the
//! next millisecond, which is more than a link of a scenario takes.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Condvar, LazyLock, Mutex, PoisonError},
    time::Instant,
};

use tokio::sync::oneshot;

/// Who waits, by when and in which order they came.
struct Waiting {
    until: Instant,
    number: u64,
    wake: oneshot::Sender<()>,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        (self.until, self.number) == (other.until, other.number)
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.until, self.number).cmp(&(other.until, other.number))
    }
}

#[derive(Default)]
struct Queue {
    waiting: BinaryHeap<Reverse<Waiting>>,
    came: u64,
}

#[derive(Default)]
struct Clock {
    queue: Mutex<Queue>,
    changed: Condvar,
}

static CLOCK: LazyLock<&'static Clock> = LazyLock::new(|| {
    let clock: &Clock = Box::leak(Box::default());
    #[allow(clippy::disallowed_methods, reason = "no seed decides anything in this world")]
    std::thread::spawn(|| clock.run());
    clock
});

impl Clock {
    fn run(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = Instant::now();
            let next = queue.waiting.peek().map(|Reverse(first)| first.until);
            queue = match next {
                Some(until) if until <= now => {
                    let Reverse(due) = queue.waiting.pop().expect("it was there");
                    // Who has stopped waiting wants no word.
                    let _ = due.wake.send(());
                    continue;
                }
                Some(until) => {
                    let waited = self.changed.wait_timeout(queue, until - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// Waits until then, or not at all if that is over.
pub async fn until(until: Instant) {
    if until <= Instant::now() {
        return;
    }
    let (wake, woken) = oneshot::channel();
    {
        let mut queue = CLOCK.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.came += 1;
        let number = queue.came;
        let is_first = queue.waiting.peek().is_none_or(|Reverse(first)| until < first.until);
        queue.waiting.push(Reverse(Waiting { until, number, wake }));
        if is_first {
            CLOCK.changed.notify_one();
        }
    }
    // The clock runs as long as the process.
    let _ = woken.await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_wakes_in_order_and_never_early() {
        let took = paceline_runtime::block_on(async {
            let began = Instant::now();
            let at = |micros| began + Duration::from_micros(micros);
            let (late, early) = (until(at(3_000)), until(at(500)));
            let first = tokio::select! {
                biased;
                () = early => "early",
                () = late => "late",
            };
            assert_eq!(first, "early");
            until(began).await;
            began.elapsed()
        });
        assert!(took >= Duration::from_micros(500), "{took:?}");
    }
}
