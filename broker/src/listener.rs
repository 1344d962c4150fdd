//! Takes clients in and gives each its connection task.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use paceline_core::session::{Brokers, Session};
use paceline_runtime::{
    net::{TcpListener, TcpStream},
    task::{JoinError, JoinSet},
    time,
};
use tokio::{
    io::AsyncWriteExt,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
};

use crate::{
    connection::{self, Common},
    drain::Drain,
    router::Router,
};

/// How long a drained node waits for its connections to end what they have begun.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait where the system refuses another connection, for want of descriptors, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many clients a node serves at a time, over all its listeners.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    max: usize,
    free: Arc<Semaphore>,
}

impl Room {
    /// For so many clients.
    pub(crate) fn new(max: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        Self { max, free: Arc::new(Semaphore::new(max)) }
    }

    /// Room for one client, until it is dropped; what to tell the client if there is none.
    fn take(&self) -> Result<OwnedSemaphorePermit, String> {
        let taken = self.free.clone().try_acquire_owned();
        taken.map_err(|_| format!("this node has {} connections, the most it may", self.max))
    }
}

/// Serves the clients of one protocol on one listening socket.
pub(crate) struct Listener<S: Session> {
    pub listener: TcpListener,
    /// What each session is told.
    pub config: Arc<S::Config>,
    pub router: Router,
    pub common: Common,
    pub room: Room,
    /// Unique over the cluster, over restarts and over the node's listeners; sessions are named
    /// after it.
    pub name: String,
    pub drain: Drain,
    /// Where clients find the cluster; clients of some protocols are told.
    pub brokers: watch::Receiver<Arc<Brokers>>,
}

impl<S: Session> Listener<S> {
    /// Serves until the node drains and the last connection has ended.
    pub(crate) async fn run(mut self) {
        let mut connections = JoinSet::new();
        // What the node tells each connection. Dropping one tells it that the node drains.
        let mut told: BTreeMap<u64, mpsc::UnboundedSender<Arc<Brokers>>> = BTreeMap::new();
        let mut accepted: u64 = 0;
        loop {
            tokio::select! {
                biased;
                () = self.drain.begun() => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    if let Some(number) = number_of(ended) {
                        told.remove(&number);
                    }
                }
                Ok(()) = self.brokers.changed() => {
                    let brokers = self.brokers.borrow_and_update().clone();
                    for connection in told.values() {
                        // One that has ended is about to be removed.
                        let _ = connection.send(brokers.clone());
                    }
                }
                stream = self.listener.accept() => match stream {
                    Ok((stream, peer)) => match self.room.take() {
                        Ok(room) => {
                            let (tell, node) = mpsc::unbounded_channel();
                            let _ = tell.send(self.brokers.borrow().clone());
                            told.insert(accepted, tell);
                            connections.spawn(self.serve(stream, peer, accepted, room, node));
                            accepted += 1;
                        }
                        Err(why) => {
                            connections.spawn(async move {
                                turn_away::<S>(stream, &why).await;
                                u64::MAX
                            });
                        }
                    },
                    Err(error) => {
                        tracing::warn!(%error, "a connection was not taken in");
                        time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.listener);
        drop(told);
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
        room: OwnedSemaphorePermit,
        node: mpsc::UnboundedReceiver<Arc<Brokers>>,
    ) -> impl Future<Output = u64> + Send + use<S> {
        let name: Arc<str> = format!("{}-{number}", self.name).into();
        tracing::debug!(%peer, session = &*name, "accepted");
        let session = S::new(self.config.clone(), name.clone());
        let (cluster, common) = (self.router.connect(), self.common.clone());
        async move {
            connection::serve(stream, session, &name, common, cluster, node).await;
            drop(room);
            number
        }
    }
}

/// The number of the connection that has ended, unless its task failed.
fn number_of(ended: Result<u64, JoinError>) -> Option<u64> {
    ended.inspect_err(|error| tracing::error!(%error, "a connection's task failed")).ok()
}

/// Tells a client why it is not served.
async fn turn_away<S: Session>(mut stream: TcpStream, why: &str) {
    let out = S::turn_away(why);
    // Best effort, and no longer than a moment: the client learns it either way.
    let _ = time::timeout(Duration::from_secs(1), async {
        stream.write_all(&out).await?;
        stream.shutdown().await
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_that_of_all_listeners_and_is_given_back() {
        let room = Room::new(2);
        let elsewhere = room.clone();
        let taken = [room.take().unwrap(), elsewhere.take().unwrap()];
        assert_eq!(room.take().unwrap_err(), "this node has 2 connections, the most it may");
        drop(taken);
        assert!(elsewhere.take().is_ok());
    }
}
