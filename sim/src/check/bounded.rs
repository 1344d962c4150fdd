//! A queue takes no message beyond what its policy says at the time.
//!
//! Nobody sees how many messages a queue holds at the moment at which it takes one. But those that were
//! acknowledged before this one was sent, and that no consumer had begun to settle when this one was
//! acknowledged, were there. Left out are messages that may have gone by themselves, and those of
//! transactions, which may exceed the bound.

use std::{collections::BTreeMap, time::Duration};

use paceline_destination::Destination;
use paceline_membership::Durability;

use super::{End, EndCheck, Found};
use crate::workload::{
    history::History,
    ids::DestinationId,
    operation::{MessageId, Publish},
};

/// See the module.
#[derive(Debug, Default)]
pub struct Bounded;

/// A message that was in its queue from when it was acknowledged until a consumer began to settle it.
struct Stay {
    id: MessageId,
    sent: Duration,
    acknowledged: Duration,
    /// The first settlement of any of its deliveries.
    ended: Duration,
    /// Whether it needed room.
    is_bounded: bool,
}

impl EndCheck for Bounded {
    fn name(&self) -> &'static str {
        "bounded"
    }

    fn judge(&self, history: &History, end: &End) -> Vec<Found> {
        let is_any = |list: &super::PoliciesInForce| {
            list.policies.entries().iter().any(|policy| policy.max_messages.is_some())
        };
        // What is still somewhere may have died there, which nobody has seen.
        if !end.drained || !end.policies.iter().any(is_any) {
            return Vec::new();
        }
        let mut queues: BTreeMap<DestinationId, Vec<Stay>> = BTreeMap::new();
        let settled = first_settled(history);
        for (id, publish) in history.all_publishes() {
            if let Some(stay) = stay(id, publish, history, &settled) {
                queues.entry(publish.destination).or_default().push(stay);
            }
        }
        queues
            .into_iter()
            .filter_map(|(queue, stays)| exceeded(queue, stays, history, end))
            .collect()
    }
}

/// When the first settlement of each message was sent.
fn first_settled(history: &History) -> BTreeMap<MessageId, Duration> {
    let mut first = BTreeMap::new();
    for settle in &history.settles {
        for delivery in &settle.deliveries {
            let id = history.deliveries[*delivery as usize].id;
            first.entry(id).or_insert(settle.sent);
        }
    }
    first
}

fn stay(
    id: MessageId,
    publish: &Publish,
    history: &History,
    settled: &BTreeMap<MessageId, Duration>,
) -> Option<Stay> {
    let destination = history.destination(publish.destination);
    let is_kept = publish.persistent && publish.expires.is_none() && publish.delay.is_none();
    if !is_kept || !publish.is_acknowledged() || destination.topic || destination.auto_ack {
        return None;
    }
    // A dead letter may have left its queue when its consumer died.
    if history.deliveries_of(id).any(|delivery| delivery.destination.is_none()) {
        return None;
    }
    let (sent, (acknowledged, _)) = (publish.sent, publish.reply?);
    let (ended, is_bounded) = (*settled.get(&id)?, publish.transaction.is_none());
    Some(Stay { id, sent, acknowledged, ended, is_bounded })
}

/// The first message that a queue took beyond what it might hold.
fn exceeded(queue: DestinationId, stays: Vec<Stay>, history: &History, end: &End) -> Option<Found> {
    let name = &*history.destination(queue).name;
    let destination = Destination::queue(name).ok()?;
    for stay in stays.iter().filter(|stay| stay.is_bounded) {
        // The most that any policy allowed which may have counted then.
        let mut most = Some(0);
        for policies in end.policies_between(stay.sent, stay.acknowledged) {
            let policy = policies.of(&destination);
            let is_stored = policy.is_none_or(|it| it.durability == Durability::Synced);
            let bound = policy.filter(|_| is_stored).and_then(|policy| policy.max_messages);
            most = most.zip(bound).map(|(most, bound)| most.max(bound));
        }
        let Some(most) = most else { continue };
        let is_there =
            |other: &&Stay| other.acknowledged < stay.sent && other.ended > stay.acknowledged;
        let there = stays.iter().filter(is_there).count() as u64;
        if there >= most {
            let detail = format!(
                "{} was taken by {name} between {:.3}s and {:.3}s, which held {there} messages, and \
                 might hold {most}",
                stay.id,
                stay.sent.as_secs_f64(),
                stay.acknowledged.as_secs_f64()
            );
            return Some(Found::about(detail, vec![stay.id]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use paceline_membership::{Policies, Policy};

    use super::{
        super::{PoliciesInForce, testing::*},
        *,
    };
    use crate::workload::operation::Reply;

    /// Of these bounds, each from one millisecond to another.
    fn end(bounds: &[(u64, u64, Option<u64>)]) -> End {
        let list = |(from, until, messages): &(u64, u64, Option<u64>)| {
            let policy = Policy::of(Destination::queue("q").unwrap());
            let policy = Policy { max_messages: *messages, ..policy };
            let policies = Policies::try_from(vec![policy]).unwrap();
            let [from, until] = [from, until].map(|it| Duration::from_millis(*it));
            PoliciesInForce { from, until, policies }
        };
        End { drained: true, policies: bounds.iter().map(list).collect(), ..End::default() }
    }

    /// Three messages come one after the other, and then they are consumed.
    fn three() -> Told {
        let mut told = Told::new();
        let all = [(); 3].map(|()| told.publish(QUEUE));
        for id in all {
            told.deliver(id, false);
            told.accept(id);
        }
        told
    }

    #[test]
    fn a_queue_that_takes_more_than_it_may_hold_is_found() {
        let judge = |bounds: &[_]| Bounded.judge(&three().history, &end(bounds)).len();
        assert_eq!(judge(&[(0, 99, Some(2))]), 1);
        assert_eq!(judge(&[(0, 99, Some(3))]), 0);
        assert_eq!(judge(&[(0, 99, None)]), 0);
        // The last is sent with the fifth tick.
        assert_eq!(judge(&[(0, 9, Some(2)), (5, 99, Some(3))]), 0, "it counts already");
        assert_eq!(judge(&[(0, 5, Some(3)), (1, 99, Some(2))]), 0, "it counts still");
        assert_eq!(judge(&[(0, 4, Some(3)), (1, 99, Some(2))]), 1, "no more");
        assert_eq!(judge(&[(0, 99, Some(2)), (5, 99, None)]), 0);
    }

    #[test]
    fn what_may_have_gone_does_not_count() {
        let mut told = Told::new();
        let first = told.publish(QUEUE);
        told.deliver(first, false);
        told.accept(first);
        let expiring = told.send_by(0, QUEUE, |it| it.expires = Some(Duration::from_millis(1)));
        told.reply(expiring, Reply::Ok);
        let dead = told.publish(QUEUE);
        let mut delivery = told.deliver(dead, false);
        delivery.destination = None;
        told.history.arrived(delivery);
        let last = told.publish(QUEUE);
        for id in [expiring, dead, last] {
            told.deliver(id, false);
            told.accept(id);
        }
        assert!(Bounded.judge(&told.history, &end(&[(0, 99, Some(1))])).is_empty());
        assert_eq!(Bounded.judge(&three().history, &end(&[(0, 99, Some(1))])).len(), 1);
    }
}
