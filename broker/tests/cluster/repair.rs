//! Nodes whose journals rot, or are gone.

use std::{collections::BTreeSet, ops::Range, time::Duration};

use paceline::node::status::ShardRole;
use paceline_core::operation::Settlement;
use paceline_runtime::{task::JoinSet, time};

use crate::harness::{Client, Cluster};

/// Longer than elections take when they can take place.
const NO_MAJORITY: Duration = Duration::from_secs(5);

async fn publish(cluster: &Cluster, node: usize, numbers: Range<u32>, sent: &mut BTreeSet<String>) {
    let mut client = Client::new(cluster.router(node));
    for number in numbers {
        let body = format!("m{number}");
        client.publish(&format!("q{}", number % 16), &body).await.unwrap();
        sent.insert(body);
    }
}

/// Consumes until all of `sent` has come.
async fn consume(cluster: &Cluster, node: usize, sent: &BTreeSet<String>) {
    let mut client = Client::new(cluster.router(node));
    client.subscribe(1, "/queue/*", 1000).await.unwrap();
    let mut missing = sent.clone();
    while !missing.is_empty() {
        let within = Duration::from_secs(30);
        let delivery = client.delivery_within(within).await;
        let delivery = delivery.unwrap_or_else(|| panic!("lost: {missing:?}"));
        missing.remove(std::str::from_utf8(delivery.message.body.bytes()).unwrap());
        client.settle(&[delivery.id], Settlement::Accept).await.unwrap();
    }
}

