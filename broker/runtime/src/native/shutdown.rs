//! The wish of the surroundings that this process end in good order.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// Set once a signal was seen, so that whoever asks later learns of it.
static SEEN: AtomicBool = AtomicBool::new(false);

/// Waits until the process is asked to stop: SIGTERM or SIGINT.
///
/// The handlers are installed by the first call, so call it at start-up. From then on every call
/// resolves once a signal has been seen.
///
/// # Panics
///
/// If the handlers cannot be installed, or outside of a runtime.
pub async fn requested() {
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be handled");
    if !SEEN.load(Ordering::Relaxed) {
        tokio::select! {
            biased;
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        SEEN.store(true, Ordering::Relaxed);
    }
}
