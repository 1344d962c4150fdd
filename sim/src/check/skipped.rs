//! In quiet times no message of a queue is passed over: where one that came later was handed out,
//! it had been handed out before, or its time was over.
//!
//! This is what `lost` cannot see: a message that expires too early, and one that is not stored and
//! goes without anything having failed. The witness is a later message of the same kind on the same
//! queue, sent after this one was acknowledged, delivered before this one expired, in a time without
//! faults, changes of leader and consumers that left: one that leaves may take a message with it
//! that nobody sees, and that expires when it is back.

use std::{collections::BTreeMap, time::Duration};

use super::{End, reigns::Reigns};
use crate::workload::{
    history::History,
    ids::DestinationId,
    operation::{MessageId, Publish, Reply},
};

/// What reports call the check.
pub const NAME: &str = "skipped";

/// Messages that keep their order: of one part of a queue, stored or not, of one priority.
type Kind = (DestinationId, u32, bool, Option<u8>);

/// A message that was delivered: when it was sent, when it arrived first.
type Witness = (Duration, Duration, MessageId);

fn kind(history: &History, id: MessageId, publish: &Publish) -> Kind {
    (publish.destination, history.part_of(id), publish.persistent, publish.priority)
}

/// Everything that is wrong, one sentence each.
pub fn judge(history: &History, end: &End, reigns: &Reigns) -> Vec<String> {
    let mut witnesses: BTreeMap<Kind, Vec<Witness>> = BTreeMap::new();
    for delivery in history.deliveries.iter().filter(|it| !it.redelivered) {
        if let (Some(_), Some(publish)) = (delivery.destination, history.publish(delivery.id))
            && !history.destination(publish.destination).topic
            && !history.destination(publish.destination).delayed
        {
            let witness = (publish.sent, delivery.at, delivery.id);
            witnesses.entry(kind(history, delivery.id, publish)).or_default().push(witness);
        }
    }
    witnesses.values_mut().for_each(|it| it.sort_unstable());
    let left = left(history);
    let mut found = Vec::new();
    for (id, publish) in history.all_publishes() {
        let Some((reply, Reply::Ok)) = publish.reply else { continue };
        // What is stored and does not expire the check `lost` looks after.
        let is_looked_at = publish.expires.is_some() || !publish.persistent;
        if !is_looked_at || history.deliveries_of(id).next().is_some() {
            continue;
        }
        let Some(later) = witnesses.get(&kind(history, id, publish)) else { continue };
        let until = publish.expires.map_or(Duration::MAX, |at| at.saturating_sub(end.clock_error));
        let later = &later[later.partition_point(|(sent, ..)| *sent < reply)..];
        let later = later.iter().filter(|(_, at, _)| *at < until);
        let Some(&(_, at, other)) = later.min_by_key(|(_, at, _)| *at) else { continue };
        let Some(&shard) = end.shards.get(publish.destination.0 as usize) else { continue };
        let known = publish.sent.saturating_sub(end.quiet.margins.known);
        let leader = reigns.sole(shard as u64, known, at);
        let over = at + end.quiet.margins.delivered;
        let gone = left.get(&publish.destination).map_or(&[][..], Vec::as_slice);
        if gone.iter().any(|when| (publish.sent..=over).contains(when))
            || !end.quiet.covers(publish.sent, at)
            || reigns.died(None, known, over)
        {
            continue;
        }
        let Some(leader) = leader else { continue };
        let expires = publish.expires.map_or("never expires".to_owned(), |expires| {
            format!("expires at {:.3}s", expires.as_secs_f64())
        });
        found.push(format!(
            "{id} to {}, slot {shard} led by n{} in term {}, was sent at {:.3}s, acknowledged at {:.3}s \
             and {expires}, and was never delivered; {other}, sent later, was delivered at {:.3}s",
            history.destination(publish.destination).name,
            leader.node + 1,
            leader.term,
            publish.sent.as_secs_f64(),
            reply.as_secs_f64(),
            at.as_secs_f64()
        ));
    }
    found
}

