//! A node from its start to its end: the one way to run a broker, for the binary and the simulator.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use paceline_placement::PlacementError;
use paceline_reached::{Point, reached};
use paceline_runtime::{
    net::TcpListener,
    shutdown,
    task::{self, JoinError},
    time::Instant,
    trace,
};
use paceline_store::JournalError;
use thiserror::Error;

use crate::{
    config::{Address, NodeConfig, Wrong},
    drain::Drain,
    identity::{Claim, ClaimError},
    listener::StompListener,
    policy::Policies,
};

use super::Replicas;

/// Why a node did not start, or did not go on.
#[derive(Debug, Error)]
pub enum NodeError {
    /// The configuration makes no sense.
    #[error("{}: {}", .0.key, .0.reason)]
    Config(Wrong),
    /// The data directory is not this node's to use.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The slots cannot be placed on the members.
    #[error("cluster.slots: {0}")]
    Placement(#[from] PlacementError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A shard's replica did not start.
    #[error("the replica of slot {slot} did not start: {reason}")]
    Replica {
        /// The slot.
        slot: u32,
        /// Why.
        reason: String,
    },
    /// A listening address could not be had.
    #[error("cannot listen on {address} ({key}): {error}; {}", listen_advice(.error))]
    Listen {
        /// The address.
        address: Address,
        /// The setting that names it.
        key: &'static str,
        /// What the system says.
        error: io::Error,
    },
}

impl NodeError {
    /// What the disk said, if the node ended because its disk refused.
    pub fn disk(&self) -> Option<&io::Error> {
        match self {
            NodeError::Claim(ClaimError::Io { error, .. }) => Some(error),
            NodeError::Journal(error) => error.disk(),
            _ => None,
        }
    }
}

fn listen_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "stop the process that has this port, or choose another one",
        io::ErrorKind::AddrNotAvailable => "use an address of this machine, or 0.0.0.0 for all",
        io::ErrorKind::NotFound => "use a name that is known here, or an address of this machine",
        io::ErrorKind::PermissionDenied => "ports below 1024 need more rights; choose another one",
        _ => "choose another address",
    }
}

/// What a node can say once it serves.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Where STOMP clients are served, with the port that was really bound.
    pub stomp: SocketAddr,
    /// Where other nodes are served, likewise.
    pub link: SocketAddr,
    /// How long the start took.
    pub after: Duration,
}

/// Runs a node until it is asked to stop, then drains it: no new clients, what was begun is ended,
/// clients are told.
///
/// # Errors
///
/// See [`NodeError`]; each says what to do.
pub async fn run(config: NodeConfig) -> Result<(), NodeError> {
    run_with(config, |_| {}).await
}

/// As [`run`], and calls `on_ready` once clients are served.
pub async fn run_with(
    config: NodeConfig,
    on_ready: impl FnOnce(&Ready) + Send,
) -> Result<(), NodeError> {
    let began = Instant::now();
    config.check().map_err(NodeError::Config)?;
    let claim = Claim::take(&config).await?;
    let (listener, stomp) = listen(&config.listen.stomp, "listen.stomp").await?;
    let (links, link) = listen(&config.listen.link, "listen.link").await?;
    let drain = Drain::default();

    let replicas = Replicas::start(&config, claim.incarnation, links).await?;
    let router = replicas.router().clone();
    let clients = StompListener {
        router,
        config: Arc::new(config.stomp_session()),
        policies: Arc::new(Policies::new(&config.policies).expect("checked above")),
        max_connections: config.limits.connections,
        name: format!("{}-{}", config.node.name, claim.incarnation),
        drain: drain.clone(),
        listener,
    };
    let clients = task::spawn(clients.run());
    trace::event!("node_ready");
    on_ready(&Ready { stomp, link, after: began.elapsed() });

    let failure = tokio::select! {
        biased;
        () = shutdown::requested() => None,
        error = replicas.failed() => Some(error),
    };
    match failure {
        None => {
            trace::event!("node_draining");
            reached(Point::Drained);
            drain.begin();
            report(clients.await);
            replicas.stop().await;
            Ok(())
        }
        Some(error) => {
            reached(Point::JournalFailed);
            tracing::error!(%error, "this node stops: its journal has failed");
            // Others lead what this node led the sooner it is gone, and only they can still answer
            // its clients.
            clients.abort();
            replicas.halt().await;
            Err(error.into())
        }
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the listener failed");
    }
}

/// The listener, and where it listens: port 0 has become a free one.
async fn listen(
    address: &Address,
    key: &'static str,
) -> Result<(TcpListener, SocketAddr), NodeError> {
    let bind = async {
        let listener = TcpListener::bind(address.resolve().await?).await?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    bind.await.map_err(|error| NodeError::Listen { address: address.clone(), key, error })
}
