//! The connection task over real sockets, against a cluster in memory.

mod memory;

use paceline_core::session::stomp::StompConfig;
use paceline_runtime::{
    net::{TcpListener, TcpStream},
    task, time,
};
use paceline_wire::stomp::{Command, Decoder, Frame, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use self::memory::Memory;
use super::*;

const LOOPBACK: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

const TIMEOUT: Duration = Duration::from_secs(10);

/// A client on one end of a socket; [`serve_stomp`] runs on the other.
struct Client {
    stream: TcpStream,
    decoder: Decoder,
    input: BytesMut,
    /// Dropped to drain the connection.
    drain: Option<oneshot::Sender<()>>,
}

impl Client {
    /// A connection on which nothing was sent yet.
    async fn open(memory: &Memory, config: StompConfig) -> Self {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (served, _) = listener.accept().await.unwrap();
        let (cluster, events) = memory.connect();
        let (drain, drained) = oneshot::channel();
        let name = format!("s{}", memory.connections()).into();
        task::spawn(serve_stomp(
            served,
            name,
            config.into(),
            Arc::default(),
            cluster,
            events,
            drained,
        ));
        let mut decoder = Decoder::new(Default::default());
        decoder.set_version(Version::V1_2);
        Self { stream, decoder, input: BytesMut::new(), drain: Some(drain) }
    }

    async fn connect(memory: &Memory) -> Self {
        let mut client = Self::open(memory, StompConfig::default()).await;
        client.send("CONNECT\naccept-version:1.2\nhost:h\n\n\0").await;
        assert_eq!(client.frame().await.command, Command::Connected);
        client
    }

    async fn send(&mut self, frames: &str) {
        self.stream.write_all(frames.as_bytes()).await.unwrap();
    }

    /// The next frame, or `None` at the end of the stream.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.input).unwrap() {
                return Some(frame);
            }
            let read = time::timeout(TIMEOUT, self.stream.read_buf(&mut self.input));
            if read.await.expect("the server answers").unwrap() == 0 {
                return None;
            }
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
    for is_reset in [false, true] {
        let memory = Memory::default();
        let mut consumer = Client::connect(&memory).await;
        consumer.send("SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client\n\n\0").await;
        consumer.send("SEND\ndestination:/queue/a\n\npoison\0").await;
        assert_eq!(consumer.frame().await.body, "poison");
        consumer.send(&"SEND\ndestination:/queue/a\n\nnext\0".repeat(3)).await;
        if is_reset {
            consumer.stream.read_u8().await.unwrap();
        } else {
            for _ in 0..3 {
                assert_eq!(consumer.frame().await.body, "next");
            }
        }
        let _not_drained = consumer.drain.take();
        drop(consumer);
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
    let _ = client.stream.write_all(junk.as_bytes()).await;
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
    let mut producer = Client::connect(&memory).await;
    producer.send(&"SEND\ndestination:/queue/a\n\n\0".repeat(5_000)).await;
    producer.stream.shutdown().await.unwrap();
    assert_eq!(producer.next().await, None);
    assert_eq!(memory.state().published, 5_000);
}

#[tokio::test]
async fn a_dead_client_is_noticed_by_its_silence() {
    let memory = Memory::default();
    let config = StompConfig {
        heart_beat_expect: Duration::from_millis(200),
        heart_beat_send: Duration::from_millis(20),
        ..StompConfig::default()
    };
    let mut client = Client::open(&memory, config).await;
    let connect = "CONNECT\naccept-version:1.2\nheart-beat:10,10\n\n\0\
        SUBSCRIBE\nid:0\ndestination:/queue/a\n\n\0";
    client.send(connect).await;
    // CONNECTED, heart-beats, and then the end: twice 200 ms of silence are enough.
    let mut heard = Vec::new();
    time::timeout(TIMEOUT, client.stream.read_to_end(&mut heard)).await.unwrap().unwrap();
    let nul = heard.iter().position(|octet| *octet == 0).unwrap();
    assert!(heard[nul + 1..].iter().all(|octet| *octet == b'\n') && heard.len() > nul + 1);
    memory.until(|state| state.consumers.is_empty()).await;
}
