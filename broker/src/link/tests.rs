//! Two nodes on loopback.

use std::net::SocketAddr;

use paceline_membership::{Change, Epoch, Life};
use tempfile::TempDir;

use super::*;
use crate::{
    cluster::{Cluster, Later},
    config::{ClusterConfig, Member, NodeConfig, Policy},
    identity::{Claim, IdentityFile},
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

/// A node and its disk.
struct Node {
    identity: Identity,
    identity_file: Arc<IdentityFile>,
    _dir: TempDir,
}

/// A node of that cluster, of which the members are named in the order of their numbers.
async fn member(node: u64, cluster: &ClusterConfig) -> Node {
    member_with(node, cluster, &[]).await
}

/// The same with what its file says of policies.
async fn member_with(node: u64, cluster: &ClusterConfig, policies: &[Policy]) -> Node {
    let dir = tempfile::tempdir().unwrap();
    let mut config = NodeConfig::dev(dir.path().into());
    config.policies = policies.to_vec();
    config.node.name = cluster.members[node as usize - 1].name.clone();
    config.cluster = cluster.clone();
    let identity_file = Claim::take(&config).await.unwrap().identity_file;
    let identity = Identity::member(&Cluster::of(cluster).unwrap(), node, &identity_file);
    Node { identity, identity_file, _dir: dir }
}

/// Node 1 or 2 of two.
async fn node(node: u64, cluster: &str) -> Node {
    member(node, &config(cluster, &["a", "b"])).await
}

fn timings() -> Timings {
    Timings { redial_after: Duration::from_millis(5), ..Timings::default() }
}

async fn server(at: &Node, port: u16) -> (SocketAddr, task::JoinHandle<()>) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = task::spawn(serve(listener, at.identity.clone(), timings(), Arc::new(Mirror)));
    (address, serving)
}

async fn connected(peer: &Peer) -> Arc<Connection> {
    let mut changes = peer.watch();
    let up = time::timeout(Duration::from_secs(5), changes.wait_for(Option::is_some));
    up.await.expect("links come up").unwrap().clone().unwrap()
}

