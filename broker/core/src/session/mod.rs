//! A client's session as a value: bytes in, operations and bytes out.
//!
//! One type per protocol, all driven alike. `handle_*` takes what happened (bytes arrived, an
//! operation ended, a message was delivered, time passed); `poll_*` gives what is to be done
//! (operations to submit, bytes to send, the next deadline). A session owns no socket, task, clock
//! or channel; the connection that drives it does.

pub mod stomp;

use std::time::Duration;

use crate::UnixMillis;

/// The time at which something is handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Since the session began; never goes back. Timeouts are judged by it.
    pub elapsed: Duration,
    /// The wall clock, which may jump. Messages are stamped with it.
    pub wall: UnixMillis,
}
