//! From a scenario to what each node is configured with, and to the placement that follows.

use std::time::Duration;

use paceline::{
    cluster::Cluster,
    config::{ClusterConfig, Member, NodeConfig},
};
use paceline_core::slotting;
use paceline_membership::{Expired, Policies};
use paceline_placement::{NameHasher, Placement, PlacementError, SlotId};

use super::{
    Scenario,
    change::{Kind, Replace, Restart},
};

/// Where every node listens for clients that speak STOMP.
pub const STOMP_PORT: u16 = paceline::config::DEFAULT_STOMP_PORT;
/// Where every node listens for clients that speak OpenWire.
pub const OPENWIRE_PORT: u16 = paceline::config::DEFAULT_OPENWIRE_PORT;
/// Where every node listens for the other nodes.
pub const LINK_PORT: u16 = paceline::config::DEFAULT_LINK_PORT;

/// What every cluster of a scenario is called.
pub const NAME: &str = "simulated";

/// Where the other nodes reach the one of that name.
pub fn link_of(name: &str) -> String {
    format!("{name}:{LINK_PORT}")
}

/// The first table with what the second one sets in its place.
fn merged(settings: &toml::Table, others: &toml::Table) -> toml::Table {
    let mut all = settings.clone();
    for (key, value) in others {
        let value = match (all.get(key), value) {
            (Some(toml::Value::Table(before)), toml::Value::Table(after)) => {
                toml::Value::Table(merged(before, after))
            }
            _ => value.clone(),
        };
        all.insert(key.clone(), value);
    }
    all
}

fn node_section(name: &str) -> toml::Table {
    let mut node = toml::Table::new();
    node.insert("name".into(), name.into());
    node.insert("data_dir".into(), "/data".into());
    node
}

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
        let members = self.founders().into_iter().map(|name| Member {
            link: link_of(&name),
            zone: self.zone_of(&name),
            name,
            weight: 1.0,
        });
        ClusterConfig {
            replicas: Some(self.cluster.replicas() as usize),
            slots: self.cluster.slots,
            strategy: self.cluster.strategy,
            hash: self.cluster.hash,
            salt: self.cluster.salt.clone(),
            ..ClusterConfig::new(NAME, members.collect())
        }
    }

    /// The zone of a node, as far as the file tells. One that takes another's place is in its zone.
    pub fn zone_of(&self, name: &str) -> Option<String> {
        if let Some(at) = self.founders().iter().position(|founder| founder == name) {
            let zones = &self.cluster.zones;
            return zones.get(at % zones.len().max(1)).cloned();
        }
        self.changes.iter().find_map(|change| match change.kind() {
            Kind::Join(join) if change.kind().newcomers_by_name().iter().any(|it| it == name) => {
                join.zone.clone()
            }
            Kind::Replace(Replace { nodes, by: Some(by), .. }) => {
                let at = by.iter().position(|it| it == name)?;
                self.zone_of(nodes.names().get(at)?)
            }
            _ => None,
        })
    }

    /// The cluster as the broker sees it when it begins.
    pub fn cluster(&self) -> Cluster {
        Cluster::of(&self.cluster_config()).expect("validated: the placement can be made")
    }

    /// What a node that the cluster begins with reads at its start.
    ///
    /// # Errors
    ///
    /// What the node itself would say of it.
    pub fn node_config(&self, name: &str) -> Result<NodeConfig, String> {
        self.config(node_section(name), self.cluster_config(), &toml::Table::new())
    }

    /// The policies that the cluster begins with.
    pub fn first_policies(&self) -> Policies {
        let config = self.node_config("n1").expect("validated: the node accepts it");
        config.policies().expect("checked when it was read")
    }

    /// Whether at some time expired messages of some queue may be dead letters.
    pub fn keeps_expired(&self) -> bool {
        let set = self.changes.iter().filter_map(|change| change.set_policy.as_ref());
        let first = self.first_policies();
        let mut all = first.entries().iter().map(|it| it.expired).chain(set.map(|it| it.expired));
        all.any(|expired| expired == Some(Expired::DeadLetter))
    }

    /// What a node that is a member reads when it is started again with other settings; `members` are
    /// those that one which has joined would ask to take it in.
    ///
    /// # Errors
    ///
    /// What the node itself would say of it.
    pub fn restarted_config(
        &self,
        name: &str,
        broker: &toml::Table,
        members: &[String],
    ) -> Result<NodeConfig, String> {
        if self.founders().iter().any(|founder| founder == name) {
            return self.config(node_section(name), self.cluster_config(), broker);
        }
        self.config_to_join(name, self.zone_of(name).as_deref(), 1.0, members, broker)
    }

    /// What a node's settings are, as a founder has them, where these differ from `cluster.broker`.
    ///
    /// # Errors
    ///
    /// What the node itself would say of it.
    pub fn settings_with(&self, broker: &toml::Table) -> Result<NodeConfig, String> {
        self.restarted_config("n1", broker, &[])
    }

    /// All settings that nodes may have in the course of the run, as a founder would have them.
    ///
    /// # Errors
    ///
    /// What the node itself would say of them.
    pub fn all_settings(&self) -> Result<Vec<NodeConfig>, String> {
        let others = self.changes.iter().filter_map(|change| match change.kind() {
            Kind::Restart(Restart { broker, .. }) => Some(self.settings_with(broker)),
            _ => None,
        });
        std::iter::once(self.node_config("n1")).chain(others).collect()
    }

    /// What a node that joins reads at its start; `members` are asked to take it in.
    ///
    /// # Errors
    ///
    /// What the node itself would say of it.
    pub fn joining_config(
        &self,
        name: &str,
        zone: Option<&str>,
        weight: f64,
        members: &[String],
    ) -> Result<NodeConfig, String> {
        self.config_to_join(name, zone, weight, members, &toml::Table::new())
    }

    fn config_to_join(
        &self,
        name: &str,
        zone: Option<&str>,
        weight: f64,
        members: &[String],
        broker: &toml::Table,
    ) -> Result<NodeConfig, String> {
        let mut node = node_section(name);
        node.insert("link".into(), link_of(name).into());
        node.insert("weight".into(), weight.into());
        if let Some(zone) = zone {
            node.insert("zone".into(), zone.into());
        }
        let addresses = members.iter().map(|name| link_of(name)).collect();
        self.config(node, ClusterConfig::to_join(NAME, addresses), broker)
    }

    /// With these settings of the broker in place of those of `cluster.broker`.
    fn config(
        &self,
        node: toml::Table,
        cluster: ClusterConfig,
        broker: &toml::Table,
    ) -> Result<NodeConfig, String> {
        let cluster =
            toml::Table::try_from(cluster).expect("a configuration can be written as TOML");
        let mut text = toml::Table::new();
        text.insert("node".into(), node.into());
        let mut listen = toml::Table::new();
        listen.insert("stomp".into(), format!("0.0.0.0:{STOMP_PORT}").into());
        listen.insert("openwire".into(), format!("0.0.0.0:{OPENWIRE_PORT}").into());
        listen.insert("link".into(), format!("0.0.0.0:{LINK_PORT}").into());
        text.insert("listen".into(), listen.into());
        text.insert("cluster".into(), cluster.into());
        text.extend(merged(&self.cluster.broker, broker));
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

    /// Where destinations live as the cluster begins.
    pub fn prediction(&self) -> Prediction {
        let placement = self.placement().expect("validated: the placement can be made");
        let mut nodes: Vec<(String, u32)> = self.founders().into_iter().zip(0..).collect();
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
