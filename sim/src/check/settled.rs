//! What a consumer has settled, and was told so, is never handed out again; and what is handed out
//! again is marked, unless no client has looked at it: none has had it, or those that had have said
//! so when they ended their subscriptions.
//!
//! The check joins the two sides of the run: the message's id, which clients see in its headers and
//! the leader tells when it hands it out, leads from the client's receipt to the leader's dispatch. The dispatch
//! is what counts: a delivery that was under way before the receipt may arrive after it, when the
//! ingress node stood still, say, and no broker can help that.

use std::time::Duration;

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
    /// The last dispatch of each message.
    dispatched: HashMap<(u64, NameId), Dispatched>,
    /// By the broker's name: of how many deliveries clients have not said that they did not look at
    /// them.
    seen: HashMap<NameId, u32>,
    /// Messages that a client has sent a refusal of.
    refused: HashSet<NameId>,
    /// By queue, the ends of subscriptions of which clients say what they have looked at.
    closings: HashMap<NameId, Closings>,
}

#[derive(Debug, Default)]
struct Closings {
    /// So many have no answer yet.
    open: u32,
    /// Until then those with an answer may have come to the leader.
    until: Duration,
}

/// So long after its client has given up the end of a subscription may come to the leader.
const UNDER_WAY: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
struct Dispatched {
    at: Duration,
    id: Option<NameId>,
    queue: Option<NameId>,
}

