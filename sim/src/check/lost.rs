//! Every acknowledged persistent message of a queue was delivered, dead-lettered, or expired; where a
//! policy says that what expires is a dead letter, it was delivered or dead-lettered.
//!
//! Three things lose messages rightly, by their specification: messages that are not persistent,
//! consumers for whom sending settles (`auto`), and topics without durable subscribers. In a run
//! without faults even these must not lose, the last two while no client leaves.

use std::collections::BTreeSet;

use super::{End, EndCheck, Found};
use crate::workload::{
    history::History,
    operation::{MessageId, Publish},
};

/// See the module.
#[derive(Debug, Default)]
pub struct Lost;

impl Lost {
    /// The acknowledged messages that are nowhere.
    pub fn find(history: &History, end: &End) -> Vec<MessageId> {
        history
            .all_publishes()
            .filter(|(id, publish)| is_owed(*id, publish, history, end))
            .map(|(id, _)| id)
            .collect()
    }
}

/// Whether the broker owes a delivery of this message that nobody has seen.
fn is_owed(id: MessageId, publish: &Publish, history: &History, end: &End) -> bool {
    let destination = history.destination(publish.destination);
    let goes_with_its_consumer = destination.auto_ack || destination.topic;
    let is_safe = end.faultless && (!goes_with_its_consumer || history.closed.is_empty());
    let at_most_once = !publish.is_stored() || goes_with_its_consumer;
    // What is a dead letter then is seen by whoever looks after those.
    let is_kept = publish.persistent && !destination.topic && end.keeps_expired(&destination.name);
    let is_over = publish.expires.is_some_and(|expires| expires <= end.at + end.clock_error);
    let may_expire = is_over && !is_kept;
    if !publish.is_acknowledged() || may_expire || (at_most_once && !is_safe) {
        return false;
    }
    let each = if destination.topic { destination.consumers as usize } else { 1 };
    if publish.delay.is_none() {
        return history.deliveries_of(id).count() < each;
    }
    // Each of its copies has a name of its own; of a topic's each subscriber has each.
    let seen = history.deliveries_of(id).map(|it| {
        let whose = destination.topic.then_some(it.client);
        (&*it.broker_id, whose)
    });
    seen.collect::<BTreeSet<_>>().len() < each * publish.copies()
}

impl EndCheck for Lost {
    fn name(&self) -> &'static str {
        "lost"
    }

    fn judge(&self, history: &History, end: &End) -> Vec<Found> {
        // Before everything is drained, what is missing may still be on its way.
        if !end.drained {
            return Vec::new();
        }
        let lost = Self::find(history, end);
        if lost.len() as u64 <= end.allowed_lost {
            return Vec::new();
        }
        let first: Vec<String> = lost.iter().take(5).map(MessageId::to_string).collect();
        let shown = first.join(", ");
        let detail = format!(
            "{} acknowledged messages were never delivered, the first of them {shown}",
            lost.len()
        );
        vec![Found::about(detail, lost)]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use paceline_destination::Destination;
    use paceline_membership::{Expired, Policies, Policy};

    use super::{
        super::{PoliciesInForce, testing::*},
        *,
    };
    use crate::workload::{ids::ConnectionId, operation::Reply};

    fn end() -> End {
        End { at: Duration::from_secs(1), drained: true, ..End::default() }
    }

    #[test]
    fn the_acknowledged_and_undelivered_is_lost() {
        let mut told = Told::new();
        let delivered = told.publish(QUEUE);
        told.deliver(delivered, false);
        let lost = told.publish(QUEUE);
        assert_eq!(Lost::find(&told.history, &end()), [lost]);
        assert!(Lost.judge(&told.history, &end())[0].detail.contains("1 acknowledged"));
        assert!(Lost.judge(&told.history, &End { allowed_lost: 1, ..end() }).is_empty());
    }

    #[test]
    fn what_nobody_vouched_for_is_not_owed() {
        let mut told = Told::new();
        for reply in [Reply::Failed, Reply::Unknown] {
            let id = told.send(QUEUE);
            told.reply(id, reply);
        }
        let expired = told.send_by(0, QUEUE, |it| it.expires = Some(Duration::from_millis(9)));
        told.reply(expired, Reply::Ok);
        let policy = Policy::of(Destination::queue(">").unwrap());
        let policy = Policy { expired: Some(Expired::DeadLetter), ..policy };
        let policies = Policies::try_from(vec![policy]).unwrap();
        let (from, until) = (Duration::ZERO, Duration::MAX);
        let policies = vec![PoliciesInForce { from, until, policies }];
        let kept = End { policies, ..end() };
        assert_eq!(Lost::find(&told.history, &kept), [expired], "it should be a dead letter");
        assert_eq!(Lost::find(&told.history, &end()), []);
    }

    #[test]
    fn at_most_once_is_exactly_once_without_faults() {
        let mut told = Told::new();
        let volatile = told.send_by(0, QUEUE, |it| it.persistent = false);
        told.reply(volatile, Reply::Ok);
        let on_topic = told.publish(TOPIC);
        told.deliver_to(0, on_topic, false);
        assert_eq!(Lost::find(&told.history, &end()), []);
        let faultless = End { faultless: true, ..end() };
        assert_eq!(Lost::find(&told.history, &faultless), [volatile, on_topic]);
        told.deliver_to(1, on_topic, false);
        told.deliver(volatile, false);
        assert_eq!(Lost::find(&told.history, &faultless), []);
    }

    #[test]
    fn a_subscriber_who_is_not_there_misses_what_is_sent() {
        let mut told = Told::new();
        let on_topic = told.publish(TOPIC);
        let queued = told.send_by(0, QUEUE, |it| it.persistent = false);
        told.reply(queued, Reply::Ok);
        told.deliver_to(0, on_topic, false);
        told.history.closed.insert(ConnectionId(1), Duration::ZERO);
        let faultless = End { faultless: true, ..end() };
        assert_eq!(Lost::find(&told.history, &faultless), [queued]);
    }
}
