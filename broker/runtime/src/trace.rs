//! Structured events: what a node says about itself, for checkers and for the run's fingerprint.
//!
//! The broker emits the same events in both worlds. Simulated, every event enters the event log
//! (see `world`), whose hash is the run's fingerprint, and checkers subscribe to it. Natively an
//! event costs one relaxed atomic load while nobody listens.
//!
//! ```
//! paceline_runtime::trace::event!("apply", shard = 3u32, index = 17u64);
//! ```

pub use crate::event;
pub use crate::events::{Event, Value};

/// Whether anybody listens. Ask before computing an expensive field; [`event!`] does.
#[inline]
pub fn enabled() -> bool {
    #[cfg(not(madsim))]
    return crate::native::trace::enabled();
    #[cfg(madsim)]
    return crate::simulated::trace::enabled();
}

/// Reports an event. Prefer [`event!`], which computes nothing while nobody listens.
pub fn emit(kind: &str, fields: &[(&str, Value<'_>)]) {
    #[cfg(not(madsim))]
    crate::native::trace::emit(kind, fields);
    #[cfg(madsim)]
    crate::simulated::trace::emit(kind, fields);
}

/// Calls `listener` for every event from now on: natively for the rest of the process's life, in
/// a simulation for the rest of the current world's. A listener must not emit events.
pub fn listen(listener: impl FnMut(&Event<'_>) + Send + 'static) {
    #[cfg(not(madsim))]
    crate::native::trace::listen(Box::new(listener));
    #[cfg(madsim)]
    crate::simulated::trace::listen(Box::new(listener));
}

/// Emits a structured event: `event!("kind", field = value, …)`. Fields are evaluated only while
/// somebody listens; values are anything that converts into [`Value`](crate::trace::Value).
#[macro_export]
macro_rules! event {
    ($kind:expr $(, $field:ident = $value:expr)* $(,)?) => {
        if $crate::trace::enabled() {
            $crate::trace::emit(
                $kind,
                &[$((stringify!($field), $crate::trace::Value::from($value))),*],
            );
        }
    };
}
