//! Of all deliveries of a message at most one comes without the mark of redelivery; for a topic, at
//! most one per subscriber.
//!
//! The rule needs no order of arrival: a first delivery that was long under way may arrive after a
//! marked one.

use super::{HashSet, ReplyCheck};
use crate::workload::{
    history::{History, Observation},
    ids::ClientId,
    operation::MessageId,
};

/// See the module.
#[derive(Debug, Default)]
pub struct Redelivered {
    unmarked: HashSet<(MessageId, Option<ClientId>)>,
}

impl ReplyCheck for Redelivered {
    fn name(&self) -> &'static str {
        "redelivered-flag"
    }

    fn observe(&mut self, seen: Observation<'_>, history: &History) -> Result<(), String> {
        let Observation::Delivered(delivery) = seen else { return Ok(()) };
        // A dead letter is a message of its own, on another queue.
        let Some(destination) = delivery.destination else { return Ok(()) };
        let copy = history.destination(destination).topic.then_some(delivery.client);
        if !delivery.redelivered && !self.unmarked.insert((delivery.id, copy)) {
            return Err(format!(
                "{} was delivered to client {} without the mark of redelivery, as it had been once \
                 before",
                delivery.id, delivery.client.0
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn one_unmarked_delivery_is_right_and_two_are_not() {
        let (mut told, mut check) = (Told::new(), Redelivered::default());
        let id = told.publish(QUEUE);
        for (redelivered, right) in [(true, true), (false, true), (true, true), (false, false)] {
            let delivery = told.deliver(id, redelivered);
            assert_eq!(told.show(&mut check, &delivery).is_ok(), right);
        }
    }

    #[test]
    fn subscribers_of_a_topic_count_apart() {
        let (mut told, mut check) = (Told::new(), Redelivered::default());
        let id = told.publish(TOPIC);
        for (client, right) in [(0, true), (1, true), (1, false)] {
            let delivery = told.deliver_to(client, id, false);
            assert_eq!(told.show(&mut check, &delivery).is_ok(), right);
        }
    }
}
