//! What serde cannot see: values that are well formed but impossible, or that contradict each
//! other.

mod change;
mod messages;
mod occasion;
mod selectors;

use std::time::Duration;

use paceline_core::Destination;

use super::{
    Problem, Scenario, Step,
    fault::{Extent, Fault, Kind, LostWrite, MisdirectedWrite, Partition, Target, most_rotten},
    format::{AckMode, Connect, Delay, Popularity, Protocol, Workload},
    units::TimeSpan,
};

/// The largest cluster a scenario may ask for.
const MAX_NODES: u32 = 200;
/// The most slots a scenario may ask for.
const MAX_SLOTS: u32 = 65_536;
/// The most clients, destinations and unsettled messages a workload may ask for.
const MAX_COUNT: u32 = 1_000_000;
/// The most bytes, or writes, of one journal that rot or are lost at once.
const MAX_ROT: u32 = 1_000;
/// The most connections of a flood to one node.
const MAX_FLOOD: u32 = 100_000;
/// The least time that a flapping link is up or down.
const MIN_FLAP: Duration = Duration::from_millis(1);
/// The most that a clock drifts, in millionths: a tenth.
const MAX_DRIFT_PPM: f64 = 100_000.0;
/// The largest body; the broker's default bound on a frame is larger.
const MAX_BODY: u64 = 16 << 20;

type Checked = Result<(), Problem>;

/// Builds a path from keys and indices.
macro_rules! path {
    ($($step:expr),* $(,)?) => { vec![$(Step::from($step)),*] };
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Step::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Step::Index(index)
    }
}

fn refuse(path: Vec<Step>, reason: impl Into<String>) -> Checked {
    Err(Problem { path, reason: reason.into() })
}

/// Refuses a scenario that cannot be carried out as written.
pub(super) fn validate(scenario: &Scenario) -> Checked {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if scenario.name.is_empty() || scenario.name.len() > 64 || !scenario.name.chars().all(fits) {
        let reason = "a name has 1 to 64 letters, digits, `-` and `_`: it names a directory";
        return refuse(path!["name"], reason);
    }
    if scenario.about.trim().is_empty() {
        return refuse(path!["about"], "say in a sentence what this scenario shows");
    }
    if scenario.duration.0.is_zero() {
        return refuse(path!["duration"], "the run has to last some time");
    }
    cluster(scenario)?;
    delay(&scenario.network.latency, path!["network", "latency"])?;
    delay(&scenario.disk.sync, path!["disk", "sync"])?;
    if scenario.network.loss.0 >= 1.0 {
        return refuse(path!["network", "loss"], "a network that loses everything carries nothing");
    }
    if scenario.network.bandwidth.bits == 0 {
        return refuse(path!["network", "bandwidth"], "a link without bandwidth carries nothing");
    }
    if scenario.disk.bandwidth.bits == 0 {
        return refuse(path!["disk", "bandwidth"], "a disk without bandwidth stores nothing");
    }
    let mut prefixes = Vec::new();
    for (index, it) in scenario.workloads.iter().enumerate() {
        workload(scenario, it, path!["workload", index])?;
        let prefix = it.prefix(index);
        if prefixes.contains(&prefix) {
            let reason = format!("another workload's destinations begin with `{prefix}` too");
            return refuse(path!["workload", index, "destinations", "prefix"], reason);
        }
        prefixes.push(prefix);
    }
    for (index, it) in scenario.faults.iter().enumerate() {
        fault(scenario, it, path!["fault", index])?;
    }
    change::check(scenario)
}

