//! A proxy in front of every port of every node. What it carries is as late, as slow and as held up as
//! the [`Network`] says of the way that it goes.
//!
//! It carries bytes, in order, and neither adds nor loses any, so both ends see TCP as it is: when a way
//! is cut what was sent is held, and comes when it is healed; an end of a stream is carried like a
//! byte, and a reset likewise. Who connects over a way that is cut is accepted, since the operating
//! system does that, and then hears nothing: the node learns of it only when the way is healed, and not
//! at all if the caller has given up by then.
//!
//! Who calls at a node's port for links says so in his first frame, his hello; all who call as no node
//! are clients, operators among them.

use std::{future::pending, io, net::SocketAddr, time::Instant};

use bytes::{Bytes, BytesMut};
use paceline_runtime::{
    net::{OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpStream},
    task,
};
use paceline_wire::link::{self, Frame, MAX_HELLO_BYTES};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};

use super::{
    clock,
    network::{Network, NodeId, Way},
};
use crate::observe::recorder::node_number;

/// The most that is read at once.
const PIECE: usize = 16 << 10;
/// So many pieces of a stream may be under way; then its sender waits.
const UNDER_WAY: usize = 512;

/// Who calls at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// Other nodes, and whoever asks for a status.
    Nodes,
    /// Clients only.
    Clients,
}

/// Where a node is reached.
#[derive(Clone, Copy, Debug)]
pub struct Door {
    /// Whose it is.
    pub node: NodeId,
    /// Where the node itself listens.
    pub behind: SocketAddr,
    /// Who calls.
    pub callers: Callers,
}

/// What is under way in one direction.
enum Piece {
    Bytes(Bytes),
    End,
    Reset,
}

/// Carries what comes to this door, for as long as the process lives.
pub fn serve(listener: TcpListener, door: Door, network: &'static Network) {
    drop(task::spawn(async move {
        loop {
            let Ok((caller, _)) = listener.accept().await else {
                // Out of descriptors, most likely: others must end before more can begin.
                paceline_runtime::time::sleep(std::time::Duration::from_millis(20)).await;
                continue;
            };
            drop(task::spawn(async move {
                // A stream that was reset has ended as it is to.
                let _ = carry(caller, door, network).await;
            }));
        }
    }));
}

async fn carry(mut caller: TcpStream, door: Door, network: &Network) -> io::Result<()> {
    caller.set_nodelay(true)?;
    let mut said = BytesMut::new();
    let from = match door.callers {
        Callers::Clients => network.clients(),
        Callers::Nodes => who_calls(&mut caller, &mut said, network).await?,
    };
    let (there, back) = (network.way(from, door.node), network.way(door.node, from));
    let reached = async {
        clock::until(there.arrival(0)).await;
        there.open().await;
        clock::until(back.arrival(0)).await;
        back.open().await;
    };
    tokio::select! {
        biased;
        () = reached => {}
        // Who has given up was never there.
        gone = leaves(&mut caller, &mut said) => return gone,
    }
    let called = match TcpStream::connect(door.behind).await {
        Ok(called) => called,
        Err(error) => {
            caller.set_zero_linger()?;
            return Err(error);
        }
    };
    called.set_nodelay(true)?;
    let (from_caller, to_caller) = caller.into_split();
    let (from_called, to_called) = called.into_split();
    tokio::try_join!(
        one_way(from_caller, to_called, there, said.freeze()),
        one_way(from_called, to_caller, back, Bytes::new()),
    )?;
    Ok(())
}

/// The node that calls, by its hello; the clients if it is none. What was read for that is in `said`.
async fn who_calls(
    caller: &mut TcpStream,
    said: &mut BytesMut,
    network: &Network,
) -> io::Result<NodeId> {
    let nodes = network.clients().0;
    loop {
        if caller.read_buf(said).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match link::decode(&mut said.clone()) {
            Ok(Some((_, Frame::Hello(hello)))) => {
                let node = node_number(&hello.name, nodes);
                return Ok(node.map_or(network.clients(), |node| NodeId(node as usize)));
            }
            Ok(None) if said.len() <= MAX_HELLO_BYTES => {}
            _ => return Ok(network.clients()),
        }
    }
}

/// Waits until the caller is gone, and keeps what it says meanwhile.
async fn leaves(caller: &mut TcpStream, said: &mut BytesMut) -> io::Result<()> {
    while said.len() < PIECE * UNDER_WAY {
        if caller.read_buf(said).await? == 0 {
            return Ok(());
        }
    }
    pending().await
}

