//! A node from its start to its end: the one way to run a broker, for the binary and the simulator.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use paceline_core::session::{openwire::OpenWireSession, stomp::StompSession};
use paceline_events::emit;
use paceline_membership::NodeId;
use paceline_reached::{Point, reached};
use paceline_runtime::{
    net::TcpListener,
    shutdown,
    task::{JoinError, JoinSet},
    time::Instant,
};

use crate::{
    cluster::Cluster,
    config::{Address, NodeConfig},
    connection::Common,
    drain::Drain,
    identity::{Claim, ClaimError, IdentityFile},
    listener::{Listener, Room},
};

use super::{NodeError, Replicas, joining};

/// What a node can say once it serves.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Where STOMP clients are served, with the port that was really bound.
    pub stomp: SocketAddr,
    /// Where OpenWire clients are served, likewise, if they are.
    pub openwire: Option<SocketAddr>,
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
    let known = claim.cluster.as_ref().filter(|_| claim.identity_file.number().is_some());
    let cluster = match known {
        Some(cluster) => cluster.clone(),
        None => {
            let joined = tokio::select! {
                biased;
                () = shutdown::requested() => return Ok(()),
                joined = joining::join(&config, &claim.identity_file) => joined,
            };
            joined?
        }
    };
    let number = claim.identity_file.number().map(NodeId);
    if let Some(node) = number.filter(|node| cluster.view().member(*node).is_none()) {
        return Err(NodeError::Removed { node: node.0 });
    }
    let mut on_ready = Some(on_ready);
    loop {
        let ready = |ready: &Ready| {
            if let Some(on_ready) = on_ready.take() {
                on_ready(ready);
            }
        };
        match run_once(&config, &cluster, &claim.identity_file, began, ready).await {
            Err(NodeError::Forgotten { by, life }) => {
                reached(Point::NodeForgot);
                emit!(NodeForgot);
                tracing::warn!(
                    by, %life,
                    "this node's data directory is empty or an older copy, and others remember more: \
                     it is refilled from them, and neither votes nor leads before it is whole"
                );
                // Which of them it held is forgotten, too.
                let forgot = claim.identity_file.forget(life, 0..cluster.view().groups()).await;
                let path = config.node.data_dir.clone();
                forgot.map_err(|error| ClaimError::Io { path, error })?;
            }
            ended => return ended,
        }
    }
}

/// Runs a node until it is asked to stop, or cannot go on as it is.
async fn run_once(
    config: &NodeConfig,
    cluster: &Cluster,
    identity_file: &Arc<IdentityFile>,
    began: Instant,
    on_ready: impl FnOnce(&Ready) + Send,
) -> Result<(), NodeError> {
    let (listener, stomp) = listen(&config.listen.stomp, "listen.stomp").await?;
    let openwire = match &config.listen.openwire {
        Some(address) => Some(listen(address, "listen.openwire").await?),
        None => None,
    };
    let (links, link) = listen(&config.listen.link, "listen.link").await?;
    let drain = Drain::default();

    let advertised = openwire.as_ref().and_then(|(_, bound)| {
        let link = match identity_file.number() {
            Some(node) => cluster.view().member(NodeId(node)).map(|member| member.link.clone()),
            None => None,
        };
        config.openwire.advertise.address(&link?, *bound)
    });
    let replicas =
        Replicas::start(config, cluster, identity_file.clone(), links, advertised).await?;
    let router = replicas.router().clone();
    let room = Room::new(config.limits.connections);
    let common = Common { policies: replicas.policies(), receiving: replicas.receiving().clone() };
    let name = format!("{}-{}", config.node.name, identity_file.incarnation());
    let brokers = replicas.brokers();
    let mut listeners = JoinSet::new();
    let openwire = openwire.map(|(listener, openwire)| {
        listeners.spawn(
            Listener::<OpenWireSession> {
                listener,
                config: Arc::new(config.openwire_session()),
                router: router.clone(),
                common: common.clone(),
                room: room.clone(),
                name: format!("{name}-o"),
                drain: drain.clone(),
                brokers: brokers.clone(),
            }
            .run(),
        );
        openwire
    });
    listeners.spawn(
        Listener::<StompSession> {
            listener,
            config: Arc::new(config.stomp_session()),
            router,
            common,
            room,
            name,
            drain: drain.clone(),
            brokers,
        }
        .run(),
    );
    emit!(NodeReady);
    on_ready(&Ready { stomp, openwire, link, after: began.elapsed() });

    let failure = tokio::select! {
        biased;
        () = shutdown::requested() => None,
        error = replicas.failed() => Some(error),
    };
    match failure {
        None => {
            emit!(NodeDraining);
            reached(Point::Drained);
            drain.begin();
            while let Some(ended) = listeners.join_next().await {
                report(ended);
            }
            replicas.stop().await;
            Ok(())
        }
        Some(error) => {
            if matches!(error, NodeError::Journal(_)) {
                reached(Point::JournalFailed);
            }
            if !matches!(error, NodeError::Forgotten { .. }) {
                tracing::error!(%error, "this node stops: it cannot go on");
            }
            // Others lead what this node led the sooner it is gone, and only they can still answer
            // its clients.
            listeners.shutdown().await;
            replicas.halt().await;
            Err(error)
        }
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a listener failed");
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
