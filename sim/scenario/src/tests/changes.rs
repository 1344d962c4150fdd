//! Changes: what is read, what is drawn, and what is refused.

use super::*;
use crate::change::{Change, Chosen, Kind};

/// Five nodes of three zones, and these changes, faults and expectations.
fn elastic(changes: &str) -> Result<Scenario, ScenarioError> {
    let text = format!(
        "name = \"elastic\"\nabout = \"x\"\nduration = \"60s\"\n[cluster]\nnodes = 5\n\
         zones = [\"a\", \"b\", \"c\"]\n{changes}"
    );
    Scenario::load("elastic.toml", &text)
}

/// One change, which stands on the last line but for what follows it.
fn change(what: &str) -> String {
    format!("[[change]]\nat = \"10s\"\n{what}\n")
}

#[track_caller]
fn refused(changes: &str, line: usize, reason: &str) {
    let error = elastic(changes).expect_err("this must be refused");
    assert!(error.reason.contains(reason), "{error}");
    assert_eq!(error.line, line, "{error}");
}

const EVERYTHING: &str = r#"
[[change]]
between = ["5s", "15s"]
join = 2

[[change]]
between = ["6s", "16s"]
join = { nodes = "n6", zone = "b", weight = 2.0 }

[[change]]
between = ["20s", "30s"]
drain = { any = 1 }

[[change]]
at = "31s"
remove = "n6"

[[change]]
between = ["32s", "40s"]
replace = { any = 1, by = "n9", removal = true }

[[change]]
at = "41s"
replace = "n2"

[[change]]
at = "42s"
weight = { any = 2, weight = 0.5 }

[[change]]
at = "43s"
rebalance = true

[[change]]
at = "43s"
set_policy = { destination = "/queue/a.>", max_bytes = "1KiB", max_redeliveries = 0 }

[[change]]
between = ["43s", "44s"]
remove_policy = "/queue/a.>"

[[change]]
at = "44s"
restart = { all = true, broker = { replication = { lease = "320ms" } } }

[[fault]]
between = ["16s", "59s"]
every = "1s"
crash = { any = 1, back_after = "500ms" }
"#;

#[test]
fn an_expansion_names_everybody_and_expands_to_itself() {
    let scenario = elastic(EVERYTHING).unwrap();
    assert_eq!(scenario.node_names().len(), 10, "five, two, one, and two that replace others");
    let mut drained = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let expanded = expand(&scenario, seed).scenario;
        let text = expanded.to_toml();
        let read = Scenario::load("expanded.toml", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(read, expanded);
        assert_eq!(expand(&read, seed).scenario, expanded);
        assert_eq!(expand(&read, seed + 1).scenario.changes, expanded.changes, "all is decided");
        let due: Vec<_> = expanded.changes.iter().map(|it| it.at.unwrap()).collect();
        assert!(due.is_sorted());
        let mut newcomers: Vec<_> = expanded.changes.iter().map(Change::kind).collect();
        newcomers.retain(|kind| kind.newcomers() > 0);
        let mut newcomers: Vec<_> =
            newcomers.iter().flat_map(|it| it.newcomers_by_name().to_vec()).collect();
        newcomers.sort();
        assert_eq!(newcomers, ["n10", "n6", "n7", "n8", "n9"]);
        for change in &expanded.changes {
            match change.kind() {
                Kind::Drain(Chosen::Names(names)) => drained.extend(names.clone()),
                Kind::Weight(weight) => assert_eq!(weight.nodes.names().len(), 2),
                Kind::Restart(restart) => {
                    let names = restart.nodes.as_ref().unwrap().names();
                    assert_eq!(names.len(), 7, "three of ten were taken away: {names:?}");
                }
                _ => {}
            }
        }
    }
    // Not those that other changes take away.
    let expected = ["n1", "n3", "n4", "n5", "n7", "n8"].map(str::to_owned);
    assert!(drained.iter().all(|name| expected.contains(name)), "{drained:?}");
    assert!(drained.len() >= 5, "{drained:?}");
}