fn cluster(scenario: &Scenario) -> Checked {
    let cluster = &scenario.cluster;
    if !(1..=MAX_NODES).contains(&cluster.nodes) {
        let reason = format!("{} nodes; 1 to {MAX_NODES} are possible", cluster.nodes);
        return refuse(path!["cluster", "nodes"], reason);
    }
    let replicas = cluster.replicas();
    if !(1..=cluster.nodes).contains(&replicas) {
        let reason = format!("{replicas} replicas do not fit on {} nodes", cluster.nodes);
        return refuse(path!["cluster", "replicas"], reason);
    }
    if !(1..=MAX_SLOTS).contains(&cluster.slots) {
        let reason = format!("{} slots; 1 to {MAX_SLOTS} are possible", cluster.slots);
        return refuse(path!["cluster", "slots"], reason);
    }
    if !(1..=1024).contains(&cluster.cores) {
        return refuse(path!["cluster", "cores"], "a node has 1 to 1024 cores");
    }
    broker_settings(&cluster.broker, path!["cluster", "broker"])?;
    if cluster.zones.iter().any(String::is_empty) {
        return refuse(path!["cluster", "zones"], "a zone has a name");
    }
    if let Err(reason) = scenario.node_config("n1") {
        let reason = format!("the nodes would refuse their configuration: {reason}");
        return refuse(path!["cluster", "broker"], reason);
    }
    if let Err(error) = scenario.placement() {
        return refuse(path!["cluster", "strategy"], error.to_string());
    }
    Ok(())
}

/// Settings of the nodes that a scenario may change.
fn broker_settings(broker: &toml::Table, at: Vec<Step>) -> Checked {
    let is_another = |key: &&String| {
        !["replication", "storage", "stomp", "openwire", "limits", "policy"].contains(&key.as_str())
    };
    let Some(key) = broker.keys().find(is_another) else { return Ok(()) };
    let reason = format!(
        "`{key}` is set by the scenario itself; here stand `replication`, `storage`, `stomp`, \
         `openwire`, `limits` and `policy`"
    );
    refuse([at, path![key.as_str()]].concat(), reason)
}

fn delay(delay: &Delay, at: Vec<Step>) -> Checked {
    if delay.mean < delay.min {
        let reason = format!("the mean {} is below the least, {}", delay.mean, delay.min);
        return refuse(at, reason);
    }
    if delay.p99 < delay.mean {
        let reason = format!("the 99th percentile {} is below the mean {}", delay.p99, delay.mean);
        return refuse(at, reason);
    }
    Ok(())
}

