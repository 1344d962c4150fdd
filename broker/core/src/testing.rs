//! Messages, deliveries and batches for this crate's tests.

use std::sync::Arc;

use crate::{
    Body, Destination, Message, UnixMillis,
    operation::{ConsumerId, Delivery, DeliveryId},
    shard::{Batch, Command},
};

/// A persistent message of priority 4 without expiry.
pub(crate) fn message_to(destination: Destination, text: &str) -> Message {
    Message {
        id: text.into(),
        destination,
        persistent: true,
        priority: 4,
        timestamp: UnixMillis(0),
        expires: None,
        correlation_id: None,
        reply_to: None,
        content_type: None,
        properties: Vec::new(),
        body: Body::Text(text.as_bytes().to_vec().into()),
    }
}

/// The same, to a queue.
pub(crate) fn message(queue: &str, text: &str) -> Message {
    message_to(Destination::queue(queue).unwrap(), text)
}

/// The delivery of that number, of message `m0`, `m1`, …, to a consumer for the first time.
pub(crate) fn delivery(consumer: ConsumerId, number: u64) -> Delivery {
    Delivery {
        id: DeliveryId(number),
        consumer,
        message: Arc::new(message("a", &format!("m{number}"))),
        redelivered: false,
        redelivery_count: 0,
        first_of_group: false,
    }
}

/// A command that publishes a message.
pub(crate) fn publish(message: Message) -> Command {
    Command::Publish { message: Arc::new(message) }
}

/// A batch at one second past the epoch, of commands without origin.
pub(crate) fn batch(commands: impl IntoIterator<Item = Command>) -> Batch {
    Batch {
        now: UnixMillis(1_000),
        commands: commands.into_iter().map(|command| (None, command)).collect(),
    }
}
