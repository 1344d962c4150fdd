//! The clients of a run, speaking the real protocols through the seam's sockets; they know the broker
//! by nothing but its answers. [`client`] is one connection, whatever it speaks; [`producer`] and
//! [`consumer`] are a client's life, [`canary`] is what producers of topics do at the end, and [`roll`] what is told of consumers
//! then.

mod branches;
pub mod canary;
pub mod client;
pub mod consumer;
pub mod dialogue;
mod keeping;
mod openwire;
pub mod producer;
mod pulls;
pub mod roll;
mod stomp;

use std::{
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use paceline_scenario::format::{Connect, Workload};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tokio::sync::watch;

use crate::{
    observe::recorder::SharedRecorder,
    workload::{
        Population,
        ids::{ClientId, ConnectionId},
        population::Speaks,
    },
};

/// What the clients are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Consumers connect, producers wait for them.
    Prepare,
    /// Everybody works.
    Work,
    /// Producers finish; consumers take what is left and settle all of it.
    Drain,
    /// Everybody leaves.
    Stop,
}

/// Where clients that speak this reach the node of this name, a `host:port`.
pub type Addresses = Arc<dyn Fn(Speaks, &str) -> String + Send + Sync>;

/// What every client of a run shares.
#[derive(Clone)]
pub struct Shared {
    /// Where everything is written down.
    pub recorder: SharedRecorder,
    /// What to do.
    pub phase: watch::Receiver<Phase>,
    /// Who is who.
    pub population: Arc<Population>,
    /// Counts consumers that are subscribed for the first time.
    pub ready: watch::Sender<usize>,
    /// Counts producers whose every publish has its fate.
    pub finished: watch::Sender<usize>,
    /// Counts connections.
    pub connections: Arc<AtomicU32>,
    /// Whenever it changes, clients of the nodes it names drop their connections.
    pub storm: watch::Sender<Vec<String>>,
    /// The nodes that clients connect to, by name.
    pub members: watch::Receiver<Vec<String>>,
    /// Where these are.
    pub addresses: Addresses,
}

impl Shared {
    /// The phase now.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// A name for the next connection.
    pub fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed))
    }

    /// The node of a client's connection: `attempt` counts its connections from 0.
    pub fn node(
        &self,
        workload: &Workload,
        client: ClientId,
        attempt: u32,
        random: &mut ChaCha8Rng,
    ) -> String {
        let members = self.members.borrow();
        let turn = client.0 as usize + attempt as usize;
        let node = match &workload.connect {
            Connect::RoundRobin => &members[turn % members.len()],
            Connect::Random => &members[random.random_range(0..members.len())],
            Connect::Nodes(nodes) => &nodes[turn % nodes.len()],
        };
        node.clone()
    }

    /// Where a client that speaks this reaches a node.
    pub fn address(&self, speaks: Speaks, node: &str) -> String {
        (self.addresses)(speaks, node)
    }

    /// Waits, from now on, for a storm that takes the clients of this node with it.
    pub fn storm_over(&self, node: &str) -> impl Future<Output = io::Error> + use<> {
        let (mut storm, node) = (self.storm.subscribe(), node.to_owned());
        async move {
            while storm.changed().await.is_ok() {
                if storm.borrow_and_update().contains(&node) {
                    return io::Error::other("drops its connection with all the others");
                }
            }
            // The world outlives its clients; if it does not, there are no more storms.
            std::future::pending().await
        }
    }

    /// Waits until the phase is at least `phase`.
    pub async fn reached(&mut self, phase: Phase) {
        // The world outlives its clients; if it does not, they have nothing left to do.
        let _ = self.phase.wait_for(|now| *now >= phase).await;
    }
}

/// Runs `work` until the clients are told to leave.
pub async fn until_stop(mut shared: Shared, work: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = shared.reached(Phase::Stop) => {}
        () = work => {}
    }
}
