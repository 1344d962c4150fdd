//! The events of the broker that faults wait for.
//!
//! A node cannot be killed from within its own poll, and an event comes from there. So the listener
//! only notes it and wakes the scenario, which strikes at the same virtual time or later.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use paceline_events::Kind;
use paceline_runtime::trace;
use paceline_scenario::{
    event::{Event, Nth},
    fault::Fault,
};
use tokio::sync::Notify;

use crate::{check::step::NodeId, observe::recorder::node_number};

/// The event that a fault has waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The number of the fault.
    pub fault: usize,
    /// When, since the workload began.
    pub at: Duration,
    /// Whose event it is.
    pub node: NodeId,
    /// In which slot, if it is of one.
    pub slot: Option<u64>,
}

/// Hears the nodes for the faults of a run.
pub struct Sightings {
    shared: Arc<Mutex<Watch>>,
    changed: Arc<Notify>,
}

impl Sightings {
    /// Listens from now on, which is when the workload begins and `epoch` by the trace's clock.
    /// Must be called inside the world.
    pub fn of(faults: &[Fault], nodes: usize, epoch: Duration) -> Self {
        let watch = Watch::of(faults);
        let idle = watch.waiting.is_empty();
        let (shared, changed) = (Arc::new(Mutex::new(watch)), Arc::new(Notify::new()));
        let sightings = Self { shared: shared.clone(), changed: changed.clone() };
        if !idle {
            trace::listen(move |event| {
                let Some(node) = node_number(event.node, nodes) else { return };
                // What cannot be read the recorder reports.
                let Ok(Some(said)) = paceline_events::Event::read(event) else { return };
                let slot = event.field("shard").and_then(|shard| shard.as_u64());
                let at = event.at.saturating_sub(epoch);
                let mut watch = shared.lock().unwrap_or_else(PoisonError::into_inner);
                if watch.hear(said.kind(), at, node, slot) {
                    changed.notify_one();
                }
            });
        }
        sightings
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a sighting, unless one is there.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What was seen since the last call, in order.
    pub fn take(&self) -> Vec<Sighting> {
        mem::take(&mut self.lock().seen)
    }

    /// The fault waits no more. Whether it still did.
    pub fn give_up(&self, fault: usize) -> bool {
        let waiting = &mut self.lock().waiting;
        let before = waiting.len();
        waiting.retain(|it| it.fault != fault);
        waiting.len() < before
    }
}

/// What is waited for and what has come.
#[derive(Debug, Default)]
struct Watch {
    waiting: Vec<Waiting>,
    seen: Vec<Sighting>,
}

/// A fault that has not begun.
#[derive(Debug)]
struct Waiting {
    fault: usize,
    on: Event,
    within: [Duration; 2],
    by: Option<NodeId>,
    slot: Option<u64>,
    /// How many events it lets pass before its own.
    ahead: u32,
}

impl Watch {
    fn of(faults: &[Fault]) -> Self {
        let waiting = faults.iter().enumerate().filter_map(|(fault, it)| {
            let [from, to] = it.between.filter(|_| it.on.is_some())?;
            let by = it
                .by
                .as_ref()
                .map(|name| node_number(name, usize::MAX).expect("validated: the node exists"));
            Some(Waiting {
                fault,
                on: it.on?,
                within: [from.0, to.0],
                by,
                slot: it.slot.map(u64::from),
                ahead: it.nth.map_or(1, Nth::least) - 1,
            })
        });
        Self { waiting: waiting.collect(), seen: Vec::new() }
    }

    /// Takes in an event. Whether a fault has waited for it.
    fn hear(&mut self, kind: Kind, at: Duration, node: NodeId, slot: Option<u64>) -> bool {
        let Self { waiting, seen } = self;
        let before = seen.len();
        waiting.retain_mut(|it| {
            let is_meant = it.on.kind() == kind
                && (it.within[0]..=it.within[1]).contains(&at)
                && it.by.is_none_or(|by| by == node)
                && it.slot.is_none_or(|wanted| slot == Some(wanted));
            if is_meant && it.ahead == 0 {
                seen.push(Sighting { fault: it.fault, at, node, slot });
                return false;
            }
            it.ahead -= u32::from(is_meant);
            true
        });
        seen.len() > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paceline_scenario::units::TimeSpan;

    const SECOND: Duration = Duration::from_secs(1);

    fn votes() -> Fault {
        let between = Some([TimeSpan(2 * SECOND), TimeSpan(4 * SECOND)]);
        Fault { on: Some(Event::Vote), between, ..Fault::default() }
    }

    /// Node, second and slot of the votes of n1, n2, n1 in slots 0, 1, 1 in the seconds 1 to 5 that
    /// each fault begins at.
    fn seen(faults: &[Fault]) -> Vec<(usize, NodeId, u64, Option<u64>)> {
        let mut watch = Watch::of(faults);
        for second in 1..=5 {
            for (node, slot) in [(0, 0), (1, 1), (0, 1)] {
                watch.hear(Kind::Follow, SECOND * second, node, Some(slot));
                watch.hear(Kind::Vote, SECOND * second, node, Some(slot));
            }
        }
        let seen = watch.seen.into_iter();
        seen.map(|it| (it.fault, it.node, it.at.as_secs(), it.slot)).collect()
    }

    #[test]
    fn the_first_event_within_the_span_is_taken_once() {
        assert_eq!(seen(&[votes()]), [(0, 0, 2, Some(0))]);
    }

    #[test]
    fn only_events_of_the_node_and_the_slot_count() {
        let of_n2 = Fault { by: Some("n2".into()), ..votes() };
        let of_one = Fault { slot: Some(1), ..votes() };
        let of_both = Fault { by: Some("n1".into()), slot: Some(1), ..votes() };
        let of_none = Fault { by: Some("n2".into()), slot: Some(0), ..votes() };
        let faults = [of_n2, of_one, of_both, of_none];
        assert_eq!(seen(&faults), [(0, 1, 2, Some(1)), (1, 1, 2, Some(1)), (2, 0, 2, Some(1))]);
    }

    #[test]
    fn those_before_the_nth_pass() {
        let fifth = Fault { nth: Some(Nth::Fixed(5)), ..votes() };
        let ninth = Fault { nth: Some(Nth::Fixed(9)), ..votes() };
        let tenth = Fault { nth: Some(Nth::Fixed(10)), ..votes() };
        // Nine votes come within the span.
        assert_eq!(seen(&[fifth, ninth, tenth]), [(0, 1, 3, Some(1)), (1, 0, 4, Some(1))]);
    }

    #[test]
    fn faults_at_a_time_wait_for_nothing() {
        assert!(seen(&[Fault { on: None, ..votes() }]).is_empty());
    }
}
