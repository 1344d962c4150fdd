//! A message leaves its queue because its own consumer said so, and for no other reason.
//!
//! That a message was delivered does not mean that it was consumed: a broker that takes a NACK for
//! an ACK, or an ACK for more than it covers, delivers everything and loses what its consumers
//! wanted to have again. Two looks at it:
//!
//! - whenever a leader says that a delivery was settled, its client must have sent an
//!   acknowledgement that covers a delivery of this message;
//! - when all is drained, and so the queues are empty, each message that the broker vouched for must
//!   have been acknowledged by somebody, here or as a dead letter. An acknowledgement of which the
//!   broker has said that it changed nothing is none.
//!
//! Left out is what sending settles: topics, and queues consumed with `auto`.

use super::{
    End, EndCheck, Found, HashMap, HashSet,
    step::{NameId, Step, Steps, What},
};
use crate::workload::{
    history::{History, Observation},
    operation::{Delivery, How, MessageId, Reply, Settle},
};

/// What reports call the check.
pub const NAME: &str = "asked";

/// See the module.
#[derive(Debug, Default)]
pub struct Asked {
    /// Messages by the broker's name for which a client has sent an acknowledgement.
    asked: HashSet<NameId>,
    /// Messages that a client has seen, and has to acknowledge.
    seen: HashSet<NameId>,
    /// What the leaders call the messages: by shard and place, the broker's name.
    ids: HashMap<(u64, NameId), NameId>,
    /// Settled, though no client that we know of had it.
    early: HashSet<NameId>,
}

