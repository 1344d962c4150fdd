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
use paceline_tests::cluster::Cluster;
use serde_json::Value;

fn load(cluster: &Cluster, more: &[&str]) -> Result<std::process::Child> {
    let python = std::env::var_os("PACELINE_PYTHON")
        .context("PACELINE_PYTHON names no interpreter; run `cargo suite`")?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/stomp_cluster.py");
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
