//! An expired message is not handed out, and what is a dead letter for that has expired.
//!
//! The leader decides by its own wall clock, which may be off, and how long the delivery is under way
//! afterwards is no matter. So what counts is when the leader handed the message out; it says so
//! together with the message's id, which clients see too. A body that had to be read back from the
//! disk was handed out without its id; then the arrival counts, and the way there may be long.

use std::time::Duration;

use super::{
    HashMap,
    step::{NameId, Step, Steps, What},
};
use crate::workload::{
    history::{History, Observation},
    operation::{Delivery, MessageId},
};

/// What reports call the check.
pub const NAME: &str = "expiry";

/// How long a delivery may be under way when faults hold it up.
const UNDER_WAY: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub struct Expired {
    /// How far wall clocks may differ.
    clock_error: Duration,
    /// When what clients have seen expires, by the broker's name.
    expires: HashMap<NameId, (MessageId, Duration)>,
    /// When each message was handed out last.
    dispatched: HashMap<NameId, Duration>,
}

impl Expired {
    /// Clocks may differ by so much.
    pub fn allowing(clock_error: Duration) -> Self {
        Self { clock_error, expires: HashMap::default(), dispatched: HashMap::default() }
    }

    /// Takes in one step; an error says why it must never happen.
    pub fn step(&mut self, step: &Step, names: &Steps) -> Result<(), String> {
        let What::Dispatch { id: Some(id), queue, .. } = step.what else { return Ok(()) };
        // A dead letter queue keeps what has expired.
        if queue.is_some_and(|queue| names.text(queue).starts_with("DLQ.")) {
            return Ok(());
        }
        self.dispatched.insert(id, step.at);
        match self.expires.get(&id) {
            Some(&(message, expires)) => self.in_time(message, expires, step.at),
            None => Ok(()),
        }
    }

    /// Learns what clients see; an error says why it must never happen.
    pub fn observe(
        &mut self,
        seen: Observation<'_>,
        history: &History,
        names: &mut Steps,
    ) -> Result<(), String> {
        let Observation::Delivered(delivery) = seen else { return Ok(()) };
        if delivery.expired {
            return self.is_over(delivery, history);
        }
        let (Some(_), Some(publish)) = (delivery.destination, history.publish(delivery.id)) else {
            return Ok(());
        };
        let Some(expires) = publish.expires else { return Ok(()) };
        let name = names.name(&delivery.broker_id);
        let is_new = self.expires.insert(name, (delivery.id, expires)).is_none();
        match self.dispatched.get(&name) {
            Some(at) if is_new => self.in_time(delivery.id, expires, *at),
            Some(_) => Ok(()),
            None if delivery.at > expires + self.clock_error + UNDER_WAY => Err(format!(
                "{} expired at {:.3}s and was delivered at {:.3}s",
                delivery.id,
                expires.as_secs_f64(),
                delivery.at.as_secs_f64()
            )),
            None => Ok(()),
        }
    }

    /// Whether what is said to have expired could have.
    fn is_over(&self, delivery: &Delivery, history: &History) -> Result<(), String> {
        // What nobody has sent the check `invented` reports.
        let Some(publish) = history.publish(delivery.id) else { return Ok(()) };
        let (id, at) = (delivery.id, delivery.at);
        match publish.expires {
            // What is sent in a transaction, or put off, is stored in any case.
            _ if !publish.is_stored() && publish.transaction.is_none() => {
                Err(format!("{id} is not kept, and came as a dead letter"))
            }
            Some(expires) if expires <= at + self.clock_error => Ok(()),
            Some(expires) => Err(format!(
                "{id} came as an expired dead letter at {:.3}s, and expires at {:.3}s",
                at.as_secs_f64(),
                expires.as_secs_f64()
            )),
            None => Err(format!("{id} came as an expired dead letter, and never expires")),
        }
    }

    fn in_time(&self, id: MessageId, expires: Duration, at: Duration) -> Result<(), String> {
        if at <= expires + self.clock_error {
            return Ok(());
        }
        Err(format!(
            "{id} expired at {:.3}s and was handed out at {:.3}s, and clocks differ by at most {:.3}s",
            expires.as_secs_f64(),
            at.as_secs_f64(),
            self.clock_error.as_secs_f64()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    fn milli(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// A message that expires at 30 ms, by clocks that may differ by 5 ms.
    fn told() -> (Told, Steps, Expired, MessageId) {
        let mut told = Told::new();
        let id = told.send_by(0, QUEUE, |it| it.expires = Some(milli(30)));
        (told, names(), Expired::allowing(milli(5)), id)
    }

    fn handed_out(at: u64, name: NameId) -> Step {
        let mut what = dispatch(1, 4, 1, 2);
        if let What::Dispatch { id, .. } = &mut what {
            *id = Some(name);
        }
        Step { at: milli(at), ..by(0, what) }
    }

    #[test]
    fn handing_out_after_the_expiry_is_refused_and_a_long_way_is_not() {
        for (at, right) in [(29, true), (35, true), (36, false)] {
            let (mut told, mut names, mut check, id) = told();
            told.pass(milli(500));
            let delivery = told.deliver(id, false);
            let name = names.name(&delivery.broker_id);
            check.step(&handed_out(at, name), &names).unwrap();
            let seen = Observation::Delivered(&delivery);
            let said = check.observe(seen, &told.history, &mut names);
            assert_eq!(said.is_ok(), right, "at {at}: {said:?}");
        }
    }

    #[test]
    fn handing_out_again_after_the_expiry_is_refused() {
        for (at, right) in [(34, true), (36, false)] {
            let (mut told, mut names, mut check, id) = told();
            let delivery = told.deliver(id, false);
            let name = names.name(&delivery.broker_id);
            check.step(&handed_out(1, name), &names).unwrap();
            let seen = Observation::Delivered(&delivery);
            check.observe(seen, &told.history, &mut names).unwrap();
            assert_eq!(check.step(&handed_out(at, name), &names).is_ok(), right);
        }
    }

    #[test]
    fn where_the_leader_does_not_name_it_the_arrival_counts() {
        for (at, right) in [(30_035, true), (30_036, false)] {
            let (mut told, mut names, mut check, id) = told();
            told.pass(milli(at - 1));
            let delivery = told.deliver(id, false);
            let seen = Observation::Delivered(&delivery);
            assert_eq!(check.observe(seen, &told.history, &mut names).is_ok(), right);
        }
    }

    #[test]
    fn a_dead_letter_that_says_so_has_expired() {
        for (expires, persistent, is_right) in [
            (Some(5), true, true),
            (Some(99), true, false),
            (None, true, false),
            (Some(5), false, false),
        ] {
            let mut told = Told::new();
            let id = told.send_by(0, QUEUE, |it| {
                (it.expires, it.persistent) = (expires.map(milli), persistent);
            });
            let mut delivery = told.deliver(id, false);
            (delivery.at, delivery.destination, delivery.expired) = (milli(30), None, true);
            let seen = Observation::Delivered(&delivery);
            let found = Expired::allowing(milli(5)).observe(seen, &told.history, &mut names());
            assert_eq!(found.is_ok(), is_right, "{expires:?} {persistent}: {found:?}");
        }
    }
}
