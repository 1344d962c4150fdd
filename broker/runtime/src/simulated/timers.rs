//! The virtual clock, timers that can be taken back, and the queue of the world's own events.
//!
//! What is due stands in two heaps: sleeping tasks, and what is under way in the network and in the
//! life of nodes. A sleep that is dropped leaves its entry in the heap, without a sleeper; when half
//! of a heap is of that kind it is cleared of them.

use super::{WorldEvent, context};
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::Waker;

/// Nanoseconds since the world began.
pub(crate) type Nanos = u64;

/// Names a sleeper; never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerKey {
    sequence: u64,
    index: u32,
}

thread_local! {
    static NOW: Cell<Nanos> = const { Cell::new(0) };
    /// Nothing is due before.
    static DUE: Cell<Nanos> = const { Cell::new(Nanos::MAX) };
}

/// Virtual time since the latest world of this thread began.
pub(crate) fn now() -> Nanos {
    NOW.get()
}

/// The clock shows this time from now on, if it is not past already.
pub(crate) fn advance_to(time: Nanos) {
    NOW.set(time.max(NOW.get()));
}

/// Starts the clock of a new world.
pub(crate) fn reset_clock() {
    NOW.set(0);
    DUE.set(Nanos::MAX);
}

/// Before this time nothing is due; none when nothing is going to happen.
pub(crate) fn due() -> Option<Nanos> {
    Some(DUE.get()).filter(|due| *due < Nanos::MAX)
}

/// Lets everything happen that is due.
pub(crate) fn fire_due() {
    if NOW.get() < DUE.get() {
        return;
    }
    loop {
        let node_event = context::with(|sim| {
            let now = now();
            loop {
                match sim.timers.pop_due(now) {
                    Ok(Due::Wake(waker)) => waker.wake(),
                    Ok(Due::Event(WorldEvent::Net(event))) => sim.handle_net_event(now, event),
                    Ok(Due::Event(WorldEvent::Node(event))) => return Some(event),
                    Err(next) => {
                        DUE.set(next);
                        return None;
                    }
                }
            }
        });
        // The life of nodes runs code of the node, which may ask for the world.
        match node_event {
            Some(event) => event.happen(),
            None => return,
        }
    }
}

/// A task that waits for a time.
#[derive(Default)]
struct Sleeper {
    /// Of the entry in the heap that is for it.
    sequence: u64,
    waker: Option<Waker>,
}

#[derive(Default)]
pub(crate) struct Timers {
    sequence: u64,
    sleepers: Vec<Sleeper>,
    free: Vec<u32>,
    sleeping: BinaryHeap<Reverse<(Nanos, TimerKey)>>,
    events: BinaryHeap<Reverse<(Nanos, u64, WorldEvent)>>,
}

enum Due {
    Wake(Waker),
    Event(WorldEvent),
}

impl Timers {
    /// Wakes `waker` at `deadline` unless the entry is removed before.
    pub(crate) fn wait(&mut self, deadline: Nanos, waker: Waker) -> TimerKey {
        self.sequence += 1;
        let index = self.free.pop().unwrap_or_else(|| {
            self.sleepers.push(Sleeper::default());
            (self.sleepers.len() - 1) as u32
        });
        let key = TimerKey { sequence: self.sequence, index };
        self.sleepers[index as usize] = Sleeper { sequence: self.sequence, waker: Some(waker) };
        self.sleeping.push(Reverse((deadline, key)));
        DUE.set(DUE.get().min(deadline));
        key
    }

    /// Replaces the waker of an entry; false if the entry has fired.
    pub(crate) fn rewait(&mut self, key: TimerKey, waker: &Waker) -> bool {
        let sleeper = &mut self.sleepers[key.index as usize];
        match &mut sleeper.waker {
            Some(current) if sleeper.sequence == key.sequence => {
                current.clone_from(waker);
                true
            }
            _ => false,
        }
    }

    /// Takes an entry back, if it has not fired.
    pub(crate) fn cancel(&mut self, key: TimerKey) {
        if self.take(key).is_some() && self.sleeping.len() > 2 * self.waiting() + 64 {
            let sleepers = &self.sleepers;
            self.sleeping.retain(|Reverse((_, key))| sleeps(sleepers, *key));
        }
    }