fn workload(scenario: &Scenario, it: &Workload, at: Vec<Step>) -> Checked {
    let in_it = |key: &str| {
        let mut path = at.clone();
        path.push(key.into());
        path
    };
    for (key, value, least) in [
        ("producers", it.producers, 0),
        ("consumers", it.consumers, 0),
        ("prefetch", it.prefetch, u32::from(it.protocol != Protocol::OpenWire)),
        ("window", it.window, 1),
        ("transaction_size", it.transaction_size, 1),
    ] {
        if !(least..=MAX_COUNT).contains(&value) {
            let reason = format!("{value}; {least} to {MAX_COUNT} are possible");
            return refuse(in_it(key), reason);
        }
    }
    if it.producers > 0 && it.rate.per_second <= 0.0 {
        return refuse(in_it("rate"), "producers need a rate above 0");
    }
    if it.producers > 0 && it.consumers == 0 {
        let reason = "without consumers nothing drains; give at least 1";
        return refuse(in_it("consumers"), reason);
    }
    let mut destinations = in_it("destinations");
    if !(1..=MAX_COUNT).contains(&it.destinations.count) {
        destinations.push("count".into());
        return refuse(destinations, format!("1 to {MAX_COUNT} destinations are possible"));
    }
    if let Some(prefix) = &it.destinations.prefix {
        destinations.push("prefix".into());
        if prefix.contains(['*', '>']) || prefix.starts_with("DLQ.") {
            return refuse(
                destinations,
                "a prefix holds no wildcard and is not a dead-letter name",
            );
        }
        if let Err(error) = Destination::queue(prefix) {
            return refuse(destinations, error.to_string());
        }
    }
    if let Popularity::Zipf(power) = it.destinations.popularity
        && !(0.0..=10.0).contains(&power)
    {
        let mut destinations = in_it("destinations");
        destinations.push("popularity".into());
        return refuse(destinations, format!("a power of {power}; 0 to 10 are possible"));
    }
    match (it.body.mean, it.body.exactly) {
        (Some(size), None) | (None, Some(size)) if (1..=MAX_BODY).contains(&size.bytes) => {}
        (Some(size), None) | (None, Some(size)) => {
            return refuse(in_it("body"), format!("{size}; 1B to 16MiB are possible"));
        }
        _ => return refuse(in_it("body"), "write either `mean` or `exactly`"),
    }
    if it.ack == AckMode::Auto && it.protocol != Protocol::Stomp {
        return refuse(in_it("ack"), "OpenWire clients acknowledge all that they get");
    }
    if it.nack.0 > 0.0 && it.ack != AckMode::ClientIndividual {
        let reason = "a NACK refuses one message: it needs `ack = \"client-individual\"`";
        return refuse(in_it("nack"), reason);
    }
    let unsettled =
        [("nack", it.nack), ("drop", it.drop), ("leave", it.leave), ("vanish", it.vanish)];
    if unsettled.iter().map(|(_, share)| share.0).sum::<f64>() > 0.9 {
        let key = unsettled.into_iter().find(|(_, share)| share.0 > 0.0);
        let (key, _) = key.expect("one is above 0");
        let reason = "`nack`, `drop`, `leave` and `vanish` together leave less than a tenth to be \
                      settled";
        return refuse(in_it(key), reason);
    }
    if it.ack_transactions.0 > 0.0 && it.ack == AckMode::Auto {
        let reason = "with `ack = \"auto\"` nothing is acknowledged, in transactions or otherwise";
        return refuse(in_it("ack_transactions"), reason);
    }
    if it.ack_receipts.0 < 1.0 && it.ack == AckMode::Auto {
        let reason = "with `ack = \"auto\"` nothing is acknowledged that a receipt could be for";
        return refuse(in_it("ack_receipts"), reason);
    }
    selectors::check(it, in_it)?;
    messages::check(it, in_it)?;
    if let Connect::Nodes(nodes) = &it.connect {
        if nodes.is_empty() {
            return refuse(in_it("connect"), "name at least one node");
        }
        for (index, name) in nodes.iter().enumerate() {
            let mut path = in_it("connect");
            path.push(index.into());
            known_node(scenario, name, path)?;
        }
        if !scenario.founders().iter().any(|founder| nodes.contains(founder)) {
            let reason = "name a node that is there from the beginning, too";
            return refuse(in_it("connect"), reason);
        }
    }
    Ok(())
}

fn known_node(scenario: &Scenario, name: &str, at: Vec<Step>) -> Checked {
    if scenario.node_names().iter().any(|known| known == name) {
        return Ok(());
    }
    refuse(at, format!("there is no node `{name}`; they are n1 to n{}", scenario.node_count()))
}

fn fault(scenario: &Scenario, it: &Fault, at: Vec<Step>) -> Checked {
    let in_it = |key: &str| {
        let mut path = at.clone();
        path.push(key.into());
        path
    };
    let kinds = it.kinds();
    let [kind] = kinds.as_slice() else {
        let names: Vec<_> = kinds.iter().map(Kind::name).collect();
        return match names.as_slice() {
            [] => refuse(at, "this fault names no kind, such as `crash` or `partition`"),
            [_, second, ..] => {
                refuse(in_it(second), format!("one fault, two kinds: {}", names.join(" and ")))
            }
            [_] => unreachable!("exactly one kind was matched above"),
        };
    };

    if it.outlasts {
        outlasting(scenario, it, kind, &at)?;
        when(scenario, it, TimeSpan::default(), &at)?;
        targets(scenario, &kind.target().expect("these kinds name nodes"), in_it(kind.name()))?;
        return kind_details(kind, in_it(kind.name()));
    }
    let length = match (kind.has_length(), it.lasts) {
        (true, None) => return refuse(at, format!("`{}` needs `lasts`", kind.name())),
        (false, Some(_)) => {
            let reason = match kind {
                _ if kind.is_at_once() => {
                    format!("`{}` happens at once; it has no `lasts`", kind.name())
                }
                _ => format!("`{}` has `back_after` in place of `lasts`", kind.name()),
            };
            return refuse(in_it("lasts"), reason);
        }
        (true, Some(lasts)) => lasts.most(),
        (false, None) => {
            kind.back_after().flatten().map_or(TimeSpan::default(), |back| back.most())
        }
    };
    when(scenario, it, length, &at)?;
    occasion::check(scenario, it, &at)?;

    if let Kind::Partition(it) = kind {
        return partition(scenario, it, in_it("partition"));
    }
    let target = kind.target().expect("every kind but a partition names nodes");
    targets(scenario, &target, in_it(kind.name()))?;
    if kind.damages_the_journal() {
        damage(scenario, kind, in_it(kind.name()))?;
    }
    kind_details(kind, in_it(kind.name()))
}

