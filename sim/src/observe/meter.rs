//! What each node bore, second by second.
//!
//! Messages count for the node that leads their shard: it orders, stores and hands them out. The
//! bytes and the cpu come from the world, which knows what went through each node's interfaces.

use paceline_reports::result::{NodeLoad, NodeSeries};
use paceline_scenario::Scenario;

use crate::{
    check::{
        Led,
        step::{NodeId, Step, What},
    },
    workload::ids::{DestinationId, DestinationInfo},
};

/// What the world counts for each node, since the world began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Bytes received from the network.
    pub bytes_in: u64,
    /// Bytes sent to the network.
    pub bytes_out: u64,
    /// Cpu time used, in seconds, over all cores.
    pub cpu_s: f64,
}

/// See the module.
#[derive(Debug)]
pub struct Meter {
    cores: f64,
    /// The shard of each destination.
    shards: Vec<usize>,
    /// The nodes of each shard, the preferred leader first.
    rows: Vec<Vec<NodeId>>,
    /// Share of the messages that the placement predicts for each node, where it stays as it is.
    predicted: Option<Vec<f64>>,
    /// Who leads each shard.
    leaders: Vec<Option<NodeId>>,
    /// Messages in each shard.
    depths: Vec<i64>,
    now: Vec<Led>,
    usage: Vec<Usage>,
    series: Vec<NodeSeries>,
    totals: Vec<Led>,
    cpu_s: Vec<f64>,
    /// For each shard: dispatches by the first node of its row, by another of the row, by any other
    /// node.
    placed: Vec<[u64; 3]>,
}

impl Meter {
    /// A meter at zero.
    pub fn new(scenario: &Scenario, destinations: &[DestinationInfo]) -> Self {
        let prediction = scenario.prediction();
        let nodes = scenario.node_count() as usize;
        let slots = scenario.cluster.slots as usize;
        let rows: Vec<Vec<NodeId>> = (0..slots as u32)
            .map(|slot| prediction.row(paceline_placement::SlotId(slot)))
            .collect();
        let shards: Vec<usize> =
            destinations.iter().map(|it| prediction.slot(&it.name).0 as usize).collect();
        let mut predicted = vec![0.0; nodes];
        let total: f64 = destinations.iter().map(|it| it.share).sum();
        for (destination, &shard) in destinations.iter().zip(&shards) {
            predicted[rows[shard][0] as usize] += destination.share / total;
        }
        Self {
            cores: f64::from(scenario.cluster.cores),
            shards,
            predicted: scenario.changes.is_empty().then_some(predicted),
            leaders: vec![None; slots],
            depths: vec![0; slots],
            rows,
            now: vec![Led::default(); nodes],
            usage: vec![Usage::default(); nodes],
            series: vec![NodeSeries::default(); nodes],
            totals: vec![Led::default(); nodes],
            cpu_s: vec![0.0; nodes],
            placed: vec![[0; 3]; slots],
        }
    }

    /// A publish to this destination was acknowledged.
    pub fn published(&mut self, destination: DestinationId) {
        let shard = self.shards[destination.0 as usize];
        self.depths[shard] += 1;
        if let Some(leader) = self.leaders[shard] {
            self.now[leader as usize].messages_in += 1;
        }
    }

    /// A message of this destination has come to a consumer: in place of the word of who handed it out,
    /// where that is not heard.
    pub fn delivered(&mut self, destination: DestinationId) {
        let shard = self.shards[destination.0 as usize];
        if let Some(leader) = self.leaders[shard] {
            self.now[leader as usize].messages_out += 1;
        }
    }

    /// Who leads each shard, and how many messages it holds, as the nodes were asked: in place of their
    /// events, where those are not heard.
    pub fn look(&mut self, standing: &[Option<(NodeId, u64)>]) {
        for (shard, standing) in standing.iter().enumerate() {
            self.leaders[shard] = standing.map(|(leader, _)| leader);
            if let Some((_, depth)) = standing {
                self.depths[shard] = *depth as i64;
            }
        }
    }

