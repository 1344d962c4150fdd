//! When all has healed and settled, every producer of a topic sends a canary to it. Whether all
//! subscribers got it the check `topics` says; that it is acknowledged is seen to here. And who begins to
//! listen to advisories then is told of the consumers there are.

use std::time::Duration;

use paceline_runtime::time;
use paceline_scenario::format::Kind;

use super::{LOOK_EVERY, Run, margins};
use crate::{
    clients::{Shared, canary, roll},
    workload::population::ProducerPlan,
};

/// Who serves and who is subscribed, as far as it matters whether that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    reigns: usize,
    subscriptions: usize,
}

/// How long a consumer works on the canaries of all its topics at the most.
fn handled(producers: &[ProducerPlan]) -> Duration {
    let workloads = producers.iter().map(|plan| &plan.workload);
    let longest = workloads.map(|it| it.handling.0 * it.producers * it.destinations.count).max();
    longest.unwrap_or_default()
}

impl Run<'_> {
    /// Sends a canary to every topic, and again while leaders or subscribers change meanwhile.
    pub(super) async fn send_canaries(&self, shared: &Shared) {
        let producers = shared.population.producers.iter();
        // What is kept for subscribers reaches them when it will.
        let is_due = |it: &&ProducerPlan| {
            it.workload.destinations.kind == Kind::Topic && !it.workload.durable
        };
        let producers: Vec<ProducerPlan> = producers.filter(is_due).cloned().collect();
        if producers.is_empty() {
            return;
        }
        // Leaders that return to where they belong begin it all anew.
        let bound = self.scenario.expect.drained_within.0 + self.long() * 3;
        let deadline = time::Instant::now() + bound;
        let late = |what: &str| format!("{}s after all was drained {what}", bound.as_secs_f64());
        loop {
            let Some(before) = self.settle(shared, deadline).await else {
                let detail = late("leaders and subscribers of topics have not settled");
                return self.stuck("canary", detail, shared).await;
            };
            if time::timeout_at(deadline, self.sing(&producers, shared)).await.is_err() {
                let detail = late("a message to a topic is not acknowledged");
                return self.stuck("canary", detail, shared).await;
            }
            time::sleep(margins::of(self.scenario).delivered * 2 + handled(&producers)).await;
            if self.standing(shared) == Some(before) || self.is_unsafe() {
                return;
            }
        }
    }

    /// Has somebody listen to advisories of consumers until they tell of those there are.
    pub(super) async fn call_roll(&self, shared: &Shared) {
        if !self.scenario.expect.consumers_told || self.is_unsafe() {
            return;
        }
        let bound = self.scenario.expect.drained_within.0 + self.long() * 3;
        let progress = roll::Progress::default();
        let calling = roll::run(shared.clone(), progress.clone());
        let calling = self.world.spawn_on(self.hosts[0], calling);
        if time::timeout(bound, calling).await.is_err() {
            let (late, words) = (bound.as_secs_f64(), progress.in_words());
            let detail = format!("{late}s after all was drained {words}");
            self.stuck("roll", detail, shared).await;
        }
    }

    /// What healing takes, and what a client needs to notice that its connection is dead.
    fn long(&self) -> Duration {
        let margins = margins::of(self.scenario);
        margins.healed.max(margins.noticed)
    }

    /// Each producer sends its canaries; ends when all are acknowledged.
    async fn sing(&self, producers: &[ProducerPlan], shared: &Shared) {
        let singing: Vec<_> = producers
            .iter()
            .map(|plan| {
                let host = self.hosts[plan.client.0 as usize % self.hosts.len()];
                self.world.spawn_on(host, canary::run(plan.clone(), shared.clone()))
            })
            .collect();
        for song in singing {
            song.await.expect("a canary does not panic");
        }
    }

    /// Waits until all slots are led and all subscribers there, and that has not changed for as
    /// [`long`](Self::long); `None` if that is not before the deadline.
    async fn settle(&self, shared: &Shared, deadline: time::Instant) -> Option<Standing> {
        let long = self.long();
        let mut known: Option<(Standing, Duration)> = None;
        while time::Instant::now() < deadline {
            let now = self.recorder.now();
            known = match (self.standing(shared), known) {
                (Some(standing), Some((before, since))) if standing == before => {
                    if now - since >= long {
                        return Some(standing);
                    }
                    known
                }
                (standing, _) => standing.map(|standing| (standing, now)),
            };
            time::sleep(LOOK_EVERY).await;
        }
        None
    }

    /// `None` while a slot is not led or a subscriber of a topic not there.
    fn standing(&self, shared: &Shared) -> Option<Standing> {
        let recorder = self.recorder.lock();
        let destinations = &recorder.history.destinations;
        let consumers = shared.population.consumers.iter();
        let mut topics = consumers
            .flat_map(|plan| plan.sources.iter().map(|source| (plan.client, *source)))
            .filter(|(_, source)| destinations[source.0 as usize].topic)
            .filter(|(_, source)| !destinations[source.0 as usize].kept);
        let is_there = topics.all(|(client, source)| {
            recorder.subscribers.get(&client).is_some_and(|it| it.confirmed.contains(&source))
        });
        (is_there && recorder.meter.all_led()).then(|| Standing {
            reigns: recorder.checks.reigns(),
            subscriptions: recorder.history.subscriptions.len(),
        })
    }
}