/// A fault that goes on while the rest drains: no end is named, and all of them together leave every
/// shard its majority.
fn outlasting(scenario: &Scenario, it: &Fault, kind: &Kind<'_>, at: &[Step]) -> Checked {
    let in_it = |key: &str| [at, &[key.into()]].concat();
    if !kind.can_outlast() {
        let reason = format!("`{}` ends with the other faults", kind.name());
        return refuse(in_it("outlasts"), reason);
    }
    for (key, is_named) in [
        ("every", it.every.is_some()),
        ("lasts", it.lasts.is_some()),
        (kind.name(), kind.back_after().flatten().is_some()),
    ] {
        if is_named {
            let reason = "what outlasts the other faults comes once, and ends when all is drained";
            return refuse(in_it(key), reason);
        }
    }
    let (nodes, replicas) = (scenario.cluster.nodes, scenario.cluster.replicas());
    let outlasting = scenario.faults.iter().filter(|fault| fault.outlasts);
    let away: u32 =
        outlasting.filter_map(|fault| Some(count(&fault.kinds().first()?.target()?, nodes))).sum();
    if away > most_rotten(replicas) || replicas == 2 {
        let reason = format!(
            "with {replicas} replicas {away} nodes that stay away leave some shard without the \
             majority that could drain it"
        );
        return refuse(in_it("outlasts"), reason);
    }
    Ok(())
}

/// `at` or `between`, and over before the run is.
fn when(scenario: &Scenario, it: &Fault, length: TimeSpan, at: &[Step]) -> Checked {
    let in_it = |key: &str| {
        let mut path = at.to_vec();
        path.push(key.into());
        path
    };
    let (key, latest) = match (it.at, it.between) {
        (Some(_), Some(_)) => {
            return refuse(in_it("between"), "either `at` or `between`, not both");
        }
        (None, None) if it.on.is_some() => {
            return refuse(in_it("on"), "`on` goes with `between`: from when until when?");
        }
        (None, None) => return refuse(at.to_vec(), "when? write `at` or `between`"),
        (Some(start), None) => {
            if it.every.is_some() {
                return refuse(in_it("every"), "`every` goes with `between`");
            }
            ("at", start)
        }
        (None, Some([from, to])) => {
            if from >= to {
                return refuse(in_it("between"), format!("{from} is not before {to}"));
            }
            if let Some(every) = it.every
                && (every.0 < Duration::from_millis(1) || every.0 > to.0 - from.0)
            {
                let reason = format!("every {every} does not fit between {from} and {to}");
                return refuse(in_it("every"), reason);
            }
            ("between", to)
        }
    };
    let after = it.after.map_or(TimeSpan::default(), |after| after.most());
    let end = TimeSpan(latest.0 + after.0 + length.0);
    if end > scenario.duration {
        let reason =
            format!("this may go on until {end}, but the run ends at {}", scenario.duration);
        return refuse(in_it(key), reason);
    }
    Ok(())
}

