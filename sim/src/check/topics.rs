//! In quiet times a message of a topic reaches every subscriber.
//!
//! A topic is not stored: a copy that waits in a leader's memory goes with that leader, and while
//! links are down a subscriber may be unknown to it. So what is lost amid faults proves nothing. But
//! where a message was sent and acknowledged in a quiet time, with one leader from well before until
//! well after, each subscriber whose subscription was confirmed before and whose connection lived on
//! must have got it, unless the message expired or the subscriber was so slow that its copy had to
//! wait: what waits may be pushed out. What is kept for subscribers the check `kept` looks after.

use std::{collections::BTreeMap, time::Duration};

use super::{
    End,
    quiet::Margins,
    reigns::{Reign, Reigns},
    step::Step,
};
use crate::workload::{
    history::{History, Subscription},
    ids::{ConnectionId, DestinationId},
    operation::{MessageId, Publish, Reply},
};

/// What reports call the check.
pub const NAME: &str = "topics";

/// A subscriber that holds more than so many bytes may be near the broker's bound.
const BYTES: u64 = 16 << 20;

/// See the module.
#[derive(Debug, Default)]
pub struct Topics {
    /// Who served what when.
    pub reigns: Reigns,
}

impl Topics {
    /// Takes in one step.
    pub fn step(&mut self, step: &Step) {
        self.reigns.step(step);
    }

    /// Everything that is wrong, one sentence each.
    pub fn judge(&self, history: &History, end: &End) -> Vec<String> {
        let held = Held::of(history);
        let mut found = Vec::new();
        for (id, publish) in history.all_publishes() {
            let Some((reply, reign)) = self.is_due(publish, history, end) else { continue };
            let until = reply + end.quiet.margins.noticed;
            let subscriptions = history.subscriptions.iter();
            for it in subscriptions.filter(|it| it.destination == publish.destination) {
                let lived = history.closed.get(&it.connection).is_none_or(|at| *at > until);
                let is_alive = lived && !self.reigns.died(Some(it.node), it.since, reply);
                let has_it = || history.deliveries_of(id).any(|got| got.client == it.client);
                if it.since < publish.sent
                    && is_alive
                    && !has_it()
                    && held.keeps_up(it, publish, reply, history, end.quiet.margins)
                {
                    found.push(missed(id, it, reign, history, end));
                }
            }
        }
        found
    }

    /// When a message was acknowledged that all its subscribers must get, and who led its shard.
    fn is_due(&self, publish: &Publish, history: &History, end: &End) -> Option<(Duration, Reign)> {
        let Some((reply, Reply::Ok)) = publish.reply else { return None };
        let info = history.destination(publish.destination);
        if !info.topic || info.kept || info.delayed {
            return None;
        }
        let margins = end.quiet.margins;
        let from = publish.sent.saturating_sub(margins.known);
        let until = reply + margins.delivered;
        let shard = *end.shards.get(publish.destination.0 as usize)? as u64;
        let lasts = publish.expires.is_none_or(|at| at > until + end.clock_error);
        let is_quiet = end.quiet.covers(publish.sent, reply) && until < end.at;
        if !lasts || !is_quiet || self.reigns.died(None, from, until) {
            return None;
        }
        Some((reply, self.reigns.sole(shard, from, until)?))
    }
}

/// A subscriber did not get a message.
pub fn missed(
    id: MessageId,
    subscription: &Subscription,
    reign: Reign,
    history: &History,
    end: &End,
) -> String {
    let publish = history.publish(id).expect("it was sent");
    let destination = subscription.destination;
    let reply = publish.reply.map_or(publish.sent, |(at, _)| at);
    format!(
        "{id} to {}, slot {} led by n{} in term {} since {:.3}s, was sent at {:.3}s and acknowledged \
         at {:.3}s, and c{} never got it, which is subscribed on n{} since {:.3}s",
        history.destination(destination).name,
        end.shards[destination.0 as usize],
        reign.node + 1,
        reign.term,
        reign.begin.as_secs_f64(),
        publish.sent.as_secs_f64(),
        reply.as_secs_f64(),
        subscription.client.0,
        subscription.node + 1,
        subscription.since.as_secs_f64(),
    )
}