#[test]
fn faults_are_drawn_among_those_that_are_members_then() {
    let scenario = elastic(EVERYTHING).unwrap();
    let mut struck = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let expanded = expand(&scenario, seed).scenario;
        for fault in &expanded.faults {
            let at = fault.at.unwrap();
            for name in fault::nodes(fault) {
                for change in &expanded.changes {
                    let kind = change.kind();
                    let joins = kind.newcomers_by_name().contains(&name);
                    assert!(!joins || change.at.unwrap() <= at, "{name} was not there at {at}");
                    let gone = kind.takes_away() && kind.chosen().unwrap().names().contains(&name);
                    assert!(!gone || change.at.unwrap() > at, "{name} was gone at {at}");
                }
                struck.insert(name);
            }
        }
    }
    assert_eq!(struck.len(), 10, "everybody's turn comes: {struck:?}");
}

#[test]
fn who_takes_anothers_place_is_in_its_zone() {
    let expanded = expand(&elastic(EVERYTHING).unwrap(), 3).scenario;
    assert_eq!(expanded.zone_of("n4"), Some("a".into()));
    assert_eq!(expanded.zone_of("n6"), Some("b".into()));
    assert_eq!(expanded.zone_of("n7"), None);
    let instead = expanded.changes.iter().find_map(|it| match it.kind() {
        Kind::Replace(it) if it.nodes.names() == ["n2"] => it.by.clone(),
        _ => None,
    });
    assert_eq!(expanded.zone_of(&instead.unwrap()[0]), Some("b".into()));
}

#[test]
fn changes_are_described() {
    let described = |text: &str| elastic(text).unwrap().changes[0].describe();
    let join = change("join = { nodes = [\"n6\", \"n7\"], zone = \"b\", weight = 2.0 }");
    assert_eq!(described(&join), "10s join n6 n7 in zone b with weight 2");
    assert_eq!(described(&change("drain = \"n2\"")), "10s drain n2");
    assert_eq!(described(&change("remove = { any = 1 }")), "10s remove any 1");
    let replace = change("replace = { nodes = \"n3\", by = \"n6\" }");
    assert_eq!(described(&replace), "10s replace n3 by n6");
    let removal = change("replace = { any = 1, removal = true }");
    assert_eq!(described(&removal), "10s replace any 1 and removal");
    let weight = change("weight = { nodes = \"n1\", weight = 2.5 }");
    assert_eq!(described(&weight), "10s weight 2.5 for n1");
    assert_eq!(described(&change("rebalance = true")), "10s rebalance");
    assert_eq!(described(&change("replicas = 2")), "10s 2 replicas");
    assert_eq!(described(&change("restart = { nodes = \"n2\" }")), "10s restart n2");
    let restart = change("restart = { all = true, broker = { storage = { segment = \"1MiB\" } } }");
    assert_eq!(described(&restart), "10s restart all with other settings");
}

#[test]
fn changes_that_say_nothing_or_too_much_are_refused() {
    refused("[[change]]\nat = \"10s\"", 7, "names no kind");
    refused(&change("join = 1\nrebalance = true"), 9, "two kinds: rebalance and join");
    refused("[[change]]\njoin = 1", 7, "when?");
    refused("[[change]]\nat = \"1s\"\nbetween = [\"1s\", \"2s\"]\njoin = 1", 9, "not both");
    refused("[[change]]\nbetween = [\"2s\", \"2s\"]\njoin = 1", 8, "is not before");
    refused("[[change]]\nat = \"61s\"\njoin = 1", 8, "the run ends at 60s");
    refused(&change("joins = 1"), 9, "unknown field `joins`");
    refused(&change("join = 0"), 9, "at least one");
    refused(&change("replicas = 0"), 9, "at least one replica");
    refused(&change("replicas = 6"), 9, "may leave 5 nodes for 6 replicas");
    refused(&change("drain = []"), 9, "at least one");
    refused(&change("drain = 1"), 9, "a node such as");
    refused(&change("join = -1"), 9, "-1");
    refused(&change("join = 196"), 7, "196 nodes join; 200 in all");
    refused(&change("join = { nodes = 1, weight = 0.0 }"), 9, "above 0 and at most 1000");
    refused(&change("weight = { nodes = \"n1\", weight = -1.0 }"), 9, "above 0");
    refused(&change("weight = { nodes = \"n1\", any = 1, weight = 1.0 }"), 9, "`nodes` or `any`");
    refused(&change("replace = { by = \"n6\" }"), 9, "`nodes` or `any`");
    refused(&change("replace = { any = 1, by = [\"n6\", \"n7\"] }"), 9, "2 nodes for 1");
}

