//! What holds at a moment: the links, disks and clocks that all active faults make together.

use std::collections::BTreeMap;

use paceline_scenario::fault::{Kind, LossyLink, Partition, SlowLink};

use super::{
    super::{
        here::{DiskFault, LinkConfig, NodeId, PartitionId},
        latency, link,
    },
    Injector, kind,
};

impl Injector<'_> {
    /// Gives the clocks of some nodes what the active faults make of them together.
    pub(super) fn set_drifts(&self, targets: &[usize]) {
        for &node in targets {
            let ppm = self.active.iter().filter_map(|&number| match kind(&self.faults[number]) {
                Kind::ClockDrift(drift) if self.targets(number).contains(&node) => drift.ppm,
                _ => None,
            });
            self.world.set_clock_drift(self.nodes[node], ppm.sum());
        }
    }

    pub(super) fn cut(&self, partition: &Partition) -> Vec<PartitionId> {
        let groups: Vec<Vec<NodeId>> = partition
            .groups()
            .expect("decided: a partition names its groups")
            .iter()
            .map(|group| group.iter().flat_map(|name| self.hosts_of(name)).collect())
            .collect();
        let mut cuts = Vec::new();
        if partition.one_way() {
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
            "clients" => self.hosts.clone(),
            name => vec![self.nodes[self.node_number(name)]],
        }
    }

    /// Gives every link what the active faults make of it.
    pub(super) fn set_links(&self) {
        let everybody: Vec<NodeId> = self.nodes.iter().chain(&self.hosts).copied().collect();
        let mut changed: BTreeMap<(NodeId, NodeId), LinkConfig> = BTreeMap::new();
        for &number in &self.active {
            let kind = kind(&self.faults[number]);
            if !matches!(kind, Kind::SlowLink(_) | Kind::LossyLink(_)) {
                continue;
            }
            for target in self.targets(number) {
                let node = self.nodes[target];
                let one_way = match kind {
                    Kind::SlowLink(SlowLink { one_way, .. }) => one_way == &Some(true),
                    Kind::LossyLink(LossyLink { one_way, .. }) => one_way == &Some(true),
                    _ => false,
                };
                for &other in everybody.iter().filter(|other| **other != node) {
                    let ways = [(node, other), (other, node)];
                    for &way in &ways[..if one_way { 1 } else { 2 }] {
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
        for &node in &self.nodes {
            for &other in everybody.iter().filter(|other| **other != node) {
                for (from, to) in [(node, other), (other, node)] {
                    self.world.set_link(from, to, changed.get(&(from, to)).cloned());
                }
            }
        }
    }

    /// Gives every disk what the active faults make of it.
    pub(super) fn set_disks(&self) {
        let mut faults = vec![DiskFault::default(); self.nodes.len()];
        for &number in &self.active {
            let kind = kind(&self.faults[number]);
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
