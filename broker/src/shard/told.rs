//! What a leader says of its deliveries, for the checks of the simulator and whoever else listens.

use paceline_core::{
    DestinationKind, Message,
    dispatch::{ConsumerKey, Delivery, MessageKey},
    operation::Settlement,
    shard::Content,
};
use paceline_runtime::trace;

/// A message was handed to a consumer.
pub(super) fn dispatched(slot: u32, term: u64, delivery: &Delivery) {
    trace::event!(
        "dispatch",
        shard = slot,
        term = term,
        consumer = delivery.consumer.to_string().as_str(),
        message = delivery.key.to_string().as_str(),
        id = at_hand(delivery).map_or("", |message| &message.id),
        queue = at_hand(delivery).map_or("", queue_of),
        priority = at_hand(delivery).map_or(0, |message| message.priority),
        redelivered = delivery.redelivered,
        in_flight = delivery.in_flight,
        credit = delivery.credit
    );
}

/// The body of a message that had been handed out without it was read from the disk.
pub(super) fn read_back(slot: u32, term: u64, key: MessageKey, message: &Message) {
    trace::event!(
        "read_back",
        shard = slot,
        term = term,
        message = key.to_string().as_str(),
        id = &*message.id,
        queue = queue_of(message)
    );
}

/// A delivery ended.
pub(super) fn settled(
    slot: u32,
    term: u64,
    consumer: ConsumerKey,
    message: MessageKey,
    how: Settlement,
) {
    let kind = if how == Settlement::Accept { "settle" } else { "release" };
    trace::event!(
        kind,
        shard = slot,
        term = term,
        consumer = consumer.to_string().as_str(),
        message = message.to_string().as_str()
    );
}

/// The message, unless it would have to be read from the disk.
fn at_hand(delivery: &Delivery) -> Option<&Message> {
    match &delivery.content {
        Content::Here(message) => Some(message),
        Content::Evicted(_) => None,
    }
}

/// The name of the queue that a message is on; none of a topic's.
fn queue_of(message: &Message) -> &str {
    match message.destination.kind {
        DestinationKind::Queue => &message.destination.name,
        DestinationKind::Topic => "",
    }
}
