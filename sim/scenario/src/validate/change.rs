//! Changes of the cluster that cannot be made, whatever the seed draws.

use std::collections::BTreeSet;

use paceline_core::Destination;

use super::{Checked, MAX_NODES, broker_settings, known_node, refuse};
use crate::{
    Scenario, Step,
    change::{Change, Chosen, Join, Kind, Restart},
    fault::Fault,
    units::TimeSpan,
};

/// The largest weight of a node.
const MAX_WEIGHT: f64 = 1000.0;

/// Refuses changes that cannot be made, and what makes no sense beside changes.
pub(super) fn check(scenario: &Scenario) -> Checked {
    for (index, change) in scenario.changes.iter().enumerate() {
        one(scenario, change, index)?;
    }
    if scenario.node_count() > MAX_NODES {
        let reason = format!("{} nodes join; {MAX_NODES} in all are possible", newcomers(scenario));
        return refuse(vec!["change".into()], reason);
    }
    let together = Together { scenario };
    for (index, change) in scenario.changes.iter().enumerate() {
        together.names_of_newcomers(index, change)?;
    }
    for (index, change) in scenario.changes.iter().enumerate() {
        together.nodes(index, change)?;
    }
    for (index, change) in scenario.changes.iter().enumerate() {
        together.counts(index, change)?;
    }
    for (index, change) in scenario.changes.iter().enumerate() {
        together.slots(index, change)?;
    }
    for (index, fault) in scenario.faults.iter().enumerate() {
        together.fault(index, fault)?;
    }
    expectations(scenario)
}

fn newcomers(scenario: &Scenario) -> u32 {
    scenario.node_count() - scenario.cluster.nodes
}

fn path(index: usize, keys: &[&str]) -> Vec<Step> {
    let keys = keys.iter().map(|key| Step::from(*key));
    [Step::from("change"), Step::from(index)].into_iter().chain(keys).collect()
}

/// What a change says by itself.
fn one(scenario: &Scenario, change: &Change, index: usize) -> Checked {
    let kinds = change.kinds();
    let kind = match kinds.as_slice() {
        [kind] => kind,
        [] => {
            let reason = "this change names no kind, such as `join` or `drain`";
            return refuse(path(index, &[]), reason);
        }
        [_, second, ..] => {
            let names: Vec<_> = kinds.iter().map(Kind::name).collect();
            let reason = format!("one change, two kinds: {}", names.join(" and "));
            return refuse(path(index, &[second.name()]), reason);
        }
    };
    let (key, latest) = match (change.at, change.between) {
        (Some(_), Some(_)) => {
            let reason = "either `at` or `between`, not both";
            return refuse(path(index, &["between"]), reason);
        }
        (None, None) => return refuse(path(index, &[]), "when? write `at` or `between`"),
        (Some(at), None) => ("at", at),
        (None, Some([from, to])) if from >= to => {
            return refuse(path(index, &["between"]), format!("{from} is not before {to}"));
        }
        (None, Some([_, to])) => ("between", to),
    };
    if latest > scenario.duration {
        let reason =
            format!("this may come at {latest}, but the run ends at {}", scenario.duration);
        return refuse(path(index, &[key]), reason);
    }
    let at = path(index, &[kind.name()]);
    let none = match kind {
        Kind::Join(join) => join.nodes.count() == 0,
        _ => kind.chosen().is_some_and(|nodes| nodes.count() == 0),
    };
    if none {
        return refuse(at, "at least one node");
    }
    if matches!(kind, Kind::Replicas(0)) {
        return refuse(at, "at least one replica");
    }
    let weight = match kind {
        Kind::Join(Join { weight, .. }) => *weight,
        Kind::Weight(weight) => Some(weight.weight),
        _ => None,
    };
    if let Some(weight) = weight
        && !(weight > 0.0 && weight <= MAX_WEIGHT)
    {
        let at = path(index, &[kind.name(), "weight"]);
        return refuse(at, format!("a weight is above 0 and at most {MAX_WEIGHT}"));
    }
    if let Kind::Restart(Restart { broker, .. }) = kind {
        broker_settings(broker, path(index, &["restart", "broker"]))?;
        if let Err(reason) = scenario.settings_with(broker) {
            let reason = format!("the nodes would refuse their configuration: {reason}");
            return refuse(path(index, &["restart", "broker"]), reason);
        }
    }
    if let Kind::SetPolicy(policy) = kind
        && let Err(why) = policy.read()
    {
        return refuse(path(index, &["set_policy", why.key()]), why.to_string());
    }
    if let Kind::RemovePolicy(destination) = kind
        && let Err(why) = Destination::parse(destination)
    {
        return refuse(path(index, &["remove_policy"]), why.to_string());
    }
    if let Kind::Replace(replace) = kind
        && let Some(by) = &replace.by
        && by.len() as u32 != replace.nodes.count()
    {
        let reason = format!("{} nodes for {}", by.len(), replace.nodes.count());
        return refuse(path(index, &["replace", "by"]), reason);
    }
    Ok(())
}