#[test]
fn a_node_is_restarted_with_what_is_set_otherwise() {
    let replication = |text: &str| {
        let base = "[cluster.broker.replication]\nheartbeat = \"20ms\"\nlease = \"60ms\"\n\
                    [[change]]\nat = \"9s\"\njoin = { nodes = \"n6\", zone = \"b\" }\n";
        elastic(&(base.to_owned() + &change(text)))
    };
    let scenario = replication("restart = { any = 1, broker = { replication = { moves = 1 } } }");
    let scenario = scenario.unwrap();
    let Kind::Restart(restart) = scenario.changes[1].kind() else { panic!("{scenario:?}") };
    for name in ["n1", "n6"] {
        let config = scenario.restarted_config(name, &restart.broker, &["n1".into()]).unwrap();
        let (moves, lease) = (config.replication.moves, config.replication.lease.as_millis());
        assert_eq!((moves, lease), (1, 60), "{name}");
    }
    let moves = scenario.all_settings().unwrap().into_iter().map(|it| it.replication.moves);
    assert_eq!(moves.collect::<Vec<_>>(), [4, 1]);
    let refused = |text: &str, reason: &str| {
        let error = replication(text).expect_err("this must be refused");
        assert!(error.reason.contains(reason), "{error}");
    };
    refused("restart = { all = true, nodes = \"n1\" }", "either `all` or names");
    refused("restart = {}", "`nodes` or `any`");
    refused("restart = { all = true, broker = { node = {} } }", "`node` is set by the scenario");
    let lease = "restart = { all = true, broker = { replication = { lease = \"30ms\" } } }";
    refused(lease, "the nodes would refuse their configuration");
    refused("restart = { all = true }\n[expect]\nmoves = \"plan\"", "after a fault or a restart");
}

#[test]
fn nodes_that_cannot_join_are_refused() {
    refused(&change("join = \"n5\""), 9, "`n5` is there from the beginning");
    refused(&change("join = \"n7\""), 9, "here n6 to n6, not `n7`");
    refused(&change("join = { nodes = \"broker\", zone = \"a\" }"), 9, "not `broker`");
    refused(&change("join = [\"n6\", \"n6\"]"), 9, "`n6` joins twice");
    let twice = change("join = \"n6\"") + &change("replace = { nodes = \"n1\", by = \"n6\" }");
    refused(&twice, 12, "`n6` joins twice");
}

#[test]
fn nodes_that_are_not_there_are_refused() {
    refused(&change("drain = \"n9\""), 9, "no node `n9`; they are n1 to n5");
    refused(&change("drain = [\"n1\", \"n1\"]"), 9, "named twice");
    let early = "[[change]]\nat = \"9s\"\ndrain = \"n6\"\n".to_owned() + &change("join = \"n6\"");
    refused(&early, 9, "`n6` may join only at 10s");
    let unnamed = "[[change]]\nbetween = [\"5s\", \"11s\"]\njoin = 1\n".to_owned();
    refused(&(unnamed + &change("weight = { nodes = \"n6\", weight = 2.0 }")), 12, "only at 11s");
    let again = change("remove = \"n2\"") + &change("drain = \"n2\"");
    refused(&again, 12, "another change is to remove `n2`");
    let again = change("drain = \"n2\"") + &change("drain = \"n2\"");
    refused(&again, 9, "another change is to drain `n2`");
    let drained_first = change("drain = \"n2\"") + &change("remove = \"n2\"");
    assert!(elastic(&drained_first).is_ok());
    let in_turn = change("join = \"n6\"") + &change("drain = \"n6\"");
    assert!(elastic(&in_turn).is_ok(), "those of one instant are made in the file's order");
    let fault = "[[fault]]\nat = \"9s\"\ncrash = { nodes = [\"n1\", \"n6\"], back_after = \"1s\" }";
    refused(&(change("join = \"n6\"") + fault), 12, "`n6` joins at 10s at the earliest");
}