/// Whether nothing can be stored in any of the queues.
async fn is_refused(cluster: &Cluster, node: usize) -> bool {
    let mut clients: Vec<_> = (0..16).map(|_| Client::new(cluster.router(node))).collect();
    let mut tries = JoinSet::new();
    for (queue, mut client) in clients.drain(..).enumerate() {
        tries.spawn(async move {
            let queue = format!("q{queue}");
            time::timeout(NO_MAJORITY, client.publish(&queue, "unsure")).await
        });
    }
    while let Some(outcome) = tries.join_next().await {
        if matches!(outcome.expect("no try panics"), Ok(Ok(_))) {
            return false;
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_replica_does_not_vote_and_is_repaired_by_the_others() {
    let mut cluster = Cluster::start(3).await;
    let mut sent = BTreeSet::new();
    publish(&cluster, 0, 0..200, &mut sent).await;
    cluster.halt(2).await;
    cluster.damage(2);

    // Two of three nodes, but one of them has forgotten what it promised: no majority.
    cluster.halt(1).await;
    cluster.restart(2).await;
    assert!(is_refused(&cluster, 0).await, "a damaged replica took part");
    assert!(cluster.roles(2).await.is_empty());

    cluster.restart(1).await;
    publish(&cluster, 0, 200..240, &mut sent).await;
    cluster.repaired(2).await;

    // What comes now is on the first and the repaired one only, then the first one goes as well.
    cluster.halt(1).await;
    publish(&cluster, 0, 240..280, &mut sent).await;
    cluster.restart(1).await;
    cluster.halt(0).await;
    consume(&cluster, 1, &sent).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_goes_on_after_a_restart() {
    let mut cluster = Cluster::start(3).await;
    let mut sent = BTreeSet::new();
    publish(&cluster, 0, 0..200, &mut sent).await;
    cluster.halt(2).await;
    cluster.damage(2);
    cluster.restart(2).await;
    // As soon as the repair has begun somewhere: the journal is no longer damaged there.
    let has_begun = async {
        while !cluster.roles(2).await.contains(&ShardRole::Repairing) {
            time::sleep(Duration::from_millis(1)).await;
        }
    };
    time::timeout(Duration::from_secs(30), has_begun).await.expect("the repair begins");
    cluster.halt(2).await;
    cluster.halt(1).await;
    cluster.restart(2).await;
    assert!(is_refused(&cluster, 0).await, "a replica voted while it was being repaired");
    let roles = cluster.roles(2).await;
    assert!(!roles.is_empty(), "a restart does not undo what was begun");
    assert!(
        roles.iter().all(|role| *role == ShardRole::Repairing),
        "a restart makes none whole: {roles:?}"
    );
    cluster.restart(1).await;
    cluster.repaired(2).await;
    cluster.halt(0).await;
    consume(&cluster, 2, &sent).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_replicas_one_is_repaired_from_the_other() {
    let mut cluster = Cluster::start(2).await;
    let mut sent = BTreeSet::new();
    publish(&cluster, 0, 0..200, &mut sent).await;
    for damaged in [0, 1] {
        cluster.halt(damaged).await;
        cluster.damage(damaged);
        cluster.restart(damaged).await;
        cluster.repaired(damaged).await;
    }
    consume(&cluster, 0, &sent).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_majority_damaged_nothing_is_taken_and_nothing_is_dropped() {
    let mut cluster = Cluster::start(3).await;
    let mut sent = BTreeSet::new();
    publish(&cluster, 0, 0..200, &mut sent).await;
    for node in [1, 2] {
        cluster.halt(node).await;
    }
    let before = cluster.journal_bytes(2);
    for node in [1, 2] {
        cluster.damage(node);
    }
    for node in [1, 2] {
        cluster.restart(node).await;
    }
    assert!(is_refused(&cluster, 0).await, "two replicas that have lost records made a majority");
    assert!(cluster.roles(1).await.is_empty() && cluster.roles(2).await.is_empty());

    // The operator finds a good copy of one of them; with it the other one can be repaired.
    cluster.halt(2).await;
    cluster.put_back(2, &before);
    cluster.restart(2).await;
    cluster.repaired(1).await;
    cluster.halt(0).await;
    consume(&cluster, 1, &sent).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_an_empty_disk_does_not_vote_before_the_others_have_refilled_it() {
    let mut cluster = Cluster::start(3).await;
    let mut sent = BTreeSet::new();
    publish(&cluster, 0, 0..100, &mut sent).await;
    cluster.halt(1).await;
    // On the first and the last node only, of which the last one forgets it.
    publish(&cluster, 0, 100..200, &mut sent).await;
    cluster.halt(2).await;
    cluster.empty_disk(2);
    cluster.restart(2).await;
    cluster.told(2).await;
    cluster.halt(0).await;
    cluster.restart(1).await;
    assert!(is_refused(&cluster, 1).await, "one that was away and one that has forgotten elected");
    assert_eq!(cluster.roles(2).await, []);

    cluster.restart(0).await;
    cluster.repaired(2).await;
    publish(&cluster, 0, 200..220, &mut sent).await;
    cluster.halt(0).await;
    consume(&cluster, 2, &sent).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_nodes_two_with_empty_disks_stand_still() {
    let mut cluster = Cluster::start(3).await;
    let mut sent = BTreeSet::new();
    publish(&cluster, 0, 0..100, &mut sent).await;
    for node in [1, 2] {
        cluster.halt(node).await;
    }
    for node in [1, 2] {
        cluster.empty_disk(node);
        cluster.restart(node).await;
        cluster.told(node).await;
    }
    assert!(is_refused(&cluster, 0).await, "two nodes that have forgotten made a majority");
    assert!(cluster.roles(1).await.is_empty() && cluster.roles(2).await.is_empty());

    // The operator has no copy of theirs, and takes what the first one has for all there was.
    for node in [1, 2] {
        cluster.accept_loss(node);
        cluster.restart(node).await;
    }
    cluster.repaired(1).await;
    cluster.repaired(2).await;
    publish(&cluster, 1, 100..120, &mut sent).await;
    cluster.halt(0).await;
    consume(&cluster, 2, &sent).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_empty_nodes_that_meet_do_not_begin_without_the_third() {
    let mut cluster = Cluster::start(3).await;
    let mut sent = BTreeSet::new();
    publish(&cluster, 0, 0..100, &mut sent).await;
    for node in [0, 1, 2] {
        cluster.halt(node).await;
    }
    for node in [1, 2] {
        cluster.empty_disk(node);
        cluster.restart(node).await;
    }
    assert!(is_refused(&cluster, 1).await, "two empty nodes took themselves for a new cluster");
    cluster.restart(0).await;
    for node in [1, 2] {
        cluster.told(node).await;
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_an_older_disk_is_told_and_refilled() {
    let mut cluster = Cluster::start(3).await;
    let mut sent = BTreeSet::new();
    publish(&cluster, 0, 0..100, &mut sent).await;
    cluster.halt(2).await;
    let copy = cluster.copy_of_disk(2);
    cluster.restart(2).await;
    cluster.repaired(2).await;
    cluster.halt(1).await;
    // On the first and the last node only, of which the last one forgets it.
    publish(&cluster, 0, 100..200, &mut sent).await;
    cluster.halt(2).await;
    cluster.put_back_disk(2, &copy);
    cluster.restart(2).await;
    cluster.told(2).await;
    cluster.halt(0).await;
    cluster.restart(1).await;
    assert!(is_refused(&cluster, 1).await, "one that was away and one that has forgotten elected");

    cluster.restart(0).await;
    cluster.repaired(2).await;
    cluster.halt(0).await;
    consume(&cluster, 2, &sent).await;
    cluster.stop().await;
}
