//! Strangers that connect to a node's port for clients and leave it at that: they say nothing, or
//! begin a frame. Each comes again a while after it was shown the door.

use std::time::Duration;

use paceline_runtime::{net, task::JoinHandle, time};
use paceline_scenario::fault::Flood;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::here::{NodeId, World};
use crate::{clients::Addresses, workload::population::Speaks};

/// How many connections to each node, where the fault does not say.
const CONNECTIONS: u32 = 100;
/// What is said of a frame.
const HALF_A_FRAME: &[u8] = b"CONNECT\naccept-version:1.2\nhos";
/// How long a stranger waits before it comes again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Strangers that are there until this is dropped.
pub struct Flooding {
    strangers: Vec<JoinHandle<()>>,
}

impl Flooding {
    /// Connects from the machines of the clients in turn.
    pub fn begin(
        world: World,
        hosts: &[NodeId],
        nodes: impl Iterator<Item = String>,
        addresses: &Addresses,
        flood: &Flood,
    ) -> Self {
        let half_frame = flood.half_frame == Some(true);
        let mut strangers = Vec::new();
        for address in nodes.map(|node| addresses(Speaks::Stomp, &node)) {
            for _ in 0..flood.connections.unwrap_or(CONNECTIONS) {
                let host = hosts[strangers.len() % hosts.len()];
                strangers.push(world.spawn_on(host, stranger(address.clone(), half_frame)));
            }
        }
        Self { strangers }
    }
}

impl Drop for Flooding {
    fn drop(&mut self) {
        self.strangers.iter().for_each(JoinHandle::abort);
    }
}

async fn stranger(address: String, half_frame: bool) {
    loop {
        // Whatever ends it, a node that is down or one that has enough of it, it comes again.
        let _ = linger(&address, half_frame).await;
        time::sleep(AGAIN_AFTER).await;
    }
}

/// One connection, until the node ends it.
async fn linger(address: &str, half_frame: bool) -> std::io::Result<()> {
    let address = net::resolve(address).await?;
    let mut stream = net::TcpStream::connect(address).await?;
    if half_frame {
        stream.write_all(HALF_A_FRAME).await?;
    }
    let mut said = [0; 1024];
    while stream.read(&mut said).await? > 0 {}
    Ok(())
}

#[cfg(all(test, madsim))]
mod tests {
    use std::sync::{Arc, Mutex};

    use paceline_runtime::{
        task,
        world::{NodeConfig, WorldConfig},
    };
    use paceline_scenario::STOMP_PORT;

    use super::*;

    type Ends = Arc<Mutex<Vec<(Duration, usize)>>>;

    /// Notes when a connection ends. The first is shown the door, the others may stay.
    async fn serve(mut stream: net::TcpStream, number: usize, begin: time::Instant, told: Ends) {
        let mut said = [0; HALF_A_FRAME.len()];
        stream.read_exact(&mut said).await.expect("it says as much");
        assert_eq!(said, HALF_A_FRAME);
        if number > 0 {
            let _ = stream.read(&mut said).await;
        }
        let at = time::Instant::now() - begin;
        told.lock().expect("nobody panics with it").push((at, number));
    }

    #[test]
    fn strangers_say_half_a_frame_come_again_and_leave_at_the_end() {
        let ends = Ends::default();
        let told = Arc::clone(&ends);
        let done = World::run(1, WorldConfig::default(), move |world| async move {
            let node = world.add_node(NodeConfig::new("n1"));
            let host = world.add_node(NodeConfig::new("c1"));
            let begin = time::Instant::now();
            world.spawn_on(node, async move {
                let address = ([0, 0, 0, 0], STOMP_PORT).into();
                let listener = net::TcpListener::bind(address).await.expect("it is free");
                for number in 0.. {
                    let Ok((stream, _)) = listener.accept().await else { return };
                    task::spawn(serve(stream, number, begin, Arc::clone(&told)));
                }
            });
            let fault = Flood { connections: Some(3), half_frame: Some(true), ..Flood::default() };
            let names = ["n1".to_owned()].into_iter();
            let flood = {
                let addresses = super::super::here::addresses(world);
                Flooding::begin(world, &[host], names, &addresses, &fault)
            };
            time::sleep(Duration::from_secs(5)).await;
            drop(flood);
            time::sleep(Duration::from_secs(5)).await;
        });
        done.unwrap_or_else(|crash| panic!("{crash}"));
        let ends = ends.lock().expect("nobody panics with it").clone();
        let numbers: Vec<usize> = ends.iter().map(|(_, number)| *number).collect();
        assert_eq!(numbers[0], 0);
        assert_eq!(numbers.len(), 4, "three, of whom one came twice: {numbers:?}");
        assert!(ends[1..].iter().all(|(at, _)| *at >= Duration::from_secs(5)), "{ends:?}");
    }
}