/// Groups, or nodes against all the others.
fn partition(scenario: &Scenario, partition: &Partition, at: Vec<Step>) -> Checked {
    let Partition::Long(long) = partition else {
        return groups(scenario, partition.groups().expect("it is groups"), at);
    };
    let mut in_groups = at.clone();
    in_groups.push("groups".into());
    let target = long.target();
    let nodes = scenario.node_count();
    match (&long.groups, count(&target, nodes)) {
        (Some(it), 0) => groups(scenario, it, in_groups),
        (Some(_), _) => refuse(in_groups, "either groups or nodes against all the others"),
        (None, _) => {
            targets(scenario, &target, at.clone())?;
            if count(&target, nodes) == nodes {
                return refuse(at, format!("{target}, of {nodes}, leave no two sides"));
            }
            Ok(())
        }
    }
}

fn groups(scenario: &Scenario, groups: &[Vec<String>], mut prefix: Vec<Step>) -> Checked {
    if groups.len() < 2 || groups.iter().any(Vec::is_empty) {
        return refuse(prefix, "a partition has at least two groups, none of them empty");
    }
    let mut seen = Vec::new();
    for (g, group) in groups.iter().enumerate() {
        for (h, host) in group.iter().enumerate() {
            prefix.extend([g.into(), h.into()]);
            if seen.contains(&host) {
                return refuse(prefix, format!("`{host}` stands in the partition twice"));
            }
            if host != "clients" {
                known_node(scenario, host, prefix.clone())?;
            }
            seen.push(host);
            prefix.truncate(prefix.len() - 2);
        }
    }
    Ok(())
}

/// How many of so many nodes a target names.
fn count(target: &Target<'_>, nodes: u32) -> u32 {
    match *target {
        Target { all: true, .. } => nodes,
        Target { any: Some(count), .. } | Target { leaders: Some(count), .. } => count,
        Target { nodes: Some(names), .. } => names.len() as u32,
        Target { node: Some(_), .. }
        | Target { leader_of: Some(_), .. }
        | Target { emitter: true, .. } => 1,
        _ => 0,
    }
}

fn targets(scenario: &Scenario, target: &Target<'_>, at: Vec<Step>) -> Checked {
    let ways = [
        target.node.is_some(),
        target.nodes.is_some(),
        target.any.is_some(),
        target.all,
        target.leader_of.is_some(),
        target.leaders.is_some(),
        target.emitter,
    ];
    if ways.into_iter().filter(|given| *given).count() != 1 {
        let reason = "name the nodes by exactly one of `node`, `nodes`, `any`, `all = true`, \
                      `leader_of`, `leaders` and `emitter = true`";
        return refuse(at, reason);
    }
    let mut path = at;
    if let Some(name) = target.node {
        path.push("node".into());
        return known_node(scenario, name, path);
    }
    if let Some(names) = target.nodes {
        path.push("nodes".into());
        if names.is_empty() {
            return refuse(path, "name at least one node");
        }
        for (index, name) in names.iter().enumerate() {
            path.push(index.into());
            if names[..index].contains(name) {
                return refuse(path, format!("`{name}` is named twice"));
            }
            known_node(scenario, name, path.clone())?;
            path.pop();
        }
    }
    for (key, count) in [("any", target.any), ("leaders", target.leaders)] {
        if let Some(count) = count
            && !(1..=scenario.node_count()).contains(&count)
        {
            path.push(key.into());
            return refuse(path, format!("{count} of {} nodes", scenario.node_count()));
        }
    }
    if let Some(slot) = target.leader_of
        && slot >= scenario.cluster.slots
    {
        path.push("leader_of".into());
        let last = scenario.cluster.slots - 1;
        return refuse(path, format!("there is no slot {slot}; they are 0 to {last}"));
    }
    Ok(())
}

