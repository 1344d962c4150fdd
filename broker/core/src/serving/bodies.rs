//! Deliveries that were decided and are not sent yet, because their body or one before it is being
//! read from the log.

use std::{collections::VecDeque, sync::Arc};

use paceline_reached::{Point, reached};

use crate::{
    Message,
    channel::{Delivered, FromLeader},
    dispatch::{Browsed, ConsumerKey, Delivery, MessageKey},
    shard::{Content, MessageRef},
};

#[derive(Debug)]
struct Outgoing {
    consumer: ConsumerKey,
    key: MessageKey,
    message: Option<Arc<Message>>,
    redelivered: bool,
    redelivery_count: u32,
    first_of_group: bool,
    browsed: Option<Browsed>,
}

#[derive(Debug)]
enum Next {
    Delivery(Outgoing),
    /// A browser has come to the end.
    BrowseEnd(ConsumerKey),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    outgoing: VecDeque<Next>,
}

impl Bodies {
    /// How many deliveries wait.
    pub fn waiting(&self) -> usize {
        self.outgoing.len()
    }

    /// Takes a delivery in. If its body is not at hand: which message, and where it is to be read.
    pub fn push(&mut self, delivery: Delivery) -> Option<(MessageRef, MessageRef)> {
        let (message, read) = match delivery.content {
            Content::Here(message) => (Some(message), None),
            Content::Evicted(at) => {
                let MessageKey::Stored(message) = delivery.key else {
                    unreachable!("volatile messages are in memory")
                };
                reached(Point::BodyReadBack);
                (None, Some((message, at)))
            }
        };
        self.outgoing.push_back(Next::Delivery(Outgoing {
            consumer: delivery.consumer,
            key: delivery.key,
            message,
            redelivered: delivery.redelivered,
            redelivery_count: delivery.redelivery_count,
            first_of_group: delivery.first_of_group,
            browsed: delivery.browsed,
        }));
        read
    }

    /// A browser has come to the end, behind all that it was given.
    pub fn push_end(&mut self, browser: ConsumerKey) {
        self.outgoing.push_back(Next::BrowseEnd(browser));
    }

    /// A body was read, or the message is gone in the meantime.
    pub fn loaded(&mut self, message: MessageRef, body: Option<Arc<Message>>) {
        // What another leadership asked for is not waited for. Several may wait for one, as when it came
        // back from a consumer that has gone; whichever read ends first serves all of them.
        self.outgoing.retain_mut(|waiting| match waiting {
            Next::Delivery(waiting)
                if waiting.key == MessageKey::Stored(message) && waiting.message.is_none() =>
            {
                waiting.message = body.clone();
                body.is_some()
            }
            _ => true,
        });
    }

    /// Nothing is for this consumer any more: it has given everything back. Another one may come by
    /// its name.
    pub fn forget(&mut self, consumer: ConsumerKey) {
        self.outgoing.retain(|waiting| match waiting {
            Next::Delivery(waiting) => waiting.consumer != consumer,
            Next::BrowseEnd(browser) => *browser != consumer,
        });
    }

    /// What can be sent next, in order, and to whom.
    pub fn pop(&mut self) -> Option<(ConsumerKey, FromLeader)> {
        if let Next::Delivery(Outgoing { message: None, .. }) = self.outgoing.front()? {
            return None;
        }
        let sent = match self.outgoing.pop_front()? {
            Next::Delivery(sent) => sent,
            Next::BrowseEnd(browser) => {
                return Some((browser, FromLeader::BrowseEnd { consumer: browser.number }));
            }
        };
        let delivered = Delivered {
            consumer: sent.consumer.number,
            key: sent.key,
            message: sent.message.expect("it is ready"),
            redelivered: sent.redelivered,
            redelivery_count: sent.redelivery_count,
            first_of_group: sent.first_of_group,
            browsed: sent.browsed,
        };
        Some((sent.consumer, FromLeader::Deliver(delivered)))
    }
}