/// When subscriptions to each destination ended.
fn left(history: &History) -> BTreeMap<DestinationId, Vec<Duration>> {
    let mut left: BTreeMap<DestinationId, Vec<Duration>> = BTreeMap::new();
    for it in &history.subscriptions {
        if let Some(at) = history.closed.get(&it.connection) {
            left.entry(it.destination).or_default().push(*at);
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            quiet::{Margins, Quiet},
            step::{Step, What},
            testing::*,
        },
        *,
    };
    use crate::workload::{
        history::Subscription,
        ids::{ClientId, ConnectionId},
    };

    fn milli(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// A message that is never delivered, sent and acknowledged at 501 ms, and a later one that is
    /// delivered at 1005 ms.
    fn told(
        first: impl FnOnce(&mut Publish),
        second: impl FnOnce(&mut Publish),
        change: impl FnOnce(&mut Told, &mut Reigns, &mut End),
    ) -> Vec<String> {
        let (mut told, mut reigns) = (Told::new(), Reigns::default());
        reigns.step(&by(1, What::ServeBegin { shard: 0, term: 3 }));
        told.history.subscriptions.push(Subscription {
            client: ClientId(0),
            destination: QUEUE,
            connection: ConnectionId(100),
            node: 0,
            since: Duration::ZERO,
        });
        told.pass(milli(500));
        let id = told.send_by(0, QUEUE, first);
        told.reply(id, Reply::Ok);
        let later = told.send_by(0, QUEUE, second);
        told.reply(later, Reply::Ok);
        told.pass(milli(1_004));
        told.deliver(later, false);
        let mut end = End {
            at: milli(9_000),
            shards: vec![0, 1],
            clock_error: milli(10),
            quiet: Quiet::between(&[], milli(5_000), Margins::default()),
            ..End::default()
        };
        change(&mut told, &mut reigns, &mut end);
        judge(&told.history, &end, &reigns)
    }

    fn expiring(at: u64) -> impl FnOnce(&mut Publish) {
        move |it| it.expires = Some(milli(at))
    }

    #[test]
    fn what_went_before_its_time_is_found() {
        for (expires, found) in [(1_000, 0), (1_015, 0), (1_016, 1), (99_000, 1)] {
            let said = told(expiring(expires), |_| {}, |_, _, _| {});
            assert_eq!(said.len(), found, "expires at {expires}: {said:?}");
        }
        let volatile = told(|it| it.persistent = false, |it| it.persistent = false, |_, _, _| {});
        assert!(volatile[0].contains("p0-0 to q, slot 0 led by n2 in term 3"), "{volatile:?}");
        assert!(volatile[0].contains("never expires"), "{volatile:?}");
    }

    #[test]
    fn only_a_later_one_of_the_same_kind_is_a_witness() {
        assert!(told(expiring(2_000), |it| it.persistent = false, |_, _, _| {}).is_empty());
        assert!(told(expiring(2_000), |it| it.priority = Some(9), |_, _, _| {}).is_empty());
        let earlier = told(expiring(2_000), |it| it.sent = milli(501), |_, _, _| {});
        assert!(earlier.is_empty(), "it was sent before the answer");
        let again = told(
            expiring(2_000),
            |_| {},
            |told, _, _| {
                told.history.deliveries[0].redelivered = true;
            },
        );
        assert!(again.is_empty());
    }

    #[test]
    fn nothing_is_said_of_faults_and_changes() {
        let fault = told(
            expiring(2_000),
            |_| {},
            |_, _, end| {
                let faults = [(milli(700), milli(701))];
                end.quiet = Quiet::between(&faults, milli(5_000), Margins::default());
            },
        );
        assert!(fault.is_empty());
        let change = told(
            expiring(2_000),
            |_| {},
            |_, reigns, _| {
                reigns.step(&Step {
                    at: milli(800),
                    ..by(2, What::ServeBegin { shard: 0, term: 4 })
                });
            },
        );
        assert!(change.is_empty());
        let left = told(
            expiring(2_000),
            |_| {},
            |told, _, _| {
                told.history.closed.insert(ConnectionId(100), milli(900));
            },
        );
        assert!(left.is_empty());
    }
}
