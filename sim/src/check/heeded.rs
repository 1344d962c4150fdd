//! What a client says of its deliveries is heeded.
//!
//! A consumer that closes may say what it has looked at; the rest is as if it had never been
//! delivered, and does not come back marked for that reason. What was refused for good is a dead
//! letter at once, and is not handed out from its queue again.
//!
//! A leader that goes, or a node that is lost, knows better than to believe that nobody has seen what
//! was on its way. So this is asked in quiet times, within one leadership, and of messages all of
//! whose deliveries have reached a client. What is repeated is left out.

use super::{
    End, Found, HashMap,
    step::{NameId, Steps},
    trail::{Handed, Trail},
};
use crate::workload::{
    history::History,
    operation::{How, MessageId, Reply},
};

/// What reports call the check.
pub const NAME: &str = "heeded";

/// Everything that is wrong, one sentence each.
pub fn judge(history: &History, end: &End, trail: &Trail, names: &mut Steps) -> Vec<Found> {
    let is_poison = |how: How| how == How::Poison;
    if history.closings.is_empty() && !history.settles.iter().any(|it| is_poison(it.how)) {
        return Vec::new();
    }
    let messages: HashMap<NameId, MessageId> =
        history.deliveries.iter().map(|it| (names.name(&it.broker_id), it.id)).collect();
    let mut handed: HashMap<MessageId, Vec<Handed>> = HashMap::default();
    for it in trail.handed_in_full() {
        let Some(&id) = it.id.and_then(|id| messages.get(&id)) else { continue };
        let Some(publish) = history.publish(id).filter(|it| it.copies() == 1) else { continue };
        // A dead letter stands on another queue.
        let queue = &history.destination(publish.destination).name;
        if it.queue == Some(names.name(queue)) {
            handed.entry(id).or_default().push(it);
        }
    }
    let judge = Judge { history, end, handed };
    judge.unseen().into_iter().chain(judge.poisoned()).collect()
}

struct Judge<'a> {
    history: &'a History,
    end: &'a End,
    /// How each message was handed out from its queue.
    handed: HashMap<MessageId, Vec<Handed>>,
}