impl Settled {
    /// Learns what clients know. Topics are left out: there every subscriber has its own copy.
    pub fn observe(&mut self, seen: Observation<'_>, history: &History, names: &mut Steps) {
        let settle = match seen {
            Observation::Settled(settle) => settle,
            Observation::Delivered(delivery) => {
                *self.seen.entry(names.name(&delivery.broker_id)).or_default() += 1;
                return;
            }
            Observation::Closing(closing) => {
                if closing.destinations.is_empty() {
                    return;
                }
                for queue in &closing.destinations {
                    let queue = names.name(&history.destination(*queue).name);
                    self.closings.entry(queue).or_default().open += 1;
                }
                for delivery in &closing.unseen {
                    let delivery = &history.deliveries[*delivery as usize];
                    *self.seen.entry(names.name(&delivery.broker_id)).or_default() -= 1;
                }
                return;
            }
            Observation::ClosingReplied(closing) => {
                let Some((at, reply)) = closing.reply else { return };
                for queue in &closing.destinations {
                    let queue = names.name(&history.destination(*queue).name);
                    let closings = self.closings.entry(queue).or_default();
                    closings.open -= 1;
                    let until = if reply == Reply::Unknown { at + UNDER_WAY } else { at };
                    closings.until = closings.until.max(until);
                }
                return;
            }
            Observation::SettleSent(settle) if settle.how != How::Accept => {
                let deliveries = settle.deliveries.iter();
                let ids = deliveries.map(|it| &history.deliveries[*it as usize].broker_id);
                self.refused.extend(ids.map(|id| names.name(id)));
                return;
            }
            _ => return,
        };
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
            What::Dispatch { shard, term, consumer, message, id, queue, redelivered, .. } => {
                let before = self.dispatched.get(&(shard, message)).copied();
                let known = |now: Option<NameId>, before: Option<NameId>| now.or(before);
                let this = Dispatched {
                    at: step.at,
                    id: known(id, before.and_then(|it| it.id)),
                    queue: known(queue, before.and_then(|it| it.queue)),
                };
                self.dispatched.insert((shard, message), this);
                let told = |what: &str| {
                    format!(
                        "message {} of shard {shard} was dispatched to {} in term {term} {what}",
                        names.text(message),
                        names.text(consumer)
                    )
                };
                // Who had it twice may have refused it and accepted it.
                let is_dead = |id| {
                    let is_dead = queue.is_some_and(|it| names.text(it).starts_with("DLQ."));
                    is_dead && self.refused.contains(&id)
                };
                if id.is_some_and(|id| self.gone.contains(&id) && !is_dead(id)) {
                    return Err(told("after its consumer had the receipt for its ACK"));
                }
                if self.settled.contains(&(shard, message)) {
                    return Err(told("after it was settled"));
                }
                // Of what subscribers have copies of, each knows for itself: see `redelivered`.
                let is_copy = this.id.is_some()
                    && this.queue.is_none_or(|it| names.text(it).contains(".VirtualTopic."));
                let is_again = before.is_some_and(|before| !self.is_unseen(this, before.at));
                if !redelivered && !is_copy && is_again {
                    return Err(told("for a second time without being marked as redelivered"));
                }
            }
            What::ReadBack { shard, message, id, queue } => {
                if let Some(known) = self.dispatched.get_mut(&(shard, message)) {
                    (known.id, known.queue) = (Some(id), queue);
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

impl Settled {
    /// Whether no client has looked at a message, and one that receives from its queue has said what
    /// it has looked at, so that the leader came to know since it handed the message out. Of a message
    /// that the leader has handed out without having it at hand that may be so whoever has said it.
    fn is_unseen(&self, message: Dispatched, handed_out: Duration) -> bool {
        let may_be_known = |it: &Closings| it.open > 0 || it.until >= handed_out;
        let Dispatched { id: Some(id), queue: Some(queue), .. } = message else {
            return self.closings.values().any(may_be_known);
        };
        let nobody_saw = self.seen.get(&id).is_none_or(|count| *count == 0);
        nobody_saw && self.closings.get(&queue).is_some_and(may_be_known)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::workload::{
        ids::ConnectionId,
        operation::{Closing, MessageId},
    };

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

    /// A message is handed out after 10 ms, reaches a client or not, and is handed out again after
    /// 20 ms without a mark. In between a client says what it has looked at; it is answered then.
    fn unmarked_again(reaches: bool, closing: Option<(Vec<u32>, Option<u64>)>) -> bool {
        unmarked_again_as(true, reaches, closing)
    }

    /// The same of a message that the leader has at hand or has not.
    fn unmarked_again_as(
        is_at_hand: bool,
        reaches: bool,
        closing: Option<(Vec<u32>, Option<u64>)>,
    ) -> bool {
        let (mut told, mut names, mut check) = (Told::new(), names(), Settled::default());
        let id: MessageId = told.publish(QUEUE);
        let (name, queue) = (names.name(&format!("id-{id}")), names.name("q"));
        let handed_out = |at| {
            let mut step = redispatch(1, name);
            step.at = at;
            if let What::Dispatch { queue: on, redelivered, .. } = &mut step.what {
                (*on, *redelivered) = (Some(queue), false);
            }
            if let (What::Dispatch { id, queue: on, .. }, false) = (&mut step.what, is_at_hand) {
                (*id, *on) = (None, None);
            }
            step
        };
        check.step(&handed_out(Duration::from_millis(10)), &names).unwrap();
        if reaches {
            let delivery = told.deliver(id, false);
            check.observe(Observation::Delivered(&delivery), &told.history, &mut names);
        }
        if let Some((unseen, answered)) = closing {
            let mut closing = Closing {
                connection: ConnectionId(100),
                destinations: vec![QUEUE],
                unseen,
                sent: Duration::from_millis(5),
                reply: None,
            };
            check.observe(Observation::Closing(&closing), &told.history, &mut names);
            if let Some(at) = answered {
                closing.reply = Some((Duration::from_millis(at), Reply::Ok));
                check.observe(Observation::ClosingReplied(&closing), &told.history, &mut names);
            }
        }
        check.step(&handed_out(Duration::from_millis(20)), &names).is_ok()
    }

    #[test]
    fn what_no_client_has_looked_at_need_not_be_marked() {
        for answered in [None, Some(15)] {
            assert!(unmarked_again(true, Some((vec![0], answered))));
            assert!(unmarked_again(false, Some((Vec::new(), answered))), "it was on its way");
            assert!(!unmarked_again(true, Some((Vec::new(), answered))), "it was looked at");
        }
        assert!(!unmarked_again(false, Some((Vec::new(), Some(8)))), "that was before");
        assert!(!unmarked_again(false, None), "nobody has said anything");
        // Which queue it is of is not known.
        assert!(unmarked_again_as(false, false, Some((Vec::new(), None))));
        assert!(!unmarked_again_as(false, false, Some((Vec::new(), Some(8)))), "before");
        assert!(!unmarked_again_as(false, false, None));
    }

    #[test]
    fn a_dead_letter_is_handed_out_though_another_delivery_was_accepted() {
        for (is_refused, right) in [(true, true), (false, false)] {
            let (mut told, mut names, mut check) = (Told::new(), names(), Settled::default());
            let id = told.publish(QUEUE);
            let name = names.name(&told.deliver(id, false).broker_id);
            let mut settle = told.accept(id);
            check.observe(Observation::Settled(&settle), &told.history, &mut names);
            if is_refused {
                settle.how = How::Poison;
                check.observe(Observation::SettleSent(&settle), &told.history, &mut names);
            }
            let mut step = redispatch(1, name);
            if let What::Dispatch { queue, .. } = &mut step.what {
                *queue = Some(names.name("DLQ.q"));
            }
            assert_eq!(check.step(&step, &names).is_ok(), right);
        }
    }
}