#[tokio::test]
async fn requests_are_answered_and_streams_flow_past_their_window() {
    let [a, b] = [node(1, "test").await, node(2, "test").await];
    let (address, _serving) = server(&b, 0).await;
    let peer = Peer::dial(2, address.to_string(), a.identity.clone(), timings(), || {});
    let connection = connected(&peer).await;
    assert_eq!(connection.peer(), PeerId { node: 2, incarnation: 1 });

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
async fn what_is_put_follows_when_the_window_opens_and_is_delivered_in_order() {
    let [a, b] = [node(1, "test").await, node(2, "test").await];
    let (address, _serving) = server(&b, 0).await;
    let peer = Peer::dial(2, address.to_string(), a.identity.clone(), timings(), || {});
    let connection = connected(&peer).await;
    let Stream { sender, receiver } = connection.open(&()).unwrap();
    // Nothing is written while this does not wait, and this is five times the window.
    for n in 0..25u8 {
        sender.put(&vec![n; 200 << 10]).unwrap();
    }
    assert!(connection.waiting_bytes() < 2 * window::WINDOW_BYTES as usize, "the window is kept");
    // The other end sends back meanwhile what its window allows, which nobody has taken yet.
    for _ in 0..200 {
        connection.request(&vec![1u8]).await.unwrap();
    }
    let (came, mut coming) = tokio::sync::mpsc::unbounded_channel();
    receiver.deliver(move |body| {
        let piece: Vec<u8> = postcard::from_bytes(&body).unwrap();
        came.send(piece[0]).is_ok() && piece[0] < 24
    });
    let all = async {
        for n in 0..25u8 {
            assert_eq!(coming.recv().await, Some(n));
        }
        // The last one was refused, which ends the stream.
        assert_eq!(coming.recv().await, None);
    };
    time::timeout(Duration::from_secs(10), all).await.expect("all of it comes");
    assert!(sender.put(&vec![0u8]).is_err(), "the stream has ended");
    assert!(connection.request(&vec![1u8]).await.is_ok(), "others go on");
}

#[tokio::test]
async fn a_stream_that_nobody_reads_stops_its_sender_and_nobody_else() {
    let [a, b] = [node(1, "test").await, node(2, "test").await];
    let (address, _serving) = server(&b, 0).await;
    let peer = Peer::dial(2, address.to_string(), a.identity.clone(), timings(), || {});
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
    let [a, b] = [node(1, "test").await, node(2, "test").await];
    let (address, serving) = server(&b, 0).await;
    let peer = Peer::dial(2, address.to_string(), a.identity.clone(), timings(), || {});
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

    let (_, _serving) = server(&b, address.port()).await;
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

/// What both ends say of one that dials node `to`.
async fn refusals(dials: &Identity, to: u64, here: &Identity) -> [String; 2] {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    let _serving = task::spawn(serve(listener, here.clone(), timings(), Arc::new(Mirror)));
    let peer = Peer::dial(to, address.to_string(), dials.clone(), timings(), || {});
    let said = [reason(dials).await, reason(here).await];
    assert!(peer.connection().is_none());
    said
}

#[tokio::test]
async fn who_does_not_fit_is_refused_by_both_ends_with_the_reason() {
    let of_three = config("test", &["a", "b", "c"]);
    let salted = ClusterConfig { salt: "x".into(), ..config("test", &["a", "b"]) };
    for (dials, dialler, server) in [
        (
            node(1, "another").await,
            "the peer belongs to cluster `test`, this node to `another`",
            "the peer belongs to cluster `another`, this node to `test`",
        ),
        (
            member(1, &of_three).await,
            "`b` (node 2) knows the cluster otherwise: only this node has c (3)",
            "`a` (node 1) knows the cluster otherwise: only it has c (3); make",
        ),
        (
            member(1, &salted).await,
            "`b` places slots otherwise",
            "`a` places slots otherwise: by `repl",
        ),
        (
            node(2, "test").await,
            "the peer says that it is `b`, which is this node",
            "the peer says that it is `b`, which is this node",
        ),
    ] {
        let here = node(2, "test").await;
        let [one, other] = refusals(&dials.identity, 2, &here.identity).await;
        assert!(one.starts_with(dialler), "{one}");
        assert!(other.starts_with(server), "{other}");
    }
}

#[tokio::test]
async fn another_node_at_the_address_is_not_the_one_that_was_dialled() {
    let of_three = config("test", &["a", "b", "c"]);
    let (here, dials) = (member(2, &of_three).await, member(1, &of_three).await);
    // What is remembered of the one is nothing that the other has forgotten.
    dials.identity_file.know(3, Life { number: 9, mark: 9 }).await.unwrap();
    for said in refusals(&dials.identity, 3, &here.identity).await {
        assert!(said.starts_with("node 2 answers at the address of node 3"), "{said}");
    }
    assert_eq!(here.identity_file.heard().borrow().forgotten, None);
}

#[tokio::test]
async fn who_begins_a_cluster_begins_it_with_the_policies_of_the_others() {
    let of_two = config("test", &["a", "b"]);
    let policy = |messages| Policy { max_messages: Some(messages), ..Policy::of("/queue/q") };
    let (one, other) =
        (member_with(1, &of_two, &[policy(1)]).await, member_with(2, &of_two, &[]).await);
    let [ours, theirs] = refusals(&one.identity, 2, &other.identity).await;
    let words = "`b` begins the cluster with other policies than this node (`-` only this node has, `+` \
                 only it: - /queue/q max_messages=1); make";
    assert!(ours.starts_with(words), "{ours}");
    assert!(theirs.contains("only it: + /queue/q max_messages=1); make"), "{theirs}");
    // A joined one with another list is told of its old life, and nothing of policies.
    for node in [&one, &other] {
        node.identity_file.join().await.unwrap();
    }
    assert!(one.identity.check(1, &other.identity.hello(1)).is_ok(), "the cluster's count by now");
    let empty = member_with(2, &of_two, &[policy(3)]).await;
    one.identity_file.know(2, other.identity_file.lives().present()).await.unwrap();
    let [told, _] = refusals(&empty.identity, 1, &one.identity).await;
    assert!(told.starts_with("`a` remembers life 1-"), "{told}");
    empty.identity_file.forget(Life { number: 1, mark: 0 }, []).await.unwrap();
    assert_eq!(empty.identity_file.policies(), None);
    assert!(one.identity.check(1, &empty.identity.hello(1)).is_ok(), "it takes the cluster's");
}

#[tokio::test]
async fn a_peer_is_the_member_that_it_says_it_is() {
    let (here, there) = (node(2, "test").await.identity, node(1, "test").await);
    let hello = there.identity.hello(2);
    assert!(here.check(1, &hello).is_ok());
    for (node, name) in [(1, "b"), (3, "a"), (9, "x")] {
        let error = here.check(1, &Hello { node, name: name.into(), ..hello.clone() });
        assert!(matches!(error, Err(LinkError::Stranger { .. })), "{node} {name}: {error:?}");
    }
}

#[tokio::test]
async fn an_empty_disk_is_refused_and_told() {
    let there = node(2, "test").await;
    let before = node(1, "test").await;
    let hello = before.identity.hello(2);
    let admitted = there.identity.admit(1, &hello).await.unwrap();
    assert_eq!(admitted.peer(), PeerId { node: 1, incarnation: 1 });
    let life = before.identity_file.lives().present();
    assert_eq!(there.identity_file.known(1), Some(life), "before any word counts");

    let empty = node(1, "test").await;
    let [told, refused] = refusals(&empty.identity, 2, &there.identity).await;
    assert!(told.starts_with("`b` remembers life 1-"), "{told}");
    assert!(refused.starts_with("`a` does not remember its life 1-"), "{refused}");
    assert_eq!(empty.identity_file.heard().borrow().forgotten, Some((2, life)));
    assert_eq!(there.identity_file.known(1), Some(life), "it is not forgotten for that");

    empty.identity_file.forget(life, [0, 5]).await.unwrap();
    assert_eq!(empty.identity_file.to_refill(), [0, 5].into());
    let again = there.identity.admit(1, &empty.identity.hello(2)).await.unwrap();
    assert_eq!(again.peer(), PeerId { node: 1, incarnation: 2 });
    let outlived = time::timeout(Duration::from_secs(5), admitted.outlived());
    outlived.await.expect("what the earlier life still says does not count");
    let error = there.identity.admit(1, &before.identity.hello(2)).await;
    assert!(matches!(error, Err(LinkError::Forgetful { .. })), "the old disk: {error:?}");
}

#[tokio::test]
async fn a_second_process_of_a_node_ends_the_first_one() {
    let (there, node) = (node(2, "test").await, node(1, "test").await);
    node.identity.admit(1, &there.identity.hello(1)).await.unwrap();
    let life = Life { number: 2, mark: 9 };
    there.identity_file.know(1, life).await.unwrap();
    assert!(node.identity.admit(1, &there.identity.hello(1)).await.is_err());
    let heard = node.identity_file.heard().borrow().clone();
    assert_eq!((heard.superseded, heard.forgotten), (Some((2, life)), None));
}

/// The cluster of `node`, one member of which has another weight since.
fn changed(config: &ClusterConfig) -> Cluster {
    let cluster = Cluster::of(config).unwrap();
    let change = Change::Weight { name: "b".into(), weight: 2.0 };
    cluster.adopt(Arc::new(cluster.view().changed(&change).unwrap().unwrap()));
    cluster
}

#[tokio::test]
async fn a_word_of_a_later_epoch_is_heard() {
    let (b, a) = (node(2, "test").await, node(1, "test").await);
    let shared = shared::Shared::new(&b.identity, &a.identity.hello(2));
    let cluster = b.identity.cluster().unwrap();
    shared.hear(1);
    assert_eq!(*cluster.later().borrow(), None);
    shared.hear(3);
    let later = Later { epoch: Epoch(3), node: 1, link: "127.0.0.1:1".into() };
    assert_eq!(*cluster.later().borrow(), Some(later));
}

#[tokio::test]
async fn peers_of_different_epochs_talk_and_the_earlier_one_hears_of_it() {
    let config = config("test", &["a", "b"]);
    let (a, b) = (member(1, &config).await, member(2, &config).await);
    let later = Identity::member(&changed(&config), 1, &a.identity_file);
    b.identity.admit(2, &later.hello(2)).await.unwrap();
    later.admit(1, &b.identity.hello(1)).await.unwrap();
    let heard = b.identity.cluster().unwrap().later().borrow().clone();
    assert_eq!(heard.map(|it| (it.epoch, it.node)), Some((Epoch(2), 1)));
    assert_eq!(*later.cluster().unwrap().later().borrow(), None);
}

#[tokio::test]
async fn who_joined_is_heard_by_those_who_do_not_know_it_and_who_was_removed_is_refused() {
    let config = config("test", &["a", "b", "c"]);
    let (a, c) = (member(1, &config).await, member(3, &config).await);
    let cluster = Cluster::of(&config).unwrap();
    for change in [
        Change::Join {
            name: "d".into(),
            link: "127.0.0.1:4".into(),
            zone: None,
            weight: 1.0,
            mark: 7,
        },
        Change::Remove { name: "c".into(), force: false },
        Change::Forget { name: "c".into() },
    ] {
        cluster.adopt(Arc::new(cluster.view().changed(&change).unwrap().unwrap()));
    }
    let fourth = Identity::member(&cluster, 4, &c.identity_file);
    a.identity.check(4, &fourth.hello(1)).unwrap();
    let error = a.identity.check(1, &fourth.hello(1)).unwrap_err();
    assert!(matches!(error, LinkError::OtherView { .. }), "at its own epoch: {error}");
    let error = fourth.check(1, &c.identity.hello(4)).unwrap_err().to_string();
    assert_eq!(error, "the peer is node 3, which is no member any more at epoch 4");
}
