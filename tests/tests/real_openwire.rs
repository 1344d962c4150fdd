//! ActiveMQ's own Java client, unchanged, against real nodes.
//!
//! `cargo suite` runs these; they need the program, a JDK and Debian's `libactivemq-java`.

use std::{
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use paceline_tests::cluster::Cluster;
use serde_json::Value;

/// Starts a program of `tests/clients/jms`.
fn java(program: &str, args: &[&str]) -> Result<Child> {
    let path = std::env::var_os("PACELINE_JMS")
        .context("PACELINE_JMS names no class path; run `cargo suite`")?;
    let mut java = Command::new("java");
    java.arg("-cp").arg(path).arg(program).args(args);
    Ok(java.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?)
}

fn succeeds(program: Child) -> Result<String> {
    let Output { status, stdout, .. } = program.wait_with_output()?;
    let said = String::from_utf8(stdout)?;
    println!("{said}");
    ensure!(status.success(), "the program ended with {status}");
    Ok(said)
}

#[test]
#[ignore = "needs real clients; run by cargo suite"]
fn a_producer_and_a_consumer_run_unchanged() -> Result<()> {
    for count in [1, 3] {
        let folder = tempfile::tempdir()?;
        let cluster = Cluster::start(folder.path(), count, 16)?;
        let said = succeeds(java("Producer", &[&cluster.openwire_url(0)])?)?;
        assert_eq!(said.trim(), "sent 100");
        let said = succeeds(java("Consumer", &[&cluster.openwire_url(count - 1)])?)?;
        assert_eq!(said.trim(), "received 100");
    }
    Ok(())
}

#[test]
#[ignore = "needs real clients; run by cargo suite"]
fn what_users_of_jms_rely_on_holds_on_one_node_and_on_three() -> Result<()> {
    for count in [1, 3] {
        let folder = tempfile::tempdir()?;
        let cluster = Cluster::start(folder.path(), count, 16)?;
        let (openwire, stomp) = (cluster.openwire_url(0), cluster.stomp_address(count - 1));
        let said = succeeds(java("Behaviours", &[&openwire, &stomp])?)?;
        assert!(said.lines().filter(|line| line.starts_with("ok ")).count() >= 20, "{said}");
    }
    Ok(())
}

#[test]
#[ignore = "needs real clients; run by cargo suite"]
fn failover_clients_outlive_every_node() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut cluster = Cluster::start(folder.path(), 3, 16)?;
    let load = java("Failover", &[&cluster.failover_url(), "8000", "5"])?;
    for number in 0..3 {
        thread::sleep(Duration::from_secs(2));
        cluster.kill(number)?;
        thread::sleep(Duration::from_secs(1));
        cluster.spawn(number)?;
    }
    let summary: Value = serde_json::from_str(&succeeds(load)?)?;
    assert_eq!(summary["lost_count"], 0, "acknowledged and never received: {summary}");
    assert_eq!(summary["failures"], 0, "the application saw the loss of a node: {summary}");
    assert_eq!(summary["acknowledged"], 8_000, "{summary}");
    assert!(summary["in_doubt"].as_u64() < Some(100), "{summary}");
    Ok(())
}

#[test]
#[ignore = "needs real clients; run by cargo suite"]
fn a_client_that_knows_one_node_is_told_of_the_others() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut cluster = Cluster::start(folder.path(), 3, 16)?;
    let only = format!("failover:({})", cluster.openwire_url(0));
    let load = java("Failover", &[&only, "2000", "5"])?;
    thread::sleep(Duration::from_secs(2));
    cluster.kill(0)?;
    let summary: Value = serde_json::from_str(&succeeds(load)?)?;
    assert_eq!(summary["lost_count"], 0, "acknowledged and never received: {summary}");
    assert_eq!(summary["failures"], 0, "the application saw the loss of a node: {summary}");
    assert_eq!(summary["acknowledged"], 2_000, "{summary}");
    Ok(())
}

#[test]
#[ignore = "needs real clients; run by cargo suite"]
fn transaction_managers_find_what_they_rely_on_on_one_node_and_on_three() -> Result<()> {
    for count in [1, 3] {
        let folder = tempfile::tempdir()?;
        let cluster = Cluster::start(folder.path(), count, 16)?;
        // Two queues that are led by different nodes, where there are several.
        let names = (0..16).map(|number| format!("xa.together.{number}"));
        let led: Vec<(String, String)> =
            names.map(|name| Ok((cluster.leader_of(&name)?, name))).collect::<Result<_>>()?;
        let (first, one) = &led[0];
        let other = led.iter().skip(1).find(|(leader, _)| count == 1 || leader != first);
        let (_, other) = other.context("one node leads all of them")?;
        let (here, there) = (cluster.openwire_url(0), cluster.openwire_url(count - 1));
        let said = succeeds(java("Distributed", &["behaviours", &here, &there, one, other])?)?;
        assert_eq!(said.lines().filter(|line| line.starts_with("ok ")).count(), 10, "{said}");
    }
    Ok(())
}

#[test]
#[ignore = "needs real clients; run by cargo suite"]
fn what_is_prepared_outlives_its_client_its_node_and_the_cluster() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut cluster = Cluster::start(folder.path(), 3, 16)?;
    for name in ["first", "second", "third"] {
        let said = succeeds(java("Distributed", &["prepare", &cluster.openwire_url(0), name])?)?;
        assert_eq!(said.trim(), "prepared");
    }
    cluster.kill(0)?;
    let commit = java("Distributed", &["commit", &cluster.openwire_url(2), "first"])?;
    assert_eq!(succeeds(commit)?.trim(), "done");
    for number in [1, 2] {
        cluster.kill(number)?;
    }
    // A majority is ready before the last one is.
    let starting: Vec<_> = (0..3).map(|number| cluster.spawn(number)).collect();
    starting.into_iter().collect::<Result<Vec<()>>>()?;
    let rollback = java("Distributed", &["rollback", &cluster.openwire_url(1), "second"])?;
    assert_eq!(succeeds(rollback)?.trim(), "done");

    // The operator guesses, and the transaction manager is told.
    let listed: Value = serde_json::from_str(&cluster.transactions(1, &["list", "--json"])?)?;
    let xid = listed["transactions"][0]["xid"].as_str().context("the third is prepared")?;
    assert_eq!(xid, "4660:7468697264:01", "{listed}");
    for _ in 0..2 {
        assert_eq!(
            cluster.transactions(0, &["rollback", xid])?.trim(),
            format!("{xid} is rolled back")
        );
    }
    let refused = cluster.transactions(2, &["commit", xid]).expect_err("it is rolled back");
    assert!(refused.to_string().contains("rolled back by an operator"), "{refused}");
    let heuristic = java("Distributed", &["heuristic", &cluster.openwire_url(0), "third"])?;
    assert_eq!(succeeds(heuristic)?.trim(), "done");
    let none = cluster.transactions(2, &["list"])?;
    assert_eq!(none.trim(), "no distributed transaction is prepared");
    let gone = cluster.transactions(2, &["rollback", xid]).expect_err("it is forgotten");
    assert!(gone.to_string().contains("no prepared transaction has this name"), "{gone}");
    Ok(())
}
