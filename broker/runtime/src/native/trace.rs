//! Where events go natively: to whoever listens, usually nobody.

use crate::events::{Event, Value};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Instant;

type Listener = Box<dyn FnMut(&Event<'_>) + Send>;

static ENABLED: AtomicBool = AtomicBool::new(false);
static LISTENERS: Mutex<Vec<Listener>> = Mutex::new(Vec::new());
static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

#[inline]
pub(crate) fn enabled() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

pub(crate) fn emit(kind: &str, fields: &[(&str, Value<'_>)]) {
    if !enabled() {
        return;
    }
    let event = Event { at: BEGIN.elapsed(), node: "", incarnation: 0, kind, fields };
    for listener in LISTENERS.lock().expect("no listener panics").iter_mut() {
        listener(&event);
    }
}

pub(crate) fn listen(listener: Listener) {
    LazyLock::force(&BEGIN);
    LISTENERS.lock().expect("no listener panics").push(listener);
    ENABLED.store(true, Ordering::Relaxed);
}
