//! What a consumer has settled, and was told so, is never handed out again; and what is handed out
//! again is marked.
//!
//! The check joins the two sides of the run: the message's id, which clients see in its headers and
//! the leader tells when it hands it out, leads from the client's receipt to the leader's dispatch. The dispatch
//! is what counts: a delivery that was under way before the receipt may arrive after it, when the
//! ingress node stood still, say, and no broker can help that.

use super::{
    HashMap, HashSet,
    step::{NameId, Step, Steps, What},
};
use crate::workload::{
    history::{History, Observation},
    operation::{How, Reply},
};

/// What reports call the check.
pub const NAME: &str = "settled";

/// See the module.
#[derive(Debug, Default)]
pub struct Settled {
    /// Messages whose consumer holds the receipt for its ACK, by the broker's name.
    gone: HashSet<NameId>,
    /// Messages that the broker itself says are settled.
    settled: HashSet<(u64, NameId)>,
    /// How often each message was dispatched.
    dispatched: HashMap<(u64, NameId), u32>,
}

impl Settled {
    /// Learns what clients know. Topics are left out: there every subscriber has its own copy.
    pub fn observe(&mut self, seen: Observation<'_>, history: &History, names: &mut Steps) {
        let Observation::Settled(settle) = seen else { return };
        if settle.how != How::Accept || settle.reply.is_none_or(|(_, reply)| reply != Reply::Ok) {
            return;
        }
        for &delivery in &settle.deliveries {
            let delivery = &history.deliveries[delivery as usize];
            if delivery.destination.is_some_and(|it| !history.destination(it).topic) {
                self.gone.insert(names.name(&delivery.broker_id));
            }
        }
    }

    /// Takes in one step; an error says why it must never happen.
    pub fn step(&mut self, step: &Step, names: &Steps) -> Result<(), String> {
        match step.what {
            What::Dispatch { shard, term, consumer, message, id, redelivered, .. } => {
                let before = self.dispatched.entry((shard, message)).or_default();
                *before += 1;
                let again = *before > 1;
                let told = |what: &str| {
                    format!(
                        "message {} of shard {shard} was dispatched to {} in term {term} {what}",
                        names.text(message),
                        names.text(consumer)
                    )
                };
                if id.is_some_and(|id| self.gone.contains(&id)) {
                    return Err(told("after its consumer had the receipt for its ACK"));
                }
                if self.settled.contains(&(shard, message)) {
                    return Err(told("after it was settled"));
                }
                if again && !redelivered {
                    return Err(told("for a second time without being marked as redelivered"));
                }
            }
            What::ServeBegin { shard, term } => {
                // What is not stored is numbered by term, and the numbers begin anew if a node
                // takes its term up again after a restart.
                let volatile = format!("v{term}.");
                let begins_anew = |(other, message): &(u64, NameId)| {
                    *other == shard && names.text(*message).starts_with(&volatile)
                };
                self.dispatched.retain(|key, _| !begins_anew(key));
                self.settled.retain(|key| !begins_anew(key));
            }
            What::Settle { shard, message, .. } => {
                self.settled.insert((shard, message));
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    fn redispatch(term: u64, message: NameId) -> Step {
        by(
            0,
            What::Dispatch {
                shard: 1,
                term,
                consumer: NameId(1),
                message,
                id: Some(message),
                queue: None,
                priority: 4,
                redelivered: true,
                in_flight: 1,
                credit: 1,
            },
        )
    }

    #[test]
    fn dispatching_again_is_right_until_the_receipt() {
        let (mut told, mut names, mut check) = (Told::new(), names(), Settled::default());
        let id = told.publish(QUEUE);
        let delivery = told.deliver(id, false);
        let message = names.name(&delivery.broker_id);
        check.step(&by(0, dispatch(1, 4, 1, message.0)), &names).unwrap();
        check.step(&redispatch(5, message), &names).unwrap();

        let settle = told.accept(id);
        check.observe(Observation::Settled(&settle), &told.history, &mut names);
        let error = check.step(&redispatch(6, message), &names).unwrap_err();
        assert!(error.contains("receipt"), "{error}");
    }

    #[test]
    fn dispatching_what_the_broker_settled_is_refused() {
        let (names, mut check) = (names(), Settled::default());
        let message = NameId(2);
        let settle = What::Settle { shard: 1, term: 4, consumer: NameId(1), message };
        check.step(&by(0, settle), &names).unwrap();
        assert!(check.step(&redispatch(5, message), &names).is_err());
    }

    #[test]
    fn a_second_dispatch_without_the_mark_is_refused() {
        let (names, mut check) = (names(), Settled::default());
        check.step(&by(0, dispatch(1, 4, 1, 2)), &names).unwrap();
        let error = check.step(&by(1, dispatch(1, 5, 1, 2)), &names).unwrap_err();
        assert!(error.contains("marked"), "{error}");
    }
}
