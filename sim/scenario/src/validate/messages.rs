//! What is said of messages, and of the transactions that they are sent in.

use std::time::Duration;

use super::{Checked, refuse};
use crate::{
    Step,
    format::{Protocol, Workload},
};

/// The broker repeats no faster.
const SHORTEST_PERIOD: Duration = Duration::from_millis(100);

pub(super) fn check(it: &Workload, in_it: impl Fn(&str) -> Vec<Step>) -> Checked {
    if let Some([first, last]) = it.priorities
        && (first > last || last > 9)
    {
        return refuse(in_it("priorities"), "a pair of numbers from 0 to 9, the smaller one first");
    }
    if it.distributed.0 > 0.0 && it.protocol == Protocol::Stomp {
        let reason = "STOMP has no distributed transactions; set `protocol = \"openwire\"`";
        return refuse(in_it("distributed"), reason);
    }
    let Some(delay) = it.delay else { return Ok(()) };
    let [least, most] = delay.after;
    if least.0 < Duration::from_millis(1) || least.0 > most.0 {
        return refuse(
            in_it("delay"),
            "`after` is a pair of times from 1ms on, the shorter one first",
        );
    }
    if delay.repeat > 0 && delay.period.0 < SHORTEST_PERIOD {
        return refuse(in_it("delay"), "what is repeated needs a `period` of at least 100ms");
    }
    Ok(())
}
