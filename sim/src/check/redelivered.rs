//! Of all deliveries of a message at most one comes without the mark of redelivery; for a topic, at
//! most one per subscriber. Of one that is repeated this holds for each time.
//!
//! What a client says it has not looked at, when it ends its subscription, counts as not delivered.
//!
//! The rule needs no order of arrival: a first delivery that was long under way may arrive after a
//! marked one.

use std::sync::Arc;

use super::{HashSet, ReplyCheck};
use crate::workload::{
    history::{History, Observation},
    ids::ClientId,
    operation::{Delivery, MessageId},
};

/// Whose copy it is, of a topic's message, and which, of one that is repeated.
type Copy = (Option<ClientId>, Option<Arc<str>>);

/// See the module.
#[derive(Debug, Default)]
pub struct Redelivered {
    unmarked: HashSet<(MessageId, Copy)>,
}

impl ReplyCheck for Redelivered {
    fn name(&self) -> &'static str {
        "redelivered-flag"
    }

    fn observe(&mut self, seen: Observation<'_>, history: &History) -> Result<(), String> {
        let delivery = match seen {
            Observation::Delivered(delivery) => delivery,
            Observation::Closing(closing) => {
                for index in &closing.unseen {
                    let delivery = &history.deliveries[*index as usize];
                    if !delivery.redelivered {
                        self.unmarked.remove(&(delivery.id, copy(delivery, history)));
                    }
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        // A dead letter is a message of its own, on another queue.
        if delivery.destination.is_none() {
            return Ok(());
        }
        let copy = copy(delivery, history);
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

fn copy(delivery: &Delivery, history: &History) -> Copy {
    let is_topic = delivery.destination.is_some_and(|it| history.destination(it).topic);
    let is_repeated = history.publish(delivery.id).is_some_and(|it| it.copies() > 1);
    let name = is_repeated.then(|| delivery.broker_id.clone());
    (is_topic.then_some(delivery.client), name)
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::workload::operation::Closing;

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

    #[test]
    fn what_was_not_looked_at_may_come_unmarked_again_and_only_once() {
        let (mut told, mut check) = (Told::new(), Redelivered::default());
        let id = told.publish(QUEUE);
        for (is_unseen, right) in [(true, true), (false, true), (false, false)] {
            let delivery = told.deliver(id, false);
            assert_eq!(told.show(&mut check, &delivery).is_ok(), right);
            let index = told.history.deliveries.len() as u32 - 1;
            let closing = Closing {
                connection: delivery.connection,
                destinations: delivery.destination.into_iter().collect(),
                unseen: if is_unseen { vec![index] } else { Vec::new() },
                sent: delivery.at,
                reply: None,
            };
            check.observe(Observation::Closing(&closing), &told.history).unwrap();
        }
    }
}
