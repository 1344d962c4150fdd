//! A connection as the clients of shards share it with the task that serves it.

use std::sync::{Arc, Mutex, Weak};

use paceline_core::{
    ingress::{Connection, ConnectionEvent, Part},
    operation::{ConsumerId, Outcome},
    shard,
};
use tokio::sync::{Notify, mpsc};

use super::{Inner, waiting::Waiting};

/// See the module's head.
#[derive(Debug)]
pub(super) struct SharedConnection {
    /// Not owned: what waits in a shard's client must not keep the router alive.
    router: Weak<Inner>,
    waiting: Arc<Waiting>,
    state: Mutex<Connection>,
    events: mpsc::UnboundedSender<ConnectionEvent>,
    ended: Notify,
}

impl SharedConnection {
    pub(super) fn new(
        router: &Arc<Inner>,
        events: mpsc::UnboundedSender<ConnectionEvent>,
    ) -> Arc<Self> {
        Arc::new(Self {
            router: Arc::downgrade(router),
            waiting: router.waiting.clone(),
            state: Mutex::default(),
            events,
            ended: Notify::new(),
        })
    }

    /// Works on the connection, then sends on what that has led to.
    pub(super) fn work(self: &Arc<Self>, work: impl FnOnce(&mut Connection)) {
        // Sent under the lock, so that all of it leaves in the order in which it was decided.
        let mut state = self.state.lock().expect("no holder panics");
        work(&mut state);
        while let Some((slot, request)) = state.poll_request() {
            // A router that has gone has taken the clients of shards with it.
            let Some(router) = self.router.upgrade() else { continue };
            let asker = |part| Asker::Connection(self.clone(), part);
            let sink = |consumer| Sink { connection: self.clone(), consumer };
            router.send(slot, request.map(asker, sink));
        }
        while let Some(event) = state.poll_event() {
            if matches!(event, ConnectionEvent::Outcome(..)) {
                self.ended.notify_one();
            }
            // A closed receiver means that the connection is going away and needs no answer.
            let _ = self.events.send(event);
        }
    }

    /// Waits until the cluster has caught up with the connection. Cancel-safe.
    pub(super) async fn ready(&self) {
        loop {
            let may_read = {
                let state = self.state.lock().expect("no holder panics");
                state.may_read(self.waiting.budget())
            };
            if may_read {
                return;
            }
            self.ended.notified().await;
        }
    }
}

/// Where a shard's deliveries to one consumer go.
#[derive(Clone, Debug)]
pub(super) struct Sink {
    pub(super) connection: Arc<SharedConnection>,
    pub(super) consumer: ConsumerId,
}

/// Who is told when something asked of a shard has ended.
#[derive(Clone, Debug)]
pub(super) enum Asker {
    /// A connection.
    Connection(Arc<SharedConnection>, Part),
    /// A task of this node.
    Task(mpsc::UnboundedSender<shard::Outcome>),
}

impl Asker {
    /// A shard has answered a command.
    pub(super) fn answered(self, outcome: shard::Outcome) {
        match self {
            Asker::Connection(connection, part) => {
                connection.work(|it| it.handle_answered(part, outcome));
            }
            // Whoever waits no longer needs no answer.
            Asker::Task(sender) => drop(sender.send(outcome)),
        }
    }

    /// A message waits for room in its queue, or does so no longer.
    pub(super) fn held(self, is_held: bool) {
        if let Asker::Connection(connection, part) = self {
            connection.work(|it| it.handle_held(part, is_held));
        }
    }

    /// Something without a place in a log has ended.
    pub(super) fn ended(self, result: Outcome) {
        match self {
            Asker::Connection(connection, part) => {
                connection.work(|it| it.handle_ended(part, result));
            }
            Asker::Task(sender) => {
                let outcome = match result {
                    Ok(()) => shard::Outcome::Done,
                    Err(why) => shard::Outcome::Refused(shard::Refused::ByLeader(why.to_string())),
                };
                drop(sender.send(outcome));
            }
        }
    }
}
