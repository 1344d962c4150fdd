//! What is kept for a subscriber reaches it, however long it was away.
//!
//! A durable subscription, or the queue that a subscriber has of a virtual topic, gets every persistent
//! message that is sent after it was confirmed and before it was to be deleted or replaced. When all is
//! drained, each of those that was acknowledged must have reached its subscriber. In which order, and
//! that none comes twice unmarked, `order`, `fifo` and `redelivered-flag` say.
//!
//! What is asked and never answered may be carried out at any later time. So nothing is owed to a
//! subscription that somebody was asked to delete, or to put on other terms, and did not answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{End, EndCheck, Found, HashSet};
use crate::workload::{
    history::History,
    ids::{ClientId, DestinationId},
    operation::{Reply, Wanted, publish},
};

/// See the module.
#[derive(Debug, Default)]
pub struct Kept;

/// What is known of one subscription.
#[derive(Debug, Default)]
struct Known {
    /// Since when it has been there, and on which terms.
    since: Option<(Duration, u32)>,
    /// What was asked and not answered.
    loose: BTreeSet<Option<u32>>,
}

impl Known {
    fn take(&mut self, wanted: Wanted, reply: Option<(Duration, Reply)>) {
        let terms = match wanted {
            Wanted::There(terms) => Some(terms),
            Wanted::Gone => None,
        };
        // From when it was asked on it may have ended.
        self.since = self.since.filter(|(_, known)| Some(*known) == terms);
        match (reply, terms) {
            (Some((at, Reply::Ok)), Some(terms)) => {
                self.since.get_or_insert((at, terms));
            }
            (Some((_, Reply::Ok)), None) => {}
            // One of several shards may have done its part.
            (Some((_, Reply::Failed)) | Some((_, Reply::Unknown)) | None, terms) => {
                self.loose.insert(terms);
            }
        }
    }

    /// Since when everything is owed to it.
    fn owed_since(&self) -> Option<Duration> {
        let (since, terms) = self.since?;
        self.loose.iter().all(|it| *it == Some(terms)).then_some(since)
    }
}

impl EndCheck for Kept {
    fn name(&self) -> &'static str {
        "kept"
    }

    fn judge(&self, history: &History, end: &End) -> Vec<Found> {
        if !end.drained || end.allowed_lost > 0 {
            return Vec::new();
        }
        let mut known: BTreeMap<(DestinationId, ClientId), Known> = BTreeMap::new();
        for it in &history.keepings {
            let known = known.entry((it.destination, it.client)).or_default();
            known.take(it.wanted, it.reply);
        }
        let got: HashSet<_> = history.deliveries.iter().map(|it| (it.client, it.id)).collect();
        let parts: BTreeMap<ClientId, u32> =
            history.deliveries.iter().filter_map(|it| Some((it.client, it.part?))).collect();
        let mut found = Vec::new();
        for (id, publish) in history.all_publishes() {
            let info = history.destination(publish.destination);
            let may_expire = publish.expires.is_some_and(|at| at <= end.at + end.clock_error);
            let is_owed = publish.persistent && publish.is_acknowledged() && !may_expire;
            if !info.kept || !is_owed {
                continue;
            }
            let first = (publish.destination, ClientId(0));
            let last = (publish.destination, ClientId(u32::MAX));
            for ((_, client), known) in known.range(first..=last) {
                let selects =
                    parts.get(client).is_none_or(|it| *it == publish::part(id, info.parts));
                let is_late = known.owed_since().is_some_and(|since| publish.sent > since);
                if is_late && selects && !got.contains(&(*client, id)) {
                    let since = known.owed_since().unwrap_or_default();
                    let detail = format!(
                        "{id} to {} was sent at {:.3}s and acknowledged, and c{} never got it, for \
                         whom it was to be kept since {:.3}s",
                        info.name,
                        publish.sent.as_secs_f64(),
                        client.0,
                        since.as_secs_f64()
                    );
                    found.push(Found::about(detail, [id]));
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::workload::operation::Keeping;

    fn milli(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    const OK: Option<Reply> = Some(Reply::Ok);

    /// Client 1 asks for these at 10 ms, 20 ms, …, each of which is answered 5 ms later. A message is
    /// sent at a second, and client 0 gets it. What the check says.
    fn told(asked: &[(Wanted, Option<Reply>)]) -> usize {
        let mut told = Told::new();
        told.history.destinations[TOPIC.0 as usize].kept = true;
        for ((wanted, reply), at) in asked.iter().zip((10..).step_by(10)) {
            told.history.keepings.push(Keeping {
                client: ClientId(1),
                destination: TOPIC,
                wanted: *wanted,
                sent: milli(at),
                reply: reply.map(|reply| (milli(at + 5), reply)),
            });
        }
        told.pass(milli(1_000));
        let id = told.publish(TOPIC);
        told.deliver_to(0, id, false);
        let end = End { at: milli(9_000), drained: true, ..End::default() };
        let found = Kept.judge(&told.history, &end).len();
        told.deliver_to(1, id, true);
        assert_eq!(Kept.judge(&told.history, &end).len(), 0);
        found
    }

    #[test]
    fn what_is_sent_after_a_subscription_was_confirmed_is_owed() {
        use Wanted::{Gone, There};
        assert_eq!(told(&[(There(0), OK)]), 1);
        assert_eq!(told(&[(There(0), OK), (There(0), Some(Reply::Unknown))]), 1);
        assert_eq!(told(&[(There(0), OK), (Gone, OK), (There(0), OK)]), 1);
        assert_eq!(told(&[(There(0), OK), (There(1), OK)]), 1);
    }

    #[test]
    fn nothing_is_owed_to_what_may_not_be_there() {
        use Wanted::{Gone, There};
        for asked in [
            &[(There(0), None)][..],
            &[(There(0), Some(Reply::Failed))],
            &[(There(0), OK), (Gone, OK)],
            &[(There(0), OK), (There(1), Some(Reply::Unknown))],
            &[(There(0), OK), (Gone, None), (There(0), OK)],
            &[(There(1), None), (There(0), OK)],
        ] {
            assert_eq!(told(asked), 0, "{asked:?}");
        }
    }

    #[test]
    fn what_was_sent_before_is_not_owed() {
        let mut told = Told::new();
        told.history.destinations[TOPIC.0 as usize].kept = true;
        told.publish(TOPIC);
        told.history.keepings.push(Keeping {
            client: ClientId(1),
            destination: TOPIC,
            wanted: Wanted::There(0),
            sent: milli(500),
            reply: Some((milli(600), Reply::Ok)),
        });
        let end = End { at: milli(9_000), drained: true, ..End::default() };
        assert_eq!(Kept.judge(&told.history, &end).len(), 0);
    }
}
