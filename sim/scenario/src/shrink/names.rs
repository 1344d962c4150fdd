//! The cluster: fewer nodes, replicas and slots, and who is struck.
//!
//! Nodes are called by their numbers, and those that join come after the founders. With fewer of them
//! others get other names, so faults, changes and clients have theirs put right; what is about nobody
//! any more goes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, de::DeserializeOwned};
use toml::{Table, Value};

use super::{Cut, cuts};
use crate::{Scenario, change::Change, format::Connect, node_name};

/// Keys below which nothing names a node.
const OTHERS: [&str; 5] = ["broker", "destination", "remove_policy", "set_policy", "zone"];

/// What becomes of a fault that strikes a node which is no more.
#[derive(Clone, Copy, PartialEq)]
enum Struck {
    /// It strikes another one.
    Another,
    /// It goes.
    Nobody,
}

/// On fewer nodes, with fewer replicas, or both.
pub(super) fn nodes(scenario: &Scenario) -> Vec<Cut<Scenario>> {
    let (founders, replicas) = (scenario.cluster.nodes, scenario.cluster.replicas());
    let mut cuts = Vec::new();
    for nodes in cuts::numbers(founders.into(), 1) {
        let nodes = nodes as u32;
        for struck in [Struck::Another, Struck::Nobody] {
            let mut left = on_fewer(scenario, nodes, struck, |_| false);
            left.cluster.replicas = Some(replicas.min(nodes));
            cuts.push(Cut { what: format!("{nodes} of {founders} nodes"), left });
        }
    }
    for fewer in cuts::numbers(replicas.into(), 1) {
        let mut left = scenario.clone();
        left.cluster.replicas = Some(fewer as u32);
        cuts.push(Cut { what: format!("{fewer} of {replicas} replicas"), left });
    }
    cuts
}

/// With fewer slots. Faults that wait for one get another.
pub(super) fn slots(scenario: &Scenario) -> Vec<Cut<Scenario>> {
    let fewer = cuts::numbers(scenario.cluster.slots.into(), 1);
    let left = fewer.map(|slots| {
        let slots = slots as u32;
        let mut left = scenario.clone();
        left.cluster.slots = slots;
        for fault in &mut left.faults {
            fault.slot = fault.slot.map(|slot| slot % slots);
            *fault = edited(fault, |mut table| {
                let kinds = table.iter_mut().filter_map(|(_, value)| value.as_table_mut());
                for slot in kinds.filter_map(|kind| kind.get_mut("leader_of")) {
                    *slot = Value::Integer(slot.as_integer().unwrap_or(0) % i64::from(slots));
                }
                Some(table)
            })
            .unwrap_or_else(|| fault.clone());
        }
        Cut { what: format!("{slots} of {} slots", scenario.cluster.slots), left }
    });
    left.collect()
}

/// With faults that strike fewer nodes.
pub(super) fn struck(scenario: &Scenario) -> Vec<Cut<Scenario>> {
    let mut cuts = Vec::new();
    for (number, fault) in scenario.faults.iter().enumerate() {
        for name in scenario.node_names() {
            let spared = |it: &str| (it != name).then(|| it.to_owned());
            let Some(left) = edited(fault, |table| renamed(table, &scenario.node_names(), &spared))
            else {
                continue;
            };
            let mut faults = scenario.faults.clone();
            faults[number] = left;
            let what = format!("{name} spared by fault {}", number + 1);
            cuts.push(Cut { what, left: Scenario { faults, ..scenario.clone() } });
        }
    }
    cuts
}

/// Without these changes, by their number in the list, and without the nodes that they bring.
pub(super) fn without_changes(scenario: &Scenario, drop: impl Fn(usize) -> bool) -> Scenario {
    on_fewer(scenario, scenario.cluster.nodes, Struck::Nobody, drop)
}

