//! Processor time: each node has a number of cores, work takes its turn on them.

use super::context;
use super::timers::Nanos;
use std::time::Duration;

/// Accounts for `cost` of work on one of the node's cores and waits until it is done.
///
/// The work goes to the core that is free first. To keep small charges cheap the caller is only
/// made to wait once that core is more than [`GRACE`] behind; the time is accounted all the same,
/// so throughput is exact and latency is right to within the grace.
pub async fn charge(cost: Duration) {
    if let Some(done) = context::with(|sim| {
        let now = sim.timers.now();
        let done = sim.nodes.current_mut().cores.work(now, cost);
        (done > now + GRACE.as_nanos() as Nanos).then_some(done)
    }) {
        super::time::sleep(
            Duration::from_nanos(done) - context::now().min(Duration::from_nanos(done)),
        )
        .await;
    }
}

/// How far behind a core may be before a caller waits for it.
pub const GRACE: Duration = Duration::from_micros(20);

/// A node's cores: one queue, as many servers as cores.
pub(crate) struct Cores {
    /// When each core will be free.
    free_at: Vec<Nanos>,
    /// Work done and accepted so far.
    pub(crate) busy: Nanos,
    /// How much longer work takes than it says.
    pub(crate) slowness: f64,
}

impl Cores {
    pub(crate) fn new(count: usize) -> Cores {
        assert!(count > 0, "a node needs a core");
        Cores { free_at: vec![0; count], busy: 0, slowness: 1.0 }
    }

    /// Accepts work and says when it will be done.
    fn work(&mut self, now: Nanos, cost: Duration) -> Nanos {
        let mut cost = cost.as_nanos() as Nanos;
        if self.slowness != 1.0 {
            cost = (cost as f64 * self.slowness) as Nanos;
        }
        self.busy += cost;
        let core = self.free_at.iter_mut().min().expect("a node has a core");
        *core = now.max(*core) + cost;
        *core
    }

    /// Forgets the work of a process that is gone.
    pub(crate) fn clear(&mut self, now: Nanos) {
        for free_at in &mut self.free_at {
            if *free_at > now {
                self.busy -= (*free_at - now).min(self.busy);
                *free_at = now;
            }
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.free_at.len()
    }
}