/// A delivery: when it came, when its consumer was through with it, and its size.
type Got = (Duration, Duration, u64);

/// What each subscription got.
struct Held {
    by_subscription: BTreeMap<(ConnectionId, DestinationId), Vec<Got>>,
    /// When what was sent to each destination, and its size.
    sent: BTreeMap<DestinationId, Vec<(Duration, u64)>>,
}

impl Held {
    fn of(history: &History) -> Self {
        let mut ended = vec![Duration::MAX; history.deliveries.len()];
        for settle in &history.settles {
            if let Some((at, Reply::Ok)) = settle.reply {
                settle.deliveries.iter().for_each(|it| ended[*it as usize] = at);
            }
        }
        let mut by_subscription: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (delivery, ended) in history.deliveries.iter().zip(ended) {
            let Some(destination) = delivery.destination else { continue };
            let info = history.destination(destination);
            if info.topic && !info.auto_ack {
                let bytes = history.publish(delivery.id).map_or(0, |it| u64::from(it.bytes));
                let held = by_subscription.entry((delivery.connection, destination)).or_default();
                held.push((delivery.at, ended, bytes));
            }
        }
        let mut sent: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (_, publish) in history.all_publishes() {
            if history.destination(publish.destination).topic {
                let sent = sent.entry(publish.destination).or_default();
                sent.push((publish.sent, u64::from(publish.bytes)));
            }
        }
        sent.values_mut().for_each(|sent| sent.sort_unstable());
        Self { by_subscription, sent }
    }

    /// Whether a subscriber had room for a message when it came, so that its copy did not wait:
    /// what it held, together with what may have been on its way to it, was less than its prefetch.
    fn keeps_up(
        &self,
        subscription: &Subscription,
        publish: &Publish,
        reply: Duration,
        history: &History,
        margins: Margins,
    ) -> bool {
        let destination = subscription.destination;
        let from = publish.sent.saturating_sub(margins.flight);
        let sent = self.sent.get(&destination).map_or(&[][..], Vec::as_slice);
        let sent = &sent[sent.partition_point(|(at, _)| *at < from)..];
        let sent = &sent[..sent.partition_point(|(at, _)| *at <= reply)];
        let held = self.by_subscription.get(&(subscription.connection, destination));
        let held = held.into_iter().flatten();
        let held = held.filter(|(got, ended, _)| *got <= reply && *ended >= from);
        let sizes = held.map(|(.., bytes)| *bytes).chain(sent.iter().map(|(_, bytes)| *bytes));
        let (count, bytes) = sizes.fold((0, 0), |(count, sum), bytes| (count + 1, sum + bytes));
        let info = history.destination(destination);
        (info.auto_ack || count <= info.prefetch) && bytes <= BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{quiet::Quiet, step::What, testing::*},
        *,
    };
    use crate::workload::ids::ClientId;

    const SHARD: u64 = 7;