/// Carries what comes from here to there, `said` first. An error ends the other direction, too.
async fn one_way(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: &Way,
    said: Bytes,
) -> io::Result<()> {
    let (sender, mut under_way) = mpsc::channel::<(Instant, Piece)>(UNDER_WAY);
    let taking = async move {
        if !said.is_empty() {
            let due = way.arrival(said.len());
            let _ = sender.send((due, Piece::Bytes(said))).await;
        }
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(PIECE);
            let piece = match from.read_buf(&mut buffer).await {
                Ok(0) => Piece::End,
                Ok(_) => Piece::Bytes(buffer.split().freeze()),
                Err(_) => Piece::Reset,
            };
            let (length, is_last) = match &piece {
                Piece::Bytes(bytes) => (bytes.len(), false),
                Piece::End | Piece::Reset => (0, true),
            };
            // Who gives lives as long as this does.
            let _ = sender.send((way.arrival(length), piece)).await;
            if is_last {
                return io::Result::Ok(());
            }
        }
    };
    let giving = async move {
        let mut is_read = true;
        let mut last = Instant::now();
        while let Some((due, piece)) = under_way.recv().await {
            // Latency varies, and the order stays.
            last = last.max(due);
            clock::until(last).await;
            way.open().await;
            match piece {
                Piece::Bytes(bytes) if is_read => {
                    way.passed(bytes.len());
                    // The reader's side says that it is gone, and in its own time.
                    is_read = to.write_all(&bytes).await.is_ok();
                }
                Piece::Bytes(_) => {}
                Piece::End => _ = to.shutdown().await,
                Piece::Reset => {
                    to.as_ref().set_zero_linger()?;
                    // Dropped it would say that all is well, and end the stream first.
                    to.forget();
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
            }
        }
        Ok(())
    };
    tokio::try_join!(taking, giving)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use paceline_runtime::{latency::Latency, time};

    use super::{
        super::{network::LinkConfig, places::on_loopback},
        *,
    };

    const MILLI: Duration = Duration::from_millis(1);
    const PATIENCE: Duration = Duration::from_secs(20);

    fn network(latency: Duration, bandwidth: Option<u64>) -> &'static Network {
        let link = LinkConfig { latency: Latency::constant(latency), bandwidth, loss: 0.0 };
        Box::leak(Box::new(Network::new(2, link, 1)))
    }

    async fn listen() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind(on_loopback(0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// A node's listener, and the address of the door before it.
    async fn door(network: &'static Network, callers: Callers) -> (TcpListener, SocketAddr) {
        let (behind, address) = listen().await;
        let (front, reached_at) = listen().await;
        serve(front, Door { node: NodeId(0), behind: address, callers }, network);
        (behind, reached_at)
    }

    /// A caller, and what the node has of it.
    async fn connected(network: &'static Network) -> (TcpStream, TcpStream) {
        let (node, address) = door(network, Callers::Clients).await;
        let caller = TcpStream::connect(address).await.unwrap();
        (caller, node.accept().await.unwrap().0)
    }

    fn run(test: impl Future<Output = ()> + Send + 'static) {
        paceline_runtime::block_on(async move {
            time::timeout(PATIENCE, test).await.expect("it ends in time");
        });
    }

    #[test]
    fn bytes_are_late_by_the_latency_of_their_way_and_whole() {
        run(async {
            let network = network(20 * MILLI, None);
            let began = Instant::now();
            let (mut caller, mut node) = connected(network).await;
            assert!(began.elapsed() >= 40 * MILLI, "there and back before it is connected");
            let began = Instant::now();
            let sent: Vec<u8> = (0..200_000u32).map(|it| it as u8).collect();
            let copy = sent.clone();
            let sending = task::spawn(async move {
                caller.write_all(&copy).await.unwrap();
                caller.shutdown().await.unwrap();
                let mut answer = String::new();
                caller.read_to_string(&mut answer).await.unwrap();
                answer
            });
            let mut came = Vec::new();
            node.read_to_end(&mut came).await.unwrap();
            assert!(began.elapsed() >= 20 * MILLI, "{:?}", began.elapsed());
            assert!(came == sent, "in order, and all of it");
            node.write_all(b"yes").await.unwrap();
            drop(node);
            assert_eq!(sending.await.unwrap(), "yes", "one direction may end before the other");
            assert!(began.elapsed() >= 40 * MILLI, "{:?}", began.elapsed());
        });
    }

    #[test]
    fn a_narrow_way_takes_its_time_over_all_connections_together() {
        run(async {
            let network = network(Duration::ZERO, Some(1_000_000));
            let (mut one, mut node_one) = connected(network).await;
            let (mut other, mut node_other) = connected(network).await;
            let began = Instant::now();
            for caller in [&mut one, &mut other] {
                caller.write_all(&[7; 100_000]).await.unwrap();
            }
            node_one.read_exact(&mut [0; 100_000]).await.unwrap();
            node_other.read_exact(&mut [0; 100_000]).await.unwrap();
            assert!(began.elapsed() >= 200 * MILLI, "{:?}", began.elapsed());
        });
    }

    #[test]
    fn what_is_cut_is_held_and_comes_when_it_is_healed() {
        run(async {
            let network = network(Duration::ZERO, None);
            let (mut caller, mut node) = connected(network).await;
            let cut = network.block(&[network.clients()], &[NodeId(0)]);
            caller.write_all(b"held").await.unwrap();
            node.write_all(b"back").await.unwrap();
            let mut said = [0; 4];
            caller.read_exact(&mut said).await.unwrap();
            assert_eq!(&said, b"back", "only one way was cut");
            let early = time::timeout(100 * MILLI, node.read(&mut said)).await;
            assert!(early.is_err(), "it came through");
            network.heal(cut);
            node.read_exact(&mut said).await.unwrap();
            assert_eq!(&said, b"held");
        });
    }

    #[test]
    fn who_connects_over_a_cut_way_hears_nothing_and_was_never_there_if_it_gives_up() {
        run(async {
            let network = network(Duration::ZERO, None);
            let (node, address) = door(network, Callers::Clients).await;
            let cut = network.partition(&[network.clients()], &[NodeId(0)]);
            let mut gone = TcpStream::connect(address).await.unwrap();
            gone.write_all(b"gone").await.unwrap();
            let mut stays = TcpStream::connect(address).await.unwrap();
            stays.write_all(b"stay").await.unwrap();
            assert!(time::timeout(100 * MILLI, node.accept()).await.is_err());
            drop(gone);
            time::sleep(100 * MILLI).await;
            cut.into_iter().for_each(|cut| network.heal(cut));
            let (mut first, _) = node.accept().await.unwrap();
            let mut said = [0; 4];
            first.read_exact(&mut said).await.unwrap();
            assert_eq!(&said, b"stay");
            assert!(time::timeout(100 * MILLI, node.accept()).await.is_err(), "nobody else");
        });
    }

    #[test]
    fn a_reset_is_a_reset_at_the_other_end() {
        run(async {
            let network = network(MILLI, None);
            let (caller, mut node) = connected(network).await;
            caller.set_zero_linger().unwrap();
            drop(caller);
            let ended = node.read(&mut [0; 4]).await;
            assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        });
    }

    #[test]
    fn a_node_that_is_down_resets_who_calls() {
        run(async {
            let network = network(MILLI, None);
            let (node, address) = door(network, Callers::Clients).await;
            drop(node);
            let mut caller = TcpStream::connect(address).await.unwrap();
            let ended = caller.read(&mut [0; 4]).await;
            assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        });
    }

    #[test]
    fn a_node_is_known_by_its_hello_and_all_others_are_clients() {
        run(async {
            let network = network(Duration::ZERO, None);
            let (node, address) = door(network, Callers::Nodes).await;
            // n2 cannot reach n1; clients can.
            network.block(&[NodeId(1)], &[NodeId(0)]);
            let mut from = Vec::new();
            for name in ["n2", "", "n3"] {
                let mut frame = BytesMut::new();
                let hello = link::Hello {
                    cluster: "x".into(),
                    node: 2,
                    name: name.into(),
                    link: String::new(),
                    openwire: String::new(),
                    lives: Vec::new(),
                    to: 1,
                    knows: None,
                    members: Vec::new(),
                    placement: String::new(),
                    policies: String::new(),
                    is_new: false,
                };
                link::encode(0, &Frame::Hello(hello), &mut frame);
                let mut caller = TcpStream::connect(address).await.unwrap();
                caller.write_all(&frame).await.unwrap();
                let accepted = time::timeout(200 * MILLI, node.accept()).await;
                if let Ok(accepted) = accepted {
                    let mut said = vec![0; frame.len()];
                    accepted.unwrap().0.read_exact(&mut said).await.unwrap();
                    assert!(said == frame, "what was read to know who calls is carried, too");
                    from.push(name);
                }
            }
            assert_eq!(from, ["", "n3"]);
        });
    }
}
