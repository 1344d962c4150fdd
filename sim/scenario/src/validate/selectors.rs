//! Consumers that select.

use super::{Checked, refuse};
use crate::{
    Step,
    format::{Kind, Workload},
};

/// Refuses what would leave messages behind that nobody selects.
pub(super) fn check(it: &Workload, at: Vec<Step>) -> Checked {
    let Some(parts) = it.selectors else { return Ok(()) };
    if it.destinations.kind == Kind::Topic {
        return refuse(at, "consumers of queues select, not those of topics");
    }
    if parts < 2 {
        return refuse(at, "messages fall into two parts at least");
    }
    let all = u64::from(parts) * u64::from(it.destinations.count);
    if u64::from(it.consumers) < all {
        return refuse(at, format!("each queue needs a consumer for each part, {all} in all"));
    }
    Ok(())
}