    /// How many tasks wait for a time: what dropped timeouts must not add to.
    pub(crate) fn waiting(&self) -> usize {
        self.sleepers.len() - self.free.len()
    }

    /// Lets `event` happen at `at`, after everything that was scheduled for the same time before.
    pub(crate) fn schedule(&mut self, at: Nanos, event: WorldEvent) {
        self.sequence += 1;
        self.events.push(Reverse((at, self.sequence, event)));
        DUE.set(DUE.get().min(at));
    }

    fn take(&mut self, key: TimerKey) -> Option<Waker> {
        let sleeper = &mut self.sleepers[key.index as usize];
        if sleeper.sequence != key.sequence {
            return None;
        }
        let waker = sleeper.waker.take()?;
        self.free.push(key.index);
        Some(waker)
    }

    /// The first entry of a task that still sleeps.
    fn first_sleeping(&mut self) -> Option<(Nanos, TimerKey)> {
        while let Some(Reverse((at, key))) = self.sleeping.peek() {
            if sleeps(&self.sleepers, *key) {
                return Some((*at, *key));
            }
            self.sleeping.pop();
        }
        None
    }

    /// What is due first; otherwise when something will be.
    fn pop_due(&mut self, now: Nanos) -> Result<Due, Nanos> {
        const NEVER: (Nanos, u64) = (Nanos::MAX, u64::MAX);
        let task = self.first_sleeping().map_or(NEVER, |(at, key)| (at, key.sequence));
        let event = self.events.peek();
        let event = event.map_or(NEVER, |Reverse((at, sequence, _))| (*at, *sequence));
        let first = task.min(event);
        if first.0 > now {
            return Err(first.0);
        }
        if first == task {
            let Reverse((_, key)) = self.sleeping.pop().expect("it was looked at");
            Ok(Due::Wake(self.take(key).expect("it sleeps")))
        } else {
            let Reverse((_, _, event)) = self.events.pop().expect("it was looked at");
            Ok(Due::Event(event))
        }
    }
}

fn sleeps(sleepers: &[Sleeper], key: TimerKey) -> bool {
    let sleeper = &sleepers[key.index as usize];
    sleeper.sequence == key.sequence && sleeper.waker.is_some()
}

#[cfg(test)]
mod tests {
    use super::super::nodes::NodeEvent;
    use super::*;

    fn wait(timers: &mut Timers, deadline: Nanos) -> TimerKey {
        timers.wait(deadline, Waker::noop().clone())
    }

    #[test]
    fn what_is_taken_back_leaves_little_behind() {
        let mut timers = Timers::default();
        let kept = wait(&mut timers, 5);
        for later in 10..10_000 {
            let key = wait(&mut timers, later);
            timers.cancel(key);
        }
        assert_eq!(timers.waiting(), 1);
        assert!(timers.sleeping.len() < 100, "{} entries", timers.sleeping.len());
        assert!(timers.rewait(kept, Waker::noop()));
        assert!(matches!(timers.pop_due(5), Ok(Due::Wake(_))));
        assert_eq!(timers.pop_due(Nanos::MAX - 1).err(), Some(Nanos::MAX));
    }

    #[test]
    fn an_entry_that_has_fired_is_not_its_successor() {
        let mut timers = Timers::default();
        let first = wait(&mut timers, 5);
        assert!(matches!(timers.pop_due(5), Ok(Due::Wake(_))));
        wait(&mut timers, 7);
        assert!(!timers.rewait(first, Waker::noop()));
        timers.cancel(first);
        assert_eq!(timers.pop_due(6).err(), Some(7));
    }

    #[test]
    fn what_is_due_at_one_time_comes_in_the_order_in_which_it_was_asked_for() {
        let mut timers = Timers::default();
        let boot = |node| WorldEvent::Node(NodeEvent::Boot(node));
        timers.schedule(3, boot(1));
        wait(&mut timers, 3);
        timers.schedule(3, boot(2));
        timers.schedule(2, boot(0));
        let due = std::iter::from_fn(|| timers.pop_due(3).ok());
        let due: Vec<_> = due
            .map(|due| match due {
                Due::Wake(_) => None,
                Due::Event(event) => Some(event),
            })
            .collect();
        assert_eq!(due, [Some(boot(0)), Some(boot(1)), None, Some(boot(2))]);
    }
}
