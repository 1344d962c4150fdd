//! Links: how nodes talk to each other.
//!
//! Every node dials every other node and asks over the connection it dialled, so between two nodes
//! there is one connection for each direction of asking. It is dialled again, with growing pauses,
//! for as long as the node lives. Everything between two nodes shares it: the Raft messages of all
//! shards as notices, the traffic of shard clients and snapshots as streams.

mod connection;
mod identity;
mod outbox;
mod peers;
mod refusals;
mod shared;
mod stream;
#[cfg(test)]
mod tests;
mod window;

use std::{io, sync::Arc};

use bytes::Bytes;
use paceline_membership::Life;
use paceline_runtime::{
    net::{self, TcpListener, TcpStream},
    task, time,
};
use paceline_wire::link::{EncodeError, FrameError, Hello};
use serde::Serialize;
use thiserror::Error;
use time::Duration;
use tokio::sync::{oneshot, watch};

pub use connection::{Connection, Reply};
pub use identity::Identity;
pub use peers::Peers;
pub use stream::{Stream, StreamReceiver, StreamSender};

/// A node of the cluster, at one of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId {
    /// The node's number.
    pub node: u64,
    /// Grows with each start of the node.
    pub incarnation: u64,
}

/// The times of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How long connecting and the exchange of hellos may take.
    pub connect: Duration,
    /// How often an idle link shows that it lives.
    pub ping_every: Duration,
    /// A link that was silent for so long is given up.
    pub silent_after: Duration,
    /// The first pause before dialling again; it doubles up to [`Self::redial_at_most`].
    pub redial_after: Duration,
    /// The longest pause before dialling again.
    pub redial_at_most: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            ping_every: Duration::from_millis(500),
            silent_after: Duration::from_secs(3),
            redial_after: Duration::from_millis(50),
            redial_at_most: Duration::from_secs(1),
        }
    }
}

/// Why a link failed.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The connection has ended, or there is none.
    #[error("not connected")]
    Closed,
    /// The peer did not answer or was silent for too long.
    #[error("the peer is silent")]
    Timeout,
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer sent bytes that are no frame.
    #[error("malformed frame: {0}")]
    Frame(FrameError),
    /// Something too large was to be sent.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The peer sent a frame out of turn.
    #[error("the peer sent a frame out of turn")]
    Unexpected,
    /// The peer belongs to another cluster.
    #[error(
        "the peer belongs to cluster `{its}`, this node to `{ours}`; check `cluster.name`, and the \
         addresses of its members"
    )]
    OtherCluster {
        /// The peer's.
        its: String,
        /// This node's.
        ours: Arc<str>,
    },
    /// The peer has another view of the cluster.
    #[error(
        "`{name}` (node {node}) knows the cluster otherwise: {difference}; make `cluster.members` \
         the same on all nodes"
    )]
    OtherView {
        /// The peer's number.
        node: u64,
        /// Its name.
        name: String,
        /// What differs.
        difference: String,
    },
    /// The peer places slots otherwise.
    #[error(
        "`{name}` places slots otherwise: by `{its}`, this node by `{ours}`; make [cluster] the same \
         on all nodes"
    )]
    OtherPlacement {
        /// The peer's name.
        name: String,
        /// What its placement follows from.
        its: String,
        /// What this node's follows from.
        ours: Arc<str>,
    },
    /// Both begin the cluster, each with other policies.
    #[error(
        "`{name}` begins the cluster with other policies than this node (`-` only this node has, `+` \
         only it: {difference}); make the [[policy]] entries the same in the files of all nodes that \
         begin the cluster, and start those again that you have changed"
    )]
    OtherPolicies {
        /// The peer's name.
        name: String,
        /// What is to be done to make its policies of this node's, line by line.
        difference: String,
    },
    /// The peer says that it is this node.
    #[error(
        "the peer says that it is `{0}`, which is this node; stop the other process, or give it a \
         `node.name` of its own"
    )]
    Itself(String),
    /// The peer is no node of the cluster.
    #[error("the peer says that it is node {node}, `{name}`, which the cluster does not have")]
    Stranger {
        /// The number it gives.
        node: u64,
        /// The name it gives.
        name: String,
    },
    /// The peer remembers a life of this node that this node does not.
    #[error(
        "`{name}` remembers life {life} of this node, and this node does not: its disk is empty, or \
         an older one"
    )]
    HasForgotten {
        /// The peer's name.
        name: String,
        /// The life.
        life: Life,
    },
    /// The peer does not remember a life that this node remembers of it.
    #[error(
        "`{name}` does not remember its life {life}: its disk is empty, or an older one; it is told, \
         and comes back as one that has forgotten"
    )]
    Forgetful {
        /// The peer's name.
        name: String,
        /// The life.
        life: Life,
    },
    /// The peer was a node of the cluster once.
    #[error("the peer is node {node}, which is no member any more at epoch {epoch}")]
    Removed {
        /// Its number.
        node: u64,
        /// The epoch of this node's view.
        epoch: u64,
    },
    /// Another node answers at a node's address.
    #[error(
        "node {found} answers at the address of node {expected}; check the addresses of the \
         cluster's members"
    )]
    OtherNode {
        /// Who was meant.
        expected: u64,
        /// Who answered.
        found: u64,
    },
}

