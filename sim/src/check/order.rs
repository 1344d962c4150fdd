//! First deliveries from one producer to one queue arrive in the order they were sent, where there
//! is a single consumer.
//!
//! Two messages are ordered only if the producer ordered them: sent over one connection, or the
//! earlier acknowledged before the later was sent. A publish whose fate was unknown when the
//! producer went on may be stored at any time, and the messages of a transaction are stored when it
//! commits, which takes several rounds where they belong to several shards; among themselves they
//! are ordered. Persistent and other messages take different ways and are ordered each among
//! themselves; redeliveries come when they come, and so do messages where some are put off.

use super::{HashMap, ReplyCheck};
use crate::workload::{
    history::{History, Observation},
    ids::{ClientId, DestinationId},
    operation::{MessageId, Publish},
};

/// By producer, destination, subscriber of what is kept for each, persistence and priority.
type Line = (u32, DestinationId, Option<ClientId>, bool, Option<u8>);

/// See the module.
#[derive(Debug, Default)]
pub struct Order {
    /// The sequence numbers of first deliveries, sorted.
    arrived: HashMap<Line, Vec<u32>>,
}

impl ReplyCheck for Order {
    fn name(&self) -> &'static str {
        "order"
    }

    fn observe(&mut self, seen: Observation<'_>, history: &History) -> Result<(), String> {
        let Observation::Delivered(delivery) = seen else { return Ok(()) };
        let Some(destination) = delivery.destination else { return Ok(()) };
        let info = history.destination(destination);
        if delivery.redelivered || info.delayed || (info.consumers != 1 && !info.kept) {
            return Ok(());
        }
        let subscriber = info.kept.then_some(delivery.client);
        let id = delivery.id;
        let Some(publish) = history.publish(id) else { return Ok(()) };
        let key = (id.producer, destination, subscriber, publish.persistent, publish.priority);
        let arrived = self.arrived.entry(key).or_default();
        let place = arrived.partition_point(|&sequence| sequence < id.sequence);
        // It was here before, and its client had not looked at it.
        if arrived.get(place) == Some(&id.sequence) {
            return Ok(());
        }
        let overtaken = arrived[place..].iter().copied().find(|&later| {
            let later = MessageId { sequence: later, ..id };
            history.publish(later).is_some_and(|later| is_ordered(publish, later))
        });
        arrived.insert(place, id.sequence);
        match overtaken {
            Some(later) => Err(format!(
                "{id} arrived from {} after p{}-{later}, which its producer sent later",
                info.name, id.producer
            )),
            None => Ok(()),
        }
    }
}

/// Whether the producer of both made sure that `earlier` comes first.
fn is_ordered(earlier: &Publish, later: &Publish) -> bool {
    let acknowledged_before =
        earlier.is_acknowledged() && earlier.reply.is_some_and(|(at, _)| at <= later.sent);
    let one_after_the_other =
        earlier.connection == later.connection && earlier.transaction == later.transaction;
    one_after_the_other || acknowledged_before
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::workload::{ids::ConnectionId, operation::Reply};

    fn shown(told: &mut Told, check: &mut Order, id: MessageId, redelivered: bool) -> bool {
        let delivery = told.deliver(id, redelivered);
        told.show(check, &delivery).is_ok()
    }

    #[test]
    fn overtaking_on_one_connection_is_refused() {
        let (mut told, mut check) = (Told::new(), Order::default());
        let ids = [(); 3].map(|()| told.send(QUEUE));
        assert!(shown(&mut told, &mut check, ids[0], false));
        assert!(shown(&mut told, &mut check, ids[2], false));
        assert!(shown(&mut told, &mut check, ids[1], true), "a redelivery has no place");
        assert!(!shown(&mut told, &mut check, ids[1], false));
    }

    #[test]
    fn only_the_first_delivery_counts() {
        let (mut told, mut check) = (Told::new(), Order::default());
        let ids = [(); 2].map(|()| told.send(QUEUE));
        for id in [ids[0], ids[1], ids[0], ids[1]] {
            assert!(shown(&mut told, &mut check, id, false));
        }
    }

    #[test]
    fn after_a_reconnect_only_the_acknowledged_is_ordered() {
        for (reply, right) in [(Reply::Unknown, true), (Reply::Ok, false)] {
            let (mut told, mut check) = (Told::new(), Order::default());
            let first = told.send(QUEUE);
            told.reply(first, reply);
            let second = told.send_by(0, QUEUE, |it| it.connection = ConnectionId(9));
            assert!(shown(&mut told, &mut check, second, false));
            assert_eq!(shown(&mut told, &mut check, first, false), right);
        }
    }

    #[test]
    fn a_transaction_is_ordered_in_itself() {
        let (mut told, mut check) = (Told::new(), Order::default());
        let plain = told.send(QUEUE);
        let [first, second] = told.transaction(Reply::Ok);
        assert!(shown(&mut told, &mut check, second, false));
        assert!(shown(&mut told, &mut check, plain, false), "it was not waited for");
        assert!(!shown(&mut told, &mut check, first, false));
    }

    #[test]
    fn competing_consumers_and_other_producers_are_not_ordered() {
        let (mut told, mut check) = (Told::new(), Order::default());
        let first = told.send(TOPIC);
        let second = told.send(TOPIC);
        assert!(shown(&mut told, &mut check, second, false));
        assert!(shown(&mut told, &mut check, first, false), "the topic has two consumers");
        let other = told.send_by(1, QUEUE, |_| {});
        let mine = told.send(QUEUE);
        assert!(shown(&mut told, &mut check, mine, false));
        assert!(shown(&mut told, &mut check, other, false));
    }
}
