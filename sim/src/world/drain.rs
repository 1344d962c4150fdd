//! After the faults: everything must be delivered and settled, and all replicas must agree, within
//! the scenario's bound.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use paceline_runtime::time;

use super::{Run, faults::Injector, margins};
use crate::{check::Replica, clients::Shared};

/// How often it is looked whether all is drained.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A consumer that takes longer from one message to the next has none left to take.
const STILL_COME: Duration = Duration::from_secs(2);
/// After all is drained so much longer, so that what is still on the wire arrives.
const GRACE: Duration = Duration::from_millis(500);

impl Run<'_> {
    /// Waits until all is drained: first without the nodes that a fault still keeps away, if there are
    /// any, then with all. Returns how long that took, if it did, and the last word of every replica.
    pub(super) async fn drain(
        &mut self,
        shared: &Shared,
        injector: &mut Injector<'_>,
    ) -> (Option<Duration>, Vec<Replica>) {
        let began = time::Instant::now();
        let away = injector.away();
        if !away.is_empty() {
            if !self.drain_without(&away, shared).await {
                return (None, Vec::new());
            }
            injector.heal_the_last(self.recorder.now(), &mut self.supervisor);
        }
        let nobody = BTreeSet::new();
        if !self.drain_without(&nobody, shared).await {
            return (None, Vec::new());
        }
        let took = time::Instant::now() - began;
        time::sleep(GRACE).await;
        // Replicas may be caught in the middle of an entry; then they are asked again.
        for _ in 0..10 {
            if let Ok(replicas) = self.agreement(true, &nobody).await {
                return (Some(took), replicas);
            }
            time::sleep(LOOK_EVERY).await;
        }
        self.stuck("drain", "what was drained did not stay so".into(), shared).await;
        (None, Vec::new())
    }

    /// Waits until all is drained on the nodes that are not away. Whether it came in time.
    async fn drain_without(&self, away: &BTreeSet<u32>, shared: &Shared) -> bool {
        let began = time::Instant::now();
        let bound = self.scenario.expect.drained_within.0;
        let mut next_sample = began + Duration::from_secs(1);
        loop {
            let missing = match Self::clients_wait_for(shared) {
                Some(reason) => reason,
                None => match self.agreement(false, away).await {
                    Ok(_) => match self.still_come() {
                        Some(reason) => reason,
                        None => break,
                    },
                    Err(reason) => reason,
                },
            };
            let now = time::Instant::now();
            if self.is_unsafe() {
                return false;
            }
            if now - began > bound {
                let away: Vec<String> = away.iter().map(|node| format!("n{}", node + 1)).collect();
                let without = match away.as_slice() {
                    [] => String::new(),
                    away => format!(" and without {}", away.join(" ")),
                };
                let detail =
                    format!("{}s after the faults{without} {missing}", bound.as_secs_f64());
                self.stuck("drain", detail, shared).await;
                return false;
            }
            if now >= next_sample {
                self.sample();
                next_sample += Duration::from_secs(1);
            }
            time::sleep(LOOK_EVERY).await;
        }
        true
    }

    /// What clients still wait for, if anything. Consumers are not asked: what their queues hold
    /// says what is left for them.
    fn clients_wait_for(shared: &Shared) -> Option<String> {
        let producers = shared.population.producers.len();
        let finished = *shared.finished.borrow();
        (finished < producers)
            .then(|| format!("{} producers still wait for answers", producers - finished))
    }

    /// How many messages that are owed are missing, if messages still come, or will when the broker
    /// gives up a client that has fallen silent. Those that are in memory only stand in nobody's
    /// status; they are owed in a run without faults.
    fn still_come(&self) -> Option<String> {
        let end = self.end();
        let given_up = margins::of(self.scenario).given_up;
        let recorder = self.recorder.lock();
        let last = recorder.history.deliveries.last()?.at;
        let held = recorder.history.vanished.last().map_or(last, |at| *at + given_up);
        if recorder.now() > last.max(held) + STILL_COME {
            return None;
        }
        let missing = end.lost(&recorder.history).len();
        (missing > 0).then(|| format!("{missing} messages are not delivered"))
    }

    /// Whether on the nodes that are not away all queues are empty, all transactions decided, all
    /// replicas whole, and all of a shard have applied the same; what they say, or what is not so.
    async fn agreement(&self, verify: bool, away: &BTreeSet<u32>) -> Result<Vec<Replica>, String> {
        let replicas = self.statuses(verify, away).await?;
        let mut shards: BTreeMap<u64, Vec<&Replica>> = BTreeMap::new();
        for replica in &replicas {
            shards.entry(replica.shard).or_default().push(replica);
        }
        let rows = self.recorder.lock().meter.rows().to_vec();
        for slot in 0..u64::from(self.scenario.cluster.slots) {
            let shard = shards.get(&slot).map_or(&[][..], Vec::as_slice);
            let row = &rows[slot as usize];
            let copies = row.iter().filter(|node| !away.contains(node)).count();
            if shard.len() != copies {
                let held = shard.len();
                return Err(format!("shard {slot} is held by {held} nodes in place of {copies}"));
            }
            if let Some(repairing) = shard.iter().find(|it| it.repairing) {
                let node = repairing.node + 1;
                return Err(format!("the replica of shard {slot} on n{node} is not repaired"));
            }
            let applied: Vec<u64> = shard.iter().map(|it| it.applied).collect();
            if applied.iter().any(|it| *it != applied[0])
                || shard.iter().any(|it| it.last != it.applied)
            {
                return Err(format!("the replicas of shard {slot} have applied {applied:?}"));
            }
            if let Some(replica) = shard.iter().find(|it| it.in_doubt > 0) {
                return Err(format!(
                    "{} transactions of shard {slot} wait for their decision on n{}",
                    replica.in_doubt,
                    replica.node + 1
                ));
            }
            if let Some(replica) = shard.iter().find(|it| it.waiting > 0) {
                let (count, node) = (replica.waiting, replica.node + 1);
                return Err(format!("{count} messages of shard {slot} are not due on n{node}"));
            }
            let depths = shard.iter().flat_map(|it| it.depths.iter().map(move |depth| (it, depth)));
            if let Some((replica, (queue, depth))) = depths.into_iter().next() {
                return Err(format!(
                    "{depth} messages are left in {queue} on n{}",
                    replica.node + 1
                ));
            }
        }
        Ok(replicas)
    }
}
