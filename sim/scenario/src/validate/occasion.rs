//! The event that a fault waits for.

use super::{Checked, known_node, refuse};
use crate::{Scenario, Step, fault::Fault};

/// How many events a fault may let pass.
const MAX_NTH: u32 = 1_000;

/// Refuses an event that cannot come, and what says something of an event where there is none.
pub(super) fn check(scenario: &Scenario, it: &Fault, at: &[Step]) -> Checked {
    let in_it = |key: &str| {
        let mut path = at.to_vec();
        path.push(key.into());
        path
    };
    let kinds = it.kinds();
    let Some(on) = it.on else {
        let of_an_event = [
            ("by", it.by.is_some()),
            ("slot", it.slot.is_some()),
            ("nth", it.nth.is_some()),
            ("after", it.after.is_some()),
        ];
        if let Some((key, _)) = of_an_event.into_iter().find(|(_, given)| *given) {
            return refuse(in_it(key), format!("`{key}` goes with `on`: of which event?"));
        }
        return match kinds.iter().find(|kind| kind.target().is_some_and(|it| it.emitter)) {
            Some(kind) => {
                let mut path = in_it(kind.name());
                path.push("emitter".into());
                refuse(path, "`emitter` goes with `on`: of which event?")
            }
            None => Ok(()),
        };
    };
    if it.at.is_some() {
        return refuse(in_it("on"), "`on` goes with `between`, not with `at`");
    }
    if let Some(node) = &it.by {
        known_node(scenario, node, in_it("by"))?;
    }
    if let Some(slot) = it.slot {
        if !on.has_slot() {
            return refuse(in_it("slot"), format!("`{on}` is of a whole node and has no slot"));
        }
        if slot >= scenario.cluster.slots {
            let last = scenario.cluster.slots - 1;
            return refuse(in_it("slot"), format!("there is no slot {slot}; they are 0 to {last}"));
        }
    }
    if let Some(nth) = it.nth
        && (nth.least() == 0 || nth.most() > MAX_NTH)
    {
        return refuse(in_it("nth"), format!("events are counted from 1 to {MAX_NTH}"));
    }
    Ok(())
}
