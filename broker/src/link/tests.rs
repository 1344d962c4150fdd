//! Two nodes on loopback.

use std::net::SocketAddr;

use super::*;
use crate::{
    cluster::Cluster,
    config::{ClusterConfig, Member},
};

/// Answers a request with its bytes reversed, and a stream's pieces with themselves.
struct Mirror;

impl Service for Mirror {
    fn notice(self: &Arc<Self>, _from: PeerId, _body: Bytes) {}

    fn request(self: &Arc<Self>, _from: PeerId, body: Bytes, reply: Reply) {
        let mut text: Vec<u8> = postcard::from_bytes(&body).unwrap();
        text.reverse();
        reply.send(&text);
    }

    fn open(self: &Arc<Self>, _from: PeerId, _body: Bytes, mut stream: Stream) {
        task::spawn(async move {
            while let Some(body) = stream.receiver.receive().await {
                let piece: Vec<u8> = postcard::from_bytes(&body).unwrap();
                if stream.sender.send(&piece).await.is_err() {
                    return;
                }
            }
        });
    }
}

fn config(cluster: &str, names: &[&str]) -> ClusterConfig {
    let member = |name: &&str| Member {
        name: (*name).to_owned(),
        link: "127.0.0.1:1".into(),
        zone: None,
        weight: 1.0,
    };
    ClusterConfig::new(cluster, names.iter().map(member).collect())
}

fn member(node: u64, config: &ClusterConfig) -> Identity {
    Identity::member(&Cluster::of(config).unwrap(), node, 7)
}

/// Node 1 or 2 of two.
fn identity(node: u64, cluster: &str) -> Identity {
    member(node, &config(cluster, &["a", "b"]))
}

fn timings() -> Timings {
    Timings { redial_after: Duration::from_millis(5), ..Timings::default() }
}

async fn server(port: u16) -> (SocketAddr, task::JoinHandle<()>) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = task::spawn(serve(listener, identity(2, "test"), timings(), Arc::new(Mirror)));
    (address, serving)
}

async fn connected(peer: &Peer) -> Arc<Connection> {
    let mut changes = peer.watch();
    let up = time::timeout(Duration::from_secs(5), changes.wait_for(Option::is_some));
    up.await.expect("links come up").unwrap().clone().unwrap()
}

#[tokio::test]
async fn requests_are_answered_and_streams_flow_past_their_window() {
    let (address, _serving) = server(0).await;
    let peer = Peer::dial(2, address.to_string(), identity(1, "test"), timings());
    let connection = connected(&peer).await;
    assert_eq!(connection.peer(), PeerId { node: 2, incarnation: 7 });

    let answers = (0..100u8).map(|n| {
        let connection = connection.clone();
        task::spawn(async move { connection.request(&vec![n, 1, 2]).await.unwrap() })
    });
    for (n, answer) in answers.collect::<Vec<_>>().into_iter().enumerate() {
        let answer: Vec<u8> = postcard::from_bytes(&answer.await.unwrap()).unwrap();
        assert_eq!(answer, [2, 1, n as u8]);
    }

    let Stream { sender, mut receiver } = connection.open(&()).unwrap();
    let sending = task::spawn(async move {
        for n in 0..40u8 {
            sender.send(&vec![n; 200 << 10]).await.unwrap();
        }
        sender
    });
    for n in 0..40u8 {
        let body = receiver.receive().await.unwrap();
        assert_eq!(postcard::from_bytes::<Vec<u8>>(&body).unwrap(), vec![n; 200 << 10]);
    }
    sending.await.unwrap();
}

#[tokio::test]
async fn a_stream_that_nobody_reads_stops_its_sender_and_nobody_else() {
    let (address, _serving) = server(0).await;
    let peer = Peer::dial(2, address.to_string(), identity(1, "test"), timings());
    let connection = connected(&peer).await;
    let stream = connection.open(&()).unwrap();
    let mut sent = 0;
    let piece = vec![0u8; 64 << 10];
    while time::timeout(Duration::from_millis(300), stream.sender.send(&piece)).await.is_ok() {
        sent += piece.len();
        assert!(sent < 64 << 20, "the window never closes");
    }
    // Our window of pieces to the mirror, and the mirror's to us.
    assert!(sent as i64 >= window::WINDOW_BYTES);
    assert!(connection.request(&vec![1u8]).await.is_ok(), "others are held up");
}

