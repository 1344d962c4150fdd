//! stomp.py against three real processes: every message crosses the cluster, and nothing that was
//! acknowledged is lost, even when each node in turn is killed without warning.
//!
//! `cargo suite` runs these; they need the program and a Python with stomp.py.

use std::{
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use paceline_tests::cluster::{Cluster, wait_until};
use serde_json::Value;

fn load(cluster: &Cluster, more: &[&str]) -> Result<std::process::Child> {
    client("stomp_cluster.py", cluster, more)
}

/// A program in `clients`, for a cluster.
fn client(name: &str, cluster: &Cluster, more: &[&str]) -> Result<std::process::Child> {
    let python = std::env::var_os("PACELINE_PYTHON")
        .context("PACELINE_PYTHON names no interpreter; run `cargo suite`")?;
    let script = format!("{}/clients/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(python);
    command.arg(script).args(["--nodes", &cluster.stomp_addresses()]).args(more);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?)
}

fn summary(client: std::process::Child) -> Result<Value> {
    let output = client.wait_with_output()?;
    if !output.status.success() {
        bail!("the client ended with {}", output.status);
    }
    let summary: Value = serde_json::from_slice(&output.stdout)?;
    println!("{summary}");
    Ok(summary)
}

fn assert_kept(summary: &Value) {
    assert_eq!(summary["lost_count"], 0, "acknowledged and never delivered: {summary}");
    assert_eq!(summary["invented"], serde_json::json!([]), "delivered and never sent: {summary}");
    assert_eq!(summary["second_deliveries_not_marked"], 0, "doubled without the mark: {summary}");
}

#[test]
#[ignore = "needs real clients; run by cargo suite"]
fn ten_thousand_messages_cross_three_nodes() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut cluster = Cluster::start(folder.path(), 3, 64)?;
    let summary = summary(load(&cluster, &["--messages", "10000", "--queues", "100"])?)?;
    assert_kept(&summary);
    assert_eq!(summary["acknowledged"], 10_000);
    assert_eq!(summary["deliveries"], 10_000, "with no fault, each once");
    for number in 0..3 {
        println!("n{}: {} bytes resident", number + 1, cluster.resident_bytes(number)?);
    }
    for number in 0..3 {
        assert_eq!(cluster.terminate(number)?, Some(0), "SIGTERM drains and exits 0");
    }
    Ok(())
}

#[test]
#[ignore = "needs real clients; run by cargo suite"]
fn nothing_acknowledged_is_lost_when_each_node_is_killed_in_turn() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut cluster = Cluster::start(folder.path(), 3, 64)?;
    let arguments = ["--messages", "10000", "--queues", "100", "--concurrent", "--pause", "0.005"];
    let client = load(&cluster, &arguments)?;
    for number in 0..3 {
        thread::sleep(Duration::from_secs(4));
        cluster.kill(number)?;
        thread::sleep(Duration::from_secs(2));
        cluster.spawn(number)?;
    }
    let summary = summary(client)?;
    assert_kept(&summary);
    assert!(summary["acknowledged"].as_u64() >= Some(5_000), "the load went on: {summary}");
    Ok(())
}

#[test]
#[ignore = "needs real clients; run by cargo suite"]
fn consumers_with_selectors_get_what_they_select() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let cluster = Cluster::start(folder.path(), 3, 64)?;
    let summary = summary(client("stomp_selectors.py", &cluster, &[])?)?;
    let numbers = |wanted: fn(u64) -> bool| (0..60).filter(|n| wanted(n % 6)).collect::<Vec<u64>>();
    assert_eq!(summary["text"], serde_json::json!(numbers(|kind| kind < 2)));
    assert_eq!(summary["number"], serde_json::json!(numbers(|kind| (2..5).contains(&kind))));
    assert_eq!(summary["header"], serde_json::json!(numbers(|kind| kind == 5)));
    assert_eq!(summary["none"], serde_json::json!([]), "text is not a number");
    assert_eq!(summary["errors"], serde_json::json!([]));
    let refused = summary["refused"][0].as_str().unwrap_or_default();
    assert!(refused.contains("at column 15: expected `'`, the end of the text"), "{refused}");
    Ok(())
}