#[test]
fn enough_nodes_are_left_whatever_is_drawn() {
    refused(&change("drain = [\"n1\", \"n2\", \"n3\"]"), 9, "leave 2 nodes for 3 replicas");
    let three = change("drain = \"n1\"") + &change("remove = { any = 2 }");
    refused(&three, 12, "leave 2 nodes for 3 replicas");
    // Who joins between 5 and 11 s may not be there at 10 s.
    let join = "[[change]]\nbetween = [\"5s\", \"11s\"]\njoin = 1\n".to_owned();
    refused(&(join + &three), 15, "leave 2 nodes for 3 replicas");
    let join = "[[change]]\nat = \"9s\"\njoin = 1\n".to_owned();
    assert!(elastic(&(join + &three)).is_ok());
    let twice = change("drain = [\"n1\", \"n2\"]") + &change("remove = [\"n1\", \"n2\"]");
    assert!(elastic(&twice).is_ok(), "they are the same nodes");
    refused(&change("weight = { any = 6, weight = 2.0 }"), 9, "6 of 5 nodes that are sure");
    let four = change("replicas = 4") + &change("drain = [\"n1\", \"n2\"]");
    refused(&four, 12, "leave 3 nodes for 4 replicas");
    let four = change("drain = [\"n1\", \"n2\"]") + &change("replicas = 4");
    refused(&four, 12, "leave 3 nodes for 4 replicas");
}

#[test]
fn no_more_records_are_lost_than_the_fewest_replicas_can_repair() {
    let damage = "[[fault]]\nat = \"9s\"\nbit_rot = { any = 1, back_after = \"1s\" }";
    assert!(elastic(&(change("replicas = 5") + damage)).is_ok());
    refused(&(change("replicas = 1") + damage), 12, "with 1 replicas at most 0 nodes may lose");
}

#[test]
fn there_is_a_slot_for_every_node() {
    let few = |changes: &str| changes.replacen("[[", "slots = 6\n[[", 1);
    refused(&few(&change("join = 2")), 10, "7 nodes may have to share 6 slots");
    assert!(elastic(&few(&change("join = 1"))).is_ok());
    let replace = change("join = 1") + &change("replace = \"n1\"");
    refused(&few(&replace), 13, "7 nodes may have to share 6 slots");
    for leaves in ["drain = \"n2\"", "remove = { any = 1 }"] {
        assert!(elastic(&few(&(change(leaves) + &change("join = 2")))).is_ok(), "{leaves}");
    }
}

#[test]
fn the_dead_leave_every_shard_its_majority() {
    refused(&change("replace = [\"n1\", \"n2\"]"), 9, "at most 1 at once, or nodes of one zone");
    refused(&change("replace = { any = 2 }"), 9, "at most 1 at once");
    assert!(elastic(&change("replace = [\"n1\", \"n4\"]")).is_ok(), "they are of one zone");
    let one = elastic(&change("replace = [\"n1\", \"n4\"]").replace("[[", "replicas = 1\n[["));
    assert!(one.unwrap_err().reason.contains("at most 0 at once"));
}

#[test]
fn what_makes_no_sense_beside_changes_is_refused() {
    refused("[expect]\nmoves = \"plan\"", 8, "`moves` goes with `[[change]]`");
    refused("[expect]\nsettled_within = \"5s\"", 8, "goes with `[[change]]`");
    let join = change("join = 1");
    refused(&(join.clone() + "[expect]\nplacement = \"row\""), 11, "only where nothing changes");
    let crash = "[[fault]]\nat = \"1s\"\ncrash = { any = 1 }\n[expect]\nmoves = \"plan\"";
    refused(&(join.clone() + crash), 14, "a copy may be filled a second time");
    let storm = crash.replace("crash = { any = 1 }", "reconnect_storm = { all = true }");
    assert!(elastic(&(join.clone() + &storm)).is_ok());
    let away = "[[fault]]\nat = \"1s\"\noutlasts = true\ncrash = { any = 1 }";
    refused(&(join + away), 12, "may need the node that stays away");
    let only = change("join = 1")
        + "[[workload]]\ndestinations = { count = 1 }\nproducers = 1\nconsumers = 1\n\
           rate = \"1/s\"\nconnect = [\"n6\"]";
    refused(&only, 15, "there from the beginning, too");
}

#[test]
fn a_policy_that_no_cluster_may_have_is_refused_by_its_key() {
    let policy = |what: &str| change(&format!("set_policy = {{ {what} }}"));
    elastic(&policy("destination = \"/queue/a\", expired = \"dead-letter\"")).unwrap();
    for (what, reason) in [
        ("destination = \"a\"", "`a` is neither a queue nor a topic"),
        ("destination = \"/queue/a\", max_messages = 0", "at least 1"),
        ("destination = \"/topic/a\", when_full = \"block\"", "one slow subscriber"),
    ] {
        refused(&policy(what), 9, reason);
    }
    refused(&change("remove_policy = \"a\""), 9, "`a` is neither a queue nor a topic");
}
