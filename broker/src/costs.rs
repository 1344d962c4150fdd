//! What the broker's main steps cost in processor time, for the simulated world's cores.
//!
//! Natively charging compiles to nothing. The figures stand in one place so that they can be
//! calibrated from benchmarks of the real build.

use std::time::Duration;

/// Reading one frame off a link, and its share of the write that brought it.
pub const LINK_FRAME: Duration = Duration::from_nanos(1_500);

/// Finding the shard of one operation and giving it its place in the session.
pub const ROUTE: Duration = Duration::from_nanos(700);

/// Putting one command into a batch, and its share of proposing that.
pub const PROPOSE: Duration = Duration::from_nanos(1_200);

/// What one log entry costs a replica, whatever is in it.
pub const APPEND: Duration = Duration::from_micros(12);

/// Applying one command.
pub const APPLY: Duration = Duration::from_nanos(800);

/// Choosing one message's consumer and handing it over.
pub const DISPATCH: Duration = Duration::from_nanos(1_200);