/// What is damaged can be repaired from the others.
fn damage(scenario: &Scenario, kind: &Kind<'_>, at: Vec<Step>) -> Checked {
    let target = kind.target().expect("it names nodes");
    let nodes = count(&target, scenario.node_count());
    let (replicas, most) = (scenario.replicas().0, scenario.most_rotten());
    if nodes > most {
        let reason = format!(
            "with {replicas} replicas at most {most} nodes may lose records at once: the others \
             could not repair them"
        );
        return refuse(at, reason);
    }
    Ok(())
}

fn kind_details(kind: &Kind<'_>, at: Vec<Step>) -> Checked {
    let needs = |key: &str| refuse(at.clone(), format!("`{}` needs `{key}`", kind.name()));
    let in_it = |key: &str| {
        let mut path = at.clone();
        path.push(key.into());
        path
    };
    match kind {
        Kind::SlowLink(fault) => match (&fault.latency, fault.bandwidth) {
            (None, None) => needs("latency` or `bandwidth"),
            (_, Some(bandwidth)) if bandwidth.bits == 0 => {
                refuse(in_it("bandwidth"), "a link without bandwidth carries nothing: `partition`")
            }
            (Some(latency), _) => delay(latency, in_it("latency")),
            _ => Ok(()),
        },
        Kind::LossyLink(fault) => match fault.loss {
            None => needs("loss"),
            Some(loss) if loss.0 == 0.0 || loss.0 > 0.9 => {
                refuse(in_it("loss"), "a share above 0 and up to 0.9; for all, use `partition`")
            }
            Some(_) => Ok(()),
        },
        Kind::SlowDisk(fault) => match fault.times {
            None => needs("times"),
            Some(times) if !(1.0..=1e6).contains(&times) || times == 1.0 => {
                refuse(in_it("times"), "a slow disk takes more than 1 times as long, up to 1e6")
            }
            Some(_) => Ok(()),
        },
        Kind::FailingDisk(fault) if fault.share.is_some_and(|share| share.0 == 0.0) => {
            refuse(in_it("share"), "a share of 0 is no fault")
        }
        Kind::ClockJump(fault) => match fault.by {
            None => needs("by"),
            Some(by) if by.nanos == 0 => refuse(in_it("by"), "a jump of 0 is no fault"),
            Some(_) => Ok(()),
        },
        Kind::BitRot(fault) if fault.bytes.is_some_and(|bytes| !(1..=MAX_ROT).contains(&bytes)) => {
            refuse(in_it("bytes"), format!("1 to {MAX_ROT} bytes are possible"))
        }
        Kind::LostWrite(LostWrite { writes: Some(writes), .. })
        | Kind::MisdirectedWrite(MisdirectedWrite { writes: Some(writes), .. })
            if !(1..=MAX_ROT).contains(writes) =>
        {
            refuse(in_it("writes"), format!("1 to {MAX_ROT} writes are possible"))
        }
        Kind::Flap(fault) => {
            for (key, span) in [("down", fault.down), ("up", fault.up)] {
                match span {
                    None => return needs(key),
                    Some(span) if span.0 < MIN_FLAP => {
                        return refuse(in_it(key), "a link is down or up for at least 1ms");
                    }
                    Some(_) => {}
                }
            }
            Ok(())
        }
        Kind::Flood(fault)
            if fault.connections.is_some_and(|it| !(1..=MAX_FLOOD).contains(&it)) =>
        {
            refuse(in_it("connections"), format!("1 to {MAX_FLOOD} connections are possible"))
        }
        Kind::ClockDrift(fault) => match fault.ppm {
            None => needs("ppm"),
            Some(ppm) if ppm == 0.0 || !(-MAX_DRIFT_PPM..=MAX_DRIFT_PPM).contains(&ppm) => {
                let reason = "a clock drifts by up to 100000 millionths either way, and not by 0";
                refuse(in_it("ppm"), reason)
            }
            Some(_) => Ok(()),
        },
        _ => match kind.back_after().flatten() {
            Some(Extent::Fixed(span) | Extent::Drawn(span, _)) if span.0.is_zero() => {
                refuse(in_it("back_after"), "a process needs some time to come back")
            }
            _ => Ok(()),
        },
    }
}
