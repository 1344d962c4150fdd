//! Which name is hashed to find a destination's slot.
//!
//! A slot is the hash of a *slot name*, and this file is the only place that says what that is:
//!
//! - a destination's slot name is its name, so a queue and a topic of one name share a slot;
//! - a dead-letter queue `DLQ.<name>` has the slot name of `<name>`, so that moving a message there
//!   stays inside one shard and is atomic. One prefix is taken off, not several, and a bare `DLQ.`
//!   is a name like any other;
//! - the queue `Consumer.<anybody>.VirtualTopic.<rest>`, which gets what is sent to the topic
//!   `VirtualTopic.<rest>`, has the slot name of that topic, so that a message enters all such queues
//!   in one step.
//!
//! A pattern has no slot: whoever consumes from one attaches to every shard. A durable subscription is
//! kept in its topic's slot.

use std::sync::Arc;

/// What a dead-letter queue's name begins with.
pub const DEAD_LETTER_PREFIX: &str = "DLQ.";

/// What the name of a topic begins with that queues take part in.
const VIRTUAL_TOPIC_PREFIX: &str = "VirtualTopic.";

/// What the name of a queue begins with that takes part in a topic; who it is for follows.
const CONSUMER_PREFIX: &str = "Consumer.";

/// The name to hash for the slot of a destination called `name`.
pub fn slot_name_of(name: &str) -> &str {
    let served = dead_letters_of(name).unwrap_or(name);
    virtual_topic_of(served).unwrap_or(served)
}

/// Of a dead-letter queue's name that of the queue that it serves.
pub fn dead_letters_of(name: &str) -> Option<&str> {
    name.strip_prefix(DEAD_LETTER_PREFIX).filter(|rest| !rest.is_empty())
}

/// The topic of which a queue of this name gets every message, if it is such a queue.
pub fn virtual_topic_of(queue: &str) -> Option<&str> {
    let (consumer, topic) = queue.strip_prefix(CONSUMER_PREFIX)?.split_once('.')?;
    let is_virtual = topic.strip_prefix(VIRTUAL_TOPIC_PREFIX).is_some_and(|rest| !rest.is_empty());
    (is_virtual && !consumer.is_empty()).then_some(topic)
}

/// The queue that takes what `queue` could not get consumed, or `None` if `queue` is itself such a
/// queue: a dead letter that is rejected again stays where it is.
pub fn dead_letter_queue(queue: &str) -> Option<Arc<str>> {
    if dead_letters_of(queue).is_some() {
        return None;
    }
    Some(format!("{DEAD_LETTER_PREFIX}{queue}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_queue_shares_the_slot_of_its_queue() {
        let dead = dead_letter_queue("orders.eu").unwrap();
        assert_eq!(&*dead, "DLQ.orders.eu");
        assert_eq!(slot_name_of(&dead), "orders.eu");
    }

    #[test]
    fn one_prefix_is_taken_off_and_never_all_of_a_name() {
        assert_eq!(slot_name_of("DLQ.DLQ.a"), "DLQ.a");
        assert_eq!(slot_name_of("DLQ."), "DLQ.");
        assert_eq!(dead_letter_queue("DLQ.a"), None);
        assert_eq!(dead_letter_queue("DLQ.").as_deref(), Some("DLQ.DLQ."));
        assert_eq!(slot_name_of("DLQ.DLQ."), "DLQ.", "still the slot of the queue it serves");
    }

    #[test]
    fn a_queue_of_a_virtual_topic_shares_the_slot_of_the_topic() {
        assert_eq!(slot_name_of("Consumer.a.VirtualTopic.orders.eu"), "VirtualTopic.orders.eu");
        assert_eq!(slot_name_of("VirtualTopic.orders.eu"), "VirtualTopic.orders.eu");
        assert_eq!(slot_name_of("DLQ.Consumer.a.VirtualTopic.x"), "VirtualTopic.x");
        for plain in [
            "Consumer.a.VirtualTopic",
            "Consumer.a.VirtualTopic.",
            "Consumer..VirtualTopic.x",
            "Consumer.a.b.VirtualTopic.x",
            "Consumers.a.VirtualTopic.x",
        ] {
            assert_eq!((slot_name_of(plain), virtual_topic_of(plain)), (plain, None));
        }
    }
}
