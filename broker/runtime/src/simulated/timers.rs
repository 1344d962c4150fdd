//! Timers that can be taken back, and the queue of the world's own events.
//!
//! madsim's sleeps last at least a millisecond and leave an entry behind when they are dropped.
//! Here one madsim timer at a time stands for the earliest deadline of all: a sleeping task is an
//! entry in an ordered map, gone when its sleep is dropped; what is under way in the network and
//! the life of nodes are entries in a heap. One task, the driver, handles what is due.

use super::context;
use super::net::fabric::NetEvent;
use super::nodes::NodeEvent;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Nanoseconds since the world began.
pub(crate) type Nanos = u64;

/// An event of the world itself.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WorldEvent {
    Net(NetEvent),
    Node(NodeEvent),
}

/// Names a waiting task's entry.
pub(crate) type TimerKey = (Nanos, u64);

pub(crate) struct Timers {
    clock: madsim::time::TimeHandle,
    /// madsim's instant at time zero.
    origin: Instant,
    sleep: Pin<Box<madsim::time::Sleep>>,
    driver: Waker,
    /// The time for which a madsim timer stands, `Nanos::MAX` when none does.
    armed: Nanos,
    sequence: u64,
    waiting: BTreeMap<TimerKey, Waker>,
    events: BinaryHeap<Reverse<(Nanos, u64, WorldEvent)>>,
}

impl Timers {
    /// Must be called inside a madsim runtime.
    pub(crate) fn new() -> Timers {
        let clock = madsim::time::TimeHandle::current();
        let origin = clock.now_instant() - clock.elapsed();
        let sleep = Box::pin(clock.sleep(Duration::ZERO));
        Timers {
            clock,
            origin,
            sleep,
            driver: Waker::noop().clone(),
            armed: Nanos::MAX,
            sequence: 0,
            waiting: BTreeMap::new(),
            events: BinaryHeap::new(),
        }
    }

    pub(crate) fn now(&self) -> Nanos {
        self.clock.elapsed().as_nanos() as Nanos
    }

    /// Wakes `waker` at `deadline` unless the entry is removed before.
    pub(crate) fn wait(&mut self, deadline: Nanos, waker: Waker) -> TimerKey {
        self.sequence += 1;
        let key = (deadline, self.sequence);
        self.waiting.insert(key, waker);
        self.arm(deadline);
        key
    }

    /// Replaces the waker of an entry; false if the entry has fired.
    pub(crate) fn rewait(&mut self, key: TimerKey, waker: &Waker) -> bool {
        match self.waiting.get_mut(&key) {
            Some(current) => {
                current.clone_from(waker);
                true
            }
            None => false,
        }
    }

    /// Takes an entry back. Its waker is returned to be dropped by the caller.
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<Waker> {
        self.waiting.remove(&key)
    }

    /// How many tasks wait for a time: what dropped timeouts must not add to.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Lets `event` happen at `at`, after everything that was scheduled for the same time before.
    pub(crate) fn schedule(&mut self, at: Nanos, event: WorldEvent) {
        self.sequence += 1;
        self.events.push(Reverse((at, self.sequence, event)));
        self.arm(at);
    }

    /// Makes sure that the driver runs at `deadline`.
    fn arm(&mut self, deadline: Nanos) {
        if deadline >= self.armed {
            return;
        }
        self.armed = deadline;
        // `reset` takes any deadline, unlike madsim's constructors of a sleep, and polling it
        // registers a timer.
        self.sleep.as_mut().reset(self.origin + Duration::from_nanos(deadline));
        let mut context = Context::from_waker(&self.driver);
        if self.sleep.as_mut().poll(&mut context).is_ready() {
            self.driver.wake_by_ref();
        }
    }

    fn arm_earliest(&mut self) {
        self.armed = Nanos::MAX;
        let task = self.waiting.first_key_value().map(|((at, _), _)| *at);
        let event = self.events.peek().map(|Reverse((at, _, _))| *at);
        if let Some(earliest) = task.into_iter().chain(event).min() {
            self.arm(earliest);
        }
    }

    fn pop_due(&mut self, now: Nanos) -> Option<Due> {
        let task = self.waiting.first_key_value().map(|(key, _)| *key).filter(|key| key.0 <= now);
        let event = self.events.peek().map(|Reverse((at, sequence, _))| (*at, *sequence));
        let event = event.filter(|key| key.0 <= now);
        match (task, event) {
            (Some(task), Some(event)) if event < task => self.pop_event(),
            (None, Some(_)) => self.pop_event(),
            (Some(_), _) => self.waiting.pop_first().map(|(_, waker)| Due::Wake(waker)),
            (None, None) => None,
        }
    }

    fn pop_event(&mut self) -> Option<Due> {
        self.events.pop().map(|Reverse((_, _, event))| Due::Event(event))
    }
}

enum Due {
    Wake(Waker),
    Event(WorldEvent),
}

/// The driver: never completes, handles what is due whenever it is woken.
pub(crate) struct Driver {
    installed: bool,
}

impl Driver {
    pub(crate) fn new() -> Driver {
        Driver { installed: false }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.installed {
            self.installed = true;
            context::with(|sim| {
                sim.timers.driver = cx.waker().clone();
                sim.timers.armed = Nanos::MAX;
            });
        }
        loop {
            let node_event = context::with(|sim| {
                let now = sim.timers.now();
                while let Some(due) = sim.timers.pop_due(now) {
                    match due {
                        Due::Wake(waker) => waker.wake(),
                        Due::Event(WorldEvent::Net(event)) => sim.handle_net_event(now, event),
                        Due::Event(WorldEvent::Node(event)) => return Some(event),
                    }
                }
                sim.timers.arm_earliest();
                None
            });
            // The life of nodes runs code of the node and of madsim, which may ask for the world.
            match node_event {
                Some(event) => event.happen(),
                None => return Poll::Pending,
            }
        }
    }
}
