//! What the clients did and were told, in the order it happened: the ground truth that every
//! check compares the broker with.
//!
//! One list per operation; its records are in that operation's file. A record is never deleted
//! and its answer is set once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    ids::{ClientId, ConnectionId, DestinationId, DestinationInfo},
    operation::{
        Closing, Delivery, Keeping, MessageId, Publish, Reply, Settle, Transaction, publish,
    },
};

/// A subscription that the broker has confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Whose.
    pub client: ClientId,
    /// To what.
    pub destination: DestinationId,
    /// Over which connection; it ends with it.
    pub connection: ConnectionId,
    /// The node that the connection leads to; `n1` is 0.
    pub node: u32,
    /// When its receipt came.
    pub since: Duration,
}

/// Everything the clients saw.
#[derive(Debug, Default)]
pub struct History {
    /// Where messages went, by [`DestinationId`].
    pub destinations: Vec<DestinationInfo>,
    /// By producer, then by the producer's own sequence number, which is dense.
    pub publishes: Vec<Vec<Publish>>,
    /// By number.
    pub transactions: Vec<Transaction>,
    /// In the order they arrived.
    pub deliveries: Vec<Delivery>,
    /// In the order they were sent.
    pub settles: Vec<Settle>,
    /// Ends of subscriptions of which the client says what it has seen, in the order they were sent.
    pub closings: Vec<Closing>,
    /// For each message that was ever delivered, its deliveries as indices.
    pub delivered: BTreeMap<MessageId, Vec<u32>>,
    /// In the order in which they were confirmed.
    pub subscriptions: Vec<Subscription>,
    /// What was asked of subscriptions that outlive their connections, in that order.
    pub keepings: Vec<Keeping>,
    /// When clients fell silent without a word to the broker.
    pub vanished: Vec<Duration>,
    /// Connections that ended, and when.
    pub closed: BTreeMap<ConnectionId, Duration>,
    /// To which node connections led.
    pub nodes: BTreeMap<ConnectionId, Arc<str>>,
    /// What ended connections that did not end in good order.
    pub errors: BTreeMap<ConnectionId, String>,
}

/// Something a client just did or saw; the checks get it as it happens, already recorded.
#[derive(Clone, Copy, Debug)]
pub enum Observation<'a> {
    /// A message left a producer.
    Sent(MessageId, &'a Publish),
    /// The fate of a publish is decided.
    Replied(MessageId, &'a Publish),
    /// A message reached a consumer.
    Delivered(&'a Delivery),
    /// A settlement left a consumer.
    SettleSent(&'a Settle),
    /// The fate of a settlement is decided.
    Settled(&'a Settle),
    /// A client ends a subscription and says what of it it has not looked at.
    Closing(&'a Closing),
    /// The fate of such an end is decided.
    ClosingReplied(&'a Closing),
    /// A connection is gone, whoever ended it.
    Closed(ConnectionId),
}

impl Observation<'_> {
    /// The messages that it is about.
    pub fn messages(&self, history: &History) -> Vec<MessageId> {
        match self {
            Self::Sent(id, _) | Self::Replied(id, _) => vec![*id],
            Self::Delivered(delivery) => vec![delivery.id],
            Self::SettleSent(settle) | Self::Settled(settle) => {
                let deliveries = settle.deliveries.iter();
                deliveries.map(|it| history.deliveries[*it as usize].id).collect()
            }
            Self::Closing(closing) | Self::ClosingReplied(closing) => {
                let unseen = closing.unseen.iter();
                unseen.map(|it| history.deliveries[*it as usize].id).collect()
            }
            Self::Closed(_) => Vec::new(),
        }
    }
}

impl History {
    /// An empty history over these destinations and so many producers.
    pub fn new(destinations: Vec<DestinationInfo>, producers: usize) -> Self {
        Self { destinations, publishes: vec![Vec::new(); producers], ..Self::default() }
    }

    /// The publish that made a message, if there was one.
    pub fn publish(&self, id: MessageId) -> Option<&Publish> {
        self.publishes.get(id.producer as usize)?.get(id.sequence as usize)
    }

    /// Every publish with its name, by producer and sequence.
    pub fn all_publishes(&self) -> impl Iterator<Item = (MessageId, &Publish)> {
        self.publishes.iter().enumerate().flat_map(|(producer, publishes)| {
            publishes.iter().enumerate().map(move |(sequence, publish)| {
                (MessageId { producer: producer as u32, sequence: sequence as u32 }, publish)
            })
        })
    }

    /// What is known of a destination.
    pub fn destination(&self, id: DestinationId) -> &DestinationInfo {
        &self.destinations[id.0 as usize]
    }

    /// The part of its queue's messages that a message belongs to, as its property says.
    pub fn part_of(&self, id: MessageId) -> u32 {
        let parts = self.publish(id).map(|it| self.destination(it.destination).parts);
        publish::part(id, parts.unwrap_or(1))
    }

    /// The deliveries of a message, in order of arrival.
    pub fn deliveries_of(&self, id: MessageId) -> impl Iterator<Item = &Delivery> {
        let indices = self.delivered.get(&id).map_or(&[][..], Vec::as_slice);
        indices.iter().map(|&index| &self.deliveries[index as usize])
    }

    /// Records that a message was sent and names it.
    pub fn sent(&mut self, producer: u32, publish: Publish) -> MessageId {
        let publishes = &mut self.publishes[producer as usize];
        let id = MessageId { producer, sequence: publishes.len() as u32 };
        publishes.push(publish);
        id
    }

    /// Records the fate of a publish. Returns whether it was still open.
    pub fn replied(&mut self, id: MessageId, at: Duration, reply: Reply) -> bool {
        let publish = &mut self.publishes[id.producer as usize][id.sequence as usize];
        if publish.reply.is_some() {
            return false;
        }
        publish.reply = Some((at, reply));
        true
    }

    /// Records a delivery and returns its index.
    pub fn arrived(&mut self, delivery: Delivery) -> u32 {
        let index = self.deliveries.len() as u32;
        self.delivered.entry(delivery.id).or_default().push(index);
        self.deliveries.push(delivery);
        index
    }

    /// Records a settlement that was sent and returns its index.
    pub fn settle_sent(&mut self, settle: Settle) -> u32 {
        self.settles.push(settle);
        self.settles.len() as u32 - 1
    }

    /// Records the fate of a settlement. Returns whether it was still open.
    pub fn settled(&mut self, index: u32, at: Duration, reply: Reply) -> bool {
        let settle = &mut self.settles[index as usize];
        if settle.reply.is_some() {
            return false;
        }
        settle.reply = Some((at, reply));
        if reply == Reply::Ok && settle.how == super::operation::How::Accept {
            for &delivery in &settle.deliveries {
                self.deliveries[delivery as usize].accepted = Some(at);
            }
        }
        true
    }
    /// Records the end of a subscription that was sent and returns its index.
    pub fn closing(&mut self, closing: Closing) -> u32 {
        self.closings.push(closing);
        self.closings.len() as u32 - 1
    }

    /// Records the fate of the end of a subscription.
    pub fn closing_replied(&mut self, index: u32, at: Duration, reply: Reply) {
        self.closings[index as usize].reply = Some((at, reply));
    }

    /// Records what is asked of a subscription and returns its index.
    pub fn keeping(&mut self, keeping: Keeping) -> u32 {
        self.keepings.push(keeping);
        self.keepings.len() as u32 - 1
    }

    /// Records the fate of what was asked of a subscription.
    pub fn keeping_replied(&mut self, index: u32, at: Duration, reply: Reply) {
        self.keepings[index as usize].reply = Some((at, reply));
    }
}
