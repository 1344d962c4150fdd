//! Carries out the faults of an expanded scenario, each at its time, and ends each at its time.
//!
//! Faults of one kind may overlap on a node (two slow disks, say). What holds at a moment is made
//! anew from all that are active then, so that the end of one does not end another.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use paceline_reports::result::FaultMark;
use paceline_runtime::world::{DiskFault, LinkConfig, NodeId, PartitionId, World};

use rand::{Rng, RngExt};

use super::{latency, link, supervisor::Supervisor};
use crate::scenario::{
    Scenario,
    expand::stream,
    fault::{self, BitRot, Extent, Fault, Kind, Partition},
};

/// Something that is to be done at its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    End(usize),
    Begin(usize),
}

/// See the module.
pub struct Injector<'a> {
    world: World,
    scenario: &'a Scenario,
    nodes: &'a [NodeId],
    hosts: &'a [NodeId],
    /// What is still to be done, by time.
    agenda: BTreeSet<(Duration, Change)>,
    /// Faults that hold now.
    active: BTreeSet<usize>,
    partitions: BTreeMap<usize, Vec<PartitionId>>,
    /// When each fault began and ended.
    spans: BTreeMap<usize, (Duration, Option<Duration>)>,
    /// Bit rot that did not happen, and the nodes that had not got back their records.
    left_out: BTreeMap<usize, Vec<String>>,
}

impl<'a> Injector<'a> {
    /// An injector of the faults of an expanded scenario.
    pub fn new(
        world: World,
        scenario: &'a Scenario,
        nodes: &'a [NodeId],
        hosts: &'a [NodeId],
    ) -> Self {
        let mut agenda = BTreeSet::new();
        for (number, fault) in scenario.faults.iter().enumerate() {
            let at = fault.at.expect("expanded: every fault has its time").0;
            agenda.insert((at, Change::Begin(number)));
            if let Some(length) = length(fault) {
                agenda.insert((at + length, Change::End(number)));
            }
        }
        Self {
            world,
            scenario,
            nodes,
            hosts,
            agenda,
            active: BTreeSet::new(),
            partitions: BTreeMap::new(),
            spans: BTreeMap::new(),
            left_out: BTreeMap::new(),
        }
    }

    /// When something is to be done next, since the workload began.
    pub fn next(&self) -> Option<Duration> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// Does what is due.
    pub fn advance(&mut self, now: Duration, supervisor: &mut Supervisor) {
        while let Some((at, change)) = self.agenda.first().copied().filter(|(at, _)| *at <= now) {
            self.agenda.pop_first();
            match change {
                Change::Begin(number) => self.begin(number, at, supervisor),
                Change::End(number) => self.end(number, at, supervisor),
            }
        }
    }

    /// Ends everything that has not ended by itself.
    pub fn heal(&mut self, supervisor: &mut Supervisor) {
        let last = self.scenario.duration.0;
        self.agenda.clear();
        for number in self.active.clone() {
            self.end(number, last, supervisor);
        }
        self.world.heal_all();
    }

    /// What was done, for the report.
    pub fn marks(&self, end: Duration) -> Vec<FaultMark> {
        self.spans
            .iter()
            .map(|(&number, &(began, ended))| {
                let fault = &self.scenario.faults[number];
                let at_s = began.as_secs_f64();
                let left_out = self.left_out.get(&number);
                let lasts = !matches!(self.kind(number), Kind::ClockJump(_)) && left_out.is_none();
                let note = left_out.map_or_else(String::new, |wounded| {
                    format!(" (left out: {} not repaired)", wounded.join(" "))
                });
                FaultMark {
                    at_s,
                    until_s: lasts.then(|| ended.unwrap_or(end).as_secs_f64().max(at_s)),
                    label: fault::label(fault) + &note,
                    nodes: fault::nodes(fault),
                }
            })
            .collect()
    }

