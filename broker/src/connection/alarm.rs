//! A timer whose deadline moves with every frame and is hardly ever reached.

use std::pin::Pin;

use paceline_runtime::time::{self, Instant, Sleep};

/// Rings at its deadline, or earlier. Deadlines mostly move away, so a later one leaves the timer
/// as it is; whoever hears it ring looks at the clock and arms it anew.
#[derive(Default)]
pub(super) struct Alarm {
    armed: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Alarm {
    pub(super) fn arm(&mut self, deadline: Option<Instant>) {
        if let Some(at) = deadline
            && self.armed.as_ref().is_none_or(|(armed, _)| at < *armed)
        {
            self.armed = Some((at, Box::pin(time::sleep_until(at))));
        }
    }

    /// Waits for it; for ever where it is not armed. Cancel-safe.
    pub(super) async fn ring(&mut self) {
        match &mut self.armed {
            Some((_, sleep)) => sleep.await,
            None => std::future::pending().await,
        }
        self.armed = None;
    }
}