    fn milli(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Two subscribers, and a message a second after; the first one gets it. What the check says.
    fn told(change: impl FnOnce(&mut Told, &mut Topics, &mut End, MessageId)) -> Vec<String> {
        let (mut told, mut topics) = (Told::new(), Topics::default());
        let began = What::ServeBegin { shard: SHARD, term: 3 };
        topics.step(&Step { at: milli(10), ..by(1, began) });
        for client in 0..2 {
            told.history.subscriptions.push(Subscription {
                client: ClientId(client),
                destination: TOPIC,
                connection: ConnectionId(100 + client),
                node: client,
                since: milli(20),
            });
        }
        told.pass(milli(1_000));
        let id = told.publish(TOPIC);
        told.deliver_to(0, id, false);
        let margins = Margins {
            known: milli(300),
            delivered: milli(100),
            flight: milli(5),
            noticed: milli(400),
            ..Margins::default()
        };
        let mut end = End {
            at: milli(9_000),
            shards: vec![0, SHARD as usize],
            quiet: Quiet::between(&[], milli(5_000), margins),
            ..End::default()
        };
        change(&mut told, &mut topics, &mut end, id);
        topics.judge(&told.history, &end)
    }

    #[test]
    fn a_subscriber_that_was_left_out_is_found() {
        let found = told(|_, _, _, _| {});
        assert_eq!(found.len(), 1, "{found:?}");
        for part in
            ["p0-0 to t, slot 7 led by n2 in term 3", "c1 never got it", "on n2 since 0.020s"]
        {
            assert!(found[0].contains(part), "{} lacks {part}", found[0]);
        }
        assert!(told(|told, _, _, id| drop(told.deliver_to(1, id, false))).is_empty());
    }

    #[test]
    fn nothing_is_owed_amid_faults_and_changes() {
        let fault = |from, to| {
            move |_: &mut Told, _: &mut Topics, end: &mut End, _: MessageId| {
                let margins = Margins { healed: milli(200), ..end.quiet.margins };
                end.quiet = Quiet::between(&[(milli(from), milli(to))], milli(5_000), margins);
            }
        };
        assert!(told(fault(1_050, 1_060)).is_empty(), "it begins as the message is delivered");
        assert!(told(fault(800, 850)).is_empty(), "it has just ended");
        assert_eq!(told(fault(700, 750)).len(), 1);
        let step = |at, what| {
            move |_: &mut Told, topics: &mut Topics, _: &mut End, _: MessageId| {
                topics.step(&Step { at: milli(at), ..by(2, what) });
            }
        };
        let begin = What::ServeBegin { shard: SHARD, term: 4 };
        assert!(told(step(1_050, begin)).is_empty(), "another leads before it is delivered");
        assert_eq!(told(step(1_200, begin)).len(), 1);
        assert!(told(step(900, What::Died)).is_empty());
        assert_eq!(told(step(500, What::Died)).len(), 1);
    }

    #[test]
    fn nothing_is_owed_to_who_was_not_there() {
        let late = told(|told, _, _, _| told.history.subscriptions[1].since = milli(1_001));
        assert!(late.is_empty());
        for (closed, owed) in [(500, 0), (1_300, 0), (1_500, 1)] {
            let closed = milli(closed);
            let found = told(|told, _, _, _| {
                told.history.closed.insert(ConnectionId(101), closed);
            });
            assert_eq!(found.len(), owed, "closed at {closed:?}");
        }
        let dead = told(|_, topics, _, _| topics.step(&Step { at: milli(500), ..died(1) }));
        assert!(dead.is_empty());
    }

    #[test]
    fn nothing_is_owed_that_expired_or_had_to_wait() {
        for (expires, owed) in [(1_050, 0), (2_000, 1)] {
            let found = told(|told, _, _, id| {
                told.history.publishes[id.producer as usize][0].expires = Some(milli(expires));
            });
            assert_eq!(found.len(), owed);
        }
        // The subscriber may hold three, and had got so many before and settled none.
        for (before, owed) in [(2, 1), (3, 0)] {
            let (mut told, mut topics) = (Told::new(), Topics::default());
            let began = What::ServeBegin { shard: SHARD, term: 3 };
            topics.step(&by(1, began));
            told.history.subscriptions.push(Subscription {
                client: ClientId(1),
                destination: TOPIC,
                connection: ConnectionId(101),
                node: 1,
                since: Duration::ZERO,
            });
            for _ in 0..before {
                let id = told.publish(TOPIC);
                told.deliver_to(1, id, false);
            }
            told.pass(milli(1_000));
            told.publish(TOPIC);
            let end = End {
                at: milli(9_000),
                shards: vec![0, SHARD as usize],
                quiet: Quiet::between(&[], milli(5_000), Margins::default()),
                ..End::default()
            };
            assert_eq!(topics.judge(&told.history, &end).len(), owed, "{before} held");
        }
    }
}
