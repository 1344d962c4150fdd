//! What is refused, and where the message points.

use super::*;

const EXAMPLE: &str = include_str!("../../../docs/node.example.toml");

const SMALL: &str = r#"
[node]
name = "n1"
data_dir = "data"
[cluster]
name = "c"
members = [{ name = "n1", link = "127.0.0.1:1" }, { name = "n2", link = "127.0.0.1:2" }]
"#;

fn refused(text: &str) -> String {
    NodeConfig::parse("node.toml", text).unwrap_err().to_string()
}

#[test]
fn the_example_says_what_the_defaults_are() {
    let example = NodeConfig::parse("node.example.toml", EXAMPLE).unwrap();
    assert_eq!(example.replication, ReplicationConfig::default());
    assert_eq!(example.storage, StorageSection::default());
    assert_eq!(example.stomp, StompSection::default());
    assert_eq!(example.openwire, OpenWireSection::default());
    assert_eq!(example.limits, LimitsSection::default());
    let ClusterConfig { slots, strategy, hash, salt, .. } = ClusterConfig::new("", vec![]);
    let cluster = &example.cluster;
    assert_eq!(
        (cluster.slots, cluster.strategy, cluster.hash, &cluster.salt),
        (slots, strategy, hash, &salt)
    );
    assert_eq!(cluster.replicas, Some(3));
    assert_eq!(cluster.members.len(), 3);
}

