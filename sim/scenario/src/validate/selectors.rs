//! Consumers that select, and those that stay subscribed.

use std::time::Duration;

use super::{Checked, refuse};
use crate::{
    Step,
    format::{AckMode, Kind, Workload},
};

/// Refuses what would leave messages behind that nobody selects, and what nobody would heed.
pub(super) fn check(it: &Workload, at: Vec<Step>) -> Checked {
    let beside = |key: &str| {
        let mut at = at.clone();
        at.pop();
        at.push(key.into());
        at
    };
    if it.durable && it.destinations.kind != Kind::Topic {
        return refuse(beside("durable"), "only topics have durable subscriptions");
    }
    let keeps = it.durable || it.destinations.kind == Kind::VirtualTopic;
    if keeps && it.ack == AckMode::Auto {
        return refuse(beside("ack"), "with `auto` nobody knows what a subscriber still lacks");
    }
    if it.renew.0 > 0.0 && !(it.durable && it.leave.0 > 0.0) {
        return refuse(beside("renew"), "only durable subscribers that `leave` renew something");
    }
    if it.away.0 > Duration::ZERO && it.leave.0 == 0.0 {
        return refuse(beside("away"), "nobody goes away without `leave`");
    }
    let Some(parts) = it.selectors else { return Ok(()) };
    if it.destinations.kind != Kind::Queue && !it.durable {
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