    /// Takes in what a node did.
    pub fn step(&mut self, step: &Step) {
        match step.what {
            What::ServeBegin { shard, .. } => {
                if let Some(leader) = self.leaders.get_mut(shard as usize) {
                    *leader = Some(step.node);
                }
            }
            What::ServeEnd { shard, .. } => {
                if let Some(leader) = self.leaders.get_mut(shard as usize)
                    && *leader == Some(step.node)
                {
                    *leader = None;
                }
            }
            What::Dispatch { shard, .. } => {
                self.now[step.node as usize].messages_out += 1;
                let row = self.rows.get(shard as usize).map_or(&[][..], Vec::as_slice);
                let place = match row.iter().position(|&node| node == step.node) {
                    Some(0) => 0,
                    Some(_) => 1,
                    None => 2,
                };
                if let Some(placed) = self.placed.get_mut(shard as usize) {
                    placed[place] += 1;
                }
            }
            What::Settle { shard, .. } => {
                if let Some(depth) = self.depths.get_mut(shard as usize) {
                    *depth -= 1;
                }
            }
            _ => {}
        }
    }

    /// The node's process is gone: it leads nothing.
    pub fn died(&mut self, node: NodeId) {
        for leader in &mut self.leaders {
            if *leader == Some(node) {
                *leader = None;
            }
        }
    }

    /// Who leads each shard: the node that began to serve it last, until it says that it no longer
    /// does or its process is gone.
    pub fn leaders(&self) -> &[Option<NodeId>] {
        &self.leaders
    }

    /// Whether every shard has a leader that serves.
    pub fn all_led(&self) -> bool {
        self.leaders.iter().all(Option::is_some)
    }

    /// The workload begins: what was used before does not count.
    pub fn begin(&mut self, usage: &[Usage]) {
        self.usage.copy_from_slice(usage);
    }

    /// A second has passed.
    pub fn sample(&mut self, usage: &[Usage]) {
        for (node, &after) in usage.iter().enumerate().take(self.series.len()) {
            let led = std::mem::take(&mut self.now[node]);
            let before = self.usage[node];
            let depth: i64 = self
                .leaders
                .iter()
                .zip(&self.depths)
                .filter(|(leader, _)| **leader == Some(node as NodeId))
                .map(|(_, depth)| (*depth).max(0))
                .sum();
            let cpu_s = (after.cpu_s - before.cpu_s).max(0.0);
            let series = &mut self.series[node];
            series.messages_in.push(led.messages_in as f64);
            series.messages_out.push(led.messages_out as f64);
            series.bytes_in.push(after.bytes_in.saturating_sub(before.bytes_in) as f64);
            series.bytes_out.push(after.bytes_out.saturating_sub(before.bytes_out) as f64);
            series.queue_depth.push(depth as f64);
            series.cpu_busy.push((cpu_s / self.cores).min(1.0));
            self.totals[node].messages_in += led.messages_in;
            self.totals[node].messages_out += led.messages_out;
            self.cpu_s[node] += cpu_s;
            self.usage[node] = after;
        }
    }

    /// Messages that passed each node's shards so far, in and out.
    pub fn loads(&self) -> Vec<f64> {
        self.totals
            .iter()
            .zip(&self.now)
            .map(|(total, now)| {
                (total.messages_in + total.messages_out + now.messages_in + now.messages_out) as f64
            })
            .collect()
    }

    /// For each shard: dispatches by the first node of its row, by another of the row, and by any
    /// other.
    pub fn placed(&self) -> &[[u64; 3]] {
        &self.placed
    }

    /// The nodes of each shard, the preferred leader first.
    pub fn rows(&self) -> &[Vec<NodeId>] {
        &self.rows
    }

    /// Other nodes are to hold the shards.
    pub fn set_rows(&mut self, rows: Vec<Vec<NodeId>>) {
        self.rows = rows;
    }

    /// The shard of each destination.
    pub fn shards(&self) -> &[usize] {
        &self.shards
    }

    /// What reports show of each node.
    pub fn node_loads(&self) -> Vec<NodeLoad> {
        (0..self.series.len())
            .map(|node| {
                let mut load = NodeLoad::new(format!("n{}", node + 1));
                let series = &self.series[node];
                let predicted = self.predicted.as_ref();
                load.predicted_share = predicted.map(|shares| shares[node].clamp(0.0, 1.0));
                load.totals.messages_in = self.totals[node].messages_in as f64;
                load.totals.messages_out = self.totals[node].messages_out as f64;
                load.totals.bytes_in = series.bytes_in.iter().sum();
                load.totals.bytes_out = series.bytes_out.iter().sum();
                load.totals.cpu_s = self.cpu_s[node];
                let led = |leader: &&Option<NodeId>| **leader == Some(node as NodeId);
                load.totals.slots_led = Some(self.leaders.iter().filter(led).count() as u64);
                load.series = series.clone();
                load
            })
            .collect()
    }
}
