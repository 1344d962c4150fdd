//! Wall-clock time as a value, the same type on both sides of the seam.

use std::fmt;

/// A wall-clock time: milliseconds since the Unix epoch.
///
/// Wall clocks of different nodes disagree and may jump; use [`Instant`](crate::time::Instant) to
/// measure how long something took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}
