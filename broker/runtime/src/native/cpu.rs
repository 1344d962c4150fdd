//! Processor time: real work takes real time, so there is nothing to account for.

use std::time::Duration;

/// Accounts for `cost` of work on one of the node's cores. Natively it compiles to nothing.
#[inline(always)]
pub async fn charge(_cost: Duration) {}
