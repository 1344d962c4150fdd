//! From a scenario to what each node is configured with, and to the placement that follows.

use std::time::Duration;

use paceline::{
    cluster::Cluster,
    config::{ClusterConfig, Member, NodeConfig},
};
use paceline_core::slotting;
use paceline_placement::{NameHasher, Placement, PlacementError, SlotId};

use super::Scenario;

/// Where every node listens for clients.
pub const STOMP_PORT: u16 = paceline::config::DEFAULT_STOMP_PORT;
/// Where every node listens for the other nodes.
pub const LINK_PORT: u16 = paceline::config::DEFAULT_LINK_PORT;

/// Which nodes a destination lives on, as anyone can compute it.
#[derive(Clone, Debug)]
pub struct Prediction {
    hasher: NameHasher,
    placement: Placement,
    /// The node at each place of the placement, which orders nodes by name: n10 before n2.
    nodes: Vec<u32>,
}

impl Scenario {
    /// The configuration of the cluster, as every node has it.
    fn cluster_config(&self) -> ClusterConfig {
        let members = self.node_names().into_iter().map(|name| Member {
            link: format!("{name}:{LINK_PORT}"),
            name,
            zone: None,
            weight: 1.0,
        });
        ClusterConfig {
            replicas: Some(self.cluster.replicas() as usize),
            slots: self.cluster.slots,
            strategy: self.cluster.strategy,
            hash: self.cluster.hash,
            salt: self.cluster.salt.clone(),
            ..ClusterConfig::new("simulated", members.collect())
        }
    }

    /// The cluster as the broker sees it.
    pub fn cluster(&self) -> Cluster {
        Cluster::of(&self.cluster_config()).expect("validated: the placement can be made")
    }

    /// What the node of that name reads at its start.
    ///
    /// # Errors
    ///
    /// What the node itself would say of it.
    pub fn node_config(&self, name: &str) -> Result<NodeConfig, String> {
        let cluster = toml::Table::try_from(self.cluster_config())
            .expect("a configuration can be written as TOML");
        let mut text = toml::Table::new();
        let mut node = toml::Table::new();
        node.insert("name".into(), name.into());
        node.insert("data_dir".into(), "/data".into());
        text.insert("node".into(), node.into());
        let mut listen = toml::Table::new();
        listen.insert("stomp".into(), format!("0.0.0.0:{STOMP_PORT}").into());
        listen.insert("link".into(), format!("0.0.0.0:{LINK_PORT}").into());
        text.insert("listen".into(), listen.into());
        text.insert("cluster".into(), cluster.into());
        text.extend(self.cluster.broker.clone());
        NodeConfig::parse("node.toml", &text.to_string()).map_err(|error| error.to_string())
    }

    /// The table of slots and the nodes of each.
    pub(super) fn placement(&self) -> Result<Placement, PlacementError> {
        self.cluster_config().placement()
    }

    /// How far two wall clocks of the expanded scenario may differ at the most, those of clients,
    /// which are right, included: by where they start, and by how far jumps have put each of them at
    /// any time. A node that only the run can name may be any. Clocks show whole milliseconds.
    pub fn clock_error(&self) -> Duration {
        let mut jumps: Vec<_> = self
            .faults
            .iter()
            .filter_map(|fault| Some((fault.at, fault.clock_jump.as_ref()?)))
            .collect();
        jumps.sort_by_key(|(at, _)| *at);
        let (mut behind, mut ahead) = (0, 0);
        for name in self.node_names() {
            let (mut least, mut most) = (0, 0);
            for (_, jump) in &jumps {
                let by = jump.by.map_or(0, |by| by.nanos);
                let is_named = jump.all
                    || jump.node.as_ref() == Some(&name)
                    || jump.nodes.as_ref().is_some_and(|nodes| nodes.contains(&name));
                // Drawn or chosen later: it may be put that way, and may be left alone.
                let may_be = jump.target().is_left_to_the_run() || jump.any.is_some();
                if is_named || (may_be && by < 0) {
                    least += by;
                }
                if is_named || (may_be && by > 0) {
                    most += by;
                }
                behind = behind.min(least);
                ahead = ahead.max(most);
            }
        }
        let jumped = Duration::from_nanos(ahead.abs_diff(behind));
        let drifted = self.faults.iter().filter_map(|fault| {
            let (ppm, lasts) = (fault.clock_drift.as_ref()?.ppm?, fault.lasts?);
            Some(lasts.most().0.mul_f64(ppm.abs() / 1e6))
        });
        let drifted: Duration = drifted.sum();
        self.clock.offset.0 * 2 + jumped + drifted + Duration::from_millis(1)
    }

    /// Where destinations live.
    pub fn prediction(&self) -> Prediction {
        let placement = self.placement().expect("validated: the placement can be made");
        let mut nodes: Vec<(String, u32)> = self.node_names().into_iter().zip(0..).collect();
        nodes.sort();
        let nodes = nodes.into_iter().map(|(_, number)| number).collect();
        Prediction { hasher: self.cluster_config().hasher(), placement, nodes }
    }
}

impl Prediction {
    /// The slot of a destination.
    pub fn slot(&self, destination: &str) -> SlotId {
        let name = slotting::slot_name_of(destination);
        self.placement.slots().slot(self.hasher.key(name.as_bytes()))
    }

    /// Coefficient of variation of the numbers of slots that the nodes lead: what the placement adds
    /// to the unevenness that chance gives the loads.
    pub fn unevenness(&self) -> f64 {
        let mut leads = vec![0.0; self.nodes.len()];
        self.placement.iter().for_each(|(_, row)| leads[row[0].get()] += 1.0);
        let fair = f64::from(self.placement.slots().get()) / leads.len() as f64;
        let squares: f64 = leads.iter().map(|led| (led / fair - 1.0).powi(2)).sum();
        (squares / leads.len() as f64).sqrt()
    }

    /// The nodes of a slot, the preferred leader first; `n1` is 0.
    pub fn row(&self, slot: SlotId) -> Vec<u32> {
        self.placement.row(slot).iter().map(|node| self.nodes[node.get()]).collect()
    }
}