impl Judge<'_> {
    /// What came back marked although nobody has seen it.
    fn unseen(&self) -> Vec<Found> {
        let confirmed = self.history.closings.iter();
        let confirmed = confirmed.filter(|it| matches!(it.reply, Some((_, Reply::Ok))));
        let unseen: HashMap<u32, _> = confirmed
            .flat_map(|closing| closing.unseen.iter().map(|index| (*index, closing.sent)))
            .collect();
        let mut ids: Vec<MessageId> =
            unseen.keys().map(|index| self.history.deliveries[*index as usize].id).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut found = Vec::new();
        for id in ids {
            let handed = self.handed.get(&id).map_or(&[][..], Vec::as_slice);
            for (count, again) in handed.iter().enumerate().skip(1) {
                let before = &handed[..count];
                let first = &before[0];
                let is_one_life = before.iter().all(|it| it.life == again.life);
                let deliveries = &self.history.delivered[&id];
                let reached: Vec<u32> = deliveries
                    .iter()
                    .copied()
                    .filter(|index| {
                        let it = &self.history.deliveries[*index as usize];
                        it.destination.is_some() && it.at <= again.at
                    })
                    .collect();
                let gave_back =
                    |index: &u32| unseen.get(index).is_some_and(|sent| *sent <= again.at);
                let nobody_saw = reached.len() == count && reached.iter().all(gave_back);
                let is_quiet = self.end.quiet.covers(first.at, again.at);
                if again.redelivered && !first.redelivered && is_one_life && nobody_saw && is_quiet
                {
                    let detail = format!(
                        "{id} was handed out at {:.6}s marked as redelivered, and all who had it before \
                         had said that they have not looked at it",
                        again.at.as_secs_f64()
                    );
                    found.push(Found::about(detail, [id]));
                }
            }
        }
        found
    }

    /// What was refused for good and was handed out again.
    fn poisoned(&self) -> Vec<Found> {
        let mut found = Vec::new();
        let poison = self.history.settles.iter().filter(|it| it.how == How::Poison);
        for settle in poison {
            let Some((told, Reply::Ok)) = settle.reply else { continue };
            for index in &settle.deliveries {
                let delivery = &self.history.deliveries[*index as usize];
                let id = delivery.id;
                let handed = self.handed.get(&id).map_or(&[][..], Vec::as_slice);
                let had = handed.iter().rev().find(|it| it.at <= delivery.at);
                let (Some(_), Some(had)) = (delivery.destination, had) else { continue };
                let again = handed.iter().find(|it| {
                    let is_quiet = self.end.quiet.covers(had.at, it.at);
                    it.at > told && it.life == had.life && is_quiet
                });
                if let Some(again) = again {
                    let detail = format!(
                        "{id} was refused for good, as its consumer was told at {:.6}s, and was handed \
                         out again at {:.6}s",
                        told.as_secs_f64(),
                        again.at.as_secs_f64()
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
    use std::time::Duration;

    use super::{
        super::{
            quiet::{Margins, Quiet},
            step::What,
            testing::*,
        },
        *,
    };
    use crate::workload::operation::{Closing, Settle};

    struct Case {
        told: Told,
        names: Steps,
        trail: Trail,
    }

    impl Case {
        fn new() -> Self {
            let mut case = Self { told: Told::new(), names: names(), trail: Trail::default() };
            case.begin(1);
            case
        }

        fn begin(&mut self, term: u64) {
            self.trail.step(&by(0, What::ServeBegin { shard: 1, term }));
        }

        /// The leader of this term hands a message out, and it reaches its consumer.
        fn hand_out(&mut self, term: u64, id: MessageId, redelivered: bool) -> u32 {
            let delivery = self.told.deliver(id, redelivered);
            let name = self.names.name(&delivery.broker_id);
            let queue = Some(self.names.name("q"));
            let mut step = by(0, dispatch(1, term, 1, 2));
            step.at = delivery.at - Duration::from_micros(500);
            if let What::Dispatch { id, queue: on, redelivered: marked, .. } = &mut step.what {
                (*id, *on, *marked) = (Some(name), queue, redelivered);
            }
            self.trail.step(&step);
            self.told.history.deliveries.len() as u32 - 1
        }

        fn close(&mut self, unseen: Vec<u32>, reply: Reply) {
            let at = self.told.history.deliveries.last().unwrap().at;
            self.told.history.closing(Closing {
                connection: self.told.history.deliveries[0].connection,
                destinations: vec![QUEUE],
                unseen,
                sent: at,
                reply: Some((at, reply)),
            });
        }

        fn found(&mut self, is_quiet: bool) -> usize {
            let end = Duration::from_secs(9);
            let noisy = [(Duration::ZERO, end)];
            let faults = if is_quiet { &[][..] } else { &noisy };
            let quiet = Quiet::between(faults, end, Margins::default());
            let end = End { quiet, ..End::default() };
            judge(&self.told.history, &end, &self.trail, &mut self.names).len()
        }
    }

    #[test]
    fn what_nobody_has_looked_at_is_not_marked() {
        for (redelivered, reply, term, is_quiet, found) in [
            (true, Reply::Ok, 1, true, 1),
            (false, Reply::Ok, 1, true, 0),
            (true, Reply::Unknown, 1, true, 0),
            (true, Reply::Ok, 2, true, 0),
            (true, Reply::Ok, 1, false, 0),
        ] {
            let mut case = Case::new();
            let id = case.told.publish(QUEUE);
            let delivery = case.hand_out(1, id, false);
            case.close(vec![delivery], reply);
            if term > 1 {
                case.begin(term);
            }
            case.hand_out(term, id, redelivered);
            assert_eq!(case.found(is_quiet), found, "{redelivered} {reply} {term} {is_quiet}");
        }
    }

    #[test]
    fn what_one_of_two_has_looked_at_is_marked() {
        let mut case = Case::new();
        let id = case.told.publish(QUEUE);
        let delivery = case.hand_out(1, id, false);
        case.close(vec![delivery], Reply::Ok);
        case.hand_out(1, id, false);
        case.hand_out(1, id, true);
        assert_eq!(case.found(true), 0);
    }

    #[test]
    fn what_was_refused_for_good_is_not_handed_out_again() {
        for (how, term, found) in [(How::Poison, 1, 1), (How::Reject, 1, 0), (How::Poison, 2, 0)] {
            let mut case = Case::new();
            let id = case.told.publish(QUEUE);
            let delivery = case.hand_out(1, id, false);
            let sent = case.told.history.deliveries[0].at;
            case.told.history.settle_sent(Settle {
                connection: case.told.history.deliveries[0].connection,
                deliveries: vec![delivery],
                how,
                sent,
                reply: Some((sent, Reply::Ok)),
            });
            if term > 1 {
                case.begin(term);
            }
            case.hand_out(term, id, true);
            assert_eq!(case.found(true), found, "{how:?} {term}");
        }
    }
}