    fn kind(&self, number: usize) -> Kind<'a> {
        self.scenario.faults[number].kinds()[0]
    }

    fn targets(&self, number: usize) -> Vec<usize> {
        let names = fault::nodes(&self.scenario.faults[number]);
        names.iter().map(|name| self.node_number(name)).collect()
    }

    fn node_number(&self, name: &str) -> usize {
        let number: usize = name[1..].parse().expect("validated: the node exists");
        number - 1
    }

    fn begin(&mut self, number: usize, at: Duration, supervisor: &mut Supervisor) {
        self.spans.insert(number, (at, None));
        self.active.insert(number);
        let targets = self.targets(number);
        match self.kind(number) {
            Kind::Partition(partition) => {
                let cuts = self.cut(partition);
                self.partitions.insert(number, cuts);
            }
            Kind::Crash(_) => targets.iter().for_each(|&node| supervisor.crash(node)),
            Kind::PowerCut(_) => targets.iter().for_each(|&node| supervisor.power_cut(node)),
            Kind::BitRot(rot) => self.rot(number, rot, &targets, supervisor),
            Kind::Pause(_) => targets.iter().for_each(|&node| self.world.pause(self.nodes[node])),
            Kind::ClockJump(jump) => {
                let millis = jump.by.expect("validated: it says how far").nanos / 1_000_000;
                for node in targets {
                    self.world.jump_clock(self.nodes[node], millis);
                }
                self.active.remove(&number);
            }
            Kind::SlowLink(_) | Kind::LossyLink(_) => self.set_links(),
            Kind::SlowDisk(_) | Kind::FullDisk(_) | Kind::FailingDisk(_) => self.set_disks(),
        }
    }

    fn end(&mut self, number: usize, at: Duration, supervisor: &mut Supervisor) {
        if !self.active.remove(&number) {
            return;
        }
        if let Some((_, ended)) = self.spans.get_mut(&number) {
            *ended = Some(at);
        }
        let targets = self.targets(number);
        match self.kind(number) {
            Kind::Partition(_) => {
                for cut in self.partitions.remove(&number).into_iter().flatten() {
                    self.world.heal(cut);
                }
            }
            Kind::Crash(_) | Kind::PowerCut(_) | Kind::BitRot(_) => {
                targets.iter().for_each(|&node| supervisor.release(node));
            }
            Kind::Pause(_) => targets.iter().for_each(|&node| self.world.resume(self.nodes[node])),
            Kind::ClockJump(_) => {}
            Kind::SlowLink(_) | Kind::LossyLink(_) => self.set_links(),
            Kind::SlowDisk(_) | Kind::FullDisk(_) | Kind::FailingDisk(_) => self.set_disks(),
        }
    }

    /// Kills the processes and changes bytes of their journals, unless too many nodes have lost
    /// records then, or one of these for a second time.
    fn rot(&mut self, number: usize, rot: &BitRot, targets: &[usize], supervisor: &mut Supervisor) {
        let wounded = supervisor.wounded();
        let most = fault::most_rotten(self.scenario.cluster.replicas()) as usize;
        if wounded.len() + targets.len() > most {
            let names = wounded.iter().map(|node| format!("n{}", node + 1)).collect();
            self.left_out.insert(number, names);
            self.active.remove(&number);
            return;
        }
        for &node in targets {
            supervisor.crash(node);
            supervisor.rotted(node);
            let mut random = stream(self.scenario.seed, &format!("rot {number} of node {node}"));
            for _ in 0..rot.bytes.unwrap_or(1) {
                self.rot_byte(node, &mut random);
            }
        }
    }

    /// Turns over a bit of the node's journal, any of them with the same chance.
    fn rot_byte(&self, node: usize, random: &mut impl Rng) {
        let config = self.scenario.node_config(&self.scenario.node_names()[node]);
        let journal = config.expect("validated: the node accepts it").node.data_dir.join("journal");
        let files = self.world.files(self.nodes[node], journal);
        let is_segment =
            |(path, _): &(PathBuf, u64)| path.extension().is_some_and(|it| it == "segment");
        let segments: Vec<(PathBuf, u64)> = files.into_iter().filter(is_segment).collect();
        let bytes: u64 = segments.iter().map(|(_, length)| length).sum();
        if bytes == 0 {
            return;
        }
        let mut at = random.random_range(0..bytes);
        let mask = 1 << random.random_range(0..8);
        for (path, length) in segments {
            if at < length {
                assert!(self.world.damage_file(self.nodes[node], path, at, mask), "it is there");
                return;
            }
            at -= length;
        }
    }

    fn cut(&self, partition: &Partition) -> Vec<PartitionId> {
        let (groups, one_way) = match partition {
            Partition::Groups(groups) => (Some(groups), false),
            Partition::Drawn(drawn) => (drawn.groups.as_ref(), drawn.one_way),
        };
        let groups: Vec<Vec<NodeId>> = groups
            .expect("expanded: a partition names its groups")
            .iter()
            .map(|group| group.iter().flat_map(|name| self.hosts_of(name)).collect())
            .collect();
        let mut cuts = Vec::new();
        if one_way {
            for others in &groups[1..] {
                cuts.push(self.world.block(&groups[0], others));
            }
            return cuts;
        }
        for (number, group) in groups.iter().enumerate() {
            for others in &groups[number + 1..] {
                cuts.extend(self.world.partition(group, others));
            }
        }
        cuts
    }

    fn hosts_of(&self, name: &str) -> Vec<NodeId> {
        match name {
            "clients" => self.hosts.to_vec(),
            name => vec![self.nodes[self.node_number(name)]],
        }
    }

    /// Gives every link what the active faults make of it.
    fn set_links(&self) {
        let everybody: Vec<NodeId> = self.nodes.iter().chain(self.hosts).copied().collect();
        let mut changed: BTreeMap<(NodeId, NodeId), LinkConfig> = BTreeMap::new();
        for &number in &self.active {
            let kind = self.kind(number);
            if !matches!(kind, Kind::SlowLink(_) | Kind::LossyLink(_)) {
                continue;
            }
            for target in self.targets(number) {
                let node = self.nodes[target];
                for &other in everybody.iter().filter(|other| **other != node) {
                    for way in [(node, other), (other, node)] {
                        let config = changed.entry(way).or_insert_with(|| link(self.scenario));
                        match kind {
                            Kind::SlowLink(slow) => {
                                if let Some(delay) = &slow.latency {
                                    config.latency = latency(delay);
                                }
                                if let Some(bandwidth) = slow.bandwidth {
                                    config.bandwidth = Some((bandwidth.bits / 8).max(1));
                                }
                            }
                            Kind::LossyLink(lossy) => {
                                config.loss = lossy.loss.expect("validated: it says how much").0;
                            }
                            _ => unreachable!("other kinds were left out above"),
                        }
                    }
                }
            }
        }
        for &node in self.nodes {
            for &other in everybody.iter().filter(|other| **other != node) {
                for (from, to) in [(node, other), (other, node)] {
                    self.world.set_link(from, to, changed.get(&(from, to)).cloned());
                }
            }
        }
    }

    /// Gives every disk what the active faults make of it.
    fn set_disks(&self) {
        let mut faults = vec![DiskFault::default(); self.nodes.len()];
        for &number in &self.active {
            let kind = self.kind(number);
            for node in self.targets(number) {
                let fault = &mut faults[node];
                match kind {
                    Kind::SlowDisk(slow) => {
                        fault.slowness = slow.times.expect("validated: it says how much");
                    }
                    Kind::FullDisk(_) => fault.full = true,
                    Kind::FailingDisk(failing) => {
                        let share = failing.share.map_or(1.0, |share| share.0);
                        fault.failing_syncs = share;
                        fault.failing_writes = share;
                        fault.failing_reads = share;
                    }
                    _ => {}
                }
            }
        }
        for (&node, fault) in self.nodes.iter().zip(faults) {
            self.world.set_disk_fault(node, fault);
        }
    }
}

/// How long a fault lasts; `None` until everything heals.
fn length(fault: &Fault) -> Option<Duration> {
    let kinds = fault.kinds();
    let kind = kinds.first().expect("validated: a fault has a kind");
    match fault.lasts.or_else(|| kind.back_after().flatten()) {
        Some(Extent::Fixed(span)) => Some(span.0),
        _ => None,
    }
}
