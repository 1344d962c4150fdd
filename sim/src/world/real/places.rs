//! Where the nodes of a run are reached, and what each is told of that.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use paceline::config::{Advertise, NodeConfig};
use paceline_scenario::LINK_PORT;

/// Below this, ports need privileges or are a well-known service's.
const FIRST_PORT: u16 = 10_000;
/// From here on systems take the ports of outgoing connections: one of them may hold the port of a node
/// that is down just now.
const EPHEMERAL: u16 = 32_768;

/// The ports of a node: those that it listens at itself, or those of the proxies before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// For STOMP clients.
    pub stomp: u16,
    /// For OpenWire clients.
    pub openwire: u16,
    /// For the other nodes.
    pub link: u16,
}

/// Where one node is.
#[derive(Clone, Debug)]
pub struct Place {
    /// Where it listens itself.
    pub own: Ports,
    /// Where everybody else reaches it.
    pub door: Ports,
    /// Its files.
    pub folder: PathBuf,
}

/// The place of each node, by name.
#[derive(Clone, Debug, Default)]
pub struct Places(pub BTreeMap<String, Place>);

/// This port of the loopback interface.
pub fn on_loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

impl Places {
    /// Finds ports for nodes of these names, which are to keep their files in this folder.
    ///
    /// # Errors
    /// There are not so many free ports.
    pub fn find(names: &[String], folder: &Path) -> io::Result<Self> {
        let mut ports = free_ports(names.len() * 6)?.into_iter();
        let mut next = || ports.next().expect("there are six for each");
        let mut places = BTreeMap::new();
        for name in names {
            let mut three = || Ports { stomp: next(), openwire: next(), link: next() };
            let (own, door) = (three(), three());
            places.insert(name.clone(), Place { own, door, folder: folder.join(name) });
        }
        Ok(Self(places))
    }

    /// The place of the node of this name.
    pub fn of(&self, name: &str) -> &Place {
        &self.0[name]
    }

    /// Where the others reach the node of this name.
    pub fn link_of(&self, name: &str) -> String {
        on_loopback(self.of(name).door.link).to_string()
    }

    /// What a node of the scenario is to read in this world: the same, but for where it and the others
    /// are.
    pub fn fit(&self, mut config: NodeConfig) -> NodeConfig {
        let place = self.of(&config.node.name);
        config.node.data_dir = place.folder.join("data");
        config.listen.stomp = on_loopback(place.own.stomp).into();
        config.listen.openwire = Some(on_loopback(place.own.openwire).into());
        config.listen.link = on_loopback(place.own.link).into();
        config.openwire.advertise = Advertise::At(on_loopback(place.door.openwire).into());
        for member in &mut config.cluster.members {
            member.link = self.link_of(&member.name);
        }
        for address in &mut config.cluster.join {
            *address = self.fitted(address);
        }
        if let Some(link) = &mut config.node.link {
            *link = self.fitted(link);
        }
        config
    }

    /// Where the node is reached that is at `name:port` in a scenario.
    fn fitted(&self, address: &str) -> String {
        let name = address.strip_suffix(&format!(":{LINK_PORT}"));
        self.link_of(name.expect("a scenario's nodes listen at one port"))
    }
}

/// Ports that were free a moment ago.
fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let span = u32::from(EPHEMERAL - FIRST_PORT);
    // Another run may look beside this one, so where each begins hangs on its process.
    let begin = std::process::id().wrapping_mul(131);
    let ports = (0..span).map(|at| FIRST_PORT + (begin.wrapping_add(at) % span) as u16);
    let free: Vec<u16> =
        ports.filter(|port| TcpListener::bind(on_loopback(*port)).is_ok()).take(count).collect();
    if free.len() < count {
        let reason = format!("of the ports from {FIRST_PORT} to {EPHEMERAL}, {count} are not free");
        return Err(io::Error::new(io::ErrorKind::AddrInUse, reason));
    }
    Ok(free)
}

#[cfg(test)]
mod tests {
    use paceline_scenario::Scenario;

    use super::*;

    fn scenario() -> Scenario {
        let text = r#"
name = "places"
about = "Two nodes, and one that joins."
duration = "1s"
[cluster]
nodes = 2
slots = 4
[cluster.broker.replication]
operation_timeout = "7s"
[[change]]
at = "500ms"
join = { nodes = 1 }
"#;
        Scenario::load("places.toml", text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn places(scenario: &Scenario) -> Places {
        Places::find(&scenario.node_names(), Path::new("/run")).unwrap()
    }

    #[test]
    fn a_founder_listens_behind_the_doors_that_all_are_told_of() {
        let scenario = scenario();
        let places = places(&scenario);
        let made: Vec<NodeConfig> = ["n1", "n2"]
            .map(|name| places.fit(scenario.node_config(name).unwrap()))
            .into_iter()
            .map(|config| {
                // What it is given is a file of the real format, which says the same.
                let text = toml::to_string(&config).unwrap();
                NodeConfig::parse("n.toml", &text).unwrap()
            })
            .collect();
        assert_eq!(made[0].cluster, made[1].cluster, "all founders are told of the same cluster");
        let place = places.of("n2");
        assert_eq!(made[1].listen.link.to_string(), on_loopback(place.own.link).to_string());
        assert_eq!(made[1].cluster.members[1].link, on_loopback(place.door.link).to_string());
        assert_ne!(place.own.link, place.door.link);
        assert_eq!(made[1].node.data_dir, Path::new("/run/n2/data"));
        assert_eq!(made[1].replication.operation_timeout.as_secs(), 7, "settings stay");
        let advertised = made[1].openwire.advertise.address("", on_loopback(1));
        assert_eq!(advertised, Some(on_loopback(place.door.openwire).to_string()));
    }

    #[test]
    fn one_that_joins_knocks_at_doors_and_says_where_its_own_is() {
        let scenario = scenario();
        let places = places(&scenario);
        let config = scenario.joining_config("n3", None, 1.0, &scenario.founders()).unwrap();
        let config = places.fit(config);
        assert_eq!(config.cluster.join, [places.link_of("n1"), places.link_of("n2")]);
        assert_eq!(config.link(), places.link_of("n3"));
        assert_ne!(config.link(), config.listen.link.to_string());
    }
}