/// Told by its words, so that a chain of causes does not say it twice.
impl From<FrameError> for LinkError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

impl LinkError {
    /// Whether the peer is refused for what it says of itself: it will be again.
    fn is_refusal(&self) -> bool {
        match self {
            LinkError::Frame(FrameError::Version(_) | FrameError::Magic | FrameError::Text(_))
            | LinkError::OtherCluster { .. }
            | LinkError::OtherView { .. }
            | LinkError::OtherPlacement { .. }
            | LinkError::OtherPolicies { .. }
            | LinkError::Itself(_)
            | LinkError::Stranger { .. }
            | LinkError::HasForgotten { .. }
            | LinkError::Forgetful { .. }
            | LinkError::Removed { .. }
            | LinkError::OtherNode { .. } => true,
            LinkError::Closed
            | LinkError::Timeout
            | LinkError::Io(_)
            | LinkError::Frame(_)
            | LinkError::Encode(_)
            | LinkError::Unexpected => false,
        }
    }
}

/// Serves what peers ask. No method may block; work goes into tasks.
pub trait Service: Send + Sync + 'static {
    /// A peer says something, and wants no answer.
    fn notice(self: &Arc<Self>, from: PeerId, body: Bytes);

    /// A request came in.
    fn request(self: &Arc<Self>, from: PeerId, body: Bytes, reply: Reply);

    /// A peer opened a stream; `body` says what for.
    fn open(self: &Arc<Self>, from: PeerId, body: Bytes, stream: Stream);
}

/// Accepts the links that peers dial, until it is cancelled.
pub async fn serve<S: Service>(
    listener: TcpListener,
    identity: Identity,
    timings: Timings,
    service: Arc<S>,
) {
    let mut connections = task::JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, from)) => {
                    let _ = socket.set_nodelay(true);
                    let (identity, service) = (identity.clone(), service.clone());
                    connections.spawn(async move {
                        let mut who = from.ip().to_string();
                        let ended = connection::run_accepted(
                            socket, &mut who, &identity, &timings, &service,
                        );
                        match ended.await {
                            Err(error) if error.is_refusal() => refuse(&identity, &who, &error),
                            Err(error) => {
                                tracing::debug!(%from, %error, "an accepted link ended");
                            }
                            Ok(()) => {}
                        }
                    });
                }
                Err(error) => {
                    // Out of descriptors, most likely: others must end before more can begin.
                    tracing::warn!(%error, "cannot accept a link");
                    time::sleep(timings.redial_after).await;
                }
            },
        }
    }
}

/// Notes that somebody was refused, and warns of it now and then.
fn refuse(identity: &Identity, who: &str, error: &LinkError) {
    if identity.refusals.note(who, error.to_string(), time::Instant::now()) {
        tracing::warn!(peer = who, %error, "a peer was refused");
    }
}

/// This node's side of the link to one other node. Cheap to clone; when the last clone goes, so
/// does the link.
#[derive(Clone, Debug)]
pub struct Peer {
    inner: Arc<PeerInner>,
}

