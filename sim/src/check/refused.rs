//! An acknowledgement of what is not stored is never refused.
//!
//! Such a message is delivered once at most, and whoever acknowledges it has had it: whether the
//! leader that handed it out still leads, another one does or none, that is all there is to say.

use super::ReplyCheck;
use crate::workload::{
    history::{History, Observation},
    operation::{Delivery, How, Reply},
};

/// See the module.
#[derive(Debug, Default)]
pub struct Refused;

/// Whether a delivered message is one that the broker stores, as it does with all that a transaction
/// sends to where messages are kept.
fn is_stored(delivery: &Delivery, history: &History) -> bool {
    history.publish(delivery.id).is_none_or(|publish| {
        let info = history.destination(publish.destination);
        let is_lasting = publish.persistent || publish.transaction.is_some();
        is_lasting && (!info.topic || info.kept)
    })
}

impl ReplyCheck for Refused {
    fn name(&self) -> &'static str {
        "refused"
    }

    fn observe(&mut self, seen: Observation<'_>, history: &History) -> Result<(), String> {
        let Observation::Settled(settle) = seen else { return Ok(()) };
        if settle.how != How::Accept || settle.reply.is_none_or(|(_, it)| it != Reply::Failed) {
            return Ok(());
        }
        let deliveries = || settle.deliveries.iter().map(|it| &history.deliveries[*it as usize]);
        if deliveries().any(|delivery| is_stored(delivery, history)) {
            return Ok(());
        }
        let ids: Vec<String> = deliveries().map(|delivery| delivery.id.to_string()).collect();
        Err(format!("acknowledging {} was refused, though none is stored", ids.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn what_a_transaction_sends_to_a_queue_is_stored() {
        let mut told = Told::new();
        let [id, _] = told.transaction(Reply::Ok);
        told.history.publishes[0][0].persistent = false;
        told.deliver(id, false);
        let mut settle = told.accept(id);
        settle.reply = Some((settle.sent, Reply::Failed));
        Refused.observe(Observation::Settled(&settle), &told.history).unwrap();
    }

    #[test]
    fn what_is_not_stored_may_always_be_acknowledged() {
        for (destination, persistent, is_right) in
            [(QUEUE, true, true), (QUEUE, false, false), (TOPIC, true, false)]
        {
            for reply in [Reply::Ok, Reply::Unknown, Reply::Failed] {
                let mut told = Told::new();
                let id = told.send_by(0, destination, |it| it.persistent = persistent);
                told.deliver(id, false);
                let mut settle = told.accept(id);
                settle.reply = Some((settle.sent, reply));
                let seen = Refused.observe(Observation::Settled(&settle), &told.history);
                assert_eq!(seen.is_ok(), is_right || reply != Reply::Failed, "{seen:?}");
            }
        }
    }
}
