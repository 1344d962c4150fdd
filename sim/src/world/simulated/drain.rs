//! After the faults: everything must be delivered and settled, and all replicas must agree, within
//! the scenario's bound.

use std::time::Duration;

use paceline_runtime::time;

use super::Run;
use crate::{
    check::{Replica, Severity},
    workload::{Phase, Shared, operation::MessageId},
};

/// How often it is looked whether all is drained.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// After all is drained so much longer, so that what is still on the wire arrives.
const GRACE: Duration = Duration::from_millis(500);

impl Run<'_> {
    /// Waits until all is drained. Returns how long that took, if it did, and the last word of
    /// every replica.
    pub(super) async fn drain(&self, shared: &Shared) -> (Option<Duration>, Vec<Replica>) {
        let began = time::Instant::now();
        let bound = self.scenario.expect.drained_within.0;
        self.phase.send_replace(Phase::Drain);
        let mut owed: Option<Vec<MessageId>> = None;
        let mut next_sample = began + Duration::from_secs(1);
        let drained = loop {
            let why_not = self.why_not_drained(shared, &mut owed);
            let now = time::Instant::now();
            match why_not {
                None => break Some(now - began),
                Some(reason) if now - began > bound => {
                    let detail = format!("{}s after the faults {reason}", bound.as_secs_f64());
                    self.fail("drain", Severity::Liveness, detail);
                    break None;
                }
                Some(_) if self.is_unsafe() => break None,
                Some(_) => {}
            }
            if now >= next_sample {
                self.sample();
                next_sample += Duration::from_secs(1);
            }
            time::sleep(LOOK_EVERY).await;
        };
        if drained.is_some() {
            time::sleep(GRACE).await;
        }
        (drained, Vec::new())
    }

    /// What is not done yet, if anything. `owed` remembers which messages are waited for, once all
    /// producers have their answers.
    fn why_not_drained(
        &self,
        shared: &Shared,
        owed: &mut Option<Vec<MessageId>>,
    ) -> Option<String> {
        let producers = shared.population.producers.len();
        let finished = *shared.finished.borrow();
        if finished < producers {
            return Some(format!("{} producers still wait for answers", producers - finished));
        }
        let recorder = self.recorder.lock();
        let history = &recorder.history;
        let owed = owed.get_or_insert_with(|| {
            history
                .all_publishes()
                .filter(|(_, publish)| {
                    let destination = history.destination(publish.destination);
                    publish.is_acknowledged()
                        && publish.persistent
                        && publish.expires.is_none()
                        && !destination.topic
                        && !destination.auto_ack
                })
                .map(|(id, _)| id)
                .collect()
        });
        owed.retain(|id| !history.deliveries_of(*id).any(|it| it.accepted.is_some()));
        let first = owed.first()?;
        Some(format!("{} acknowledged messages are not settled, {first} for one", owed.len()))
    }
}
