//! The ingress side of a node: takes the operations of its connections to the shards they concern
//! and brings outcomes and deliveries back.
//!
//! What is decided is decided in [`paceline_core::ingress`]. Here are the tasks and locks around it:
//! one task for each shard that is asked for anything, and one lock for each connection.

mod client;
mod connection;
mod connector;
mod waiting;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use paceline_core::{
    Destination,
    ingress::{self, Budget, Directory, Inquiry},
    operation::Operation,
    presence::Announcement,
    shard::{Command, Outcome, Refused, SessionId, TransactionId},
};
use paceline_runtime::task;
use tokio::sync::mpsc;

use self::{
    connection::{Asker, SharedConnection, Sink},
    waiting::Waiting,
};
pub use connector::Connector;
pub use paceline_core::ingress::ConnectionEvent;

/// What is asked of a shard's client.
type Request = ingress::Request<Asker, Sink>;

/// Connects a node's clients to the cluster. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Router {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    connector: Connector,
    session: SessionId,
    waiting: Arc<Waiting>,
    room_timeout: Duration,
    /// This node's client of each shard, once it has been asked for anything.
    clients: Vec<OnceLock<mpsc::UnboundedSender<Request>>>,
    next_consumer: AtomicU64,
    next_transaction: AtomicU64,
    /// Client ids of connections: the name of the connection, and how often it is open.
    client_ids: Mutex<BTreeMap<String, (String, usize)>>,
    /// What is being resolved: transactions, and slots of participants.
    inquiries: Mutex<BTreeSet<(TransactionId, u32)>>,
}

impl Router {
    /// The router of a node at one of its lives. At most about `waiting` bytes wait for shards, and a
    /// message waits for `room_timeout` until its queue has any room.
    pub fn new(
        connector: Connector,
        session: SessionId,
        waiting: usize,
        room_timeout: Duration,
    ) -> Self {
        let clients = (0..connector.cluster.view().groups()).map(|_| OnceLock::new()).collect();
        let inner = Inner {
            connector,
            session,
            waiting: Arc::new(Waiting::new(waiting)),
            room_timeout,
            clients,
            next_consumer: AtomicU64::new(1),
            next_transaction: AtomicU64::new(1),
            client_ids: Mutex::default(),
            inquiries: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Registers a connection.
    ///
    /// The receiver is unbounded but what it holds is bounded by what the connection asked for:
    /// one outcome for each operation, and at most `prefetch` deliveries for each consumer.
    pub fn connect(&self) -> (ConnectionHandle, mpsc::UnboundedReceiver<ConnectionEvent>) {
        let (events, receiver) = mpsc::unbounded_channel();
        let connection = SharedConnection::new(&self.inner, events);
        (ConnectionHandle { router: self.clone(), connection }, receiver)
    }

    /// How much waits for shards, and how much may.
    pub fn waiting(&self) -> Budget {
        self.inner.waiting.budget()
    }

    /// Has a shard carry out a command on behalf of this node.
    pub async fn command(&self, slot: u32, command: Command) -> Outcome {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let (holders, asker) = (Vec::new(), Asker::Task(sender));
        self.inner.send(slot, Request::Command { command, holders, urgent: true, asker });
        receiver.recv().await.unwrap_or_else(|| {
            Outcome::Refused(Refused::ByLeader("this node is shutting down".into()))
        })
    }

    /// Sees an inquiry through, unless one about the same is under way.
    pub fn resolve(&self, mut inquiry: Inquiry) {
        let subject = inquiry.subject();
        if !self.inner.inquiries.lock().expect("no holder panics").insert(subject) {
            return;
        }
        let router = self.clone();
        task::spawn(async move {
            loop {
                let (slot, command) = inquiry.command();
                let outcome = router.command(slot, command).await;
                if !inquiry.handle_outcome(&outcome) {
                    break;
                }
            }
            router.inner.inquiries.lock().expect("no holder panics").remove(&subject);
        });
    }
}

impl Inner {
    fn send(&self, slot: u32, request: Request) {
        let client = self.clients[slot as usize].get_or_init(|| {
            let (sender, inbox) = mpsc::unbounded_channel();
            let (connector, waiting) = (self.connector.clone(), self.waiting.clone());
            let waiting = (waiting, self.room_timeout);
            task::spawn(client::run(slot, self.session, connector, waiting, inbox));
            sender
        });
        // The client ends with the router, so it is there.
        let _ = client.send(request);
    }
}

impl Directory for Inner {
    fn slot_of(&self, destination: &Destination) -> u32 {
        self.connector.cluster.slot_of(destination)
    }

    fn slots(&self) -> u32 {
        self.connector.cluster.slots()
    }

    fn next_consumer(&self) -> u64 {
        self.next_consumer.fetch_add(1, Ordering::Relaxed)
    }

    fn next_transaction(&self) -> TransactionId {
        let number = self.next_transaction.fetch_add(1, Ordering::Relaxed);
        TransactionId { session: self.session, number }
    }

    fn take_client(&self, client: &str, connection: &str) -> bool {
        let mut taken = self.client_ids.lock().expect("no holder panics");
        let (holder, count) =
            taken.entry(client.to_owned()).or_insert_with(|| (connection.to_owned(), 0));
        let may = holder == connection;
        *count += usize::from(may);
        may
    }

    fn release_client(&self, client: &str) {
        let mut taken = self.client_ids.lock().expect("no holder panics");
        if let Some((_, count)) = taken.get_mut(client) {
            *count -= 1;
            if *count == 0 {
                taken.remove(client);
            }
        }
    }
}

/// One connection's way into the cluster.
///
/// Dropping it ends all its consumers and gives back what they had not settled; operations already
/// submitted are carried out.
#[derive(Debug)]
pub struct ConnectionHandle {
    router: Router,
    connection: Arc<SharedConnection>,
}

impl ConnectionHandle {
    /// Sends an operation on its way. Never blocks; operations on one destination are carried out
    /// in the order they were submitted. A caller that ignores [`Self::ready`] is not held back.
    pub fn submit(&self, operation: Operation) {
        self.connection.work(|it| it.handle_operation(operation, &*self.router.inner));
    }

    /// Has those told who listen of what there is of the client. Never blocks.
    pub fn announce(&self, said: Announcement) {
        self.connection.work(|it| it.handle_announcement(said, &*self.router.inner));
    }

    /// Waits until the cluster has caught up with what this connection has submitted. A connection
    /// awaits it before it reads more from its socket, so that a fast producer is held back by TCP
    /// and not by memory. Cancel-safe.
    pub async fn ready(&self) {
        self.connection.ready().await;
    }
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        self.connection.work(|it| it.handle_closed(&*self.router.inner));
    }
}
