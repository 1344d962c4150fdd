//! How a run that panics is reported: what, where, on which node, when.

use crate::simulated::context;
use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;
use std::time::Duration;

/// A run ended by a panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// The panic's message.
    pub message: String,
    /// Where it was raised: file, line and column.
    pub location: String,
    /// On which node; `world` for the scenario itself.
    pub node: String,
    /// When, in virtual time.
    pub at: Duration,
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Crash { message, location, node, at } = self;
        write!(f, "{node} crashed after {:.6} s at {location}: {message}", at.as_secs_f64())
    }
}

impl std::error::Error for Crash {}

thread_local! {
    /// Whether this thread runs a world, and the first panic it met.
    static CAUGHT: RefCell<Option<Option<Crash>>> = const { RefCell::new(None) };
}

/// Lets panics of worlds be noted, and all others be reported as before.
pub(super) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !note(info) {
                previous(info);
            }
        }));
    });
}

/// Notes a panic, if this thread runs a world.
fn note(info: &PanicHookInfo<'_>) -> bool {
    let noted = CAUGHT.try_with(|caught| {
        let Ok(mut caught) = caught.try_borrow_mut() else { return false };
        let Some(first) = caught.as_mut() else { return false };
        // madsim's own panics (nothing can happen any more, time limit) are raised between tasks,
        // where asking for the current node would panic again.
        let between_tasks = info.location().is_some_and(|at| at.file().contains("/madsim-"));
        let known = context::try_with(|sim| {
            let node = if between_tasks { &sim.nodes.all[0] } else { sim.nodes.current() };
            (node.name.to_string(), Duration::from_nanos(sim.timers.now()))
        });
        let (node, at) = known.unwrap_or_else(|| ("world".to_owned(), Duration::ZERO));
        let payload = info.payload();
        let message = (payload.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a message".to_owned());
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        first.get_or_insert(Crash { message, location, node, at });
        true
    });
    noted.unwrap_or(false)
}

/// Runs `f` and turns a panic into a value.
pub(super) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, Crash> {
    CAUGHT.with(|caught| *caught.borrow_mut() = Some(None));
    let result = catch_unwind(AssertUnwindSafe(f));
    let noted = CAUGHT.with(|caught| caught.borrow_mut().take()).flatten();
    result.map_err(|_| {
        noted.unwrap_or_else(|| Crash {
            message: "a panic that was raised without being reported".to_owned(),
            location: String::new(),
            node: String::new(),
            at: Duration::ZERO,
        })
    })
}