/// All changes together. They are made in the order in which they are due, those of one instant in
/// that of the file.
struct Together<'a> {
    scenario: &'a Scenario,
}

/// When something is due, and the place in the file.
type Due = (TimeSpan, usize);

impl Together<'_> {
    fn kinds(&self) -> impl Iterator<Item = (Kind<'_>, Due, Due)> {
        self.scenario.changes.iter().enumerate().map(|(index, change)| {
            let [from, to] = change.span();
            (change.kind(), (from, index), (to, index))
        })
    }

    /// Nodes that join are called as those that follow the founders, each once.
    fn names_of_newcomers(&self, index: usize, change: &Change) -> Checked {
        let kind = change.kind();
        let founders = self.scenario.founders();
        let all = self.scenario.node_names();
        let before = self.scenario.changes[..index].iter().map(Change::kind);
        let before: Vec<String> = before.flat_map(|it| it.newcomers_by_name().to_vec()).collect();
        let names = kind.newcomers_by_name();
        for (at, name) in names.iter().enumerate() {
            let mut path = path(index, &[kind.name()]);
            match kind {
                Kind::Join(Join { zone: None, weight: None, .. }) => {}
                Kind::Join(_) => path.push("nodes".into()),
                _ => path.push("by".into()),
            }
            path.push(at.into());
            if founders.contains(name) {
                return refuse(path, format!("`{name}` is there from the beginning"));
            }
            if before.contains(name) || names[..at].contains(name) {
                return refuse(path, format!("`{name}` joins twice"));
            }
            if !all.contains(name) {
                let (first, last) = (founders.len() + 1, all.len());
                let reason = format!(
                    "nodes that join are called as those after the founders, here n{first} to \
                     n{last}, not `{name}`"
                );
                return refuse(path, reason);
            }
        }
        Ok(())
    }

    /// From when to when a node may join: its own change, or, of a node that a change gives a name that
    /// is free, any of those.
    fn joins(&self, name: &str) -> Option<(Due, Due)> {
        let is_it = |kind: &Kind<'_>| kind.newcomers_by_name().iter().any(|it| it == name);
        if self.scenario.founders().iter().any(|it| it == name) {
            return None;
        }
        if let Some((_, from, to)) = self.kinds().find(|(kind, ..)| is_it(kind)) {
            return Some((from, to));
        }
        let unnamed = |kind: &Kind<'_>| kind.newcomers() > 0 && kind.newcomers_by_name().is_empty();
        let spans = self.kinds().filter(|(kind, ..)| unnamed(kind));
        let spans: Vec<_> = spans.map(|(_, from, to)| (from, to)).collect();
        let from = spans.iter().map(|(from, _)| *from).min()?;
        Some((from, spans.iter().map(|(_, to)| *to).max()?))
    }

    /// The nodes of a change are there by then, and no other change takes them before.
    fn nodes(&self, index: usize, change: &Change) -> Checked {
        let kind = change.kind();
        let Some(chosen) = kind.chosen() else { return Ok(()) };
        let [from, to] = change.span().map(|at| (at, index));
        let in_nodes = |at: usize| {
            let mut path = path(index, &[kind.name()]);
            if matches!(kind, Kind::Weight(_) | Kind::Replace(_) | Kind::Restart(_)) {
                path.push("nodes".into());
            }
            path.push(at.into());
            path
        };
        for (at, name) in chosen.names().iter().enumerate() {
            let path = in_nodes(at);
            known_node(self.scenario, name, path.clone())?;
            if chosen.names()[..at].contains(name) {
                return refuse(path, format!("`{name}` is named twice"));
            }
            if let Some((_, joined)) = self.joins(name)
                && joined > from
            {
                let reason = format!("`{name}` may join only at {}", joined.0);
                return refuse(path, reason);
            }
            for (other, begins, _) in self.kinds().filter(|(_, (_, other), _)| *other != index) {
                let is_named = other.chosen().is_some_and(|it| it.names().contains(name));
                let ends_it = is_named && other.takes_away() && begins < to;
                let again = is_named && kind.takes_away() && other.takes_away();
                let drained = is_named && matches!((kind, other), (Kind::Drain(_), Kind::Drain(_)));
                if ends_it || again || drained {
                    let reason = format!("another change is to {} `{name}`", other.name());
                    return refuse(path, reason);
                }
            }
        }
        Ok(())
    }

    /// There are as many nodes as are to be drawn, and enough are left.
    fn counts(&self, index: usize, change: &Change) -> Checked {
        let kind = change.kind();
        let [from, to] = change.span().map(|at| (at, index));
        let at = path(index, &[kind.name()]);
        if let Kind::Replicas(_) = kind {
            return self.enough(index, from, to, at);
        }
        let Some(chosen) = kind.chosen() else { return Ok(()) };
        if let Chosen::Any(any) = chosen {
            let left = self.to_draw_from(index, from);
            if *any > left {
                let reason = format!("{any} of {left} nodes that are sure to be there then");
                return refuse(at, reason);
            }
        }
        match kind {
            Kind::Replace(_) => self.spared(chosen, at),
            Kind::Drain(_) | Kind::Remove(_) => self.enough(index, from, to, at),
            _ => Ok(()),
        }
    }

    /// How many nodes are members at the least when a change is due, without those of other changes.
    fn to_draw_from(&self, index: usize, from: Due) -> u32 {
        let come = self.kinds().filter(|(_, _, to)| *to < from).map(|(kind, ..)| kind.newcomers());
        let others = self.kinds().filter(|(_, (_, at), _)| *at != index);
        let leave = others.filter_map(|(kind, ..)| kind.chosen().map(Chosen::count));
        (self.scenario.cluster.nodes + come.sum::<u32>()).saturating_sub(leave.sum())
    }

    /// After a drain or a removal, and for more replicas, there is a node for each of as many as there may
    /// be, with only those that are sure to
    /// have joined, and without all that may have gone. Whom a replacement takes it brings back.
    fn enough(&self, index: usize, from: Due, to: Due, at: Vec<Step>) -> Checked {
        let joined = self.kinds().filter_map(|(kind, _, until)| match kind {
            Kind::Join(join) if until < from => Some(join.nodes.count()),
            _ => None,
        });
        let leaves = self.kinds().filter_map(|(kind, begins, _)| match kind {
            Kind::Drain(nodes) | Kind::Remove(nodes) if begins.1 == index || begins < to => {
                Some(nodes)
            }
            _ => None,
        });
        let there = self.scenario.cluster.nodes + joined.sum::<u32>();
        let left = there.saturating_sub(Together::count(leaves));
        let asked = self.kinds().filter_map(|(kind, begins, _)| match kind {
            Kind::Replicas(replicas) if begins.1 == index || begins < to => Some(replicas),
            _ => None,
        });
        let replicas = asked.fold(self.scenario.cluster.replicas(), u32::max);
        if left < replicas {
            let reason =
                format!("this may leave {left} nodes for {replicas} replicas of each shard");
            return refuse(at, reason);
        }
        Ok(())
    }

    /// How many nodes these are: one that is drained first and then removed counts once.
    fn count<'c>(all: impl Iterator<Item = &'c Chosen>) -> u32 {
        let mut named: BTreeSet<&str> = BTreeSet::new();
        let mut drawn = 0;
        for chosen in all {
            named.extend(chosen.names().iter().map(String::as_str));
            if let Chosen::Any(any) = chosen {
                drawn += any;
            }
        }
        named.len() as u32 + drawn
    }

    /// There is a slot for every node that is to hold some, even if all come that may have come, and only
    /// those are gone that are sure to be. Whom a replacement takes goes after the new one has come.
    fn slots(&self, index: usize, change: &Change) -> Checked {
        let kind = change.kind();
        if kind.newcomers() == 0 {
            return Ok(());
        }
        let [from, to] = change.span().map(|at| (at, index));
        let come =
            self.kinds().filter(|(_, begins, _)| *begins <= to).map(|(kind, ..)| kind.newcomers());
        let gone = self.kinds().filter(|(kind, _, until)| kind.empties() && *until < from);
        let left = Together::count(gone.filter_map(|(kind, ..)| kind.chosen()));
        let most = self.scenario.cluster.nodes + come.sum::<u32>() - left;
        let slots = self.scenario.cluster.slots;
        if most > slots {
            let reason = format!("{most} nodes may have to share {slots} slots");
            return refuse(path(index, &[kind.name()]), reason);
        }
        Ok(())
    }

    /// Every shard keeps a majority while so many are dead: few enough, or all of one zone where rows
    /// are spread over zones.
    fn spared(&self, chosen: &Chosen, at: Vec<Step>) -> Checked {
        let replicas = self.scenario.replicas().0;
        let most = replicas.saturating_sub(1) / 2;
        if chosen.count() <= most {
            return Ok(());
        }
        let mut zones: Vec<&String> = self.scenario.cluster.zones.iter().collect();
        zones.sort();
        zones.dedup();
        let mut theirs = chosen.names().iter().map(|name| self.scenario.zone_of(name));
        let first = theirs.next().flatten();
        let is_one = first.is_some() && theirs.all(|zone| zone == first);
        if is_one && most > 0 && zones.len() as u32 >= replicas {
            return Ok(());
        }
        let reason = format!(
            "with {replicas} replicas {} nodes that die for good leave some shard without its \
             majority; at most {most} at once, or nodes of one zone of as many as replicas",
            chosen.count()
        );
        refuse(at, reason)
    }

    /// A fault does not strike a node before it can be there.
    fn fault(&self, index: usize, fault: &Fault) -> Checked {
        let kinds = fault.kinds();
        let (Some(kind), latest) = (kinds.first(), fault.at.or(fault.between.map(|it| it[1])))
        else {
            return Ok(());
        };
        let at = vec!["fault".into(), index.into()];
        if fault.outlasts && !self.scenario.changes.is_empty() {
            let reason = "a change may need the node that stays away";
            return refuse([at, vec!["outlasts".into()]].concat(), reason);
        }
        let Some(target) = kind.target() else { return Ok(()) };
        let one = target.node.iter().map(|name| (name, vec!["node".into()]));
        let several = target.nodes.iter().flatten().enumerate();
        let several = several.map(|(place, name)| (name, vec!["nodes".into(), place.into()]));
        for (name, key) in one.chain(several) {
            if let Some(((joins, _), _)) = self.joins(name)
                && latest.is_some_and(|latest| latest < joins)
            {
                let path = [at.clone(), vec![kind.name().into()], key].concat();
                return refuse(path, format!("`{name}` joins at {joins} at the earliest"));
            }
        }
        Ok(())
    }
}

/// What is expected of changes goes with changes.
fn expectations(scenario: &Scenario) -> Checked {
    let expect = &scenario.expect;
    let in_expect = |key: &str| vec!["expect".into(), key.into()];
    if scenario.changes.is_empty() {
        let given = [
            ("settled_within", expect.settled_within.is_some()),
            ("moves", expect.moves.is_some()),
        ];
        return match given.into_iter().find(|(_, given)| *given) {
            Some((key, _)) => refuse(in_expect(key), format!("`{key}` goes with `[[change]]`")),
            None => Ok(()),
        };
    }
    if expect.placement.is_some() {
        let reason = "where messages are served is predicted only where nothing changes";
        return refuse(in_expect("placement"), reason);
    }
    let strikes_nodes = |fault: &Fault| fault.reconnect_storm.is_none();
    let restarts = scenario.changes.iter().any(|change| change.restart.is_some());
    if expect.moves.is_some() && (restarts || scenario.faults.iter().any(strikes_nodes)) {
        let reason = "after a fault or a restart a copy may be filled a second time; of faults only \
                      `reconnect_storm` goes with `moves`";
        return refuse(in_expect("moves"), reason);
    }
    Ok(())
}