#[tokio::test]
async fn a_lost_link_is_announced_and_dialled_again() {
    let (address, serving) = server(0).await;
    let peer = Peer::dial(2, address.to_string(), identity(1, "test"), timings());
    let connection = connected(&peer).await;
    let mut stream = connection.open(&()).unwrap();
    let asking = task::spawn({
        let connection = connection.clone();
        async move { while connection.request(&vec![1u8]).await.is_ok() {} }
    });
    serving.abort();
    let _ = serving.await;
    let gone = time::timeout(Duration::from_secs(5), async {
        assert!(stream.receiver.receive().await.is_none());
        asking.await.unwrap();
        peer.watch().wait_for(Option::is_none).await.unwrap();
    });
    gone.await.expect("the loss is seen");
    assert!(connection.open(&()).is_err());

    let (_, _serving) = server(address.port()).await;
    let again = connected(&peer).await;
    assert!(again.request(&vec![1u8]).await.is_ok());
}

/// Why somebody was refused, once somebody was.
async fn reason(of: &Identity) -> String {
    let refused = async {
        loop {
            if let Some((_, reason)) = of.refused().pop() {
                return reason;
            }
            time::sleep(Duration::from_millis(5)).await;
        }
    };
    time::timeout(Duration::from_secs(5), refused).await.expect("somebody is refused")
}

/// What both ends say of a peer that dials node 2 of `test`, of nodes a and b.
async fn refusals(dials: Identity, node: u64) -> [String; 2] {
    let here = identity(2, "test");
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    let _serving = task::spawn(serve(listener, here.clone(), timings(), Arc::new(Mirror)));
    let peer = Peer::dial(node, address.to_string(), dials.clone(), timings());
    let said = [reason(&dials).await, reason(&here).await];
    assert!(peer.connection().is_none());
    said
}

#[tokio::test]
async fn who_does_not_fit_is_refused_by_both_ends_with_the_reason() {
    let of_three = config("test", &["a", "b", "c"]);
    let salted = ClusterConfig { salt: "x".into(), ..config("test", &["a", "b"]) };
    for (dials, dialler, server) in [
        (
            identity(1, "another"),
            "the peer belongs to cluster `test`, this node to `another`",
            "the peer belongs to cluster `another`, this node to `test`",
        ),
        (
            member(1, &of_three),
            "`b` (node 2) knows the cluster otherwise: only this node has c (3)",
            "`a` (node 1) knows the cluster otherwise: only it has c (3); make",
        ),
        (member(1, &salted), "`b` places slots otherwise", "`a` places slots otherwise: by `repl"),
        (
            identity(2, "test"),
            "the peer says that it is `b`, which is this node",
            "the peer says that it is `b`, which is this node",
        ),
    ] {
        let [one, other] = refusals(dials, 2).await;
        assert!(one.starts_with(dialler), "{one}");
        assert!(other.starts_with(server), "{other}");
    }
}

#[tokio::test]
async fn another_node_at_the_address_is_not_the_one_that_was_dialled() {
    let of_three = config("test", &["a", "b", "c"]);
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    let here = member(2, &of_three);
    let _serving = task::spawn(serve(listener, here, timings(), Arc::new(Mirror)));
    let dials = member(1, &of_three);
    let peer = Peer::dial(3, address.to_string(), dials.clone(), timings());
    let refused = reason(&dials).await;
    assert!(peer.connection().is_none());
    assert!(refused.starts_with("node 2 answers at the address of node 3"), "{refused}");
}

#[test]
fn a_peer_is_the_member_that_it_says_it_is() {
    let here = identity(2, "test");
    let hello = identity(1, "test").hello();
    assert!(here.check(1, &hello).is_ok());
    for (node, name) in [(1, "b"), (3, "a")] {
        let error = here.check(1, &Hello { node, name: name.into(), ..hello.clone() });
        assert!(matches!(error, Err(LinkError::Stranger { .. })), "{node} {name}: {error:?}");
    }
}

#[test]
fn a_word_of_another_epoch_ends_the_link() {
    let (here, peer) = (identity(2, "test"), identity(1, "test").hello());
    let shared = shared::Shared::new(&here, &peer);
    assert!(shared.check_epoch(1).is_ok());
    let error = shared.check_epoch(2).unwrap_err().to_string();
    assert_eq!(error, "the peer speaks of epoch 2 of the cluster, this node has 1");
    let visitor = shared::Shared::new(&here, &Identity::visitor("test").hello());
    assert!(visitor.check_epoch(0).is_ok(), "who is no node has none");
}
