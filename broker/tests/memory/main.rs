//! How much memory a real node holds, of what clients have sent and of what is no longer there.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the process is outside of this one, on the real system"
)]

mod harness;

use std::{thread, time::Duration};

use harness::{Client, MIB, Node, pause};

/// Freed memory is given back within this time, and a little.
const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_journal_in_which_nothing_lives_costs_no_memory_once_it_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path());
    let fresh = node.resident();
    node.load("produce", &["--persistent", "--count", "13000", "--size", "4096"]);
    node.load("consume", &["--count", "13000"]);
    node.end();
    let node = Node::start(folder.path());
    // Whoever answers has applied the whole log.
    node.load("produce", &["--persistent", "--count", "1"]);
    node.until_resident_is_below(fresh + 24 * MIB, SOON);
}

/// The budget of `limits.receiving`, and what the connections and the program take besides.
const MOST: u64 = (256 + 64) * MIB;

/// Sixty clients send all but the end of 16 MiB each, with `headers` in their frames. Gives how many
/// were refused.
fn sixty_unfinished_bodies(headers: &str) -> usize {
    const BODY: usize = 16 << 20;
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path());
    let fresh = node.resident();
    let mut frame = format!("SEND\ndestination:/queue/large\n{headers}\n").into_bytes();
    frame.resize(frame.len() + BODY - 10, b'x');
    let ends: Vec<_> = thread::scope(|scope| {
        let send = || {
            let mut client = Client::connect(&node);
            match client.send(&frame) {
                Ok(()) if client.is_open() => (client, None),
                _ => {
                    let error = client.frame();
                    (client, Some(error))
                }
            }
        };
        let senders: Vec<_> = (0..60).map(|_| scope.spawn(send)).collect();
        // Who sends little is served all the while.
        let mut small = Client::connect(&node);
        while !senders.iter().all(thread::ScopedJoinHandle::is_finished) {
            small.send(b"SEND\ndestination:/queue/small\nreceipt:r\n\nhello\0").unwrap();
            assert!(small.frame().starts_with("RECEIPT"));
            assert!(node.resident() < MOST, "{} MiB are resident", node.resident() / MIB);
            pause();
        }
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    let refused: Vec<_> = ends.iter().filter_map(|(_, refused)| refused.as_ref()).collect();
    for error in &refused {
        assert!(error.starts_with("ERROR") && error.contains("limits.receiving"), "{error}");
    }
    let refused = refused.len();
    drop(ends);
    node.until_resident_is_below(fresh + 24 * MIB, SOON);
    // And there is room again.
    let mut client = Client::connect(&node);
    client
        .send(
            format!("SEND\ndestination:/queue/large\nreceipt:r\n\n{}\0", "x".repeat(BODY - 10))
                .as_bytes(),
        )
        .unwrap();
    assert!(client.frame().starts_with("RECEIPT"));
    refused
}

#[test]
fn unfinished_bodies_of_many_clients_take_no_more_than_the_budget() {
    assert_eq!(sixty_unfinished_bodies(&format!("content-length:{}\n", 16 << 20)), 60 - 15);
}

#[test]
fn nor_do_bodies_of_unknown_length() {
    assert_eq!(sixty_unfinished_bodies(""), 60 - 15);
}

#[test]
fn clients_that_sent_and_received_large_frames_keep_no_buffers() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path());
    let fresh = node.resident();
    let body = "x".repeat(4 << 20);
    let mut clients: Vec<_> = (0..20).map(|_| Client::connect(&node)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let topic = format!("destination:/topic/{number}");
        let subscribe = format!("SUBSCRIBE\nid:0\nreceipt:s\n{topic}\n\n\0");
        client.send(subscribe.as_bytes()).unwrap();
        assert!(client.frame().starts_with("RECEIPT"));
        let send = format!("SEND\n{topic}\ncontent-length:{}\n\n{body}\0", body.len());
        client.send(send.as_bytes()).unwrap();
        assert!(client.frame().starts_with("MESSAGE"));
        let send = send.replace(&topic, "destination:/topic/nobody\nreceipt:r");
        client.send(send.as_bytes()).unwrap();
        assert!(client.frame().starts_with("RECEIPT"));
    }
    node.until_resident_is_below(fresh + 24 * MIB, SOON);
    assert!(clients.iter_mut().all(Client::is_open));
}
