//! Queues that may hold so much: what comes beyond waits at its ingress node, or is refused.

use std::time::Duration;

use paceline::{config::Policy, operator};
use paceline_core::{
    bounds::WhenFull,
    operation::{Refusal, Settlement},
};
use paceline_membership::Change;
use paceline_runtime::time::Instant;

use super::harness::{Client, Cluster};

fn policy(destination: &str, when_full: Option<WhenFull>) -> Policy {
    Policy { max_messages: Some(5), when_full, ..Policy::of(destination) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn producers_of_a_full_queue_wait_for_its_consumer_and_others_do_not() {
    let cluster = Cluster::with_policies(3, &[policy("/queue/full", None)]).await;
    let slot = cluster.slot_of("full");
    let beside = (0..).map(|number| format!("free{number}"));
    let beside = beside.into_iter().find(|queue| cluster.slot_of(queue) == slot).unwrap();
    let mut producers: Vec<_> = (0..3).map(|node| Client::new(cluster.router(node))).collect();
    let mut sent = Vec::new();
    for (node, producer) in producers.iter_mut().enumerate() {
        sent.extend((0..30).map(|number| {
            let body = format!("{node}-{number}");
            // Not all of them are stored.
            (node, producer.begin_send("/queue/full", &body, node != 2))
        }));
    }
    let mut consumer = Client::new(cluster.router(1));
    consumer.publish(&beside, "the same shard has room for others").await.unwrap();
    consumer.subscribe(1, "/queue/full", 3).await.unwrap();
    let mut next = [0; 3];
    for _ in 0..90 {
        let delivery = consumer.delivery().await;
        let body = String::from_utf8(delivery.message.body.bytes().to_vec()).unwrap();
        let (node, number) = body.split_once('-').unwrap();
        let next = &mut next[node.parse::<usize>().unwrap()];
        assert_eq!(number.parse::<usize>().unwrap(), *next, "{body} is not in order");
        *next += 1;
        for depth in cluster.depths(slot).await {
            assert!(depth <= 5 + 1, "{depth} messages, of which one is of the queue beside");
        }
        consumer.settle(&[delivery.id], Settlement::Accept).await.unwrap();
    }
    for (node, tag) in sent {
        assert_eq!(producers[node].outcome(tag).await, Ok(()));
    }
    consumer.nothing_more().await;
    assert!((0..3).all(|node| cluster.router(node).waiting().used == 0));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_in_vain_is_told_of_the_full_queue() {
    let policies = [policy("/queue/strict", Some(WhenFull::Reject)), policy("/queue/>", None)];
    let cluster = Cluster::with_policies(1, &policies).await;
    let mut client = Client::new(cluster.router(0));
    for (queue, waits) in [("strict", false), ("patient", true)] {
        for number in 0..5 {
            client.publish(queue, &format!("m{number}")).await.unwrap();
        }
        for persistent in [true, false] {
            let began = Instant::now();
            let refused = client.send(&format!("/queue/{queue}"), "m5", persistent).await;
            let Err(Refusal::Rejected(why)) = refused else { panic!("{refused:?}") };
            assert!(why.contains("is full: it holds 5 messages"), "{why}");
            assert_eq!(began.elapsed() > Duration::from_secs(1), waits, "{queue}: {why}");
        }
    }
    assert_eq!(cluster.router(0).waiting().used, 0);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_are_the_clusters_and_take_hold_while_it_works() {
    let cluster = Cluster::with_policies(3, &[policy("/queue/full", None)]).await;
    let mut producer = Client::new(cluster.router(0));
    let mut sent: Vec<_> = (0..30)
        .map(|number| producer.begin_send("/queue/full", &format!("{number}"), true))
        .collect();
    for tag in sent.drain(..5) {
        assert_eq!(producer.outcome(tag).await, Ok(()));
    }
    let slot = cluster.slot_of("full");
    let raised = Policy { max_messages: Some(20), ..policy("/queue/full", None) }.read().unwrap();
    let change = Change::SetPolicy { policy: raised.clone(), before: None };
    let view = operator::change("test", &cluster.address(1), &change).await.unwrap();
    assert_eq!(view.policies().unwrap().entries(), std::slice::from_ref(&raised));
    for tag in sent.drain(..15) {
        assert_eq!(producer.outcome(tag).await, Ok(()), "there is room for it now");
    }
    assert!(cluster.depths(slot).await.into_iter().all(|depth| depth <= 20));
    let change = Change::RemovePolicy { destination: raised.destination };
    operator::change("test", &cluster.address(2), &change).await.unwrap();
    for tag in sent {
        assert_eq!(producer.outcome(tag).await, Ok(()), "nothing holds it back any more");
    }
    let mut consumer = Client::new(cluster.router(1));
    consumer.subscribe(1, "/queue/full", 100).await.unwrap();
    for number in 0..30 {
        let body = consumer.delivery().await.message.body.bytes().to_vec();
        assert_eq!(body, number.to_string().into_bytes(), "in order");
    }
    // Files differ from it, and say so.
    assert_eq!(cluster.other_policies(2).await, ["+ /queue/full max_messages=5"]);
    cluster.stop().await;
}
