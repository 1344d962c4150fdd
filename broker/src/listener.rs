//! Takes clients in and gives each its connection task.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use paceline_runtime::{
    net::{TcpListener, TcpStream},
    task::{JoinError, JoinSet},
    time,
};
use paceline_wire::stomp::{Command, Frame, Version, header};
use tokio::{io::AsyncWriteExt, sync::oneshot};

use crate::{
    connection::{self, Common},
    drain::Drain,
    router::Router,
};

/// How long a drained node waits for its connections to end what they have begun.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait where the system refuses another connection, for want of descriptors, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves STOMP clients on one listening socket.
pub(crate) struct StompListener {
    pub listener: TcpListener,
    pub router: Router,
    pub common: Common,
    /// Connections at a time.
    pub max_connections: usize,
    /// Unique over the cluster and over restarts; sessions are named after it.
    pub name: String,
    pub drain: Drain,
}

impl StompListener {
    /// Serves until the node drains and the last connection has ended.
    pub(crate) async fn run(self) {
        let mut connections = JoinSet::new();
        // Dropping one tells its connection that the node drains.
        let mut drains = BTreeMap::new();
        let mut accepted: u64 = 0;
        loop {
            tokio::select! {
                biased;
                () = self.drain.begun() => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    if let Some(number) = number_of(ended) {
                        drains.remove(&number);
                    }
                }
                stream = self.listener.accept() => match stream {
                    Ok((stream, _)) if connections.len() >= self.max_connections => {
                        let max = self.max_connections;
                        connections.spawn(async move {
                            turn_away(stream, max).await;
                            u64::MAX
                        });
                    }
                    Ok((stream, peer)) => {
                        let (drain, drained) = oneshot::channel();
                        drains.insert(accepted, drain);
                        connections.spawn(self.serve(stream, peer, accepted, drained));
                        accepted += 1;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection was not taken in");
                        time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.listener);
        drop(drains);
        let all_ended = async {
            while let Some(ended) = connections.join_next().await {
                number_of(ended);
            }
        };
        if time::timeout(DRAIN_TIMEOUT, all_ended).await.is_err() {
            tracing::warn!(connections = connections.len(), "connections are cut off");
            connections.shutdown().await;
        }
    }

    /// The task of one connection, which returns the connection's number.
    fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        number: u64,
        drained: oneshot::Receiver<()>,
    ) -> impl Future<Output = u64> + Send + use<> {
        let name: Arc<str> = format!("{}-{number}", self.name).into();
        tracing::debug!(%peer, session = &*name, "accepted");
        let (cluster, events) = self.router.connect();
        let common = self.common.clone();
        async move {
            connection::serve_stomp(stream, name, common, cluster, events, drained).await;
            number
        }
    }
}

/// The number of the connection that has ended, unless its task failed.
fn number_of(ended: Result<u64, JoinError>) -> Option<u64> {
    ended.inspect_err(|error| tracing::error!(%error, "a connection's task failed")).ok()
}

/// Says that there are too many connections. The session's version is unknown; 1.0 is read by all.
async fn turn_away(mut stream: TcpStream, max: usize) {
    let mut out = BytesMut::new();
    Frame::new(Command::Error)
        .with(header::MESSAGE, format!("this node has {max} connections, the most it may"))
        .encode(Version::V1_0, &mut out);
    // Best effort, and no longer than a moment: the client learns it either way.
    let _ = time::timeout(Duration::from_secs(1), async {
        stream.write_all(&out).await?;
        stream.shutdown().await
    })
    .await;
}
