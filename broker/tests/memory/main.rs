//! How much memory a real node holds, of what clients have sent and of what is no longer there.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the process is outside of this one, on the real system"
)]

mod harness;

use std::{sync::Arc, time::Duration};

use harness::{MIB, Node, complaint, connect, pause, receive, send};
use paceline_runtime::task;
use paceline_wire::stomp::{Command, Frame, header};

/// Freed memory is given back within this time, and a little.
const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_journal_in_which_nothing_lives_costs_no_memory_once_it_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path());
    let fresh = node.resident();
    node.load("produce", &["--persistent", "--count", "13000", "--size", "4096"]);
    node.load("consume", &["--count", "13000"]);
    node.end();
    let node = Node::start(folder.path());
    // Whoever answers has applied the whole log.
    node.load("produce", &["--persistent", "--count", "1"]);
    node.until_resident_is_below(fresh + 24 * MIB, SOON).await;
}

/// The budget of `limits.receiving`, and what the connections and the program take besides.
const MOST: u64 = (256 + 64) * MIB;

/// Sixty clients send all but the end of 16 MiB each, with `headers` in their frames. Gives how many
/// were refused.
async fn sixty_unfinished_bodies(headers: &str) -> usize {
    const BODY: usize = 16 << 20;
    let folder = tempfile::tempdir().unwrap();
    let node = Arc::new(Node::start(folder.path()));
    let fresh = node.resident();
    let mut frame = format!("SEND\ndestination:/queue/large\n{headers}\n").into_bytes();
    frame.resize(frame.len() + BODY - 10, b'x');
    let frame = Arc::new(frame);
    let senders: Vec<_> = (0..60)
        .map(|_| {
            let (node, frame) = (node.clone(), frame.clone());
            task::spawn(async move {
                let mut client = connect(&node).await;
                let error = match send(&mut client, &frame).await {
                    Ok(()) => complaint(&mut client).await,
                    Err(_) => Some(receive(&mut client).await),
                };
                (client, error)
            })
        })
        .collect();
    // Who sends little is served all the while.
    let mut small = connect(&node).await;
    while !senders.iter().all(task::JoinHandle::is_finished) {
        let frame = b"SEND\ndestination:/queue/small\nreceipt:r\n\nhello\0";
        send(&mut small, frame).await.unwrap();
        assert_eq!(receive(&mut small).await.command, Command::Receipt);
        assert!(node.resident() < MOST, "{} MiB are resident", node.resident() / MIB);
        pause().await;
    }
    let mut ends = Vec::new();
    for sender in senders {
        ends.push(sender.await.unwrap());
    }
    let refused: Vec<&Frame> = ends.iter().filter_map(|(_, refused)| refused.as_ref()).collect();
    for error in &refused {
        assert_eq!(error.command, Command::Error);
        let message = error.header(header::MESSAGE).unwrap();
        assert!(message.contains("limits.receiving"), "{message}");
    }
    let refused = refused.len();
    drop(ends);
    node.until_resident_is_below(fresh + 24 * MIB, SOON).await;
    // And there is room again.
    let mut client = connect(&node).await;
    let body = "x".repeat(BODY - 10);
    let frame = format!("SEND\ndestination:/queue/large\nreceipt:r\n\n{body}\0");
    send(&mut client, frame.as_bytes()).await.unwrap();
    assert_eq!(receive(&mut client).await.command, Command::Receipt);
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_bodies_of_many_clients_take_no_more_than_the_budget() {
    let headers = format!("content-length:{}\n", 16 << 20);
    assert_eq!(sixty_unfinished_bodies(&headers).await, 60 - 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_do_bodies_of_unknown_length() {
    assert_eq!(sixty_unfinished_bodies("").await, 60 - 15);
}

#[tokio::test]
async fn clients_that_sent_and_received_large_frames_keep_no_buffers() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path());
    let fresh = node.resident();
    let body = "x".repeat(4 << 20);
    let mut clients = Vec::new();
    for number in 0..20 {
        let mut client = connect(&node).await;
        let topic = format!("destination:/topic/{number}");
        let subscribe = format!("SUBSCRIBE\nid:0\nreceipt:s\n{topic}\n\n\0");
        send(&mut client, subscribe.as_bytes()).await.unwrap();
        assert_eq!(receive(&mut client).await.command, Command::Receipt);
        let large = format!("SEND\n{topic}\ncontent-length:{}\n\n{body}\0", body.len());
        send(&mut client, large.as_bytes()).await.unwrap();
        assert_eq!(receive(&mut client).await.command, Command::Message);
        let large = large.replace(&topic, "destination:/topic/nobody\nreceipt:r");
        send(&mut client, large.as_bytes()).await.unwrap();
        assert_eq!(receive(&mut client).await.command, Command::Receipt);
        clients.push(client);
    }
    node.until_resident_is_below(fresh + 24 * MIB, SOON).await;
    for client in &mut clients {
        assert_eq!(complaint(client).await, None);
    }
}
