//! A timer whose deadline moves with everything that happens and is hardly ever reached.

use std::{fmt, pin::Pin};

use crate::time::{self, Instant, Sleep};

/// Rings at its deadline, or earlier. Deadlines mostly move away, so a later one leaves the timer
/// as it is; whoever hears it ring looks at the clock and arms it anew.
#[derive(Default)]
pub struct Alarm {
    armed: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Alarm {
    /// It is to ring at `deadline`, if there is one, at the latest.
    pub fn arm(&mut self, deadline: Option<Instant>) {
        if let Some(at) = deadline
            && self.armed.as_ref().is_none_or(|(armed, _)| at < *armed)
        {
            self.armed = Some((at, Box::pin(time::sleep_until(at))));
        }
    }

    /// Waits for it; for ever where it is not armed. Cancel-safe.
    pub async fn ring(&mut self) {
        match &mut self.armed {
            Some((_, sleep)) => sleep.await,
            None => std::future::pending().await,
        }
        self.armed = None;
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let armed = self.armed.as_ref().map(|(at, _)| at);
        f.debug_struct("Alarm").field("armed", &armed).finish()
    }
}
