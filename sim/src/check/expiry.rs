//! An expired message is not handed out.
//!
//! The leader decides by its own wall clock, and the delivery takes its time, so a delivery counts
//! as late only beyond both.

use std::time::Duration;

use super::ReplyCheck;
use crate::workload::history::{History, Observation};

/// See the module.
#[derive(Debug)]
pub struct Expired {
    /// How far past its expiry a message may arrive.
    pub grace: Duration,
}

/// How long a delivery may be under way when faults hold it up.
const UNDER_WAY: Duration = Duration::from_secs(30);

impl Expired {
    /// Clocks may differ by so much.
    pub fn allowing(clock_error: Duration) -> Self {
        Self { grace: UNDER_WAY + clock_error }
    }
}

impl ReplyCheck for Expired {
    fn name(&self) -> &'static str {
        "expiry"
    }

    fn observe(&mut self, seen: Observation<'_>, history: &History) -> Result<(), String> {
        let Observation::Delivered(delivery) = seen else { return Ok(()) };
        // A dead letter queue keeps what has expired.
        let (Some(_), Some(publish)) = (delivery.destination, history.publish(delivery.id)) else {
            return Ok(());
        };
        match publish.expires {
            Some(expires) if delivery.at > expires + self.grace => Err(format!(
                "{} expired at {:.3}s and was delivered at {:.3}s",
                delivery.id,
                expires.as_secs_f64(),
                delivery.at.as_secs_f64()
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn long_after_the_expiry_is_refused() {
        let mut told = Told::new();
        let mut check = Expired { grace: Duration::from_millis(2) };
        let id = told.send_by(0, QUEUE, |it| it.expires = Some(Duration::from_millis(3)));
        for at in 2..7 {
            let delivery = told.deliver(id, at > 2);
            assert_eq!(delivery.at.as_millis(), at);
            assert_eq!(told.show(&mut check, &delivery).is_ok(), at <= 5);
        }
    }
}
