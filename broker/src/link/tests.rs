//! Two nodes on loopback.

use std::net::SocketAddr;

use super::*;

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

fn identity(node: u64, cluster: &str) -> Identity {
    Identity { cluster: cluster.into(), node, incarnation: 7 }
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

#[tokio::test]
async fn strangers_are_refused() {
    let (address, _serving) = server(0).await;
    for (node, cluster) in [(2, "another"), (3, "test")] {
        let peer = Peer::dial(node, address.to_string(), identity(1, cluster), timings());
        time::sleep(Duration::from_millis(100)).await;
        assert!(peer.connection().is_none(), "{node} of {cluster}");
    }
}