#[test]
#[ignore = "needs real clients; run by cargo suite"]
fn what_is_put_off_comes_when_it_is_due_and_as_often_as_it_says() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let cluster = Cluster::start(folder.path(), 3, 64)?;
    let summary = summary(client("stomp_delayed.py", &cluster, &[])?)?;
    // Clocks are one, and what is early by a millisecond was rounded.
    for (body, due) in [
        ("later", &[1_500][..]),
        ("again", &[300, 700, 1_100]),
        ("period", &[800]),
        ("at once", &[0]),
    ] {
        let times = summary["times"][body].as_array().context("a list")?;
        assert_eq!(times.len(), due.len(), "{body} came at other times: {summary}");
        for (at, due) in times.iter().zip(due) {
            let at = at.as_i64().context("a number")?;
            assert!((due - 1..due + 1_500).contains(&at), "{body} came after {at} ms: {summary}");
        }
    }
    assert_eq!(summary["jobs"], 5);
    let refused = summary["refused"][0].as_str().unwrap_or_default();
    assert!(refused.contains("AMQ_SCHEDULED_CRON") && refused.contains("never comes"), "{refused}");
    Ok(())
}

#[test]
#[ignore = "needs real clients; run by cargo suite"]
fn policies_change_while_clients_work() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let cluster = Cluster::start(folder.path(), 3, 64)?;
    let links: Vec<_> = (0..3).map(|node| cluster.link_address(node)).collect();
    let program = cluster.program().display().to_string();
    let more = ["--program", &program, "--links", &links.join(",")];
    let summary = summary(client("stomp_policies.py", &cluster, &more)?)?;
    let said = |at: usize, what: &str| summary["said"][at][what].as_str().unwrap_or_default();
    assert!(said(0, "out").contains("all nodes go by it"), "{summary}");
    assert!(said(1, "out").contains("it never counts: /queue/> stands before it"), "{summary}");
    assert_eq!(summary["held"], 5, "so many the queue may hold: {summary}");
    assert_eq!(summary["raised"], 20, "there is more room: {summary}");
    assert_eq!(summary["removed"], 30, "nothing holds it back: {summary}");
    let all: Vec<String> = (0..30).map(|number: u32| number.to_string()).collect();
    assert_eq!(summary["came"], serde_json::json!(all), "in order");
    assert_eq!(summary["eaten"], serde_json::json!(["bad"]), "the others have expired");
    let dead = summary["dead"].as_object().context("dead letters")?;
    assert_eq!(dead.len(), 3, "what is not stored is gone: {summary}");
    for (body, cause) in [("waited", "expired before"), ("late", "expired before"), ("bad", "rej")]
    {
        let letter = &dead[body];
        assert_eq!(letter["from"], "/queue/mortal");
        assert!(letter["cause"].as_str().unwrap_or_default().starts_with(cause), "{letter}");
    }
    assert_eq!(dead["waited"]["expiration"], summary["expiration"]);
    let listed: Value = serde_json::from_str(said(5, "out"))?;
    assert_eq!(listed[0]["destination"], "/queue/>");
    assert_eq!(
        (&listed[0]["expired"], &listed[0]["max_redeliveries"]),
        (&"dead-letter".into(), &0.into())
    );
    assert!(said(6, "err").contains("--when-full: a queue without"), "{summary}");
    let codes: Vec<_> = (0..7).map(|at| summary["said"][at]["code"].as_i64()).collect();
    assert_eq!(codes, [0, 0, 0, 0, 0, 0, 1].map(Some), "{summary}");
    assert_eq!(summary["errors"], serde_json::json!([]));
    Ok(())
}

#[test]
#[ignore = "needs real clients; run by cargo suite"]
fn a_durable_subscriber_gets_what_was_sent_while_it_was_away() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let cluster = Cluster::start(folder.path(), 3, 64)?;
    let summary = summary(client("stomp_durable.py", &cluster, &[])?)?;
    let got = |visit: &str| summary[visit].clone();
    assert_eq!(got("first"), serde_json::json!(["a", "b"]), "it was not there before");
    assert_eq!(got("second"), serde_json::json!(["c", "d"]));
    assert_eq!(got("selecting"), serde_json::json!(["f"]), "another selector begins anew");
    assert_eq!(got("anew"), serde_json::json!(["h"]), "it was deleted in between");
    let errors = summary["errors"].as_array().context("errors")?;
    let in_use = errors[0].as_str().unwrap_or_default();
    assert!(errors.len() == 1 && in_use.contains("is in use by another consumer"), "{summary}");
    let refused = summary["refused"][0].as_str().unwrap_or_default();
    assert!(refused.contains("only topics have durable subscriptions"), "{refused}");
    Ok(())
}