/// The scenario with its first `founders` nodes, and without the changes that `drop` names.
fn on_fewer(
    scenario: &Scenario,
    founders: u32,
    struck: Struck,
    drop: impl Fn(usize) -> bool,
) -> Scenario {
    let all = scenario.node_names();
    let (first, newcomers) = all.split_at(scenario.cluster.nodes as usize);
    let mut gone: BTreeSet<String> = first[founders as usize..].iter().cloned().collect();
    let mut changes: Vec<(usize, &Change)> = scenario.changes.iter().enumerate().collect();
    changes.retain(|(number, _)| !drop(*number));
    // A change that is about nobody goes, and with it whom it brings, whom others may be about.
    let there = loop {
        let is_left = |change: &Change| {
            let keep = |it: &str| (!gone.contains(it)).then(|| it.to_owned());
            edited(change, |table| renamed(table, &all, &keep)).is_some()
        };
        let before = changes.len();
        changes.retain(|(_, change)| is_left(change));
        let kinds = scenario.changes.iter().enumerate().map(|(number, it)| (number, it.kind()));
        let dropped = kinds.filter(|(at, _)| !changes.iter().any(|(number, _)| number == at));
        gone.extend(dropped.flat_map(|(_, kind)| kind.newcomers_by_name().to_vec()));
        if changes.len() == before {
            break newcomers.iter().filter(|name| !gone.contains(*name));
        }
    };
    let there = first[..founders as usize].iter().chain(there);
    let to: BTreeMap<&str, String> =
        there.zip(1..).map(|(old, number)| (old.as_str(), node_name(number))).collect();
    let stays = |name: &str| to.get(name).cloned();
    let strikes = |name: &str| {
        let at = first.iter().position(|founder| founder == name);
        let another = at.filter(|_| struck == Struck::Another);
        stays(name).or_else(|| another.map(|at| node_name(at as u32 % founders + 1)))
    };

    let mut left = scenario.clone();
    left.cluster.nodes = founders;
    left.cluster.zones.truncate(founders as usize);
    let changes = changes.into_iter();
    left.changes =
        changes.filter_map(|(_, it)| edited(it, |table| renamed(table, &all, &stays))).collect();
    let faults = scenario.faults.iter();
    left.faults = faults
        .filter_map(|it| edited(it, |table| renamed(table, &all, &strikes)))
        .filter(|it| it.partition.as_ref().and_then(|it| it.groups()).is_none_or(|it| it.len() > 1))
        .collect();
    for workload in &mut left.workloads {
        if let Connect::Nodes(nodes) = &mut workload.connect {
            *nodes = nodes.iter().filter_map(|name| stays(name)).collect();
            if nodes.is_empty() {
                workload.connect = Connect::default();
            }
        }
    }
    left
}

/// An entry of a list, edited as the table that it is in the file; `None` if nothing is left of it.
fn edited<T: Serialize + DeserializeOwned>(
    entry: &T,
    edit: impl FnOnce(Table) -> Option<Table>,
) -> Option<T> {
    let table = Table::try_from(entry).expect("every entry can be written as TOML");
    edit(table)?.try_into().ok()
}

/// A table with other names for nodes; `None` if something in it names nobody any more.
fn renamed(table: Table, all: &[String], to: &dyn Fn(&str) -> Option<String>) -> Option<Table> {
    let entries = table.into_iter().map(|(key, value)| {
        if OTHERS.contains(&key.as_str()) {
            return Some((key, value));
        }
        Some((key, value_renamed(value, all, to, &mut BTreeSet::new())?))
    });
    entries.collect()
}

/// `seen` are the names of the list around it, none of which stands in it twice.
fn value_renamed(
    value: Value,
    all: &[String],
    to: &dyn Fn(&str) -> Option<String>,
    seen: &mut BTreeSet<String>,
) -> Option<Value> {
    match value {
        Value::String(name) if all.contains(&name) => {
            to(&name).filter(|name| seen.insert(name.clone())).map(Value::String)
        }
        Value::Array(entries) if !entries.is_empty() => {
            let left = entries.into_iter().filter_map(|it| value_renamed(it, all, to, seen));
            let left: Vec<Value> = left.collect();
            (!left.is_empty()).then_some(Value::Array(left))
        }
        Value::Table(table) => renamed(table, all, to).map(Value::Table),
        other => Some(other),
    }
}
