//! Which name is hashed to find a destination's slot.
//!
//! A slot is the hash of a *slot name*, and this file is the only place that says what that is:
//!
//! - a destination's slot name is its name, so a queue and a topic of one name share a slot;
//! - a dead-letter queue `DLQ.<name>` has the slot name `<name>`, so that moving a message there
//!   stays inside one shard and is atomic. One prefix is taken off, not several, and a bare `DLQ.`
//!   is a name like any other.
//!
//! A pattern has no slot: whoever consumes from one attaches to every shard.

use std::sync::Arc;

/// What a dead-letter queue's name begins with.
pub const DEAD_LETTER_PREFIX: &str = "DLQ.";

/// The name to hash for the slot of a destination called `name`.
pub fn slot_name_of(name: &str) -> &str {
    match name.strip_prefix(DEAD_LETTER_PREFIX) {
        Some(rest) if !rest.is_empty() => rest,
        _ => name,
    }
}

/// The queue that takes what `queue` could not get consumed, or `None` if `queue` is itself such a
/// queue: a dead letter that is rejected again stays where it is.
pub fn dead_letter_queue(queue: &str) -> Option<Arc<str>> {
    if slot_name_of(queue).len() < queue.len() {
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
}
