//! Nodes of one cluster in one process, on loopback and in temporary directories, driven through
//! their routers.

mod full_queue;
mod harness;
mod repair;

use std::collections::BTreeSet;

use harness::{Client, Cluster};
use paceline_core::{
    operation::{Refusal, Settlement},
    rules::DEFAULT_MAX_REDELIVERIES,
    shard::{Command, Outcome, SessionId, TransactionId, Work},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_stores_and_delivers() {
    let cluster = Cluster::start(1).await;
    let mut client = Client::new(cluster.router(0));
    for number in 0..50 {
        client.publish("orders", &format!("m{number}")).await.unwrap();
    }
    client.subscribe(1, "/queue/orders", 10).await.unwrap();
    for number in 0..50 {
        let delivery = client.delivery().await;
        assert_eq!(delivery.message.body.bytes(), format!("m{number}").as_bytes());
        assert!(!delivery.redelivered);
        client.settle(&[delivery.id], Settlement::Accept).await.unwrap();
    }
    client.nothing_more().await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_stored_is_there_after_a_restart() {
    let mut cluster = Cluster::start(1).await;
    let mut client = Client::new(cluster.router(0));
    for number in 0..20 {
        client.publish("orders", &format!("m{number}")).await.unwrap();
    }
    client.subscribe(1, "/queue/orders", 5).await.unwrap();
    let first = client.delivery().await;
    client.settle(&[first.id], Settlement::Accept).await.unwrap();
    drop(client);
    cluster.restart(0).await;
    let mut client = Client::new(cluster.router(0));
    client.subscribe(1, "/queue/orders", 100).await.unwrap();
    for number in 1..20 {
        let delivery = client.delivery().await;
        assert_eq!(delivery.message.body.bytes(), format!("m{number}").as_bytes());
        assert!(delivery.redelivered, "a new leader cannot know");
    }
    client.nothing_more().await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_replicas_are_driven_no_more_has_failed() {
    let cluster = Cluster::start(1).await;
    let error = cluster.stop_driving(0).await.to_string();
    assert!(error.starts_with("a replica has failed"), "{error}");
    cluster.stop().await;
}

/// Through nodes that do not lead the shard as well, and with messages that are not stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_kills_its_consumers_is_dead_lettered() {
    let cluster = Cluster::start(3).await;
    let mut clients: Vec<_> = (0..3).map(|node| Client::new(cluster.router(node))).collect();
    for persistent in [true, false] {
        let queue = format!("work-{persistent}");
        for body in ["poison", "good"] {
            clients[0].send(&format!("/queue/{queue}"), body, persistent).await.unwrap();
        }
        for count in 0..=u32::from(DEFAULT_MAX_REDELIVERIES) {
            let client = &mut clients[count as usize % 3];
            client.subscribe(1, &format!("/queue/{queue}"), 2).await.unwrap();
            let (poison, good) = (client.delivery().await, client.delivery().await);
            assert_eq!(&poison.message.body.bytes()[..], b"poison");
            assert_eq!((poison.redelivery_count, good.redelivery_count), (count, count));
            client.unsubscribe(1, Some(poison.id)).await.unwrap();
        }
        clients[0].subscribe(1, &format!("/queue/{queue}"), 2).await.unwrap();
        let left = clients[0].delivery().await;
        assert_eq!(&left.message.body.bytes()[..], b"good");
        clients[0].settle(&[left.id], Settlement::Accept).await.unwrap();
        clients[0].nothing_more().await;
        clients[1].subscribe(2, &format!("/queue/DLQ.{queue}"), 2).await.unwrap();
        let dead = clients[1].delivery().await;
        assert_eq!((&dead.message.body.bytes()[..], dead.redelivered), (&b"poison"[..], false));
        clients[1].settle(&[dead.id], Settlement::Accept).await.unwrap();
        clients[0].unsubscribe(1, None).await.unwrap();
        clients[1].unsubscribe(2, None).await.unwrap();
    }
    drop(clients);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_takes_and_any_node_gives() {
    let cluster = Cluster::start(3).await;
    let mut sent = BTreeSet::new();
    for node in 0..3 {
        let mut client = Client::new(cluster.router(node));
        for number in 0..30 {
            let body = format!("{node}-{number}");
            client.publish(&format!("q{}", number % 10), &body).await.unwrap();
            sent.insert(body);
        }
    }
    let mut received = BTreeSet::new();
    for node in 0..3 {
        let mut client = Client::new(cluster.router(node));
        let queues: Vec<_> = (0..10).filter(|queue| queue % 3 == node).collect();
        for queue in &queues {
            client.subscribe(*queue as u64, &format!("/queue/q{queue}"), 7).await.unwrap();
        }
        // Three from each of the three nodes.
        for _ in 0..9 * queues.len() {
            let delivery = client.delivery().await;
            let body = String::from_utf8(delivery.message.body.bytes().to_vec()).unwrap();
            assert!(received.insert(body), "delivered twice");
            client.settle(&[delivery.id], Settlement::Accept).await.unwrap();
        }
        client.nothing_more().await;
    }
    assert_eq!(received, sent);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_goes_away_gives_back_what_it_held() {
    let cluster = Cluster::start(3).await;
    let mut producer = Client::new(cluster.router(0));
    for number in 0..10 {
        producer.publish("orders", &format!("m{number}")).await.unwrap();
    }
    let mut first = Client::new(cluster.router(1));
    first.subscribe(1, "/queue/orders", 4).await.unwrap();
    for _ in 0..4 {
        first.delivery().await;
    }
    first.nothing_more().await;
    // The second one is there before the first one goes: which of the two the leader would hear of
    // first is otherwise for the two nodes' links to decide.
    let mut second = Client::new(cluster.router(2));
    second.subscribe(1, "/queue/orders", 10).await.unwrap();
    for number in 4..10 {
        let delivery = second.delivery().await;
        assert_eq!(delivery.message.body.bytes(), format!("m{number}").as_bytes());
        assert!(!delivery.redelivered);
    }
    second.nothing_more().await;
    drop(first);
    for number in 0..4 {
        let delivery = second.delivery().await;
        assert_eq!(delivery.message.body.bytes(), format!("m{number}").as_bytes());
        assert!(delivery.redelivered);
    }
    second.nothing_more().await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_and_patterns_reach_every_subscriber() {
    let cluster = Cluster::start(3).await;
    let mut all = Client::new(cluster.router(1));
    all.subscribe(1, "/topic/prices.>", 100).await.unwrap();
    let mut one = Client::new(cluster.router(2));
    one.subscribe(1, "/topic/prices.a", 100).await.unwrap();
    let mut queues = Client::new(cluster.router(2));
    queues.subscribe(1, "/queue/orders.*", 3).await.unwrap();
    let mut producer = Client::new(cluster.router(0));
    for name in ["a", "b", "c", "d"] {
        producer.send(&format!("/topic/prices.{name}"), name, true).await.unwrap();
        producer.send(&format!("/queue/orders.{name}"), name, false).await.unwrap();
    }
    let mut names = BTreeSet::new();
    for _ in 0..4 {
        names.insert(all.delivery().await.message.destination.name.to_string());
    }
    assert_eq!(names.len(), 4);
    assert_eq!(&*one.delivery().await.message.destination.name, "prices.a");
    one.nothing_more().await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(queues.delivery().await.id);
    }
    queues.nothing_more().await;
    queues.settle(&held, Settlement::Accept).await.unwrap();
    queues.delivery().await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_over_several_shards_is_all_or_nothing() {
    let cluster = Cluster::start(3).await;
    let mut client = Client::new(cluster.router(0));
    client.publish("inbox", "work").await.unwrap();
    client.subscribe(1, "/queue/inbox", 1).await.unwrap();
    let work = client.delivery().await;
    let queues: Vec<String> = (0..8).map(|number| format!("out{number}")).collect();
    let publishes: Vec<(&str, &str)> = queues.iter().map(|name| (name.as_str(), "done")).collect();
    client.commit(&publishes, &[work.id]).await.unwrap();
    // The delivery is settled already, so this one is refused as a whole.
    client.commit(&[("out0", "never"), ("out1", "never")], &[work.id]).await.unwrap_err();
    client.nothing_more().await;
    let mut reader = Client::new(cluster.router(1));
    reader.subscribe(1, "/queue/out*", 100).await.ok();
    reader.subscribe(2, "/queue/*", 100).await.unwrap();
    let mut found = BTreeSet::new();
    for _ in &queues {
        let delivery = reader.delivery().await;
        assert_eq!(&delivery.message.body.bytes()[..], b"done");
        assert!(found.insert(delivery.message.destination.name.to_string()));
    }
    reader.nothing_more().await;
    assert_eq!(found.into_iter().collect::<Vec<_>>(), queues);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_nodes_fail_in_turn() {
    let mut cluster = Cluster::start(3).await;
    let mut acknowledged = BTreeSet::new();
    let mut number = 0;
    for failing in [0, 1, 2] {
        let survivor = (failing + 1) % 3;
        let mut client = Client::new(cluster.router(survivor));
        for _ in 0..40 {
            let body = format!("m{number}");
            client.publish(&format!("q{}", number % 8), &body).await.unwrap();
            acknowledged.insert(body);
            number += 1;
        }
        cluster.halt(failing).await;
        for _ in 0..40 {
            let body = format!("m{number}");
            client.publish(&format!("q{}", number % 8), &body).await.unwrap();
            acknowledged.insert(body);
            number += 1;
        }
        cluster.restart(failing).await;
    }
    let mut client = Client::new(cluster.router(0));
    client.subscribe(1, "/queue/*", 1000).await.unwrap();
    let mut received = BTreeSet::new();
    while received.len() < acknowledged.len() {
        let delivery = client.delivery().await;
        received.insert(String::from_utf8(delivery.message.body.bytes().to_vec()).unwrap());
        client.settle(&[delivery.id], Settlement::Accept).await.unwrap();
    }
    assert_eq!(received, acknowledged);
    client.nothing_more().await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_hands_over_what_it_leads() {
    let mut cluster = Cluster::start(3).await;
    let mut client = Client::new(cluster.router(0));
    for queue in 0..8 {
        client.publish(&format!("q{queue}"), "before").await.unwrap();
    }
    let led: Vec<_> = cluster.shards_led_by(1).await;
    assert!(!led.is_empty());
    cluster.shut_down(1).await;
    // Without a hand-over, followers would still be waiting for their leader's lease to end.
    for (slot, term) in led {
        assert!(cluster.latest_term(slot).await > term, "slot {slot} is still in term {term}");
    }
    for queue in 0..8 {
        client.publish(&format!("q{queue}"), "after").await.unwrap();
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_whose_ingress_node_has_died_is_rolled_back() {
    let cluster = Cluster::start(3).await;
    let mut client = Client::new(cluster.router(0));
    client.publish("a", "kept").await.unwrap();
    let mut consumer = Client::new(cluster.router(1));
    consumer.subscribe(1, "/queue/a", 1).await.unwrap();
    consumer.delivery().await;
    drop(consumer);
    // A part in the shard of `a`; the coordinator never hears of it from whoever prepared it.
    let (slot, coordinator) = (cluster.slot_of("a"), cluster.other_slot("a"));
    let settles = vec![(cluster.only_message(slot).await, Settlement::Accept)];
    let transaction = TransactionId { session: SessionId { node: 77, incarnation: 1 }, number: 1 };
    let work = Work { publishes: Vec::new(), settles };
    let prepare = Command::Prepare { transaction, coordinator, work };
    assert_eq!(cluster.router(2).command(slot, prepare).await, Outcome::Done);
    // While it is prepared nobody gets the message, then it is there again.
    let mut consumer = Client::new(cluster.router(1));
    consumer.subscribe(1, "/queue/a", 1).await.unwrap();
    let delivery = consumer.delivery().await;
    assert_eq!(&delivery.message.body.bytes()[..], b"kept");
    let late = Command::Decide { transaction, commit: true, participants: vec![slot] };
    let decided = cluster.router(2).command(coordinator, late).await;
    assert_eq!(decided, Outcome::Decided { commit: false }, "an abort is recorded");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_that_its_ingress_node_left_behind_is_forgotten() {
    let cluster = Cluster::start(3).await;
    let mut client = Client::new(cluster.router(0));
    client.publish("a", "settled").await.unwrap();
    let (slot, coordinator) = (cluster.slot_of("a"), cluster.other_slot("a"));
    let settles = vec![(cluster.only_message(slot).await, Settlement::Accept)];
    let transaction = TransactionId { session: SessionId { node: 77, incarnation: 1 }, number: 1 };
    let work = Work { publishes: Vec::new(), settles };
    let decide = Command::Decide { transaction, commit: true, participants: vec![slot] };
    let router = cluster.router(2);
    let prepare = Command::Prepare { transaction, coordinator, work };
    assert_eq!(router.command(slot, prepare).await, Outcome::Done);
    assert_eq!(router.command(coordinator, decide).await, Outcome::Decided { commit: true });
    // It dies when the part is finished, of which nobody but itself would tell the coordinator.
    let finish = Command::Finish { transaction, commit: true };
    assert_eq!(router.command(slot, finish).await, Outcome::Done);
    cluster.decisions_forgotten(coordinator).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledging_what_is_not_stored_succeeds_whoever_leads_now() {
    let mut cluster = Cluster::start(3).await;
    let (node, queue) = loop {
        let led = cluster.shards_led_by(1).await;
        let mut names = (0..100).map(|number| format!("q{number}"));
        let is_led = |name: &String| led.iter().any(|(slot, _)| *slot == cluster.slot_of(name));
        if let Some(queue) = names.find(is_led) {
            break (1, queue);
        }
    };
    let mut client = Client::new(cluster.router(0));
    client.subscribe(1, &format!("/queue/{queue}"), 10).await.unwrap();
    for body in ["first", "second", "third"] {
        client.send(&format!("/queue/{queue}"), body, false).await.unwrap();
    }
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(client.delivery().await.id);
    }
    cluster.halt(node).await;
    // There is no leader yet, perhaps; then there is another one.
    client.settle(&held[..1], Settlement::Accept).await.unwrap();
    client.publish(&queue, "stored").await.unwrap();
    client.settle(&held[1..2], Settlement::Accept).await.unwrap();
    let stored = client.delivery().await.id;
    client.commit(&[(&queue, "reply")], &[stored, held[2]]).await.unwrap();
    assert_eq!(&client.delivery().await.message.body.bytes()[..], b"reply");
    client.nothing_more().await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_shard_without_a_majority_is_bounded() {
    let mut cluster = Cluster::start(3).await;
    let mut client = Client::new(cluster.router(0));
    client.publish("a", "before").await.unwrap();
    cluster.halt(1).await;
    cluster.halt(2).await;
    let body = "x".repeat(100_000);
    let begun: Vec<_> = (0..14).map(|_| client.begin_publish("a", &body)).collect();
    // Some of it is within the budget of 1 MiB, whether the leader has resigned yet or not.
    let refused = client.outcome(*begun.last().unwrap()).await;
    assert!(matches!(&refused, Err(Refusal::Rejected(why)) if why.contains("try again later")));
    let waiting = cluster.router(0).waiting();
    assert!((400_000..=1 << 20).contains(&waiting.used), "{waiting:?}");
    cluster.restart(1).await;
    cluster.restart(2).await;
    client.outcome(begun[0]).await.unwrap();
    client.publish("a", "after").await.unwrap();
    assert_eq!(cluster.router(0).waiting().used, 0);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_messages_take_in_memory_is_bounded_over_all_shards() {
    const MEMORY: u64 = 1 << 20;
    let cluster = Cluster::start(1).await;
    let mut client = Client::new(cluster.router(0));
    let body = |number: usize| format!("{number:06}").repeat(20_000);
    // In the journal as well: there is room for all of them.
    for number in 0..30 {
        client.publish(&format!("q{}", number % 6), &body(number)).await.unwrap();
        assert!(cluster.memory(0).await <= MEMORY);
    }
    // In memory only, in whichever shards: there is room until it is used up.
    let mut taken = 0;
    let refused = loop {
        match client.send(&format!("/queue/v{}", taken % 6), &body(taken), false).await {
            Ok(()) => taken += 1,
            Err(why) => break why,
        }
        assert!(taken < 30);
    };
    assert!(matches!(&refused, Refusal::Rejected(why) if why.contains("limits.memory")));
    // A message has its body for an id here, too.
    assert_eq!(taken, MEMORY as usize / 240_000);
    assert!(cluster.memory(0).await <= MEMORY);
    for queue in 0..6 {
        client.subscribe(queue, &format!("/queue/q{queue}"), 10).await.unwrap();
        for number in 0..5 {
            let delivery = client.delivery().await;
            let expected = body(number * 6 + queue as usize);
            assert_eq!(delivery.message.body.bytes(), expected.as_bytes());
            client.settle(&[delivery.id], Settlement::Accept).await.unwrap();
        }
    }
    client.subscribe(9, "/queue/v0", 1).await.unwrap();
    let delivery = client.delivery().await;
    client.settle(&[delivery.id], Settlement::Accept).await.unwrap();
    client.send("/queue/v5", &body(0), false).await.unwrap();
    cluster.stop().await;
}
