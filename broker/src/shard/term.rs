//! What a leader keeps from the moment it begins to serve until it stops.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use openraft::Vote;
use paceline_core::{
    Message,
    dispatch::{ConsumerKey, Delivery, MessageKey},
    operation::Settlement,
    shard::{Batch, Command, Content, MessageRef, Origin, TransactionId},
};
use paceline_reached::{Point, reached};
use paceline_runtime::task::JoinSet;

use super::{ReadMessage, channel::Delivered};

/// Deliveries that end, how, and whose they are.
pub(super) type Settles = Vec<(MessageRef, Settlement, ConsumerKey)>;

/// Who is to hear how a command ended.
#[derive(Debug)]
pub(super) enum Target {
    /// A client.
    Client {
        /// Its channel.
        channel: u64,
        /// The command's number.
        seq: u64,
        /// What the command settles, and for whom.
        settles: Settles,
        /// The transaction in which it does, if only the end of that settles it.
        prepares: Option<TransactionId>,
    },
    /// The dispatcher, which asked for it.
    Dispatcher(Command),
}

/// Commands that wait to be proposed together.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    commands: VecDeque<(Option<Origin>, Command)>,
    targets: VecDeque<Target>,
}

impl Gathered {
    pub(super) fn push(&mut self, origin: Option<Origin>, command: Command, target: Target) {
        self.commands.push_back((origin, command));
        self.targets.push_back(target);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// The next batch within the bounds; at least one command if there is any.
    pub(super) fn take(
        &mut self,
        max_commands: usize,
        max_bytes: usize,
        now: paceline_core::UnixMillis,
        proposal: u64,
    ) -> (Batch, Vec<Target>) {
        let mut bytes = 0;
        let fitting = self.commands.iter().take(max_commands).take_while(|(_, command)| {
            let first = bytes == 0;
            bytes += command.footprint();
            first || bytes <= max_bytes
        });
        let count = fitting.count();
        let commands = self.commands.drain(..count).collect();
        (Batch { now, proposal, commands }, self.targets.drain(..count).collect())
    }
}

/// A delivery that was decided and is not sent yet, because its body or one before it is being
/// read.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) consumer: ConsumerKey,
    key: MessageKey,
    message: Option<Arc<Message>>,
    redelivered: bool,
    redelivery_count: u32,
}

/// Bodies on their way from the log, with the deliveries that wait for them.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    outgoing: VecDeque<Outgoing>,
    reading: JoinSet<(MessageRef, Result<Arc<Message>, String>)>,
    /// What was read and is behind something that was not.
    read: BTreeMap<MessageRef, Arc<Message>>,
}

impl Bodies {
    /// How many deliveries wait.
    pub(super) fn waiting(&self) -> usize {
        self.outgoing.len()
    }

    /// Takes a delivery in; its body is read with `read` if it is not at hand.
    pub(super) fn push(&mut self, delivery: Delivery, read: &ReadMessage) {
        let message = match delivery.content {
            Content::Here(message) => Some(message),
            Content::Evicted(at) => {
                let MessageKey::Stored(message) = delivery.key else {
                    unreachable!("volatile messages are in memory")
                };
                reached(Point::BodyReadBack);
                let reading = read(at);
                self.reading.spawn(async move { (message, reading.await) });
                None
            }
        };
        self.outgoing.push_back(Outgoing {
            consumer: delivery.consumer,
            key: delivery.key,
            message,
            redelivered: delivery.redelivered,
            redelivery_count: delivery.redelivery_count,
        });
    }

    /// Waits for the next body to be read; pends while none is. Cancel-safe.
    pub(super) async fn next_read(&mut self) -> (MessageRef, Result<Arc<Message>, String>) {
        loop {
            match self.reading.join_next().await {
                Some(Ok(read)) => return read,
                Some(Err(error)) => tracing::error!(%error, "reading a message was cut short"),
                None => std::future::pending().await,
            }
        }
    }

    /// A body was read, or the message is gone in the meantime.
    pub(super) fn loaded(&mut self, message: MessageRef, body: Option<Arc<Message>>) {
        match body {
            Some(body) => drop(self.read.insert(message, body)),
            None => self.outgoing.retain(|waiting| {
                waiting.key != MessageKey::Stored(message) || waiting.message.is_some()
            }),
        }
    }

    /// The next delivery that can be sent, in order.
    pub(super) fn pop(&mut self) -> Option<(ConsumerKey, Delivered)> {
        let front = self.outgoing.front()?;
        let message = match (&front.message, front.key) {
            (Some(message), _) => message.clone(),
            (None, MessageKey::Stored(key)) => self.read.remove(&key)?,
            (None, MessageKey::Volatile(_)) => unreachable!("volatile messages are in memory"),
        };
        let sent = self.outgoing.pop_front().expect("it has a front");
        let delivered = Delivered {
            consumer: sent.consumer.number,
            key: sent.key,
            message,
            redelivered: sent.redelivered,
            redelivery_count: sent.redelivery_count,
        };
        Some((sent.consumer, delivered))
    }
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct Term {
    /// What made this node the leader.
    pub(super) vote: Vote<u64>,
    /// Commands that wait for their batch.
    pub(super) gathered: Gathered,
    /// The batch that was proposed and is not applied: which proposal, and the targets.
    pub(super) proposed: Option<(u64, Vec<Target>)>,
    /// The channel of each consumer.
    pub(super) consumers: BTreeMap<ConsumerKey, u64>,
    /// Deliveries that wait for bodies.
    pub(super) bodies: Bodies,
    /// What transactions settle that are prepared and not ended.
    pub(super) prepared: BTreeMap<TransactionId, Settles>,
}

impl Term {
    pub(super) fn new(vote: Vote<u64>) -> Self {
        Self {
            vote,
            gathered: Gathered::default(),
            proposed: None,
            consumers: BTreeMap::new(),
            bodies: Bodies::default(),
            prepared: BTreeMap::new(),
        }
    }

    /// As a number.
    pub(super) fn number(&self) -> u64 {
        self.vote.leader_id().term
    }
}
