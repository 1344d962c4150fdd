//! The one thread-local value that a simulated world is.

use super::Simulation;
use std::cell::RefCell;

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