#[test]
#[ignore = "needs real clients; run by cargo suite"]
fn consumers_browse_and_stand_before_each_other_as_they_ask() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let cluster = Cluster::start(folder.path(), 3, 64)?;
    let said = summary(client("stomp_consumers.py", &cluster, &[])?)?;
    let all = ["0", "1", "2", "3", "4"];
    assert_eq!(said["browse"], serde_json::json!([all, ["1", "3"], all, []]));
    assert_eq!(said["exclusive"], serde_json::json!([[], all[..4], ["4"]]));
    assert_eq!(said["priority"], serde_json::json!([["2", "3"], ["0", "1"]]));
    assert_eq!(said["several"], serde_json::json!([["0", "1", "2"], ["4"], []]));
    assert_eq!(said["groups"], serde_json::json!([["0", "2", "4"], ["1", "3", "5"], ["6", "7"]]));
    Ok(())
}

/// Whether all shards are where they are to be, as a node knows.
fn is_settled(cluster: &Cluster, number: usize) -> bool {
    let said = cluster.operate(number, &["status", "--json"]);
    let said = said.ok().and_then(|said| serde_json::from_slice::<Value>(&said).ok());
    said.is_some_and(|said| said["settled"] == true)
}

fn settle(cluster: &Cluster, number: usize) -> Result<()> {
    wait_until(Duration::from_secs(60), "all shards are where they are to be", || {
        is_settled(cluster, number)
    })
}

#[test]
#[ignore = "needs real clients; run by cargo suite"]
fn a_cluster_grows_and_shrinks_under_load_and_nothing_is_lost() -> Result<()> {
    const SLOTS: u32 = 64;
    let folder = tempfile::tempdir()?;
    let mut cluster = Cluster::start_some(folder.path(), 3, 4, SLOTS)?;
    let arguments = ["--messages", "30000", "--queues", "100", "--concurrent", "--pause", "0.005"];
    let client = load(&cluster, &arguments)?;
    thread::sleep(Duration::from_secs(2));

    // Three become five: each takes its share.
    cluster.spawn(3)?;
    cluster.spawn(4)?;
    settle(&cluster, 0)?;
    let said: Value = serde_json::from_slice(&cluster.operate(0, &["status", "--json"])?)?;
    let copies: Vec<u64> = said["nodes"]
        .as_array()
        .context("nodes")?
        .iter()
        .filter_map(|node| node["copies"].as_u64())
        .collect();
    let ideal = f64::from(3 * SLOTS) / 5.0;
    assert_eq!(copies.len(), 5, "{said}");
    assert!(copies.iter().all(|copies| (*copies as f64 - ideal).abs() < 1.0), "{copies:?}");

    // Each has a copy of everything, and then three of five again.
    cluster.operate(4, &["replicas", "5"])?;
    let said = cluster.operate(0, &["status"])?;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("5 copies each") && said.contains("all shards are where"), "{said}");
    assert!(cluster.operate(0, &["replicas", "6"]).is_err(), "there are five nodes");
    cluster.operate(1, &["replicas", "3"])?;

    // One is drained, and stays.
    cluster.operate(3, &["drain", "n2"])?;
    // One dies and is removed at once, though shards it led have no leader yet; another one comes.
    cluster.kill(2)?;
    cluster.operate(4, &["remove", "n3"])?;
    cluster.spawn(5)?;
    settle(&cluster, 5)?;
    // All restart, one after the other.
    for number in [0, 1, 3, 4, 5] {
        assert_eq!(cluster.terminate(number)?, Some(0));
        cluster.spawn(number)?;
        thread::sleep(Duration::from_secs(2));
    }
    // One more dies, and another one takes its place in every row.
    cluster.kill(4)?;
    let link = cluster.link_address(6);
    cluster.operate(0, &["replace", "n5", "n7", &link, "--no-wait"])?;
    cluster.spawn(6)?;
    cluster.operate(0, &["replace", "n5", "n7"])?;
    // The drained one goes.
    cluster.operate(0, &["remove", "n2"])?;
    assert_eq!(cluster.ended(1)?, Some(1), "a node that was removed says so");

    let summary = summary(client)?;
    assert_kept(&summary);
    assert!(summary["acknowledged"].as_u64() >= Some(20_000), "the load went on: {summary}");
    settle(&cluster, 0)?;
    let status = cluster.status(0)?;
    assert_eq!(status["nodes"].as_array().map(Vec::len), Some(4), "{status}");
    Ok(())
}
