//! The one thread-local value that a simulated world is.

use super::disk::Disks;
use super::net::fabric::Fabric;
use super::nodes::Nodes;
use super::timers::Timers;
use super::trace::Recorder;
use std::cell::RefCell;
use std::time::Duration;

/// Everything a running world consists of.
pub(crate) struct Simulation {
    pub(crate) seed: u64,
    pub(crate) timers: Timers,
    pub(crate) nodes: Nodes,
    pub(crate) net: Fabric,
    pub(crate) disks: Disks,
    pub(crate) recorder: Recorder,
}

thread_local! {
    static SIMULATION: RefCell<Option<Box<Simulation>>> = const { RefCell::new(None) };
}

/// Runs `f` on this thread's world.
///
/// # Panics
///
/// If there is no world on this thread: code of a simulated build ran outside `World::run`.
pub(crate) fn with<R>(f: impl FnOnce(&mut Simulation) -> R) -> R {
    SIMULATION.with(|slot| {
        let mut slot = slot.borrow_mut();
        f(slot.as_mut().expect("no simulated world on this thread: start one with World::run"))
    })
}

/// Runs `f` on this thread's world, if there is one and it is not in use: for destructors, which
/// also run while the world ends.
pub(crate) fn try_with<R>(f: impl FnOnce(&mut Simulation) -> R) -> Option<R> {
    SIMULATION
        .try_with(|slot| {
            slot.try_borrow_mut().ok().and_then(|mut slot| slot.as_mut().map(|s| f(s)))
        })
        .ok()
        .flatten()
}

/// Puts a world on this thread until the guard is dropped.
pub(crate) fn install(simulation: Box<Simulation>) -> Installed {
    let previous = SIMULATION.with(|slot| slot.borrow_mut().replace(simulation));
    assert!(previous.is_none(), "one world per thread");
    Installed(())
}

/// Keeps a world on this thread. Dropping it takes the world away first and drops it afterwards,
/// so that destructors running meanwhile find none.
pub(crate) struct Installed(());

impl Drop for Installed {
    fn drop(&mut self) {
        let simulation = SIMULATION.with(|slot| slot.borrow_mut().take());
        drop(simulation);
    }
}

/// Virtual time since the world began; zero when there is none.
pub(crate) fn now() -> Duration {
    Duration::from_nanos(try_with(|sim| sim.timers.now()).unwrap_or(0))
}
