//! Consumers that select, that have groups, that want a queue for themselves, and that stay subscribed.

use std::time::Duration;

use super::{Checked, refuse};
use crate::{
    Step,
    format::{AckMode, Kind, Workload},
};

/// Refuses what would leave messages behind that nobody selects, groups and exclusive consumers where
/// there are none, and what nobody would heed.
pub(super) fn check(it: &Workload, at: impl Fn(&'static str) -> Vec<Step>) -> Checked {
    check_keeping(it, &at)?;
    check_groups(it, &at)?;
    check_composite(it, &at)?;
    match it.selectors {
        Some(parts) => check_parts(it, parts, at("selectors")),
        None => Ok(()),
    }
}

fn check_keeping(it: &Workload, at: &impl Fn(&'static str) -> Vec<Step>) -> Checked {
    if it.durable && it.destinations.kind != Kind::Topic {
        return refuse(at("durable"), "only topics have durable subscriptions");
    }
    let keeps = it.durable || it.destinations.kind == Kind::VirtualTopic;
    if keeps && it.ack == AckMode::Auto {
        return refuse(at("ack"), "with `auto` nobody knows what a subscriber still lacks");
    }
    if it.renew.0 > 0.0 && !(it.durable && it.leave.0 > 0.0) {
        return refuse(at("renew"), "only durable subscribers that `leave` renew something");
    }
    if it.away.0 > Duration::ZERO && it.leave.0 == 0.0 {
        return refuse(at("away"), "nobody goes away without `leave`");
    }
    Ok(())
}

fn check_composite(it: &Workload, at: &impl Fn(&'static str) -> Vec<Step>) -> Checked {
    if !it.composite {
        return Ok(());
    }
    if it.consumers >= it.destinations.count {
        return refuse(at("composite"), "each consumer has one destination, unless there are more");
    }
    if it.durable || it.destinations.kind == Kind::VirtualTopic {
        return refuse(at("composite"), "what stays subscribed is to one topic");
    }
    if it.prefetch == 0 {
        return refuse(at("prefetch"), "each of several destinations may answer who asks for one");
    }
    Ok(())
}

fn check_parts(it: &Workload, parts: u32, at: Vec<Step>) -> Checked {
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

fn check_groups(it: &Workload, at: impl Fn(&'static str) -> Vec<Step>) -> Checked {
    let asked = [("groups", it.groups.is_some()), ("exclusive", it.exclusive)];
    for (key, _) in asked.into_iter().filter(|(_, is_asked)| *is_asked) {
        if it.destinations.kind == Kind::Topic {
            return refuse(at(key), "every subscriber of a topic gets every message");
        }
        if it.selectors.is_some() {
            let reason = "consumers that select would leave behind what is another one's";
            return refuse(at(key), reason);
        }
    }
    if it.groups == Some(0) {
        return refuse(at("groups"), "messages are in one group at least");
    }
    Ok(())
}