impl Asked {
    /// Learns what clients do. An error says why it must never happen.
    pub fn observe(
        &mut self,
        seen: Observation<'_>,
        history: &History,
        names: &mut Steps,
    ) -> Result<(), String> {
        match seen {
            Observation::SettleSent(settle) if settle.how == How::Accept => {
                let deliveries = settle.deliveries.iter();
                for delivery in deliveries.map(|it| &history.deliveries[*it as usize]) {
                    self.asked.insert(names.name(&delivery.broker_id));
                }
                Ok(())
            }
            Observation::Delivered(delivery) if is_acknowledged(delivery, history) => {
                let name = names.name(&delivery.broker_id);
                self.seen.insert(name);
                if self.early.contains(&name) && !self.asked.contains(&name) {
                    return Err(format!(
                        "{}, or {}, was settled before its consumer had it",
                        delivery.id, delivery.broker_id
                    ));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes in one step; an error says why it must never happen.
    pub fn step(&mut self, step: &Step, names: &Steps) -> Result<(), String> {
        match step.what {
            What::Dispatch { shard, message, id: Some(id), .. } => {
                self.ids.insert((shard, message), id);
                Ok(())
            }
            What::Settle { shard, message, consumer, .. } => {
                // A body that had to be read back from the disk was dispatched without its name.
                let Some(id) = self.ids.get(&(shard, message)).copied() else { return Ok(()) };
                if self.asked.contains(&id) {
                    return Ok(());
                }
                if !self.seen.contains(&id) {
                    self.early.insert(id);
                    return Ok(());
                }
                Err(format!(
                    "message {} of shard {shard}, {}, was settled for {}, and no client has \
                     acknowledged it",
                    names.text(message),
                    names.text(id),
                    names.text(consumer)
                ))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a delivery has to be acknowledged by its client.
fn is_acknowledged(delivery: &Delivery, history: &History) -> bool {
    let Some(destination) = delivery.destination else { return true };
    let info = history.destination(destination);
    !info.topic && !info.auto_ack
}

/// See the module.
#[derive(Debug, Default)]
pub struct Consumed;

impl Consumed {
    fn unasked(history: &History, end: &End) -> Vec<MessageId> {
        let mut asked = HashSet::default();
        let refused = |settle: &Settle| matches!(settle.reply, Some((_, Reply::Failed)));
        let accepted = history.settles.iter().filter(|settle| settle.how == How::Accept);
        for settle in accepted.filter(|settle| !refused(settle)) {
            let deliveries = settle.deliveries.iter();
            asked.extend(deliveries.map(|it| history.deliveries[*it as usize].id));
        }
        history
            .all_publishes()
            .filter(|(id, publish)| {
                let info = history.destination(publish.destination);
                let may_expire =
                    publish.expires.is_some_and(|expires| expires <= end.at + end.clock_error);
                let is_owed = publish.persistent && publish.is_acknowledged() && !may_expire;
                is_owed && !info.topic && !info.auto_ack && !asked.contains(id)
            })
            .map(|(id, _)| id)
            .collect()
    }
}

impl EndCheck for Consumed {
    fn name(&self) -> &'static str {
        "consumed"
    }

    fn judge(&self, history: &History, end: &End) -> Vec<Found> {
        if !end.drained {
            return Vec::new();
        }
        let unasked = Self::unasked(history, end);
        // What is lost altogether the check of that name has reported, where it is not allowed.
        let gone = unasked.iter().filter(|id| history.deliveries_of(**id).next().is_some());
        gone.take(5)
            .map(|id| {
                let deliveries = history.deliveries_of(*id).count();
                let detail = format!(
                    "{id} was delivered {deliveries} times and left its queue, though no consumer \
                     acknowledged it"
                );
                Found::about(detail, [*id])
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    /// The leader dispatches message 2, and client 0 has it.
    fn delivered(told: &mut Told, check: &mut Asked, names: &mut Steps) -> MessageId {
        let id = told.publish(QUEUE);
        let delivery = told.deliver(id, false);
        let name = names.name(&delivery.broker_id);
        let mut what = dispatch(1, 4, 1, 2);
        if let What::Dispatch { id, .. } = &mut what {
            *id = Some(name);
        }
        check.step(&by(0, what), names).unwrap();
        check.observe(Observation::Delivered(&delivery), &told.history, names).unwrap();
        id
    }

    fn settle() -> Step {
        by(0, What::Settle { shard: 1, term: 4, consumer: NameId(1), message: NameId(2) })
    }

    fn refuse(told: &mut Told, id: MessageId) -> Settle {
        let mut settle = told.accept(id);
        let last = told.history.settles.len() - 1;
        told.history.settles[last].how = How::Reject;
        settle.how = How::Reject;
        settle
    }

    #[test]
    fn what_was_acknowledged_may_be_settled_and_what_was_refused_may_not() {
        for is_acknowledged in [true, false] {
            let (mut told, mut names, mut check) = (Told::new(), names(), Asked::default());
            let id = delivered(&mut told, &mut check, &mut names);
            let sent = if is_acknowledged { told.accept(id) } else { refuse(&mut told, id) };
            check.observe(Observation::SettleSent(&sent), &told.history, &mut names).unwrap();
            assert_eq!(check.step(&settle(), &names).is_ok(), is_acknowledged);
        }
    }

    #[test]
    fn what_nobody_has_seen_yet_is_not_settled() {
        let (mut told, mut names, mut check) = (Told::new(), names(), Asked::default());
        let id = told.publish(QUEUE);
        let delivery = told.deliver(id, false);
        let mut what = dispatch(1, 4, 1, 2);
        if let What::Dispatch { id, .. } = &mut what {
            *id = Some(names.name(&delivery.broker_id));
        }
        check.step(&by(0, what), &names).unwrap();
        check.step(&settle(), &names).unwrap();
        let seen = Observation::Delivered(&delivery);
        assert!(check.observe(seen, &told.history, &mut names).is_err());
    }

    #[test]
    fn a_message_that_left_without_being_acknowledged_is_found() {
        let end = End { drained: true, ..End::default() };
        let mut told = Told::new();
        let id = told.publish(QUEUE);
        told.deliver(id, false);
        assert!(
            Consumed.judge(&told.history, &end)[0].detail.contains("no consumer acknowledged it")
        );
        refuse(&mut told, id);
        assert_eq!(Consumed.judge(&told.history, &end).len(), 1);
        told.deliver(id, true);
        told.accept(id);
        assert!(Consumed.judge(&told.history, &end).is_empty());
        // The broker says that this changed nothing, and yet the message is gone.
        let last = told.history.settles.last_mut().unwrap();
        last.reply = last.reply.map(|(at, _)| (at, Reply::Failed));
        assert_eq!(Consumed.judge(&told.history, &end).len(), 1);
        told.accept(id);
        // Nobody vouched for it, so it may go as it likes.
        let unknown = told.send(QUEUE);
        told.reply(unknown, Reply::Unknown);
        told.deliver(unknown, false);
        assert!(Consumed.judge(&told.history, &end).is_empty());
    }
}
