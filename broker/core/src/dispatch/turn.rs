//! The order in which the consumers of a lane are served.

use std::cmp::Reverse;

/// When a consumer is served: after those of a higher rank, and among equals after those who have not
/// had their turn for longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    rank: Reverse<i16>,
    number: u64,
}

impl Turn {
    /// Of a consumer whose rank is its priority.
    pub(super) fn new(priority: i8, number: u64) -> Self {
        Self { rank: Reverse(priority.into()), number }
    }

    /// Of the consumer that has a lane for itself.
    pub(super) fn exclusive(number: u64) -> Self {
        Self { rank: Reverse(i16::MAX), number }
    }
}
