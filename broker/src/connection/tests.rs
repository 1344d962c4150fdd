//! The connection task over real sockets, against a cluster in memory.

mod memory;

use paceline_client::{
    Lost,
    stomp::{self, Error, Options},
};
use paceline_core::session::stomp::{StompConfig, StompSession};
use paceline_runtime::{
    net::{TcpListener, TcpStream},
    task, time,
};
use paceline_wire::stomp::{Command, Frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use self::memory::Memory;
use super::*;

const LOOPBACK: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

const TIMEOUT: Duration = Duration::from_secs(10);

const CONNECT: &str = "CONNECT\naccept-version:1.2\nhost:h\n\n\0";

/// One end of a socket; [`serve`] runs on the other, and drains when the sender is dropped.
async fn dial(
    memory: &Memory,
    config: StompConfig,
    receiving: &Arc<Receiving>,
) -> (TcpStream, mpsc::UnboundedSender<Arc<Brokers>>) {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (served, _) = listener.accept().await.unwrap();
    let cluster = memory.connect();
    let (drain, drained) = mpsc::unbounded_channel();
    let session = format!("s{}", memory.connections()).into();
    let session = StompSession::new(config.into(), session);
    let (_, policies) = watch::channel(Arc::default());
    let common = Common { policies, receiving: receiving.clone() };
    task::spawn(serve(served, session, "test", common, cluster, drained));
    (stream, drain)
}

/// The same with all the memory that is needed.
async fn dial_freely(
    memory: &Memory,
    config: StompConfig,
) -> (TcpStream, mpsc::UnboundedSender<Arc<Brokers>>) {
    dial(memory, config, &Arc::new(Receiving::new(1 << 30))).await
}

struct Client {
    stomp: stomp::Client,
    /// Dropped to drain the connection.
    drain: Option<mpsc::UnboundedSender<Arc<Brokers>>>,
}

impl Client {
    /// A connection on which nothing was sent yet.
    async fn open(memory: &Memory, config: StompConfig) -> Self {
        let (stream, drain) = dial_freely(memory, config).await;
        Self { stomp: stomp::Client::begin(stream, &Options::default()), drain: Some(drain) }
    }

    async fn connect_within(memory: &Memory, receiving: &Arc<Receiving>) -> Self {
        let (stream, drain) = dial(memory, StompConfig::default(), receiving).await;
        let mut client =
            Self { stomp: stomp::Client::begin(stream, &Options::default()), drain: Some(drain) };
        client.send(CONNECT).await;
        assert_eq!(client.frame().await.command, Command::Connected);
        client
    }

    async fn connect(memory: &Memory) -> Self {
        Self::connect_within(memory, &Arc::new(Receiving::new(1 << 30))).await
    }

    async fn send(&mut self, frames: &str) {
        self.stomp.send_bytes(frames.as_bytes());
        self.stomp.flush().await.unwrap();
    }

    /// The next frame, or `None` at the end of the stream.
    async fn next(&mut self) -> Option<Frame> {
        let received = time::timeout(TIMEOUT, self.stomp.receive());
        match received.await.expect("the server answers") {
            Ok(frame) => Some(frame),
            Err(Error::Lost(Lost::Closed)) => None,
            Err(error) => panic!("{error}"),
        }
    }

    async fn frame(&mut self) -> Frame {
        self.next().await.expect("a frame")
    }

    async fn receipt(&mut self, id: &str) {
        let frame = self.frame().await;
        assert_eq!(frame.command, Command::Receipt, "{frame:?}");
        assert_eq!(frame.header("receipt-id").unwrap(), &id);
    }
}

#[tokio::test]
async fn a_message_travels_between_two_connections() {
    let memory = Memory::default();
    let mut consumer = Client::connect(&memory).await;
    let mut producer = Client::connect(&memory).await;
    consumer.send("SUBSCRIBE\nid:0\ndestination:/queue/a\nreceipt:s\n\n\0").await;
    consumer.receipt("s").await;
    producer.send("SEND\ndestination:/queue/a\nreceipt:p\n\nhello\0").await;
    producer.receipt("p").await;
    let message = consumer.frame().await;
    assert_eq!(&message.body[..], b"hello");
    memory.until(|state| state.settled == 1).await;
}

#[tokio::test]
async fn a_transaction_may_acknowledge_more_than_the_prefetch() {
    let memory = Memory::default();
    let mut client = Client::connect(&memory).await;
    let subscribe = "SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client\n";
    client.send(&format!("{subscribe}activemq.prefetchSize:2\nreceipt:s\n\n\0")).await;
    client.receipt("s").await;
    for _ in 0..7 {
        client.send("SEND\ndestination:/queue/a\n\n\0").await;
    }
    client.send("BEGIN\ntransaction:t\n\n\0").await;
    for _ in 0..7 {
        let message = client.frame().await;
        assert_eq!(message.command, Command::Message);
        let ack = message.header("ack").unwrap();
        client.send(&format!("ACK\nid:{ack}\ntransaction:t\n\n\0")).await;
    }
    client.send("COMMIT\ntransaction:t\nreceipt:c\n\n\0").await;
    client.receipt("c").await;
    memory.until(|state| state.settled == 7).await;
    // From now on it may hold two again.
    for _ in 0..3 {
        client.send("SEND\ndestination:/queue/a\nreceipt:p\n\n\0").await;
    }
    let mut commands = Vec::new();
    for _ in 0..5 {
        commands.push(client.frame().await.command);
    }
    assert_eq!(commands.iter().filter(|it| **it == Command::Message).count(), 2, "{commands:?}");
    assert_eq!(memory.state().unsettled, 2);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody() {
    let memory = Memory::default();
    let mut stuck = Client::connect(&memory).await;
    let mut consumer = Client::connect(&memory).await;
    let mut producer = Client::connect(&memory).await;
    let subscribe = "SUBSCRIBE\nid:0\ndestination:/topic/a\nreceipt:s\n\n\0";
    stuck.send(subscribe).await;
    stuck.receipt("s").await;
    consumer.send(subscribe).await;
    consumer.receipt("s").await;
    // More than all socket buffers between the two hold.
    let frame = format!("SEND\ndestination:/topic/a\n\n{}\0", "x".repeat(100_000));
    for _ in 0..200 {
        producer.send(&frame).await;
        assert_eq!(consumer.frame().await.command, Command::Message);
    }
    // The stuck client's deliveries stopped at its prefetch, and go back when it goes.
    let held = memory.state().unsettled;
    assert!((1..=100).contains(&held), "{held}");
    drop(stuck);
    memory.until(|state| state.unsettled == 0).await;
}

#[tokio::test]
async fn whatever_a_connection_held_is_released_when_it_goes() {
    let memory = Memory::default();
    let mut consumer = Client::connect(&memory).await;
    consumer.send("SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client\n\n\0").await;
    consumer.send("SEND\ndestination:/queue/a\n\n1\0SEND\ndestination:/queue/a\n\n2\0").await;
    assert_eq!(consumer.frame().await.body, "1");
    assert_eq!(consumer.frame().await.body, "2");
    drop(consumer);
    memory.until(|state| state.consumers.is_empty() && state.unsettled == 0).await;
    let mut other = Client::connect(&memory).await;
    other.send("SUBSCRIBE\nid:0\ndestination:/queue/a\n\n\0").await;
    assert_eq!(other.frame().await.header("redelivered").unwrap(), &"true");
}

/// A socket closed over unread bytes is reset rather than ended: the one is an error to the broker,
/// the other an end of file.
#[tokio::test]
async fn the_message_a_client_died_of_is_named_however_its_connection_ends() {
    const LAST: &[u8] = b"next 3\0";
    for is_reset in [false, true] {
        let memory = Memory::default();
        let (mut stream, _not_drained) = dial_freely(&memory, StompConfig::default()).await;
        let mut frames =
            format!("{CONNECT}SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client\n\n\0");
        for body in ["poison", "next 1", "next 2", "next 3"] {
            frames.push_str(&format!("SEND\ndestination:/queue/a\n\n{body}\0"));
        }
        stream.write_all(frames.as_bytes()).await.unwrap();
        // The end of the last frame is left unread, or nothing is.
        let until = &LAST[..LAST.len() - usize::from(is_reset)];
        let mut read = Vec::new();
        while !read.ends_with(until) {
            read.push(stream.read_u8().await.unwrap());
        }
        drop(stream);
        memory.until(|state| state.consumers.is_empty() && state.unsettled == 0).await;
        assert_eq!(memory.state().failed, [b"poison"], "reset: {is_reset}");
    }
}

#[tokio::test]
async fn the_last_word_arrives_even_at_a_client_that_is_sending() {
    let memory = Memory::default();
    let mut client = Client::connect(&memory).await;
    let junk = format!("BOGUS\n\n\0{}", "y".repeat(200_000));
    // The server may close before it has taken all of it.
    client.stomp.send_bytes(junk.as_bytes());
    let _ = client.stomp.flush().await;
    let error = client.frame().await;
    assert_eq!(error.command, Command::Error);
    assert!(error.header("message").unwrap().contains("`BOGUS` is not a STOMP command"));
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn a_full_cluster_holds_its_producer_back() {
    let memory = Memory::default();
    let mut producer = Client::connect(&memory).await;
    producer.send("SEND\ndestination:/queue/a\nreceipt:1\n\n\0").await;
    producer.receipt("1").await;
    memory.set_full(true);
    // What was read before it became full may still be taken in: one read.
    producer.send("SEND\ndestination:/queue/a\nreceipt:2\n\n\0").await;
    producer.receipt("2").await;
    producer.send("SEND\ndestination:/queue/a\nreceipt:3\n\n\0").await;
    time::sleep(Duration::from_millis(50)).await;
    assert_eq!(memory.state().published, 2);
    memory.set_full(false);
    producer.receipt("3").await;
}

#[tokio::test]
async fn silence_while_held_back_does_not_kill() {
    let memory = Memory::default();
    let expect = Duration::from_millis(200);
    let config = StompConfig { heart_beat_expect: expect, ..StompConfig::default() };
    let mut client = Client::open(&memory, config).await;
    client.send("CONNECT\naccept-version:1.2\nheart-beat:1,0\n\n\0").await;
    client.frame().await;
    memory.set_full(true);
    client.send("SEND\ndestination:/queue/a\nreceipt:1\n\n\0").await;
    client.receipt("1").await;
    client.send("SEND\ndestination:/queue/a\nreceipt:2\n\n\0").await;
    time::sleep(expect * 4).await;
    memory.set_full(false);
    client.receipt("2").await;
}

#[tokio::test]
async fn draining_tells_the_client_and_ends_the_connection() {
    let memory = Memory::default();
    let mut client = Client::connect(&memory).await;
    drop(client.drain.take());
    let error = client.frame().await;
    assert_eq!(error.header("message").unwrap(), &GOING_AWAY);
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn what_was_sent_before_hanging_up_is_carried_out() {
    let memory = Memory::default();
    let (mut stream, _not_drained) = dial_freely(&memory, StompConfig::default()).await;
    stream.write_all(CONNECT.as_bytes()).await.unwrap();
    let frames = "SEND\ndestination:/queue/a\n\n\0".repeat(5_000);
    stream.write_all(frames.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let answered = read_to_end(&mut stream).await;
    assert!(answered.starts_with(b"CONNECTED"));
    assert_eq!(memory.state().published, 5_000);
}

async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    time::timeout(TIMEOUT, stream.read_to_end(&mut read)).await.expect("it ends").unwrap();
    read
}

#[tokio::test]
async fn a_dead_client_is_noticed_by_its_silence() {
    let memory = Memory::default();
    let config = StompConfig {
        heart_beat_expect: Duration::from_millis(200),
        heart_beat_send: Duration::from_millis(20),
        ..StompConfig::default()
    };
    let (mut stream, _not_drained) = dial_freely(&memory, config).await;
    let connect = "CONNECT\naccept-version:1.2\nheart-beat:10,10\n\n\0\
        SUBSCRIBE\nid:0\ndestination:/queue/a\n\n\0";
    stream.write_all(connect.as_bytes()).await.unwrap();
    // CONNECTED, heart-beats, and then the end: twice 200 ms of silence are enough.
    let heard = read_to_end(&mut stream).await;
    let nul = heard.iter().position(|octet| *octet == 0).unwrap();
    assert!(heard[nul + 1..].iter().all(|octet| *octet == b'\n') && heard.len() > nul + 1);
    memory.until(|state| state.consumers.is_empty()).await;
}

/// A SEND of `bytes`, without its last `missing` bytes.
fn unfinished(bytes: usize, missing: usize) -> String {
    let head = format!("SEND\ndestination:/queue/a\nreceipt:r\ncontent-length:{bytes}\n\n");
    let end = head.len() + bytes + 1 - missing;
    let mut frame = format!("{head}{}\0", "x".repeat(bytes));
    frame.truncate(end);
    frame
}

async fn until_some_is_reserved(receiving: &Receiving) {
    let reserved = async {
        while receiving.reserved() == 0 {
            time::sleep(Duration::from_millis(2)).await;
        }
    };
    time::timeout(TIMEOUT, reserved).await.expect("something is reserved");
}

/// A budget, and two clients that share it; the first has sent half of a frame that takes it all.
async fn a_spent_budget(memory: &Memory) -> (Arc<Receiving>, Client, Client) {
    const BYTES: usize = 1 << 20;
    let receiving = Arc::new(Receiving::new(BYTES as u64 + 1));
    let mut clients = Vec::new();
    for _ in 0..2 {
        clients.push(Client::connect_within(memory, &receiving).await);
    }
    clients[0].send(&unfinished(BYTES, BYTES / 2)).await;
    until_some_is_reserved(&receiving).await;
    let second = clients.pop().unwrap();
    (receiving, clients.pop().unwrap(), second)
}

#[tokio::test]
async fn a_large_frame_waits_for_another_one_and_small_ones_do_not() {
    let memory = Memory::default();
    let (receiving, mut first, mut second) = a_spent_budget(&memory).await;
    let mut third = Client::connect_within(&memory, &receiving).await;
    let frame = unfinished(500_000, 0);
    let sending = task::spawn(async move {
        second.send(&frame).await;
        second.receipt("r").await;
        second
    });
    third.send(&unfinished(60_000, 0)).await;
    third.receipt("r").await;
    assert_eq!(memory.state().published, 1, "the large one waits");
    let rest = format!("{}\0", "x".repeat((1 << 19) - 1));
    first.send(&rest).await;
    first.receipt("r").await;
    let _second = time::timeout(TIMEOUT, sending).await.expect("it is its turn").unwrap();
    assert_eq!(memory.state().published, 3);
    assert_eq!(receiving.reserved(), 0);
}

#[tokio::test]
async fn what_a_broken_connection_had_reserved_is_free_again() {
    let memory = Memory::default();
    let (receiving, first, mut second) = a_spent_budget(&memory).await;
    let frame = unfinished(500_000, 0);
    let sending = task::spawn(async move {
        second.send(&frame).await;
        second.receipt("r").await;
    });
    time::sleep(Duration::from_millis(20)).await;
    drop(first);
    time::timeout(TIMEOUT, sending).await.expect("it is its turn").unwrap();
    assert_eq!(receiving.reserved(), 0);
}

#[tokio::test]
async fn a_large_body_of_unknown_length_reserves_the_most_it_may_have() {
    let memory = Memory::default();
    let receiving = Arc::new(Receiving::new(1 << 30));
    let mut client = Client::connect_within(&memory, &receiving).await;
    client.send(&format!("SEND\ndestination:/queue/a\nreceipt:r\n\n{}", "x".repeat(200_000))).await;
    until_some_is_reserved(&receiving).await;
    assert_eq!(receiving.reserved(), (16 << 20) + 1);
    client.send("\0").await;
    client.receipt("r").await;
    assert_eq!(receiving.reserved(), 0);
}