#[derive(Debug)]
struct PeerInner {
    node: u64,
    address: String,
    current: watch::Receiver<Option<Arc<Connection>>>,
    dialler: task::JoinHandle<()>,
}

impl Drop for PeerInner {
    fn drop(&mut self) {
        self.dialler.abort();
    }
}

impl Peer {
    /// Begins to dial node `node` at `address`, a `host:port`. `changed` hears when the link comes or
    /// goes.
    pub fn dial(
        node: u64,
        address: String,
        identity: Identity,
        timings: Timings,
        changed: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let (up, current) = watch::channel(None);
        let dialled = address.clone();
        let dialler = task::spawn(async move {
            let mut pause = timings.redial_after;
            let mut last_error = String::new();
            loop {
                let result = dial_once(node, &address, &identity, &timings, |connection| {
                    pause = timings.redial_after;
                    last_error.clear();
                    identity.refusals.clear(&address);
                    tracing::info!(node, address, "linked");
                    up.send_replace(Some(connection));
                    changed();
                })
                .await;
                if up.send_replace(None).is_some() {
                    tracing::info!(node, address, "link lost");
                    changed();
                }
                match result {
                    Err(error) if error.is_refusal() => refuse(&identity, &address, &error),
                    Err(error) => {
                        let error = error.to_string();
                        // Said once for each reason, not at each attempt.
                        if error != last_error {
                            tracing::info!(node, address, error, "no link yet");
                            last_error = error;
                        }
                    }
                    Ok(()) => {}
                }
                time::sleep(pause).await;
                pause = (pause * 2).min(timings.redial_at_most);
            }
        });
        Self { inner: Arc::new(PeerInner { node, address: dialled, current, dialler }) }
    }

    /// The node at the other end.
    pub fn node(&self) -> u64 {
        self.inner.node
    }

    /// Where it is dialled.
    pub fn address(&self) -> &str {
        &self.inner.address
    }

    /// The present connection, if there is one.
    pub fn connection(&self) -> Option<Arc<Connection>> {
        self.inner.current.borrow().clone()
    }

    /// Tells when the link comes and goes.
    pub fn watch(&self) -> watch::Receiver<Option<Arc<Connection>>> {
        self.inner.current.clone()
    }
}

/// Asks node `node` at `address` one thing, over a connection of its own that ends with the answer.
///
/// # Errors
/// At once when the node cannot be reached, unlike with a [`Peer`], which goes on trying.
pub async fn ask<T: Serialize>(
    node: u64,
    address: &str,
    identity: &Identity,
    timings: &Timings,
    request: &T,
) -> Result<Bytes, LinkError> {
    let (up, connected) = oneshot::channel();
    let link = dial_once(node, address, identity, timings, |connection| {
        // The asker waits below, in the same task.
        let _ = up.send(connection);
    });
    let answer = async {
        let connection = connected.await.map_err(|_| LinkError::Closed)?;
        connection.request(request).await
    };
    tokio::select! {
        biased;
        answer = answer => answer,
        ended = link => Err(ended.err().unwrap_or(LinkError::Closed)),
    }
}

/// Asks whoever answers at `address` which node of which cluster it is.
///
/// # Errors
/// At once when nobody can be reached there, or nobody who speaks this version.
pub async fn who_is(address: &str, timings: &Timings) -> Result<Hello, LinkError> {
    // A node says who it is even to one of another cluster.
    let nobody = Identity::visitor("");
    connection::greet(connect(address, timings).await?, &nobody, timings).await
}

async fn dial_once(
    node: u64,
    address: &str,
    identity: &Identity,
    timings: &Timings,
    up: impl FnOnce(Arc<Connection>),
) -> Result<(), LinkError> {
    let socket = connect(address, timings).await?;
    connection::run_dialled(socket, identity, node, timings, up).await
}

async fn connect(address: &str, timings: &Timings) -> Result<TcpStream, LinkError> {
    let socket = time::timeout(timings.connect, net::connect(address))
        .await
        .map_err(|_| LinkError::Timeout)??;
    let _ = socket.set_nodelay(true);
    Ok(socket)
}