#[test]
fn the_example_leaves_no_setting_out() {
    fn keys(prefix: &str, value: &toml::Value, all: &mut Vec<String>) {
        match value {
            toml::Value::Table(table) => {
                table.iter().for_each(|(key, value)| keys(&format!("{prefix}.{key}"), value, all));
            }
            toml::Value::Array(array) => array.iter().for_each(|value| keys(prefix, value, all)),
            _ => all.push(prefix.into()),
        }
    }
    let mut config = NodeConfig::parse("node.example.toml", EXAMPLE).unwrap();
    config.cluster.members[0].zone = Some("z".into());
    let (mut written, mut known) = (Vec::new(), Vec::new());
    keys("", &toml::from_str(EXAMPLE).unwrap(), &mut written);
    keys("", &toml::Value::try_from(&config).unwrap(), &mut known);
    let missing: Vec<_> = known.into_iter().filter(|key| !written.contains(key)).collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn the_least_configuration_is_taken() {
    let config = NodeConfig::parse("node.toml", SMALL).unwrap();
    assert_eq!(config.cluster.replicas(), 2);
    assert_eq!(config.listen.stomp.as_str(), format!("127.0.0.1:{DEFAULT_STOMP_PORT}"));
    NodeConfig::dev("data".into()).check().unwrap();
}

#[test]
fn what_is_written_is_read_again() {
    let config = NodeConfig::parse("node.toml", SMALL).unwrap();
    let text = toml::to_string(&config).unwrap();
    assert_eq!(NodeConfig::parse("again.toml", &text).unwrap(), config);
}

#[test]
fn errors_point_at_the_place() {
    let unknown = refused(&SMALL.replace("data_dir", "datadir"));
    assert!(unknown.starts_with("node.toml:4:1: unknown field `datadir`"), "{unknown}");
    assert!(unknown.contains("|  datadir = \"data\"\n  |  ^"), "{unknown}");
    let syntax = refused("[node\n");
    assert!(syntax.starts_with("node.toml:1:"), "{syntax}");
    let hash = refused(&SMALL.replace("name = \"c\"", "name = \"c\"\nhash = \"crc\""));
    assert!(hash.starts_with("node.toml:7:8: unknown variant `crc`"), "{hash}");
    let missing = refused("[node]\nname = \"n1\"\ndata_dir = \"d\"\n");
    assert!(missing.contains("missing field `cluster`"), "{missing}");
}

#[test]
fn values_that_do_not_fit_together_are_refused() {
    for (from, to, expected) in [
        ("name = \"n1\"\nd", "name = \"n9\"\nd", "node.toml:3:8: node.name: `n9` is not among"),
        (
            "name = \"c\"",
            "name = \"c\"\nreplicas = 3",
            "node.toml:7:12: cluster.replicas: 3 copies",
        ),
        ("name = \"c\"", "name = \"c\"\nslots = 1", "node.toml:7:9: cluster.slots: "),
        ("name = \"c\"", "name = \"c d\"", "node.toml:6:8: cluster.name: `c d` is not a name"),
        (
            "name = \"n2\"",
            "name = \"n1\"",
            "node.toml:7:60: cluster.members.1.name: `n1` is listed",
        ),
        (
            "127.0.0.1:2",
            "127.0.0.1",
            "node.toml:7:73: cluster.members.1.link: `127.0.0.1` has no port",
        ),
        (
            "[node]",
            "[limits]\nbody = \"0B\"\n[node]",
            "node.toml:3:8: limits.body: must be above 0",
        ),
        (
            "[node]",
            "[replication]\nlease = \"10s\"\n[node]",
            "node.toml:2:1: replication.election_min: 400ms is not longer than `lease`, 10s",
        ),
        (
            "[node]",
            "[replication]\nlease = \"300ms\"\n[node]",
            "node.toml:3:9: replication.lease: 300ms is not longer than two of `heartbeat`, 300ms",
        ),
        (
            "[node]",
            "[replication]\nbatch_commands = 65537\n[node]",
            "node.toml:3:18: replication.batch_commands: a batch holds 1 to 65536 commands",
        ),
        (
            "[node]",
            "[replication]\nbatch_bytes = \"33MiB\"\n[node]",
            "node.toml:3:15: replication.batch_bytes: a batch holds 1B to 32MiB",
        ),
        (
            "[node]",
            "[[policy]]\ndestination = \"x\"\ndurability = \"memory\"\n[node]",
            "node.toml:3:15: policy.0.destination: `x` is neither a queue nor a topic",
        ),
        (
            "[node]",
            "[[policy]]\ndestination = \"/queue/q\"\nmax_messages = 0\n[node]",
            "node.toml:4:16: policy.0.max_messages: at least 1",
        ),
        (
            "[node]",
            "[[policy]]\ndestination = \"/queue/q\"\nwhen_full = \"reject\"\n[node]",
            "node.toml:4:13: policy.0.when_full: a queue without `max_messages` or `max_bytes`",
        ),
        (
            "[node]",
            "[[policy]]\ndestination = \"/queue/q\"\nmax_bytes = \"1KiB\"\nwhen_full = \"drop-oldest\"\n[node]",
            "node.toml:5:13: policy.0.when_full: a queue drops nothing",
        ),
        (
            "[node]",
            "[[policy]]\ndestination = \"/topic/t\"\nwhen_full = \"block\"\n[node]",
            "node.toml:4:13: policy.0.when_full: one slow subscriber would hold up",
        ),
        (
            "[node]",
            "[storage]\nsnapshot_every = 7\n[node]",
            "node.toml:3:18: storage.snapshot_every: at least 8 entries",
        ),
        (
            "[node]",
            "[storage]\nsegment = \"2GiB\"\n[node]",
            "node.toml:3:11: storage.segment: 4KiB to 1GiB are possible",
        ),
        (
            "[node]",
            "[listen]\nstomp = \"localhost\"\n[node]",
            "node.toml:3:9: `localhost` has no port; write host:port",
        ),
        ("[node]", "[stomp]\nconnect_timeout = 5\n[node]", "node.toml:3:19: invalid type: integer"),
        ("[node]", "[stomp]\nconnect_timeout = \"5\"\n[node]", "node.toml:3:19: `5` is not a dura"),
    ] {
        assert!(SMALL.contains(from));
        let error = refused(&SMALL.replacen(from, to, 1));
        assert!(error.starts_with(expected), "expected {expected}\ngot {error}");
    }
}

#[test]
fn the_largest_body_must_fit_in_what_is_received() {
    let limits = |receiving| {
        SMALL.replace(
            "[cluster]",
            &format!("[limits]\nbody = \"1MiB\"\nreceiving = \"{receiving}\"\n[cluster]"),
        )
    };
    NodeConfig::parse("node.toml", &limits("1MiB")).unwrap();
    let small = refused(&limits("1023KiB"));
    assert!(small.contains("one frame of `limits.body`, 1MiB, does not fit in"), "{small}");
}
